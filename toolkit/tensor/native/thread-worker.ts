// The engine thread's own file: receives addresses of C functions, or scripts of them, calls them, answers. See thread.ts.
import { CFunction, type FFITypeOrString, toArrayBuffer } from "bun:ffi";
import type { Script, ScriptArgument, ScriptCall, ThreadCall } from "./thread.ts";

type Request = { readonly id: number } & (
  | ThreadCall
  | {
      readonly script: number;
      /** Comes with the first run. */
      readonly text?: Script;
      /** Address and number of the run's slots. */
      readonly slots: number;
      readonly count: number;
    }
);

type Call = (...args: readonly (number | bigint)[]) => number | bigint | undefined;

const functions = new Map<number, Call>();
const scripts = new Map<number, Script>();

function functionAt({
  address,
  arguments: args,
  returns,
}: Pick<ScriptCall, "address" | "arguments" | "returns">): Call {
  let call = functions.get(address);
  if (!call) {
    call = CFunction({
      ptr: address as never,
      args: args.map((): FFITypeOrString => "ptr"),
      returns,
    }) as unknown as Call;
    functions.set(address, call);
  }
  return call;
}

function runScript({ calls, check }: Script, slotsAt: number, count: number): bigint {
  const slots = new BigUint64Array(toArrayBuffer(slotsAt as never, 0, 8 * count));
  const value = (argument: ScriptArgument): number | bigint =>
    typeof argument !== "object"
      ? argument
      : "slot" in argument
        ? slots[argument.slot]!
        : slotsAt + 8 * argument.addressOf;
  const make = (call: ScriptCall): bigint => BigInt(functionAt(call)(...call.arguments.map(value)) ?? 0);
  for (const call of calls) {
    const result = make(call);
    if (call.into !== undefined) slots[call.into] = result;
    if (call.clears !== undefined) slots[call.clears] = 0n;
    const failure = call.isChecked === true ? make(check) : 0n;
    if (failure !== 0n) return failure;
  }
  return 0n;
}

function answer(request: Request): bigint {
  if (!("script" in request)) return BigInt(functionAt(request)(...request.arguments) ?? 0);
  if (request.text) scripts.set(request.script, request.text);
  return runScript(scripts.get(request.script)!, request.slots, request.count);
}

addEventListener("message", ({ data }: MessageEvent<Request | { readonly forget: number }>) => {
  if ("forget" in data) {
    scripts.delete(data.forget);
    return;
  }
  const { id } = data;
  try {
    postMessage({ id, result: answer(data) });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
