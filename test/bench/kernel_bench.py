"""Measures Jupyter kernels side by side through jupyter_client: kernel_bench.py NAME:LANGUAGE...  (ts or py).

One JSON line for each kernel. Everything is timed from the client's side, on the real libzmq. Each part is measured on all
kernels before the next one, cells in rounds that go from kernel to kernel: a slow stretch of the machine meets all of them.
"""

import contextlib
import json
import statistics
import sys
import time

import psutil
import zmq
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

CODE = {
    "ts": {
        "one": "1+1",
        "lines": "for (let i = 0; i < 20000; i++) console.log(i)",
        "loop": "while (true) {}",
        "set": "var kept = 41",
        "get": "kept + 1",
        "complete": ("const numbers = [1, 2, 3]; numbers.findLastI", {"findLastIndex"}),
    },
    "py": {
        "one": "1+1",
        "lines": "for i in range(20000): print(i)",
        "loop": "while True: pass",
        "set": "kept = 41",
        "get": "kept + 1",
        "complete": ("numbers = [1, 2, 3]; numbers.revers", {"reverse"}),
    },
}
LINES = "".join(f"{i}\n" for i in range(20000))


def until_idle(client, msg_id, timeout=60):
    messages = []
    while True:
        message = client.get_iopub_msg(timeout=timeout)
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return messages
        messages.append(message)


def reply_to(client, msg_id, timeout=60):
    """The reply to this request; others (of the questions that `wait_for_ready` repeats on a slow machine) are let go."""
    while True:
        reply = client.get_shell_msg(timeout=timeout)
        if reply["parent_header"].get("msg_id") == msg_id:
            return reply


def run(client, code, timeout=60):
    msg_id = client.execute(code)
    messages = until_idle(client, msg_id, timeout)
    return reply_to(client, msg_id, timeout), messages


def first_reply(name):
    """Seconds from spawn to the first kernel_info_reply, on a socket that reconnects every 5 ms; 20 where none comes."""
    manager = KernelManager(kernel_name=name)
    begin = time.perf_counter()
    manager.start_kernel()
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.RECONNECT_IVL, 5)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(f"tcp://{manager.ip}:{manager.shell_port}")
    session = Session(key=manager.session.key, signature_scheme=manager.session.signature_scheme)
    session.send(socket, "kernel_info_request", {})
    socket.poll(20000)
    seconds = time.perf_counter() - begin
    socket.close()
    manager.shutdown_kernel(now=True)
    return seconds


def pss(process):
    """Proportional set size of a process and all its children, in bytes: pages shared by processes count once."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            with open(f"/proc/{each.pid}/smaps_rollup") as rollup:
                total += next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
        except OSError:
            pass
    return total


def complete(client, sample):
    code, expected = sample
    begin = time.perf_counter()
    msg_id = client.complete(code, len(code))
    reply = reply_to(client, msg_id)
    seconds = time.perf_counter() - begin
    until_idle(client, msg_id)
    return seconds, expected <= set(reply["content"].get("matches", []))


@contextlib.contextmanager
def running(name):
    """A kernel that is ready, and a client of it."""
    manager = KernelManager(kernel_name=name)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def completions(name, code, result):
    with running(name) as (manager, client):
        first, right = complete(client, code["complete"])
        warm = [complete(client, code["complete"]) for _ in range(9)]
        result["complete_first_ms"] = 1e3 * first
        result["complete_warm_ms"] = 1e3 * statistics.median(seconds for seconds, _ in warm)
        result["complete_right"] = right and all(each for _, each in warm)
        time.sleep(2)
        result["pss_mb"] = pss(psutil.Process(manager.provisioner.pid)) / 1e6


def cells(name, code):
    """Milliseconds of 300 cells on a new kernel, sorted. The p99 is the fourth slowest: the machine's pauses as much as the kernel's."""
    with running(name) as (_, client):
        # As a person finds it: started, its first question answered, at rest.
        complete(client, code["complete"])
        time.sleep(2)
        run(client, code["one"])
        times = []
        for _ in range(300):
            begin = time.perf_counter()
            run(client, code["one"], 10)
            times.append(1e3 * (time.perf_counter() - begin))
        return sorted(times)


def lines(name, code, result):
    with running(name) as (_, client):
        run(client, code["one"])
        seconds = []
        lost = 0
        for _ in range(5):
            begin = time.perf_counter()
            _, messages = run(client, code["lines"])
            seconds.append(time.perf_counter() - begin)
            text = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
            lost += text != LINES
        result["lines_s"] = statistics.median(seconds)
        result["lines_lost_runs"] = lost


def interrupts(name, code, result):
    with running(name) as (manager, client):
        run(client, code["set"])
        seconds = []
        kept = True
        for _ in range(5):
            looping = client.execute(code["loop"])
            time.sleep(0.4)
            begin = time.perf_counter()
            manager.interrupt_kernel()
            reply_to(client, looping, 10)
            seconds.append(1e3 * (time.perf_counter() - begin))
            reply, messages = run(client, code["get"], 10)
            shown = [m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result"]
            shown += [m["content"]["text"].strip() for m in messages if m["msg_type"] == "stream"]
            kept = kept and shown == ["42"]
        result["interrupt_ms"] = statistics.median(seconds)
        result["state_kept"] = kept


ROUNDS = 7


def first_replies(name, code, result):
    result["first_reply_s"] = statistics.median(first_reply(name) for _ in range(7))


def measure(kernels):
    """Each part on a kernel of its own: one that fails in one (a peer that dies, or loses an idle) is measured in the others."""
    results = {name: {"kernel": name} for name in kernels}
    failed = {name: [] for name in kernels}

    def attempt(part, name, *rest):
        try:
            return part(name, CODE[kernels[name]], *rest)
        except Exception as error:
            failed[name].append(f"{part.__name__}: {error!r}")
            return None

    rounds = {name: [] for name in kernels}
    for number in range(ROUNDS):
        # Forwards and backwards, so that no kernel is always the one after another.
        for name in list(kernels) if number % 2 == 0 else reversed(list(kernels)):
            if failed[name]:
                continue
            times = attempt(cells, name)
            if times is not None:
                rounds[name].append(times)
    for name, all_times in rounds.items():
        if failed[name] or not all_times:
            continue
        medians = sorted(times[150] for times in all_times)
        p99s = sorted(times[296] for times in all_times)
        results[name]["cell_median_ms"] = statistics.median(medians)
        results[name]["cell_p99_ms"] = statistics.median(p99s)
        results[name]["cell_medians_ms"] = [round(each, 2) for each in medians]
        results[name]["cell_p99s_ms"] = [round(each, 2) for each in p99s]
    for part in (first_replies, completions, lines, interrupts):
        for name in kernels:
            if name != "floor":
                attempt(part, name, results[name])
    for name, problems in failed.items():
        if problems:
            results[name]["failed"] = "; ".join(problems)
    return results.values()


if __name__ == "__main__":
    named = [argument.partition(":") for argument in sys.argv[1:]]
    for result in measure({name: language or "ts" for name, _, language in named}):
        print(json.dumps(result), flush=True)
