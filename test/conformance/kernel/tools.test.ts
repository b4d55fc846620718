// Jupyter's own tools on this kernel; the checks are in suite_tools.py, each is one test here.

import { suites } from "./python.ts";

await suites(["suite_tools"]);
