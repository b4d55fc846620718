// What the GPU bundle runs: the golden models compiled and compared, the matmul rate, then training steps of T5-base
// and T5-large at batch 32, f32 and bf16. One JSON line each. Arguments are those of `bunsen bench` and replace the list.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bench } from "#toolkit/commands/bench.ts";
import { forward as forwardClip, loadClip } from "#toolkit/models/clip/index.ts";
import { forward, loadT5 } from "#toolkit/models/t5/index.ts";
import { compile, currentEngine, type tf, useEngine } from "#toolkit/tensor/index.ts";
import { openSafetensors, toTensor } from "#toolkit/weights/index.ts";

const engine = process.env.BUNSEN_ENGINE === "cpu" ? "cpu" : "cuda";
const golden = process.env.BUNSEN_GOLDEN ?? join(import.meta.dirname, "golden");

/** max|a − b| / max|b| */
function difference(a: tf.Tensor, b: tf.Tensor): number {
  const [x, y] = [a.dataSync(), b.dataSync()];
  let [most, scale] = [0, 0];
  y.forEach((value, index) => {
    most = Math.max(most, Math.abs(x[index]! - value));
    scale = Math.max(scale, Math.abs(value));
  });
  return most / scale;
}

type Named = Record<string, tf.Tensor>;

/** What of a golden model is compared: the forward's results by the reference's names. */
function forwardOf(name: string, store: "f32" | "bf16"): { run: (io: Named) => Named; dispose: () => void } {
  if (name.startsWith("clip")) {
    const model = loadClip(join(golden, name), { store });
    const run = (io: Named): Named => {
      const out = forwardClip(model, { inputIds: io.input_ids!, pixelValues: io.pixel_values! });
      return { logits_per_image: out.logitsPerImage, text_embeds: out.textEmbeds, image_embeds: out.imageEmbeds };
    };
    return { run, dispose: () => model.dispose() };
  }
  const model = loadT5(join(golden, name), { store });
  const run = (io: Named): Named => {
    const out = forward(model, { inputIds: io.input_ids!, attentionMask: io.attention_mask!, labels: io.labels! });
    return { loss: out.loss, logits: out.logits };
  };
  return { run, dispose: () => model.dispose() };
}

async function checkGolden(name: string, precision: "f32" | "bf16"): Promise<void> {
  const file = openSafetensors(join(golden, name, "io.safetensors"));
  const io = Object.fromEntries([...file.tensors.keys()].map((tensor) => [tensor, toTensor(file.read(tensor))]));
  const { run, dispose } = forwardOf(name, precision);
  const out = await compile(run, { name, precision })(io);
  const limit = precision === "f32" ? 1e-4 : 2e-2;
  const worst = Math.max(...Object.entries(out).map(([part, tensor]) => difference(tensor, io[part]!)));
  console.log(JSON.stringify({ check: "golden", name, precision, worst, limit, ok: worst <= limit }));
  if (!(worst <= limit)) process.exitCode = 1;
  dispose();
}

const given = process.argv.slice(2);
if (given.length > 0) process.exit(await bench(given));
await useEngine(engine);
console.log(JSON.stringify(currentEngine()));
if (!existsSync(golden)) console.log(JSON.stringify({ check: "golden", skipped: `no folder ${golden}` }));
else
  for (const name of ["t5-tiny", "t5-v1_1-random", "t5-long-random", "clip-random"])
    for (const precision of ["f32", "bf16"] as const) await checkGolden(name, precision);
for (const precision of ["f32", "bf16"])
  await bench(["matmul", "--engine", engine, "--steps", "50", "--precision", precision]);
if (engine === "cuda") {
  for (const shape of ["t5-base", "t5-large"]) {
    for (const precision of ["f32", "bf16"]) {
      await bench([
        "step",
        "--engine",
        engine,
        "--shape",
        shape,
        "--batch",
        "32",
        "--precision",
        precision,
        "--steps",
        "20",
      ]);
    }
  }
}
