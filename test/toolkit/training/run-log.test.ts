// The run log keeps whole batches whatever happens to the process that writes it.
import { appendFileSync, mkdtempSync, readFileSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

  test("refuses a file that is no Arrow stream", () => {
    const path = file();
    appendFileSync(path, "step,loss\n1,0.5\n");
    expect(() => readRunLog(path)).toThrow(/not a run log: expected an Arrow IPC stream/);
  });
});
