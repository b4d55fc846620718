// The kernels that every engine must agree on, as calls of tfjs ops over small inputs: empty, scalar, broadcast,
// int32 and bool among them. Data for tensor.test.ts; the reference is tfjs's cpu backend.
import { random, tf } from "#toolkit/tensor/index.ts";

type T = tf.Tensor;

export interface Input {
  readonly values: readonly number[];
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32" | "bool";
}

export interface Case {
  readonly name: string;
  readonly inputs: readonly Input[];
  readonly run: (...inputs: T[]) => T | T[];
  /** Which inputs have a gradient to check against finite differences. */
  readonly gradient?: readonly number[];
  /** The kernels of its gradient have no lowering: T5 and CLIP need none of them, and a compiled function says so. */
  readonly gradientIsEagerOnly?: true;
  /** Relative tolerance where functions of the engines differ by more than rounding. */
  readonly tolerance?: number;
}

/** Deterministic numbers without ties, in both signs, away from 0 and from integers. */
function numbers(count: number, seed: number, from = -2, to = 2): number[] {
  let state = (seed * 2654435761) >>> 0;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = from + ((to - from) * (state >>> 8)) / 2 ** 24;
    return Math.abs(value - Math.round(value)) < 0.05 ? value + 0.1 : value;
  });
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const f = (shape: readonly number[], seed = 1, from = -2, to = 2): Input => ({
  values: numbers(sizeOf(shape), seed, from, to),
  shape,
  dtype: "float32",
});
const i = (shape: readonly number[], seed = 1, from = -9, to = 9): Input => ({
  values: numbers(sizeOf(shape), seed, from, to).map(Math.round),
  shape,
  dtype: "int32",
});
const bool = (shape: readonly number[], seed = 1): Input => ({
  values: numbers(sizeOf(shape), seed).map((value) => (value > 0 ? 1 : 0)),
  shape,
  dtype: "bool",
});
const ints = (values: readonly number[], shape: readonly number[] = [values.length]): Input => ({
  values,
  shape,
  dtype: "int32",
});

const shapes: readonly (readonly number[])[] = [[], [0], [5], [2, 3], [2, 0, 3], [2, 1, 4]];
const pairs: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []],
  [[2, 3], [3]],
  [
    [2, 1],
    [1, 3],
  ],
  [[], [4]],
  [
    [0, 3],
    [1, 3],
  ],
  [[2, 3, 4], [4]],
  [
    [2, 3, 4],
    [3, 1],
  ],
];

const label = (shape: readonly number[]): string => `[${shape}]`;

function unary(name: string, op: (x: T) => T, from = -2, to = 2, differentiable = true): Case[] {
  return shapes.map((shape) => ({
    name: `${name} ${label(shape)}`,
    inputs: [f(shape, 3, from, to)],
    run: op,
    ...(differentiable && shape.length === 2 && sizeOf(shape) > 0 ? { gradient: [0] } : {}),
  }));
}

function binary(
  name: string,
  op: (a: T, b: T) => T,
  options: {
    readonly from?: number;
    readonly to?: number;
    readonly int?: boolean;
    readonly differentiable?: boolean;
  } = {},
): Case[] {
  const { from = 0.3, to = 3, int = true, differentiable = true } = options;
  const floats = pairs.map(
    ([a, b]): Case => ({
      name: `${name} ${label(a)} ${label(b)}`,
      inputs: [f(a, 5, from, to), f(b, 7, from, to)],
      run: op,
      ...(differentiable && a.length === 2 && sizeOf(a) > 0 ? { gradient: [0, 1] } : {}),
    }),
  );
  const integers: Case[] = int ? [{ name: `${name} int32`, inputs: [i([3, 4], 2), i([4], 9, 1, 7)], run: op }] : [];
  return [...floats, ...integers];
}

const compare = (name: string, op: (a: T, b: T) => T): Case[] => [
  ...binary(name, op, { from: -2, to: 2, differentiable: false }),
  { name: `${name} with ties`, inputs: [ints([1, 2, 3, 3]), ints([1, 3, 2, 3])], run: op },
];

function reduction(name: string, op: (x: T, axis?: number[], keepDims?: boolean) => T, differentiable = true): Case[] {
  const x = f([2, 3, 4], 11, 0.2, 1.8);
  return [
    { name: `${name} of all`, inputs: [x], run: (value) => op(value), ...(differentiable ? { gradient: [0] } : {}) },
    {
      name: `${name} over the middle axis`,
      inputs: [x],
      run: (value) => op(value, [1]),
      ...(differentiable ? { gradient: [0] } : {}),
    },
    { name: `${name} over two axes, kept`, inputs: [x], run: (value) => op(value, [0, -1], true) },
    { name: `${name} of a scalar`, inputs: [f([], 4)], run: (value) => op(value) },
    { name: `${name} of int32`, inputs: [i([3, 2], 6)], run: (value) => op(value, [0]) },
  ];
}

const elementwise: Case[] = [
  ...unary("abs", tf.abs),
  ...unary("neg", tf.neg),
  ...unary("sign", tf.sign, -2, 2, false),
  ...unary("ceil", tf.ceil, -2, 2, false),
  ...unary("floor", tf.floor, -2, 2, false),
  ...unary("round", tf.round, -2, 2, false),
  { name: "round int32", inputs: [ints([-12345678, 10, 12345678])], run: (x) => tf.round(x!) },
  { name: "leakyRelu int32", inputs: [ints([-7, 0, 12])], run: (x) => tf.leakyRelu(x!, 0.3) },
  ...unary("exp", tf.exp),
  ...unary("expm1", tf.expm1),
  ...unary("log", tf.log, 0.2, 3),
  ...unary("log1p", tf.log1p, -0.8, 3),
  ...unary("sqrt", tf.sqrt, 0.2, 3),
  ...unary("rsqrt", tf.rsqrt, 0.2, 3),
  ...unary("sin", tf.sin),
  ...unary("cos", tf.cos),
  ...unary("tan", tf.tan, -1, 1),
  ...unary("sinh", tf.sinh),
  ...unary("cosh", tf.cosh),
  ...unary("tanh", tf.tanh),
  ...unary("asin", tf.asin, -0.9, 0.8),
  ...unary("acos", tf.acos, -0.9, 0.8),
  ...unary("atan", tf.atan),
  ...unary("asinh", tf.asinh),
  ...unary("acosh", tf.acosh, 1.2, 3),
  ...unary("atanh", tf.atanh, -0.8, 0.7),
  ...unary("sigmoid", tf.sigmoid),
  ...unary("logSigmoid", tf.logSigmoid),
  ...unary("erf", tf.erf),
  ...unary("square", tf.square),
  ...unary("reciprocal", tf.reciprocal, 0.3, 2),
  ...unary("relu", tf.relu),
  ...unary("relu6", (x) => tf.relu6(tf.mul(x, 5))),
  ...unary("leakyRelu", (x) => tf.leakyRelu(x, 0.3)),
  ...unary("elu", tf.elu),
  ...unary("selu", tf.selu),
  ...unary("softplus", tf.softplus),
  ...unary("step", (x) => tf.step(x, 0.5), -2, 2, false),
  ...unary("clip", (x) => tf.clipByValue(x, -0.7, 0.9)),
  ...unary("zerosLike", tf.zerosLike, -2, 2, false),
  ...unary("onesLike", tf.onesLike, -2, 2, false),
  { name: "prelu", inputs: [f([2, 3], 1), f([3], 2)], run: (x, alpha) => tf.prelu(x!, alpha!), gradient: [0, 1] },
  {
    name: "isNaN, isInf and isFinite",
    inputs: [
      { values: [1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], shape: [4], dtype: "float32" },
    ],
    run: (x) => [tf.isNaN(x!), tf.isInf(x!), tf.isFinite(x!)],
  },
  {
    name: "relu of NaN",
    inputs: [{ values: [Number.NaN, -1], shape: [2], dtype: "float32" }],
    run: (x) => [tf.maximum(x!, 0), tf.add(x!, 1)],
  },
  ...(["float32", "int32", "bool"] as const).flatMap((to): Case[] => [
    {
      name: `cast float32 to ${to}`,
      inputs: [{ values: [0, 0.4, -1.7, 2.9], shape: [4], dtype: "float32" }],
      run: (x) => tf.cast(x!, to),
    },
    { name: `cast int32 to ${to}`, inputs: [ints([0, -3, 5])], run: (x) => tf.cast(x!, to) },
    { name: `cast bool to ${to}`, inputs: [bool([4], 3)], run: (x) => tf.cast(x!, to) },
  ]),
  {
    name: "abs, neg, sign and square of int32",
    inputs: [i([5], 4)],
    run: (x) => [tf.abs(x!), tf.neg(x!), tf.square(x!)],
  },
];

const arithmetic: Case[] = [
  ...binary("add", tf.add),
  ...binary("sub", tf.sub),
  ...binary("mul", tf.mul),
  ...binary("div", tf.div),
  ...binary("divNoNan", tf.divNoNan, { int: false, differentiable: false }),
  // tfjs's cpu backend calls the quotient of floats int32; the values are the same.
  ...binary("floorDiv", (a, b) => tf.cast(tf.floorDiv(a, b), "int32"), { differentiable: false }),
  ...binary("mod", tf.mod, { differentiable: false }),
  ...binary("pow", tf.pow, { int: false }),
  ...binary("maximum", tf.maximum),
  ...binary("minimum", tf.minimum),
  ...binary("squaredDifference", tf.squaredDifference),
  ...binary("atan2", tf.atan2, { int: false }),
  {
    name: "mod and floorDiv of negative floats",
    inputs: [f([6], 3, -7, 7), f([6], 8, -3, 3)],
    run: (a, b) => [tf.mod(a!, b!), tf.cast(tf.floorDiv(a!, b!), "int32")],
  },
  {
    name: "mod and floorDiv of negative integers",
    inputs: [ints([7, -7, 7, -7, 6, -6]), ints([3, 3, -3, -3, 3, -3])],
    run: (a, b) => [tf.mod(a!, b!), tf.floorDiv(a!, b!)],
  },
  {
    name: "mod gradient",
    inputs: [
      { values: [5.3, -2.6, 3.4, -0.7], shape: [4], dtype: "float32" },
      { values: [2, 1.1, 0.9, 3], shape: [4], dtype: "float32" },
    ],
    run: (a, b) => tf.mod(a!, b!),
    gradient: [0, 1],
  },
  {
    name: "floor, ceil, round, sign and step are flat",
    inputs: [{ values: [-1.3, -0.2, 0.3, 1.7], shape: [4], dtype: "float32" }],
    run: (x) => [tf.floor(x!), tf.ceil(x!), tf.round(x!), tf.sign(x!), tf.step(x!), tf.zerosLike(x!), tf.onesLike(x!)],
    gradient: [0],
  },
  ...compare("equal", tf.equal),
  ...compare("notEqual", tf.notEqual),
  ...compare("less", tf.less),
  ...compare("lessEqual", tf.lessEqual),
  ...compare("greater", tf.greater),
  ...compare("greaterEqual", tf.greaterEqual),
  {
    name: "logical and, or, xor, not",
    inputs: [bool([2, 4], 1), bool([4], 2)],
    run: (a, b) => [tf.logicalAnd(a!, b!), tf.logicalOr(a!, b!), tf.logicalXor(a!, b!), tf.logicalNot(a!)],
  },
  {
    name: "where",
    inputs: [bool([2, 3], 5), f([2, 3], 1), f([2, 3], 2)],
    run: (c, a, b) => tf.where(c!, a!, b!),
    gradient: [1, 2],
  },
  {
    name: "where with broadcasts",
    inputs: [bool([3], 5), f([2, 3], 1), f([], 2)],
    run: (c, a, b) => tf.where(c!, a!, b!),
  },
  { name: "addN", inputs: [f([2, 3], 1), f([2, 3], 2), f([2, 3], 3)], run: (...xs) => tf.addN(xs), gradient: [0, 2] },
];

const reduced: Case[] = [
  ...reduction("sum", tf.sum),
  ...reduction("mean", tf.mean),
  ...reduction("max", tf.max),
  ...reduction("min", tf.min),
  ...reduction("prod", tf.prod),
  { name: "logSumExp", inputs: [f([2, 3], 2)], run: (x) => tf.logSumExp(x!, 1), gradient: [0] },
  { name: "sum of bool", inputs: [bool([2, 3], 2)], run: (x) => tf.sum(x!, 1) },
  { name: "sum of nothing", inputs: [f([0, 3])], run: (x) => [tf.sum(x!), tf.sum(x!, 0)] },
  {
    name: "all and any",
    inputs: [bool([3, 4], 2)],
    run: (x) => [tf.all(x!, 1), tf.any(x!, 0), tf.all(x!), tf.any(x!)],
  },
  {
    name: "argMax and argMin",
    inputs: [f([3, 4], 9)],
    run: (x) => [tf.argMax(x!, 1), tf.argMin(x!, 0), tf.argMax(x!, -1)],
  },
  {
    name: "argMax with ties takes the first",
    inputs: [ints([2, 5, 5, 1, 1, 0], [2, 3])],
    run: (x) => [tf.argMax(x!, 1), tf.argMin(x!, 1)],
  },
  { name: "softmax", inputs: [f([2, 3, 4], 1, -9, 9)], run: (x) => tf.softmax(x!), gradient: [0] },
  { name: "softmax of huge logits", inputs: [f([2, 3], 1, -900, 900)], run: (x) => tf.softmax(x!) },
  { name: "logSoftmax", inputs: [f([2, 5], 1, -9, 9)], run: (x) => tf.logSoftmax(x!), gradient: [0] },
  {
    name: "cumsum",
    inputs: [f([2, 3, 4], 3)],
    run: (x) => [tf.cumsum(x!, 1), tf.cumsum(x!, 2, true), tf.cumsum(x!, 0, false, true)],
  },
  { name: "cumsum gradient", inputs: [f([2, 3], 3)], run: (x) => tf.cumsum(x!, 1), gradient: [0] },
  { name: "cumprod", inputs: [f([2, 3], 3)], run: (x) => [tf.cumprod(x!, 1), tf.cumprod(x!, 1, true, true)] },
  {
    name: "topk",
    inputs: [f([2, 6], 4)],
    run: (x) => {
      const { values, indices } = tf.topk(x!, 3);
      return [values, indices];
    },
  },
  { name: "norm", inputs: [f([2, 3], 2)], run: (x) => tf.norm(x!), gradient: [0] },
  {
    name: "moments",
    inputs: [f([2, 3], 2)],
    run: (x) => {
      const { mean, variance } = tf.moments(x!, 1);
      return [mean, variance];
    },
  },
];

const moved: Case[] = [
  { name: "reshape", inputs: [f([2, 3], 1)], run: (x) => tf.reshape(x!, [3, -1]), gradient: [0] },
  { name: "reshape of nothing", inputs: [f([0, 3], 1)], run: (x) => tf.reshape(x!, [3, 0]) },
  {
    name: "expandDims and squeeze",
    inputs: [f([2, 3], 1)],
    run: (x) => [tf.expandDims(x!, 1), tf.expandDims(x!, -1), tf.squeeze(tf.expandDims(x!, 0))],
  },
  { name: "expandDims gradient", inputs: [f([2, 3], 1)], run: (x) => tf.expandDims(x!, 1), gradient: [0] },
  { name: "transpose", inputs: [f([2, 3, 4], 1)], run: (x) => [tf.transpose(x!), tf.transpose(x!, [1, 0, 2])] },
  { name: "transpose gradient", inputs: [f([2, 3], 1)], run: (x) => tf.transpose(x!), gradient: [0] },
  { name: "tile", inputs: [f([2, 3], 1)], run: (x) => tf.tile(x!, [2, 3]), gradient: [0] },
  { name: "tile by one and by zero", inputs: [f([2, 3], 1)], run: (x) => tf.tile(x!, [1, 1]) },
  { name: "broadcastTo", inputs: [f([3, 1], 1)], run: (x) => tf.broadcastTo(x!, [2, 3, 4]), gradient: [0] },
  { name: "slice", inputs: [f([3, 4], 1)], run: (x) => tf.slice(x!, [1, 0], [2, -1]), gradient: [0] },
  { name: "slice of nothing", inputs: [f([3, 4], 1)], run: (x) => tf.slice(x!, [1, 0], [0, 2]) },
  {
    name: "stridedSlice",
    inputs: [f([4, 6], 1)],
    run: (x) => [
      tf.stridedSlice(x!, [0, 1], [4, 6], [2, 2]),
      tf.stridedSlice(x!, [3, 5], [0, 0], [-1, -2]),
      tf.stridedSlice(x!, [1, 0], [2, 3], [1, 1], 0, 0, 0, 0, 1),
    ],
  },
  {
    name: "pad",
    inputs: [f([2, 3], 1)],
    run: (x) =>
      tf.pad(
        x!,
        [
          [1, 0],
          [2, 1],
        ],
        0.5,
      ),
    gradient: [0],
  },
  {
    name: "mirrorPad",
    inputs: [f([3, 4], 1)],
    run: (x) => [
      tf.mirrorPad(
        x! as tf.Tensor2D,
        [
          [1, 2],
          [2, 0],
        ],
        "reflect",
      ),
      tf.mirrorPad(
        x! as tf.Tensor2D,
        [
          [1, 2],
          [2, 0],
        ],
        "symmetric",
      ),
    ],
  },
  { name: "reverse", inputs: [f([2, 3], 1)], run: (x) => tf.reverse(x!, 1), gradient: [0] },
  {
    name: "concat",
    inputs: [f([2, 3], 1), f([2, 2], 2), f([2, 0], 3)],
    run: (...xs) => tf.concat(xs, 1),
    gradient: [0, 1],
  },
  { name: "concat of int32", inputs: [i([2], 1), i([3], 2)], run: (...xs) => tf.concat(xs) },
  { name: "stack", inputs: [f([2, 3], 1), f([2, 3], 2)], run: (...xs) => [tf.stack(xs, 1), tf.stack(xs, -1)] },
  { name: "stack gradient", inputs: [f([2, 3], 1), f([2, 3], 2)], run: (...xs) => tf.stack(xs, 1), gradient: [0, 1] },
  { name: "unstack", inputs: [f([2, 3], 1)], run: (x) => tf.unstack(x!, 1) },
  { name: "unstack gradient", inputs: [f([2, 3], 1)], run: (x) => tf.unstack(x!, 1), gradient: [0] },
  { name: "split gradient", inputs: [f([2, 6], 1)], run: (x) => tf.split(x!, [1, 3, 2], 1), gradient: [0] },
  { name: "split", inputs: [f([2, 6], 1)], run: (x) => [...tf.split(x!, 3, 1), ...tf.split(x!, [1, -1, 2], 1)] },
  {
    name: "fill, zeros, ones, eye, range, linspace",
    inputs: [f([2])],
    run: (x) => [
      tf.add(tf.fill([2], 3), x!),
      tf.zeros([2, 2]),
      tf.ones([2], "int32"),
      tf.eye(3),
      tf.range(0, 10, 3, "int32"),
      tf.range(5, 0, -2),
      tf.linspace(0, 1, 5),
    ],
  },
  {
    name: "constants that are not splats",
    inputs: [f([3])],
    run: (x) => [
      tf.add(x!, tf.tensor1d([1, -2.5, 1e-30])),
      tf.tensor2d(
        [
          [1, 2],
          [3, 4],
        ],
        [2, 2],
        "int32",
      ),
      tf.tensor1d([true, false], "bool"),
      tf.mul(tf.tensor1d(Array.from({ length: 100 }, (_, n) => n / 7)), 2),
    ],
  },
];

const indexed: Case[] = [
  { name: "gather rows", inputs: [f([4, 3], 1), ints([2, 0, 2])], run: (x, at) => tf.gather(x!, at!), gradient: [0] },
  { name: "gather columns", inputs: [f([2, 4], 1), ints([3, 1], [1, 2])], run: (x, at) => tf.gather(x!, at!, 1) },
  {
    name: "gather along the last axis",
    inputs: [f([2, 4], 1), ints([3, 1])],
    run: (x, at) => tf.gather(x!, at!, 1),
    gradient: [0],
  },
  {
    name: "gather per batch",
    inputs: [f([2, 4, 3], 1), ints([3, 1, 0, 2], [2, 2])],
    run: (x, at) => tf.gather(x!, at!, 1, 1),
  },
  { name: "gather nothing", inputs: [f([4, 3], 1), ints([])], run: (x, at) => tf.gather(x!, at!) },
  { name: "gatherND", inputs: [f([2, 3, 4], 1), ints([0, 2, 1, 1], [2, 2])], run: (x, at) => tf.gatherND(x!, at!) },
  { name: "scatterND", inputs: [ints([1, 3, 1], [3, 1]), f([3, 2], 1)], run: (at, x) => tf.scatterND(at!, x!, [5, 2]) },
  {
    name: "scatterND at a list of rows",
    inputs: [ints([1, 3, 1]), f([3, 2], 1)],
    run: (at, x) => tf.scatterND(at!, x!, [5, 2]),
  },
  {
    name: "unsortedSegmentSum",
    inputs: [f([4, 2], 1), ints([2, 0, 2, 1])],
    run: (x, at) => tf.unsortedSegmentSum(x!, at as tf.Tensor1D, 4),
    gradient: [0],
  },
  {
    name: "unsortedSegmentSum with a place that is none",
    inputs: [f([4, 1, 3], 1), ints([1, -1, 1, 2])],
    run: (x, at) => tf.unsortedSegmentSum(x!, at as tf.Tensor1D, 3),
  },
  {
    name: "unsortedSegmentSum of many parts",
    inputs: [f([520, 64], 1), ints(Array.from({ length: 520 }, (_, i) => (i * 7) % 33))],
    run: (x, at) => tf.unsortedSegmentSum(x!, at as tf.Tensor1D, 33),
  },
  {
    name: "oneHot",
    inputs: [ints([1, 0, 3, -1, 9])],
    run: (at) => [tf.oneHot(at!, 4), tf.oneHot(at!, 4, 0.9, 0.1, "float32")],
  },
];

const multiplied: Case[] = [
  { name: "matMul", inputs: [f([2, 3], 1), f([3, 4], 2)], run: (a, b) => tf.matMul(a!, b!), gradient: [0, 1] },
  {
    name: "matMul transposed",
    inputs: [f([3, 2], 1), f([4, 3], 2)],
    run: (a, b) => tf.matMul(a!, b!, true, true),
    gradient: [0, 1],
  },
  {
    name: "matMul batched",
    inputs: [f([2, 3, 4], 1), f([2, 4, 5], 2)],
    run: (a, b) => tf.matMul(a!, b!),
    gradient: [0, 1],
  },
  {
    name: "matMul batched, transposed",
    inputs: [f([2, 2, 3, 4], 1), f([2, 2, 5, 4], 2)],
    run: (a, b) => tf.matMul(a!, b!, false, true),
    gradient: [0, 1],
  },
  // Large enough for an engine to leave its general path: every way to lie, tall and wide, single and batched.
  ...[false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB) =>
      (
        [
          [[], 5, 40, 64],
          [[], 40, 24, 6],
          [[2, 3], 17, 32, 20],
          [[1, 4], 12, 30, 16],
        ] as const
      ).map(([batch, rows, inner, columns], at) => ({
        name: `matMul [${[...batch, rows, inner]}] by [${[...batch, inner, columns]}]${transposeA ? ", a transposed" : ""}${transposeB ? ", b transposed" : ""}`,
        inputs: [
          f([...batch, ...(transposeA ? [inner, rows] : [rows, inner])], at + 1),
          f([...batch, ...(transposeB ? [columns, inner] : [inner, columns])], at + 9),
        ],
        run: (a: tf.Tensor | undefined, b: tf.Tensor | undefined) => tf.matMul(a!, b!, transposeA, transposeB),
      })),
    ),
  ),
  {
    name: "matMul of a batch by one matrix",
    inputs: [f([2, 3, 4], 1), f([1, 4, 5], 2)],
    run: (a, b) => tf.matMul(a!, b!),
  },
  { name: "matMul of nothing", inputs: [f([0, 3], 1), f([3, 2], 2)], run: (a, b) => tf.matMul(a!, b!) },
  { name: "matMul over nothing", inputs: [f([2, 0], 1), f([0, 2], 2)], run: (a, b) => tf.matMul(a!, b!) },
  { name: "dot", inputs: [f([3], 1), f([3], 2)], run: (a, b) => tf.dot(a!, b!), gradient: [0, 1] },
  {
    name: "outerProduct",
    inputs: [f([3], 1), f([2], 2)],
    run: (a, b) => tf.outerProduct(a as tf.Tensor1D, b as tf.Tensor1D),
  },
  {
    name: "fused matMul",
    inputs: [f([2, 3], 1), f([3, 4], 2), f([4], 3)],
    run: (a, b, bias) => tf.fused.matMul({ a: a as tf.Tensor2D, b: b as tf.Tensor2D, bias: bias!, activation: "relu" }),
  },
  {
    name: "einsum of a batch",
    inputs: [f([2, 3, 4], 1), f([2, 4, 5], 2)],
    run: (a, b) => tf.einsum("bij,bjk->bik", a!, b!),
  },
  {
    name: "einsum to attention scores",
    inputs: [f([2, 3, 2, 4], 1), f([2, 5, 2, 4], 2)],
    run: (a, b) => tf.einsum("bqhd,bkhd->bhqk", a!, b!),
  },
  {
    name: "einsum of one operand",
    inputs: [f([2, 3], 1)],
    run: (a) => [tf.einsum("ij->ji", a!), tf.einsum("ij->j", a!), tf.einsum("ij->", a!)],
  },
  {
    name: "conv2d",
    inputs: [f([2, 6, 6, 3], 1), f([2, 2, 3, 4], 2)],
    run: (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, "valid"),
    gradient: [0, 1],
  },
  {
    name: "conv2d same",
    inputs: [f([1, 5, 4, 2], 1), f([3, 3, 2, 2], 2)],
    run: (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, "same"),
    gradient: [0, 1],
  },
  {
    name: "conv2d with a stride that leaves a rest",
    inputs: [f([1, 7, 7, 1], 1), f([3, 3, 1, 2], 2)],
    run: (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 3, "same"),
    gradient: [0, 1],
  },
  {
    name: "conv2dTranspose",
    inputs: [f([1, 3, 3, 2], 1), f([2, 2, 3, 2], 2)],
    run: (x, w) => tf.conv2dTranspose(x as tf.Tensor4D, w as tf.Tensor4D, [1, 6, 6, 3], 2, "same"),
    gradient: [0, 1],
  },
  {
    name: "depthwiseConv2d",
    inputs: [f([1, 4, 4, 2], 1), f([2, 2, 2, 1], 2)],
    run: (x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, "valid"),
    gradient: [0, 1],
    gradientIsEagerOnly: true,
  },
  {
    name: "pools",
    inputs: [f([1, 4, 5, 2], 1)],
    run: (x) => [tf.maxPool(x as tf.Tensor4D, 2, 2, "valid"), tf.avgPool(x as tf.Tensor4D, 3, 2, "same")],
  },
  {
    // Without padding: at padded edges tfjs's own backends divide the gradient of an average by the whole window.
    name: "pools without padding",
    inputs: [f([1, 4, 5, 2], 1)],
    run: (x) => [tf.maxPool(x as tf.Tensor4D, 2, 2, "valid"), tf.avgPool(x as tf.Tensor4D, 3, 1, "valid")],
    gradient: [0],
    gradientIsEagerOnly: true,
  },
];

const sampled: Case[] = [
  {
    name: "random.uniform",
    inputs: [ints([7, 99])],
    run: (key) => [random.uniform(key!, [3, 7]), random.uniform(key!, []), random.uniform(key!, [0, 2])],
  },
  {
    name: "random keys",
    inputs: [ints([7, -99]), ints([123456], [])],
    run: (key, step) => [...random.split(key!, 3), random.foldIn(key!, 5), random.foldIn(key!, step!)],
  },
  {
    name: "random.bernoulli and dropout",
    inputs: [ints([1, 2]), f([5, 5], 1)],
    run: (key, x) => [random.bernoulli(key!, 0.3, [20]), random.dropout(key!, x!, 0.4)],
  },
  { name: "random.normal", inputs: [ints([1, 2])], run: (key) => random.normal(key!, [50]), tolerance: 1e-4 },
];

export const cases: readonly Case[] = [
  ...elementwise,
  ...arithmetic,
  ...reduced,
  ...moved,
  ...indexed,
  ...multiplied,
  ...sampled,
];
