// Timers of user code (and of the libraries it uses): their callbacks run guarded, so that a loop in one can be interrupted.

import { contextCell, enterCell } from "./cells.ts";

type Callback = (...values: unknown[]) => unknown;

function guarded(callback: unknown): unknown {
  if (typeof callback !== "function") return callback;
  return (...values: unknown[]): void => enterCell(contextCell(), () => void (callback as Callback)(...values));
}

/** Replaces the global timer functions; properties such as `util.promisify.custom` stay. */
export function installTimers(): void {
  for (const name of ["setTimeout", "setInterval", "setImmediate"] as const) {
    const original = globalThis[name] as unknown as Callback;
    const wrapped = (callback: unknown, ...rest: unknown[]): unknown => original(guarded(callback), ...rest);
    for (const property of Reflect.ownKeys(original)) {
      const descriptor = Object.getOwnPropertyDescriptor(original, property);
      if (descriptor !== undefined && property !== "prototype") Object.defineProperty(wrapped, property, descriptor);
    }
    Object.defineProperty(globalThis, name, { value: wrapped, writable: true, configurable: true, enumerable: true });
  }
}
