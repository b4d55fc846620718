// Caches that make tokenizing text several times faster and change no id: words repeat (SST-2: 14,000 distinct words in
// 67,000 sentences), and a word's pieces do not depend on its neighbours. Not a tokenizer: each word's pieces are the
// library's own. test/toolkit/tokenizers holds both paths equal on every real sentence at hand and on random text.

/** The part of the library's model that is memoised. */
export interface WordModel {
  encode(words: string[]): string[];
}

export interface WordCache {
  /** An encoder of plain text, or of nothing (undefined) where only the library can tell. */
  textEncoder(
    unknownId: number | null,
    encode: (text: string, addSpecialTokens: boolean) => number[],
  ): (text: string) => number[] | undefined;
}

/** Words kept before the cache starts anew: bounds memory at some tens of MB whatever the text. */
const capacity = 200_000;
/** Longer "words" are data, not language: not worth a place. */
const longestWord = 64;

/** Makes the model remember each word's pieces; fusing of unknown pieces across words stays the library's. */
export function rememberWords(model: WordModel): WordCache {
  const encode = model.encode.bind(model);
  const memo = new Map<string, readonly string[]>();
  model.encode = (words) => {
    const pieces: string[] = [];
    for (const word of words) {
      let known = memo.get(word);
      if (known === undefined) {
        known = encode([word]);
        if (word.length <= longestWord) {
          if (memo.size >= capacity) memo.clear();
          memo.set(word, known);
        }
      }
      for (const piece of known) pieces.push(piece);
    }
    return pieces;
  };
  return { textEncoder: wordByWord };
}

/**
 * Whether a tokenizer.json cuts plain text at spaces before all else, so that the ids of "a b" are those of "a" and "b":
 * the T5 family's (WhitespaceSplit, then Metaspace; Unigram; a template that only appends).
 */
export function splitsOnSpaces(json: Readonly<Record<string, unknown>>): boolean {
  const model = json.model as { type?: unknown } | null;
  const pre = json.pre_tokenizer as { type?: unknown; pretokenizers?: unknown } | null;
  const normalizer = json.normalizer as { type?: unknown } | null;
  const post = json.post_processor as { type?: unknown; single?: unknown } | null;
  if (model?.type !== "Unigram" || pre?.type !== "Sequence" || !Array.isArray(pre.pretokenizers)) return false;
  const [split, metaspace, ...others] = pre.pretokenizers as { type?: unknown; [key: string]: unknown }[];
  const prefixes = metaspace?.add_prefix_space ?? metaspace?.prepend_scheme === "always";
  if (split?.type !== "WhitespaceSplit" || metaspace?.type !== "Metaspace" || prefixes !== true || others.length > 0)
    return false;
  // Unicode's composition leaves printable ASCII as it is, and so does SentencePiece's precompiled map (NMT NFKC).
  if (normalizer !== null && !["Precompiled", "NFKC", "NFC"].includes(String(normalizer?.type))) return false;
  if (post === null) return true;
  return post?.type === "TemplateProcessing" && Array.isArray(post.single) && "Sequence" in (post.single[0] as object);
}

function wordByWord(
  unknownId: number | null,
  encode: (text: string, addSpecialTokens: boolean) => number[],
): (text: string) => number[] | undefined {
  const memo = new Map<string, readonly number[] | null>();
  return (text) => {
    const ids: number[] = [];
    let start = 0;
    for (let i = 0; i <= text.length; i++) {
      const code = i === text.length ? 0x20 : text.charCodeAt(i);
      // Outside printable ASCII the normaliser may act; "<" may begin an added token such as <extra_id_0>.
      if (code < 0x20 || code > 0x7e || code === 0x3c) return undefined;
      if (code !== 0x20) continue;
      if (i > start) {
        const word = text.slice(start, i);
        let known = memo.get(word);
        if (known === undefined) {
          const own = encode(word, false);
          // Neighbouring unknown pieces fuse into one across words: only the library can tell.
          known = unknownId !== null && own.includes(unknownId) ? null : own;
          if (word.length <= longestWord) {
            if (memo.size >= capacity) memo.clear();
            memo.set(word, known);
          }
        }
        if (known === null) return undefined;
        for (const id of known) ids.push(id);
      }
      start = i + 1;
    }
    return ids;
  };
}
