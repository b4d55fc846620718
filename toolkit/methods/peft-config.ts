// adapter_config.json as PEFT writes it: the fields every kind shares, and reading single fields with their checks.
import type { Backbone } from "#toolkit/models/contract.ts";

/** The PEFT release whose files these follow. */
const peftVersion = "0.21.2";

/** Fields of every adapter_config.json. The base model's name is filled in by whoever saves. */
export function peftConfig(peftType: string, fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    auto_mapping: null,
    base_model_name_or_path: null,
    inference_mode: true,
    modules_to_save: null,
    peft_type: peftType,
    peft_version: peftVersion,
    revision: null,
    task_type: "SEQ_2_SEQ_LM",
    ...fields,
  };
}

/** Sizes that prompt-learning configs repeat from the base model. */
export function peftSizes(
  backbone: Pick<Backbone, "numHeads" | "numEncoderLayers"> | undefined,
): Record<string, unknown> {
  return { num_attention_heads: backbone?.numHeads ?? null, num_layers: backbone?.numEncoderLayers ?? null };
}

/** @throws Error naming the field, what it holds and what was expected */
export function configInteger(config: Readonly<Record<string, unknown>>, name: string, fallback?: number): number {
  const value = config[name] ?? fallback;
  if (Number.isSafeInteger(value)) return value as number;
  throw new Error(`adapter_config.json: ${name} must be a whole number, not ${JSON.stringify(config[name])}`);
}

/** @throws Error unless the config has this peft_type */
export function expectType(config: Readonly<Record<string, unknown>>, ...types: readonly string[]): void {
  if (types.includes(config.peft_type as string)) return;
  throw new Error(
    `adapter_config.json: peft_type is ${JSON.stringify(config.peft_type)}, expected ${types.map((type) => JSON.stringify(type)).join(" or ")}`,
  );
}
