"""The peer of generation.ts: greedy generation with transformers, one round per line read from standard input."""

import json
import sys
import time

import torch
from safetensors.torch import load_file
from transformers import T5ForConditionalGeneration

folder, threads, new = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
model = T5ForConditionalGeneration.from_pretrained(folder).eval()
io = load_file(f"{folder}/inputs.safetensors")
args = dict(input_ids=io["input_ids"].long(), attention_mask=io["attention_mask"].long())
print(json.dumps(dict(ready=True, torch=torch.__version__)), flush=True)
for _ in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        out = model.generate(**args, do_sample=False, num_beams=1, use_cache=True, min_new_tokens=new, max_new_tokens=new)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps(dict(seconds=seconds, cpu=cpu, ids=out[:, 1:].tolist())), flush=True)
