// What every method must do, row by row of the table: start, fill ports, train exactly what it declares, count, save
// and load, and name every mistake of its options.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  fillPorts,
  findMethod,
  loadAdapter,
  type MethodName,
  methods,
  type Parameters,
  resolveMethod,
  saveAdapter,
} from "#toolkit/methods/index.ts";
import { createGenerator, forward, randomT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { random, tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { relativeDifference } from "../golden.ts";
import { disturb, methodRows, names, type Started, startMethod } from "./rows.ts";
import { tinyBatch, tinyConfig, tinyT5 } from "./tiny.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-methods-"));
let model: T5Model;

beforeAll(async () => {
  await useEngine("wasm");
  model = tinyT5();
});
afterAll(() => rmSync(folder, { recursive: true }));

const start = (name: MethodName, numTasks = 1, seed = 1): Started => startMethod(name, model, numTasks, seed);

function run(
  name: MethodName,
  options: Record<string, unknown>,
  parameters: Parameters,
  key?: tf.Tensor,
): ReturnType<typeof forward> {
  const { inputIds, attentionMask, labels, taskIds } = tinyBatch();
  const inputs = { backbone: model.backbone, taskIds, attentionMask };
  const ports = fillPorts(methods[name], options, parameters, key ? { ...inputs, key } : inputs);
  return forward(
    model,
    key ? { inputIds, attentionMask, labels, ports, key } : { inputIds, attentionMask, labels, ports },
  );
}

describe.each(names)("%s", (name) => {
  const method = methods[name];
  let options: Record<string, unknown>;
  let parameters: Parameters;

  beforeEach(() => {
    ({ options, parameters } = start(name));
  });

  test("has a title, a source and a learning rate for each group", () => {
    expect(method.title.length).toBeGreaterThan(2);
    expect(method.source.length).toBeGreaterThan(10);
    for (const parameter of Object.keys(parameters)) {
      const group = method.group(parameter, options);
      if (group !== null) expect(method.learningRates[group]).toBeGreaterThan(0);
    }
  });

  test("changes the model's answer", () => {
    const { inputIds, attentionMask, labels } = tinyBatch();
    const plain = forward(model, { inputIds, attentionMask, labels });
    const changed = run(name, options, disturb(parameters));
    expect(Number.isFinite(changed.loss.dataSync()[0])).toBe(true);
    expect(changed.logits.shape).toEqual(plain.logits.shape);
    expect(relativeDifference(changed.logits, plain.logits)).toBeGreaterThan(1e-4);
  });

  test("sends a gradient to every trainable parameter, with dropout and routing noise on", () => {
    const moved = disturb(parameters);
    const trainable = Object.fromEntries(
      Object.entries(moved).filter(([parameter]) => method.group(parameter, options) !== null),
    );
    const key = random.key(5);
    const { grads } = valueAndGrads((trained: Record<string, tf.Tensor>) => {
      const all = { ...moved, ...trained };
      const out = run(name, options, all, key);
      return out.loss;
    }, trainable);
    const dead = Object.entries(grads)
      .filter(([, gradient]) => !(tf.max(tf.abs(gradient)).dataSync()[0]! > 0))
      .map(([parameter]) => parameter);
    expect(dead).toEqual([]);
  });

  test("counts what it trains", () => {
    const trained = Object.entries(parameters)
      .filter(([parameter]) => method.group(parameter, options) !== null)
      .reduce((sum, [, tensor]) => sum + tensor.size, 0);
    const counted = method.countParameters(options, model.backbone, 1);
    if (methodRows[name].countsDiffer) expect(counted).not.toBe(trained);
    else expect(counted).toBe(trained);
  });

  test("starts equally from equal seeds and serves several tasks", () => {
    const [a, b] = [start(name, 2, 9).parameters, start(name, 2, 9).parameters];
    expect(Object.keys(a)).toEqual(Object.keys(b));
    for (const [parameter, tensor] of Object.entries(a))
      expect([...tensor.dataSync()]).toEqual([...b[parameter]!.dataSync()]);
    expect(Number.isFinite(run(name, options, a).loss.dataSync()[0])).toBe(true);
  });

  test("gives the same answer after saving and loading", async () => {
    const moved = disturb(parameters);
    const at = join(folder, name);
    await saveAdapter(at, method, options, moved, { backbone: model.backbone, baseModel: "tiny" });
    const loaded = loadAdapter(at, model.backbone);
    expect(loaded.config.base_model_name_or_path).toBe("tiny");
    const before = run(name, options, moved).logits;
    const after = run(loaded.method.name as MethodName, loaded.options, loaded.parameters).logits;
    expect(relativeDifference(after, before)).toBeLessThan(1e-6);
  });

  test("refuses a folder of another backbone, naming what differs", async () => {
    const at = join(folder, `${name}-other`);
    await saveAdapter(at, method, options, parameters, { backbone: model.backbone });
    const other = randomT5({ ...tinyConfig, hiddenSize: 24, numHeads: 3, numEncoderLayers: 3 }, { seed: 1 });
    expect(() => loadAdapter(at, other.backbone)).toThrow(/does not fit the backbone: .*(of width 24|has 24)/);
    other.dispose();
  });

  test("generates what teacher forcing of the same tokens would choose", async () => {
    const moved = disturb(parameters);
    const { inputIds, attentionMask, taskIds } = tinyBatch();
    const generator = createGenerator(model, {
      maxNewTokens: 4,
      ports: (trained: Parameters, inputs) =>
        fillPorts(method, options, trained, { backbone: model.backbone, ...inputs })(inputs.inputEmbeddings),
    });
    const generated = await generator.generate(
      {
        inputIds: inputIds.dataSync() as Int32Array,
        attentionMask: attentionMask.dataSync() as Int32Array,
        taskIds: taskIds.dataSync() as Int32Array,
        batchSize: 3,
        inputLength: 5,
      },
      moved,
    );
    generator.dispose();
    const labels = generated.map((row) => [...row, ...new Array<number>(4).fill(-100)].slice(0, 4));
    const ports = fillPorts(method, options, moved, { backbone: model.backbone, taskIds, attentionMask });
    const { logits } = forward(model, { inputIds, attentionMask, labels: tf.tensor2d(labels, [3, 4], "int32"), ports });
    const best = (await tf.argMax(logits, -1).array()) as number[][];
    for (const [i, row] of generated.entries()) expect(best[i]!.slice(0, row.length)).toEqual(row);
  });

  test("names every mistake of its options at once", () => {
    const wrong = Object.fromEntries(Object.keys(options).map((option) => [option, "nonsense"]));
    // The same without a model: what it could add is not asked of an option that is no number at all.
    for (const backbone of [model.backbone, null]) {
      const { problems } = resolveMethod(name, { ...wrong, numVirtualTokns: 4 }, backbone);
      expect(problems).toHaveLength(Object.keys(options).length + 1);
      for (const option of Object.keys(options)) expect(problems.join("\n")).toContain(`${option} must be `);
      expect(problems.join("\n")).toContain("numVirtualTokns: unknown option");
    }
  });
});

test("an unknown method is answered with the nearest name and all names", () => {
  expect(() => findMethod("adapterdrop")).toThrow(/did you mean adapter-drop\?.*mpt, mpt-adapter/s);
});
