// `__bunsen__`, the object that transformed cells call: declarations, imports, awaits and JSX elements.
// Not here: the transform that writes those calls (../transform.ts).

import { HELPER } from "../rewriter.ts";
import type { TransformContext } from "../transform.ts";
import { noteAwait } from "./awaits.ts";
import { type CellState, contextCell, enterCell } from "./cells.ts";
import { ClassDecorating } from "./decorators.ts";
import { legacyDecorators } from "./legacy-decorators.ts";
import { importMeta, importModule } from "./modules.ts";

const PromiseResolve = Promise.resolve.bind(Promise);

/** The engine's own globals, as they are before any user code. The language's constants cannot be declared at all. */
const builtIns: ReadonlySet<string> = new Set(
  Object.getOwnPropertyNames(globalThis).filter(
    (name) => !["undefined", "NaN", "Infinity", "globalThis"].includes(name),
  ),
);

/** Values that cells have given to built-in names; libraries go on seeing the built-in ones. */
export const shadows: Record<string, unknown> = Object.create(null);

/** Built-in names that cells have declared, for the transform. A new set with each change: cells remember theirs. */
let context: TransformContext = { builtIns, shadowed: new Set(), script: 0 };

export function transformContext(script: number): TransformContext {
  return legacy === undefined ? { ...context, script } : { ...context, script, legacyDecorators: legacy };
}

let legacy: TransformContext["legacyDecorators"];

/** Where a name's value lives: on `globalThis`, or beside it for the name of a built-in. */
function holderOf(name: string): object {
  if (!builtIns.has(name)) return globalThis;
  if (!context.shadowed.has(name)) context = { builtIns, shadowed: new Set([...context.shadowed, name]), script: 0 };
  return shadows;
}

/** Declares a name for all cells. A constant can be declared again but not assigned to. */
function declare(name: string, value: unknown, constant: boolean): void {
  Object.defineProperty(holderOf(name), name, { value, writable: !constant, enumerable: true, configurable: true });
}

function places(constant: boolean): object {
  return new Proxy(Object.create(null), {
    set(_target, name, value): boolean {
      declare(String(name), value, constant);
      return true;
    },
  });
}

/** A thenable for `await`: it resumes inside a guard, and an interrupt can end it. */
class Pause {
  readonly #value: unknown;
  readonly #state: CellState | undefined;
  readonly #script: number;
  readonly #offset: number;

  constructor(value: unknown, state: CellState | undefined, script: number, offset: number) {
    this.#script = script;
    this.#offset = offset;
    this.#value = value;
    this.#state = state;
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaited is its purpose
  then(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
    const state = this.#state;
    let over = false;
    const stop = (error: Error): void => {
      if (over) return;
      over = true;
      noteAwait(error, this.#script, this.#offset);
      enterCell(state, () => reject(error));
    };
    if (state !== undefined) state.awaits.add(stop);
    const settle = (way: (value: unknown) => void, value: unknown): void => {
      if (over) return;
      over = true;
      state?.awaits.delete(stop);
      if (state?.abandoned === true) return;
      enterCell(state, () => way(value));
    };
    PromiseResolve(this.#value).then(
      (value) => settle(resolve, value),
      (error) => {
        noteAwait(error, this.#script, this.#offset);
        settle(reject, error);
      },
    );
  }
}

function pause(value: unknown, script: number, offset: number): PromiseLike<unknown> {
  return new Pause(value, contextCell(), script, offset) as unknown as PromiseLike<unknown>;
}

/** A callback given to a promise: it runs guarded like what follows an await. */
function callback(value: unknown): unknown {
  if (typeof value !== "function") return value;
  return (...values: unknown[]): unknown => {
    let result: unknown;
    enterCell(contextCell(), () => {
      result = (value as (...values: unknown[]) => unknown)(...values);
    });
    return result;
  };
}

type AnyIterator = AsyncIterator<unknown> | Iterator<unknown>;

/** `for await` over it pauses like `await`. */
function pausingIterable(iterable: unknown, script: number, offset: number): object {
  const source = iterable as {
    [Symbol.asyncIterator]?: () => AnyIterator;
    [Symbol.iterator]?: () => AnyIterator;
  } | null;
  const asyncMethod = source?.[Symbol.asyncIterator];
  const method = asyncMethod ?? source?.[Symbol.iterator];
  if (typeof method !== "function") throw new TypeError(`${Bun.inspect(iterable)} is not async iterable`);
  const isAsync = typeof asyncMethod === "function";
  const relay = (result: unknown): PromiseLike<unknown> => {
    if (isAsync) return pause(result, script, offset);
    const { done, value } = result as IteratorResult<unknown>;
    return pause(
      PromiseResolve(value).then((settled) => ({ done, value: settled })),
      script,
      offset,
    );
  };
  return {
    [Symbol.asyncIterator](): object {
      const iterator = method.call(source) as AnyIterator;
      return {
        next: (): PromiseLike<unknown> => relay(iterator.next()),
        return: (value: unknown): PromiseLike<unknown> =>
          iterator.return === undefined
            ? pause({ done: true, value }, script, offset)
            : relay((iterator.return as (value: unknown) => unknown).call(iterator, value)),
      };
    },
  };
}

/** Loads a module and declares what a static import names. `bindings` null takes every export. */
async function bind(
  source: string | [string, Record<string, string>],
  bindings: readonly (readonly [string, string])[] | null,
): Promise<void> {
  const [name, attributes] = typeof source === "string" ? [source, undefined] : source;
  const module = await importModule(name, attributes === undefined ? undefined : { with: attributes });
  const wanted =
    bindings ??
    Object.keys(module).flatMap((exported): [string, string][] =>
      exported === "default" ? [] : [[exported, exported]],
    );
  for (const [exported, local] of wanted) {
    if (exported === "*") declare(local, module, true);
    else if (exported in module) declare(local, module[exported], true);
    else declareMissing(name, module, exported, local);
  }
}

/** A name that the module lacks may be a type, which needs no value: it becomes an error where it is used as a value. */
function declareMissing(source: string, module: Record<string, unknown>, exported: string, local: string): void {
  const describe = (): ReferenceError => {
    const names = Object.keys(module);
    const list = names.length === 0 ? "nothing" : names.slice(0, 12).join(", ") + (names.length > 12 ? ", …" : "");
    return new ReferenceError(
      `Module "${source}" has no value named "${exported}" (it exports ${list}). If ${local} is a type, use it as a type only.`,
    );
  };
  Object.defineProperty(holderOf(local), local, {
    configurable: true,
    enumerable: true,
    get(): never {
      throw describe();
    },
    set(): never {
      throw describe();
    },
  });
}

const Fragment: symbol = Symbol.for("react.fragment");

/** A JSX element, shaped like React's, so that React's own tools take it too. */
function jsx(type: unknown, attributes: Record<string, unknown> | null, ...children: unknown[]): object {
  const { key = null, ref, ...props } = attributes ?? {};
  if (ref !== undefined) props.ref = ref;
  if (children.length === 1) props.children = children[0];
  else if (children.length > 1) props.children = children;
  return {
    $$typeof: Symbol.for("react.transitional.element"),
    type,
    key: key === null ? null : String(key),
    ref: null,
    props,
  };
}

/** Puts the object in place. Not enumerable: it is no variable of the user's. */
export function installScriptRuntime(cwd: string): void {
  legacy = legacyDecorators(cwd);
  const runtime = {
    s: shadows,
    v: places(false),
    k: places(true),
    a: pause,
    i: pausingIterable,
    f: callback,
    bind,
    import: importModule,
    meta: importMeta,
    jsx,
    Fragment,
    decorators: (): ClassDecorating => new ClassDecorating(),
    vars(names: readonly string[]): void {
      for (const name of names) {
        const old = Object.getOwnPropertyDescriptor(holderOf(name), name);
        const isConstant = old !== undefined && "value" in old && old.writable === false;
        if (old === undefined || isConstant || "get" in old) declare(name, isConstant ? old.value : undefined, false);
      }
    },
    reset(names: readonly string[]): void {
      for (const name of names) declare(name, undefined, false);
    },
  };
  Object.defineProperty(globalThis, HELPER, { value: Object.freeze(runtime), enumerable: false });
}
