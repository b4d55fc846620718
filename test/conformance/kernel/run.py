"""Runs suites and writes what became of each check as JSON lines: run.py OUTPUT MODULE...

A skipped check, an unexpected success and a suite without checks are failures: nothing may pass by not being run.
"""

import importlib
import json
import sys
import time
import unittest


class Recorder(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.problems = []

    def startTest(self, test):
        super().startTest(test)
        self.problems = []
        self.started = time.monotonic()

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.problems.append(f"{subtest}: {self._exc_info_to_string(err, test)}")

    def addError(self, test, err):
        super().addError(test, err)
        text = self._exc_info_to_string(err, test)
        if isinstance(test, unittest.TestCase):
            self.problems.append(text)
        else:
            self.write(test.id(), text, 0)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.problems.append(self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.problems.append(f"skipped: {reason}")

    def stopTest(self, test):
        super().stopTest(test)
        name = test.id()
        if test.shortDescription():
            name = f"{name.split('.')[0]}: {test.shortDescription()}"
        self.write(name, "\n".join(self.problems), time.monotonic() - self.started)

    def write(self, name, problem, seconds):
        self.out.write(json.dumps({"name": name, "problem": problem, "seconds": round(seconds, 3)}) + "\n")
        self.out.flush()
        print(("not ok " if problem else "ok ") + name + f" ({seconds:.2f} s)", flush=True)
        if problem:
            print(problem, flush=True)


def main(path, names):
    loader = unittest.TestLoader()
    suites = []
    for name in names:
        module, _, rest = name.partition(".")
        importlib.import_module(module)
        suites.append(loader.loadTestsFromName(name) if rest else loader.loadTestsFromModule(sys.modules[module]))
    with open(path, "w") as out:
        result = Recorder(out)
        unittest.TestSuite(suites).run(result)
    return 0 if result.wasSuccessful() and not result.skipped and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 1)[0])
    sys.exit(main(sys.argv[1], sys.argv[2:]))
