// A finished run in use: the copies of its log that other tools read, its card, `bunsen evaluate` and `bunsen predict`,
// and what does not fit it: another backbone, another tokenizer, labels that its data does not have.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addDataset } from "#datasets/index.ts";
import { main } from "#toolkit/main.ts";
import { randomT5, saveT5, type T5Config } from "#toolkit/models/t5/index.ts";
import { useEngine } from "#toolkit/tensor/index.ts";
import { answer } from "#toolkit/training/answer.ts";
import type { RunConfigInput } from "#toolkit/training/config.ts";
import type { TrainEvent } from "#toolkit/training/contract.ts";
import { crc32 } from "#toolkit/training/crc32c.ts";
import { estimate } from "#toolkit/training/estimate.ts";
import { train } from "#toolkit/training/loop.ts";
import { readResult } from "#toolkit/training/result.ts";
import { logRows, readRunLog } from "#toolkit/training/run-log.ts";
import { tickets } from "../../datasets/tickets.ts";
import { tinyT5 } from "./tiny-config.ts";

const backbone = join(import.meta.dirname, "../../../datasets/mini/backbone");
const root = mkdtempSync(join(tmpdir(), "bunsen-finished-"));
const cache = process.env.BUNSEN_CACHE;
const finished = join(root, "finished");
let tiny: T5Config;

async function saveModel(name: string, changes: Partial<T5Config> = {}): Promise<void> {
  const made = randomT5({ ...tiny, ...changes }, { seed: 3, tied: true });
  await saveT5(made, join(root, name));
  made.dispose();
  cpSync(join(backbone, "tokenizer.json"), join(root, name, "tokenizer.json"));
}

const base = (run: string): RunConfigInput => ({
  run: join(root, run),
  model: join(root, "model"),
  tasks: ["mini/sst2"],
  method: "prompt-tuning",
  options: { numVirtualTokens: 4 },
  steps: 2,
  batchSize: 4,
  shots: 8,
  evaluationExamples: 6,
  finalSplits: ["test"],
  maxNewTokens: 3,
  engine: "wasm",
});

async function collect(config: RunConfigInput): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of train(config)) events.push(event);
  return events;
}

async function bunsen(...argv: string[]): Promise<{ status: number; out: string[]; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const status = await main(argv, { out: (text) => out.push(text), err: (text) => err.push(text), interactive: false });
  return { status, out, err: err.join("\n") };
}

let events: TrainEvent[];
beforeAll(async () => {
  process.env.BUNSEN_CACHE = join(root, "cache");
  await useEngine("wasm");
  const { vocab_size: vocabSize } = JSON.parse(readFileSync(join(backbone, "config.json"), "utf8")) as {
    vocab_size: number;
  };
  tiny = { ...tinyT5, vocabSize };
  await saveModel("model");
  events = await collect(base("finished"));
});
afterAll(() => {
  if (cache === undefined) delete process.env.BUNSEN_CACHE;
  else process.env.BUNSEN_CACHE = cache;
  rmSync(root, { recursive: true, force: true });
});

/** Scalars of an event file, by the format's own rules: framed records, then protocol buffers. */
function readEvents(bytes: Uint8Array): { version: string; scalars: { tag: string; step: number; value: number }[] } {
  const masked = (part: Uint8Array): number => {
    const crc = crc32(part);
    return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  };
  const fields = (message: Uint8Array): Map<number, Uint8Array | number> => {
    const found = new Map<number, Uint8Array | number>();
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    let at = 0;
    const varint = (): number => {
      let [value, scale] = [0, 1];
      for (; message[at]! >= 128; at++, scale *= 128) value += (message[at]! - 128) * scale;
      return value + message[at++]! * scale;
    };
    while (at < message.length) {
      const tag = varint();
      const [field, kind] = [tag >> 3, tag & 7];
      if (kind === 0) found.set(field, varint());
      else if (kind === 1) {
        found.set(field, view.getFloat64(at, true));
        at += 8;
      } else if (kind === 5) {
        found.set(field, view.getFloat32(at, true));
        at += 4;
      } else {
        const length = varint();
        found.set(field, message.subarray(at, at + length));
        at += length;
      }
    }
    return found;
  };
  const text = (value: Uint8Array | number | undefined): string => new TextDecoder().decode(value as Uint8Array);
  const scalars: { tag: string; step: number; value: number }[] = [];
  let version = "";
  for (let at = 0; at < bytes.length; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const length = Number(view.getBigUint64(0, true));
    expect(view.getUint32(8, true)).toBe(masked(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(12 + length, true)).toBe(masked(data));
    at += length + 16;
    const event = fields(data);
    if (event.has(3)) version = text(event.get(3));
    if (!event.has(5)) continue;
    const value = fields(fields(event.get(5) as Uint8Array).get(1) as Uint8Array);
    scalars.push({ tag: text(value.get(1)), step: event.get(2) as number, value: value.get(2) as number });
  }
  return { version, scalars };
}

describe("The folder of a finished run", () => {
  test("has every number of its log as CSV and as TensorBoard events", () => {
    const rows = logRows(readRunLog(join(finished, "log.arrow"))).filter((row) => row.kind !== "warning");
    expect(rows.length).toBeGreaterThan(8);
    const [header, ...lines] = readFileSync(join(finished, "metrics.csv"), "utf8").trim().split("\n");
    expect(header).toBe("stage,step,kind,task,split,name,value,time");
    expect(lines.map((line) => line.split(",").slice(0, 7).join())).toEqual(
      rows.map((row) => [row.stage, row.step, row.kind, row.task, row.split, row.name, row.value].join()),
    );
    // The checksum's published check value, so that frames are not only right by our own measure.
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
    const { version, scalars } = readEvents(readFileSync(join(finished, "events.out.tfevents.bunsen")));
    expect(version).toBe("brain.Event:2");
    expect(scalars).toEqual(
      rows.map((row) => ({
        tag: [row.stage, row.task, row.split, row.name].filter((part) => part !== "").join("/"),
        step: row.step,
        value: Math.fround(row.value),
      })),
    );
  });

  test("has a card that says what was trained, on what, how well and how to use it", () => {
    const card = readFileSync(join(finished, "README.md"), "utf8");
    const { scores } = readResult(finished);
    const accuracy = scores.test!["mini/sst2"]!.accuracy!;
    for (const part of [
      `base_model: ${JSON.stringify(join(root, "model"))}`,
      "library_name: peft",
      "| 32 | 2 (best: 2) | 4 | 42 |",
      `| mini/sst2 | test | accuracy | ${accuracy.toFixed(2)} |`,
      "Trained on 8 examples only",
      "licence",
      `await answer(${JSON.stringify(finished)}`,
    ])
      expect(card).toContain(part);
  });
});

describe("A run's estimate", () => {
  test("comes before the first step, and grows with what the run asks for", async () => {
    const [start] = events;
    expect(start).toMatchObject({ type: "start", estimate: expect.anything() });
    const { memoryMiB, seconds } = (start as Extract<TrainEvent, { type: "start" }>).estimate;
    expect(memoryMiB).toBeGreaterThan(0);
    expect(seconds).toBeGreaterThan(0);
    const model = randomT5(tiny, { seed: 1 });
    const work = {
      batchSize: 4,
      encoderLength: 64,
      decoderLength: 4,
      steps: 10,
      trainableValues: 32,
      teacherPasses: 0,
    };
    const [one, twice] = [estimate(model, work, "cpu"), estimate(model, { ...work, batchSize: 8 }, "cpu")];
    // At least the weights, and twice the activations for twice the rows.
    const weights = (4 * model.backbone.numParameters) / 2 ** 20;
    expect(one.memoryMiB).toBeGreaterThan(weights);
    const kept = (all: number): number => all - weights - (4 * 4 * work.trainableValues) / 2 ** 20;
    expect(kept(twice.memoryMiB) / kept(one.memoryMiB)).toBeCloseTo(2, 6);
    expect(twice.seconds).toBeGreaterThan(one.seconds);
    expect(estimate(model, { ...work, steps: 20 }, "cpu").seconds / one.seconds).toBeCloseTo(2, 6);
    expect(estimate(model, { ...work, teacherPasses: 1 }, "cpu").seconds).toBeGreaterThan(one.seconds);
    model.dispose();
  });
});

describe("After training", () => {
  test("bunsen evaluate gives the run's own scores again, and scores of another dataset", async () => {
    const own = await bunsen("evaluate", finished, "--examples", "6");
    expect(own.err).toBe("");
    expect(own.status).toBe(0);
    expect(own.out.map((line) => JSON.parse(line))).toEqual([
      {
        run: finished,
        on: "mini/sst2",
        split: "test",
        examples: 6,
        metrics: readResult(finished).scores.test!["mini/sst2"],
      },
    ]);
    const other = await bunsen("evaluate", finished, "--on", "mini/rte", "--split", "validation", "--examples", "3");
    expect(JSON.parse(other.out[0]!)).toMatchObject({ on: "mini/rte", split: "validation", examples: 3 });
    expect(Object.keys(JSON.parse(other.out[0]!).metrics)).toEqual(["accuracy"]);
    const wrong = await bunsen("evaluate", finished, "--on", "mini/rtee");
    expect(wrong.status).toBe(1);
    expect(wrong.err).toContain("mini/rte");
  });

  test("bunsen predict answers as answer() does, for one of the run's tasks", async () => {
    const texts = ["sst2 sentence: a fine film", "sst2 sentence: dull"];
    const { out, status } = await bunsen("predict", finished, "--text", texts[0]!, "--text", texts[1]!);
    expect(status).toBe(0);
    expect(out).toEqual([await answer(finished, texts[0]!), await answer(finished, texts[1]!, "mini/sst2")]);
    const wrong = await bunsen("predict", finished, "--text", "x", "--task", "glue/rte");
    expect(wrong.status).toBe(1);
    expect(wrong.err).toContain("was not trained on glue/rte; it knows mini/sst2");
  });
});

describe("What does not fit", () => {
  test("a source run of another backbone is refused with both sides", async () => {
    await saveModel("wide", { hiddenSize: 12 });
    const config = { ...base("foreign"), stage: "target", method: "spot", model: join(root, "wide"), from: finished };
    await expect(collect(config as RunConfigInput)).rejects.toThrow(
      /finished is of another backbone: it was trained on .*model \(t5 of width 8, .*this backbone is .*wide \(t5 of width 12, /,
    );
  });

  test("a tokenizer with more ids than the embedding has rows is refused with both numbers", async () => {
    await saveModel("narrow", { vocabSize: 100 });
    await expect(collect({ ...base("misfit"), model: join(root, "narrow") })).rejects.toThrow(
      /tokenizer of .*narrow does not fit its model: it has \d+ token ids, and the embedding 100 rows/,
    );
  });

  test("a label that the template does not have is named with its column and the allowed ones", async () => {
    const folder = join(root, "tickets");
    mkdirSync(folder);
    const rows = Array.from({ length: 8 }, (_, i) => JSON.stringify({ text: `ticket ${i}`, label: i % 3 }));
    for (const split of ["train", "validation"]) writeFileSync(join(folder, `${split}.jsonl`), rows.join("\n"));
    addDataset(tickets("tickets-of-three", folder));
    const config = { ...base("labels"), tasks: ["tickets-of-three"], shots: null };
    await expect(collect(config as RunConfigInput)).rejects.toThrow(/label.*a label from 0 to 1.*2/s);
  });

  test("a disk without room ends the run with the file and what to do, and with room it is finished", async () => {
    const run = join(root, "no-room");
    mkdirSync(run);
    symlinkSync("/dev/full", join(run, "log.arrow.part")); // every write fails for want of room
    await expect(collect(base("no-room"))).rejects.toThrow(
      /the run log: .*log\.arrow \(\d+ bytes\) could not be written: .*ENOSPC.*Make room for at least \d+ bytes .*, then start the same command again/,
    );
    rmSync(join(run, "log.arrow.part"));
    expect((await collect(base("no-room"))).at(-1)).toMatchObject({ type: "done", steps: 2 });
  });
});
