// The child's way out: frames written with a blocking write to descriptor 3, so that output leaves while a cell computes and a
// cell that prints without end is slowed by its reader instead of filling memory. Consecutive stream text is joined.
// Not here: what the frames mean (../frames.ts says how they are laid out).

import { writeSync } from "node:fs";
import { encodeFrame, type Frame, OUTPUT_DESCRIPTOR } from "../frames.ts";

// User code may replace globals; these must go on working.
const now = performance.now.bind(performance);
const later = setTimeout;

/** Stream text is held back this long (ms) to be joined with what follows, and flushed at this many characters. */
const HOLD_MS = 8;
const FLUSH_MS = 40;
const FLUSH_LENGTH = 64 * 1024;
/** So many writes within `HOLD_MS` are not held back; a system call costs some microseconds. */
const PROMPT_WRITES = 64;

let pendingCell = "";
let pendingName: "stdout" | "stderr" = "stdout";
let pendingText = "";
let pendingSince = 0;
/** Writes that left at once since `windowStart`. */
let prompt = 0;
let windowStart = 0;
let timer = false;

function writeAll(bytes: Uint8Array, descriptor: number, from = 0, progress?: (offset: number) => void): void {
  let offset = from;
  while (offset < bytes.length) {
    try {
      offset += writeSync(descriptor, bytes, offset);
      progress?.(offset);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === "EAGAIN") Bun.sleepSync(0.5);
      else if (code === "EPIPE" || code === "EBADF") return;
      else if (code !== "EINTR") throw error;
    }
  }
}

/** The frame that is being written. An interrupt may stop the code below half-way: the next frame then first completes this one. */
let unsent: Uint8Array | null = null;
let unsentFrom = 0;

function completeFrame(): void {
  if (unsent === null) return;
  writeAll(unsent, OUTPUT_DESCRIPTOR, unsentFrom, (offset) => {
    unsentFrom = offset;
  });
  unsent = null;
}

/** A frame that waits for the next one. */
let held: Uint8Array | null = null;

/** Writes what is held, then these bytes: a frame, or (`isText`) the pending text's. */
function write(bytes: Uint8Array, isText = false): void {
  const all = held === null ? bytes : Buffer.concat([held, bytes]);
  completeFrame();
  // From here on the bytes are the unsent ones: no call stands between, so no interrupt does.
  if (isText) pendingText = "";
  held = null;
  unsentFrom = 0;
  unsent = all;
  completeFrame();
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Sends what is held back. */
export function flush(): void {
  flushText();
  if (held !== null) write(NO_BYTES);
}

function flushText(): void {
  if (pendingText === "") return;
  write(encodeFrame({ type: "stream", cell: pendingCell, name: pendingName, text: pendingText }), true);
}

function timedFlush(): void {
  timer = false;
  flush();
}

/** Adds text to a stream of a cell. */
export function writeStream(cell: string, name: "stdout" | "stderr", text: string): void {
  if (text === "") return;
  if (pendingText !== "" && (cell !== pendingCell || name !== pendingName)) flush();
  if (pendingText === "") {
    pendingCell = cell;
    pendingName = name;
    pendingSince = now();
    if (!timer) {
      timer = true;
      // The event loop must not be kept alive, nor the calling cell's context entered, by this.
      later(timedFlush, HOLD_MS);
    }
  }
  pendingText += text;
  // Text leaves at once while there is little of it: a synchronous loop may follow, during which no timer fires.
  if (pendingSince - windowStart > HOLD_MS) {
    windowStart = pendingSince;
    prompt = 0;
  }
  if (++prompt <= PROMPT_WRITES || pendingText.length >= FLUSH_LENGTH || now() - pendingSince > FLUSH_MS) flush();
}

/** Sends one frame, after all text before it. */
export function send(frame: Frame): void {
  flushText();
  write(encodeFrame(frame));
}

/** Like `send`, but the frame leaves with what follows it, by one system call, which wakes the reader once: for what follows at once. */
export function sendWithNext(frame: Frame): void {
  flush();
  held = encodeFrame(frame);
}

/** Writes the end-of-cell mark to both native streams. */
export function writeMarks(mark: string): void {
  const bytes = new TextEncoder().encode(mark);
  writeAll(bytes, 1);
  writeAll(bytes, 2);
}
