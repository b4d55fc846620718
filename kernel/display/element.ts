// JSX elements (React's, Preact's, and those of our own jsx-runtime.ts) as HTML. A small static renderer: function
// components are called, text and attributes escaped, event handlers left out. A component that needs React's hooks
// is handed to react-dom/server, where the notebook's folder has it. Nothing here reacts to anything later.
import type { Bundle, Formatter } from "./bundle.ts";
import { escapeHtml } from "./escape.ts";
import { guarded } from "./guarded.ts";

interface ElementLike {
  readonly type: unknown;
  readonly props: Readonly<Record<string, unknown>>;
}

const elementSymbols: ReadonlySet<unknown> = new Set([
  Symbol.for("react.element"),
  Symbol.for("react.transitional.element"),
]);
const fragmentSymbol = Symbol.for("react.fragment");

export function isElement(value: unknown): value is ElementLike {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as { $$typeof?: unknown; type?: unknown; props?: unknown; constructor?: unknown };
  if (typeof candidate.props !== "object" || candidate.props === null) return false;
  // Preact marks its nodes by an own `constructor: undefined`, so that JSON cannot forge them.
  return (
    elementSymbols.has(candidate.$$typeof) ||
    (Object.hasOwn(candidate, "constructor") && candidate.constructor === undefined && "type" in candidate)
  );
}

export const elementFormatter: Formatter = {
  name: "JSX element",
  runsUserCode: true,
  matches: isElement,
  async format(value: object): Promise<Bundle> {
    const html = await renderElement(value as ElementLike);
    return { data: { "text/html": html, "text/plain": html }, metadata: {} };
  },
};

async function renderElement(element: ElementLike): Promise<string> {
  try {
    return await renderNode(element, 0);
  } catch (error) {
    const server = importReactServer();
    if (server === null) throw error;
    const { renderToStaticMarkup } = await guarded(
      import(server) as Promise<{ renderToStaticMarkup(node: unknown): string }>,
    );
    return renderToStaticMarkup(element);
  }
}

function importReactServer(): string | null {
  try {
    return Bun.resolveSync("react-dom/server", process.cwd());
  } catch {
    // Not installed beside the notebook: the component's own error is the better message.
    return null;
  }
}

const maxDepth = 500;

/** Children in document order; components may be asynchronous. */
async function renderNode(node: unknown, depth: number): Promise<string> {
  if (depth > maxDepth)
    throw new RangeError(`The element is nested more than ${maxDepth} deep: does a component render itself?`);
  if (node === null || node === undefined || typeof node === "boolean") return "";
  if (typeof node === "string" || typeof node === "number" || typeof node === "bigint") return escapeHtml(String(node));
  if (isElement(node)) return renderOne(node, depth);
  if (node instanceof Promise) return renderNode(await node, depth);
  if (typeof node === "object" && Symbol.iterator in node) {
    const parts: string[] = [];
    for (const child of node as Iterable<unknown>) parts.push(await renderNode(child, depth + 1));
    return parts.join("");
  }
  throw new TypeError(
    `A ${typeof node === "object" ? (node.constructor?.name ?? "object") : typeof node} cannot be a child of a JSX element; expected text, numbers, elements or arrays of them.`,
  );
}

async function renderOne({ type, props }: ElementLike, depth: number): Promise<string> {
  if (type === fragmentSymbol) return renderNode(props.children, depth + 1);
  if (typeof type === "string") return renderTag(type, props, depth);
  if (typeof type === "function") return renderNode(await callComponent(type as Component, props), depth + 1);
  // memo and forwardRef wrap a component one or more levels deep.
  const wrapped = type as { type?: unknown; render?: unknown } | null;
  if (typeof wrapped?.render === "function") {
    const render = wrapped.render as (props: unknown, ref: null) => unknown;
    return renderNode(await render(props, null), depth + 1);
  }
  if (wrapped?.type !== undefined) return renderOne({ type: wrapped.type, props }, depth + 1);
  // Providers, Suspense and StrictMode only group their children.
  if (typeof type === "symbol" || (typeof type === "object" && type !== null))
    return renderNode(props.children, depth + 1);
  throw new TypeError(`A JSX element has the type ${String(type)}; expected a tag name or a component.`);
}

type Component = ((props: unknown) => unknown) & { prototype?: { render?: unknown } };

function callComponent(component: Component, props: Readonly<Record<string, unknown>>): unknown {
  if (typeof component.prototype?.render === "function") {
    const Class = component as unknown as new (props: unknown) => { render(): unknown };
    return new Class(props).render();
  }
  return component(props);
}

const voidTags: ReadonlySet<string> = new Set(
  "area base br col embed hr img input link meta param source track wbr".split(" "),
);

async function renderTag(tag: string, props: Readonly<Record<string, unknown>>, depth: number): Promise<string> {
  if (!/^[A-Za-z][\w:.-]*$/.test(tag))
    throw new TypeError(`${JSON.stringify(tag)} is not the name of an HTML element.`);
  const attributes = Object.entries(props)
    .map(([name, value]) => renderAttribute(name, value))
    .join("");
  if (voidTags.has(tag)) return `<${tag}${attributes}>`;
  const raw = (props.dangerouslySetInnerHTML as { __html?: unknown } | undefined)?.__html;
  const children = raw === undefined || raw === null ? await renderNode(props.children, depth + 1) : String(raw);
  return `<${tag}${attributes}>${children}</${tag}>`;
}

const renamed: Readonly<Record<string, string>> = { className: "class", htmlFor: "for", xlinkHref: "xlink:href" };
const skipped: ReadonlySet<string> = new Set(["children", "key", "ref", "dangerouslySetInnerHTML"]);
/** SVG attributes that are written in lower case with a hyphen; all others of SVG keep their capitals. */
const hyphenated =
  /^(stroke|fill|font|text|stop|clip|marker|dominant|alignment|baseline|color|flood|lighting|letter|word|paint|pointer|shape|vector|image)(?=[A-Z])/;
const keepCapitals = /^(textLength|clipPathUnits|markerUnits|markerWidth|markerHeight|colSpan|rowSpan)$/;

function renderAttribute(name: string, value: unknown): string {
  if (skipped.has(name) || value === null || value === undefined || value === false) return "";
  if (typeof value === "function" || typeof value === "symbol") return "";
  const attribute = attributeName(name);
  if (!/^[A-Za-z_:@][\w:.@-]*$/.test(attribute)) return "";
  if (value === true) return attribute.startsWith("aria-") ? ` ${attribute}="true"` : ` ${attribute}=""`;
  const text =
    name === "style" && typeof value === "object" ? styleText(value as Record<string, unknown>) : String(value);
  return ` ${attribute}="${escapeHtml(text)}"`;
}

function attributeName(name: string): string {
  if (renamed[name] !== undefined) return renamed[name];
  if (keepCapitals.test(name) || !hyphenated.test(name)) return name;
  return hyphens(name);
}

function hyphens(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** CSS properties that take bare numbers; React's rule: elsewhere a number means pixels. */
const unitless =
  /^(flex|flexGrow|flexShrink|fontWeight|lineHeight|opacity|order|zIndex|zoom|tabSize|orphans|widows|columns|columnCount|gridRow|gridColumn|fillOpacity|strokeOpacity|strokeWidth|aspectRatio|scale)$/;

function styleText(style: Readonly<Record<string, unknown>>): string {
  return Object.entries(style)
    .filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "")
    .map(([name, value]) => {
      const text = typeof value === "number" && value !== 0 && !unitless.test(name) ? `${value}px` : String(value);
      return `${name.startsWith("--") ? name : hyphens(name)}:${text}`;
    })
    .join(";");
}
