// Which backbone something was trained on: its sizes and a few of its values, small enough to lie beside every adapter.
// A soft prompt, or any other small set of parameters, means something to the very weights it was trained with alone;
// another model of the same width would take it without a complaint and answer nonsense.
import { sameSample } from "#toolkit/weights/index.ts";
import type { BackboneShape } from "./contract.ts";

const sizes = [
  "hiddenSize",
  "numEncoderLayers",
  "numDecoderLayers",
  "numHeads",
  "headSize",
  "feedForwardSize",
  "vocabSize",
] as const;

/** What identifies a backbone. */
export type BackboneRecord = Pick<BackboneShape, (typeof sizes)[number] | "modelType" | "sample">;

export function backboneRecord(shape: BackboneShape): BackboneRecord {
  const { modelType, hiddenSize, numEncoderLayers, numDecoderLayers, sample } = shape;
  const { numHeads, headSize, feedForwardSize, vocabSize } = shape;
  return {
    modelType,
    hiddenSize,
    numEncoderLayers,
    numDecoderLayers,
    numHeads,
    headSize,
    feedForwardSize,
    vocabSize,
    ...(sample === undefined ? {} : { sample }),
  };
}

/** A record out of a file; null where it is none (another program's file, or one edited by hand). */
export function parseBackboneRecord(json: string | undefined): BackboneRecord | null {
  if (json === undefined) return null;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null; // not written here
  }
  if (typeof value !== "object" || value === null) return null;
  const record = value as Record<string, unknown>;
  const { sample } = record;
  const isSample = Array.isArray(sample) && sample.every((item) => typeof item === "number");
  if (typeof record.modelType !== "string" || !sizes.every((name) => Number.isSafeInteger(record[name]))) return null;
  return (sample === undefined || isSample ? record : null) as BackboneRecord | null;
}

/** `t5 of width 512, 6 + 6 layers, 8 heads of 64, feed-forward 2048, vocabulary 32128` */
export function describeBackbone(record: BackboneRecord): string {
  return `${record.modelType} of width ${record.hiddenSize}, ${record.numEncoderLayers} + ${record.numDecoderLayers} layers, ${record.numHeads} heads of ${record.headSize}, feed-forward ${record.feedForwardSize}, vocabulary ${record.vocabSize}`;
}

/**
 * How the backbone that something was trained on differs from the one at hand, with both sides; null where it is the same
 * as far as the two can tell. A model made in memory has no sample: it is compared by its sizes.
 * @param was what it was trained on, and by which name
 * @param now the backbone at hand
 */
export function backboneDifference(
  was: BackboneRecord & { readonly name?: string | undefined },
  now: BackboneShape,
): string | null {
  const here = now.name ?? "a model in memory";
  const there = was.name ?? "a model without a name";
  const differs = was.modelType !== now.modelType || sizes.some((name) => was[name] !== now[name]);
  if (differs) {
    return `it was trained on ${there} (${describeBackbone(was)}); this backbone is ${here} (${describeBackbone(now)})`;
  }
  if (was.sample === undefined || now.sample === undefined || sameSample(was.sample, now.sample)) return null;
  const at = was.sample.findIndex((value, i) => !sameSample([value], [now.sample![i] ?? Number.NaN]));
  return `it was trained on ${there}; this backbone is ${here}, of the same sizes (${describeBackbone(now)}) but with other weights (one of those compared is ${was.sample[at]} there and ${now.sample[at]} here)`;
}
