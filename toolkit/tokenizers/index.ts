// The tokenizers' public names.
export {
  type EncodeOptions,
  loadTokenizer,
  type Tokenizer,
  TokenizerError,
  type TokenRows,
  tokenizerFromBytes,
} from "./tokenizer.ts";
