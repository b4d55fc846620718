// Kernels that reduce dimensions or run along one: sums, means, softmax, arg-max, cumulative sums, top-k, pooling.
import { type Builder, range, typeText, type Value } from "../builder.ts";
import { axes, type Lowering, oneAxis } from "./lowering.ts";

type ReduceOp = "add" | "maximum" | "minimum" | "multiply" | "and" | "or";

const reduce =
  (op: ReduceOp): Lowering =>
  (b, inputs, attributes) =>
    b.reduce(op, inputs.x!, axes(attributes.axis, inputs.x!.shape.length), attributes.keepDims === true);

/**
 * Largest or smallest element; NaN where there is one. XLA's own reduction on a processor passes over NaN, so they are
 * looked for apart, unless `skipsNaN` says that the caller's result is NaN anyway (a softmax).
 */
const extreme =
  (op: "maximum" | "minimum", attribute: string): Lowering =>
  (b, inputs, attributes) => {
    const x = inputs.x!;
    const dimensions = axes(attributes[attribute], x.shape.length);
    const keepDims = attributes.keepDims === true;
    const found = b.reduce(op, x, dimensions, keepDims);
    if (x.element !== "f32" || attributes.skipsNaN === true) return found;
    const spoiled = b.reduce("or", b.compare("NE", x, x), dimensions, keepDims);
    return b.select(spoiled, b.splat(Number.NaN, [], "f32"), found);
  };

/**
 * Largest or smallest place: the first position whose element equals the extreme. NaN is passed over, and a row of
 * nothing else gives 0, as eager ops have it. What XLA's reduction gives of a row with NaN differs by its flags, so such
 * rows get the place -1, and only where there are some is all of it computed again, with NaN as the number that loses to
 * all: to write that array each time would take three times as long on logits.
 */
const argument =
  (op: "maximum" | "minimum"): Lowering =>
  (b, inputs, attributes) => {
    const x = inputs.x!;
    const axis = oneAxis(attributes.axis, x.shape.length);
    const extreme = b.reduce(op, x, [axis], true);
    const positions = b.iota(x.shape, axis, "i32");
    const beyond = b.splat(x.shape[axis]!, [], "i32");
    const isFloat = x.element === "f32";
    const elsewhere = isFloat ? b.select(b.compare("NE", x, x), b.splat(-1, [], "i32"), beyond) : beyond;
    const found = b.reduce("minimum", b.select(b.compare("EQ", x, extreme), positions, elsewhere), [axis]);
    if (!isFloat) return found;
    const least = b.reduce("minimum", found, range(found.shape.length));
    const spoiled = b.compare("LT", least, b.splat(0, [], "i32"));
    const [floats, places] = [typeText(x), typeText(positions)];
    const isTrue = typeText({ shape: x.shape, element: "i1" });
    const [float, place] = [typeText({ shape: [], element: "f32" }), typeText({ shape: [], element: "i32" })];
    const row = typeText({ ...extreme, shape: found.shape });
    const others = range(x.shape.length).filter((dimension) => dimension !== axis);
    return b.emit(
      [
        `"stablehlo.if"(${spoiled.name}) ({`,
        `      %nan = stablehlo.compare NE, ${x.name}, ${x.name} : (${floats}, ${floats}) -> ${isTrue}`,
        `      %worst = stablehlo.constant dense<${op === "maximum" ? "0xFF800000" : "0x7F800000"}> : ${float}`,
        `      %fill = stablehlo.broadcast_in_dim %worst, dims = [] : (${float}) -> ${floats}`,
        `      %clean = stablehlo.select %nan, %fill, ${x.name} : ${isTrue}, ${floats}`,
        `      %row = stablehlo.reduce(%clean init: %worst) applies stablehlo.${op} across dimensions = [${axis}] : (${floats}, ${float}) -> ${row}`,
        `      %extreme = stablehlo.broadcast_in_dim %row, dims = [${others}] : (${row}) -> ${floats}`,
        `      %hit = stablehlo.compare EQ, %clean, %extreme : (${floats}, ${floats}) -> ${isTrue}`,
        `      %at = stablehlo.iota dim = ${axis} : ${places}`,
        `      %size = stablehlo.constant dense<${x.shape[axis]!}> : ${place}`,
        `      %beyond = stablehlo.broadcast_in_dim %size, dims = [] : (${place}) -> ${places}`,
        `      %places = stablehlo.select %hit, %at, %beyond : ${isTrue}, ${places}`,
        `      %first = stablehlo.reduce(%places init: %size) applies stablehlo.minimum across dimensions = [${axis}] : (${places}, ${place}) -> ${typeText(found)}`,
        `      stablehlo.return %first : ${typeText(found)}`,
        "    }, {",
        `      stablehlo.return ${found.name} : ${typeText(found)}`,
        `    }) : (tensor<i1>) -> ${typeText(found)}`,
      ].join("\n"),
      [spoiled, x, found],
      found.shape,
      "i32",
    );
  };

/** A window that slides over dimensions; `padding` is [low, high] per dimension. */
function reduceWindow(
  b: Builder,
  op: ReduceOp,
  x: Value,
  initial: number,
  window: readonly number[],
  strides: readonly number[],
  padding: readonly (readonly [number, number])[],
): Value {
  const start = b.splat(initial, [], x.element);
  const shape = x.shape.map(
    (size, index) =>
      Math.floor((size + padding[index]![0] + padding[index]![1] - window[index]!) / strides[index]!) + 1,
  );
  const scalar = typeText({ shape: [], element: x.element });
  const pads = padding.map(([low, high]) => `[${low}, ${high}]`).join(", ");
  return b.emit(
    `"stablehlo.reduce_window"(${x.name}, ${start.name}) ({\n    ^bb0(%a: ${scalar}, %b: ${scalar}):\n      %s = stablehlo.${op} %a, %b : ${scalar}\n      stablehlo.return %s : ${scalar}\n    }) {window_dimensions = array<i64: ${window}>, window_strides = array<i64: ${strides}>, padding = dense<[${pads}]> : tensor<${x.shape.length}x2xi64>} : (${typeText(x)}, ${scalar}) -> ${typeText({ shape, element: x.element })}`,
    [x, start],
    shape,
    x.element,
  );
}

const cumulative =
  (op: "add" | "multiply"): Lowering =>
  (b, inputs, attributes) => {
    let x = inputs.x!;
    const axis = oneAxis(attributes.axis, x.shape.length);
    const size = x.shape[axis]!;
    const initial = op === "add" ? 0 : 1;
    if (x.shape.includes(0)) return x;
    if (attributes.reverse) x = b.reverse(x, [axis]);
    const at = (value: number): number[] => x.shape.map((_, index) => (index === axis ? value : 0));
    if (attributes.exclusive) {
      const shifted = b.pad(x, b.splat(initial, [], x.element), at(1), at(0));
      x = b.slice(shifted, at(0), x.shape);
    }
    const window = x.shape.map((_, index) => (index === axis ? size : 1));
    const padding = x.shape.map((_, index): [number, number] => (index === axis ? [size - 1, 0] : [0, 0]));
    const sums = reduceWindow(
      b,
      op,
      x,
      initial,
      window,
      x.shape.map(() => 1),
      padding,
    );
    return attributes.reverse ? b.reverse(sums, [axis]) : sums;
  };

/** x minus its maximum along the dimensions: the exponential cannot overflow. */
const shifted = (b: Builder, x: Value, dimensions: readonly number[]): Value =>
  b.binary("subtract", x, b.reduce("maximum", x, dimensions, true));

function mean(b: Builder, x: Value, dimensions: readonly number[], keepDims: boolean): Value {
  const wide = b.convert(x, "f32");
  const count = dimensions.reduce((product, dimension) => product * x.shape[dimension]!, 1);
  return b.with("multiply", b.reduce("add", wide, dimensions, keepDims), 1 / count);
}

interface PoolAttributes {
  readonly filterSize: number | [number, number];
  readonly strides: number | [number, number];
  readonly pad: "same" | "valid" | number;
}

const pool =
  (op: "maximum" | "add"): Lowering =>
  (b, inputs, attributes) => {
    const { filterSize, strides, pad } = attributes as unknown as PoolAttributes;
    const x = inputs.x!;
    const pair = (value: number | readonly [number, number]): readonly [number, number] =>
      typeof value === "number" ? [value, value] : value;
    const [filter, stride] = [pair(filterSize), pair(strides)];
    const window = [1, ...filter, 1];
    const steps = [1, ...stride, 1];
    const padding = x.shape.map((size, index): [number, number] => {
      if (index === 0 || index === 3 || pad === "valid") return [0, 0];
      if (typeof pad === "number") return [pad, pad];
      const total = Math.max((Math.ceil(size / steps[index]!) - 1) * steps[index]! + window[index]! - size, 0);
      return [Math.floor(total / 2), total - Math.floor(total / 2)];
    });
    const pooled = reduceWindow(b, op, x, op === "add" ? 0 : Number.NEGATIVE_INFINITY, window, steps, padding);
    if (op === "maximum") return pooled;
    // Cells outside the image do not count.
    const counts = reduceWindow(b, "add", b.splat(1, x.shape, "f32"), 0, window, steps, padding);
    return b.binary("divide", pooled, counts);
  };

export const reductions: Readonly<Record<string, Lowering>> = {
  Sum: reduce("add"),
  Prod: reduce("multiply"),
  Max: extreme("maximum", "reductionIndices"),
  Min: extreme("minimum", "axis"),
  All: reduce("and"),
  Any: reduce("or"),
  Mean: (b, inputs, attributes) =>
    mean(b, inputs.x!, axes(attributes.axis, inputs.x!.shape.length), attributes.keepDims === true),
  ArgMax: argument("maximum"),
  ArgMin: argument("minimum"),
  Cumsum: cumulative("add"),
  Cumprod: cumulative("multiply"),
  Softmax: (b, inputs, attributes) => {
    const x = inputs.logits!;
    const last = [oneAxis(attributes.dim ?? -1, x.shape.length)];
    const exponentials = b.unary("exponential", shifted(b, x, last));
    return b.binary("divide", exponentials, b.reduce("add", exponentials, last, true));
  },
  LogSoftmax: (b, inputs, attributes) => {
    const x = inputs.logits!;
    const last = [oneAxis(attributes.axis ?? -1, x.shape.length)];
    const centred = shifted(b, x, last);
    return b.binary("subtract", centred, b.unary("log", b.reduce("add", b.unary("exponential", centred), last, true)));
  },
  TopK: (b, inputs, attributes) => {
    const x = inputs.x!;
    const last = x.shape.length - 1;
    const k = attributes.k as number;
    const positions = b.iota(x.shape, last, "i32");
    const [value, index] = [typeText({ shape: [], element: x.element }), "tensor<i32>"];
    // A stable descending sort of values together with their positions.
    const sort = (which: 0 | 1): Value => {
      const names = `"stablehlo.sort"(${x.name}, ${positions.name}) ({\n    ^bb0(%a: ${value}, %b: ${value}, %c: ${index}, %d: ${index}):\n      %s = stablehlo.compare GT, %a, %b : (${value}, ${value}) -> tensor<i1>\n      stablehlo.return %s : tensor<i1>\n    }) {dimension = ${last} : i64, is_stable = true} : (${typeText(x)}, ${typeText(positions)}) -> (${typeText(x)}, ${typeText(positions)})`;
      return b.emitMany(names, [x, positions], [x, positions])[which]!;
    };
    const end = x.shape.map((size, dimension) => (dimension === last ? k : size));
    const begin = range(x.shape.length).map(() => 0);
    return [b.slice(sort(0), begin, end), b.slice(sort(1), begin, end)];
  },
  MaxPool: pool("maximum"),
  AvgPool: pool("add"),
};
