// `bunsen parity`: equal runs pass, any other number fails, and what cannot be compared is said.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "#toolkit/commands/parity.ts";
import { fillPorts, methods, saveAdapter } from "#toolkit/methods/index.ts";
import { createGenerator, forward, saveT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { fromTensors, writeSafetensors } from "#toolkit/weights/index.ts";
import { golden, goldenTest } from "../golden.ts";
import { tinyBatch, tinyContext, tinyT5 } from "../methods/tiny.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-parity-"));
const base = join(folder, "base");
const adapterFolder = join(folder, "adapter");
let model: T5Model;
let reference: Record<string, tf.Tensor>;

interface Ran {
  readonly status: number;
  readonly lines: { name: string; pass: boolean; status?: string; maxRelative?: number }[];
  readonly errors: string[];
}

async function run(...args: string[]): Promise<Ran> {
  const lines: Ran["lines"] = [];
  const errors: string[] = [];
  const status = await command.run(args, {
    out: (text) => lines.push(JSON.parse(text)),
    err: (text) => errors.push(text),
    interactive: false,
  });
  return { status, lines, errors };
}

async function writeReference(
  changes: Readonly<Record<string, tf.Tensor>> = {},
  without: readonly string[] = [],
): Promise<void> {
  const all = Object.entries({ ...reference, ...changes }).filter(([name]) => !without.includes(name));
  writeSafetensors(join(adapterFolder, "io.safetensors"), await fromTensors(Object.fromEntries(all)));
}

beforeAll(async () => {
  await useEngine("wasm");
  model = tinyT5();
  mkdirSync(base);
  await saveT5(model, base);
  const { inputIds, attentionMask, labels, taskIds } = tinyBatch();
  const mpt = methods.mpt;
  const options = { ...mpt.defaults, numVirtualTokens: 3 };
  const parameters = mpt.init(options, tinyContext(model, 2));
  await saveAdapter(adapterFolder, mpt, options, parameters, { backbone: model.backbone, baseModel: base });
  const inputs = { backbone: model.backbone, taskIds, attentionMask };
  const { value, grads, aux } = valueAndGrads(
    (trained: Record<string, tf.Tensor>) => {
      const out = forward(model, { inputIds, attentionMask, labels, ports: fillPorts(mpt, options, trained, inputs) });
      return [out.loss, [out.logits, out.encoder.last, out.encoder.hiddenStates[1]!]] as const;
    },
    { ...parameters },
  );
  const generator = createGenerator(model, {
    maxNewTokens: 4,
    ports: (p: Record<string, tf.Tensor>, batch) =>
      fillPorts(mpt, options, p, { ...inputs, ...batch })(batch.inputEmbeddings),
  });
  const rows = await generator.generate(
    {
      inputIds: inputIds.dataSync() as Int32Array,
      attentionMask: attentionMask.dataSync() as Int32Array,
      taskIds: taskIds.dataSync() as Int32Array,
      batchSize: 3,
      inputLength: 5,
    },
    { ...parameters },
  );
  generator.dispose();
  const padded = rows.map((row) => [0, ...row, 0, 0, 0, 0].slice(0, 5));
  reference = {
    input_ids: inputIds,
    attention_mask: attentionMask,
    labels,
    task_ids: taskIds,
    loss: value,
    logits: aux[0],
    encoder_last: aux[1],
    "encoder_hidden.1": aux[2],
    generated: tf.tensor2d(padded, [3, 5], "int32"),
    "grad.prompt_encoder.default.embedding.weight": grads.prompt_embeddings!,
    "grad.prompt_encoder.default.prefix_task_cols": grads.prefix_task_cols!,
  };
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("bunsen parity", () => {
  test("passes every number of an equal run and finds the base model by the adapter's own config", async () => {
    await writeReference();
    const { status, lines } = await run(adapterFolder);
    expect(lines.map(({ name }) => name).sort()).toEqual(
      Object.keys(reference)
        .filter((n) => !["input_ids", "attention_mask", "labels", "task_ids"].includes(n))
        .sort(),
    );
    expect(lines.filter(({ pass }) => !pass)).toEqual([]);
    expect(status).toBe(0);
  });

  test("fails where one number is off, where outputs are zeros, NaN or of another shape, and where ids differ", async () => {
    const wrong: Readonly<Record<string, tf.Tensor>> = {
      logits: tf.add(reference.logits!, tf.mul(tf.onesLike(reference.logits!), 0.01)),
      loss: tf.scalar(Number.NaN),
      encoder_last: tf.zerosLike(reference.encoder_last!),
      "encoder_hidden.1": tf.zeros([1, 2]),
      generated: tf.add(reference.generated!, tf.scalar(1, "int32")),
      "grad.prompt_encoder.default.prefix_task_cols": tf.mul(
        reference["grad.prompt_encoder.default.prefix_task_cols"]!,
        1.001,
      ),
    };
    await writeReference(wrong);
    const { status, lines } = await run(adapterFolder, "--base", base);
    expect(
      lines
        .filter(({ pass }) => !pass)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(Object.keys(wrong).sort());
    expect(status).toBe(1);
  });

  test("a wider tolerance lets a small difference pass", async () => {
    await writeReference({ loss: tf.mul(reference.loss!, 1.001) });
    expect((await run(adapterFolder)).status).toBe(1);
    expect((await run(adapterFolder, "--tolerance", "0.01")).status).toBe(0);
  });

  test("gradients of tensors that the adapter lacks print absent, unknown names unknown; neither fails", async () => {
    await writeReference({ "grad.prompt_encoder.default.mlp_head.0.weight": tf.ones([2]), attentions: tf.ones([2]) });
    const { status, lines } = await run(adapterFolder);
    expect(Object.fromEntries(lines.filter(({ status: s }) => s).map(({ name, status: s }) => [name, s]))).toEqual({
      "grad.prompt_encoder.default.mlp_head.0.weight": "absent",
      attentions: "unknown",
    });
    expect(status).toBe(0);
  });

  test("a run without references fails: nothing was compared", async () => {
    await writeReference(
      {},
      Object.keys(reference).filter((name) => !["input_ids", "labels"].includes(name)),
    );
    const { status, errors } = await run(adapterFolder);
    expect(status).toBe(1);
    expect(errors.join()).toContain("nothing was compared");
  });

  test("says what is missing: the folder, io.safetensors, inputs, the base model", async () => {
    await expect(run()).rejects.toThrow(/expected one folder/);
    await expect(run(base)).rejects.toThrow(/holds no io.safetensors/);
    await writeReference({}, ["labels"]);
    await expect(run(adapterFolder)).rejects.toThrow(/lacks the inputs labels/);
    await writeReference({ labels: tf.zeros([2, 2], "int32") });
    await expect(run(adapterFolder)).rejects.toThrow(/input_ids and labels must be/);
    await writeReference();
    await expect(run(adapterFolder, "--tolerance", "no")).rejects.toThrow(
      /--tolerance expected a number above 0, got no/,
    );
    await saveAdapter(
      adapterFolder,
      methods["prompt-tuning"],
      { numVirtualTokens: 2 },
      { prompt_embeddings: tf.ones([2, 16]) },
      { backbone: model.backbone, baseModel: "nowhere/t5" },
    );
    await expect(run(adapterFolder)).rejects.toThrow(
      /an adapter of "nowhere\/t5"; say where that model is with --base/,
    );
  });

  goldenTest("passes the golden runs", async () => {
    expect((await run(join(golden, "t5-tiny"))).status).toBe(0);
    expect((await run(join(golden, "peft-lora"), "--base", join(golden, "t5-tiny"))).status).toBe(0);
  });
});
