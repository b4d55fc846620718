// Batches from the worker: the same as without it, in order, and neither a worker nor a process outlives its use.
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Batch, StepBatch } from "#toolkit/batches/contract.ts";
import { DataError } from "#toolkit/batches/errors.ts";
import { createMixture, type Mixture, type MixtureOptions } from "#toolkit/batches/mixture.ts";
import { type Prefetched, prefetched, sharedTask } from "#toolkit/batches/prefetch.ts";
import { openRing, places, ringMemory, wordsOf } from "#toolkit/batches/ring.ts";
import { encodedOf } from "./encoded.ts";

const root = join(import.meta.dirname, "../../..");
const tasks = [
  { encoded: encodedOf(Array.from({ length: 500 }, (_, i) => 1 + ((i * 7919) % 40))), weight: 2 },
  {
    encoded: encodedOf(
      Array.from({ length: 90 }, (_, i) => 5 + (i % 60)),
      "b",
      3,
    ),
    maxLengths: 4,
  },
];
const options: MixtureOptions = { batchSize: 8, seed: 5, stochasticTasks: { min: 1 } };
const own = ({ parts, step, examples }: StepBatch): unknown => ({ parts, step, examples });

/** The range of a mixture, with what a test would have otherwise. */
function rangeOf(mixture: Mixture, changed: Partial<Prefetched>): Prefetched {
  return {
    fromStep: 0,
    toStep: Number.POSITIVE_INFINITY,
    onWorker: true,
    at: mixture.at,
    options,
    tasks: () => tasks.map(sharedTask),
    words: wordsOf(8, 64, 3),
    ...changed,
  };
}

/** A worker, and the promise of its end. */
function watched(): { start: () => Worker; ended: Promise<void> } {
  let end: () => void;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    start: () => {
      const worker = new Worker(new URL("../../../toolkit/batches/batch-worker.ts", import.meta.url).href);
      worker.addEventListener("close", () => end());
      return worker;
    },
    ended,
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("batches made ahead on a worker", () => {
  it("are those that are made here, in order, from any step, and the worker does make them", async () => {
    for (const fromStep of [0, 1000]) {
      const mixture = createMixture(tasks, options);
      const plain = createMixture(tasks, options);
      let step = fromStep;
      let ahead = 0;
      for await (const batch of mixture.batches({ fromStep })) {
        expect(own(batch)).toEqual(own(plain.at(step++)));
        expect(batch.waitMs).toBeGreaterThanOrEqual(0);
        if (batch.prefetched === true) ahead++;
        if (ahead === 50) break;
        await turn();
      }
      expect(ahead).toBe(50);
    }
  });

  it("come without ever giving the event loop a turn in between", async () => {
    const mixture = createMixture(tasks, options);
    const plain = createMixture(tasks, options);
    const steps: number[] = [];
    for await (const batch of mixture.batches({ toStep: 3000 })) {
      steps.push(batch.step);
      if (batch.step % 100 === 0) expect(own(batch)).toEqual(own(plain.at(batch.step)));
    }
    expect(steps).toEqual(Array.from({ length: 3000 }, (_, i) => i));
  });

  it("are made here where the range is short, there is no worker, or it cannot start", async () => {
    const mixture = createMixture(tasks, options);
    const absent = (): Worker => new Worker(new URL("./no-such-worker.ts", import.meta.url).href);
    for (const changed of [{ toStep: 15 }, { toStep: 40, onWorker: false }, { toStep: 400, start: absent }]) {
      let step = 0;
      for await (const batch of prefetched(rangeOf(mixture, changed))) {
        expect(own(batch)).toEqual(own(mixture.at(step++)));
        expect(batch.prefetched).toBeUndefined();
        await turn();
      }
      expect(step).toBe(changed.toStep);
    }
  });

  it("end with their worker, read to the end or broken off", async () => {
    const mixture = createMixture(tasks, options);
    for (const last of [60, 3]) {
      const { start, ended } = watched();
      for await (const { step } of prefetched(rangeOf(mixture, { toStep: 61, start }))) if (step === last) break;
      await ended;
    }
  });

  it("stop at once where the signal says so, with its reason, and so does their worker", async () => {
    const mixture = createMixture(tasks, options);
    const { start, ended } = watched();
    const controller = new AbortController();
    const read = async (): Promise<void> => {
      for await (const { prefetched: ahead } of prefetched(rangeOf(mixture, { start, signal: controller.signal }))) {
        if (ahead === true) controller.abort(new Error("enough"));
        await turn();
      }
    };
    await expect(read()).rejects.toThrow("enough");
    await ended;
  });

  it("hand on what the worker met, by its name", async () => {
    const mixture = createMixture(tasks, options);
    const read = async (changed: Partial<Prefetched>): Promise<void> => {
      for await (const _ of prefetched(rangeOf(mixture, changed))) await turn();
    };
    const missing = { ...sharedTask(tasks[0]!), file: "/no/such/file.arrow" };
    const error = await read({ tasks: () => [missing] }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toContain("/no/such/file.arrow");
    // A place that is too small for a batch.
    await expect(read({ words: 30 })).rejects.toMatchObject({ name: "RangeError" });
  });

  it("do not keep a process alive that reads no further", async () => {
    const script = `
      import { createMixture } from "#toolkit/batches/mixture.ts";
      import { encodedOf } from "./test/toolkit/batches/encoded.ts";
      const mixture = createMixture([{ encoded: encodedOf(Array.from({ length: 99 }, (_, i) => 1 + i)) }], { batchSize: 4, seed: 1 });
      const batches = mixture.batches();
      for (let ahead = 0; ahead < 9; ) {
        const { value } = await batches.next();
        if (value.prefetched) ahead++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      console.log("read");
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { cwd: root, stdout: "pipe", stderr: "pipe" });
    const [out, err, status] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    expect({ out, err, status }).toEqual({ out: "read\n", err: "", status: 0 });
  });
});

describe("the ring", () => {
  const part = fc
    .record({ batchSize: fc.integer({ min: 1, max: 4 }), inputLength: fc.integer({ min: 1, max: 9 }), seed: fc.nat() })
    .map(({ batchSize, inputLength, seed }): Batch => {
      const values = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => (seed + i * 31) % 1000);
      return {
        inputIds: values(batchSize * inputLength),
        attentionMask: values(batchSize * inputLength),
        labels: values(batchSize * 2),
        taskIds: values(batchSize),
        rows: values(batchSize),
        batchSize,
        inputLength,
        labelLength: 2,
      };
    });

  it("gives back what was put, once its place has been written, until it is written again", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(part, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 }),
        (steps) => {
          const memory = ringMemory(wordsOf(12, 9, 2));
          const [writer, reader] = [openRing(memory), openRing(memory)];
          for (const [step, parts] of steps.entries()) {
            expect(reader.take(step)).toBeNull();
            writer.put(step, parts);
            expect(reader.take(step)).toEqual(parts);
            if (step >= places) expect(reader.take(step - places)).toBeNull();
          }
        },
      ),
    );
  });

  it("says what was asked for, and that the writer works", () => {
    const memory = ringMemory(wordsOf(1, 1, 1));
    const [writer, reader] = [openRing(memory), openRing(memory)];
    expect([reader.begun(), writer.asked()]).toEqual([false, 0]);
    writer.begin();
    reader.ask(7);
    expect([reader.begun(), writer.asked()]).toEqual([true, 7]);
  });
});
