// The tests of tfjs-core 4.22 that cannot hold on an engine, by name, each with its reason. Not a way to be green: one
// that passes, or that is not there, fails the suite.
import type { Engine } from "#toolkit/tensor/index.ts";

export interface Exceptions {
  readonly engine: Engine["name"];
  readonly reason: string;
  /** The tests' names by the op's file. */
  readonly tests: Readonly<Record<string, readonly string[]>>;
}

/** Files without a test that runs on an engine here. */
export const leftOut: readonly { readonly reason: string; readonly files: readonly string[] }[] = [
  { reason: "draws on or reads from a page's canvas", files: ["draw", "from_pixels", "to_pixels"] },
  {
    reason: "tests plain functions of tfjs-core, or is a helper of other tests",
    files: [
      "axis_util",
      "broadcast_util",
      "concat_util",
      "conv_util",
      "dropout_util",
      "identity_pool",
      "operation",
      "slice_util",
    ],
  },
];

export const exceptions: readonly Exceptions[] = [
  {
    engine: "cpu",
    reason: "TensorFlow's sign of NaN is NaN, tfjs wants 0",
    tests: { sign: ["sign basic", "sign does not propagate NaNs", "sign accepts a tensor-like object"] },
  },
  {
    engine: "cpu",
    reason: "TensorFlow counts every NaN as a value of its own",
    tests: { unique: ["unique 1d tensor with NaN and Infinity"] },
  },
  {
    engine: "cpu",
    reason: "the last bit of float32: the test holds 30144.18 to 1e-3, less than the distance of two such numbers",
    tests: { tan: ["tan numbers exceed float32 precision"] },
  },
  {
    engine: "cpu",
    reason: "wants an error for what TensorFlow can do: the trace of a matrix",
    tests: { einsum: ["einsum 2d matrix calculate trace: duplicate axes not implemented yet"] },
  },
  {
    engine: "cpu",
    reason: "a window larger than the image; TensorFlow refuses it",
    tests: { avg_pool_3d: ["avgPool3d x=[1,1,1,1,1] f=[1,1,3] s=1 p=valid"] },
  },
  {
    engine: "cpu",
    reason:
      "an output of 4 by 4 for an input of 8 by 8 at stride 1; TensorFlow refuses shapes that contradict each other",
    tests: { conv2d_transpose: ["conv2dTranspose input=8x8x8,output=4x4x8,f=8,s=1,inDepth=8,p=same vec4"] },
  },
  {
    engine: "wasm",
    reason: "the wasm backend has no complex numbers",
    tests: {
      abs: [
        "abs complex64 rank-1",
        "abs complex64 rank-2",
        "abs complex64 rank-3",
        "abs is underflow-safe for complex64",
      ],
      add: [
        "add complex number addition",
        "add complex number reshape and then addition",
        "add complex number broadcasting addition",
        "add upcasts when dtypes dont match",
      ],
      arithmetic: ["mul complex number multiplication", "mul complex number broadcasting multiplication"],
      clone: [
        "clone 1D complex64 dtype",
        "clone 2D complex64 dtype",
        "clone 3D complex64 dtype",
        "clone 4D complex64 dtype",
      ],
      complex_ops: ["complex64 tf.complex", "complex64 tf.real", "complex64 tf.imag"],
      concat: [
        "concat1d concat complex input",
        "concat2d concat complex input axis=0",
        "concat2d concat complex input axis=1",
        "concat3d concat complex input axis=0",
        "concat3d concat complex input axis=1",
        "concat3d concat complex input axis=1 (2)",
      ],
      ifft: [
        "1D IFFT should return the same value with TensorFlow (2 elements)",
        "1D IFFT should calculate FFT from Tensor directly",
        "1D IFFT should return the same value as TensorFlow (3 elements)",
        "1D IFFT should return the same value as TensorFlow with imaginary (3 elements)",
        "1D IFFT should return the same value as TensorFlow (negative 3 elements)",
        "1D IFFT should return the same value with TensorFlow (4 elements)",
        "1D IFFT should return the same value as TensorFlow with imaginary (4 elements)",
        "2D IFFT 2D: should return the same value as TensorFlow",
        "2D IFFT 3D: should return the same value as TensorFlow",
      ],
      ones_like: [
        "onesLike 1D complex dtype",
        "onesLike 2D complex dtype",
        "onesLike 3D complex dtype",
        "onesLike 4D complex dtype",
        "onesLike 5D complex dtype",
        "onesLike 6D complex dtype",
      ],
      sub: [
        "sub complex number subtraction",
        "sub complex number broadcasting subtraction",
        "sub upcasts when dtypes dont match",
      ],
      transpose: ["transpose accepts complex64 input"],
    },
  },
];
