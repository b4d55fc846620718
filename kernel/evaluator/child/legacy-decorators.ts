// What cells with `experimentalDecorators` in the user's tsconfig call: the decorators TypeScript had before the standard's, with
// parameter decorators and, where reflect-metadata is loaded, types at run time. The standard's are decorators.ts's.

import { findTsconfig, readTsconfig } from "../../syntax/tsconfig.ts";

type Decorator = (target: object, key?: string | symbol, third?: unknown) => unknown;

function decorate(
  decorators: readonly (Decorator | undefined)[],
  ...place: readonly [target: object, key?: string | symbol, descriptor?: PropertyDescriptor | null]
): unknown {
  const [target, key, given] = place;
  const isClass = place.length < 3;
  let result: unknown =
    isClass || key === undefined ? target : given === null ? Object.getOwnPropertyDescriptor(target, key) : given;
  for (const decorator of decorators.toReversed()) {
    if (decorator === undefined) continue;
    result = (isClass ? decorator(result as object) : decorator(target, key, result)) || result;
  }
  if (!isClass && key !== undefined && result) Object.defineProperty(target, key, result);
  return result;
}

const helpers = {
  decorate,
  decorateParam:
    (index: number, decorator: Decorator): Decorator =>
    (target, key) =>
      decorator(target, key, index),
  decorateMetadata: (key: string, value: unknown): Decorator | undefined =>
    (Reflect as { metadata?: (key: string, value: unknown) => Decorator }).metadata?.(key, value),
};

/** What the tsconfig above the notebook asks for; puts the helpers in place where it does. */
export function legacyDecorators(cwd: string): { readonly metadata: boolean } | undefined {
  const path = findTsconfig(cwd);
  const config = path === undefined ? undefined : readTsconfig(path);
  if (config?.experimentalDecorators !== true) return undefined;
  // The transform library calls them by this name. Not enumerable: it is no variable of the user's.
  Object.defineProperty(globalThis, "babelHelpers", { value: helpers, configurable: true, enumerable: false });
  return { metadata: config.emitDecoratorMetadata };
}
