"""A long life of one kernel: kernel_soak.py SECONDS MAX_CELLS WARM_CELLS. Prints progress, then one JSON line with its memory.

Cells of all kinds run one after the other, with completions and inspections between them; nothing may be lost, and
memory may not grow.
"""

import json
import os
import statistics
import sys
import time

import psutil
from jupyter_client.manager import KernelManager

CELLS = [
    ("console.log('line', {i})", "line {i}\n"),
    ("const x{m} = {i}; x{m} + 1", None),
    ("[1, 2, 3].map((n) => n * {i})", None),
    ("for (let k = 0; k < 200; k++) console.log(k)", "".join(f"{k}\n" for k in range(200))),
    ("interface Row {{ id: number }}\nconst row: Row = {{ id: {i} }}; row", None),
    ("await Bun.sleep(1); 'slept {i}'", None),
    ("import {{ display, html }} from 'bunsen/kernel'; display(html`<b>{i}</b>`)", None),
    ("throw new Error('planned {i}')", "error"),
    ("function f{m}(a: number): number {{ return a + {i} }}; f{m}(1)", None),
    ("new Array(1000).fill({i})", None),
    ("console.error('to stderr {i}')", None),
    ("setTimeout(() => console.log('late'), 1); {i}", None),
]


def memory(family):
    """Resident bytes of the kernel and what it started, by name."""
    found = {}
    for name, process in family.items():
        try:
            found[name] = process.memory_info().rss
        except psutil.NoSuchProcess:
            found[name] = 0
    return found


def processes(pid):
    kernel = psutil.Process(pid)
    family = {"kernel": kernel}
    for child in kernel.children(recursive=True):
        family["language server" if "tsc" in " ".join(child.cmdline()) else "evaluator"] = child
    return family


def reply_to(client, msg_id):
    """The reply to this request; others (of the questions that `wait_for_ready` repeats on a slow machine) are let go."""
    while True:
        reply = client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == msg_id:
            return reply["content"]


def main(seconds, max_cells, warm_cells):
    manager = KernelManager(kernel_name=os.environ.get("BUNSEN_KERNEL", "bunsen"))
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    samples = []
    begin = time.monotonic()
    sampled = shown = begin
    cells = 0
    try:
        while time.monotonic() - begin < seconds and cells < max_cells:
            code, expected = CELLS[cells % len(CELLS)]
            msg_id = client.execute(code.format(i=cells, m=cells % 500), stop_on_error=False)
            text = ""
            failed = False
            while True:
                message = client.get_iopub_msg(timeout=60)
                if message["parent_header"].get("msg_id") != msg_id:
                    continue
                if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                    text += message["content"]["text"]
                failed = failed or message["msg_type"] == "error"
                if message["content"].get("execution_state") == "idle":
                    break
            status = reply_to(client, msg_id)["status"]
            wanted = "error" if expected == "error" else "ok"
            assert status == wanted and failed == (wanted == "error"), (code, status, failed)
            if expected not in (None, "error"):
                assert text == expected.format(i=cells), (code, text[:200])
            cells += 1
            if cells % 100 == 0:
                reply_to(client, client.complete("Math.", 5))
                reply_to(client, client.inspect("parseInt", 4))
            now = time.monotonic()
            if now - sampled > seconds / 400 and (cells >= warm_cells or now - begin > seconds / 2):
                sampled = now
                samples.append({"cells": cells, **memory(processes(manager.provisioner.pid))})
            if now - shown > 30:
                shown = now
                print(f"{now - begin:.0f} s, {cells} cells, {samples[-1] if samples else ''}", file=sys.stderr, flush=True)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    # Before the samples was the warm-up: heaps grow to their working size, libraries are loaded, and the tables of what
    # is kept of former cells (their number is bounded) fill up.
    steady = samples
    tenth = max(1, len(steady) // 10)
    names = sorted({name for sample in steady for name in sample} - {"cells"})
    total = [sum(sample.get(name, 0) for name in names) for sample in steady]
    first, last = statistics.mean(total[:tenth]), statistics.mean(total[-tenth:])
    report = {
        "cells": cells,
        "seconds": round(time.monotonic() - begin, 1),
        "first_mb": round(first / 1e6, 1),
        "last_mb": round(last / 1e6, 1),
        "growth_percent": round(100 * (last - first) / first, 2),
        "by_process_mb": {
            name: [round(statistics.mean(s.get(name, 0) for s in part) / 1e6, 1) for part in (steady[:tenth], steady[-tenth:])]
            for name in names
        },
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
