"""Executes one notebook on the kernel it names, cell by cell, with visible progress, and writes the executed copy.

Not a test and not a converter: nbclient does the work; this adds progress lines on stderr, an atomic write that
happens on failure too (so that what ran can be looked at), and one clear line about what went wrong.
Usage: python execute.py NOTEBOOK OUTPUT [--timeout SECONDS]
"""

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError


class Progress(NotebookClient):
    """Prints a line when a cell starts, and the newest plain text of its live displays at most once a second."""

    started = 0.0
    printed = 0.0

    def announce(self, cell, cell_index):
        first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
        self.started = self.printed = time.monotonic()
        print(f"[{cell_index + 1}/{len(self.nb.cells)}] {first[:100]}", file=sys.stderr, flush=True)

    def finished(self, cell, cell_index, execute_reply=None):
        seconds = time.monotonic() - self.started
        if seconds >= 1:
            print(f"      {seconds:.0f} s", file=sys.stderr, flush=True)

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] in ("update_display_data", "display_data") and time.monotonic() - self.printed > 2:
            text = msg["content"].get("data", {}).get("text/plain", "")
            if text and "\n" not in text:
                self.printed = time.monotonic()
                print(f"      {text[:140]}", file=sys.stderr, flush=True)
        return super().process_message(msg, cell, cell_index)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--timeout", type=int, default=1200, help="seconds a cell may take")
    args = parser.parse_args()
    try:
        notebook = nbformat.read(args.notebook, as_version=4)
    except (OSError, ValueError) as error:
        print(f"execute: {args.notebook} is not a notebook that can be read: {error}", file=sys.stderr)
        return 2
    client = Progress(notebook, timeout=args.timeout, resources={"metadata": {"path": str(args.notebook.parent)}})
    client.on_cell_start = client.announce
    client.on_cell_executed = client.finished
    failure = None
    try:
        client.execute()
    except CellExecutionError as error:
        failure = str(error)
    except (CellTimeoutError, DeadKernelError) as error:
        failure = f"{type(error).__name__}: {error}"
    args.output.parent.mkdir(parents=True, exist_ok=True)
    part = args.output.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, args.output)
    if failure:
        print(f"execute: a cell failed; what ran is in {args.output}\n{failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
