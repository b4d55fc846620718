// What the event loop calls of the user's (and of the libraries' that cells use): timers, event emitters, servers and sockets, file
// callbacks, event listeners. Each call enters through the guard, so that a loop in one can be interrupted. Awaits are the
// transform's business (script-runtime.ts). Not covered, and told after two seconds: what follows an await in library code.

import { createRequire } from "node:module";
import { contextCell, enterCell, InterruptedError } from "./cells.ts";
import { isGuarded } from "./guard.ts";

type Callback = (this: unknown, ...values: unknown[]) => unknown;

const builtIn = createRequire(import.meta.url);

/** The callback, guarded; an interrupt in it throws where it was called, as its own error would. */
function guarded<T>(callback: T): T {
  if (typeof callback !== "function") return callback;
  const call = callback as unknown as Callback;
  return function guardedCallback(this: unknown, ...values: unknown[]): unknown {
    if (isGuarded()) return call.apply(this, values);
    let result: unknown;
    let ended = false;
    // What it queues runs when the event loop would run it: library code may count on that order.
    const enter = (): void => {
      result = call.apply(this, values);
      ended = true;
    };
    enterCell(contextCell(), enter, false);
    if (!ended) throw new InterruptedError();
    return result;
  } as unknown as T;
}

/** The same for timers: nobody is there to catch an interrupt, and what they queue is guarded too. */
function guardedTimer(callback: unknown): unknown {
  if (typeof callback !== "function") return callback;
  const call = callback as Callback;
  return (...values: unknown[]): void => enterCell(contextCell(), () => void call(...values));
}

/** A function that stands in for another, with the same properties (such as `util.promisify.custom`). */
function instead(original: Callback, replacement: Callback): Callback {
  for (const property of Reflect.ownKeys(original)) {
    const descriptor = Object.getOwnPropertyDescriptor(original, property);
    if (descriptor !== undefined && property !== "prototype") Object.defineProperty(replacement, property, descriptor);
  }
  return replacement;
}

function installTimers(): void {
  const timers = builtIn("node:timers") as Record<string, unknown>;
  for (const name of ["setTimeout", "setInterval", "setImmediate"] as const) {
    const original = globalThis[name] as unknown as Callback;
    const wrapped = instead(original, (callback, ...rest) => original(guardedTimer(callback), ...rest));
    Object.defineProperty(globalThis, name, { value: wrapped, writable: true, configurable: true, enumerable: true });
    timers[name] = wrapped;
  }
}

function installEmitters(): void {
  const { prototype } = builtIn("node:events") as { prototype: { emit: Callback } };
  prototype.emit = instead(prototype.emit, guarded(prototype.emit));
}

/** Modules whose functions take a callback as their last argument. */
const CALLBACK_MODULES: readonly string[] = ["node:fs", "node:dns", "node:zlib", "node:crypto"];
const guardedModules = new Set<string>();

/**
 * The functions of such a module, guarded; null for other modules. From the first call on, whoever requires the module has them too.
 * (What has imported it by name before has the functions as they were. Loading all of them at the start would take longer than the
 * start itself.)
 */
export function guardedModule(path: string): Record<string, unknown> | null {
  const name = path.startsWith("node:") ? path : `node:${path}`;
  if (!CALLBACK_MODULES.includes(name)) return null;
  const functions = builtIn(name) as Record<string, unknown>;
  if (guardedModules.has(name)) return functions;
  guardedModules.add(name);
  for (const [key, value] of Object.entries(functions)) {
    if (typeof value !== "function" || /^[A-Z]|Sync$/.test(key)) continue;
    const original = value as Callback;
    functions[key] = instead(original, function (this: unknown, ...values: unknown[]): unknown {
      const last = values.length - 1;
      if (typeof values[last] === "function") values[last] = guarded(values[last]);
      return original.apply(this, values);
    });
  }
  return functions;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** A copy of an options object with its functions guarded, also those one or two plain objects deeper (routes, a websocket's handlers). */
function guardedOptions(options: unknown, depth: number): unknown {
  if (typeof options !== "object" || options === null) return options;
  const copy: Record<string, unknown> = { ...options };
  for (const [key, value] of Object.entries(copy)) {
    if (typeof value === "function") copy[key] = guarded(value);
    else if (depth > 0 && isPlainObject(value)) copy[key] = guardedOptions(value, depth - 1);
  }
  return copy;
}

function installServers(): void {
  const bun = Bun as unknown as Record<"serve" | "listen" | "connect" | "udpSocket", Callback>;
  const { serve } = bun;
  bun.serve = instead(serve, (options) => {
    const server = serve(guardedOptions(options, 2)) as { reload: Callback };
    const reload = server.reload.bind(server);
    server.reload = (next): unknown => reload(guardedOptions(next, 2));
    return server;
  });
  for (const name of ["listen", "connect", "udpSocket"] as const) {
    const original = bun[name];
    bun[name] = instead(original, (options) => original(guardedOptions(options, 1)));
  }
}

/** Listeners are known by identity: the same function must be removable. */
const listeners = new WeakMap<object, unknown>();

function guardedListener(listener: unknown): unknown {
  if (typeof listener !== "function") return listener;
  const known = listeners.get(listener) ?? guarded(listener);
  listeners.set(listener, known);
  return known;
}

function installEventTargets(): void {
  const target = EventTarget.prototype as unknown as Record<"addEventListener" | "removeEventListener", Callback>;
  for (const name of ["addEventListener", "removeEventListener"] as const) {
    const original = target[name];
    target[name] = instead(original, function (this: unknown, type, listener, ...rest): unknown {
      return original.call(this, type, guardedListener(listener), ...rest);
    });
  }
  for (const { prototype } of [WebSocket, Worker, MessagePort, BroadcastChannel, AbortSignal]) {
    for (const name of Object.getOwnPropertyNames(prototype).filter((property) => property.startsWith("on"))) {
      const { get, set } = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
      if (get === undefined || set === undefined) continue;
      const given = new WeakMap<object, unknown>();
      Object.defineProperty(prototype, name, {
        configurable: true,
        enumerable: true,
        get(): unknown {
          const current: unknown = get.call(this);
          return (typeof current === "function" ? given.get(current) : undefined) ?? current;
        },
        set(listener: unknown) {
          const wrapped = guardedListener(listener);
          if (typeof wrapped === "function") given.set(wrapped, listener);
          set.call(this, wrapped);
        },
      });
    }
  }
}

/** To be called once, after the kernel's own sockets and timers are there: those are not guarded. */
export function installCallbacks(): void {
  installTimers();
  installEmitters();
  guardedModule("node:fs");
  installServers();
  installEventTargets();
}
