// The named errors of the tensor engine. Each says what was expected, what was found, and what to do.

/** No engine of the kind asked for could be used. */
export class EngineUnavailableError extends Error {
  override readonly name = "EngineUnavailableError";
}

/** A native library was found and could not be used: another architecture, truncated, foreign, another version. */
export class NativeLibraryError extends Error {
  override readonly name = "NativeLibraryError";
}

/** The engine refused or failed an operation; `code` is its own name of the reason (`RESOURCE_EXHAUSTED`). */
export class EngineError extends Error {
  override readonly name: string = "EngineError";
  readonly code: string;
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The device has no memory left. */
export class OutOfDeviceMemoryError extends EngineError {
  override readonly name = "OutOfDeviceMemoryError";
}

/** A function cannot be compiled as written: a missing kernel, a value read while tracing, a disposed capture. */
export class CompileError extends Error {
  override readonly name = "CompileError";
}
