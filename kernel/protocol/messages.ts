// The shapes of Jupyter messages (protocol 5.5) as this kernel reads and writes them: headers, envelopes, contents of
// requests and replies. Reading is liberal (what is absent gets a default here), writing is strict (the types say all).

/** The protocol that this kernel speaks. */
export const protocolVersion = "5.5";

export interface Header {
  readonly msg_id: string;
  readonly msg_type: string;
  readonly session: string;
  readonly username: string;
  readonly date: string;
  readonly version: string;
  /** JEP 91: the subshell a shell or stdin message is for. */
  readonly subshell_id?: string | null;
}

export type Content = Record<string, unknown>;

export type Channel = "shell" | "control" | "stdin";

/** A message whose signature has been checked. */
export interface Message {
  /** The routing prefix: what a ROUTER must put in front of the reply. */
  readonly identities: readonly Uint8Array[];
  readonly header: Header;
  /** Empty where the message answers nothing. */
  readonly parentHeader: Partial<Header>;
  readonly metadata: Content;
  readonly content: Content;
  readonly buffers: readonly Uint8Array[];
}

/** What goes out: the header is made when it is encoded. */
export interface OutgoingMessage {
  readonly type: string;
  /** The header of the request that this message belongs to; null for messages that answer nothing. */
  readonly parent: Partial<Header> | null;
  readonly content: Content;
  readonly metadata?: Content;
  readonly buffers?: readonly Uint8Array[];
}

/** Fields of contents by type, with a default where a client leaves one out or sends another type. */
export function text(content: Content, field: string, otherwise = ""): string {
  const value = content[field];
  return typeof value === "string" ? value : otherwise;
}

export function flag(content: Content, field: string, otherwise: boolean): boolean {
  const value = content[field];
  return typeof value === "boolean" ? value : otherwise;
}

export function integer(content: Content, field: string, otherwise: number): number {
  const value = content[field];
  return typeof value === "number" && Number.isFinite(value) ? Math.trunc(value) : otherwise;
}

export function record(content: Content, field: string): Content {
  const value = content[field];
  return isRecord(value) ? value : {};
}

export function isRecord(value: unknown): value is Content {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
