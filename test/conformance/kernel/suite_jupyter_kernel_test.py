"""jupyter_kernel_test with every attribute set; a skipped check counts as a failure (see run.py)."""

import jupyter_kernel_test as jkt

from clients import KERNEL


class Protocol(jkt.KernelTests):
    kernel_name = KERNEL
    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = 'console.log("hello, world")'
    code_stderr = 'console.error("to stderr")'
    completion_samples = [
        {"text": "const table = { rows: 3, columns: 4 }; table.ro", "matches": ["rows"]},
        {"text": "[1, 2, 3].findLastI", "matches": ["findLastIndex"]},
        {"text": "Math.clz", "matches": ["clz32"]},
    ]
    complete_code_samples = ["1", "const x: number = 1", "function f<T>(x: T): T {\n  return x;\n}", "await 1", ""]
    incomplete_code_samples = ["function f() {", "const x = [1,", "`half a template", "if (true) {\n  1", "f("]
    invalid_code_samples = ["import = 7q", "const 1x = 2", ")"]
    code_page_something = 'import { page } from "bunsen/kernel"; await page("something")'
    code_generate_error = 'throw new TypeError("on purpose")'
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "[1, 2].map((x) => x + 1)", "result": "[ 2, 3 ]"},
        {"code": "await Promise.resolve('done')", "result": "'done'"},
    ]
    code_display_data = [
        {"code": 'import { display, html } from "bunsen/kernel"; display(html`<b>bold</b>`)', "mime": "text/html"},
        {"code": 'import { display } from "bunsen/kernel"; display({ "text/plain": "x", "image/svg+xml": "<svg/>" }, { raw: true })', "mime": "image/svg+xml"},
        {"code": 'import { display } from "bunsen/kernel"; display(1)', "mime": "text/plain"},
    ]
    code_history_pattern = "6 [*]*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "parseInt"
    code_clear_output = 'import { clear } from "bunsen/kernel"; clear()'


class Welcome(jkt.IopubWelcomeTests):
    kernel_name = KERNEL
    support_iopub_welcome = True
