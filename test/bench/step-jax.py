"""The peer of step-jax.ts: compiles the very StableHLO text of a training step with JAX's CPU client and runs it on
the same arguments, one call per line read from standard input. argv: the folder with program.mlir and arguments."""

import json
import os
import resource
import sys
import time

import jax
import ml_dtypes
import numpy as np
from jax._src import compiler

folder = sys.argv[1]
dtypes = {"f32": np.float32, "bf16": ml_dtypes.bfloat16, "i32": np.int32, "ui32": np.uint32, "i1": np.bool_}
with open(f"{folder}/arguments.json") as file:
    described = json.load(file)
client = jax.devices("cpu")[0].client
device = client.devices()[0]
arguments = []
with open(f"{folder}/arguments.bin", "rb") as file:
    for argument in described:
        values = np.fromfile(file, dtypes[argument["element"]], int(np.prod(argument["shape"])))
        arguments.append(jax.device_put(values.reshape(argument["shape"]), device))
jax.block_until_ready(arguments)
os.unlink(f"{folder}/arguments.bin")
with open(f"{folder}/program.mlir") as file:
    text = file.read()

start, cpu = time.perf_counter(), time.process_time()
# The text goes to XLA as it is, with the options that jax.jit would use.
options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
executable = client.compile_and_load(text, [device], options)
compiled = dict(ms=1000 * (time.perf_counter() - start), cpu_ms=1000 * (time.process_time() - cpu))
print(json.dumps(dict(ready=True, jax=jax.__version__, compile=compiled)), flush=True)

for _ in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    results = [shards[0] for shards in executable.execute_sharded(arguments).disassemble_into_single_device_arrays()]
    jax.block_until_ready(results)
    ms, cpu_ms = 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu)
    scalars = {i: float(x) for i, x in enumerate(results) if x.shape == () and x.dtype == np.float32}
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(dict(ms=ms, cpu_ms=cpu_ms, scalars=scalars, peak_rss_mib=rss)), flush=True)
