// Finds a PJRT plugin without configuration: BUNSEN_PJRT_PLUGIN, then the plugin packages of a Python environment
// (jax-cuda13-pjrt, jax-cuda12-pjrt, jax-rocm…, libtpu). Looks at file names only; opening is plugin.ts.
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Looked, pythonPrefixes, sitePackages } from "../../native/site-packages.ts";

export interface PluginDiscovery {
  readonly path?: string;
  /** Libraries to open first: the plugin has no search path of its own. */
  readonly libraries: readonly string[];
  /** Folder with NVVM and ptxas for XLA, where the wheels bring one. */
  readonly cudaDataFolder?: string;
  readonly looked: readonly Looked[];
}

const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

/** Plugin libraries of a site-packages folder, newest CUDA first. */
function plugins(site: string): string[] {
  const jax = join(site, "jax_plugins");
  const found = names(jax)
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
    .flatMap((name) =>
      names(join(jax, name))
        .filter((file) => /plugin.*\.(so|dylib)$/.test(file))
        .map((file) => join(jax, name, file)),
    );
  const tpu = join(site, "libtpu", "libtpu.so");
  return existsSync(tpu) ? [...found, tpu] : found;
}

/** Order in which CUDA's libraries depend on each other; what is not named comes last. */
const order = [
  "cudart",
  "nvJitLink",
  "nvrtc-builtins",
  "nvrtc",
  "cublasLt",
  "cublas",
  "cufft",
  "cusparse",
  "cusolver",
  "cupti",
  "cudnn_graph",
  "cudnn_ops",
  "cudnn_cnn",
  "cudnn_adv",
  "cudnn_engines",
  "cudnn_heuristic",
  "cudnn",
  "nccl",
  "nvshmem",
];

function cudaLibraries(site: string): string[] {
  const nvidia = join(site, "nvidia");
  const files = names(nvidia).flatMap((name) =>
    names(join(nvidia, name, "lib"))
      .filter((file) => /^lib.*\.so(\.\d+)*$/.test(file))
      .map((file) => join(nvidia, name, "lib", file)),
  );
  const rank = (file: string): number => {
    const index = order.findIndex((name) => file.includes(`/lib${name}`));
    return index < 0 ? order.length : index;
  };
  return files.sort((a, b) => rank(a) - rank(b));
}

export function discoverPlugin(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  workingFolder: string = process.cwd(),
): PluginDiscovery {
  const looked: Looked[] = [];
  const explicit = environment.BUNSEN_PJRT_PLUGIN;
  const result = (path: string, site: string): PluginDiscovery => {
    const data = ["cuda_nvcc", "cu13", "cuda_runtime"]
      .map((name) => join(site, "nvidia", name))
      .find((folder) => existsSync(join(folder, "nvvm")));
    return { path, libraries: cudaLibraries(site), looked, ...(data ? { cudaDataFolder: data } : {}) };
  };
  if (explicit) {
    const found = existsSync(explicit) ? explicit : null;
    looked.push({ path: explicit, because: "BUNSEN_PJRT_PLUGIN", found });
    // …/site-packages/jax_plugins/xla_cuda12/xla_cuda_plugin.so
    return found ? result(found, dirname(dirname(dirname(found)))) : { libraries: [], looked };
  }
  for (const { path: prefix, because } of pythonPrefixes(environment, workingFolder)) {
    for (const site of sitePackages(prefix)) {
      const found = plugins(site)[0] ?? null;
      looked.push({ path: join(site, "jax_plugins"), because, found });
      if (found) return result(found, site);
    }
  }
  return { libraries: [], looked };
}
