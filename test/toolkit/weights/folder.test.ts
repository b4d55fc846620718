// Model folders: one file or shards, and a message for everything that is not one.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadT5, saveT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { useEngine } from "#toolkit/tensor/index.ts";
import { fromTensors, openWeights, writeJson, writeSafetensors } from "#toolkit/weights/index.ts";
import { tinyT5 } from "../methods/tiny.ts";

const root = mkdtempSync(join(tmpdir(), "bunsen-folder-"));
let model: T5Model;
beforeAll(async () => {
  await useEngine("wasm");
  model = tinyT5();
});
afterAll(() => rmSync(root, { recursive: true }));

function folder(name: string): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  return path;
}

describe("weights of a folder", () => {
  test("shards are read through their index, and equal the single file", async () => {
    const at = folder("sharded");
    await saveT5(model, at);
    const tensors = await fromTensors(Object.fromEntries(model.weights));
    const names = Object.keys(tensors);
    const half = Math.floor(names.length / 2);
    const shards: Record<string, string[]> = {
      "model-00001-of-00002.safetensors": names.slice(0, half),
      "model-00002-of-00002.safetensors": names.slice(half),
    };
    rmSync(join(at, "model.safetensors"));
    const weight_map: Record<string, string> = {};
    for (const [file, held] of Object.entries(shards)) {
      writeSafetensors(join(at, file), Object.fromEntries(held.map((name) => [name, tensors[name]!])));
      for (const name of held) weight_map[name] = file;
    }
    writeJson(join(at, "model.safetensors.index.json"), { metadata: {}, weight_map });
    const loaded = loadT5(at);
    for (const [name, weight] of model.weights) expect(loaded.weights.get(name)!.dataSync()).toEqual(weight.dataSync());
    loaded.dispose();

    writeJson(join(at, "model.safetensors.index.json"), {
      weight_map: { ...weight_map, [names[0]!]: "../other.safetensors" },
    });
    expect(() => openWeights(at)).toThrow(/must be a .safetensors file of the same folder/);
    writeJson(join(at, "model.safetensors.index.json"), {
      weight_map: { ...weight_map, extra: "model-00001-of-00002.safetensors" },
    });
    expect(() => openWeights(at)).toThrow(/places extra in .* which does not hold it/);
    writeJson(join(at, "model.safetensors.index.json"), {
      weight_map: { ...weight_map, [names[0]!]: "model-00003.safetensors" },
    });
    expect(() => openWeights(at)).toThrow(/lists model-00003.safetensors, which is not in/);
  });

  test("bfloat16 and half files load as float32 within their precision", async () => {
    for (const dtype of ["BF16", "F16"] as const) {
      const at = folder(dtype);
      await saveT5(model, at);
      const tensors = await fromTensors(Object.fromEntries(model.weights));
      const narrow = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, { ...tensor, dtype }]));
      writeSafetensors(join(at, "model.safetensors"), narrow);
      const loaded = loadT5(at);
      const [ours, exact] = [
        loaded.weights.get("shared.weight")!.dataSync(),
        model.weights.get("shared.weight")!.dataSync(),
      ];
      for (let i = 0; i < exact.length; i++)
        expect(Math.abs(ours[i]! - exact[i]!)).toBeLessThan(Math.abs(exact[i]!) * 2 ** -8 + 1e-6);
      loaded.dispose();
    }
  });

  test("pickled weights are refused with advice, an empty folder and a missing one are named", () => {
    const at = folder("pickled");
    writeFileSync(join(at, "pytorch_model.bin"), "x");
    expect(() => openWeights(at)).toThrow(/pytorch_model.bin.*pickle runs code.*safe_serialization=True/s);
    expect(() => openWeights(folder("empty"))).toThrow(
      /holds no weights: expected model.safetensors .* found an empty folder/,
    );
    expect(() => openWeights(join(root, "missing"))).toThrow(/no folder/);
    expect(() => loadT5(folder("empty"))).toThrow(/is no model folder: expected config.json and model.safetensors/);
  });

  test("a config of another model, and weights that do not fit their config, are told in one message", async () => {
    const at = folder("wrong");
    await saveT5(model, at);
    writeJson(join(at, "config.json"), {
      model_type: "bert",
      d_model: -1,
      feed_forward_proj: "swiglu",
      vocab_size: "many",
    });
    expect(() => loadT5(at)).toThrow(
      /model_type must be "t5".*feed_forward_proj must be.*vocab_size must be.*d_model must be/s,
    );
    writeFileSync(join(at, "config.json"), "{");
    expect(() => loadT5(at)).toThrow(/cannot read .*config.json/);
    await saveT5(model, at);
    const tensors = await fromTensors(Object.fromEntries(model.weights));
    const { "shared.weight": _, ...rest } = tensors;
    writeSafetensors(join(at, "model.safetensors"), {
      ...rest,
      stranger: { shape: [1], values: Float32Array.of(1) },
      "encoder.final_layer_norm.weight": { shape: [3], values: new Float32Array(3) },
    });
    expect(() => loadT5(at)).toThrow(
      /shared.weight \[40,16\] is missing.*encoder.final_layer_norm.weight is \[3\], expected \[16\].*stranger is unknown/s,
    );
  });
});
