// PEFT adapters of the golden cases, loaded here: equal loss, logits and gradients.
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { loadAdapter } from "#toolkit/methods/adapter-files.ts";
import { fillPorts } from "#toolkit/methods/fill-ports.ts";
import { forward, loadT5 } from "#toolkit/models/t5/index.ts";
import { tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { golden, goldenTensors, goldenTest, relativeDifference } from "../toolkit/golden.ts";

beforeAll(async () => {
  await useEngine("wasm");
});

/** PEFT's name of a gradient → the name of the parameter in the adapter file. */
function parameterName(gradient: string): string {
  return gradient
    .replace(/^grad\./, "")
    .replace("prompt_encoder.default.embedding.weight", "prompt_embeddings")
    .replace("prompt_encoder.default.", "")
    .replace(".default.", ".");
}

describe.each(["peft-mpt-rank1", "peft-mpt-rank4", "peft-prompt-tuning", "peft-p-tuning", "peft-lora"])(
  "%s",
  (name) => {
    goldenTest("gives PEFT's loss, logits and gradients", () => {
      const model = loadT5(join(golden, "t5-tiny"));
      const { method, options, parameters } = loadAdapter(join(golden, name), model.backbone);
      const io = goldenTensors(name);
      const attentionMask = io.attention_mask!;
      const taskIds = io.task_ids ?? tf.zeros([attentionMask.shape[0]!], "int32");
      const { value, grads, aux } = valueAndGrads(
        (trained: Record<string, tf.Tensor>) => {
          const ports = fillPorts(method, options, trained, { backbone: model.backbone, taskIds, attentionMask });
          const out = forward(model, { inputIds: io.input_ids!, attentionMask, labels: io.labels!, ports });
          return [out.loss, [out.logits]] as const;
        },
        parameters as Record<string, tf.Tensor>,
      );
      const pairs: [tf.Tensor, tf.Tensor][] = [
        [value, io.loss!],
        [aux[0], io.logits!],
      ];
      const gradients = Object.keys(io).filter((key) => key.startsWith("grad."));
      if (name !== "peft-p-tuning") expect(gradients.length).toBeGreaterThan(0);
      for (const gradient of gradients) pairs.push([grads[parameterName(gradient)]!, io[gradient]!]);
      for (const [ours, theirs] of pairs) {
        expect(relativeDifference(ours, theirs)).toBeLessThan(1e-4);
        expect(relativeDifference(tf.zerosLike(ours), theirs)).toBe(1);
      }
      model.dispose();
    });
  },
);
