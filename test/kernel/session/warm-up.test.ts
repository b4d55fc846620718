// The warm-up: cells of nobody's run on a real evaluator, and nothing of them is left or seen; whoever needs the evaluator waits
// for one of them at most.

import { afterEach, expect, test } from "vitest";
import { createEvaluator } from "#kernel/evaluator/child-process.ts";
import type { CellRequest, Evaluator, Output } from "#kernel/evaluator/port.ts";
import { openHistory } from "#kernel/session/history.ts";
import { startKernel } from "#kernel/session/kernel.ts";
import { startWarmUp, type WarmUp } from "#kernel/session/warm-up.ts";
import { connectClient } from "../wire/client.ts";
import { createInMemoryEvaluator } from "./in-memory-evaluator.ts";

const disposables: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of disposables.splice(0)) await each[Symbol.asyncDispose]();
});

const cell = (code: string): CellRequest => ({
  id: `test-${code}`,
  code,
  executionCount: 1,
  silent: false,
  storeHistory: true,
  allowStdin: false,
  userExpressions: {},
  subshellId: null,
});

interface Warm {
  readonly evaluator: Evaluator;
  readonly warmUp: WarmUp;
  /** What others would have seen. */
  readonly seen: Output[];
  readonly taken: Output[];
  readonly firstTaken: Promise<void>;
}

function warm(): Warm {
  const { promise: firstTaken, resolve: took } = Promise.withResolvers<void>();
  const seen: Output[] = [];
  const taken: Output[] = [];
  let warmUp: WarmUp | null = null;
  const evaluator = createEvaluator({
    cwd: import.meta.dirname,
    onOutput(output) {
      if (warmUp?.takes(output) === true) {
        taken.push(output);
        took();
      } else seen.push(output);
    },
    onLog: () => {},
  });
  disposables.push(evaluator);
  warmUp = startWarmUp({
    startKernel,
    evaluator,
    language: () => Promise.reject(new Error("no types in this test")),
    typeErrors: "warn",
  });
  return { evaluator, warmUp, seen, taken, firstTaken };
}

test("the warm-up runs cells whose outputs nobody sees and which leave no variable", async () => {
  const { evaluator, warmUp, seen, taken } = warm();
  const count = await warmUp.done;
  expect(count).toBeGreaterThan(1);
  // Each cell gave a result or printed; all of it was its own.
  expect(taken.length).toBeGreaterThanOrEqual(count);
  expect(taken.filter(({ type }) => type === "error")).toEqual([]);
  expect(seen).toEqual([]);

  const names = "Object.keys(globalThis).filter((name) => name === '_' || name === 'list').join()";
  await evaluator.evaluate(cell(names));
  expect(seen).toMatchObject([{ type: "execute_result", data: { "text/plain": "''" } }]);
}, 60_000);

test("a warm-up that is stopped ends after the cell that runs", async () => {
  const { evaluator, warmUp, taken, firstTaken } = warm();
  await firstTaken;
  await warmUp.stop();
  const atStop = taken.length;
  expect(await warmUp.done).toBeLessThan(160);
  await evaluator.evaluate(cell("0"));
  expect(taken.length).toBe(atStop);
}, 60_000);

test("a warm-up whose evaluator fails is over, and says nothing", async () => {
  const evaluator = createInMemoryEvaluator({ cwd: "/", onLog: () => {}, onOutput: () => {} });
  const broken: Evaluator = { ...evaluator, pid: null, evaluate: () => Promise.reject(new Error("gone")) };
  const language = () => Promise.reject(new Error("none"));
  expect(await startWarmUp({ startKernel, evaluator: broken, language, typeErrors: "silent" }).done).toBe(0);
});

test("a kernel at rest warms up once, and the first cell waits for its end", async () => {
  const began = Promise.withResolvers<void>();
  const stopAsked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  let warmUps = 0;
  const evaluated = Promise.withResolvers<void>();
  const order: string[] = [];
  const kernel = await startKernel({
    connection: {
      transport: "tcp",
      ip: "127.0.0.1",
      shellPort: 0,
      controlPort: 0,
      stdinPort: 0,
      iopubPort: 0,
      hbPort: 0,
      key: "",
      digest: "sha256",
    },
    cwd: "/",
    log: () => {},
    loadEvaluator: async () => (options) => {
      const each = createInMemoryEvaluator(options);
      return {
        ...each,
        pid: null,
        evaluate(request) {
          order.push("evaluated");
          evaluated.resolve();
          return each.evaluate(request);
        },
      };
    },
    loadLanguage: () => Promise.reject(new Error("no language server in this test")),
    typeErrors: "silent",
    openHistory: async () => openHistory(":memory:"),
    loadWarmUp: async () => () => {
      warmUps++;
      began.resolve();
      return {
        takes: () => false,
        async stop() {
          stopAsked.resolve();
          await release.promise;
          order.push("stopped");
        },
        done: release.promise.then(() => 1),
      };
    },
    exit: () => {},
  });
  disposables.push({ [Symbol.asyncDispose]: () => kernel.end(0) });
  const client = await connectClient(
    { transport: "tcp", hostname: "127.0.0.1", port: kernel.connection.shellPort },
    "DEALER",
    "front",
  );
  disposables.push({ [Symbol.asyncDispose]: async () => client.close() });
  const ask = (type: string, content: object): void => {
    const header = { msg_id: type, session: "s", username: "u", date: "", msg_type: type, version: "5.5" };
    const parts = [header, {}, {}, content].map((part) => new TextEncoder().encode(JSON.stringify(part)));
    client.send("<IDS|MSG>", "", ...parts);
  };
  ask("kernel_info_request", {});
  await began.promise;
  ask("execute_request", { code: "result 1" });
  await stopAsked.promise;
  expect(order).toEqual([]);
  release.resolve();
  await evaluated.promise;
  expect(order).toEqual(["stopped", "evaluated"]);
  expect(warmUps).toBe(1);
}, 30_000);
