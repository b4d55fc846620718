// A tokenizer as the toolkit needs it: a thin wrapper of `@huggingface/tokenizers` over one `tokenizer.json`. What it
// adds is checking, truncation that keeps the end token, flat typed arrays, and caches that change no id (word-cache.ts).
// It is not a tokenizer of its own: every id comes from the library.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { rememberWords, splitsOnSpaces, type WordModel } from "./word-cache.ts";

/** A tokenizer file that cannot be read or understood; the message says what was expected, what came and what to do. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError";
}

/** Token ids of many texts: those of text i are `tokens.subarray(offsets[i], offsets[i + 1])`. */
export interface TokenRows {
  /** [sum of lengths] */
  readonly tokens: Int32Array;
  /** [N + 1] */
  readonly offsets: Int32Array;
  /** How many texts were cut to `maxLength`. */
  readonly truncated: number;
}

export interface EncodeOptions {
  /** Longest row in tokens, the end token included; longer rows are cut before the end token. */
  readonly maxLength?: number;
  /** `</s>` at the end and whatever else the file's template says; default true. */
  readonly addSpecialTokens?: boolean;
}

export interface Tokenizer {
  /** SHA-256 of the file's bytes: names the tokenizer in caches and results. */
  readonly fingerprint: string;
  /** The `tokenizer.json` it was read from; workers read it again. */
  readonly path: string;
  readonly vocabularySize: number;
  readonly padId: number;
  readonly endId: number;
  readonly unknownId: number | null;
  /** Ids of one text. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  encodeBatch(texts: readonly string[], options?: EncodeOptions): TokenRows;
  /** @throws TokenizerError where an id is outside the vocabulary. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
  /** Ids of a token's text, or null where the vocabulary lacks it. */
  tokenToId(token: string): number | null;
}

/**
 * Reads a tokenizer from a folder that holds `tokenizer.json`, or from such a file.
 * @throws TokenizerError where there is none, or where it is not a tokenizer.
 */
export async function loadTokenizer(folderOrFile: string): Promise<Tokenizer> {
  const info = await stat(folderOrFile).catch(() => null);
  const path = info?.isDirectory() ? join(folderOrFile, "tokenizer.json") : folderOrFile;
  const file = Bun.file(path);
  if (!(await file.exists())) {
    throw new TokenizerError(
      info === null
        ? `No tokenizer at ${folderOrFile}: expected a folder that holds tokenizer.json, or such a file.`
        : `${folderOrFile} holds no tokenizer.json. Export it with transformers' fast tokenizer (save_pretrained), or name the file itself.`,
    );
  }
  return tokenizerFromBytes(new Uint8Array(await file.arrayBuffer()), path);
}

/** The tokenizer in the bytes of a `tokenizer.json`; `path` is for messages and workers. */
export function tokenizerFromBytes(bytes: Uint8Array, path: string): Tokenizer {
  const json = parse(bytes, path);
  let hub: HubTokenizer;
  try {
    hub = new HubTokenizer(json, {});
  } catch (cause) {
    throw new TokenizerError(
      `${path} is JSON but not a tokenizer that can be read here: ${messageOf(cause)}. Expected the tokenizer.json of a fast tokenizer.`,
      { cause },
    );
  }
  const vocabularySize = sizeOf(hub);
  if (hub.model === null || vocabularySize === 0)
    throw new TokenizerError(`${path} holds no vocabulary: its "model" has no entries.`);
  // The library's types hide the model's `encode`; the memo needs nothing else of it.
  const model = hub.model as unknown as WordModel;
  const words = rememberWords(model);
  const idOf = (token: string): number | null => {
    const id = hub.token_to_id(token);
    return id === undefined ? null : id;
  };
  const endId = firstId(idOf, ["</s>", "<|endoftext|>", "[SEP]", "<eos>"]);
  const padId = firstId(idOf, ["<pad>", "[PAD]", "<|endoftext|>"]) ?? endId;
  if (padId === null || endId === null)
    throw new TokenizerError(
      `${path} has neither a padding nor an end token among <pad>, </s>, <|endoftext|>, [PAD], [SEP].`,
    );
  const special = specialIds(hub);
  const unknownId = hub.model.unk_token_id ?? null;
  const encodeWithLibrary = (text: string, addSpecialTokens: boolean): number[] => {
    // The library's Unicode lookups fail on a lone surrogate; UTF-8 has no such thing, so it becomes U+FFFD as in Python.
    const wellFormed = text.isWellFormed() ? text : text.toWellFormed();
    return hub.encode(wellFormed, { add_special_tokens: addSpecialTokens }).ids;
  };
  const suffix = encodeWithLibrary("", true);
  const bySpaces = splitsOnSpaces(json) && suffix.length <= 1 ? words.textEncoder(unknownId, encodeWithLibrary) : null;
  const encodeText = (text: string, addSpecialTokens: boolean): number[] => {
    const ids = bySpaces?.(text);
    if (!ids) return encodeWithLibrary(text, addSpecialTokens);
    if (addSpecialTokens) ids.push(...suffix);
    return ids;
  };

  function encodeBatch(texts: readonly string[], options: EncodeOptions = {}): TokenRows {
    const { maxLength = Number.POSITIVE_INFINITY, addSpecialTokens = true } = options;
    checkLength(maxLength);
    let tokens = new Int32Array(Math.max(64, texts.length * 32));
    const offsets = new Int32Array(texts.length + 1);
    let length = 0;
    let truncated = 0;
    for (let i = 0; i < texts.length; i++) {
      const ids = encodeText(texts[i]!, addSpecialTokens);
      if (ids.length > maxLength) {
        truncated++;
        cut(ids, maxLength, addSpecialTokens ? suffix : []);
      }
      if (length + ids.length > tokens.length) {
        const larger = new Int32Array(Math.max(tokens.length * 2, length + ids.length));
        larger.set(tokens);
        tokens = larger;
      }
      tokens.set(ids, length);
      length += ids.length;
      offsets[i + 1] = length;
    }
    return { tokens: tokens.slice(0, length), offsets, truncated };
  }

  return {
    fingerprint: new Bun.CryptoHasher("sha256").update(bytes).digest("hex"),
    path,
    vocabularySize,
    padId,
    endId,
    unknownId,
    encode: (text, options) => encodeBatch([text], options).tokens,
    encodeBatch,
    decode(ids, { skipSpecialTokens = true } = {}) {
      const kept: number[] = [];
      for (let i = 0; i < ids.length; i++) {
        const id = ids[i]!;
        if (!Number.isInteger(id) || id < 0 || id >= vocabularySize)
          throw new TokenizerError(
            `Token id ${id} at position ${i} is outside the vocabulary of ${vocabularySize} entries (${path}).`,
          );
        if (!skipSpecialTokens || !special.has(id)) kept.push(id);
      }
      // The library would by default also take the space in front of "." and "n't" away, which the text may have had.
      const options = { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false };
      return kept.length === 0 ? "" : hub.decode(kept, options);
    },
    tokenToId: idOf,
  };
}

function parse(bytes: Uint8Array, path: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TokenizerError(`${path} is not JSON: ${messageOf(cause)}. Expected a tokenizer.json.`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json) || !("model" in json))
    throw new TokenizerError(
      `${path} is JSON without a "model": expected a tokenizer.json, not for example tokenizer_config.json.`,
    );
  return json as Record<string, unknown>;
}

/** One more than the largest id, added tokens included. */
function sizeOf(hub: HubTokenizer): number {
  let size = 0;
  for (const id of hub.get_vocab(true).values()) size = Math.max(size, id + 1);
  return size;
}

function specialIds(hub: HubTokenizer): ReadonlySet<number> {
  const ids = new Set<number>();
  for (const [id, token] of hub.get_added_tokens_decoder()) if (token.special) ids.add(id);
  return ids;
}

function firstId(idOf: (token: string) => number | null, tokens: readonly string[]): number | null {
  for (const token of tokens) {
    const id = idOf(token);
    if (id !== null) return id;
  }
  return null;
}

function checkLength(maxLength: number): void {
  if (maxLength !== Number.POSITIVE_INFINITY && !(Number.isInteger(maxLength) && maxLength >= 1))
    throw new TokenizerError(`maxLength must be a whole number of at least 1, not ${maxLength}.`);
}

/** Cuts in place to `maxLength`, the special tokens at the end kept (as Python's tokenizers truncate). */
function cut(ids: number[], maxLength: number, suffix: readonly number[]): void {
  const kept = Math.max(0, maxLength - suffix.length);
  ids.length = kept;
  ids.push(...suffix.slice(0, maxLength - kept));
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
