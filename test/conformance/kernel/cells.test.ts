// Cells over the wire; the checks are in suite_cells.py, each is one test here.

import { suites } from "./python.ts";

await suites(["suite_cells"]);
