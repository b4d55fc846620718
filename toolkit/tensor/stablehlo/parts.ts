// Cuts a graph of repeated layers into parts that are compiled once and run many times: what is alike is one function,
// its instances are calls of it, what lies between is a part of its own. Values that a call needs and another one made are
// passed. It decides and writes the parts' text; how they are run is the runtime's (runtimes/libtensorflow/xla.ts).
//
// Not a loop of StableHLO, whose state XLA on a processor copies at every turn, and not calls within one program: XLA gives
// each call of a function a copy of it before it compiles.
import { bytesOf, range, typeText, type Value } from "./builder.ts";

/** A program of its own. Names are those of the values in its first call. */
export interface Part {
  readonly text: string;
  readonly takes: readonly Value[];
  readonly gives: readonly Value[];
}

export interface PartCall {
  /** Position among the parts. */
  readonly part: number;
  /** Names of values: arguments of the whole, or results of earlier calls. */
  readonly takes: readonly string[];
  readonly gives: readonly string[];
}

export interface Parts {
  readonly parts: readonly Part[];
  /** In the order in which they run. */
  readonly calls: readonly PartCall[];
}

export interface Operation {
  /** Everything after `=`. */
  readonly text: string;
  readonly operands: readonly Value[];
  /** How many results it has. */
  readonly results: number;
}

/** Which programs are cut: a call of a part costs a fifth of a millisecond, one compiled operation about one. */
export interface Cut {
  /** Operations that would be compiled again, were the program whole. */
  readonly leastRepeated: number;
  /** Floating-point operations of the program's products: short programs, as a step of generation, stay whole. */
  readonly leastFlops: number;
}

export interface PartsGraph {
  /** Names of all operations, each after its operands. */
  readonly order: readonly string[];
  operation(name: string): Operation | undefined;
  readonly results: readonly Value[];
  /** See `Cut`. */
  readonly leastRepeated: number;
}

/** Shortest layer, in operations, and the longest. */
const [shortest, longest] = [12, 600];

/** Operations of several layers in one part, at most: each costs 3 ms to compile. */
const mostGrouped = 120;

/** What XLA fuses into whoever reads it. */
const cheap =
  /^stablehlo\.(broadcast_in_dim|reshape|transpose|convert|bitcast_convert|add|subtract|multiply|divide|maximum|minimum|compare|select|negate|and|or|not|xor|shift_left|shift_right_logical|iota|constant|slice|dynamic_slice) /;
const moves = /^stablehlo\.(broadcast_in_dim|reshape|transpose|convert|bitcast_convert) /;

/** What reads its operands as they lie in memory, and what may stand between without moving a number. */
const readsLaidOut = /^stablehlo\.(custom_call|concatenate) /;
const keepsLayout = /^stablehlo\.(reshape|bitcast_convert) /;

const products = /^stablehlo\.(custom_call|dot_general|convolution) /;

/** Operations that are computed anew for each reader, at most. */
const mostFree = 16;

const names = /%\w+(?:#\d+)?/g;
const baseOf = (name: string): string => name.split("#")[0]!;

interface Described {
  /** Equal for operations that are the same but for the values they read. */
  readonly kind: number;
  /** The values it reads and those that the cheap operations before it read, each once. */
  readonly leaves: readonly Value[];
  /** Itself and the cheap ones before it. */
  readonly operations: number;
  /** Leaves of which only a part is read, at a computed position: all random bits of a step. They are there anyway. */
  readonly sliced: ReadonlySet<string>;
}

/** One operation that is computed once and passed on. */
interface Node {
  readonly name: string;
  readonly kind: number;
  readonly leaves: readonly Value[];
}

/** `count` instances of `length` nodes each, one after the other from `start` on. */
interface Repeat {
  readonly start: number;
  readonly length: number;
  readonly count: number;
  /** Values of each instance that it takes, by parameter. */
  readonly takes: readonly (readonly Value[])[];
  /** Which of its nodes others read. */
  readonly gives: readonly number[];
}

/** The graph's parts; undefined where too little of it is repeated. */
export function cutIntoParts(graph: PartsGraph): Parts | undefined {
  if (graph.order.length < graph.leastRepeated) return undefined;
  const cutter = new Cutter(graph);
  const repeats = cutter.repeats();
  const saved = repeats.reduce((sum, { length, count }) => sum + length * (count - 1), 0);
  return saved < graph.leastRepeated ? undefined : cutter.write(repeats);
}

class Cutter {
  readonly #graph: PartsGraph;
  readonly #nodes: Node[];
  /** Position of the node that makes a value. */
  readonly #at = new Map<string, number>();
  /** Positions of the nodes that read a value. */
  readonly #readers = new Map<string, number[]>();
  /** How many operations read a value. */
  readonly #users = new Map<string, number>();
  /** Turned values that are written out for what reads them: once, not for each of several parts. */
  readonly #laidOut = new Set<string>();
  readonly #isResult: ReadonlySet<string>;
  readonly #values = new Map<string, Value>();
  /** How many values are made before a node and read by it or later ones. */
  readonly #crossing: Int32Array;
  readonly #kinds = new Map<string, number>();
  readonly #free = new Map<string, Described | null>();

  constructor(graph: PartsGraph) {
    this.#graph = graph;
    this.#isResult = new Set(graph.results.map(({ name }) => name));
    for (const value of graph.results) this.#values.set(value.name, value);
    for (const name of graph.order) {
      const { text, operands } = graph.operation(name) ?? { text: "", operands: [] };
      for (const operand of operands) {
        this.#values.set(operand.name, operand);
        this.#users.set(operand.name, (this.#users.get(operand.name) ?? 0) + 1);
        if (readsLaidOut.test(text) && this.#isTurned(operand.name)) this.#laidOut.add(operand.name);
      }
    }
    this.#nodes = this.#inWrittenOrder().map((name) => {
      const operation = graph.operation(name)!;
      const { kind, leaves } = this.#described(operation);
      // An operation of several results, a loop, is one of its kind.
      return { name, kind: operation.results > 1 ? this.#intern(name) : kind, leaves };
    });
    for (const [position, { name, leaves }] of this.#nodes.entries()) {
      this.#at.set(name, position);
      for (const leaf of leaves) this.#readers.set(leaf.name, [...(this.#readers.get(leaf.name) ?? []), position]);
    }
    this.#crossing = new Int32Array(this.#nodes.length + 1);
    for (const [position, { name }] of this.#nodes.entries()) {
      const last = this.#readers.get(name)?.at(-1) ?? position;
      for (let at = position + 1; at <= last; at++) this.#crossing[at]!++;
    }
  }

  /** Whether a value is a turned one, in this shape or another. */
  #isTurned(name: string): boolean {
    const { text, operands } = this.#graph.operation(name) ?? { text: "", operands: [] };
    if (keepsLayout.test(text)) return this.#isTurned(operands[0]!.name);
    return text.startsWith("stablehlo.transpose ");
  }

  /**
   * What whoever reads it computes for itself, as XLA would, instead of being passed it: constants, and whatever is larger
   * than what it is made from.
   */
  #freeOf(name: string): Described | null {
    const known = this.#free.get(name);
    if (known !== undefined) return known;
    const operation = this.#graph.operation(name);
    let free: Described | null = null;
    if (operation && operation.results === 1 && !this.#isResult.has(name) && cheap.test(operation.text)) {
      const described = this.#described(operation);
      const bytes = described.leaves.reduce(
        (sum, leaf) => sum + (described.sliced.has(leaf.name) ? 0 : bytesOf(leaf)),
        0,
      );
      const own = bytesOf(this.#values.get(name)!);
      const isFree =
        bytes < own ||
        (bytes === own && moves.test(operation.text) && !this.#laidOut.has(name)) ||
        this.#isScaled(operation, described.leaves, own);
      if (isFree && described.operations <= mostFree) free = described;
    }
    this.#free.set(name, free);
    return free;
  }

  /**
   * Whether a value of so many bytes is another one, which is kept for others too, with something small applied to it: the
   * normed residual stream. One step only: a chain of them would be computed anew for each of many readers.
   */
  #isScaled({ operands }: Operation, read: readonly Value[], bytes: number): boolean {
    const [whole, ...more] = read.filter((leaf) => bytesOf(leaf) >= bytes);
    if (whole === undefined || more.length > 0 || !operands.some(({ name }) => name === whole.name)) return false;
    const small = read.reduce((sum, leaf) => sum + (leaf === whole ? 0 : bytesOf(leaf)), 0);
    return 16 * small <= bytes && (this.#users.get(whole.name) ?? 0) > 1;
  }

  /**
   * What an operation is but for the values it reads: the text with cheap operands written out and a number for each value
   * that these and it read. Those are `leaves`, each once.
   */
  #described({ text, operands }: Operation): Described {
    const values = new Map(operands.map((operand) => [operand.name, operand]));
    const leaves = new Map<string, Value>();
    const sliced = new Set<string>();
    let operations = 1;
    if (text.startsWith("stablehlo.dynamic_slice ")) sliced.add(operands[0]!.name);
    const placeOf = (leaf: Value): number => {
      leaves.set(leaf.name, leaf);
      return [...leaves.keys()].indexOf(leaf.name);
    };
    const kind = this.#intern(
      text.replace(names, (name) => {
        const value = values.get(name);
        if (!value) return name;
        const free = this.#freeOf(name);
        if (!free) return `_${placeOf(value)}`;
        operations += free.operations;
        for (const leaf of free.sliced) sliced.add(leaf);
        return `{${free.kind} ${free.leaves.map(placeOf)}}`;
      }),
    );
    return { kind, leaves: [...leaves.values()], operations, sliced };
  }

  #intern(text: string): number {
    const known = this.#kinds.get(text);
    if (known !== undefined) return known;
    this.#kinds.set(text, this.#kinds.size);
    return this.#kinds.size - 1;
  }

  /**
   * Names of what is not free, as the function that was traced wrote them: layer by layer. What the builder wrote at the end
   * for all of them at once, such as random bits, comes before the first.
   */
  #inWrittenOrder(): string[] {
    const numbers = new Map(this.#graph.order.map((name) => [name, Number(/\d+$/.exec(name)?.[0] ?? 0)]));
    const number = (name: string): number => numbers.get(name) ?? 0;
    const order: string[] = [];
    const state = new Map<string, "open" | "done">();
    const late = new Set<string>();
    const heavy = new Set<string>();
    for (const name of this.#graph.order) {
      const { text, operands } = this.#graph.operation(name) ?? { text: "", operands: [] };
      const bases = operands.map((operand) => baseOf(operand.name));
      if (products.test(text) || bases.some((base) => heavy.has(base))) heavy.add(name);
      for (const base of bases) if (number(base) > number(name) && !heavy.has(base)) late.add(base);
    }
    const place = (name: string): number => number(name) - (late.has(name) ? Number.MAX_SAFE_INTEGER / 2 : 0);
    const pending = this.#graph.order.toSorted((a, b) => place(b) - place(a));
    while (pending.length > 0) {
      const name = pending.at(-1)!;
      if (state.get(name) === "done" || !this.#graph.operation(name)) {
        pending.pop();
      } else if (state.get(name) === "open") {
        pending.pop();
        state.set(name, "done");
        if (!this.#freeOf(name)) order.push(name);
      } else {
        state.set(name, "open");
        const bases = this.#graph.operation(name)!.operands.map((operand) => baseOf(operand.name));
        const open = bases.filter((base) => !state.has(base));
        if (open.length > 1) open.sort((a, b) => number(b) - number(a));
        pending.push(...open);
      }
    }
    return order;
  }

  /** Stretches of nodes that come again right after themselves, none of which overlap, in order. */
  repeats(): Repeat[] {
    const found: Repeat[] = [];
    const taken = this.#nodes.map(() => false);
    for (let next = this.#longestRepeat(taken); next; next = this.#longestRepeat(taken)) {
      taken.fill(true, next.start, next.start + next.length * next.count);
      found.push(this.#grouped(next));
    }
    return found;
  }

  /**
   * The repeat with several instances in each, where they are short: between two calls a core waits for most of a millisecond.
   * One instance may be left over, for the part that comes after.
   */
  #grouped(repeat: Repeat): Repeat {
    const { start, length, count } = repeat;
    for (let each = Math.min(Math.floor(mostGrouped / length), Math.floor(count / 2)); each > 1; each--) {
      if (count % each > 1) continue;
      const grouped = this.#repeatAt(start, each * length, Math.floor(count / each));
      if (grouped) return grouped;
    }
    return repeat;
  }

  /** The repeat that saves most. */
  #longestRepeat(taken: readonly boolean[]): Repeat | undefined {
    const candidates: { start: number; end: number; length: number; count: number }[] = [];
    const kinds = Int32Array.from(this.#nodes, ({ kind }) => kind);
    // Between what is taken: a repeat does not reach over it, and short stretches are soon searched.
    for (let from = 0, to = 0; from < taken.length; from = to + 1) {
      to = taken.indexOf(true, from);
      if (to < 0) to = taken.length;
      for (let length = shortest; length <= Math.min(longest, (to - from) / 2); length++) {
        let run = 0;
        for (let at = from; at + length <= to; at++) {
          if (at + length < to && kinds[at] === kinds[at + length]) run++;
          else {
            if (run >= length) {
              const count = Math.floor(run / length) + 1;
              candidates.push({ start: at - run, end: at + length, length, count });
            }
            run = 0;
          }
        }
      }
    }
    const saving = (each: { length: number; count: number }): number => each.length * (each.count - 1);
    candidates.sort((a, b) => saving(b) - saving(a) || a.length - b.length);
    for (const { start, end, length, count } of candidates.slice(0, 8)) {
      for (const instances of [count, count - 1]) {
        if (instances < 2) continue;
        // Where in a layer it is cut: where the fewest values cross.
        const places = range(end - length * instances - start + 1, start).toSorted(
          (a, b) => this.#crossing[a]! - this.#crossing[b]!,
        );
        for (const at of places.slice(0, 8)) {
          const repeat = this.#repeatAt(at, length, instances);
          if (repeat) return repeat;
        }
      }
    }
    return undefined;
  }

  /** The repeat at this place; undefined where its instances do not read alike. */
  #repeatAt(start: number, length: number, count: number): Repeat | undefined {
    const takes = new Map<string, Value[]>();
    const isWithin = (name: string, from: number): number => {
      const at = this.#at.get(name);
      return at !== undefined && at >= from && at < from + length ? at - from : -1;
    };
    for (let offset = 0; offset < length; offset++) {
      const first = this.#nodes[start + offset]!;
      for (const [place, leaf] of first.leaves.entries()) {
        const within = isWithin(leaf.name, start);
        const values = [leaf];
        for (let instance = 1; instance < count; instance++) {
          const from = start + instance * length;
          const other = this.#nodes[from + offset]!.leaves[place]!;
          if (isWithin(other.name, from) !== within) return undefined;
          values.push(other);
        }
        if (within >= 0) continue;
        const known = takes.get(leaf.name);
        if (!known) takes.set(leaf.name, values);
        else if (known.some((value, index) => value.name !== values[index]!.name)) return undefined;
      }
    }
    const gives: number[] = [];
    for (let offset = 0; offset < length; offset++) {
      for (let instance = 0; instance < count; instance++) {
        const from = start + instance * length;
        if (!this.#leaves(this.#nodes[from + offset]!.name, from, from + length)) continue;
        gives.push(offset);
        break;
      }
    }
    return { start, length, count, takes: [...takes.values()], gives };
  }

  /** Whether a value is read outside the stretch that makes it, or a result. */
  #leaves(name: string, from: number, to: number): boolean {
    return this.#isResult.has(name) || (this.#readers.get(name) ?? []).some((reader) => reader < from || reader >= to);
  }

  write(repeats: readonly Repeat[]): Parts {
    const parts: Part[] = [];
    const calls: PartCall[] = [];
    const between = (from: number, to: number): void => {
      if (from === to) return;
      const takes = new Map<string, Value>();
      for (let at = from; at < to; at++)
        for (const leaf of this.#nodes[at]!.leaves) {
          const made = this.#at.get(baseOf(leaf.name));
          if (made === undefined || made < from || made >= to) takes.set(leaf.name, leaf);
        }
      const gives = new Map<string, Value>();
      for (let at = from; at < to; at++)
        for (const value of this.#valuesOf(this.#nodes[at]!.name))
          if (this.#leaves(value.name, from, to)) gives.set(value.name, value);
      parts.push(this.#part(from, to, [...takes.values()], [...gives.values()]));
      calls.push({ part: parts.length - 1, takes: [...takes.keys()], gives: [...gives.keys()] });
    };
    const instances = repeats
      .flatMap((repeat) =>
        range(repeat.count).map((instance) => ({ repeat, instance, start: repeat.start + instance * repeat.length })),
      )
      .toSorted((a, b) => a.start - b.start);
    const partOf = new Map<Repeat, number>();
    let done = 0;
    for (const { repeat, instance, start } of instances) {
      between(done, start);
      done = start + repeat.length;
      const gives = repeat.gives.map((offset) => this.#nodes[start + offset]!.name);
      if (!partOf.has(repeat)) {
        const made = gives.map((name) => this.#values.get(name)!);
        const takes = repeat.takes.map((values) => values[0]!);
        partOf.set(repeat, parts.push(this.#part(start, done, takes, made)) - 1);
      }
      const takes = repeat.takes.map((values) => values[instance]!.name);
      calls.push({ part: partOf.get(repeat)!, takes, gives });
    }
    between(done, this.#nodes.length);
    return { parts, calls };
  }

  /** What an operation makes, as far as anything reads it. */
  #valuesOf(name: string): Value[] {
    const { results } = this.#graph.operation(name)!;
    if (results === 1) return this.#values.has(name) ? [this.#values.get(name)!] : [];
    return Array.from({ length: results }, (_, index) => this.#values.get(`${name}#${index}`)).filter(
      (value) => value !== undefined,
    );
  }

  #part(from: number, to: number, takes: readonly Value[], gives: readonly Value[]): Part {
    const lines: string[] = [];
    const written = new Set<string>();
    const taken = new Set(takes.map(({ name }) => name));
    const write = (name: string): void => {
      if (written.has(name)) return;
      written.add(name);
      const { text, operands, results } = this.#graph.operation(name)!;
      for (const operand of operands) if (this.#freeOf(operand.name)) write(operand.name);
      lines.push(`    ${name}${results > 1 ? `:${results}` : ""} = ${passed(text)}`);
    };
    // One of several results cannot be a parameter's name, and no name of digits has more than digits.
    const plain = (name: string): string => (name.includes("#") ? `%of_${name.slice(1).replace("#", "_")}` : name);
    const passed = (text: string): string =>
      text.replace(names, (name) => (name.includes("#") && taken.has(name) ? plain(name) : name));
    for (let at = from; at < to; at++) write(this.#nodes[at]!.name);
    const parameters = takes.map((value) => `${plain(value.name)}: ${typeText(value)}`).join(", ");
    const types = gives.map(typeText).join(", ");
    const text = `module @part {\n  func.func public @main(${parameters}) -> (${types}) {\n${lines.join("\n")}\n    return ${gives.map(({ name }) => name).join(", ")} : ${types}\n  }\n}\n`;
    return { text, takes, gives };
  }
}
