// The kernel as a process among others; the checks are in suite_processes.py, each is one test here.

import { suites } from "./python.ts";

await suites(["suite_processes"]);
