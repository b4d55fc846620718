// The wasm runtime: tfjs's own WebAssembly backend, the default where nothing native is found. The binaries lie in
// the package, so nothing is configured. Kernels that it lacks run on tfjs's cpu backend. No compiler: `compile`
// runs the function itself.

import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { setWasmPaths, version_wasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { EngineUnavailableError } from "../errors.ts";
import { plainCompile } from "../plain-compile.ts";
import { registerHostRandom } from "../random.ts";
import type { Runtime } from "../runtime.ts";
import { checkStored, decodeStored, storedDtype } from "../stored.ts";
import { fillMissingKernels } from "./host-fallback.ts";

/** Starts the backend. @throws EngineUnavailableError when WebAssembly or its binary cannot be loaded. */
export async function startWasm(): Promise<Runtime> {
  const packageFile = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
  setWasmPaths(join(dirname(packageFile), "dist/"));
  let started = false;
  let reason: unknown;
  try {
    started = await tf.setBackend("wasm");
  } catch (error) {
    reason = error;
  }
  if (!started)
    throw new EngineUnavailableError("the wasm backend did not start; reinstall the packages (bun install)", {
      cause: reason,
    });
  await fillMissingKernels("wasm");
  registerHostRandom("wasm");
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  return {
    engine: {
      name: "wasm",
      backend: "wasm",
      version: `tfjs-backend-wasm ${version_wasm}`,
      device: `${cpus()[0]?.model.trim() ?? "processor"} (WebAssembly${simd ? ", SIMD" : ""}, one thread)`,
    },
    upload(bytes, stored, shape) {
      checkStored(bytes, stored, shape);
      return tf.tensor(decodeStored(bytes, stored), [...shape], storedDtype[stored]);
    },
    compile: plainCompile,
  };
}
