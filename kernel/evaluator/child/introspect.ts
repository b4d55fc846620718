// Looking at live values without running user code: the properties of `a.b["c"]` and a plain text of it, for completion and
// inspection where static types say `any`. Only names, members and literal subscripts are followed, and no getter is called.

import { parseCell } from "../../syntax/parse.ts";
import { isNode, type SyntaxNode } from "../../syntax/walk.ts";
import type { MimeBundle, RuntimeProperty } from "../port.ts";
import { HELPER } from "../rewriter.ts";
import { shadows } from "./script-runtime.ts";

const MAX_PROPERTIES = 1_000;
const NOTHING: unique symbol = Symbol("nothing");

/** The value of a member path, or NOTHING where it is no path, does not exist, or would call a getter or a proxy's trap. */
function follow(expression: string): unknown {
  const { program, problems } = parseCell(expression);
  const statement = program.body[0];
  if (problems.length > 0 || program.body.length !== 1 || statement?.type !== "ExpressionStatement") return NOTHING;
  return isNode(statement.expression) ? step(statement.expression) : NOTHING;
}

function step(node: SyntaxNode): unknown {
  switch (node.type) {
    case "Identifier":
      return property(String(node.name) in shadows ? shadows : globalThis, String(node.name));
    case "Literal":
      return node.value;
    case "ThisExpression":
      return undefined;
    case "ParenthesizedExpression":
    case "TSNonNullExpression":
    case "TSAsExpression":
    case "ChainExpression":
      return isNode(node.expression) ? step(node.expression) : NOTHING;
    case "ArrayExpression":
      return [];
    case "TemplateLiteral":
      return "";
    case "MemberExpression": {
      const object = isNode(node.object) ? step(node.object) : NOTHING;
      if (object === NOTHING || object === null || object === undefined || !isNode(node.property)) return NOTHING;
      if (node.computed !== true) return property(object, String(node.property.name));
      const key = node.property.type === "Literal" ? node.property.value : NOTHING;
      return typeof key === "string" || typeof key === "number" ? property(object, String(key)) : NOTHING;
    }
    default:
      return NOTHING;
  }
}

function property(object: unknown, name: string): unknown {
  for (let holder = Object(object) as object | null; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const descriptor = Object.getOwnPropertyDescriptor(holder, name);
    if (descriptor === undefined) continue;
    return "value" in descriptor ? descriptor.value : builtInGetter(descriptor.get, object);
  }
  return NOTHING;
}

/** Getters written in JavaScript may do anything; the engine's own (`size`, `length`, `prototype`) do nothing. */
function builtInGetter(get: (() => unknown) | undefined, object: unknown): unknown {
  if (get === undefined || !/\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(get))) return NOTHING;
  try {
    return get.call(object);
  } catch {
    return NOTHING;
  }
}

function kindOf(descriptor: PropertyDescriptor): RuntimeProperty["type"] {
  const { value } = descriptor;
  if (typeof value !== "function") return "property";
  return /^class\b/.test(Function.prototype.toString.call(value)) ? "class" : "function";
}

/** Own and inherited properties, nearest first, without symbols and array indexes. */
export function propertiesOf(expression: string): RuntimeProperty[] {
  const found = new Map<string, RuntimeProperty>();
  try {
    const value = expression.trim() === "" ? globalThis : follow(expression);
    if (value === NOTHING || value === null || value === undefined) return [];
    for (let holder = Object(value) as object | null; holder !== null; holder = Object.getPrototypeOf(holder)) {
      if (holder === Object.prototype && found.size > 0 && typeof value === "object") break;
      for (const name of Object.getOwnPropertyNames(holder)) {
        if (found.has(name) || name === HELPER || /^\d+$/.test(name) || (name === "constructor" && holder !== value))
          continue;
        const descriptor = Object.getOwnPropertyDescriptor(holder, name);
        if (descriptor !== undefined) found.set(name, { name, type: kindOf(descriptor) });
        if (found.size >= MAX_PROPERTIES) return [...found.values()];
      }
    }
  } catch {
    // A proxy's trap threw: what is known stands.
  }
  return [...found.values()];
}

/** Plain text of a live value, or null. */
export function inspectExpression(expression: string): MimeBundle | null {
  try {
    const value = follow(expression);
    if (value === NOTHING) return null;
    return { "text/plain": Bun.inspect(value, { colors: false, depth: 2 }) };
  } catch {
    return null;
  }
}
