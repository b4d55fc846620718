// The JSX runtime of TSX cells whose folder has no React: `<b>hi</b>` makes an element that element.ts shows as HTML.
// It makes elements and renders nothing. The names and shapes are those of the automatic JSX runtime.

/** A JSX element, of the shape that React's renderers know too. */
export interface JsxElement {
  readonly $$typeof: symbol;
  readonly type: unknown;
  readonly key: string | null;
  readonly ref: null;
  readonly props: Readonly<Record<string, unknown>>;
}

/** `<></>` */
export const Fragment: unique symbol = Symbol.for("react.fragment") as never;

export function jsx(type: unknown, props: Record<string, unknown>, key?: unknown): JsxElement {
  return {
    $$typeof: Symbol.for("react.element"),
    type,
    key: key === undefined ? null : String(key),
    ref: null,
    props: props ?? {},
  };
}

export { jsx as jsxs };

/** The development runtime's call has more arguments (source positions), which are not needed here. */
export function jsxDEV(type: unknown, props: Record<string, unknown>, key?: unknown): JsxElement {
  return jsx(type, props, key);
}

/** The types that TypeScript asks for: any tag with any attribute. */
export declare namespace JSX {
  type Element = JsxElement;
  type ElementType = string | ((props: never) => unknown) | (new (props: never) => unknown);
  interface ElementChildrenAttribute {
    children: unknown;
  }
  interface IntrinsicElements {
    [tag: string]: Record<string, unknown>;
  }
}
