// The engine thread's scripts, with functions of libc: what a call returns or writes is an argument of a later one, the check
// ends a script, and each run has slots of its own.
import { dlopen } from "bun:ffi";
import { afterAll, describe, expect, it } from "vitest";
import { besideEngine, forgetScript, runScript, type Script, type ScriptCall } from "#toolkit/tensor/native/thread.ts";

const isLinux = process.platform === "linux";
const libc = isLinux
  ? dlopen("libc.so.6", {
      labs: { args: ["i64"], returns: "i64" },
      memcpy: { args: ["ptr", "ptr", "u64"], returns: "ptr" },
    })
  : undefined;
afterAll(() => libc?.close());
const addressOf = (name: "labs" | "memcpy"): number =>
  Number((libc!.symbols[name] as unknown as { readonly ptr: number }).ptr);

const slotsOf = (...values: bigint[]): BigUint64Array => {
  const slots = new BigUint64Array(new ArrayBuffer(8 * values.length));
  slots.set(values);
  return slots;
};

describe.skipIf(!isLinux)("a script", () => {
  const absolute = (slot: number, into: number): ScriptCall => ({
    address: addressOf("labs"),
    arguments: [{ slot }],
    returns: "ptr",
    into,
  });
  const copy = (from: number, to: number): ScriptCall => ({
    address: addressOf("memcpy"),
    arguments: [{ addressOf: to }, { addressOf: from }, 8],
    returns: "ptr",
    isChecked: true,
  });
  const check = (slot: number): ScriptCall => ({
    address: addressOf("labs"),
    arguments: [{ slot }],
    returns: "i32",
  });
  // Slot 0 is read, 1 takes its amount, 2 a copy of that; slot 3 ends it.
  const script = (): Script => ({
    calls: [absolute(0, 1), copy(1, 2), { ...copy(2, 4), clears: 1 }],
    check: check(3),
  });

  it("passes on what calls return and write, and clears what is gone", async () => {
    const slots = slotsOf(-7n & 0xffff_ffff_ffff_ffffn, 0n, 0n, 0n, 0n);
    expect(await runScript(script(), slots, null)).toBe(0n);
    expect([...slots.slice(1)]).toEqual([0n, 7n, 0n, 7n]);
  });
  it("ends where the check finds something, and says what", async () => {
    const slots = slotsOf(5n, 0n, 0n, 9n, 0n);
    expect(await runScript(script(), slots, null)).toBe(9n);
    expect([...slots]).toEqual([5n, 5n, 5n, 9n, 0n]);
  });
  it("has slots of its own in each run, also after it was forgotten, and beside the engine thread", async () => {
    const one = script();
    const runs = Array.from({ length: 50 }, (_, index) => {
      const slots = slotsOf(BigInt(index), 0n, 0n, 0n, 0n);
      const run = runScript(one, slots, null);
      if (index === 25) forgetScript(one);
      if (index % 10 === 0) Bun.gc(true);
      return run.then((code) => [code, slots[4]]);
    });
    expect(await Promise.all(runs)).toEqual(runs.map((_, index) => [0n, BigInt(index)]));
    const slots = slotsOf(3n, 0n, 0n, 0n, 0n);
    await besideEngine((thread) => thread.runScript(one, slots, null));
    expect(slots[4]).toBe(3n);
  });
  it("fails with a reason where its function cannot be called", async () => {
    const wrong: Script = { calls: [{ ...absolute(0, 1), arguments: ["no number" as never] }], check: check(3) };
    await expect(runScript(wrong, slotsOf(1n, 0n, 0n, 0n), null)).rejects.toThrow("the engine thread failed");
  });
});
