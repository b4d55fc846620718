// What single methods promise beyond the suite that all of them run: the paper's parameter counts, starts from
// sources, distillation, routing, particles, and messages about what does not fit.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { steinIdentity } from "#toolkit/methods/bmtpt.ts";
import {
  type AnyMethod,
  collapseMpt,
  distillationLosses,
  fillPorts,
  loadAdapter,
  methods,
  type Parameters,
  promptSimilarity,
  resolveMethod,
  retrievePrompts,
  type SourceState,
  saveAdapter,
  stackTeachers,
  teacherPorts,
} from "#toolkit/methods/index.ts";
import { loadBalance, orthogonalRows, route } from "#toolkit/methods/routing.ts";
import type { Backbone } from "#toolkit/models/contract.ts";
import { forward, parseT5Config, type T5Model } from "#toolkit/models/t5/index.ts";
import { t5Shapes } from "#toolkit/models/t5/weights.ts";
import { random, tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { writeJson, writeSafetensors } from "#toolkit/weights/index.ts";
import { relativeDifference } from "../golden.ts";
import { tinyBatch, tinyContext, tinyT5 } from "./tiny.ts";

let model: T5Model;
const folder = mkdtempSync(join(tmpdir(), "bunsen-particular-"));
beforeAll(async () => {
  await useEngine("wasm");
  model = tinyT5();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The sizes of a published T5, without its weights: shapes are all that counting needs. */
function published(fields: object): Backbone {
  const config = parseT5Config({ model_type: "t5", ...fields });
  const weights = new Map(
    [...t5Shapes(config)].map(([name, shape]) => [
      name,
      { shape, rank: shape.length, size: shape.reduce((a, b) => a * b, 1) } as unknown as tf.Tensor,
    ]),
  );
  const numParameters = [...weights.values()].reduce((sum, { size }) => sum + size, 0);
  return { ...config, modelType: "t5", numParameters, embeddings: weights.get("shared.weight")!, weights };
}

describe("parameter counts of T5-base", () => {
  const base = { d_model: 768, d_ff: 3072, num_layers: 12, num_heads: 12 };
  const count = (name: keyof typeof methods, options: object, tasks = 1, fields: object = base): number => {
    const method: AnyMethod = methods[name];
    return method.countParameters({ ...method.defaults, ...options }, published(fields), tasks);
  };

  test("MPT has 77,668, 0.035 % of the model, and 10,468 a task for eight tasks", () => {
    expect(count("mpt", {})).toBe(77_668);
    expect(((100 * count("mpt", {})) / published(base).numParameters).toFixed(3)).toBe("0.035");
    expect([8, 5, 4].map((tasks) => count("mpt", {}, tasks))).toEqual([10_468, 16_228, 20_068]);
    expect(count("mpt", {}, 1, { d_model: 512, d_ff: 2048, num_layers: 6, num_heads: 8 })).toBe(51_812);
    expect(count("mpt", {}, 1, { d_model: 1024, d_ff: 4096, num_layers: 24, num_heads: 16 })).toBe(103_524);
  });

  test("the compared methods have the printed numbers", () => {
    expect(count("prompt-tuning", {})).toBe(76_800);
    expect(count("spot", {})).toBe(76_800);
    expect(count("attempt", {})).toBe(231_936);
    expect(count("attempt", {}, 8)).toBe(96_192);
    expect(count("adapter", {})).toBe(1_855_104);
    expect(count("adapter-drop", {})).toBe(1_101_984);
    expect(count("compacter", {})).toBe(161_728);
    expect(count("bitfit", {}, 1, { ...base, vocab_size: 32_100 })).toBe(280_932);
    expect(count("full-fine-tuning", {})).toBe(222_903_552);
    expect(count("prefix-tuning", { stack: "encoder" })).toBe(1_843_200);
    for (const [numVirtualTokens, rank] of [
      [40, 45],
      [60, 30],
      [80, 15],
    ])
      expect(count("dept", { numVirtualTokens, rank })).toBe(76_800);
  });
});

describe("MPT", () => {
  const options = { ...methods.mpt.defaults, numVirtualTokens: 3 } as Record<string, unknown>;
  const source = (): SourceState => {
    const parameters = {
      prompt_embeddings: tf.tensor2d(
        Float32Array.from({ length: 48 }, (_, i) => i / 10),
        [3, 16],
      ),
      prefix_task_cols: tf.tensor3d([1, 2, 3, 3, 4, 5], [2, 3, 1]),
      prefix_task_rows: tf.concat([tf.fill([1, 1, 16], 2), tf.fill([1, 1, 16], 4)], 0),
    };
    return { method: "mpt", tasks: ["a", "b"], parameters };
  };
  const init = (overrides: object, numTasks = 1): Parameters =>
    methods.mpt.init({ ...options, ...overrides }, { ...tinyContext(model, numTasks), sources: [source()] });

  test("starts at vocabulary rows with every task's matrix one, so that each task has the same prompt", () => {
    const fresh = methods.mpt.init(options, tinyContext(model, 2));
    const table = model.backbone.embeddings.arraySync() as number[][];
    const rows = fresh.prompt_embeddings!.arraySync() as number[][];
    for (const row of rows) expect(table.some((other) => other.every((x, i) => x === row[i]))).toBe(true);
    for (const task of [0, 1])
      expect(relativeDifference(collapseMpt(fresh, task).prompt_embeddings!, fresh.prompt_embeddings!)).toBe(0);
  });

  test("a target takes the shared prompt and the mean of the sources' u and v, for each of its tasks", () => {
    const target = init({}, 2);
    expect(relativeDifference(target.prompt_embeddings!, source().parameters.prompt_embeddings!)).toBe(0);
    expect([...target.prefix_task_cols!.dataSync()]).toEqual([2, 3, 4, 2, 3, 4]);
    expect(new Set(target.prefix_task_rows!.dataSync())).toEqual(new Set([3]));
  });

  test("a target can take one task's u and v, or the shared prompt alone", () => {
    expect([...init({ sourceInit: "exact", sourceTask: 1 }).prefix_task_cols!.dataSync()]).toEqual([3, 4, 5]);
    expect([...init({ sourceInit: "shared" }).prefix_task_cols!.dataSync()]).toEqual([1, 1, 1]);
    expect(Object.keys(init({ decomposition: false }))).toEqual(["prompt_embeddings"]);
    expect(() => init({ sourceInit: "exact", sourceTask: 2 })).toThrow(
      /sourceTask must be below the source's 2 tasks, not 2/,
    );
    expect(() => init({ numRanks: 2 })).toThrow(/the source has rank 1, numRanks is 2/);
    expect(() => init({ numVirtualTokens: 5 })).toThrow(/must hold a prompt of 5 × 16; it has 3 × 16/);
  });

  test("collapses to one matrix that answers the same as the decomposed prompt", () => {
    const { inputIds, attentionMask, labels } = tinyBatch();
    const { parameters } = source();
    for (const task of [0, 1]) {
      const taskIds = tf.fill([3], task, "int32");
      const inputs = { backbone: model.backbone, taskIds, attentionMask };
      const whole = forward(model, {
        inputIds,
        attentionMask,
        labels,
        ports: fillPorts(methods.mpt, options, parameters, inputs),
      });
      const collapsed = collapseMpt(parameters, task);
      const ports = fillPorts(methods["prompt-tuning"], { numVirtualTokens: 3 }, collapsed, inputs);
      expect(
        relativeDifference(forward(model, { inputIds, attentionMask, labels, ports }).logits, whole.logits),
      ).toBeLessThan(1e-6);
    }
    expect(() => collapseMpt(parameters, 2)).toThrow(/task must be from 0 to 1, not 2/);
  });

  test("each row of a batch has the prompt of its task", () => {
    const taskIds = tf.tensor1d([1, 0, 1], "int32");
    const context = {
      backbone: model.backbone,
      taskIds,
      inputEmbeddings: tf.zeros([3, 5, 16]),
      attentionMask: tf.ones([3, 5]),
      training: false,
    };
    const { encoderPrompt } = methods.mpt.ports(source().parameters, options, context);
    for (const [row, task] of [1, 0, 1].entries()) {
      const own = tf.squeeze(tf.slice(encoderPrompt!, [row, 0, 0], [1, -1, -1]), [0]);
      expect(relativeDifference(own, collapseMpt(source().parameters, task).prompt_embeddings!)).toBeLessThan(1e-6);
    }
  });
});

describe("distillation", () => {
  test("costs nothing where teacher and student agree, and pulls the student alone", () => {
    const { inputIds, attentionMask, labels, taskIds } = tinyBatch();
    const teachers = stackTeachers([0, 1].map((i) => ({ prompt_embeddings: random.normal(random.key(i), [3, 16]) })));
    const teacher = forward(model, { inputIds, attentionMask, labels, ports: teacherPorts(teachers, taskIds) });
    const same = distillationLosses(teacher, teacher, labels, { layers: "all", temperature: 2 });
    expect(same.logits.dataSync()[0]).toBeCloseTo(0, 5);
    expect(same.hidden.dataSync()[0]).toBe(0);
    const { grads } = valueAndGrads(
      ({ prompt, teachers: taught }: { prompt: tf.Tensor; teachers: tf.Tensor }) => {
        const other = forward(model, { inputIds, attentionMask, labels, ports: teacherPorts(taught, taskIds) });
        const student = forward(model, { inputIds, attentionMask, labels, ports: { encoderPrompt: prompt } });
        const { logits } = distillationLosses(other, student, labels);
        return logits;
      },
      { prompt: random.normal(random.key(9), [3, 16]), teachers },
    );
    expect(tf.max(tf.abs(grads.prompt)).dataSync()[0]).toBeGreaterThan(0);
    expect(tf.max(tf.abs(grads.teachers)).dataSync()[0]).toBe(0);
  });

  test("prompts of different length are compared on the text alone", () => {
    const { inputIds, attentionMask, labels } = tinyBatch();
    const run = (rows: number): ReturnType<typeof forward> =>
      forward(model, {
        inputIds,
        attentionMask,
        labels,
        ports: { encoderPrompt: random.normal(random.key(1), [rows, 16]) },
      });
    expect(Number.isFinite(distillationLosses(run(2), run(4), labels).hidden.dataSync()[0])).toBe(true);
    expect(() =>
      stackTeachers([{ prompt_embeddings: tf.zeros([2, 16]) }, { prompt_embeddings: tf.zeros([3, 16]) }]),
    ).toThrow(/one shape.*2 × 16, 3 × 16/);
  });
});

describe("transfer", () => {
  const prompt = (values: number[]): tf.Tensor =>
    tf.tensor2d([...values, ...new Array<number>(32 - values.length).fill(0)], [2, 16]);
  const state = (task: string, values: number[]): SourceState => ({
    method: "prompt-tuning",
    tasks: [task],
    parameters: { prompt_embeddings: prompt(values) },
  });

  test("similarity is the cosine of means or of all pairs, and retrieval ranks by it", () => {
    expect(promptSimilarity(prompt([1, 0]), prompt([2, 0]))).toBeCloseTo(1, 6);
    expect(promptSimilarity(prompt([1, 0]), prompt([0, 2]))).toBeCloseTo(0, 6);
    const sources = [
      { task: "far", prompt: prompt([0, 1]) },
      { task: "near", prompt: prompt([1, 0.1]) },
    ];
    expect(retrievePrompts(prompt([1, 0]), sources).map(({ task }) => task)).toEqual(["near", "far"]);
    expect(promptSimilarity(tf.ones([2, 16]), tf.ones([2, 16]), "pairs")).toBeCloseTo(1, 6);
  });

  test("SPoT starts from the given source, their average, the most similar or the weighted ones", () => {
    const init = (overrides: object, sources: SourceState[]): number[] => {
      const options = { ...(methods.spot as AnyMethod).defaults, numVirtualTokens: 2, ...overrides };
      const context = { ...tinyContext(model, 1), tasks: ["target"], sources };
      return [...methods.spot.init(options, context).prompt_embeddings!.dataSync()].slice(0, 2);
    };
    const all = [state("a", [2, 0]), state("b", [0, 4])];
    expect(init({ source: 1 }, all)).toEqual([0, 4]);
    expect(init({ transfer: "average" }, all)).toEqual([1, 2]);
    expect(init({ transfer: "best" }, [...all, state("target", [0.1, 1])])).toEqual([0, 4]);
    const [x, y] = init({ transfer: "weighted" }, [...all, state("target", [1, 1])]);
    expect([x, y]).toEqual([expect.closeTo(1, 5), expect.closeTo(2, 5)]);
    expect(() => init({ transfer: "best" }, all)).toThrow(/add a source whose task is the target/);
    expect(() => init({}, [])).toThrow(/needs a source/);
    expect(() => init({ source: 7 }, all)).toThrow(/source must be below the 2 sources/);
    expect(() => init({ numVirtualTokens: 3 }, all)).toThrow(/source prompts are 2 × 16.*ask for 3 × 16/);
  });

  test("ATTEMPT freezes sources, and its two variants differ in what is trained and in padding", () => {
    const attempt: AnyMethod = methods.attempt;
    const options = (variant: string): Record<string, unknown> => ({
      ...attempt.defaults,
      numVirtualTokens: 2,
      bottleneck: 4,
      variant,
      temperature: 1,
    });
    const parameters = attempt.init(options("paper"), {
      ...tinyContext(model, 1),
      sources: [state("a", [2, 0]), state("b", [0, 4])],
    });
    expect(attempt.group("source_prompts", options("paper"))).toBeNull();
    expect(attempt.group("attention.layer_norm.weight", options("published"))).toBeNull();
    expect(attempt.group("attention.layer_norm.weight", options("paper"))).toBe("attention");
    const ports = (variant: string, padding: number): tf.Tensor => {
      const inputEmbeddings = tf.concat([tf.ones([1, 2, 16]), tf.fill([1, 1, 16], padding)], 1);
      const context = {
        backbone: model.backbone,
        taskIds: tf.tensor1d([0], "int32"),
        inputEmbeddings,
        attentionMask: tf.tensor2d([1, 1, 0], [1, 3]),
        training: false,
      };
      const moved = {
        ...parameters,
        "attention.layer_norm.bias": tf.ones([16]),
        "attention.down.weight": random.normal(random.key(1), [4, 16]),
        "attention.up.weight": random.normal(random.key(2), [16, 4]),
      };
      return attempt.ports(moved, options(variant), context).encoderPrompt!;
    };
    expect(relativeDifference(ports("paper", 50), ports("paper", -50))).toBe(0);
    expect(relativeDifference(ports("published", 50), ports("published", 0))).toBeGreaterThan(1e-4);
    expect(() => attempt.init(options("paper"), tinyContext(model, 1))).toThrow(/attempt needs sources/);
  });
});

describe("routing", () => {
  const options = { numExperts: 3, topK: 1, noise: true, loadBalance: 0 };
  const context = (training: boolean): Parameters & never =>
    ({
      backbone: model.backbone,
      taskIds: tf.zeros([4], "int32"),
      inputEmbeddings: random.normal(random.key(3), [4, 5, 16]),
      attentionMask: tf.ones([4, 5]),
      training,
      ...(training ? { key: random.key(4) } : {}),
    }) as never;

  test("a router starts orthonormal, an input uses its best experts, weighted by their probabilities", () => {
    const router = orthogonalRows(1, 3, 16);
    const gram = tf.matMul(router, router, false, true);
    expect(tf.max(tf.abs(tf.sub(gram, tf.eye(3)))).dataSync()[0]).toBeLessThan(1e-5);
    for (const topK of [1, 2]) {
      const { weights, probabilities, chosen } = route(router, { ...options, topK }, context(false));
      expect([...tf.sum(chosen, 1).dataSync()]).toEqual([topK, topK, topK, topK]);
      const [used, all] = [weights.arraySync() as number[][], probabilities.arraySync() as number[][]];
      for (const [i, row] of used.entries()) {
        const best = [...all[i]!].sort((a, b) => b - a).slice(0, topK);
        expect(row.filter((x) => x > 0).sort((a, b) => b - a)).toEqual(best);
      }
    }
  });

  test("noise disturbs training alone, and an even load costs one", () => {
    const router = orthogonalRows(1, 3, 16);
    const quiet = route(router, options, context(false)).probabilities;
    expect(relativeDifference(route(router, options, context(true)).probabilities, quiet)).toBeGreaterThan(1e-3);
    expect(relativeDifference(route(router, { ...options, noise: false }, context(true)).probabilities, quiet)).toBe(0);
    const even = { weights: quiet, probabilities: tf.fill([3, 3], 1 / 3), chosen: tf.eye(3) };
    expect(loadBalance(even).dataSync()[0]).toBeCloseTo(1, 5);
  });

  test("a load-balance weight adds a term to the loss of both routed methods", () => {
    for (const name of ["smop", "smop-mpt"] as const) {
      const method: AnyMethod = methods[name];
      const chosen = { ...method.defaults, numExperts: 3, expertLength: 2 };
      const parameters = method.init(chosen, tinyContext(model, 1));
      expect(method.regularizer!(parameters, chosen, context(false))).toBeUndefined();
      expect(
        method.regularizer!(parameters, { ...chosen, loadBalance: 2 }, context(false))!.dataSync()[0],
      ).toBeGreaterThan(0);
    }
    expect(resolveMethod("smop", { topK: 9 }, null).problems).toEqual(["topK must be at most numExperts (4), not 9"]);
  });
});

describe("BMTPT", () => {
  test("particles get Stein's direction: gradients shared by the kernel, and a push away from each other", () => {
    const particles = tf.tensor3d([0, 1, 3], [3, 1, 1]);
    const downhill = tf.tensor3d([1, 2, 4], [3, 1, 1]);
    const { grads } = valueAndGrads(({ x }: { x: tf.Tensor }) => tf.sum(tf.mul(steinIdentity(x, 0.5), downhill)), {
      x: particles,
    });
    const [x, g] = [
      [0, 1, 3],
      [1, 2, 4],
    ];
    const mean = x.flatMap((a) => x.map((b) => (a - b) ** 2)).reduce((a, b) => a + b, 0) / 9;
    const h = mean / Math.log(4) + 1e-8;
    const k = (a: number, b: number): number => Math.exp(-((a - b) ** 2) / h);
    const expected = x.map((xi) => {
      const drive = x.reduce((sum, xj, j) => sum + k(xi, xj) * g[j]!, 0);
      const push = x.reduce((sum, xj) => sum + (2 / h) * k(xi, xj) * (xi - xj), 0);
      return drive - (0.5 / 3) * push;
    });
    for (const [i, value] of [...grads.x.dataSync()].entries()) expect(value).toBeCloseTo(expected[i]!, 4);
  });

  test("a target starts at the particles' mean, under a prior that is tight where they agree", () => {
    const bmtpt: AnyMethod = methods.bmtpt;
    const options = { ...bmtpt.defaults, numVirtualTokens: 1, particles: 2, priorWeight: 2 };
    const particles = tf.stack([
      tf.concat([tf.zeros([1, 8]), tf.ones([1, 8])], 1),
      tf.concat([tf.zeros([1, 8]), tf.fill([1, 8], 3)], 1),
    ]);
    const sources = [{ method: "bmtpt", tasks: ["a", "b"], parameters: { particles } }];
    const target = bmtpt.init(options, { ...tinyContext(model, 1), sources });
    expect([...target.prompt_embeddings!.dataSync()].slice(7, 9)).toEqual([0, 2]);
    const precision = target.prior_precision!.dataSync();
    expect(precision[0]).toBeGreaterThan(10 * precision[8]!);
    expect(Object.keys(target).filter((name) => bmtpt.group(name, options) !== null)).toEqual(["prompt_embeddings"]);
    const prior = (parameters: Parameters): number =>
      bmtpt.regularizer!(parameters, options, {} as never)!.dataSync()[0]!;
    expect(prior(target)).toBe(0);
    expect(prior({ ...target, prompt_embeddings: tf.add(target.prompt_embeddings!, 0.1) })).toBeGreaterThan(0);
    expect(() =>
      bmtpt.init(options, { ...tinyContext(model, 1), sources: [{ method: "mpt", tasks: ["a"], parameters: {} }] }),
    ).toThrow(/holds particles/);
  });
});

describe("starts", () => {
  const context = (overrides: object): ReturnType<typeof tinyContext> => ({ ...tinyContext(model, 1), ...overrides });
  const init = (kind: string, overrides: object = {}): number[][] =>
    (methods["prompt-tuning"] as AnyMethod)
      .init({ numVirtualTokens: 4, init: kind }, context(overrides))
      .prompt_embeddings!.arraySync() as number[][];
  const row = (id: number): number[] => (model.backbone.embeddings.arraySync() as number[][])[id]!;

  test("a text repeats to the prompt's length, labels come first, random numbers stay within a half", () => {
    expect(init("text", { textIds: [5, 6, 1] })).toEqual([row(5), row(6), row(1), row(5)]);
    expect(
      init("labels", {
        labelIds: [
          [8, 1],
          [9, 1],
        ],
      }).slice(0, 2),
    ).toEqual([row(8), row(9)]);
    expect(
      init("random")
        .flat()
        .every((x) => x >= -0.5 && x < 0.5),
    ).toBe(true);
    expect(() => init("text", { textIds: [] })).toThrow(/needs textIds/);
    expect(() => init("labels", { labelIds: [] })).toThrow(/needs labelIds/);
    expect(() => init("text", { textIds: [40] })).toThrow(
      /token id 40 is outside the backbone's vocabulary of 40; the tokenizer does not fit/,
    );
  });

  test("LoRA, BitFit and full fine-tuning begin at the frozen model", () => {
    const { inputIds, attentionMask, labels, taskIds } = tinyBatch();
    const plain = forward(model, { inputIds, attentionMask, labels }).logits;
    for (const name of ["lora", "bitfit", "full-fine-tuning"] as const) {
      const method: AnyMethod = methods[name];
      const parameters = method.init(method.defaults, tinyContext(model, 1));
      const ports = fillPorts(method, method.defaults, parameters, {
        backbone: model.backbone,
        taskIds,
        attentionMask,
      });
      expect(relativeDifference(forward(model, { inputIds, attentionMask, labels, ports }).logits, plain)).toBeLessThan(
        1e-6,
      );
    }
  });

  test("DePT leaves positions beyond its length as they are", () => {
    const dept: AnyMethod = methods.dept;
    const options = { ...dept.defaults, numVirtualTokens: 2, rank: 2, maxLength: 3 };
    const parameters = { ...dept.init(options, tinyContext(model, 1)), lora_embedding_B: tf.ones([2, 16]) };
    const embeddings = tf.zeros([1, 5, 16]);
    const changed = dept.ports(parameters, options, {} as never).encoderEmbeddings!(
      embeddings,
    ).arraySync() as number[][][];
    expect(changed[0]!.map((r) => r.some((x) => x !== 0))).toEqual([true, true, true, false, false]);
  });
});

describe("adapter folders that do not fit", () => {
  test("are told apart: no folder, pickled, unknown kind, another backbone, missing tensors, unsupported features", async () => {
    const at = (name: string): string => join(folder, name);
    const tuning: AnyMethod = methods["prompt-tuning"];
    const save = (name: string, parameters: Parameters): Promise<void> =>
      saveAdapter(
        at(name),
        tuning,
        { ...tuning.defaults, numVirtualTokens: parameters.prompt_embeddings!.shape[0] },
        parameters,
        { backbone: model.backbone },
      );
    expect(() => loadAdapter(at("none"))).toThrow(/no adapter folder: expected adapter_config.json/);

    await save("wide", { prompt_embeddings: tf.zeros([4, 24]) });
    expect(() => loadAdapter(at("wide"), model.backbone)).toThrow(
      /trained on a backbone of width 24; this one \(t5\) has 16/,
    );

    await save("kind", { prompt_embeddings: tf.zeros([4, 16]) });
    writeJson(join(at("kind"), "adapter_config.json"), { peft_type: "IA3" });
    expect(() => loadAdapter(at("kind"))).toThrow(/unknown peft_type "IA3"; known: .*MULTITASK_PROMPT_TUNING/);

    await save("shape", { prompt_embeddings: tf.zeros([4, 16]) });
    writeSafetensors(join(at("shape"), "adapter_model.safetensors"), {
      prompt_embeddings: { shape: [3, 16], values: new Float32Array(48) },
      other: { shape: [1], values: new Float32Array(1) },
    });
    expect(() => loadAdapter(at("shape"))).toThrow(
      /prompt_embeddings is \[3, 16\], expected \[4, \?\]; unknown: other/,
    );

    await save("pickled", { prompt_embeddings: tf.zeros([4, 16]) });
    rmSync(join(at("pickled"), "adapter_model.safetensors"));
    writeFileSync(join(at("pickled"), "adapter_model.bin"), "x");
    expect(() => loadAdapter(at("pickled"))).toThrow(/adapter_model.bin.*pickle/s);

    await save("dora", { prompt_embeddings: tf.zeros([4, 16]) });
    writeJson(join(at("dora"), "adapter_config.json"), {
      peft_type: "LORA",
      r: 2,
      lora_alpha: "x",
      target_modules: ["q"],
      use_dora: true,
      bias: "all",
    });
    expect(() => loadAdapter(at("dora"))).toThrow(
      /lora_alpha must be a number.*use_dora is not supported.*bias must be "none"/,
    );
  });
});
