"""What Python's huggingface_hub, pyarrow and tokenizers make of the same cache, files and texts. Run by data.ts, which
compares. One action a call; the answer is JSON on standard output."""
import hashlib
import json
import sys

action, *arguments = sys.argv[1:]

if action == "find":
    # Offline: the file must be where Bunsen has put it.
    from huggingface_hub import hf_hub_download, scan_cache_dir
    repo, name = arguments
    path = hf_hub_download(repo, name, repo_type="dataset", local_files_only=True)
    report = scan_cache_dir()
    print(json.dumps({
        "path": path,
        "sha256": hashlib.sha256(open(path, "rb").read()).hexdigest(),
        "warnings": [str(warning) for warning in report.warnings],
        "repos": {r.repo_id: {v.commit_hash: sorted(v.refs) for v in r.revisions} for r in report.repos},
    }))
elif action == "download":
    from huggingface_hub import hf_hub_download
    repo, name = arguments
    print(json.dumps({"path": hf_hub_download(repo, name, repo_type="dataset")}))
elif action == "rows":
    import pyarrow.parquet as pq
    for path in arguments:
        table = pq.read_table(path)
        print(json.dumps(table.to_pylist()))
elif action == "ids":
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(arguments[0])
    limit = int(arguments[2])
    tokenizer.enable_truncation(limit)
    texts = json.load(open(arguments[1]))
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    print(json.dumps({"ids": ids, "texts": [tokenizer.decode(each, skip_special_tokens=True) for each in ids]}))
else:
    sys.exit(f"unknown action {action}")
