// The connection file: read once, checked as a whole, every mistake told at once. It does not bind anything.

import { type Digest, digests } from "./signature.ts";

export interface ConnectionInfo {
  readonly transport: "tcp" | "ipc";
  /** An address to bind (tcp), or the prefix of the sockets' paths (ipc). */
  readonly ip: string;
  readonly shellPort: number;
  readonly controlPort: number;
  readonly stdinPort: number;
  readonly iopubPort: number;
  readonly hbPort: number;
  readonly key: string;
  readonly digest: Digest;
}

/** A mistake of the user's, told in one message without a stack: what was expected, what came, what to do. */
export class ConnectionFileError extends Error {
  override readonly name: string = "ConnectionFileError";
}

const portFields = ["shell_port", "control_port", "stdin_port", "iopub_port", "hb_port"] as const;

/**
 * Reads and checks a connection file. `warn` gets a line where the file is readable by others: its key lets them run code.
 * @throws ConnectionFileError
 */
export async function readConnectionFile(path: string, warn: (line: string) => void): Promise<ConnectionInfo> {
  const file = Bun.file(path);
  let content: string;
  let mode: number;
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new ConnectionFileError(`connection file ${path}: expected a file, got something else`);
    mode = stat.mode;
    content = await file.text();
  } catch (error) {
    if (error instanceof ConnectionFileError) throw error;
    const code = (error as { code?: unknown }).code;
    throw new ConnectionFileError(
      code === "ENOENT"
        ? `connection file ${path}: no such file. Jupyter writes it and names it in {connection_file}; to try by hand: jupyter console --kernel bunsen`
        : `connection file ${path}: cannot be read (${String(code ?? error)})`,
      { cause: error },
    );
  }
  if (process.platform !== "win32") {
    if ((mode & 0o002) !== 0) {
      throw new ConnectionFileError(
        `connection file ${path}: expected a file that only its owner may write, got mode ${octal(mode)}. Run: chmod 600 ${path}`,
      );
    }
    if ((mode & 0o077) !== 0) {
      warn(`connection file ${path} has mode ${octal(mode)}: others may read its key and run code; chmod 600 it`);
    }
  }
  return parseConnectionFile(content, path);
}

/** @throws ConnectionFileError naming every mistake. */
export function parseConnectionFile(content: string, path: string): ConnectionInfo {
  let fields: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(content);
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new Error("not an object");
    fields = parsed as Record<string, unknown>;
  } catch (error) {
    throw new ConnectionFileError(
      `connection file ${path}: expected a JSON object, got ${JSON.stringify(content.slice(0, 40))} (${(error as Error).message})`,
      { cause: error },
    );
  }
  const mistakes: string[] = [];
  const show = (value: unknown): string => (value === undefined ? "nothing" : JSON.stringify(value));

  const transport = fields.transport ?? "tcp";
  if (transport !== "tcp" && transport !== "ipc")
    mistakes.push(`transport: expected "tcp" or "ipc", got ${show(transport)}`);

  const ip = fields.ip ?? (transport === "tcp" ? "127.0.0.1" : undefined);
  if (typeof ip !== "string" || ip === "") mistakes.push(`ip: expected an address or a path prefix, got ${show(ip)}`);

  const ports: Record<string, number> = {};
  for (const field of portFields) {
    const port = fields[field];
    if (typeof port === "number" && Number.isInteger(port) && port >= 0 && port <= 65535) ports[field] = port;
    else mistakes.push(`${field}: expected an integer from 0 to 65535, got ${show(port)}`);
  }
  const used = Object.values(ports).filter((port) => port !== 0);
  if (new Set(used).size !== used.length) mistakes.push(`ports: expected five different ones, got ${used.join(", ")}`);

  const key = fields.key ?? "";
  if (typeof key !== "string") mistakes.push(`key: expected a string, got ${show(key)}`);

  const scheme = fields.signature_scheme ?? "hmac-sha256";
  const digest = digests.find((name) => scheme === `hmac-${name}` || scheme === `hmac-${name.replaceAll("-", "_")}`);
  if (digest === undefined) {
    mistakes.push(`signature_scheme: expected hmac- and one of ${digests.join(", ")}, got ${show(scheme)}`);
  }
  if (mistakes.length > 0) throw new ConnectionFileError(`connection file ${path}: ${mistakes.join("; ")}`);
  return {
    transport: transport as "tcp" | "ipc",
    ip: ip as string,
    shellPort: ports.shell_port!,
    controlPort: ports.control_port!,
    stdinPort: ports.stdin_port!,
    iopubPort: ports.iopub_port!,
    hbPort: ports.hb_port!,
    key: key as string,
    digest: digest!,
  };
}

function octal(mode: number): string {
  return `0${(mode & 0o777).toString(8)}`;
}
