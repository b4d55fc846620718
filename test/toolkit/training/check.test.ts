// What is wrong with a run is told before anything is loaded, all of it at once: the configuration's own mistakes, the
// method's options, and what the small files of the backbone and of earlier runs tell.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addDataset } from "#datasets/index.ts";
import { main } from "#toolkit/main.ts";
import { methodNames, methods, resolveMethod } from "#toolkit/methods/methods.ts";
import type { Field } from "#toolkit/methods/options.ts";
import { inspectT5, loadT5, randomT5, saveT5, type T5Config } from "#toolkit/models/t5/index.ts";
import { tf, useEngine } from "#toolkit/tensor/index.ts";
import { answer } from "#toolkit/training/answer.ts";
import { checkRun, resolveRun } from "#toolkit/training/check.ts";
import { ConfigError, type RunConfigInput } from "#toolkit/training/config.ts";
import { train } from "#toolkit/training/loop.ts";
import { openSafetensors, WriteError, writeJson, writeSafetensors } from "#toolkit/weights/index.ts";
import { tickets } from "../../datasets/tickets.ts";
import { tinyT5 } from "./tiny-config.ts";

const mini = join(import.meta.dirname, "../../../datasets/mini/backbone");
const root = mkdtempSync(join(tmpdir(), "bunsen-check-"));
const at = (name: string): string => join(root, name);
const cache = process.env.BUNSEN_CACHE;
let tiny: T5Config;

async function saveModel(name: string, changes: Partial<T5Config> = {}, seed = 3): Promise<void> {
  const made = randomT5({ ...tiny, ...changes }, { seed, tied: true });
  await saveT5(made, at(name));
  made.dispose();
  cpSync(join(mini, "tokenizer.json"), join(at(name), "tokenizer.json"));
}

const base = (run: string): RunConfigInput => ({
  run: at(run),
  model: at("model"),
  tasks: ["mini/sst2"],
  method: "prompt-tuning",
  options: { numVirtualTokens: 4 },
  steps: 1,
  batchSize: 2,
  shots: 4,
  evaluationExamples: 2,
  finalSplits: ["test"],
  maxNewTokens: 2,
  engine: "wasm",
});

async function trained(config: unknown): Promise<void> {
  for await (const _ of train(config as RunConfigInput));
}

/** The problems that one error tells; none where all is well. */
async function problemsOf(work: Promise<unknown>): Promise<readonly string[]> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

async function bunsen(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const status = await main(argv, { out: (text) => out.push(text), err: (text) => err.push(text), interactive: false });
  return { status, out: out.join("\n"), err: err.join("\n") };
}

beforeAll(async () => {
  process.env.BUNSEN_CACHE = at("cache");
  await useEngine("wasm");
  const { vocab_size: vocabSize } = JSON.parse(readFileSync(join(mini, "config.json"), "utf8")) as {
    vocab_size: number;
  };
  tiny = { ...tinyT5, vocabSize };
  await saveModel("model");
  await saveModel("wide", { hiddenSize: 12, numDecoderLayers: 2 });
  await saveModel("twin", {}, 4);
  await trained(base("finished"));
  mkdirSync(at("tickets"));
  const rows = Array.from({ length: 6 }, (_, i) => JSON.stringify({ text: `ticket ${i}`, label: i % 3 }));
  for (const split of ["train", "validation"]) writeFileSync(join(at("tickets"), `${split}.jsonl`), rows.join("\n"));
  addDataset(tickets("tickets-checked", at("tickets")));
});
afterAll(() => {
  if (cache === undefined) delete process.env.BUNSEN_CACHE;
  else process.env.BUNSEN_CACHE = cache;
  rmSync(root, { recursive: true, force: true });
});

describe("All problems of a run come in one error", () => {
  const wrong = (): Record<string, unknown> => ({
    ...base("wrong"),
    tasks: ["tickets-checked", "mini/sst"],
    method: "lora",
    options: { rank: 13, alhpa: 4, dropout: 2, targetModules: ["q", "wi_0"] },
    learningRates: { laro: 0.1 },
    bachSize: 4,
    model: at("wide"),
    from: [at("finished"), at("nowhere")],
  });
  const expected = [
    /^bachSize: unknown field \(did you mean "batchSize"\?\)/,
    /^tasks: unknown dataset "mini\/sst" \(did you mean "mini\/sst2"\?\)/,
    /^options\.alhpa: unknown option \(did you mean alpha\?\); known: rank, alpha, dropout, targetModules/,
    /^options\.dropout must be a number from 0 to 0\.99, not 2/,
    /^learningRates\.laro: lora has no such group \(did you mean "lora"\?\); expected one of lora/,
    /^options\.rank must be at most the backbone's width 12, not 13/,
    /^options\.targetModules must be linear maps of the backbone, out of q, k, v, o, wi, wo; it has no wi_0/,
    /^from: .*finished is of another backbone: it was trained on .*model \(t5 of width 8, 1 \+ 1 layers.*\); this backbone is .*wide \(t5 of width 12, 1 \+ 2 layers.*\)\. Train it on this one, or name that one as the model/,
    /^from: .*nowhere is no run: expected the folder of a finished run/,
    /^tasks: tickets-checked: .*train\.jsonl, row 2 .*column "label" should be a label from 0 to 1, but is 2/,
    /^tasks: tickets-checked: .*validation\.jsonl, row 2 .*column "label" should be a label from 0 to 1, but is 2/,
  ];

  test("of the configuration, the options, the backbone, the sources and the data", async () => {
    const problems = await problemsOf(trained(wrong()));
    for (const pattern of expected)
      expect(problems.join("\n")).toMatch(new RegExp(pattern.source, `${pattern.flags}m`));
    expect(problems).toHaveLength(expected.length);
    expect(existsSync(at("wrong"))).toBe(false);
  });

  test("and bunsen train --dry-run tells the same, trains nothing, and prints a configuration that is fine", async () => {
    writeJson(at("wrong.json"), wrong());
    const { status, err } = await bunsen("train", at("wrong.json"), "--dry-run");
    expect(status).toBe(1);
    expect(err).toContain(`has ${expected.length} problems`);
    for (const problem of await problemsOf(checkRun(wrong()))) expect(err).toContain(`  - ${problem}`);
    writeJson(at("right.json"), base("dry"));
    const right = await bunsen("train", at("right.json"), "--dry-run");
    expect(right.err).toBe("");
    expect(JSON.parse(right.out)).toMatchObject({ options: { numVirtualTokens: 4 }, batchSize: 2 });
    expect(existsSync(at("dry"))).toBe(false);
  });

  test("of a model folder too: what its config lacks and its tokenizer", async () => {
    cpSync(at("model"), at("broken"), { recursive: true });
    const config = JSON.parse(readFileSync(join(at("broken"), "config.json"), "utf8")) as Record<string, unknown>;
    writeJson(join(at("broken"), "config.json"), { ...config, vocab_size: 100, eos_token_id: 2, d_ff: 20 });
    const problems = await problemsOf(checkRun({ ...base("x"), model: at("broken"), steps: 0 }));
    expect(problems).toEqual([
      "steps: expected an integer of at least 1, got 0",
      expect.stringMatching(
        /^model: the weights in .*broken do not fit its config\.json: shared\.weight is \[\d+,8\], expected \[100,8\]/,
      ),
      expect.stringMatching(
        /^model: the tokenizer of .*broken does not fit its model: it has \d+ token ids, and the embedding 100 rows; its end token has the id 1, and config\.json's eos_token_id is 2/,
      ),
    ]);
    const none = await problemsOf(
      checkRun({ ...base("x"), model: join(root, "no/model"), options: { init: "vocab" } }),
    );
    expect(none.join("\n")).toMatch(
      /options\.init must be one of vocabulary, text, .*\nmodel: no model at .*expected a folder/,
    );
  });
});

describe("Options of a method", () => {
  test.each(
    methodNames.flatMap((name) => Object.entries<Field>(methods[name].fields).map(([o, f]) => [name, o, f] as const)),
  )("%s: %s is held to its range, without a model", (name, option, field) => {
    if (field.kind !== "integer" && field.kind !== "number") return;
    for (const value of [field.min - 1, field.max + 1]) {
      expect(resolveMethod(name, { [option]: value }, null).problems).toContain(
        `${option} must be ${field.kind === "integer" ? "a whole number" : "a number"} from ${field.min} to ${field.max}, not ${value}`,
      );
    }
  });

  // [method, options, what the tiny backbone of width 8 with one layer says]
  const tooLarge: readonly (readonly [string, Record<string, unknown>, string])[] = [
    ["lora", { rank: 9 }, "options.rank must be at most the backbone's width 8, not 9"],
    ["mpt", { numRanks: 9 }, "options.numRanks must be at most the backbone's width 8, not 9"],
    ["mpt-adapter", { numRanks: 9 }, "options.numRanks must be at most the backbone's width 8, not 9"],
    ["smop-mpt", { numRanks: 9 }, "options.numRanks must be at most the backbone's width 8, not 9"],
    ["dept", { rank: 9 }, "options.rank must be at most the backbone's width 8, not 9"],
    ["adapter-drop", { firstLayer: 1 }, "options.firstLayer must be below the backbone's 1 layers, not 1"],
    ["compacter", { reduction: 9 }, "options.reduction must be at most the backbone's width 8, not 9"],
    [
      "compacter",
      { reduction: 4 },
      "options.terms must divide the width 8 and the bottleneck 2 (width / reduction), not 4",
    ],
  ];
  test.each(tooLarge)("%s with %o is refused by the backbone's sizes", async (method, options, problem) => {
    expect(await problemsOf(checkRun({ ...base("x"), method, options }))).toEqual([problem]);
    expect(() => resolveRun({ ...base("x"), method, options })).not.toThrow();
  });

  test("learning rates of groups that a method does not have name the near one", async () => {
    const config = { ...base("x"), method: "mpt", learningRates: { shraed: 1, task: 0.1 } };
    expect(await problemsOf(checkRun(config))).toEqual([
      'learningRates.shraed: mpt has no such group (did you mean "shared"?); expected one of shared, task',
    ]);
  });

  test("starts that need labels or sources say what is missing", async () => {
    const labels = { ...base("x"), tasks: ["mini/squad"], options: { init: "labels" } };
    expect(await problemsOf(checkRun(labels))).toEqual([
      'options.init "labels" starts from class labels, and mini/squad has none; expected one of vocabulary, text, random, normal',
    ]);
    for (const method of ["spot", "attempt"]) {
      expect(await problemsOf(checkRun({ ...base("x"), method }))).toEqual([
        `from: ${method} starts from what was trained on other tasks; expected the folder of at least one finished run, got nothing`,
      ]);
      const longer = {
        ...base("x"),
        method,
        stage: "target",
        from: at("finished"),
        options: { numVirtualTokens: 5 },
        tasks: ["mini/rte"],
      };
      expect(await problemsOf(checkRun(longer))).toEqual([
        "from: source prompts are 4 × 8; numVirtualTokens and the backbone ask for 5 × 8",
      ]);
    }
    const mpt = {
      ...base("x"),
      method: "mpt",
      stage: "target",
      from: at("finished"),
      options: { numVirtualTokens: 5 },
    };
    expect(await problemsOf(checkRun(mpt))).toEqual([
      "from: the source (prompt-tuning) must hold a prompt of 5 × 8; it has 4 × 8",
    ]);
  });

  test("a source stage asks for teachers that its prompt can be compared with", async () => {
    const source = { ...base("x"), stage: "source", method: "mpt" };
    expect(await problemsOf(checkRun(source))).toEqual([]);
    // Its virtual tokens are keys and values in the layers: no prompt to copy.
    expect(
      (await problemsOf(checkRun({ ...source, distillation: { teacherMethod: "prefix-tuning" } }))).join(),
    ).toMatch(/^distillation\.teacherMethod: expected a method with a prompt .*got "prefix-tuning"$/);
    expect(await problemsOf(checkRun({ ...source, distillation: { teacherMethod: "lora" } }))).toEqual([
      expect.stringMatching(
        /^distillation\.teacherMethod: expected a method with a prompt of one length that starts from nothing \(mpt, .*\), got "lora"$/,
      ),
    ]);
    expect(await problemsOf(checkRun({ ...source, method: "lora", options: {} }))).toEqual([
      expect.stringMatching(/^distillation\.weight: expected 0, got 0\.9: lora has no prompt of one length/),
    ]);
  });
});

describe("Sources", () => {
  test("of a method that reads none are refused, with the methods that do", async () => {
    const config = { ...base("y"), stage: "target", from: at("finished") };
    expect(await problemsOf(checkRun(config as RunConfigInput))).toEqual([
      expect.stringMatching(/^from: prompt-tuning starts from nothing, .*: mpt.*spot/),
    ]);
  });
});

describe("Another backbone", () => {
  test("of the same sizes is told by its weights, the same one in half precision is not refused", async () => {
    const config = { ...base("x"), method: "spot", stage: "target", from: at("finished"), tasks: ["mini/rte"] };
    expect(await problemsOf(checkRun(config))).toEqual([]);
    expect(await problemsOf(checkRun({ ...config, model: at("twin") }))).toEqual([
      expect.stringMatching(
        /finished is of another backbone: it was trained on .*model; this backbone is .*twin, of the same sizes \(t5 of width 8, .*\) but with other weights \(one of those compared is -?[\d.]+ there and -?[\d.]+ here\)/,
      ),
    ]);
    for (const dtype of ["BF16", "F16"] as const) {
      cpSync(at("model"), at(dtype), { recursive: true });
      const file = openSafetensors(join(at("model"), "model.safetensors"));
      const tensors = [...file.tensors.keys()].map((name) => {
        const { shape, values } = file.read(name);
        return [name, { shape, values: values.slice(), dtype }] as const;
      });
      writeSafetensors(join(at(dtype), "model.safetensors"), Object.fromEntries(tensors));
      expect(await problemsOf(checkRun({ ...config, model: at(dtype) }))).toEqual([]);
    }
  });

  test("behind a run is refused by answer and bunsen evaluate, both sides named", async () => {
    await saveModel("moving");
    await trained({ ...base("moved"), model: at("moving") });
    expect(typeof (await answer(at("moved"), "sst2 sentence: fine"))).toBe("string");
    await saveModel("moving", {}, 9);
    const message =
      /moved is of another backbone: it was trained on .*moving; this backbone is .*moving, of the same sizes .* but with other weights/;
    await expect(answer(at("moved"), "sst2 sentence: fine")).rejects.toThrow(message);
    const evaluated = await bunsen("evaluate", at("moved"), "--examples", "2");
    expect(evaluated.status).toBe(1);
    expect(evaluated.err).toMatch(message);
    const predicted = await bunsen("predict", at("moved"), "--text", "x");
    expect(predicted.status).toBe(1);
    expect(predicted.err).toMatch(message);
  });

  test("under a run that is gone on with is refused, while the backbone it was begun with goes on", async () => {
    await saveModel("shifting");
    const config = { ...base("shifted"), model: at("shifting"), steps: 3, checkpointEvery: 1 };
    for await (const event of train(config)) if (event.type === "step" && event.step === 2) break;
    const record = JSON.parse(readFileSync(join(at("shifted"), "environment.json"), "utf8")) as {
      backbone: { sample: number[] };
    };
    expect(record.backbone).toMatchObject({ modelType: "t5", hiddenSize: 8, numDecoderLayers: 1 });
    const sample = record.backbone.sample.map((value) => value + 1);
    const write = (backbone: object): void =>
      writeJson(join(at("shifted"), "environment.json"), { ...record, backbone });
    write({ ...record.backbone, sample });
    await expect(trained(config)).rejects.toThrow(
      /shifted was begun with another backbone: .* but with other weights .*Put that backbone back to go on, or name a new run folder/,
    );
    write(record.backbone);
    await trained(config);
  });

  test("of an adapter that PEFT wrote is told by what its config repeats, and by the model that it names", async () => {
    const peft = (fields: object): Record<string, unknown> => ({
      peft_type: "PROMPT_TUNING",
      task_type: "SEQ_2_SEQ_LM",
      num_virtual_tokens: 4,
      num_transformer_submodules: 1,
      token_dim: 8,
      num_layers: 1,
      num_attention_heads: 2,
      base_model_name_or_path: "google-t5/t5-small",
      ...fields,
    });
    mkdirSync(at("peft"));
    writeSafetensors(join(at("peft"), "adapter_model.safetensors"), {
      prompt_embeddings: { shape: [4, 8], values: new Float32Array(32).fill(0.5) },
    });
    const config = { ...base("from-peft"), method: "spot", stage: "target", from: at("peft"), tasks: ["mini/rte"] };
    const told = async (fields: object): Promise<readonly string[]> => {
      writeJson(join(at("peft"), "adapter_config.json"), peft(fields));
      return problemsOf(checkRun(config));
    };
    expect(await told({})).toEqual([]);
    expect(await told({ num_layers: 6, num_attention_heads: 8 })).toEqual([
      expect.stringMatching(
        /peft is of another backbone: its adapter_config\.json \(trained on google-t5\/t5-small\) is of another backbone than .*model: num_layers is 6, this backbone has 1, num_attention_heads is 8, this backbone has 2/,
      ),
    ]);
    // The model that it names lies here: it is compared whole, by vocabulary and weights too.
    expect(await told({ base_model_name_or_path: at("model") })).toEqual([]);
    expect(await told({ base_model_name_or_path: at("twin") })).toEqual([
      expect.stringMatching(/it was trained on .*twin; this backbone is .*model, of the same sizes/),
    ]);
    await told({});
    await trained(config); // and an adapter folder is a source like a run
  });

  test("a look at a folder agrees with loading it, and starts no engine and reads no weight", () => {
    const looked = inspectT5(at("model"));
    const model = loadT5(at("model"));
    expect(looked.config).toEqual(model.config);
    expect(looked.shape.numParameters).toBe(model.backbone.numParameters);
    expect(looked.shape.sample).toEqual(model.backbone.sample);
    expect([...looked.shape.weights].map(([name, { shape }]) => [name, shape])).toEqual(
      [...model.weights].map(([name, weight]) => [name, weight.shape]),
    );
    model.dispose();
    const before = tf.memory().numTensors;
    inspectT5(at("model"));
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("Files that the disk refuses", () => {
  // A folder that not even root may write into: the kernel's own.
  const closed = "/sys/kernel";

  test.skipIf(!existsSync(closed))(
    "are named with what was to be written, its size, the reason and what to do",
    async () => {
      const refusal = (what: string, file: string, size: string): RegExp =>
        new RegExp(
          `^${what}: .*${file}${size} could not be (written|made): this user may not write there \\((EACCES|EPERM)\\)\\. Get permission to write in .*, or name a folder elsewhere, then start the same command again: it goes on from the last complete checkpoint\\.$`,
        );
      await expect(trained({ ...base("x"), run: join(closed, "bunsen-run") })).rejects.toThrow(
        refusal("the run", "bunsen-run", ""),
      );
      const places = [
        ["the predictions", "predictions", "mini-sst2-test.jsonl"],
        ["the adapter", "adapter", "adapter_model.safetensors"],
      ] as const;
      for (const [what, folder, file] of places) {
        const run = `closed-${folder}`;
        mkdirSync(at(run));
        symlinkSync(closed, join(at(run), folder));
        await expect(trained(base(run))).rejects.toThrow(refusal(what, file, " \\(\\d[\\d.]* (bytes|KiB)\\)"));
        expect(existsSync(join(at(run), "metrics.json"))).toBe(false);
        // With the folder mended, the same command ends it.
        rmSync(join(at(run), folder));
        await trained(base(run));
        expect(existsSync(join(at(run), "metrics.json"))).toBe(true);
      }
    },
  );

  test("have the reason in words, and advice that fits it", () => {
    const error = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });
    const told = (code: string, bytes: number | null = 5_000_000): string =>
      new WriteError("/runs/a/metrics.json", bytes, error(code)).message;
    expect(told("ENOSPC")).toBe(
      "/runs/a/metrics.json (4.8 MiB) could not be written: no room is left on its disk (ENOSPC). Make room for at least 4.8 MiB on the disk of /runs/a.",
    );
    expect(told("EROFS")).toContain(
      "its file system is read-only (EROFS). Mount it writable, or name a folder elsewhere.",
    );
    expect(told("EDQUOT", 812)).toContain("(812 bytes) could not be written: your quota of its disk is used up");
    expect(told("ENOTDIR", null)).toBe(
      "the folder /runs/a/metrics.json could not be made: /runs/a is missing or no folder (ENOTDIR). Mend that path, or name a folder elsewhere.",
    );
    expect(told("EIO")).toContain("could not be written: EIO: it failed. Mend the folder or its disk.");
  });
});
