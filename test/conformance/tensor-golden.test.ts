// The golden models on every engine present, through `compile`: forward equals the reference's numbers in float32 and,
// where there is a compiler, in bf16; forward and backward equal the same function run eagerly. On wasm `compile` runs
// the function itself. Skipped where libtensorflow or the files are absent.
import { join } from "node:path";
import { beforeAll, describe, expect, vi } from "vitest";
import { type ClipModel, contrastiveLoss, forward as forwardClip, loadClip } from "#toolkit/models/clip/index.ts";
import type { TwoTowerPorts } from "#toolkit/models/contract.ts";
import { forward, loadT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { expandBatch } from "#toolkit/nn/index.ts";
import { compile, type Precision, tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import {
  expectGradients,
  golden,
  goldenTensors,
  goldenTest,
  parametersLike,
  relativeDifference,
} from "../toolkit/golden.ts";

// XLA compiles each of these in seconds; a busy machine makes minutes of them.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: the golden files are not compiled");

type Named = Record<string, tf.Tensor>;

/** A golden model: what is compiled, on what, and what the reference says of its results. */
interface Golden {
  readonly name: string;
  readonly open: (store: "f32" | "bf16") => {
    /** Parts of the forward by name. */
    readonly forward: (inputs: Named) => Named;
    readonly gradients: (inputs: Named) => Named;
    readonly inputs: Named;
    readonly expected: Named;
    dispose(): void;
  };
}

const t5Inputs = (io: Named) => ({ inputIds: io.ids!, attentionMask: io.mask!, labels: io.labels! });

const forwardOfT5 =
  (model: T5Model) =>
  (io: Named): Named => {
    const plain = forward(model, t5Inputs(io));
    const [encoder, decoder] = [plain.encoder.last, plain.decoderHiddenStates.at(-1)!];
    return { loss: plain.loss, logits: plain.logits, encoder, decoder };
  };

/** The gradient of a prompt in front of the input. */
const gradientsOfT5 =
  (model: T5Model) =>
  (io: Named): Named => {
    const { value, grads } = valueAndGrads(
      (prompt: tf.Tensor) => forward(model, { ...t5Inputs(io), ports: { encoderPrompt: prompt } }).loss,
      io.prompt!,
    );
    return { loss: value, prompt: grads };
  };

const t5 = (name: string): Golden => ({
  name,
  open: (store) => {
    const model = loadT5(join(golden, name), { store });
    const io = goldenTensors(name);
    return {
      forward: forwardOfT5(model),
      gradients: gradientsOfT5(model),
      inputs: {
        ids: io.input_ids!,
        mask: io.attention_mask!,
        labels: io.labels!,
        prompt: tf.slice(model.weights.get("shared.weight")!, [3, 0], [4, -1]),
      },
      expected: { loss: io.loss!, logits: io.logits!, encoder: io.encoder_last!, decoder: io.decoder_last! },
      dispose: () => model.dispose(),
    };
  },
});

const forwardOfClip =
  (model: ClipModel) =>
  ({ ids, pixels }: Named): Named => {
    const { textEmbeds, imageEmbeds, logitsPerImage } = forwardClip(model, { inputIds: ids!, pixelValues: pixels! });
    return { text: textEmbeds, image: imageEmbeds, logits: logitsPerImage };
  };

/** The gradients of soft prompts in both towers and of every weight. */
const gradientsOfClip =
  (model: ClipModel) =>
  ({ ids, pixels, ...prompts }: Named): Named => {
    const weights = Object.fromEntries(model.weights);
    const { value, grads } = valueAndGrads(
      (trained: { weights: Named; prompts: Named }) => {
        const { context, shallow, deep1, deep2 } = trained.prompts;
        const ports: TwoTowerPorts = {
          weight: (name, frozen) => trained.weights[name] ?? frozen,
          // Two context rows in place of the two behind the start token.
          textEmbeddings: (rows) =>
            tf.concat(
              [
                tf.slice(rows, [0, 0, 0], [-1, 1, -1]),
                expandBatch(context!, rows.shape[0]!),
                tf.slice(rows, [0, 3, 0], [-1, -1, -1]),
              ],
              1,
            ),
          imagePrompt: shallow!,
          imageLayerPrompts: [deep1!, deep2!],
        };
        // As many texts as images, for pairs.
        const some = tf.slice(ids!, [0, 0], [pixels!.shape[0]!, -1]);
        return contrastiveLoss(forwardClip(model, { inputIds: some, pixelValues: pixels!, ports }).logitsPerImage);
      },
      { weights, prompts: prompts as Named },
    );
    return { loss: value, ...grads.weights, ...grads.prompts };
  };

const clip: Golden = {
  name: "clip-random",
  open: (store) => {
    const model = loadClip(join(golden, "clip-random"), { store });
    const io = goldenTensors("clip-random");
    const { text, vision } = model.config;
    const row = (seed: number, width: number): tf.Tensor => parametersLike([2, width], seed);
    return {
      forward: forwardOfClip(model),
      gradients: gradientsOfClip(model),
      inputs: {
        ids: io.input_ids!,
        pixels: io.pixel_values!,
        context: row(1, text.hiddenSize),
        shallow: row(2, vision.hiddenSize),
        deep1: row(3, vision.hiddenSize),
        deep2: row(4, vision.hiddenSize),
      },
      expected: { text: io.text_embeds!, image: io.image_embeds!, logits: io.logits_per_image! },
      dispose: () => model.dispose(),
    };
  },
};

const cases: readonly Golden[] = [...["t5-tiny", "t5-v1_1-random", "t5-long-random"].map(t5), clip];
const engines = (["wasm", "cpu"] as const).filter((engine) => engine === "wasm" || hasNative);

describe.each(engines)("engine %s", (engine) => {
  beforeAll(async () => {
    await useEngine(engine);
  });

  const run = async (test: Golden, precision: Precision): Promise<{ worst: number; part: string }> => {
    const { inputs, expected, dispose, ...functions } = test.open(precision === "bf16" ? "bf16" : "f32");
    const compiled = compile(
      (given: Named) => ({
        forward: functions.forward(given),
        gradients: precision === "f32" ? functions.gradients(given) : {},
      }),
      { name: test.name, precision },
    );
    const out = await compiled(inputs);
    let [worst, part] = [0, ""];
    for (const [name, reference] of Object.entries(expected)) {
      const difference = relativeDifference(out.forward[name]!, reference);
      if (!(difference <= worst)) [worst, part] = [difference, name];
      // The comparison itself must be able to fail.
      expect(relativeDifference(tf.zerosLike(reference), reference)).toBe(1);
    }
    if (precision === "f32")
      expectGradients(
        out.gradients,
        tf.tidy(() => functions.gradients(inputs)),
      );
    compiled.dispose();
    dispose();
    return { worst, part };
  };

  describe.each(cases.map((test) => [test.name, test] as const))("%s, compiled", (_, test) => {
    goldenTest("equals the reference in f32 to 1e-4, and forward and backward of the eager run", async () => {
      const { worst, part } = await run(test, "f32");
      expect(worst, part).toBeLessThanOrEqual(1e-4);
    });

    // Where nothing is compiled there is one precision.
    if (engine === "wasm") return;
    goldenTest("equals the reference in bf16 to 2e-2, with weights stored as bf16", async () => {
      const { worst, part } = await run(test, "bf16");
      expect(worst, part).toBeLessThanOrEqual(2e-2);
      // It is not float32 in disguise.
      expect(worst).toBeGreaterThan(1e-5);
    });
  });
});
