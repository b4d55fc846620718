// The mixture loses and repeats no example, goes on anywhere, and mixes tasks by the rates it was asked for.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Batch } from "#toolkit/batches/contract.ts";
import { createMixture, evaluationBatches, type MixtureOptions } from "#toolkit/batches/mixture.ts";
import { probabilitiesOf } from "#toolkit/batches/sampling.ts";
import { encodedOf } from "./encoded.ts";

const lengthsOf = (count: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: count });

const options = fc.record({
  batchSize: fc.integer({ min: 1, max: 17 }),
  seed: fc.nat(),
  maxLengths: fc.integer({ min: 1, max: 10 }),
  grouping: fc.constantFrom("length" as const, "none" as const),
});

const mixing = fc.record(
  {
    sampling: fc.constantFrom(
      { kind: "proportional" as const },
      { kind: "proportional" as const, cap: 10 },
      { kind: "equal" as const },
      { kind: "temperature" as const, temperature: 2 },
      { kind: "logarithmic" as const },
    ),
    stochasticTasks: fc.constantFrom({}, { min: 1, max: 2 }, { max: 5 }),
  },
  { requiredKeys: ["sampling"] },
);

/** `task:example` of every row, in order. */
function rowsOf(parts: readonly Batch[]): string[] {
  return parts.flatMap(({ taskIds, rows }) => Array.from(rows, (row, i) => `${taskIds[i]}:${row}`));
}

describe("a single task", () => {
  it("gives every example once per epoch: none lost, none repeated, whatever sizes and seeds", () => {
    fc.assert(
      fc.property(lengthsOf(80), options, fc.integer({ min: 1, max: 3 }), (lengths, chosen, epochs) => {
        const mixture = createMixture([{ encoded: encodedOf(lengths) }], chosen);
        const seen: number[] = [];
        for (let step = 0; seen.length < epochs * lengths.length; step++) seen.push(...mixture.rowsAt(step).rows);
        for (let epoch = 0; epoch < epochs; epoch++) {
          const part = seen.slice(epoch * lengths.length, (epoch + 1) * lengths.length);
          expect([...part].sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        }
      }),
    );
  });

  it("shuffles each epoch anew, and differently for each seed", () => {
    const lengths = Array.from({ length: 64 }, () => 5);
    const epochs = [1, 2].map((seed) => {
      const mixture = createMixture([{ encoded: encodedOf(lengths) }], { batchSize: 64, seed });
      return [0, 1].map((step) => mixture.rowsAt(step).rows.join());
    });
    expect(new Set(epochs.flat()).size).toBe(4);
  });

  it("fills whole batches from one bucket as long as there are rows", () => {
    const lengths = Array.from({ length: 1000 }, (_, i) => 1 + ((i * 7919) % 100));
    const mixture = createMixture([{ encoded: encodedOf(lengths) }], { batchSize: 16, seed: 3 });
    let single = 0;
    for (let step = 0; step < mixture.stepsPerEpoch; step++) if (mixture.at(step).parts.length === 1) single++;
    expect(single / mixture.stepsPerEpoch).toBeGreaterThan(0.8);
  });
});

describe("a mixture", () => {
  it("reads each task's examples once per epoch of that task", () => {
    fc.assert(
      fc.property(fc.array(lengthsOf(25), { minLength: 2, maxLength: 4 }), options, mixing, (tasks, chosen, mix) => {
        const encoded = tasks.map((lengths, i) => encodedOf(lengths, `t${i}`));
        const mixture = createMixture(
          encoded.map((each) => ({ encoded: each })),
          { ...chosen, ...mix },
        );
        const read = tasks.map(() => [] as number[]);
        for (let step = 0; step < 60; step++) {
          const { taskIds, rows } = mixture.rowsAt(step);
          expect(rows.length).toBe(chosen.batchSize);
          for (const [i, row] of rows.entries()) read[taskIds[i]!]!.push(row);
        }
        for (const [task, rows] of read.entries()) {
          const size = tasks[task]!.length;
          for (let start = 0; start + size <= rows.length; start += size)
            expect(new Set(rows.slice(start, start + size)).size).toBe(size);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("goes on at any step as if it had never stopped", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(lengthsOf(40), { minLength: 1, maxLength: 3 }),
        options,
        mixing,
        fc.boolean(),
        fc.integer({ min: 0, max: 90 }),
        async (tasks, chosen, mix, replacement, from) => {
          const make = (): ReturnType<typeof createMixture> =>
            createMixture(
              tasks.map((lengths, i) => ({ encoded: encodedOf(lengths, `t${i}`) })),
              { ...chosen, ...mix, replacement },
            );
          const whole: string[][] = [];
          for await (const { parts } of make().batches({ toStep: 100 })) whole.push(rowsOf(parts));
          const resumed: string[][] = [];
          for await (const { parts, step } of make().batches({ fromStep: from, toStep: 100 })) {
            expect(step).toBe(from + resumed.length);
            resumed.push(rowsOf(parts));
          }
          expect(resumed).toEqual(whole.slice(from));
          // In any order, too: nothing hangs on what was asked before.
          const other = make();
          for (const step of [99, 3, 50, 4, from]) expect(rowsOf(other.at(step).parts)).toEqual(whole[step]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("goes on far into a run as well", () => {
    const tasks = [
      encodedOf([3, 4, 5], "a"),
      encodedOf(
        Array.from({ length: 50 }, () => 4),
        "b",
      ),
    ].map((encoded) => ({ encoded }));
    const chosen: MixtureOptions = { batchSize: 8, seed: 1, stochasticTasks: {} };
    const one = createMixture(tasks, chosen);
    for (let step = 0; step <= 5000; step++) one.rowsAt(step);
    const other = createMixture(tasks, chosen);
    for (const step of [5000, 1024, 1023, 4097]) expect(other.rowsAt(step)).toEqual(one.rowsAt(step));
  });

  it("splits a step into one batch per length that together hold exactly its rows", () => {
    fc.assert(
      fc.property(
        fc.array(lengthsOf(30), { minLength: 1, maxLength: 3 }),
        options,
        fc.nat(50),
        (tasks, chosen, step) => {
          const encoded = tasks.map((lengths, i) => encodedOf(lengths, `t${i}`, 1 + i));
          const mixture = createMixture(
            encoded.map((each) => ({ encoded: each })),
            chosen,
          );
          const { taskIds, rows } = mixture.rowsAt(step);
          const { parts, examples } = mixture.at(step);
          expect(examples).toBe(chosen.batchSize);
          expect(rowsOf(parts).sort()).toEqual(Array.from(rows, (row, i) => `${taskIds[i]}:${row}`).sort());
          const used = parts.map(({ inputLength }) => inputLength);
          expect(used).toEqual([...new Set(used)].sort((a, b) => a - b));
          for (const part of parts) {
            const { batchSize, inputLength, labelLength } = part;
            expect(part.inputIds.length).toBe(batchSize * inputLength);
            expect(part.labels.length).toBe(batchSize * labelLength);
            for (let b = 0; b < batchSize; b++) {
              const source = encoded[part.taskIds[b]!]!;
              const row = part.rows[b]!;
              const ids = source.inputTokens.subarray(source.inputOffsets[row], source.inputOffsets[row + 1]);
              expect(mixture.lengths[part.taskIds[b]!]).toContain(inputLength);
              expect([...part.inputIds.subarray(b * inputLength, (b + 1) * inputLength)]).toEqual([
                ...ids,
                ...new Array(inputLength - ids.length).fill(0),
              ]);
              expect([...part.attentionMask.subarray(b * inputLength, (b + 1) * inputLength)]).toEqual([
                ...new Array(ids.length).fill(1),
                ...new Array(inputLength - ids.length).fill(0),
              ]);
              const labels = [...part.labels.subarray(b * labelLength, (b + 1) * labelLength)];
              const target = source.targetOffsets[row + 1]! - source.targetOffsets[row]!;
              expect(labels).toEqual([...new Array(target).fill(5), ...new Array(labelLength - target).fill(-100)]);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("draws tasks by the rates asked for", () => {
    const tasks = [encodedOf(new Array(300).fill(4), "big"), encodedOf(new Array(100).fill(4), "small")].map(
      (encoded) => ({ encoded }),
    );
    const share = (more: Partial<MixtureOptions>): number => {
      const mixture = createMixture(tasks, { batchSize: 32, seed: 5, ...more });
      let big = 0;
      for (let step = 0; step < 2000; step++) for (const task of mixture.rowsAt(step).taskIds) if (task === 0) big++;
      return big / (2000 * 32);
    };
    expect(share({})).toBeCloseTo(0.75, 1);
    expect(share({ sampling: { kind: "equal" } })).toBeCloseTo(0.5, 1);
    expect(share({ sampling: { kind: "proportional", cap: 100 } })).toBeCloseTo(0.5, 1);
    expect(share({ sampling: { kind: "temperature", temperature: 2 } })).toBeCloseTo(
      Math.sqrt(3) / (1 + Math.sqrt(3)),
      1,
    );
    expect(share({ stochasticTasks: { min: 2, max: 2 } })).toBeCloseTo(0.75, 1);
    expect(share({ replacement: true })).toBeCloseTo(0.75, 1);
  });

  it("with stochastic tasks holds between one and the drawn number of tasks, evenly shared", () => {
    const tasks = Array.from({ length: 6 }, (_, i) => ({ encoded: encodedOf(new Array(50).fill(3), `t${i}`) }));
    const mixture = createMixture(tasks, { batchSize: 36, seed: 2, sampling: { kind: "equal" }, stochasticTasks: {} });
    const seen = new Set<number>();
    for (let step = 0; step < 300; step++) {
      const counts = new Map<number, number>();
      for (const task of mixture.rowsAt(step).taskIds) counts.set(task, (counts.get(task) ?? 0) + 1);
      seen.add(counts.size);
      // ⌊36/K⌋ rows a slot for K of 2..6: 18, 12, 9, 7, 6 and what is left.
      for (const count of counts.values()) expect(count).toBeGreaterThanOrEqual(6);
    }
    expect([...seen].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("with replacement gives every example the same chance, grouped by length or not", () => {
    const lengths = [...new Array(10).fill(3), ...new Array(30).fill(9)];
    for (const grouping of ["length", "none"] as const) {
      const mixture = createMixture([{ encoded: encodedOf(lengths) }], {
        batchSize: 8,
        seed: 1,
        replacement: true,
        grouping,
        maxLengths: 2,
      });
      const hits = new Array(40).fill(0);
      for (let step = 0; step < 5000; step++) for (const row of mixture.rowsAt(step).rows) hits[row]++;
      for (const hit of hits) expect(Math.abs(hit - 1000)).toBeLessThan(250);
    }
  });

  it("names every option that is not sensible, at once", () => {
    const wrong = { batchSize: 0, seed: -1, maxLengths: 0, stochasticTasks: { min: 3, max: 2 } };
    expect(() => createMixture([], wrong)).toThrow(
      /at least one task; batchSize must be .* not 0; seed must be .* not -1; maxLengths must be .* not 0; stochasticTasks needs .*min 3, max 2/,
    );
    expect(() => createMixture([{ encoded: encodedOf([2]), weight: 0 }], { batchSize: 1, seed: 0 })).toThrow(
      /weights must be 0 or more, and not all 0/,
    );
    const mixture = createMixture([{ encoded: encodedOf([2]) }], { batchSize: 1, seed: 0 });
    expect(() => mixture.rowsAt(-1)).toThrow(/a whole number from 0 on, not -1/);
  });
});

describe("rates", () => {
  it("are the published formulas", () => {
    const sizes = [392_702, 2_490];
    const ones = [1, 1];
    const close = (found: readonly number[], expected: readonly number[]): void => {
      for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 12);
    };
    close(probabilitiesOf(sizes, ones, { kind: "proportional" }), [262_144 / 264_634, 2_490 / 264_634]);
    close(probabilitiesOf(sizes, ones, { kind: "proportional", cap: Infinity }), [392_702 / 395_192, 2_490 / 395_192]);
    close(probabilitiesOf(sizes, [1, 3], { kind: "equal" }), [0.25, 0.75]);
    const logs = sizes.map((size) => Math.log(size) + 0.001);
    close(
      probabilitiesOf(sizes, ones, { kind: "logarithmic" }),
      logs.map((log) => log / (logs[0]! + logs[1]!)),
    );
  });
});

describe("evaluation", () => {
  it("gives every example exactly once, few lengths, no batch too large", () => {
    fc.assert(
      fc.property(lengthsOf(80), fc.integer({ min: 1, max: 20 }), (lengths, batchSize) => {
        const batches = [...evaluationBatches(encodedOf(lengths), { batchSize, taskId: 3, maxLengths: 4 })];
        const rows = batches.flatMap((batch) => [...batch.rows]);
        expect(rows.sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        expect(new Set(batches.map(({ inputLength }) => inputLength)).size).toBeLessThanOrEqual(4);
        for (const batch of batches) {
          expect(batch.batchSize).toBeLessThanOrEqual(batchSize);
          expect(new Set(batch.taskIds)).toEqual(new Set([3]));
        }
      }),
    );
  });
});
