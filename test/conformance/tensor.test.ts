// One suite for every engine: each kernel, eager and compiled, against tfjs's cpu backend; gradients against finite
// differences. Engines that are not installed are skipped with a line that says so.
import "@tensorflow/tfjs-backend-cpu";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Compiled,
  compile,
  type Engine,
  type TensorTree,
  tf,
  treeLeaves,
  useEngine,
} from "#toolkit/tensor/index.ts";
import { registerHostRandom } from "#toolkit/tensor/random.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { lowerings } from "#toolkit/tensor/stablehlo/kernels/index.ts";
import { trace } from "#toolkit/tensor/tracer.ts";
import { type Case, cases, type Input } from "./tensor-cases.ts";

interface Result {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly values: readonly number[];
}

const make = ({ values, shape, dtype }: Input): tf.Tensor => tf.tensor([...values], [...shape], dtype);
const tolerance = (test: Case): number => (isExact(test) ? 0 : (test.tolerance ?? 2e-5));
const list = (out: tf.Tensor | tf.Tensor[]): tf.Tensor[] => (Array.isArray(out) ? out : [out]);
const result = (tensor: tf.Tensor): Result => ({
  shape: tensor.shape,
  dtype: tensor.dtype,
  values: [...tensor.dataSync()].map(Number),
});

function eager(test: Case): Result[] {
  let results: Result[] = [];
  tf.tidy(() => {
    results = list(test.run(...test.inputs.map(make))).map(result);
  });
  return results;
}

/** A scalar that every output element has its own share of: its gradient shows each of them. */
function loss(outputs: tf.Tensor[]): tf.Tensor {
  return outputs
    .map((out) => tf.sum(tf.mul(out, tf.reshape(tf.add(tf.div(tf.range(0, out.size), 7), 0.5), out.shape))))
    .reduce((a, b) => tf.add(a, b));
}

function gradients(test: Case, inputs: readonly tf.Tensor[]): tf.Tensor[] {
  const wanted = test.gradient!;
  return tf.grads((...xs: tf.Tensor[]) => {
    const all = [...inputs];
    wanted.forEach((index, position) => {
      all[index] = xs[position]!;
    });
    return loss(list(test.run(...all)));
  })(wanted.map((index) => inputs[index]!));
}

/** Central differences of the loss, in the reference's float32: step and tolerance are chosen for that. */
function differences(test: Case, index: number): number[] {
  const step = 1 / 64;
  return test.inputs[index]!.values.map((value, place) => {
    const at = (x: number): number =>
      tf.tidy(() => {
        const inputs = test.inputs.map((input, position) =>
          make(position === index ? { ...input, values: input.values.with(place, x) } : input),
        );
        return loss(list(test.run(...inputs))).dataSync()[0]!;
      });
    return (at(value + step) - at(value - step)) / (2 * step);
  });
}

function expectClose(got: Result, wanted: Result, tolerance: number): void {
  expect(got.shape).toEqual(wanted.shape);
  expect(got.dtype).toBe(wanted.dtype);
  const scale = Math.max(1e-3, ...wanted.values.filter(Number.isFinite).map(Math.abs));
  got.values.forEach((value, place) => {
    const expected = wanted.values[place]!;
    if (Number.isFinite(expected))
      expect(Math.abs(value - expected), `element ${place}: ${value}, expected ${expected}`).toBeLessThanOrEqual(
        tolerance * scale,
      );
    else expect(value).toBe(expected);
  });
}

const isExact = (test: Case): boolean => /^random\.(uniform|bern)|^random keys/.test(test.name);
const withGradient = cases.filter((test) => test.gradient);
const isLowered = (test: Case): boolean => test.gradient !== undefined && !test.gradientIsEagerOnly;

/** Kernels with a gradient in tfjs-core that no case holds to finite differences, and why. */
const notDifferentiated: Readonly<Record<string, string>> = {
  ArgMax: "a position has no slope",
  ArgMin: "a position has no slope",
  BroadcastTo: "tf.broadcastTo tiles; the kernel is never on a tape",
  FloorDiv: "tfjs gives it the slope of the plain quotient, by choice",
  GreaterEqual: "a truth value has no slope",
  IsFinite: "a truth value has no slope",
  IsInf: "a truth value has no slope",
  IsNan: "a truth value has no slope",
  LogSoftmax: "tf.logSoftmax brings a gradient of its own; the kernel is never on a tape",
  MirrorPad: "tfjs 4.22 leaves the mirrored copies out: its gradient is wrong, and nothing here uses it",
  OneHot: "its input is a position",
};

const reference = new Map<string, Result[]>();
const referenceGradients = new Map<string, number[][]>();

beforeAll(async () => {
  tf.enableProdMode();
  await tf.setBackend("cpu");
  registerHostRandom("cpu");
  for (const test of cases) reference.set(test.name, eager(test));
  for (const test of withGradient)
    referenceGradients.set(
      test.name,
      test.gradient!.map((index) => differences(test, index)),
    );
});

const installed: Record<Exclude<Engine["name"], "cuda">, boolean> = {
  wasm: true,
  cpu: discoverTensorflow().path !== undefined,
};
if (!installed.cpu) console.log("libtensorflow is not installed here: its conformance suite is skipped");

describe.each((["wasm", "cpu"] as const).filter((name) => installed[name]))("engine %s", (name) => {
  beforeAll(async () => {
    await useEngine(name);
  });

  it.each(cases.map((test) => [test.name, test] as const))("eager: %s", (_, test) => {
    expectAll(test, eager(test));
  });

  it.each(withGradient.map((test) => [test.name, test] as const))("gradient: %s", (_, test) => {
    tf.tidy(() => {
      const inputs = test.inputs.map(make);
      expectGradients(test, gradients(test, inputs).map(result));
    });
  });
});

describe.skipIf(!installed.cpu)("engine cpu, compiled", () => {
  // One program for all cases: XLA takes seconds for hundreds of small ones.
  let results: Result[][];
  let slopes: Result[][];
  let program: Compiled<[tf.Tensor[][]], TensorTree>;

  beforeAll(async () => {
    await useEngine("cpu");
    const inputs = cases.map((test) => test.inputs.map(make));
    program = compile(
      (all: tf.Tensor[][]) =>
        cases.map((test, index) => ({
          out: list(test.run(...all[index]!)),
          slopes: isLowered(test) ? gradients(test, all[index]!) : [],
        })),
      { name: "all cases" },
    );
    const out = (await program(inputs)) as unknown as { out: tf.Tensor[]; slopes: tf.Tensor[] }[];
    results = out.map((test) => test.out.map(result));
    slopes = out.map((test) => test.slopes.map(result));
    for (const tensor of treeLeaves(out as unknown as TensorTree)) tensor.dispose();
  });
  afterAll(() => program.dispose());

  it.each(cases.map((test, index) => [test.name, test, index] as const))("%s", (_, test, index) => {
    expectAll(test, results[index]!);
  });
  it.each(cases.flatMap((test, index) => (isLowered(test) ? [[test.name, test, index] as const] : [])))(
    "gradient: %s",
    (_, test, index) => {
      expectGradients(test, slopes[index]!);
    },
  );
});

function expectAll(test: Case, got: readonly Result[]): void {
  const wanted = reference.get(test.name)!;
  expect(got.length).toBe(wanted.length);
  for (const [place, one] of got.entries()) expectClose(one, wanted[place]!, tolerance(test));
}

function expectGradients(test: Case, got: readonly Result[]): void {
  test.gradient!.forEach((index, position) => {
    const wanted = {
      shape: test.inputs[index]!.shape,
      dtype: "float32",
      values: referenceGradients.get(test.name)![position]!,
    };
    expectClose(got[position]!, wanted, 1e-2);
  });
}

describe("gradients", () => {
  it("are held to finite differences for every kernel that has a lowering and a gradient, or named with the reason", async () => {
    await tf.setBackend("cpu");
    const checked = new Set<string>();
    for (const test of withGradient) {
      const { kernelNames } = await tf.profile(() => list(test.run(...test.inputs.map(make))));
      for (const name of kernelNames) checked.add(name);
    }
    const unchecked = Object.keys(lowerings).filter((name) => tf.getGradient(name) && !checked.has(name));
    expect(unchecked.toSorted()).toEqual(Object.keys(notDifferentiated));
  });
  it.each(cases.filter((test) => test.gradientIsEagerOnly).map((test) => [test.name, test] as const))(
    "that have no lowering are refused by name: %s",
    (_, test) => {
      const step = (...inputs: tf.Tensor[]): tf.Tensor[] => gradients(test, inputs);
      const options = { name: "f", precision: "f32", isNarrow: () => false } as const;
      expect(() => trace(step, test.inputs.map(make), options)).toThrow(
        /f uses the kernel (MaxPoolGrad|AvgPoolGrad|Depthwise\w+), which cannot be compiled/,
      );
    },
  );
});

describe("tracing", () => {
  it.each(cases.map((test) => [test.name, test] as const))("lowers %s by itself", (_, test) => {
    const { program } = trace((...inputs: tf.Tensor[]) => list(test.run(...inputs)), test.inputs.map(make), {
      name: test.name,
      precision: "f32",
      isNarrow: () => false,
    });
    expect(program.text).toContain("func.func public @main");
  });
});
