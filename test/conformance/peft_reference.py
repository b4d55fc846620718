"""The reference side of peft.ts: answers jobs with torch, transformers and PEFT (float32, CPU). Run by it alone.

Jobs lie in FOLDER/jobs.json. `base`: a model folder; forward, gradients and generation of it. `load`: an adapter
written by Bunsen is loaded with PEFT. `make`: an adapter is made, randomised and saved by PEFT. `optimizer`: a few
updates. Each job's numbers go to FOLDER/<name>/io.safetensors, in the layout that `bunsen parity` reads.
"""

import json
import sys
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import Adafactor, T5ForConditionalGeneration, get_cosine_schedule_with_warmup
from transformers import get_linear_schedule_with_warmup

torch.set_num_threads(1)
folder = Path(sys.argv[1])
jobs = json.loads((folder / "jobs.json").read_text())
inputs = load_file(folder / "inputs.safetensors")
ids, mask, labels = inputs["input_ids"].long(), inputs["attention_mask"].long(), inputs["labels"].long()
task_ids = inputs["task_ids"].long()
NEW = 6


def save(name, tensors):
    (folder / name).mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / name / "io.safetensors")


def base_of(name):
    return T5ForConditionalGeneration.from_pretrained(folder / name).eval()


def answer(model, extra, gradients, generate_extra):
    args = dict(input_ids=ids, attention_mask=mask, labels=labels, **extra)
    out = model(**args)
    io = dict(input_ids=ids, attention_mask=mask, labels=labels, task_ids=task_ids, loss=out.loss)
    io["logits"] = out.logits[:, -labels.shape[1]:]
    if gradients:
        out.loss.backward()
        for n, p in model.named_parameters():
            if p.grad is not None:
                io["grad." + n] = p.grad
    with torch.no_grad():
        common = dict(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW, **generate_extra)
        io["generated"] = pad(model.generate(num_beams=1, **common))
        if not gradients:
            return io
        for beams, penalty in ((3, 1.0), (4, 0.5)):
            io[f"beams{beams}"] = pad(model.generate(num_beams=beams, length_penalty=penalty, **common))
    return io


def pad(x):
    return torch.nn.functional.pad(x, (0, NEW + 1 - x.shape[1]))


def base(job):
    model = base_of(job["base"])
    io = answer(model, {}, True, {})
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask, labels=labels, output_hidden_states=True)
    for i, h in enumerate(out.encoder_hidden_states):
        io[f"encoder_hidden.{i}"] = h
    for i, h in enumerate(out.decoder_hidden_states):
        io[f"decoder_hidden.{i}"] = h
    save(job["name"], io)


def load(job):
    model = peft.PeftModel.from_pretrained(base_of(job["base"]), folder / job["name"]).eval()
    extra = dict(task_ids=task_ids) if job["tasks"] else {}
    # With a decoder prompt PEFT's generate uses the encoder's half alone: not comparable.
    io = answer(model, extra, False, extra)
    if not job["generates"]:
        del io["generated"]
    save(job["name"], io)


def make(job):
    torch.manual_seed(job["seed"])
    fields = dict(job["config"])
    config = getattr(peft, fields.pop("class"))(task_type=peft.TaskType.SEQ_2_SEQ_LM, **fields)
    model = peft.get_peft_model(base_of(job["base"]), config).eval()
    with torch.no_grad():
        for _, p in model.named_parameters():
            if p.requires_grad:
                p.copy_(torch.randn_like(p) * job["deviation"])
    extra = dict(task_ids=task_ids) if job["tasks"] else {}
    args = dict(input_ids=ids, attention_mask=mask, labels=labels, **extra)
    out = model(**args)
    out.loss.backward()
    io = dict(input_ids=ids, attention_mask=mask, labels=labels, task_ids=task_ids, loss=out.loss)
    io["logits"] = out.logits[:, -labels.shape[1]:]
    for n, p in model.named_parameters():
        if p.requires_grad and p.grad is not None:
            io["grad." + n] = p.grad
    model.save_pretrained(folder / job["name"])
    save(job["name"], io)


def optimizer(job):
    start = load_file(folder / "optimizer.safetensors")
    params = {n: torch.nn.Parameter(v.clone()) for n, v in start.items() if not n.startswith("grad")}
    kinds = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.02),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.02),
        "adafactor": lambda p: Adafactor(p, lr=0.1, relative_step=False, scale_parameter=False, weight_decay=0.02),
        "adafactor-scaled": lambda p: Adafactor(p, lr=0.1, relative_step=False, scale_parameter=True),
    }
    chosen = kinds[job["optimizer"]](list(params.values()))
    schedule = get_linear_schedule_with_warmup(chosen, 2, 6) if job["schedule"] == "linear" else None
    if job["schedule"] == "cosine":
        schedule = get_cosine_schedule_with_warmup(chosen, 2, 6)
    for step in range(5):
        for n, p in params.items():
            p.grad = start[f"grad.{step}.{n}"].clone()
        torch.nn.utils.clip_grad_norm_(params.values(), 1.5)
        chosen.step()
        if schedule:
            schedule.step()
    save(job["name"], params)


kinds = dict(base=base, load=load, make=make, optimizer=optimizer)
for job in jobs:
    kinds[job["kind"]](job)
print(json.dumps(dict(torch=torch.__version__, peft=peft.__version__, jobs=len(jobs))))
