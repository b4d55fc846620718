// jupyter_kernel_test, the protocol's own suite: all of it, nothing skipped.

import { suites } from "./python.ts";

await suites(["suite_jupyter_kernel_test"]);
