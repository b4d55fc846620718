// The table of methods: one row each. Adding a method is one file, one row here, one row in the tests. Nothing outside
// a method's own file and this table names it.
import { adapter } from "./adapter.ts";
import { adapterDrop } from "./adapter-drop.ts";
import { attempt } from "./attempt.ts";
import { bitfit } from "./bitfit.ts";
import { bmtpt } from "./bmtpt.ts";
import { compacter } from "./compacter.ts";
import type { BackboneSizes, Method } from "./contract.ts";
import { dept } from "./dept.ts";
import { fullFineTuning } from "./full-fine-tuning.ts";
import { lora } from "./lora.ts";
import { mpt } from "./mpt.ts";
import { mptAdapter } from "./mpt-adapter.ts";
import { checkFields, didYouMean } from "./options.ts";
import { pTuning } from "./p-tuning.ts";
import { pTuningV2 } from "./p-tuning-v2.ts";
import { prefixTuning } from "./prefix-tuning.ts";
import { promptTuning } from "./prompt-tuning.ts";
import { smop } from "./smop.ts";
import { smopMpt } from "./smop-mpt.ts";
import { spot } from "./spot.ts";

/** A method whose options' exact type is forgotten; `validateOptions` checked them. */
// biome-ignore lint/suspicious/noExplicitAny: the table holds methods of different options
export type AnyMethod = Method<any>;

export type MethodName =
  | "mpt"
  | "mpt-adapter"
  | "smop-mpt"
  | "prompt-tuning"
  | "spot"
  | "attempt"
  | "p-tuning"
  | "p-tuning-v2"
  | "prefix-tuning"
  | "dept"
  | "smop"
  | "bmtpt"
  | "adapter"
  | "adapter-drop"
  | "compacter"
  | "bitfit"
  | "lora"
  | "full-fine-tuning";

export const methods: Readonly<Record<MethodName, AnyMethod>> = {
  mpt: mpt,
  "mpt-adapter": mptAdapter,
  "smop-mpt": smopMpt,
  "prompt-tuning": promptTuning,
  spot: spot,
  attempt: attempt,
  "p-tuning": pTuning,
  "p-tuning-v2": pTuningV2,
  "prefix-tuning": prefixTuning,
  dept: dept,
  smop: smop,
  bmtpt: bmtpt,
  adapter: adapter,
  "adapter-drop": adapterDrop,
  compacter: compacter,
  bitfit: bitfit,
  lora: lora,
  "full-fine-tuning": fullFineTuning,
};

export const methodNames: readonly MethodName[] = Object.keys(methods) as MethodName[];

/** @throws Error with the known names, and the nearest of them */
export function findMethod(name: string): AnyMethod {
  if (Object.hasOwn(methods, name)) return methods[name as MethodName];
  const near = didYouMean(name, methodNames);
  throw new Error(
    `unknown method ${JSON.stringify(name)}${near ? ` (did you mean ${near}?)` : ""}; known: ${methodNames.join(", ")}`,
  );
}

export interface ResolvedMethod {
  readonly method: AnyMethod;
  /** Defaults, overridden. */
  readonly options: Record<string, unknown>;
  /** Empty when all is fine. */
  readonly problems: readonly string[];
}

/**
 * Every problem of a method's options, each beginning with the option's name and telling what is allowed; empty when
 * fine. Without a backbone: those that need none.
 */
export function validateOptions(
  method: AnyMethod,
  options: Readonly<Record<string, unknown>>,
  backbone: BackboneSizes | null,
): string[] {
  const problems = checkFields(method.fields, options);
  // An option that is no number at all is not also too large.
  const wrong = new Set(problems.map(nameOf));
  return [...problems, ...(method.check?.(options, backbone) ?? []).filter((problem) => !wrong.has(nameOf(problem)))];
}

const nameOf = (problem: string): string => /^\w+/.exec(problem)?.[0] ?? "";

/** A method with its options filled in and checked, against a backbone where one is given; every problem at once. */
export function resolveMethod(
  name: string,
  overrides: Readonly<Record<string, unknown>>,
  backbone: BackboneSizes | null,
): ResolvedMethod {
  const method = findMethod(name);
  const options: Record<string, unknown> = { ...method.defaults, ...overrides };
  return { method, options, problems: validateOptions(method, options, backbone) };
}
