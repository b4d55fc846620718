"""SST-2 with Hugging Face datasets and tokenizers, the way their documentation shows: the peer of bench/data.ts, which
runs this and prints both. Arguments: the parquet file, the tokenizer.json, an empty cache folder, "cold" or "warm"."""
import json
import os
import sys
import time

parquet, tokenizer_json, cache, mode = sys.argv[1:5]
os.environ["HF_HOME"] = cache
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import datasets  # noqa: E402
import numpy as np  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

datasets.disable_progress_bars()


def timed(work):
    # Wall and processor seconds, threads added up: on a busy machine only the second says what the work costs.
    began, used = time.perf_counter(), time.process_time()
    result = work()
    return result, [time.perf_counter() - began, time.process_time() - used]


report = {}
table, report["load"] = timed(lambda: datasets.load_dataset("parquet", data_files=parquet, split="train", cache_dir=cache))
rows = len(table)
report["rows"] = rows
if mode == "warm":
    print(json.dumps(report))
    sys.exit(0)

tokenizer = Tokenizer.from_file(tokenizer_json)
tokenizer.enable_truncation(256)


def encode(batch):
    texts = ["sst2 sentence: " + sentence for sentence in batch["sentence"]]
    return {"input_ids": [encoding.ids for encoding in tokenizer.encode_batch(texts)]}


encoded, report["encode_map"] = timed(lambda: table.map(encode, batched=True, remove_columns=["sentence", "idx"]))
texts = ["sst2 sentence: " + sentence for sentence in table["sentence"]]
_, report["encode_only"] = timed(lambda: tokenizer.encode_batch(texts))


def epoch():
    shuffled = encoded.shuffle(seed=42)
    tokens = positions = 0
    for start in range(0, rows, 32):
        ids = shuffled[start:start + 32]["input_ids"]
        longest = max(map(len, ids))
        batch = np.zeros((len(ids), longest), np.int32)
        mask = np.zeros((len(ids), longest), np.int32)
        for i, row in enumerate(ids):
            batch[i, :len(row)] = row
            mask[i, :len(row)] = 1
        tokens += int(mask.sum())
        positions += mask.size
    return 1 - tokens / positions


report["padding"], report["batches"] = timed(epoch)
print(json.dumps(report))
