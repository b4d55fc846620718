// Writes one StableHLO function as text: values, operations, and what every lowering needs (broadcast, convert, dot,
// reduce, gather). Equal operations are written once, unused ones not at all. Knows nothing of tfjs; the kernels that
// use it are in kernels/. Spec: openxla.org/stablehlo/spec.
import type { Precision } from "../contract.ts";
import { callOf, layoutText, plainView, reshapedView, turnedView, type View } from "./called-products.ts";
import { broadcastPlaces, type Fused, type FusedGraph, type Softmax, softmaxOf } from "./fused-products.ts";
import { type Product, productsToMerge } from "./merged-products.ts";
import { type Cut, cutIntoParts, type Parts, type Operation as Written } from "./parts.ts";

export type Element = "f32" | "bf16" | "i32" | "ui32" | "ui16" | "i1";

/** An SSA value. `narrow` is the same value as bf16, where it was stored so: dots and gathers read that instead. */
export interface Value {
  readonly name: string;
  readonly shape: readonly number[];
  readonly element: Element;
  readonly narrow?: Value;
}

export interface Argument {
  readonly value: Value;
  /** Position as it was declared. */
  readonly index: number;
}

/** A finished function: the text, which declared arguments it takes (in order), and the types of its results. */
export interface Program {
  readonly text: string;
  /** The text with these argument positions marked as reusable for results of the same type. */
  render(donated?: readonly number[]): string;
  readonly arguments: readonly Argument[];
  readonly results: readonly Value[];
  /** The same as programs that are run one after the other, where layers repeat (parts.ts). */
  readonly parts: Parts | undefined;
  /** Of the arguments, the integer that lets called products be left out, where it is not 0. */
  readonly rehearsal: Value | undefined;
  /** Multiply–add operations of all dots and convolutions, times two. */
  readonly flops: number;
}

interface Operation extends Written {
  readonly flops: number;
  readonly shape: readonly number[];
}

export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, dimension) => product * dimension, 1);
export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((dimension, index) => dimension === b[index]);
export const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);

export const typeText = (value: { readonly shape: readonly number[]; readonly element: Element }): string =>
  `tensor<${value.shape.map((dimension) => `${dimension}x`).join("")}${value.element}>`;

const elementBytes: Readonly<Record<Element, number>> = { f32: 4, bf16: 2, i32: 4, ui32: 4, ui16: 2, i1: 1 };

export const bytesOf = (value: { readonly shape: readonly number[]; readonly element: Element }): number =>
  sizeOf(value.shape) * elementBytes[value.element];

/** From here on a sum in one go would lose digits: each number is rounded to the last digit of the sum so far. */
const longSum = 2 ** 12;

/** Multiplications of one product of a batch up to which it is not written as a product (8 target positions, heads of 64). */
const tinyProduct = 2 ** 12;

/** Numbers of a loop from which on its speed matters. */
const longLoop = 2 ** 14;

/** Numbers of scores from which on their softmax is worth being part of a product. */
const longSoftmax = 2 ** 18;

/** Operations whose numbers are each made of those at the same place. */
const elementwise =
  /^stablehlo\.(add|subtract|multiply|divide|maximum|minimum|select|exponential|negate|convert|bitcast_convert|shift_left|tanh|logistic) /;

const floatBits = new DataView(new ArrayBuffer(4));

/** A literal as MLIR reads it; floats as bit patterns, so that nothing is rounded on the way. */
function literal(value: number, element: Element): string {
  if (element === "i1") return value ? "true" : "false";
  if (element === "i32") return String(value | 0);
  if (element === "ui32") return String(value >>> 0);
  floatBits.setFloat32(0, value);
  const bits = floatBits.getUint32(0);
  const hex = element === "f32" ? bits.toString(16).padStart(8, "0") : (bits >>> 16).toString(16).padStart(4, "0");
  return `0x${hex.toUpperCase()}`;
}

/** Whether all elements are the same bits. tfjs makes zeros of a weight's size on the host, so this is one memcmp. */
export function isSplat(values: ArrayLike<number>): boolean {
  if (ArrayBuffer.isView(values)) {
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    const size = values.byteLength / Math.max(1, values.length);
    return values.length < 2 || bytes.compare(bytes, size, bytes.length, 0, bytes.length - size) === 0;
  }
  for (let i = 1; i < values.length; i++) if (!Object.is(values[i], values[0])) return false;
  return true;
}

/** Calls that are written together at the end, see `defer`. */
interface Group {
  readonly operands: Value[];
  readonly results: Value[];
  /** What `write` reads besides the operands. */
  readonly reads: readonly Value[];
  readonly write: (operands: readonly Value[]) => Value;
}

/** Where a value came from that is one row of a larger one. */
interface Row {
  readonly of: Value;
  readonly index: number;
}

/** A library that computes products when a compiled program calls it. */
export interface CalledProducts {
  /** Name of the custom call's target; it reads the descriptions of called-products.ts. */
  readonly target: string;
  readonly elements: readonly Element[];
  /** Whether products of bf16 take sums and a softmax of their rows, see `Fused`. */
  readonly softmax?: boolean;
}

export interface BuilderOptions {
  /** Products with two or more batch dimensions are written with one: XLA on a CPU runs these sooner, and in bf16 at all. */
  readonly mergedBatches?: boolean;
  /** Products are calls of a library (called-products.ts): which of its operand types it is fast with, and the target's name. */
  readonly calledProducts?: CalledProducts | undefined;
  /** Products of bf16 are written in f32, of operands that are rounded to bf16: for a compiler that has none. */
  readonly wideProducts?: boolean;
  /** Sums of many numbers are written as sums of windows, for engines whose compiler is told not to (xlaFlags). */
  readonly windowedSums?: boolean;
  /** Cuts programs into parts, see `Cut`; none where not given. */
  readonly cut?: Cut | undefined;
  /** Keeps the names of a region's builder apart from those around it. */
  readonly prefix?: string;
}

export class Builder {
  readonly precision: Precision;
  /** Whether products of several batch dimensions are written with one, see `BuilderOptions`. */
  readonly mergesBatches: boolean;
  readonly #called: CalledProducts | undefined;
  readonly #windowedSums: boolean;
  readonly #wideProducts: boolean;
  readonly #cut: Cut | undefined;
  readonly #prefix: string;
  readonly #groups = new Map<string, Group>();
  readonly #groupOf = new Map<string, string>();
  readonly #operations = new Map<string, Operation>();
  readonly #known = new Map<string, Value>();
  readonly #arguments: Argument[] = [];
  /** Values of arguments that the program brings itself, by position. */
  readonly #brought = new Map<number, Int32Array>();
  /** What a reshape was made of, by the name of its result. */
  readonly #reshaped = new Map<string, Value>();
  /** What a transpose turned, by the name of its result. */
  readonly #turned = new Map<string, { readonly of: Value; readonly permutation: readonly number[] }>();
  /** What was converted to bf16, by the name of its result. */
  readonly #narrowed = new Map<string, Value>();
  /** Values that a reduction reads, so that they are written to memory. */
  readonly #reduced = new Set<string>();
  /** Of a large value that is written to memory: the first product that reads it or what was made of it. */
  readonly #reader = new Map<string, Product>();
  readonly #rows = new Map<string, Row>();
  readonly #products = new Map<string, Product>();
  readonly #sums = new Set<string>();
  readonly #softmaxes: Softmax[] = [];
  /** Values each of whose rows sums to 1. */
  readonly #unitRows = new Set<string>();
  /** What calls give that do more than multiply. */
  readonly #fused = new Set<string>();
  /** Scalar arguments 0, 1, 2, … by number. */
  readonly #numbers: Value[] = [];
  /** See `Program`. */
  #rehearsal: Value | undefined;
  #next = 0;

  constructor(precision: Precision = "f32", options: BuilderOptions = {}) {
    this.precision = precision;
    this.mergesBatches = options.mergedBatches ?? false;
    this.#called = options.calledProducts;
    this.#windowedSums = options.windowedSums ?? false;
    this.#wideProducts = options.wideProducts ?? false;
    this.#cut = options.cut;
    this.#prefix = options.prefix ?? "%";
  }

  argument(shape: readonly number[], element: Element): Value {
    const index = this.#arguments.length;
    const value: Value = { name: `${this.#prefix}arg${index}`, shape, element };
    this.#arguments.push({ value, index });
    return value;
  }

  /** The values of an argument that the builder itself declared; whoever calls the program passes them. */
  brought(argument: Argument): Int32Array | undefined {
    return this.#brought.get(argument.index);
  }

  /** An integer that the compiler cannot see through: an argument of the program. */
  #number(value: number): Value {
    while (this.#numbers.length <= value) this.#numbers.push(this.#bring(this.#numbers.length));
    return this.#numbers[value]!;
  }

  #bring(value: number): Value {
    const argument = this.argument([], "i32");
    this.#brought.set(this.#arguments.length - 1, Int32Array.of(value));
    return argument;
  }

  /** One operation with one result. `text` is everything after `=`; operands are named for dead-code removal. */
  emit(
    text: string,
    operands: readonly Value[],
    shape: readonly number[],
    element: Element,
    flops = 0,
    results = 1,
  ): Value {
    const known = this.#known.get(text);
    if (known) return known;
    const value: Value = { name: `${this.#prefix}${this.#next++}`, shape, element };
    this.#operations.set(value.name, { text, operands, flops, results, shape });
    this.#known.set(text, value);
    return value;
  }

  /** One operation with several results, of the shapes and elements given. */
  emitMany(
    text: string,
    operands: readonly Value[],
    results: readonly { readonly shape: readonly number[]; readonly element: Element }[],
  ): Value[] {
    const first = this.emit(text, operands, [], "i1", 0, results.length);
    return results.map(({ shape, element }, index) => ({ name: `${first.name}#${index}`, shape, element }));
  }

  /**
   * A call that is written together with all others of its group: `write` gets the operands of every call and gives
   * their results as rows, [calls, …]. A step draws a hundred random masks; written one by one they would be most of
   * the program.
   * @param reads what `write` reads besides the operands, the same for all calls of the group
   */
  defer(
    group: string,
    operand: Value,
    shape: readonly number[],
    element: Element,
    write: (operands: readonly Value[]) => Value,
    reads: readonly Value[] = [],
  ): Value {
    // What depends on a result of the group cannot be an operand of it.
    let name = group;
    while (this.#groups.has(name) && this.#dependsOn(operand, name)) name = `${name}'`;
    const known = this.#groups.get(name);
    const twin = known?.operands.findIndex((other) => other.name === operand.name) ?? -1;
    if (known && twin >= 0) return known.results[twin]!;
    const value: Value = { name: `${this.#prefix}${this.#next++}`, shape, element };
    const members = known ?? { operands: [], results: [], reads, write };
    members.operands.push(operand);
    members.results.push(value);
    this.#groups.set(name, members);
    this.#groupOf.set(value.name, name);
    return value;
  }

  #dependsOn(value: Value, group: string): boolean {
    const seen = new Set<string>();
    const pending = [value];
    for (let next = pending.pop(); next; next = pending.pop()) {
      if (seen.has(next.name)) continue;
      seen.add(next.name);
      const member = this.#groupOf.get(next.name);
      if (member === group) return true;
      if (member !== undefined) {
        const { operands, reads } = this.#groups.get(member)!;
        pending.push(...operands, ...reads);
      } else pending.push(...(this.#operations.get(next.name.split("#")[0]!)?.operands ?? []));
    }
    return false;
  }

  /**
   * Writes the groups' operations; each deferred name becomes a row of the whole. The row's number is an argument of
   * the program: code at a constant offset would be compiled for each row anew, and that was most of the compile time.
   */
  #resolveGroups(): void {
    for (const [name, { operands, results, write }] of this.#groups) {
      const whole = write(operands);
      results.forEach((result, index) => {
        const row = results.length === 1 ? whole : this.dynamicRow(whole, this.#number(index));
        const text = `stablehlo.reshape ${row.name} : (${typeText(row)}) -> ${typeText(result)}`;
        this.#operations.set(result.name, { text, operands: [row], flops: 0, results: 1, shape: result.shape });
        this.#rows.set(result.name, { of: whole, index });
      });
      this.#groups.delete(name);
    }
  }

  /** Values of one shape as rows, [n, …]; those that were rows of one value before are gathered from it at once. */
  stack(values: readonly Value[]): Value {
    const shape = values[0]!.shape;
    const rows = values.map(({ name }) => this.#rows.get(name));
    const whole = rows[0]?.of;
    if (values.length > 1 && whole && rows.every((row) => row?.of.name === whole.name)) {
      const indices = this.constant(
        Int32Array.from(rows, (row) => row!.index),
        [values.length],
        "i32",
      );
      return this.reshape(this.gather(whole, indices, 0), [values.length, ...shape]);
    }
    return this.concatenate(
      values.map((value) => this.reshape(value, [1, ...shape])),
      0,
    );
  }

  /** Names of the operations that `results` need, each after its operands. */
  #ordered(results: readonly Value[]): string[] {
    const order: string[] = [];
    const state = new Map<string, "open" | "done">();
    const pending = results.map((value) => value.name.split("#")[0]!).reverse();
    while (pending.length > 0) {
      const name = pending.at(-1)!;
      if (state.get(name) === undefined) {
        state.set(name, "open");
        const operands = this.#operations.get(name)?.operands ?? [];
        for (const operand of operands.toReversed()) {
          const base = operand.name.split("#")[0]!;
          if (state.get(base) === undefined) pending.push(base);
        }
        continue;
      }
      pending.pop();
      if (state.get(name) === "done") continue;
      state.set(name, "done");
      order.push(name);
    }
    return order;
  }

  /** Writes sums of many products as one product (merged-products.ts); the sum keeps its name. */
  #mergeProducts(results: readonly Value[]): void {
    const merges = productsToMerge({
      order: this.#ordered(results),
      results,
      operands: (name) => this.#operations.get(name)?.operands ?? [],
      isSum: (name) => this.#sums.has(name),
      product: (name) => this.#products.get(name),
    });
    for (const { sum, groups, rest } of merges) {
      const parts = groups.map((group) => this.#joined(group));
      const whole = [...rest, ...parts].reduce((a, b) => this.binary("add", a, b));
      this.#operations.set(sum, this.#operations.get(whole.name)!);
      const product = this.#products.get(whole.name);
      if (product) this.#products.set(sum, product);
    }
  }

  /** Writes products as calls of the library, where it is fast with them. */
  #callProducts(results: readonly Value[]): void {
    const called = new Map<string, { readonly product: Product; readonly out: View }>();
    const isResult = new Set(results.map(({ name }) => name));
    const flops = this.#ordered(results).reduce((sum, name) => sum + (this.#operations.get(name)?.flops ?? 0), 0);
    if (this.#isCut(flops)) this.#rehearsal = this.#bring(0);
    if (this.#called?.softmax) this.#fuseSoftmaxes(results, isResult);
    const order = this.#ordered(results);
    const readers = this.#readers(results);
    for (const name of order) {
      const product = this.#products.get(name);
      if (!product || !this.calls(product.left.element)) continue;
      const { shape } = this.#operations.get(name)!;
      const whole = plainView({ name, shape, element: "f32" });
      // A result that only a transpose reads is written as that leaves it.
      const [reader, ...others] = readers.get(name) ?? [];
      const turn = others.length === 0 && !isResult.has(name) ? this.#turned.get(reader ?? "") : undefined;
      if (turn?.of.name === name) {
        const { permutation } = turn;
        const value: Value = { name: reader!, shape: permutation.map((index) => shape[index]!), element: "f32" };
        const out = turnedView(
          plainView(value),
          range(shape.length).map((index) => permutation.indexOf(index)),
        );
        if (this.#call(product, out)) {
          called.set(value.name, { product, out });
          // From here on it is a value like any other, not a turned one.
          this.#turned.delete(value.name);
          continue;
        }
      }
      if (this.#call(product, whole)) called.set(name, { product, out: whole });
    }
    // What is only read as bf16 is written so.
    const readersNow = this.#readers(results);
    for (const [name, { product, out }] of called) {
      const [reader, ...others] = readersNow.get(name) ?? [];
      if (product.left.element !== "bf16" || reader === undefined || others.length > 0 || isResult.has(name)) continue;
      if (this.#narrowed.get(reader)?.name !== name) continue;
      this.#call(product, { ...out, base: { ...out.base, name: reader, element: "bf16" } });
    }
  }

  /** Makes attention's weights results of the products that their scores are, where nobody else reads those. */
  #fuseSoftmaxes(results: readonly Value[], isResult: ReadonlySet<string>): void {
    const readers = this.#readers(results);
    const graph: FusedGraph = {
      operation: (name) => this.#operations.get(name),
      readers: (name) => readers.get(name) ?? [],
      isResult: (name) => isResult.has(name),
      product: (name) => (this.#products.has(name) ? this.#operations.get(name) : undefined),
      view: (value) => this.#view(value),
    };
    for (const softmax of this.#softmaxes) {
      const found = softmaxOf(graph, softmax);
      const product = found && this.#products.get(found.product);
      if (!found || product?.left.element !== "bf16") continue;
      // The call's rows are those of all columns of its right operand.
      const columns = product.right.shape.length - product.batch[1].length - product.contract[1].length;
      if (columns === 1) this.#call(product, plainView(found.value), found);
    }
  }

  /**
   * Makes the value that `out` is a view of the result of a call, with what is done to the product's numbers before they are
   * written; says whether the library takes it.
   */
  #call(product: Product, out: View, fused?: Fused): boolean {
    const call = callOf(product, this.#view(product.left), this.#view(product.right), out, fused);
    if (!call) return false;
    const { left, right, added, description } = call;
    const { name, shape } = out.base;
    if (fused) {
      this.#fused.add(name);
      this.#narrowed.delete(name);
    }
    // The library reads two operands and what it adds. Then comes what is there to stay in memory until now, and whether to
    // do anything.
    const operands = [left, right, ...added, ...this.#keptFor(product, [left, right])];
    if (this.#rehearsal) operands.push(this.#rehearsal);
    const layouts = operands.map((operand) => layoutText(operand.shape)).join(", ");
    const text = `stablehlo.custom_call @${this.#called!.target}(${operands.map((operand) => operand.name).join(", ")}) {api_version = 4 : i32, backend_config = {product = "${description}"}, operand_layouts = [${layouts}], result_layouts = [${layoutText(shape)}]} : (${operands.map(typeText).join(", ")}) -> ${typeText(out.base)}`;
    this.#operations.set(name, { text, operands, flops: call.flops, results: 1, shape });
    return true;
  }

  /**
   * What XLA would overwrite on the way to operands that a product is the first to read: large values which those are
   * computed from, number by number. Its compiler cannot tell a loop that writes where it reads from one that reads what it
   * wrote before, and computes one number at a time: exponentials take six times as long (AVX2), sums twice.
   */
  #keptFor(product: Product, operands: readonly Value[]): Value[] {
    // Attention, whose values have a number for each pair of positions: elsewhere loops are short.
    if (product.batch[0].length === 0) return [];
    const kept: Value[] = [];
    const seen = new Set<string>();
    const pending = operands
      .filter(({ shape }) => sizeOf(shape) >= longLoop)
      .map((value) => ({ value, writes: [typeText(value)] }));
    for (let next = pending.pop(); next; next = pending.pop()) {
      const { value, writes } = next;
      const { name } = value;
      if (seen.has(name)) continue;
      seen.add(name);
      const { text, operands: read } = this.#operations.get(name) ?? { text: "", operands: [] };
      // What is widened for a sum is written as bf16.
      const isSummed = this.#reduced.has(name) && !text.startsWith("stablehlo.bitcast_convert ");
      const isWritten = this.#products.has(name) || this.#fused.has(name) || this.#narrowed.has(name) || isSummed;
      if (isWritten) {
        // Not whole numbers: the last operand, where it is one, says that the product is left out.
        const isKept = value.element !== "i32" && !operands.includes(value) && writes.includes(typeText(value));
        if (isKept) kept.push(value);
        // What an earlier product read may be there for long, but not what it was made from.
        const reader = this.#reader.get(name) ?? product;
        this.#reader.set(name, reader);
        if (reader !== product) continue;
      }
      if (!elementwise.test(text)) continue;
      for (const each of read)
        if (sameShape(each.shape, value.shape))
          pending.push({ value: each, writes: isWritten ? [...writes, typeText(value)] : writes });
    }
    return kept;
  }

  /** Which operations read a value, by its name. */
  #readers(results: readonly Value[]): Map<string, string[]> {
    const readers = new Map<string, string[]>();
    for (const name of this.#ordered(results))
      for (const operand of new Set(this.#operations.get(name)?.operands.map((value) => value.name)))
        readers.set(operand, [...(readers.get(operand) ?? []), name]);
    return readers;
  }

  /** A value as numbers of the one that it was turned, reshaped or narrowed from. */
  #view(value: Value): View {
    const turned = this.#turned.get(value.name);
    if (turned) return turnedView(this.#view(turned.of), turned.permutation);
    const reshaped = this.#reshaped.get(value.name);
    if (reshaped) return reshapedView(this.#view(reshaped), value.shape) ?? plainView(value);
    const wide = this.#narrowed.get(value.name);
    if (wide) {
      const view = this.#view(wide);
      if (view.base.name !== wide.name) return { ...view, base: this.convert(view.base, "bf16") };
    }
    return plainView(value);
  }

  /** Whether products of such operands are calls of a library, which turns operands as it reads them. */
  calls(element: Element): boolean {
    return this.#called?.elements.includes(element) ?? false;
  }

  /**
   * One product for the sum of several. Its first operand is contracted in its last dimension, as XLA on a processor likes
   * it; a library that takes operands as they lie gets them so, and nothing is turned.
   */
  #joined(group: readonly Product[]): Value {
    const { left, batch, contract } = group[0]!;
    const [at] = contract[0] as [number];
    const last = left.shape.length - 1;
    const turned = [...range(left.shape.length).filter((index) => index !== at), at];
    const isTurned = leads(batch[0]) && !this.calls(left.element);
    const lefts = group.map((each) => (isTurned ? this.transpose(each.left, turned) : each.left));
    const place = isTurned ? last : at;
    return this.dot(
      this.concatenate(lefts, place),
      this.concatenate(
        group.map(({ right }) => right),
        contract[1][0]!,
      ),
      // What bf16 did not round then, it does not round now.
      { batch, contract: [[place], contract[1]], exact: left.element === "f32" },
    );
  }

  #lines(results: readonly Value[]): { lines: string[]; live: ReadonlySet<string>; flops: number } {
    this.#resolveGroups();
    this.#mergeProducts(results);
    if (this.#called) this.#callProducts(results);
    const order = this.#ordered(results);
    const lines: string[] = [];
    let flops = 0;
    for (const value of order) {
      const operation = this.#operations.get(value);
      if (!operation) continue;
      lines.push(`    ${value}${operation.results > 1 ? `:${operation.results}` : ""} = ${operation.text}`);
      flops += operation.flops;
    }
    return { lines, live: new Set(order), flops };
  }

  /**
   * [count, …row] whose row i is `row(b, i, …inputs)`, made by a loop whose body is compiled once. Nothing of it is
   * computed anew where a row is used: the compiler fuses no loop into its users.
   */
  rowsByLoop(
    count: number,
    shape: readonly number[],
    element: Element,
    inputs: readonly Value[],
    row: (b: Builder, index: Value, inputs: readonly Value[]) => Value,
  ): Value {
    const b = new Builder(this.precision, {
      mergedBatches: this.mergesBatches,
      windowedSums: this.#windowedSums,
      prefix: `%loop${this.#next++}_`,
    });
    const whole = { shape: [count, ...shape], element };
    const [index, ...carried] = [{ shape: [], element: "i32" as const }, ...inputs, whole].map((value) =>
      b.argument(value.shape, value.element),
    );
    const [own, buffer] = [carried.slice(0, -1), carried.at(-1)!];
    const made = b.reshape(row(b, index!, own), [1, ...shape]);
    const zero = b.splat(0, [], "i32");
    const starts = [index!, ...shape.map(() => zero)];
    const updated = b.emit(
      `stablehlo.dynamic_update_slice ${buffer.name}, ${made.name}, ${starts.map(({ name }) => name).join(", ")} : (${typeText(buffer)}, ${typeText(made)}, ${starts.map(typeText).join(", ")}) -> ${typeText(buffer)}`,
      [buffer, made, ...starts],
      buffer.shape,
      element,
    );
    const next = b.with("add", index!, 1);
    const { lines } = b.#lines([next, updated]);
    const initial = [this.splat(0, [], "i32"), ...inputs, this.splat(0, whole.shape, element)];
    const parameters = [index!, ...carried];
    const types = parameters.map(typeText).join(", ");
    const limit = `${index!.name}_limit`;
    const text = [
      `stablehlo.while(${parameters.map(({ name }, position) => `${name} = ${initial[position]!.name}`).join(", ")}) : ${types}`,
      "    cond {",
      `      ${limit} = stablehlo.constant dense<${count}> : tensor<i32>`,
      `      ${limit}_reached = stablehlo.compare LT, ${index!.name}, ${limit} : (tensor<i32>, tensor<i32>) -> tensor<i1>`,
      `      stablehlo.return ${limit}_reached : tensor<i1>`,
      "    } do {",
      ...lines,
      `      stablehlo.return ${[next, ...own, updated].map(({ name }) => name).join(", ")} : ${types}`,
      "    }",
    ].join("\n");
    return this.emitMany(text, initial, parameters).at(-1)!;
  }

  /** One row of [n, …] at a computed position, [1, …]. */
  dynamicRow(x: Value, index: Value): Value {
    const zero = this.splat(0, [], "i32");
    const starts = [index, ...x.shape.slice(1).map(() => zero)];
    const shape = [1, ...x.shape.slice(1)];
    return this.emit(
      `stablehlo.dynamic_slice ${x.name}, ${starts.map(({ name }) => name).join(", ")}, sizes = [${shape}] : (${typeText(x)}, ${starts.map(typeText).join(", ")}) -> ${typeText({ ...x, shape })}`,
      [x, ...starts],
      shape,
      x.element,
    );
  }

  /** The function that computes `results`, without what they do not need. */
  finish(results: readonly Value[], name = "main"): Program {
    const { lines, live, flops } = this.#lines(results);
    const operation = (name: string): Operation | undefined => this.#operations.get(name);
    const parts = this.#isCut(flops)
      ? cutIntoParts({ order: [...live], operation, results, leastRepeated: this.#cut!.leastRepeated })
      : undefined;
    const used = this.#arguments.filter(({ value }) => live.has(value.name));
    const types = results.map(typeText).join(", ");
    const names = results.map((value) => value.name).join(", ");
    const body = lines.join("\n");
    const render = (donated: readonly number[] = []): string => {
      const aliases = aliasesOf(used, donated, results);
      const parameters = used
        .map(
          ({ value }, position) =>
            `${value.name}: ${typeText(value)}${aliases.has(position) ? ` {tf.aliasing_output = ${aliases.get(position)} : i32}` : ""}`,
        )
        .join(", ");
      return `module @${name.replace(/\W/g, "_").replace(/^(?=\d)/, "_")} {\n  func.func public @main(${parameters}) -> (${types}) {\n${body}\n    return ${names} : ${types}\n  }\n}\n`;
    };
    return { text: render(), render, arguments: used, results, parts, rehearsal: this.#rehearsal, flops };
  }

  /** Whether a program of so many operations is cut, if enough of it is repeated. */
  #isCut(flops: number): boolean {
    return this.#cut !== undefined && flops >= this.#cut.leastFlops;
  }

  // Constants.

  splat(value: number, shape: readonly number[], element: Element): Value {
    return this.emit(
      `stablehlo.constant dense<${sizeOf(shape) === 0 ? "" : literal(value, element)}> : ${typeText({ shape, element })}`,
      [],
      shape,
      element,
    );
  }

  constant(values: ArrayLike<number>, shape: readonly number[], element: Element): Value {
    if (isSplat(values)) return this.splat(values[0] ?? 0, shape, element);
    const nest = (depth: number, offset: number): string => {
      if (depth === shape.length) return literal(values[offset]!, element);
      const stride = sizeOf(shape.slice(depth + 1));
      return `[${range(shape[depth]!)
        .map((index) => nest(depth + 1, offset + index * stride))
        .join(",")}]`;
    };
    return this.emit(`stablehlo.constant dense<${nest(0, 0)}> : ${typeText({ shape, element })}`, [], shape, element);
  }

  iota(shape: readonly number[], dimension: number, element: Element): Value {
    return this.emit(`stablehlo.iota dim = ${dimension} : ${typeText({ shape, element })}`, [], shape, element);
  }

  // Shapes. Each carries a bf16 twin along, so that a weight stored narrow stays narrow on its way into a dot.

  #move(x: Value, apply: (value: Value) => Value): Value {
    if (!x.narrow) return apply(x);
    const narrow = this.#move(x.narrow, apply);
    return { ...apply(x), narrow };
  }

  reshape(x: Value, shape: readonly number[]): Value {
    if (sameShape(x.shape, shape)) return x;
    return this.#move(x, (value) => {
      // tfjs's ops fold and unfold dimensions around each kernel: only the last of several reshapes is written.
      const source = this.#reshaped.get(value.name) ?? value;
      if (sameShape(source.shape, shape)) return source;
      const made = this.emit(
        `stablehlo.reshape ${source.name} : (${typeText(source)}) -> ${typeText({ ...source, shape })}`,
        [source],
        shape,
        source.element,
      );
      this.#reshaped.set(made.name, source);
      return made;
    });
  }

  transpose(x: Value, permutation: readonly number[]): Value {
    if (permutation.every((dimension, index) => dimension === index)) return x;
    const shape = permutation.map((dimension) => x.shape[dimension]!);
    return this.#move(x, (value) => {
      const made = this.emit(
        `stablehlo.transpose ${value.name}, dims = [${permutation}] : (${typeText(value)}) -> ${typeText({ ...value, shape })}`,
        [value],
        shape,
        value.element,
      );
      this.#turned.set(made.name, { of: value, permutation });
      return made;
    });
  }

  /** `dimensions[i]` is where dimension i of `x` goes. */
  broadcastInDim(x: Value, shape: readonly number[], dimensions: readonly number[]): Value {
    return this.#move(x, (value) =>
      this.emit(
        `stablehlo.broadcast_in_dim ${value.name}, dims = [${dimensions}] : (${typeText(value)}) -> ${typeText({ ...value, shape })}`,
        [value],
        shape,
        value.element,
      ),
    );
  }

  /** NumPy's broadcast: trailing dimensions are matched. */
  broadcast(x: Value, shape: readonly number[]): Value {
    if (sameShape(x.shape, shape)) return x;
    const offset = shape.length - x.shape.length;
    const kept = range(x.shape.length).filter((index) => x.shape[index] !== 1 || shape[index + offset] === 1);
    const squeezed = this.reshape(
      x,
      kept.map((index) => x.shape[index]!),
    );
    return this.broadcastInDim(
      squeezed,
      shape,
      kept.map((index) => index + offset),
    );
  }

  slice(
    x: Value,
    begin: readonly number[],
    end: readonly number[],
    stride: readonly number[] = x.shape.map(() => 1),
  ): Value {
    if (begin.every((at, index) => at === 0 && end[index] === x.shape[index] && stride[index] === 1)) return x;
    const shape = begin.map((at, index) => Math.max(0, Math.ceil((end[index]! - at) / stride[index]!)));
    const ranges = begin
      .map((at, index) => `${at}:${end[index]}${stride[index] === 1 ? "" : `:${stride[index]}`}`)
      .join(", ");
    return this.#move(x, (value) =>
      this.emit(
        `stablehlo.slice ${value.name} [${ranges}] : (${typeText(value)}) -> ${typeText({ ...value, shape })}`,
        [value],
        shape,
        value.element,
      ),
    );
  }

  concatenate(parts: readonly Value[], dimension: number): Value {
    if (parts.length === 1) return parts[0]!;
    const first = parts[0]!;
    // XLA joins bf16 as f32 on a processor; its bits it joins as they are.
    if (first.element === "bf16") {
      const bits = parts.map((part) => this.bitcast(part, "ui16"));
      return this.bitcast(this.concatenate(bits, dimension), "bf16");
    }
    const shape = first.shape.map((size, index) =>
      index === dimension ? parts.reduce((sum, part) => sum + part.shape[index]!, 0) : size,
    );
    const names = parts.map((part) => part.name).join(", ");
    return this.emit(
      `stablehlo.concatenate ${names}, dim = ${dimension} : (${parts.map(typeText).join(", ")}) -> ${typeText({ ...first, shape })}`,
      parts,
      shape,
      first.element,
    );
  }

  pad(
    x: Value,
    fill: Value,
    low: readonly number[],
    high: readonly number[],
    interior: readonly number[] = x.shape.map(() => 0),
  ): Value {
    const shape = x.shape.map(
      (size, index) => size + low[index]! + high[index]! + Math.max(0, size - 1) * interior[index]!,
    );
    return this.emit(
      `stablehlo.pad ${x.name}, ${fill.name}, low = [${low}], high = [${high}], interior = [${interior}] : (${typeText(x)}, ${typeText(fill)}) -> ${typeText({ ...x, shape })}`,
      [x, fill],
      shape,
      x.element,
    );
  }

  reverse(x: Value, dimensions: readonly number[]): Value {
    return this.emit(`stablehlo.reverse ${x.name}, dims = [${dimensions}] : ${typeText(x)}`, [x], x.shape, x.element);
  }

  // Elements.

  convert(x: Value, element: Element): Value {
    if (x.element === element) return x;
    if (element === "bf16" && x.narrow) return x.narrow;
    const made = this.emit(
      `stablehlo.convert ${x.name} : (${typeText(x)}) -> ${typeText({ ...x, element })}`,
      [x],
      x.shape,
      element,
    );
    if (element === "bf16") this.#narrowed.set(made.name, x);
    return made;
  }

  bitcast(x: Value, element: Element): Value {
    if (x.element === element) return x;
    return this.emit(
      `stablehlo.bitcast_convert ${x.name} : (${typeText(x)}) -> ${typeText({ ...x, element })}`,
      [x],
      x.shape,
      element,
    );
  }

  /**
   * Under `bf16`, a value that a product will read, kept as bf16 alone: all other users, the backward pass among them,
   * read the rounded number. It is widened by its bits: XLA takes a conversion to bf16 and back for nothing, and would
   * keep both.
   */
  operand(x: Value): Value {
    if (this.precision !== "bf16" || x.element !== "f32" || x.narrow) return x;
    const narrow = this.convert(x, "bf16");
    const bits = this.convert(this.bitcast(narrow, "ui16"), "ui32");
    return { ...this.bitcast(this.with("shift_left", bits, 16), "f32"), narrow };
  }

  /**
   * Under `bf16`, e^x along the last axis as an `operand`, for a caller who divides by the sum of each row: each may be scaled
   * by any factor. Where a library computes a softmax along with the product that `x` is made of, they are that softmax, and
   * their rows' sums are ones.
   */
  rowExponentials(x: Value): Value {
    const scores = this.#unshifted(x);
    if (!this.#hasScores(scores)) return this.operand(this.unary("exponential", x));
    const last = scores.shape.length - 1;
    const each = [...scores.shape.slice(0, -1), 1];
    const largest = this.reduce("maximum", scores, [last]);
    const shifted = this.binary("subtract", scores, this.reshape(largest, each));
    const exponentials = this.unary("exponential", shifted);
    const sums = this.reshape(this.reduce("add", exponentials, [last]), each);
    const made = this.operand(this.binary("divide", exponentials, sums));
    this.#unitRows.add(made.name);
    this.#softmaxes.push({ scores, narrow: made.narrow!, steps: [largest.name, shifted.name] });
    return made;
  }

  /** What a softmax may read instead: without a number that was subtracted from the whole of each row. */
  #unshifted(x: Value): Value {
    const { text, operands } = this.#operations.get(x.name) ?? { text: "", operands: [] };
    const [from, number] = operands;
    if (!text.startsWith("stablehlo.subtract ") || !from || !number) return x;
    const places = broadcastPlaces(this.#operations.get(number.name)?.text ?? "");
    const isOfRows = places !== undefined && !places.includes(x.shape.length - 1);
    return isOfRows ? from : x;
  }

  /** Whether scores are many and, but for what is added to them, a product that a library computes with their softmax. */
  #hasScores(scores: Value): boolean {
    const hasProduct = (value: Value): boolean => {
      const { text, operands } = this.#operations.get(value.name) ?? { text: "", operands: [] };
      return this.#products.has(value.name) || (text.startsWith("stablehlo.add ") && operands.some(hasProduct));
    };
    const canFuse = this.precision === "bf16" && this.calls("bf16") && this.#called?.softmax === true;
    return canFuse && !this.#wideProducts && sizeOf(scores.shape) >= longSoftmax && hasProduct(scores);
  }

  /** Whether a value is 1 everywhere. */
  #isOne({ name }: Value): boolean {
    const { text, operands } = this.#operations.get(name) ?? { text: "", operands: [] };
    if (/^stablehlo\.(broadcast_in_dim|reshape|transpose) /.test(text)) return this.#isOne(operands[0]!);
    return text.startsWith("stablehlo.constant dense<0x3F800000>");
  }

  unary(op: string, x: Value): Value {
    return this.emit(`stablehlo.${op} ${x.name} : ${typeText(x)}`, [x], x.shape, x.element);
  }

  /** Both operands are broadcast; their elements must be the same. */
  binary(op: string, a: Value, b: Value): Value {
    const shape = broadcastShape(a.shape, b.shape);
    const [left, right] = [this.broadcast(a, shape), this.broadcast(b, shape)];
    if (op === "multiply" || op === "divide") {
      if (this.#isOne(right)) return left;
      if (op === "multiply" && this.#isOne(left)) return right;
    }
    const made = this.emit(
      `stablehlo.${op} ${left.name}, ${right.name} : ${typeText(left)}`,
      [left, right],
      shape,
      left.element,
    );
    if (op === "add" && made.element === "f32") this.#sums.add(made.name);
    return made;
  }

  /** A binary operation with a number. */
  with(op: string, x: Value, value: number): Value {
    return this.binary(op, x, this.splat(value, [], x.element));
  }

  compare(direction: "EQ" | "NE" | "LT" | "LE" | "GT" | "GE", a: Value, b: Value): Value {
    const shape = broadcastShape(a.shape, b.shape);
    const [left, right] = [this.broadcast(a, shape), this.broadcast(b, shape)];
    return this.emit(
      `stablehlo.compare ${direction}, ${left.name}, ${right.name} : (${typeText(left)}, ${typeText(right)}) -> ${typeText({ shape, element: "i1" })}`,
      [left, right],
      shape,
      "i1",
    );
  }

  select(condition: Value, a: Value, b: Value): Value {
    const shape = broadcastShape(condition.shape, broadcastShape(a.shape, b.shape));
    const [test, left, right] = [this.broadcast(condition, shape), this.broadcast(a, shape), this.broadcast(b, shape)];
    return this.emit(
      `stablehlo.select ${test.name}, ${left.name}, ${right.name} : ${typeText(test)}, ${typeText(left)}`,
      [test, left, right],
      shape,
      left.element,
    );
  }

  // Reductions.

  reduce(
    op: "add" | "maximum" | "minimum" | "multiply" | "and" | "or",
    x: Value,
    dimensions: readonly number[],
    keepDims = false,
  ): Value {
    if (this.#windowedSums && op === "add" && x.element === "f32" && !this.#unitRows.has(x.name)) {
      const count = (value: Value): number => sizeOf(dimensions.map((index) => value.shape[index]!));
      let rest = x;
      if (count(x) > longSum) while (count(rest) > longSum / 4) rest = this.#sumWindows(rest, dimensions);
      if (rest !== x) return this.reduce(op, rest, dimensions, keepDims);
    }
    const shape = x.shape.filter((_, index) => !dimensions.includes(index));
    if (op === "add" && this.#unitRows.has(x.name) && dimensions.length === 1 && dimensions[0] === x.shape.length - 1)
      return this.splat(1, keepDims ? [...shape, 1] : shape, "f32");
    const initial = this.splat(neutral(op, x.element), [], x.element);
    this.#reduced.add(x.name);
    const reduced =
      dimensions.length === 0
        ? x
        : this.emit(
            `stablehlo.reduce(${x.name} init: ${initial.name}) applies stablehlo.${op} across dimensions = [${dimensions}] : (${typeText(x)}, ${typeText(initial)}) -> ${typeText({ ...x, shape })}`,
            [x, initial],
            shape,
            x.element,
          );
    return keepDims
      ? this.reshape(
          reduced,
          x.shape.map((size, index) => (dimensions.includes(index) ? 1 : size)),
        )
      : reduced;
  }

  /** Sums of windows of 32 along `dimensions`, each of which is shorter by that afterwards. */
  #sumWindows(x: Value, dimensions: readonly number[]): Value {
    const windows = x.shape.map((size, index) => (dimensions.includes(index) ? Math.min(size, 32) : 1));
    const shape = x.shape.map((size, index) => Math.ceil(size / windows[index]!));
    const initial = this.splat(0, [], x.element);
    const padding = shape.map((size, index) => `[0, ${size * windows[index]! - x.shape[index]!}]`).join(", ");
    const scalar = typeText({ shape: [], element: x.element });
    return this.emit(
      `"stablehlo.reduce_window"(${x.name}, ${initial.name}) ({\n    ^bb0(%a: ${scalar}, %b: ${scalar}):\n      %s = stablehlo.add %a, %b : ${scalar}\n      stablehlo.return %s : ${scalar}\n    }) {window_dimensions = array<i64: ${windows}>, window_strides = array<i64: ${windows}>, padding = dense<[${padding}]> : tensor<${shape.length}x2xi64>} : (${typeText(x)}, ${scalar}) -> ${typeText({ ...x, shape })}`,
      [x, initial],
      shape,
      x.element,
    );
  }

  // Contractions.

  /**
   * Generalised matrix product; result dimensions are batch, then free ones of a, then of b. Under `bf16` the operands
   * are narrowed, or only rounded (`BuilderOptions.wideProducts`), and the sum is float32.
   */
  dot(
    a: Value,
    b: Value,
    options: {
      readonly batch?: readonly [readonly number[], readonly number[]];
      readonly contract: readonly [readonly number[], readonly number[]];
      /** Operands that bf16 would round stay f32. */
      readonly exact?: boolean;
    },
  ): Value {
    const [batchA, batchB] = options.batch ?? [[], []];
    const [contractA, contractB] = options.contract;
    const rounded =
      this.precision === "bf16" && a.element !== "i32" && (options.exact !== true || a.narrow !== undefined);
    const narrow = rounded && !this.#wideProducts;
    const isSmall =
      a.element === "f32" &&
      contractA.length === 1 &&
      leads(batchA) &&
      leads(batchB) &&
      isTiny(a, b, batchA.length, options.contract);
    const isMerged = this.mergesBatches && !this.calls(narrow ? "bf16" : a.element);
    if (isMerged && batchA.length > 1 && leads(batchA) && leads(batchB)) {
      const rank = batchA.length;
      const merge = (value: Value): Value =>
        this.reshape(value, [sizeOf(value.shape.slice(0, rank)), ...value.shape.slice(rank)]);
      const [left, right] = options.contract.map((side) => side.map((index) => index - rank + 1)) as [
        number[],
        number[],
      ];
      const merged = this.dot(merge(a), merge(b), { ...options, batch: [[0], [0]], contract: [left, right] });
      return this.reshape(merged, [...a.shape.slice(0, rank), ...merged.shape.slice(1)]);
    }
    if (isMerged && isSmall && batchA.length === 1) return this.#tinyDot(a, b, [contractA[0]!, contractB[0]!]);
    const operand = (value: Value): Value =>
      narrow ? this.convert(value, "bf16") : rounded ? this.operand(value) : value;
    const [left, right] = [operand(a), operand(b)];
    const free = (value: Value, batch: readonly number[], contract: readonly number[]): number[] =>
      value.shape.filter((_, index) => !batch.includes(index) && !contract.includes(index));
    const shape = [
      ...batchA.map((index) => a.shape[index]!),
      ...free(a, batchA, contractA),
      ...free(b, batchB, contractB),
    ];
    const element = a.element === "i32" ? "i32" : "f32";
    const batch = batchA.length > 0 ? `batching_dims = [${batchA}] x [${batchB}], ` : "";
    const algorithm =
      this.precision === "tf32"
        ? ", precision = [DEFAULT, DEFAULT]"
        : narrow || element === "i32"
          ? ""
          : ", precision = [HIGHEST, HIGHEST]";
    const flops = 2 * sizeOf(shape) * sizeOf(contractA.map((index) => a.shape[index]!));
    const made = this.emit(
      `stablehlo.dot_general ${left.name}, ${right.name}, ${batch}contracting_dims = [${contractA}] x [${contractB}]${algorithm} : (${typeText(left)}, ${typeText(right)}) -> ${typeText({ shape, element })}`,
      [left, right],
      shape,
      element,
      flops,
    );
    this.#products.set(made.name, { left, right, batch: [batchA, batchB], contract: options.contract });
    return made;
  }

  /**
   * A batch [n, ..] of small products, as multiplications and a sum: they fuse with what is around them, and a product
   * is an object of its own in XLA's runtime, 2 ms to set up however small it is.
   */
  #tinyDot(a: Value, b: Value, [atA, atB]: readonly [number, number]): Value {
    const last = (x: Value, at: number): Value => (at === 2 ? x : this.transpose(x, [0, 2, 1]));
    const [left, right] = [last(a, atA), last(b, atB)];
    const [batch, rows, inner] = left.shape as [number, number, number];
    const columns = right.shape[1]!;
    const shape = [batch, rows, columns, inner];
    const terms = this.binary(
      "multiply",
      this.broadcastInDim(left, shape, [0, 1, 3]),
      this.broadcastInDim(right, shape, [0, 2, 3]),
    );
    return this.reduce("add", terms, [3]);
  }

  /** Rows of `x` along `axis` at integer positions; the result is x's shape with that axis replaced by `indices.shape`. */
  gather(x: Value, indices: Value, axis: number): Value {
    const rank = indices.shape.length;
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    const offsets = [...range(axis), ...range(x.shape.length - axis - 1, axis + rank)];
    const sizes = x.shape.map((size, index) => (index === axis ? 1 : size));
    const numbers = `offset_dims = [${offsets}], collapsed_slice_dims = [${axis}], start_index_map = [${axis}], index_vector_dim = ${rank}`;
    return this.#move(x, (value) =>
      this.emit(
        `"stablehlo.gather"(${value.name}, ${indices.name}) {dimension_numbers = #stablehlo.gather<${numbers}>, slice_sizes = array<i64: ${sizes}>, indices_are_sorted = false} : (${typeText(value)}, ${typeText(indices)}) -> ${typeText({ ...value, shape })}`,
        [value, indices],
        shape,
        value.element,
      ),
    );
  }

  /** Adds rows of `updates` [n, ...rest] to `x` [m, ...rest] at `indices` [n]; rows out of range are left out. */
  scatterAdd(x: Value, indices: Value, updates: Value): Value {
    const rest = range(x.shape.length - 1, 1);
    const scalar = typeText({ shape: [], element: x.element });
    const numbers = `update_window_dims = [${rest}], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1`;
    return this.emit(
      `"stablehlo.scatter"(${x.name}, ${indices.name}, ${updates.name}) ({\n    ^bb0(%a: ${scalar}, %b: ${scalar}):\n      %s = stablehlo.add %a, %b : ${scalar}\n      stablehlo.return %s : ${scalar}\n    }) {scatter_dimension_numbers = #stablehlo.scatter<${numbers}>, indices_are_sorted = false, unique_indices = false} : (${typeText(x)}, ${typeText(indices)}, ${typeText(updates)}) -> ${typeText(x)}`,
      [x, indices, updates],
      x.shape,
      x.element,
    );
  }
}

/** Whether each product of a batch of matrices is so small that setting it up costs more than computing it. */
function isTiny(
  a: Value,
  b: Value,
  batch: number,
  [[atA], [atB]]: readonly [readonly number[], readonly number[]],
): boolean {
  if (batch === 0 || a.shape.length !== batch + 2 || b.shape.length !== batch + 2) return false;
  const matrix = (value: Value): number => sizeOf(value.shape.slice(batch));
  return matrix(a) * (matrix(b) / b.shape[atB!]!) <= tinyProduct && a.shape[atA!]! > 0;
}

/** Pairs each donated argument with a result of its type that no other argument has; the rest is simply freed. */
function aliasesOf(
  used: readonly Argument[],
  donated: readonly number[],
  results: readonly Value[],
): Map<number, number> {
  const aliases = new Map<number, number>();
  const taken = new Set<number>();
  for (const position of donated) {
    const type = typeText(used[position]!.value);
    const result = results.findIndex((value, index) => !taken.has(index) && typeText(value) === type);
    if (result < 0) continue;
    taken.add(result);
    aliases.set(position, result);
  }
  return aliases;
}

/** Whether dimensions are 0, 1, 2, …, those in front. */
const leads = (dimensions: readonly number[]): boolean => dimensions.every((dimension, index) => dimension === index);

/** NumPy's broadcast of two shapes. @throws RangeError when they do not match. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return range(rank).map((index) => {
    const [left, right] = [a[a.length - rank + index] ?? 1, b[b.length - rank + index] ?? 1];
    if (left !== right && left !== 1 && right !== 1) throw new RangeError(`shapes [${a}] and [${b}] do not broadcast`);
    return left === 1 ? right : left;
  });
}

/** What an operation starts from, so that a reduction over nothing is defined. */
function neutral(op: string, element: Element): number {
  const isFloat = element === "f32" || element === "bf16";
  switch (op) {
    case "multiply":
    case "and":
      return 1;
    case "maximum":
      return isFloat ? Number.NEGATIVE_INFINITY : element === "i1" ? 0 : -2147483648;
    case "minimum":
      return isFloat ? Number.POSITIVE_INFINITY : element === "i1" ? 1 : 2147483647;
    default:
      return 0;
  }
}
