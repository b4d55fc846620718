// Encoding many texts on several threads: chunks go to workers, which read the same tokenizer.json, and come back in
// order. Small jobs and single-core machines stay on the calling thread.
import { availableParallelism } from "node:os";
import type { Tokenizer, TokenRows } from "#toolkit/tokenizers/index.ts";
import { DataError, messageOf } from "./errors.ts";
import type { PoolReply, PoolRequest } from "./tokenizer-worker.ts";

export interface PoolOptions {
  readonly maxLength: number;
  /** Worker threads; 0: only this thread. */
  readonly workers?: number | undefined;
  readonly onProgress?: (encoded: number) => void;
}

/** Texts per message: some tens of milliseconds of work. */
const chunk = 2048;
/**
 * Characters below which no worker is started: reading a large vocabulary and meeting every word anew costs a worker
 * about a second, in which the calling thread alone encodes some five million characters.
 */
const smallest = 20_000_000;

/** Ids of `count` texts. @throws DataError where a worker cannot read the tokenizer. */
export async function encodeInWorkers(
  tokenizer: Tokenizer,
  count: number,
  texts: Iterable<string>,
  options: PoolOptions,
): Promise<TokenRows> {
  const chunks = chunked(texts);
  // The first chunk tells how long the texts are.
  const first = chunks.next();
  let waiting: string[] | null = first.done ? null : first.value;
  const perText = (waiting ?? []).reduce((sum, text) => sum + text.length, 0) / Math.max(1, waiting?.length ?? 0);
  const wanted = options.workers ?? (count * perText < smallest ? 0 : Math.min(16, availableParallelism()) - 1);
  const results: TokenRows[] = [];
  let encoded = 0;
  const done = (index: number, rows: TokenRows): void => {
    results[index] = rows;
    encoded += rows.offsets.length - 1;
    options.onProgress?.(encoded);
  };
  let index = 0;
  const next = (): { index: number; texts: string[] } | null => {
    const held = waiting;
    waiting = null;
    if (held) return { index: index++, texts: held };
    const { value, done: ended } = chunks.next();
    return ended ? null : { index: index++, texts: value };
  };
  const workers = Array.from({ length: Math.max(0, wanted) }, () => startWorker(tokenizer));
  try {
    const lanes: Promise<void>[] = workers.map(async (worker) => {
      await worker.ready;
      for (let job = next(); job !== null; job = next())
        done(job.index, await worker.encode({ texts: job.texts, maxLength: options.maxLength }));
    });
    // This thread works too, a chunk at a time, so that messages of the workers get through.
    lanes.push(
      (async (): Promise<void> => {
        for (let job = next(); job !== null; job = next()) {
          done(job.index, tokenizer.encodeBatch(job.texts, { maxLength: options.maxLength }));
          await new Promise((resolve) => setImmediate(resolve));
        }
      })(),
    );
    await Promise.all(lanes);
  } finally {
    for (const worker of workers) worker.stop();
  }
  return joined(results);
}

function* chunked(texts: Iterable<string>): Generator<string[]> {
  let part: string[] = [];
  for (const text of texts) {
    part.push(text);
    if (part.length === chunk) {
      yield part;
      part = [];
    }
  }
  if (part.length > 0) yield part;
}

interface PoolWorker {
  readonly ready: Promise<void>;
  encode(request: PoolRequest): Promise<TokenRows>;
  stop(): void;
}

function startWorker(tokenizer: Tokenizer): PoolWorker {
  const worker = new Worker(new URL("./tokenizer-worker.ts", import.meta.url).href);
  let settle: { resolve(rows: TokenRows | null): void; reject(error: Error): void };
  const answer = (): Promise<TokenRows | null> =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
  const ready = answer();
  worker.onmessage = ({ data }: MessageEvent<PoolReply>) => {
    if ("error" in data) settle.reject(new DataError(`A tokenizer worker failed: ${data.error}`));
    else settle.resolve("rows" in data ? data.rows : null);
  };
  worker.onerror = (event) => settle.reject(new DataError(`A tokenizer worker failed: ${messageOf(event.message)}`));
  worker.postMessage({ path: tokenizer.path, fingerprint: tokenizer.fingerprint } satisfies PoolRequest);
  return {
    ready: ready.then(() => undefined),
    async encode(request) {
      const reply = answer();
      worker.postMessage(request);
      return (await reply)!;
    },
    stop: () => worker.terminate(),
  };
}

function joined(parts: readonly TokenRows[]): TokenRows {
  const texts = parts.reduce((sum, part) => sum + part.offsets.length - 1, 0);
  const length = parts.reduce((sum, part) => sum + part.tokens.length, 0);
  const tokens = new Int32Array(length);
  const offsets = new Int32Array(texts + 1);
  let at = 0;
  let row = 0;
  let truncated = 0;
  for (const part of parts) {
    tokens.set(part.tokens, at);
    for (let i = 1; i < part.offsets.length; i++) offsets[++row] = at + part.offsets[i]!;
    at += part.tokens.length;
    truncated += part.truncated;
  }
  return { tokens, offsets, truncated };
}
