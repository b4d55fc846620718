// Opens oneDNN and gives XLA's CPU programs a target that computes their matrix products with it (products.c). Where any
// part of that is missing (no library, an XLA that does not let a target be registered, no C compiler in this Bun) the
// answer says which, and programs keep XLA's own products. Knows nothing of tensors.
import { cc, dlopen, type Pointer } from "bun:ffi";
import { fileURLToPath } from "node:url";
import { NativeLibraryError } from "../../errors.ts";
import { checkLibraryFile } from "../../native/elf.ts";
import type { CalledProducts } from "../../stablehlo/builder.ts";
import type { OnednnDiscovery } from "./discover.ts";

/** Name that programs call it by. It holds a version: programs are kept over processes, and their calls with them. */
const target = "bunsen_product_3";

/** xla::ffi::GetXlaFfiApi(), which gives XLA's C API for foreign functions. */
const apiName = "_ZN3xla3ffi12GetXlaFfiApiEv";

/** What `start` and `enlist` of products.c return. */
const reasons: readonly string[] = [
  "",
  "it, or a library that it needs (libgomp.so.1), cannot be loaded",
  "it lacks a function of oneDNN 3's C API",
  "it is not oneDNN 3",
  "it was built for threads other than OpenMP's; the wheel onednn-cpu-gomp has those",
  "it finds no processor to compute on",
  "XLA's foreign functions are not those that TensorFlow has since 2.20 (pip install -U tensorflow-cpu)",
];

const symbols = {
  start: { args: ["ptr", "i32"], returns: "i32" },
  version_of: { args: ["i32"], returns: "i32" },
  has_softmax: { args: [], returns: "i32" },
  has_narrow_code: { args: [], returns: "i32" },
  slow_products: { args: [], returns: "i64" },
  cut_products: { args: [], returns: "i64" },
  multiply_once: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr", "u64", "i32"], returns: "void" },
  enlist: { args: ["ptr", "u64", "ptr"], returns: "i32" },
} as const;

/** Ways to compute a product, as products.c numbers them. */
const ways = ["as a program", "by loops", "widened"] as const;

/** oneDNN, ready to be called by programs. */
export interface Onednn {
  readonly version: string;
  readonly products: CalledProducts;
  /** Whether products of bf16 are computed as such; otherwise they are widened to f32 first. */
  readonly hasBf16: boolean;
  /** How many descriptions were met that are computed by loops or by reference code. */
  slowProducts(): number;
  /** How many descriptions were met whose products two threads share piece by piece. */
  cutProducts(): number;
  /** Computes one product of row-major arrays, as a program would or in one of its ways, with what it says to add. */
  multiply(
    description: string,
    left: NodeJS.TypedArray,
    right: NodeJS.TypedArray,
    out: NodeJS.TypedArray,
    how?: (typeof ways)[number],
    added?: readonly Float32Array[],
  ): void;
}

let opened: { readonly path: string; readonly onednn: Onednn } | undefined;

/**
 * Starts it for programs of `tensorflow`, a libtensorflow that is open. Null where none was found.
 * @throws NativeLibraryError saying why a library that was found cannot be used.
 */
export function startOnednn({ path, looked }: OnednnDiscovery, tensorflow: string, threads: number): Onednn | null {
  if (path === undefined) {
    const named = looked.find(({ because }) => because === "BUNSEN_ONEDNN");
    if (named === undefined) return null;
    throw new NativeLibraryError(
      `BUNSEN_ONEDNN names ${named.path}, where no oneDNN is; expected a libdnnl.so.3, its folder, or off`,
    );
  }
  if (opened?.path === path) return opened.onednn;
  const refuse = (reason: string, cause?: unknown): NativeLibraryError =>
    new NativeLibraryError(
      `${path} cannot compute products as oneDNN: ${reason}. Expected the library of the wheel onednn-cpu-gomp; reinstall it (pip install onednn-cpu-gomp), or set BUNSEN_ONEDNN=off`,
      { cause },
    );
  checkLibraryFile(path);
  const api = foreignFunctions(tensorflow);
  if (api === null) throw refuse(`${tensorflow} does not let a product be registered`);
  let c: ReturnType<typeof cc<typeof symbols>>["symbols"];
  try {
    // Never closed: XLA's programs call into it as long as the process lives, whichever JavaScript thread made it.
    c = cc({ source: fileURLToPath(new URL("./products.c", import.meta.url)), symbols }).symbols;
  } catch (cause) {
    throw refuse(`products.c could not be compiled (${cause instanceof Error ? cause.message : cause})`, cause);
  }
  // The registry keeps a copy of the name.
  const name = Buffer.from(target);
  const code = c.start(Buffer.from(`${path}\0`), threads) || c.enlist(name, BigInt(name.length), api);
  if (code !== 0) throw refuse(reasons[code] ?? `its start failed with ${code}`);
  const onednn: Onednn = {
    version: [0, 1, 2].map((part) => c.version_of(part)).join("."),
    products: { target, elements: ["f32", "bf16"], softmax: c.has_softmax() !== 0 },
    hasBf16: c.has_narrow_code() !== 0,
    slowProducts: () => Number(c.slow_products()),
    cutProducts: () => Number(c.cut_products()),
    multiply(description, left, right, out, how = "as a program", added = []) {
      const key = Buffer.from(description);
      const [first, second] = [added[0] ?? null, added[1] ?? null];
      c.multiply_once(out, left, right, first, second, key, BigInt(key.length), ways.indexOf(how));
    },
  };
  opened = { path, onednn };
  return onednn;
}

/** Null where this libtensorflow does not export it. */
function foreignFunctions(tensorflow: string): Pointer | null {
  try {
    return dlopen(tensorflow, { [apiName]: { args: [], returns: "ptr" } }).symbols[apiName]!() as Pointer;
  } catch {
    return null;
  }
}
