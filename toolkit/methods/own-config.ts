// adapter_config.json of methods that PEFT does not have: the method's name and all its options under `bunsen`.
import type { Parameters } from "./contract.ts";

export const ownType = "BUNSEN";

export function ownConfig(method: string, options: object): Record<string, unknown> {
  return {
    base_model_name_or_path: null,
    bunsen: { method, options },
    peft_type: ownType,
    task_type: "SEQ_2_SEQ_LM",
  };
}

/**
 * Options of a config written by `ownConfig`, unknown ones are named when they are checked.
 * @throws Error where the config is another method's
 */
export function ownOptions<Options extends object>(
  config: Readonly<Record<string, unknown>>,
  method: string,
  defaults: Options,
): Options {
  const own = config.bunsen as { readonly method?: unknown; readonly options?: unknown } | undefined;
  if (own?.method !== method)
    throw new Error(
      `adapter_config.json: bunsen.method is ${JSON.stringify(own?.method)}, expected ${JSON.stringify(method)}`,
    );
  if (typeof own.options !== "object" || own.options === null)
    throw new Error("adapter_config.json: bunsen.options must be an object");
  return { ...defaults, ...own.options };
}

/** @throws Error naming the first parameter that is missing */
export function required(parameters: Parameters, name: string): NonNullable<Parameters[string]> {
  const tensor = parameters[name];
  if (!tensor)
    throw new Error(`parameter ${name} is missing; there are ${Object.keys(parameters).slice(0, 8).join(", ")}`);
  return tensor;
}
