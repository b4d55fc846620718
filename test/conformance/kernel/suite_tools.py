"""Jupyter's own tools on this kernel: kernelspec, nbclient, nbconvert, jupyter console."""

import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
import unittest

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter, ScriptExporter

from clients import KERNEL


def notebook(*cells):
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": KERNEL, "display_name": KERNEL, "language": "typescript"}})
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    return book


class Tools(unittest.TestCase):
    def test_kernelspec(self):
        """the kernelspec: absolute paths that exist, message interrupts, logos"""
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
        self.assertEqual(spec.display_name, "TypeScript (Bunsen)")
        self.assertEqual((spec.language, spec.interrupt_mode), ("typescript", "message"))
        for path in spec.argv[:2]:
            self.assertTrue(os.path.isabs(path) and os.path.exists(path), path)
        self.assertEqual(sorted(os.listdir(spec.resource_dir)), ["kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"])
        with open(os.path.join(spec.resource_dir, "logo-64x64.png"), "rb") as logo:
            self.assertEqual(logo.read(8), b"\x89PNG\r\n\x1a\n")

    def test_nbclient(self):
        """nbclient: 100 cells, every result in its cell, no output lost"""
        book = notebook("let n = 0", *(f"console.log('out {i}'); n += {i}" for i in range(99)))
        NotebookClient(book, timeout=60).execute()
        total = 0
        for i, cell in enumerate(book.cells[1:]):
            total += i
            texts = [output.get("text") or output["data"]["text/plain"] for output in cell.outputs]
            self.assertEqual(texts, [f"out {i}\n", str(total)])
        self.assertEqual(book.metadata["language_info"]["pygments_lexer"], "typescript")

    def test_nbclient_error(self):
        """nbclient: a failing cell raises with its name, the outputs before it are kept"""
        book = notebook("console.log('before')", "throw new TypeError('in the notebook')", "1")
        with self.assertRaisesRegex(CellExecutionError, "in the notebook"):
            NotebookClient(book, timeout=60).execute()
        self.assertEqual(book.cells[0].outputs[0]["text"], "before\n")
        self.assertEqual(book.cells[1].outputs[0]["ename"], "TypeError")
        self.assertEqual(book.cells[2].outputs, [])

    def test_nbconvert(self):
        """nbconvert --execute to HTML highlights TypeScript; to a script gives a .ts file"""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "book.ipynb")
            nbformat.write(notebook("interface Point { x: number }\nconst p: Point = { x: 41 };\np.x + 1"), path)
            # A saved notebook names its language; one that was never run does after its first execution.
            execute = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--inplace", path]
            subprocess.run(execute, check=True, capture_output=True, timeout=120)
            html, _ = HTMLExporter().from_filename(path)
            for wanted in ("<pre>42</pre>", "hl-typescript", '<span class="kd">interface</span>'):
                self.assertTrue(wanted in html, f"no {wanted} in the HTML")
            script, resources = ScriptExporter().from_filename(path)
            self.assertEqual(resources["output_extension"], ".ts")
            self.assertIn("p.x + 1", script)

    def test_console(self):
        """jupyter console: a cell, an incomplete one over two lines, and the way out"""
        master, slave = pty.openpty()
        console = subprocess.Popen(
            [sys.executable, "-m", "jupyter_console", "--kernel", KERNEL, "--simple-prompt"],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env={**os.environ, "TERM": "dumb", "JUPYTER_CONSOLE_TEST": "1"},
        )
        os.close(slave)
        self.addCleanup(os.close, master)
        seen = ""

        def read_until(needle, seconds=30):
            nonlocal seen
            end = time.monotonic() + seconds
            while needle not in seen:
                self.assertGreater(end, time.monotonic(), f"no {needle!r} in {seen!r}")
                if select.select([master], [], [], 0.2)[0]:
                    try:
                        seen += os.read(master, 65536).decode(errors="replace")
                    except OSError:
                        break
            self.assertIn(needle, seen)

        try:
            read_until("In [1]")
            os.write(master, b"const xs: number[] = [40, 2]; xs[0] + xs[1]\n")
            read_until("Out[1]: 42")
            read_until("In [2]")
            os.write(master, b"throw new Error('shown in the console')\n")
            read_until("shown in the console")
            read_until("In [3]")
            os.write(master, b"\x04")
            read_until("Do you really want to exit")
            os.write(master, b"y\n")
            self.assertEqual(console.wait(20), 0)
        finally:
            if console.poll() is None:
                console.kill()
                console.wait()


class Notebooks(unittest.TestCase):
    def test_language_info(self):
        """a saved notebook names the language so that JupyterLab highlights it"""
        book = notebook("1")
        NotebookClient(book, timeout=60).execute()
        info = json.loads(nbformat.writes(book))["metadata"]["language_info"]
        self.assertEqual(info["codemirror_mode"], "typescript")
        self.assertEqual(info["mimetype"], "application/typescript")
        self.assertEqual(info["file_extension"], ".ts")
