// The run log keeps whole batches whatever happens to the process that writes it.
import { appendFileSync, mkdtempSync, readFileSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { logRows, openRunLog, readRunLog } from "#toolkit/training/run-log.ts";

const step = (number: number) =>
  ({
    type: "step",
    stage: "single",
    step: number,
    totalSteps: 10,
    loss: 1 / number,
    parts: { lm: 1 / number },
    learningRates: { shared: 0.3 },
    stepMs: 5,
    waitMs: 0,
  }) as const;
const file = (): string => join(mkdtempSync(join(tmpdir(), "bunsen-log-")), "log.arrow");
const losses = (path: string): number[] =>
  logRows(readRunLog(path))
    .filter((row) => row.name === "loss")
    .map((row) => row.step);

describe("The run log", () => {
  test("reads back what several flushes appended", () => {
    const path = file();
    using log = openRunLog(path);
    log.add(step(1));
    log.flush();
    log.add(step(2));
    log.add({
      type: "evaluation",
      stage: "single",
      step: 2,
      task: "glue/rte",
      split: "test",
      metrics: { accuracy: 0.5 },
    });
    log.flush(true);
    const rows = logRows(readRunLog(path));
    expect(rows.filter((row) => row.name === "loss").map((row) => row.value)).toEqual([1, 0.5]);
    expect(rows.at(-1)).toMatchObject({
      kind: "evaluation",
      task: "glue/rte",
      split: "test",
      name: "accuracy",
      value: 0.5,
    });
  });

  test("loses only the batch that a kill cut short", () => {
    const path = file();
    {
      using log = openRunLog(path);
      for (let number = 1; number <= 3; number++) {
        log.add(step(number));
        log.flush();
      }
    }
    truncateSync(path, readFileSync(path).length - 40);
    expect(losses(path)).toEqual([1, 2]);
    {
      using log = openRunLog(path);
      log.add(step(3));
    }
    expect(losses(path)).toEqual([1, 2, 3]);
  });

  test("drops the rows after the checkpoint that a run resumes from", () => {
    const path = file();
    {
      using log = openRunLog(path);
      for (let number = 1; number <= 4; number++) log.add(step(number));
    }
    {
      using _log = openRunLog(path, (row) => row.step <= 2);
    }
    expect(losses(path)).toEqual([1, 2]);
  });

  test("keeps whole batches where the disk has no room for the next, and says what to do", () => {
    const path = file();
    const log = resolve(import.meta.dirname, "../../../toolkit/training/run-log.ts");
    const script = `
      const { openRunLog } = await import(${JSON.stringify(log)});
      const log = openRunLog(${JSON.stringify(path)});
      let step = 0;
      try {
        for (; step < 1000; ) {
          log.add({ ...${JSON.stringify(step(1))}, step: ++step });
          log.flush();
        }
      } catch (error) {
        try { log[Symbol.dispose](); } catch {}
        console.log(JSON.stringify({ step, name: error.name, message: error.message }));
      }`;
    // A limit on file sizes is a disk without room that needs no rights: write() fails in the middle of a batch.
    const { stdout, stderr } = Bun.spawnSync([
      "sh",
      "-c",
      `trap "" XFSZ; ulimit -f 16; exec "$0" -e "$1"`,
      process.execPath,
      script,
    ]);
    const told = JSON.parse(stdout.toString() || JSON.stringify({ stderr: stderr.toString() })) as {
      step: number;
      name: string;
      message: string;
    };
    expect(told.message).toMatch(
      /^the run log: .*log\.arrow \(\d+ bytes\) could not be written: .*EFBIG.*Raise the limit .*, then start the same/,
    );
    expect(told.name).toBe("TrainingError");
    expect(told.step).toBeGreaterThan(2);
    expect(losses(path)).toEqual(Array.from({ length: told.step - 1 }, (_, i) => i + 1));
    // With room again, the next batch is read after the others.
    {
      using again = openRunLog(path);
      again.add(step(told.step));
    }
    expect(losses(path)).toHaveLength(told.step);
  });

  test("refuses a file that is no Arrow stream", () => {
    const path = file();
    appendFileSync(path, "step,loss\n1,0.5\n");
    expect(() => readRunLog(path)).toThrow(/not a run log: expected an Arrow IPC stream/);
  });
});
