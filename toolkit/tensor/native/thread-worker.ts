// The engine thread's own file: receives addresses of C functions, calls them, answers. See thread.ts.
import { CFunction, type FFITypeOrString } from "bun:ffi";

interface Request {
  readonly id: number;
  readonly address: number;
  readonly arguments: readonly (number | bigint)[];
  readonly returns: "void" | "ptr";
}

type Call = (...args: readonly (number | bigint)[]) => number | bigint | undefined;

const functions = new Map<number, Call>();

function functionAt({ address, arguments: args, returns }: Request): Call {
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

addEventListener("message", (event: MessageEvent<Request>) => {
  const { id } = event.data;
  try {
    const result = functionAt(event.data)(...event.data.arguments);
    postMessage({ id, result: BigInt(result ?? 0) });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
