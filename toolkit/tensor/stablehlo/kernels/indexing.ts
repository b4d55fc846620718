// Kernels that read or write at computed positions: gather, scatter, one-hot, segment sums.
import { type Builder, range, sizeOf, typeText, type Value } from "../builder.ts";
import { elementOf, type Lowering, oneAxis } from "./lowering.ts";

/** Rows of x [B…, n, …] at indices [B…, m…], per batch. */
function batchedGather(b: Builder, x: Value, indices: Value, axis: number, batch: number): Value {
  const numbers = [
    `offset_dims = [${[...range(axis - batch, batch), ...range(x.shape.length - axis - 1, axis + indices.shape.length - batch)]}]`,
    `collapsed_slice_dims = [${axis}]`,
    `operand_batching_dims = [${range(batch)}]`,
    `start_indices_batching_dims = [${range(batch)}]`,
    `start_index_map = [${axis}]`,
    `index_vector_dim = ${indices.shape.length}`,
  ].join(", ");
  const sizes = x.shape.map((size, index) => (index === axis || index < batch ? 1 : size));
  const shape = [...x.shape.slice(0, axis), ...indices.shape.slice(batch), ...x.shape.slice(axis + 1)];
  return b.emit(
    `"stablehlo.gather"(${x.name}, ${indices.name}) {dimension_numbers = #stablehlo.gather<${numbers}>, slice_sizes = array<i64: ${sizes}>, indices_are_sorted = false} : (${typeText(x)}, ${typeText(indices)}) -> ${typeText({ ...x, shape })}`,
    [x, indices],
    shape,
    x.element,
  );
}

/** The positions of a multi-dimensional index [.., d] in a row-major array of these d sizes, [..]. */
function flatIndex(b: Builder, indices: Value, sizes: readonly number[]): Value {
  const outer = indices.shape.slice(0, -1);
  const rank = outer.length;
  let flat = b.splat(0, outer, "i32");
  sizes.forEach((_, dimension) => {
    const begin = [...range(rank).map(() => 0), dimension];
    const part = b.reshape(b.slice(indices, begin, [...outer, dimension + 1]), outer);
    flat = b.binary("add", flat, b.with("multiply", part, sizeOf(sizes.slice(dimension + 1))));
  });
  return flat;
}

/** Whether position i, of `count`, is what index j names, for `indices` [k]: [count, k]. */
function isAt(b: Builder, indices: Value, count: number): Value {
  const shape = [count, indices.shape[0]!];
  return b.compare("EQ", b.broadcastInDim(indices, shape, [1]), b.iota(shape, 0, "i32"));
}

/** Up to so many elements, segments times parts, a segment sum looks at all of them. */
const fewParts = 2 ** 20;

/** Up to so many elements, table columns times positions, a gather may be a product. */
const fewPicked = 2 ** 23;

/**
 * Columns of `x` [n, m] at `indices` [k] as a product with ones and zeros, which is exact: [n, k]. What many kernels
 * read is so computed once. A gather would be turned and computed anew in each of them. Undefined where it would be large.
 */
function pickedByProduct(b: Builder, x: Value, indices: Value): Value | undefined {
  const shape = [x.shape[1]!, indices.shape[0]!];
  if (sizeOf(shape) > fewPicked || x.element !== "f32") return undefined;
  return b.dot(x, b.convert(isAt(b, indices, shape[0]!), "f32"), { contract: [[1], [0]], exact: true });
}

export const indexing: Readonly<Record<string, Lowering>> = {
  GatherV2: (b, inputs, attributes) => {
    const x = inputs.x!;
    const indices = b.convert(inputs.indices!, "i32");
    const axis = oneAxis(attributes.axis, x.shape.length);
    const batch = (attributes.batchDims as number | undefined) ?? 0;
    if (attributes.kept === true && axis === 1 && x.shape.length === 2 && b.mergesBatches) {
      const picked = pickedByProduct(b, x, b.reshape(indices, [sizeOf(indices.shape)]));
      if (picked) return b.reshape(picked, [x.shape[0]!, ...indices.shape]);
    }
    return batch === 0
      ? b.gather(x, indices, axis)
      : batchedGather(b, x, indices, axis, batch < 0 ? batch + indices.shape.length : batch);
  },
  GatherNd: (b, { params, indices }) => {
    const depth = indices!.shape[indices!.shape.length - 1]!;
    const [indexed, rest] = [params!.shape.slice(0, depth), params!.shape.slice(depth)];
    const flat = flatIndex(b, b.convert(indices!, "i32"), indexed);
    return b.gather(b.reshape(params!, [sizeOf(indexed), ...rest]), flat, 0);
  },
  ScatterNd: (b, { indices, updates }, attributes) => {
    const shape = attributes.shape as number[];
    // A list of numbers means rows.
    const positions = indices!.shape.length === 1 ? b.reshape(indices!, [...indices!.shape, 1]) : indices!;
    const depth = positions.shape[positions.shape.length - 1]!;
    const [indexed, rest] = [shape.slice(0, depth), shape.slice(depth)];
    const flat = flatIndex(b, b.convert(positions, "i32"), indexed);
    const count = sizeOf(flat.shape);
    const rows = b.scatterAdd(
      b.splat(0, [sizeOf(indexed), ...rest], updates!.element),
      b.reshape(flat, [count]),
      b.reshape(updates!, [count, ...rest]),
    );
    return b.reshape(rows, shape);
  },
  UnsortedSegmentSum: (b, { x, segmentIds }, attributes) => {
    const rest = x!.shape.slice(segmentIds!.shape.length);
    const count = sizeOf(segmentIds!.shape);
    const segments = attributes.numSegments as number;
    const ids = b.reshape(b.convert(segmentIds!, "i32"), [count]);
    const parts = b.reshape(x!, [count, ...rest]);
    if (segments * sizeOf(parts.shape) > fewParts)
      return b.scatterAdd(b.splat(0, [segments, ...rest], x!.element), ids, parts);
    // A few rows of a few tasks: each segment sums the parts that are its own. One kernel instead of a scatter into
    // zeros, and in an order that is the same on every device.
    const shape = [segments, count, ...rest];
    const isOwn = isAt(b, ids, segments);
    const candidates = b.broadcastInDim(parts, shape, range(shape.length - 1, 1));
    const own = b.select(b.broadcastInDim(isOwn, shape, [0, 1]), candidates, b.splat(0, [], x!.element));
    return b.reduce("add", own, [1]);
  },
  OneHot: (b, { indices }, attributes) => {
    const { depth, onValue, offValue, dtype } = attributes as {
      depth: number;
      onValue: number;
      offValue: number;
      dtype?: string;
    };
    const element = elementOf(dtype ?? "int32");
    const shape = [...indices!.shape, depth];
    const isHot = b.compare(
      "EQ",
      b.broadcast(b.reshape(b.convert(indices!, "i32"), [...indices!.shape, 1]), shape),
      b.iota(shape, shape.length - 1, "i32"),
    );
    return b.select(isHot, b.splat(onValue, [], element), b.splat(offValue, [], element));
  },
};
