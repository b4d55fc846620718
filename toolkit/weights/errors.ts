// The one error of this room: a weight file or model folder that cannot be used, told with what was expected, what
// came and what to do. Not for programming mistakes, which stay plain errors.

export class WeightsError extends Error {
  override readonly name = "WeightsError";
}
