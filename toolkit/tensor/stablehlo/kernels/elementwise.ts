// Kernels that compute each element from the elements at the same place: arithmetic, comparison, activation, cast.
import type { Builder, Value } from "../builder.ts";
import { elementOf, type Lowering } from "./lowering.ts";

const x =
  (op: string): Lowering =>
  (b, inputs) =>
    b.unary(op, inputs.x!);
const ab =
  (op: string): Lowering =>
  (b, inputs) =>
    b.binary(op, inputs.a!, inputs.b!);
const compare =
  (direction: "EQ" | "NE" | "LT" | "LE" | "GT" | "GE"): Lowering =>
  (b, inputs) =>
    b.compare(direction, inputs.a!, inputs.b!);
/** A kernel of x written in a few operations. */
const of =
  (write: (b: Builder, x: Value) => Value): Lowering =>
  (b, inputs) =>
    write(b, inputs.x!);

/** A kernel that reads integers and truth values as floats. Where none is named, tfjs-core converts or refuses them. */
const float =
  (lower: Lowering): Lowering =>
  (b, inputs, attributes) =>
    lower(b, { ...inputs, x: b.convert(inputs.x!, "f32") }, attributes);

/** A kernel whose caller may say that products read its result (`operand`), so that it is kept as they read it. */
const operand =
  (lower: Lowering): Lowering =>
  (b, inputs, attributes) => {
    const value = lower(b, inputs, attributes) as Value;
    return attributes.operand === true ? b.operand(value) : value;
  };

const like = (b: Builder, value: Value, number: number): Value => b.splat(number, [], value.element);
const isNegative = (b: Builder, value: Value): Value => b.compare("LT", value, like(b, value, 0));
const relu = (b: Builder, value: Value): Value => b.with("maximum", value, 0);
const leaky = (b: Builder, value: Value, alpha: Value): Value =>
  b.select(isNegative(b, value), b.binary("multiply", value, alpha), value);
const elu = (b: Builder, value: Value): Value =>
  b.select(isNegative(b, value), b.unary("exponential_minus_one", value), value);
const absolute = (b: Builder, value: Value): Value => b.unary("abs", value);

/** Remainder with the sign of the divisor. */
function floorMod(b: Builder, dividend: Value, divisor: Value): Value {
  const remainder = b.binary("remainder", dividend, divisor);
  const zero = like(b, remainder, 0);
  const differs = b.compare("NE", b.compare("LT", remainder, zero), b.compare("LT", divisor, zero));
  const isOff = b.binary("and", differs, b.compare("NE", remainder, zero));
  return b.select(isOff, b.binary("add", remainder, divisor), remainder);
}

function floorDiv(b: Builder, dividend: Value, divisor: Value): Value {
  if (dividend.element === "f32") return b.unary("floor", b.binary("divide", dividend, divisor));
  return b.binary("divide", b.binary("subtract", dividend, floorMod(b, dividend, divisor)), divisor);
}

/** Σ coefficients[i] · xⁱ, highest power first. */
const horner = (b: Builder, value: Value, coefficients: readonly number[]): Value =>
  coefficients
    .slice(1)
    .reduce(
      (sum, coefficient) => b.with("add", b.binary("multiply", sum, value), coefficient),
      b.splat(coefficients[0]!, value.shape, value.element),
    );

/** erf as one rational function of x, exact to 2e-7 on the clamped range; outside, it is ±1 in float32. */
function erf(b: Builder, value: Value): Value {
  const limit = like(b, value, 3.832506856900711);
  const clamped = b.binary("maximum", b.binary("minimum", value, limit), b.unary("negate", limit));
  const square = b.binary("multiply", clamped, clamped);
  const numerator = horner(
    b,
    square,
    [0.000229050658613506, 0.00340829101071095, 0.0509556950623809, 0.185208322399761, 1.128379143519084],
  );
  const denominator = horner(
    b,
    square,
    [
      -1.1791602954361697e-7, 0.0000235479664713132, 0.00101796252789149, 0.0140704701711677, 0.110985051782854,
      0.497469251100675, 1,
    ],
  );
  return b.binary("divide", b.binary("multiply", clamped, numerator), denominator);
}

/** ½(eˣ ± e⁻ˣ) for x ≥ 0, by the root of eˣ: eˣ itself is too large for a float where its half is not. */
function halfExponentials(b: Builder, value: Value, op: "add" | "subtract"): Value {
  const root = b.unary("exponential", b.with("multiply", value, 0.5));
  const half = like(b, value, 0.5);
  const growing = b.binary("multiply", b.binary("multiply", half, root), root);
  return b.binary(op, growing, b.binary("divide", b.binary("divide", half, root), root));
}

/** Below 1 by eˣ - 1: the difference of two numbers near 1 has few digits. */
function sinh(b: Builder, value: Value): Value {
  const size = absolute(b, value);
  const less = b.unary("exponential_minus_one", size);
  const small = b.with("multiply", b.binary("add", less, b.binary("divide", less, b.with("add", less, 1))), 0.5);
  const isSmall = b.compare("LT", size, like(b, size, 1));
  const sinhOfSize = b.select(isSmall, small, halfExponentials(b, size, "subtract"));
  return b.binary("multiply", b.unary("sign", value), sinhOfSize);
}

/** From here on, asinh and acosh are log 2x to all digits, and a square would soon be too large. */
const farOut = 2 ** 13;

function logOfTwice(b: Builder, value: Value): Value {
  return b.with("add", b.unary("log", value), Math.LN2);
}

/** log(x + √(x² + 1)), with the digits of small x kept: its distance from 1 is x + x² ÷ (1 + √(x² + 1)). */
function asinh(b: Builder, value: Value): Value {
  const size = absolute(b, value);
  const square = b.binary("multiply", size, size);
  const root = b.unary("sqrt", b.with("add", square, 1));
  const near = b.unary("log_plus_one", b.binary("add", size, b.binary("divide", square, b.with("add", root, 1))));
  const isFar = b.compare("GT", size, like(b, size, farOut));
  return b.binary("multiply", b.unary("sign", value), b.select(isFar, logOfTwice(b, size), near));
}

/** log(x + √(x² - 1)) by the distance of x from 1; NaN below 1. */
function acosh(b: Builder, value: Value): Value {
  const beyond = b.with("subtract", value, 1);
  const root = b.unary("sqrt", b.binary("multiply", beyond, b.with("add", beyond, 2)));
  const near = b.unary("log_plus_one", b.binary("add", beyond, root));
  const isFar = b.compare("GT", value, like(b, value, farOut));
  const isOutside = b.compare("LT", value, like(b, value, 1));
  return b.select(isOutside, like(b, value, Number.NaN), b.select(isFar, logOfTwice(b, value), near));
}

/** √(1 - x²). */
function cathetus(b: Builder, value: Value): Value {
  return b.unary("sqrt", b.binary("subtract", like(b, value, 1), b.binary("multiply", value, value)));
}

/** numpy's promotion for a cast: to bool means "not zero", to an integer truncates. */
export function cast(b: Builder, value: Value, dtype: string): Value {
  const element = elementOf(dtype);
  if (value.element === element) return value;
  return element === "i1" ? b.compare("NE", value, like(b, value, 0)) : b.convert(value, element);
}

/** The activation of a fused kernel. */
export function activate(
  b: Builder,
  value: Value,
  activation: unknown,
  prelu: Value | undefined,
  alpha: unknown,
): Value {
  switch (activation ?? "linear") {
    case "linear":
      return value;
    case "relu":
      return relu(b, value);
    case "relu6":
      return b.with("minimum", relu(b, value), 6);
    case "elu":
      return elu(b, value);
    case "sigmoid":
      return b.unary("logistic", value);
    case "prelu":
      return leaky(b, value, prelu!);
    case "leakyrelu":
      return leaky(b, value, like(b, value, (alpha as number | undefined) ?? 0.2));
    default:
      throw new TypeError(`activation ${String(activation)} is unknown to the compiler`);
  }
}

export const elementwise: Readonly<Record<string, Lowering>> = {
  Add: ab("add"),
  Sub: ab("subtract"),
  Multiply: ab("multiply"),
  RealDiv: ab("divide"),
  Maximum: ab("maximum"),
  Minimum: ab("minimum"),
  Pow: ab("power"),
  Atan2: ab("atan2"),
  LogicalAnd: ab("and"),
  LogicalOr: ab("or"),
  LogicalXor: ab("xor"),
  BitwiseAnd: ab("and"),
  LogicalNot: x("not"),
  Mod: (b, inputs) => floorMod(b, inputs.a!, inputs.b!),
  FloorDiv: (b, inputs) => floorDiv(b, inputs.a!, inputs.b!),
  SquaredDifference: (b, inputs) => {
    const difference = b.binary("subtract", inputs.a!, inputs.b!);
    return b.binary("multiply", difference, difference);
  },
  AddN: (b, inputs) => Object.values(inputs).reduce((sum, next) => b.binary("add", sum, next)),

  Equal: compare("EQ"),
  NotEqual: compare("NE"),
  Less: compare("LT"),
  LessEqual: compare("LE"),
  Greater: compare("GT"),
  GreaterEqual: compare("GE"),

  Abs: of(absolute),
  Neg: x("negate"),
  Sign: x("sign"),
  Ceil: x("ceil"),
  Floor: x("floor"),
  Round: of((b, value) => (value.element === "i32" ? value : b.unary("round_nearest_even", value))),
  Exp: (b, inputs, attributes) => {
    const exponents = b.convert(inputs.x!, "f32");
    return attributes.anyScale === true
      ? b.rowExponentials(exponents)
      : operand(x("exponential"))(b, { x: exponents }, attributes);
  },
  Expm1: float(x("exponential_minus_one")),
  Log: x("log"),
  Log1p: float(x("log_plus_one")),
  Sqrt: x("sqrt"),
  Rsqrt: x("rsqrt"),
  Sin: x("sine"),
  Cos: x("cosine"),
  Tan: of((b, value) => b.binary("divide", b.unary("sine", value), b.unary("cosine", value))),
  Tanh: x("tanh"),
  Sigmoid: x("logistic"),
  Square: of((b, value) => b.binary("multiply", value, value)),
  Reciprocal: float(of((b, value) => b.binary("divide", like(b, value, 1), value))),
  Sinh: float(of(sinh)),
  Cosh: of((b, value) => halfExponentials(b, absolute(b, value), "add")),
  Atan: float(of((b, value) => b.binary("atan2", value, like(b, value, 1)))),
  Asin: float(of((b, value) => b.binary("atan2", value, cathetus(b, value)))),
  Acos: float(of((b, value) => b.binary("atan2", cathetus(b, value), value))),
  Asinh: float(of(asinh)),
  Acosh: float(of(acosh)),
  Atanh: float(
    of((b, value) =>
      b.with(
        "multiply",
        b.binary("subtract", b.unary("log_plus_one", value), b.unary("log_plus_one", b.unary("negate", value))),
        0.5,
      ),
    ),
  ),
  Erf: of(erf),
  IsNan: float(of((b, value) => b.compare("NE", value, value))),
  IsInf: float(of((b, value) => b.compare("EQ", absolute(b, value), like(b, value, Number.POSITIVE_INFINITY)))),
  IsFinite: float(of((b, value) => b.compare("LT", absolute(b, value), like(b, value, Number.POSITIVE_INFINITY)))),

  Relu: operand(of(relu)),
  Relu6: of((b, value) => b.with("minimum", relu(b, value), 6)),
  // A share of an integer is none.
  LeakyRelu: float((b, inputs, attributes) => leaky(b, inputs.x!, like(b, inputs.x!, attributes.alpha as number))),
  Prelu: float((b, inputs) => leaky(b, inputs.x!, b.convert(inputs.alpha!, "f32"))),
  Elu: of(elu),
  EluGrad: (b, { dy, y }) => b.select(isNegative(b, y!), b.binary("multiply", dy!, b.with("add", y!, 1)), dy!),
  Selu: float(
    of((b, value) => {
      const [alpha, scale] = [1.7580993408473768, 1.0507009873554805];
      return b.select(
        isNegative(b, value),
        b.with("multiply", b.unary("exponential_minus_one", value), alpha),
        b.with("multiply", value, scale),
      );
    }),
  ),
  Softplus: float(
    of((b, value) =>
      b.binary(
        "add",
        relu(b, value),
        b.unary("log_plus_one", b.unary("exponential", b.unary("negate", absolute(b, value)))),
      ),
    ),
  ),
  Step: (b, inputs, attributes) => {
    const value = inputs.x!;
    const step = b.select(
      b.compare("GT", value, like(b, value, 0)),
      like(b, value, 1),
      like(b, value, (attributes.alpha as number | undefined) ?? 0),
    );
    return b.select(b.compare("NE", value, value), value, step);
  },
  ClipByValue: (b, inputs, attributes) =>
    b.with(
      "minimum",
      b.with("maximum", inputs.x!, attributes.clipValueMin as number),
      attributes.clipValueMax as number,
    ),

  Cast: (b, inputs, attributes) => cast(b, inputs.x!, attributes.dtype as string),
  Identity: operand((_b, inputs) => inputs.x!),
  Select: (b, { condition, t, e }) => {
    // A vector condition chooses whole rows.
    const rows = condition!.shape.length === 1 && t!.shape.length > 1;
    return b.select(
      rows ? b.reshape(condition!, [condition!.shape[0]!, ...t!.shape.slice(1).map(() => 1)]) : condition!,
      t!,
      e!,
    );
  },
};
