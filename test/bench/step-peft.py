"""The peer of step-peft.ts: a training step of PEFT's multitask prompt tuning on a randomly initialised T5 for each line
read from standard input. One argument: what to build, as JSON. The step holds what ours does: attention mask, relative
bias, label mask, AdamW of the prompt's parameters; dropout is the model's own 0.1 or none.
"""

import json
import resource
import sys
import time

import peft
import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration

settings = json.loads(sys.argv[1])
torch.set_num_threads(settings["threads"])
torch.manual_seed(0)
shape = settings["shape"]
sizes = {"vocab_size": 32128, **shape}
config = T5Config(decoder_start_token_id=0, dropout_rate=settings["dropout"], **sizes)
dtype = torch.bfloat16 if settings["precision"] == "bf16" else torch.float32
base = T5ForConditionalGeneration(config).to(dtype)
model = peft.get_peft_model(
    base,
    peft.MultitaskPromptTuningConfig(
        task_type=peft.TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=settings["prompt"],
        num_tasks=6,
        num_ranks=1,
        num_transformer_submodules=1,
        token_dim=shape["d_model"],
    ),
)
model.train(settings["dropout"] > 0)
optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=0.3)
ids = torch.full((settings["batch"], settings["input"]), 5)
labels = torch.full((settings["batch"], settings["target"]), 7)
mask = torch.ones_like(ids)
task = torch.zeros(settings["batch"], dtype=torch.long)


def step():
    loss = model(input_ids=ids, attention_mask=mask, labels=labels, task_ids=task).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


step()
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}), flush=True)
for _ in sys.stdin:
    start, used = time.perf_counter(), time.process_time()
    loss = step()
    line = {
        "ms": 1000 * (time.perf_counter() - start),
        "cpu_ms": 1000 * (time.process_time() - used),
        "loss": loss,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(line), flush=True)
