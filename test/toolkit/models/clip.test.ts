// CLIP: its files, what a text's end token hides, patches, ports, gradients. Numbers of the reference are in
// test/conformance/tensor-golden.test.ts; here is what they do not show. Made in memory, no file needed.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ClipConfig,
  type ClipModel,
  clipShapes,
  contrastiveLoss,
  encodeImage,
  encodeText,
  forward,
  loadClip,
  parseClipConfig,
  randomClip,
} from "#toolkit/models/clip/index.ts";
import type { TwoTowerPorts } from "#toolkit/models/contract.ts";
import { tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { trace } from "#toolkit/tensor/tracer.ts";
import { fromTensors, writeJson, writeSafetensors } from "#toolkit/weights/index.ts";
import { parametersLike, relativeDifference } from "../golden.ts";

const json = {
  model_type: "clip",
  projection_dim: 6,
  text_config: {
    vocab_size: 20,
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    max_position_embeddings: 7,
  },
  vision_config: {
    hidden_size: 10,
    intermediate_size: 14,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    image_size: 8,
    patch_size: 4,
  },
};
const config: ClipConfig = parseClipConfig(json);
const end = 19;
const folder = mkdtempSync(join(tmpdir(), "bunsen-clip-"));
let model: ClipModel;
let texts: tf.Tensor;
let images: tf.Tensor;

beforeAll(async () => {
  await useEngine("wasm");
  model = randomClip(config, { seed: 4 });
  texts = tf.tensor2d([1, 5, 6, end, 0, 0, 1, 9, end, 7, 8, end], [2, 6], "int32");
  images = parametersLike([2, 3, 8, 8], 9);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("config.json", () => {
  test("takes ViT-B/32 for what it leaves out, and the second copy of old files over the first", () => {
    const base = parseClipConfig({ model_type: "clip" });
    expect(base).toMatchObject({ projectionSize: 512, text: { hiddenSize: 512 }, vision: { patchSize: 32 } });
    const large = parseClipConfig({
      model_type: "clip",
      projection_dim: 768,
      text_config: { hidden_size: 512 },
      text_config_dict: { hidden_size: 768, num_attention_heads: 12 },
      vision_config: { hidden_size: 1024, num_attention_heads: 16, patch_size: 14, hidden_act: "gelu" },
      vision_config_dict: null,
    });
    expect(large).toMatchObject({
      text: { hiddenSize: 768, activation: "quick_gelu" },
      vision: { patchSize: 14, activation: "gelu" },
    });
  });

  test("names everything that does not fit at once", () => {
    const wrong = {
      model_type: "t5",
      projection_dim: "wide",
      text_config: { hidden_size: 9, num_attention_heads: 2, layer_norm_eps: -1 },
      vision_config: { image_size: 30, patch_size: 7, hidden_act: "relu" },
    };
    expect(() => parseClipConfig(wrong, "there/config.json")).toThrow(
      /there\/config.json does not describe a CLIP model: model_type must be "clip", not "t5"; .*layer_norm_eps.*hidden_size must be a multiple of.*hidden_act.*projection_dim must be.*image_size must be a multiple of patch_size \(7\), not 30/,
    );
  });
});

describe("a model folder", () => {
  test("is loaded with its shapes checked, positions of old files ignored", async () => {
    const [good, bad] = [join(folder, "good"), join(folder, "bad")];
    const tensors = await fromTensors(Object.fromEntries(model.weights));
    const places = { shape: [1, 7], values: Int32Array.from({ length: 7 }, (_, i) => i), dtype: "I64" as const };
    for (const at of [good, bad]) writeJsonIn(at);
    writeSafetensors(join(good, "model.safetensors"), {
      ...tensors,
      "text_model.embeddings.position_ids": places,
    });
    const loaded = loadClip(good);
    const [ours, theirs] = [model, loaded].map(
      (from) => forward(from, { inputIds: texts, pixelValues: images }).logitsPerImage,
    );
    expect([...ours!.dataSync()]).toEqual([...theirs!.dataSync()]);
    loaded.dispose();
    const { logit_scale: _, ...rest } = tensors;
    writeSafetensors(join(bad, "model.safetensors"), {
      ...rest,
      "text_projection.weight": { shape: [8, 6], values: new Float32Array(48) },
      "visual.conv1.weight": { shape: [1], values: new Float32Array(1) },
    });
    expect(() => loadClip(bad)).toThrow(
      /logit_scale \[\] is missing; text_projection.weight is \[8,6\], expected \[6,8\]; visual.conv1.weight is unknown/,
    );
    expect(() => loadClip(join(folder, "nowhere"))).toThrow("is no model folder");
  });

  function writeJsonIn(at: string): void {
    mkdirSync(at);
    writeJson(join(at, "config.json"), json);
  }
});

describe("texts", () => {
  test("are read off at their first end token: what follows changes nothing", () => {
    const other = tf.tensor2d([1, 5, 6, end, 3, 4, 1, 9, end, end, end, end], [2, 6], "int32");
    expect(relativeDifference(encodeText(model, other), encodeText(model, texts))).toBeLessThan(1e-6);
    const short = tf.slice(texts, [0, 0], [2, 4]);
    expect(relativeDifference(encodeText(model, short), encodeText(model, texts))).toBeLessThan(1e-6);
    const before = tf.tensor2d([1, 5, 7, end, 0, 0, 1, 8, end, 7, 8, end], [2, 6], "int32");
    expect(relativeDifference(encodeText(model, before), encodeText(model, texts))).toBeGreaterThan(1e-2);
  });

  test("longer than the positions of the model are refused", () => {
    expect(() => encodeText(model, tf.zeros([1, 8], "int32"))).toThrow("texts of 8 tokens, but the model has 7");
  });

  test("with context rows that are the embeddings of words are those words' texts", () => {
    const table = model.weights.get("text_model.embeddings.token_embedding.weight")!;
    const placeholders = tf.tensor2d([1, 0, 0, end, 0, 0], [1, 6], "int32");
    const textEmbeddings = (rows: tf.Tensor): tf.Tensor =>
      tf.concat(
        [
          tf.slice(rows, [0, 0, 0], [-1, 1, -1]),
          tf.expandDims(tf.gather(table, tf.tensor1d([5, 6], "int32")), 0),
          tf.slice(rows, [0, 3, 0], [-1, -1, -1]),
        ],
        1,
      );
    expect(
      relativeDifference(
        encodeText(model, placeholders, { textEmbeddings }),
        encodeText(model, tf.slice(texts, [0, 0], [1, -1])),
      ),
    ).toBeLessThan(1e-6);
  });
});

describe("images", () => {
  test("are cut into the patches that a convolution of that stride sees", () => {
    const seen: Record<string, tf.Tensor> = {};
    encodeImage(model, images, {
      linear: (site, x, y) => {
        seen[site] = x;
        return y;
      },
    });
    const filters = model.weights.get("vision_model.embeddings.patch_embedding.weight")!;
    const convolved = tf.conv2d(
      tf.transpose(images, [0, 2, 3, 1]) as tf.Tensor4D,
      tf.transpose(filters, [2, 3, 1, 0]) as tf.Tensor4D,
      4,
      "valid",
    );
    const positions = model.weights.get("vision_model.embeddings.position_embedding.weight")!;
    const wanted = tf.add(tf.reshape(convolved, [2, 4, 10]), tf.slice(positions, [1, 0], [4, -1]));
    const rows = tf.slice(seen["vision_model.pre_layrnorm"]!, [0, 1, 0], [-1, -1, -1]);
    expect(relativeDifference(rows, wanted)).toBeLessThan(1e-6);
  });

  test("of another size are refused, and deep prompts that do not fit", () => {
    expect(() => encodeImage(model, tf.zeros([1, 3, 9, 8]))).toThrow("expected [batch, 3, 8, 8]");
    const prompt = tf.zeros([2, 10]);
    expect(() => encodeImage(model, images, { imageLayerPrompts: [prompt] })).toThrow(
      "imagePrompt, which is not given",
    );
    expect(() =>
      encodeImage(model, images, { imagePrompt: prompt, imageLayerPrompts: [prompt, prompt, prompt] }),
    ).toThrow("expected at most 2");
    expect(() => encodeImage(model, images, { imagePrompt: prompt, imageLayerPrompts: [tf.zeros([3, 10])] })).toThrow(
      "expected 2 rows",
    );
  });
});

describe("ports", () => {
  test("are called once at every map, norm, sublayer and weight, by the checkpoint's names", () => {
    const linear: string[] = [];
    const sublayers: string[] = [];
    const weights = new Set<string>();
    forward(model, {
      inputIds: texts,
      pixelValues: images,
      ports: {
        linear: (site, _x, y) => {
          linear.push(site);
          return y;
        },
        sublayer: (site, y) => {
          sublayers.push(site);
          return y;
        },
        weight: (name, frozen) => {
          weights.add(name);
          return frozen;
        },
      },
    });
    const names = [...clipShapes(config).keys()];
    const maps = names
      .filter((name) => name.endsWith(".weight") && !name.includes(".embeddings."))
      .map((name) => name.replace(/\.weight$/, ""));
    expect(linear.toSorted()).toEqual(maps.toSorted());
    expect(weights).toEqual(new Set(names));
    expect(sublayers).toHaveLength(2 * (2 + 3));
    expect(sublayers).toContain("vision_model.encoder.layers.2.mlp");
  });

  test("put prompt rows behind the class row, and deep prompts in their places", () => {
    const lengths: number[] = [];
    const seen: tf.Tensor[] = [];
    const [shallow, deep] = [parametersLike([2, 10], 1), parametersLike([2, 2, 10], 2)];
    const watch: TwoTowerPorts["linear"] = (site, x, y) => {
      if (site.endsWith("layer_norm1")) {
        lengths.push(x.shape[1]!);
        seen.push(tf.slice(x, [0, 1, 0], [-1, 2, -1]));
      }
      return y;
    };
    encodeImage(model, images, { imagePrompt: shallow, imageLayerPrompts: [deep], linear: watch });
    expect(lengths).toEqual([7, 7, 7]);
    const twice = tf.stack([shallow, shallow]);
    expect(relativeDifference(seen[0]!, twice)).toBe(0);
    expect(relativeDifference(seen[1]!, deep)).toBe(0);
    expect(relativeDifference(seen[2]!, deep)).toBeGreaterThan(1e-2);
  });
});

describe("the contrastive loss", () => {
  test("is the mean of both directions' cross-entropies", () => {
    const logits = [
      [2, -1],
      [0.5, 1],
    ];
    const part = (row: number[], own: number): number =>
      Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[own]!;
    const columns = [0, 1].map((j) => logits.map((row) => row[j]!));
    const wanted = [logits, columns].flatMap((rows) => rows.map(part)).reduce((sum, value) => sum + value, 0) / 4;
    expect(contrastiveLoss(tf.tensor2d(logits)).dataSync()[0]).toBeCloseTo(wanted, 6);
    expect(() => contrastiveLoss(tf.zeros([2, 3]))).toThrow("2 images and 3 texts are not pairs");
  });

  const step = (trained: { context: tf.Tensor; shallow: tf.Tensor; scale: tf.Tensor }): tf.Tensor => {
    const ports: TwoTowerPorts = {
      textEmbeddings: (rows) => tf.add(rows, trained.context),
      imagePrompt: trained.shallow,
      weight: (name, frozen) => (name === "logit_scale" ? trained.scale : frozen),
    };
    return contrastiveLoss(forward(model, { inputIds: texts, pixelValues: images, ports }).logitsPerImage);
  };
  const start = (): { context: tf.Tensor; shallow: tf.Tensor; scale: tf.Tensor } => ({
    context: parametersLike([8], 5),
    shallow: parametersLike([1, 10], 6),
    scale: tf.scalar(1.3),
  });

  test("has the gradients of finite differences in both towers", () => {
    const at = start();
    const { grads } = valueAndGrads(step, at);
    for (const name of ["context", "shallow", "scale"] as const) {
      const values = at[name].dataSync() as Float32Array;
      const slopes = [...values].map((value, place) => {
        const shifted = (by: number): number =>
          step({ ...at, [name]: tf.tensor(values.with(place, value + by), at[name].shape) }).dataSync()[0]!;
        return (shifted(1 / 64) - shifted(-1 / 64)) * 32;
      });
      expect(relativeDifference(grads[name], tf.tensor(slopes, at[name].shape)), name).toBeLessThan(1e-2);
    }
  });

  test("is lowered whole, with its gradients", () => {
    const { program } = trace(
      (at: { context: tf.Tensor; shallow: tf.Tensor; scale: tf.Tensor }) => {
        const { value, grads } = valueAndGrads(step, at);
        return { value, grads };
      },
      [start()],
      { name: "clip", precision: "f32", isNarrow: () => false },
    );
    expect(program.flops).toBeGreaterThan(0);
  });
});
