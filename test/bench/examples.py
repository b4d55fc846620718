"""The peer of examples.ts: a training step of PEFT's multitask prompt tuning for each line read from standard input.

The jobs of jobs.json are taken in their order. Before the first, two steps that are not measured, by the rows of the first
batch: padded to its longest, whose loss is what the other side compares, and padded to 256, so that no measured step is
the first to ask the system for so much memory.
"""

import json
import sys
import time
from pathlib import Path

import peft
import torch
import transformers
from transformers import T5ForConditionalGeneration

folder, threads = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
plan = json.loads((folder / "jobs.json").read_text())
base = T5ForConditionalGeneration.from_pretrained(folder / "model")
# PEFT loads prompts for inference only: what it trains is set here as its own constructor sets it.
model = peft.PeftModel.from_pretrained(base, folder / "adapter")
model.active_peft_config.inference_mode = False
for name, parameter in model.named_parameters():
    parameter.requires_grad_(name.startswith("prompt_encoder."))
# The rates of dropout in config.json are 0; this makes sure.
model.eval()
trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trainable, lr=plan["rate"], weight_decay=plan["weightDecay"])


def step(job):
    rows, width = job["rows"], job["length"] or max(len(row["input"]) for row in job["rows"])
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full((len(rows), plan["labelLength"]), -100)
    for at, row in enumerate(rows):
        ids[at, : len(row["input"])] = torch.tensor(row["input"])
        mask[at, : len(row["input"])] = 1
        labels[at, : len(row["target"])] = torch.tensor(row["target"])
    task = torch.zeros(len(rows), dtype=torch.long)
    loss = model(input_ids=ids, attention_mask=mask, labels=labels, task_ids=task).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


loss = step(plan["jobs"][1])
step(plan["jobs"][0])
counts = dict(trainable=sum(parameter.numel() for parameter in trainable))
versions = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)
print(json.dumps(dict(ready=True, loss=loss, **counts, **versions)), flush=True)
jobs = iter(plan["jobs"])
for _ in sys.stdin:
    job = next(jobs)
    start, cpu = time.perf_counter(), time.process_time()
    loss = step(job)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps(dict(mode=job["mode"], seconds=seconds, cpu=cpu, loss=loss)), flush=True)
