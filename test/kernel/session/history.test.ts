// The history's three questions, over several sessions of one file.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { historyPath, openHistory } from "#kernel/session/history.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-history-"));
const path = join(folder, "deep", "history.sqlite");
afterAll(() => rmSync(folder, { recursive: true }));

test("cells of several kernels at once: tail, range, search", () => {
  const first = openHistory(path);
  first.add([
    { key: "", line: 1, source: "const a = 1", result: null },
    { key: "", line: 2, source: "a + 1", result: "2" },
  ]);
  const second = openHistory(path);
  second.add([{ key: "", line: 1, source: "a + 1", result: "3" }]);
  first.add([{ key: "", line: 3, source: "a * 2", result: "2" }]);
  second.add([{ key: "subshell", line: 1, source: "b", result: null }]);

  expect(second.tail(3, false)).toEqual([
    [1, 3, "a * 2"],
    [2, 1, "a + 1"],
    [3, 1, "b"],
  ]);
  expect(second.tail(2, true)[0]).toEqual([2, 1, ["a + 1", "3"]]);

  expect(first.range("", 0, 2, null, false)).toEqual([
    [1, 2, "a + 1"],
    [1, 3, "a * 2"],
  ]);
  expect(first.range("", 1, 1, 2, false)).toEqual([[1, 1, "const a = 1"]]);
  expect(second.range("", -1, 0, 2, false)).toEqual([[1, 1, "const a = 1"]]);

  expect(first.search("a + *", null, false, false)).toEqual([
    [1, 2, "a + 1"],
    [2, 1, "a + 1"],
  ]);
  expect(first.search("a + *", null, true, false)).toEqual([[2, 1, "a + 1"]]);
  expect(first.search("*", 2, false, false)).toHaveLength(2);
  first.close();
  second.close();

  const third = openHistory(path);
  expect(third.range("", -1, 0, null, false)).toEqual([[3, 1, "b"]]);
  expect(third.range("", 0, 0, null, false)).toEqual([]);
  third.close();
});

test("the file's place: named, else in the user's data folder", () => {
  expect(historyPath({ BUNSEN_HISTORY: ":memory:", HOME: "/h" })).toBe(":memory:");
  expect(historyPath({ XDG_DATA_HOME: "/d", HOME: "/h" })).toBe("/d/bunsen/history.sqlite");
  expect(historyPath({ HOME: "/h" })).toBe("/h/.local/share/bunsen/history.sqlite");
});
