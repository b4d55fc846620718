// The HMAC that proves a message comes from someone who has read the connection file. Digests only; which bytes are
// signed is the envelope's business.

export interface Signer {
  /** The digest of these parts, as lower-case hexadecimal digits in ASCII; empty where the key is empty (unsigned). */
  sign(parts: readonly Uint8Array[]): Uint8Array;
  /** Whether `signature` is that of the parts. It takes the same time wherever the first difference lies. */
  verify(signature: Uint8Array, parts: readonly Uint8Array[]): boolean;
  /** False where the connection file has an empty key: then everything is accepted, as the protocol says. */
  readonly active: boolean;
}

/** What may stand behind `hmac-` in `signature_scheme` (Python's names, with `-` or `_`). */
export type Digest = "sha256" | "sha224" | "sha384" | "sha512" | "sha1" | "md5" | "sha3-256" | "sha3-512";

export const digests: readonly Digest[] = [
  "sha256",
  "sha224",
  "sha384",
  "sha512",
  "sha1",
  "md5",
  "sha3-256",
  "sha3-512",
];

export function createSigner(key: string, digest: Digest): Signer {
  if (key === "") return { active: false, sign: () => new Uint8Array(0), verify: () => true };
  const ascii = new TextEncoder();
  // Bun's hasher and not node:crypto, whose import alone costs as long as Bun's own start.
  const keyed = new Bun.CryptoHasher(digest, key);
  const sign = (parts: readonly Uint8Array[]): Uint8Array => {
    const hasher = keyed.copy();
    for (const part of parts) hasher.update(part as Uint8Array<ArrayBuffer>);
    return ascii.encode(hasher.digest("hex"));
  };
  return {
    active: true,
    sign,
    verify(signature, parts) {
      const expected = sign(parts);
      if (signature.length !== expected.length) return false;
      let difference = 0;
      for (let i = 0; i < expected.length; i++) difference |= expected[i]! ^ signature[i]!;
      return difference === 0;
    },
  };
}
