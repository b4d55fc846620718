// What cells make visible, on its way to iopub: each output goes to the request it belongs to (also after that ended),
// streams are joined, and what nobody could see is left out. It sends through a publisher and knows no socket.

import type { Output } from "../evaluator/port.ts";
import type { Content, Header } from "../protocol/messages.ts";
import type { Publisher } from "./publisher.ts";

/** A cell (or comm message) whose outputs are expected. */
export interface Origin {
  readonly header: Partial<Header>;
  /** Silent cells publish nothing. */
  readonly silent: boolean;
  /** The routing prefix of the request: its client's stdin socket has the same identity. */
  readonly identities: readonly Uint8Array[];
}

type CellOutput = Exclude<Output, { type: "input_request" }>;

export interface Outputs {
  open(origin: Origin): void;
  receive(output: CellOutput): void;
  /** Keeps back what a running cell puts out, until `release`: its type errors shall stand above. */
  hold(cell: string): void;
  release(cell: string): void;
  /** Text on stderr, before what is kept back. */
  warn(cell: string, text: string): void;
  /** Publishes what waits for this cell and returns the text/plain of its result (for the history). */
  close(cell: string): string | null;
  /** Null for a cell too old to be remembered. */
  originOf(cell: string): Origin | null;
}

export interface OutputsOptions {
  readonly publisher: Publisher;
  /** Told of every comm_open and comm_close that cells make. */
  readonly onComm: (type: "comm_open" | "comm_close", commId: string, targetName: string) => void;
  /** For tests; milliseconds. */
  readonly now?: () => number;
}

/** At most 20 batches a second for each cell: what jupyter_server forwards without loss (1,000 messages a second) with much to spare. */
const batchIntervalMs = 50;
/** The first piece after a pause waits this long, to be joined by what the same cell prints at once after it. */
const firstWaitMs = 2;
/** A batch of more pieces than this is joined by stream: a loop that alternates between stdout and stderr stays within the bound. */
const maxPieces = 16;
/** A batch is sent when it holds this much text, so that memory stays flat and readers see progress. */
const maxBatchChars = 256 * 1024;
/** Headers of ended cells that are kept for late outputs. An older cell's are made from its id, which is all that clients match. */
const maxOrigins = 512;

type Piece =
  | { readonly type: "stream"; readonly name: "stdout" | "stderr"; texts: string[] }
  | { readonly type: "clear"; readonly wait: boolean };

interface Batch {
  pieces: Piece[];
  /** A clear is among the pieces, and waits for the next output. */
  clearing: boolean;
  chars: number;
  updates: Map<string, { readonly content: Content; readonly buffers: readonly Uint8Array[] }>;
  sentAt: number;
  updatedAt: Map<string, number>;
  timer: ReturnType<typeof setTimeout> | null;
  resultText: string | null;
}

export function createOutputs(options: OutputsOptions): Outputs {
  const { publisher, onComm, now = () => performance.now() } = options;
  const origins = new Map<string, Origin>();
  const batches = new Map<string, Batch>();
  const running = new Set<string>();
  const held = new Map<string, CellOutput[]>();

  const parentOf = (cell: string): Partial<Header> =>
    origins.get(cell)?.header ?? { msg_id: cell, msg_type: "execute_request" };

  const batchOf = (cell: string): Batch => {
    let batch = batches.get(cell);
    if (batch === undefined) {
      batch = {
        pieces: [],
        clearing: false,
        chars: 0,
        updates: new Map(),
        sentAt: Number.NEGATIVE_INFINITY,
        updatedAt: new Map(),
        timer: null,
        resultText: null,
      };
      batches.set(cell, batch);
    }
    return batch;
  };

  const sendPieces = (cell: string, batch: Batch): void => {
    if (batch.pieces.length === 0) return;
    const parent = parentOf(cell);
    for (const piece of batch.pieces.length > maxPieces ? joined(batch.pieces) : batch.pieces) {
      if (piece.type === "clear") publisher.publish(parent, "clear_output", { wait: piece.wait });
      else publisher.publish(parent, "stream", { name: piece.name, text: piece.texts.join("") });
    }
    batch.pieces = [];
    batch.clearing = false;
    batch.chars = 0;
    batch.sentAt = now();
  };

  const sendUpdates = (cell: string, batch: Batch): void => {
    for (const [id, update] of batch.updates) {
      publisher.publish(parentOf(cell), "update_display_data", update.content, { buffers: update.buffers });
      batch.updatedAt.set(id, now());
    }
    batch.updates.clear();
  };

  const flush = (cell: string, batch: Batch): void => {
    if (batch.timer !== null) clearTimeout(batch.timer);
    batch.timer = null;
    sendPieces(cell, batch);
    sendUpdates(cell, batch);
  };

  const later = (cell: string, batch: Batch, since: number): void => {
    if (batch.timer !== null) return;
    const wait = Math.max(firstWaitMs, batchIntervalMs - (now() - since));
    batch.timer = setTimeout(() => {
      batch.timer = null;
      const quiet = batch.pieces.length === 0 && batch.updates.size === 0;
      flush(cell, batch);
      if (running.has(cell)) return;
      // A timer of an ended cell still speaks: remember its rate for one more interval, then nothing.
      if (quiet) batches.delete(cell);
      else later(cell, batch, batch.sentAt);
    }, wait);
  };

  /** Streams and clears wait a little for more; much text does not. */
  const addPiece = (cell: string, batch: Batch): void => {
    if (batch.chars >= maxBatchChars) sendPieces(cell, batch);
    later(cell, batch, batch.sentAt);
  };

  return {
    originOf: (cell) => origins.get(cell) ?? null,

    open(origin) {
      const id = origin.header.msg_id ?? "";
      running.add(id);
      origins.delete(id);
      origins.set(id, origin);
      if (origins.size > maxOrigins) {
        const oldest = origins.keys().next().value;
        if (oldest !== undefined) origins.delete(oldest);
      }
    },

    hold(cell) {
      held.set(cell, []);
    },

    release,

    warn: (cell, text) => receive({ type: "stream", cell, name: "stderr", text }),

    receive(output) {
      const kept = held.get(output.cell);
      if (kept === undefined) receive(output);
      else kept.push(output);
    },

    close(cell) {
      release(cell);
      running.delete(cell);
      const batch = batches.get(cell);
      if (batch === undefined) return null;
      flush(cell, batch);
      batches.delete(cell);
      return batch.resultText;
    },
  };

  function release(cell: string): void {
    const kept = held.get(cell);
    held.delete(cell);
    for (const output of kept ?? []) receive(output);
  }

  function receive(output: CellOutput): void {
    const { cell } = output;
    const silent = origins.get(cell)?.silent === true;
    const parent = parentOf(cell);
    switch (output.type) {
      case "stream": {
        if (silent || output.text === "") return;
        const batch = batchOf(cell);
        dropCleared(batch);
        const last = batch.pieces.at(-1);
        if (last?.type === "stream" && last.name === output.name) last.texts.push(output.text);
        else batch.pieces.push({ type: "stream", name: output.name, texts: [output.text] });
        batch.chars += output.text.length;
        addPiece(cell, batch);
        return;
      }
      case "clear_output": {
        if (silent) return;
        const batch = batchOf(cell);
        if (!output.wait) batch.pieces = [];
        batch.pieces.push({ type: "clear", wait: output.wait });
        batch.clearing = true;
        addPiece(cell, batch);
        return;
      }
      case "update_display_data": {
        if (silent) return;
        const { data, metadata, transient } = output;
        const content = { data, metadata, transient };
        const id = transient.display_id;
        const extra = output.buffers === undefined ? {} : { buffers: output.buffers };
        const batch = batchOf(cell);
        if (id === undefined) {
          publisher.publish(parent, "update_display_data", content, extra);
          return;
        }
        // A display that changes faster than anyone can see shows its latest state: a progress bar may be
        // updated in every iteration.
        const since = batch.updatedAt.get(id) ?? Number.NEGATIVE_INFINITY;
        batch.updates.set(id, { content, buffers: output.buffers ?? [] });
        if (now() - since >= batchIntervalMs) sendUpdates(cell, batch);
        if (batch.updates.size > 0 || !running.has(cell)) later(cell, batch, since);
        return;
      }
      case "comm_open":
      case "comm_msg":
      case "comm_close": {
        const { type, commId, targetName, data, metadata, buffers } = output;
        const batch = batches.get(cell);
        if (batch !== undefined) flush(cell, batch);
        if (type !== "comm_msg") onComm(type, commId, targetName ?? "");
        const content = { comm_id: commId, data, ...(type === "comm_open" ? { target_name: targetName ?? "" } : {}) };
        publisher.publish(parent, type, content, { metadata, buffers });
        return;
      }
      case "display_data":
      case "execute_result":
      case "error": {
        if (silent) return;
        const batch = batchOf(cell);
        dropCleared(batch);
        flush(cell, batch);
        if (!running.has(cell)) later(cell, batch, now());
        if (output.type === "error") {
          const { ename, evalue, traceback } = output;
          publisher.publish(parent, "error", { ename, evalue, traceback });
        } else if (output.type === "execute_result") {
          const plain = output.data["text/plain"];
          if (typeof plain === "string") batch.resultText = plain;
          const { data, metadata, executionCount } = output;
          publisher.publish(parent, "execute_result", { data, metadata, execution_count: executionCount });
        } else {
          const { data, metadata, transient } = output;
          const extra = output.buffers === undefined ? {} : { buffers: output.buffers };
          publisher.publish(parent, "display_data", { data, metadata, transient }, extra);
        }
        return;
      }
    }
  }
}

/** What was to be cleared when the next output comes has never to be shown: the next output is here. */
function dropCleared(batch: Batch): void {
  if (!batch.clearing) return;
  batch.clearing = false;
  batch.pieces.splice(
    0,
    batch.pieces.findLastIndex((piece) => piece.type === "clear"),
  );
}

/** The same text in fewer messages: between two clears one piece for each stream, in the order in which the streams began. */
function joined(pieces: readonly Piece[]): Piece[] {
  const result: Piece[] = [];
  let streams = new Map<string, { readonly texts: string[] }>();
  for (const piece of pieces) {
    if (piece.type === "clear") {
      result.push(piece);
      streams = new Map();
      continue;
    }
    const stream = streams.get(piece.name);
    if (stream !== undefined) for (const text of piece.texts) stream.texts.push(text);
    else {
      const first: Piece = { type: "stream", name: piece.name, texts: [...piece.texts] };
      result.push(first);
      streams.set(piece.name, first);
    }
  }
  return result;
}
