// A worker thread of tokenizer-pool.ts: reads the tokenizer named first, then answers each list of texts with its ids.
import { loadTokenizer, type Tokenizer, type TokenRows } from "#toolkit/tokenizers/index.ts";

export type PoolRequest =
  | { readonly path: string; readonly fingerprint: string }
  | { readonly texts: readonly string[]; readonly maxLength: number };

export type PoolReply = { readonly ready: true } | { readonly rows: TokenRows } | { readonly error: string };

declare const self: Worker;

let tokenizer: Tokenizer;

self.onmessage = async ({ data }: MessageEvent<PoolRequest>): Promise<void> => {
  try {
    if ("path" in data) {
      tokenizer = await loadTokenizer(data.path);
      if (tokenizer.fingerprint !== data.fingerprint)
        throw new Error(`${data.path} changed while it was in use; start again.`);
      answer({ ready: true });
    } else {
      const rows = tokenizer.encodeBatch(data.texts, { maxLength: data.maxLength });
      answer({ rows }, [rows.tokens.buffer as ArrayBuffer, rows.offsets.buffer as ArrayBuffer]);
    }
  } catch (error) {
    answer({ error: error instanceof Error ? error.message : String(error) });
  }
};

function answer(reply: PoolReply, transfer: ArrayBuffer[] = []): void {
  self.postMessage(reply, transfer);
}
