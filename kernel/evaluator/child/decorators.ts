// What lowered decorators (../decorators.ts) call at run time: one object per class definition, which follows the order and the
// contexts of the TC39 proposal (2023-11, stage 3). Not a transform.

type Decorator = (value: unknown, context: object) => unknown;
type Kind = "method" | "getter" | "setter" | "field" | "accessor";
type AnyFunction = (...values: unknown[]) => unknown;

interface Access {
  readonly get: ((object: unknown) => unknown) | null;
  readonly set: ((object: unknown, value: unknown) => void) | null;
  readonly has: (object: unknown) => boolean;
}

interface Element {
  readonly kind: Kind;
  readonly isStatic: boolean;
  readonly decorators: readonly Decorator[];
  /** Where the element really is: a private method has a symbol of its own. */
  readonly key: string | symbol;
  readonly name: string | symbol;
  readonly isPrivate: boolean;
  access: Access | null;
  /** A private method's or accessor's function, as decorated. */
  method: AnyFunction | null;
  readonly initial: AnyFunction[];
  readonly extra: AnyFunction[];
}

const METADATA: symbol = (Symbol as { metadata?: symbol }).metadata ?? Symbol.for("Symbol.metadata");

function asFunction(value: unknown, what: string): AnyFunction {
  if (typeof value !== "function") throw new TypeError(`${what} must be a function, not ${typeof value}.`);
  return value as AnyFunction;
}

/** The decorating of one class. */
export class ClassDecorating {
  readonly #elements: Element[] = [];
  #classDecorators: readonly Decorator[] = [];
  #value: AnyFunction | null = null;
  readonly #classExtra: AnyFunction[] = [];

  /** Class decorators, evaluated before anything else of the class. */
  classes(decorators: readonly Decorator[]): void {
    this.#classDecorators = decorators;
  }

  /** Evaluates an element's key; gives the property key to define it under. */
  key(
    index: number,
    kind: Kind,
    isStatic: boolean,
    decorators: readonly Decorator[],
    key: unknown,
    isPrivate = false,
  ): string | symbol {
    for (const decorator of decorators) asFunction(decorator, "A decorator");
    const name = typeof key === "symbol" ? key : `${key as string}`;
    const isHidden = isPrivate && kind !== "field" && kind !== "accessor";
    const element: Element = {
      kind,
      isStatic,
      decorators,
      key: isHidden ? Symbol(String(name)) : name,
      name,
      isPrivate,
      access: null,
      method: null,
      initial: [],
      extra: [],
    };
    this.#elements[index] = element;
    return element.key;
  }

  /** The key once more, for an accessor's second half. */
  again(index: number): string | symbol {
    return this.#at(index).key;
  }

  access(index: number, get: Access["get"], set: Access["set"], has: Access["has"]): void {
    const element = this.#elements[index];
    if (element !== undefined) element.access = { get, set, has };
  }

  #at(index: number): Element {
    const element = this.#elements[index];
    if (element === undefined) throw new Error("A class element was used before its key was evaluated.");
    return element;
  }

  /** Applies all decorators, in the class's first static block; gives what the class's name stands for. */
  begin(cls: AnyFunction): AnyFunction {
    const parent = Object.getPrototypeOf(cls) as { [METADATA]?: object } | null;
    const inherited = (parent as Record<symbol, unknown> | null)?.[METADATA];
    const metadata: object = Object.create((inherited as object | undefined) ?? null);
    const elements = this.#elements.filter((element) => element !== undefined);
    const isField = (element: Element): boolean => element.kind === "field";
    const ordered = [
      ...elements.filter((element) => !isField(element) && element.isStatic),
      ...elements.filter((element) => !isField(element) && !element.isStatic),
      ...elements.filter((element) => isField(element) && element.isStatic),
      ...elements.filter((element) => isField(element) && !element.isStatic),
    ];
    for (const element of ordered) decorate(element, cls, metadata);
    let value = cls;
    for (const decorator of this.#classDecorators.toReversed()) {
      const context = {
        kind: "class",
        name: cls.name,
        metadata,
        addInitializer: (initializer: unknown): void => {
          this.#classExtra.push(asFunction(initializer, "An initializer"));
        },
      };
      const replaced = decorator(value, context);
      if (replaced !== undefined) value = asFunction(replaced, "What a class decorator returns");
    }
    Object.defineProperty(value, METADATA, { value: metadata, configurable: true, writable: true });
    this.#value = value;
    for (const element of elements) {
      if (element.isStatic && isMethod(element)) for (const initializer of element.extra) initializer.call(cls);
    }
    return value;
  }

  /** Runs what methods' decorators added for each new instance. */
  start(instance: unknown): void {
    for (const element of this.#elements) {
      if (element === undefined || element.isStatic || !isMethod(element)) continue;
      for (const initializer of element.extra) initializer.call(instance);
    }
  }

  /** A field's value as its decorators make it. */
  init(index: number, self: unknown, value: unknown): unknown {
    let made = value;
    for (const initializer of this.#at(index).initial) made = initializer.call(self, made);
    return made;
  }

  /** What a field's decorators added to run after it. */
  after(index: number, self: unknown): void {
    for (const initializer of this.#at(index).extra) initializer.call(self);
  }

  /** A decorated private method. */
  method(index: number): AnyFunction | null {
    return this.#at(index).method;
  }

  /** The finished class. */
  end(): AnyFunction {
    const value = this.#value;
    if (value === null) throw new Error("A decorated class ended before it began.");
    for (const initializer of this.#classExtra) initializer.call(value);
    return value;
  }
}

function isMethod(element: Element): boolean {
  return element.kind !== "field" && element.kind !== "accessor";
}

function contextOf(element: Element, metadata: object, isOver: () => boolean): object {
  const { kind, name, isStatic, isPrivate, access, extra } = element;
  const key = name as string;
  const read = access?.get ?? ((object: unknown): unknown => (object as Record<string, unknown>)[key]);
  const write =
    access?.set ??
    ((object: unknown, value: unknown): void => {
      (object as Record<string, unknown>)[key] = value;
    });
  const has = access?.has ?? ((object: unknown): boolean => key in (object as object));
  return {
    kind,
    name,
    static: isStatic,
    private: isPrivate,
    metadata,
    access: {
      has,
      ...(kind === "setter" ? {} : { get: read }),
      ...(kind === "getter" || kind === "method" ? {} : { set: write }),
    },
    addInitializer(initializer: unknown): void {
      if (isOver()) throw new TypeError("addInitializer was called after the decorator had returned.");
      extra.push(asFunction(initializer, "An initializer"));
    },
  };
}

function decorate(element: Element, cls: AnyFunction, metadata: object): void {
  const target = element.isStatic ? cls : (cls.prototype as object);
  const apply = (value: unknown, take: (result: unknown) => unknown): unknown => {
    let current = value;
    for (const decorator of element.decorators.toReversed()) {
      let over = false;
      const result = decorator(
        current,
        contextOf(element, metadata, () => over),
      );
      over = true;
      if (result !== undefined) current = take(result) ?? current;
    }
    return current;
  };
  if (element.kind === "field") {
    apply(undefined, (result) => {
      element.initial.unshift(asFunction(result, "What a field decorator returns"));
      return undefined;
    });
    return;
  }
  if (element.kind === "accessor") {
    if (element.isPrivate) {
      throw new TypeError(
        "Decorators on private auto-accessors are not supported; decorate a private field or a public accessor.",
      );
    }
    const old = Object.getOwnPropertyDescriptor(target, element.key) ?? {};
    // A new object each time: a decorator may keep the one it was given.
    let { get, set } = old;
    apply({ get, set }, (result) => {
      if (typeof result !== "object" || result === null) {
        throw new TypeError(`What an accessor decorator returns must be an object, not ${typeof result}.`);
      }
      const replaced = result as { get?: unknown; set?: unknown; init?: unknown };
      if (replaced.get !== undefined) get = asFunction(replaced.get, "get") as () => unknown;
      if (replaced.set !== undefined) set = asFunction(replaced.set, "set") as (value: unknown) => void;
      if (replaced.init !== undefined) element.initial.unshift(asFunction(replaced.init, "init"));
      return { get, set };
    });
    Object.defineProperty(target, element.key, {
      configurable: true,
      enumerable: false,
      ...(get === undefined ? {} : { get }),
      ...(set === undefined ? {} : { set }),
    });
    return;
  }
  const old = Object.getOwnPropertyDescriptor(target, element.key) ?? {};
  const slot = element.kind === "getter" ? "get" : element.kind === "setter" ? "set" : "value";
  const made = apply(old[slot], (result) => asFunction(result, "What a method decorator returns")) as AnyFunction;
  if (element.isPrivate) {
    Reflect.deleteProperty(target, element.key);
    Object.defineProperty(made, "name", { value: String(element.name), configurable: true });
    element.method = made;
  } else Object.defineProperty(target, element.key, { ...old, [slot]: made });
}
