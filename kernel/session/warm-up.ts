// The warm-up: once a new kernel is at rest, a second session of the same code serves cells from a client within this process, so that
// the engine has compiled the path of a cell, in both processes, before a person's first one takes it. Nobody sees it: no
// message on the kernel's sockets, no count, no variable, no history. It stops when anyone asks for the evaluator. Not
// here: when it begins (kernel.ts).

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Evaluator, EvaluatorOptions, Output } from "../evaluator/port.ts";
import type { TypeErrors } from "../language/contract.ts";
import type { ConnectionInfo } from "../protocol/connection-file.ts";
import { createEnvelope, type Envelope } from "../protocol/envelope.ts";
import type { Content } from "../protocol/messages.ts";
import { createSigner } from "../protocol/signature.ts";
import { createDecoder, encodeGreeting, encodeMessage, encodeReady } from "../wire/codec.ts";
import type { Kernel, KernelOptions } from "./kernel.ts";
import type { LanguageParts } from "./language-link.ts";

export interface WarmUp {
  /** True where the output is of a cell of the warm-up's own, which nobody else shall see. */
  takes(output: Output): boolean;
  /** Ends it after the cell that runs, which is a matter of a millisecond. */
  stop(): Promise<void>;
  /** Resolves when it is over, by itself or stopped; with the number of cells that ran. */
  readonly done: Promise<number>;
}

export interface WarmUpOptions {
  readonly startKernel: (options: KernelOptions) => Promise<Kernel>;
  readonly evaluator: Evaluator;
  /** Asked for type errors as for any cell; cells that declare nothing leave nothing there. */
  readonly language: () => Promise<LanguageParts>;
  readonly typeErrors: TypeErrors;
}

/**
 * What every cell goes through: a value, something printed. Not TypeScript's own syntax: its transform is native code, which needs no
 * warming up and would be 3 MB for good.
 */
const cells: readonly string[] = ["1+1", "1+1", "1+1", "console.log(2)"];

/** After about so many calls of each function the engine (JavaScriptCore) has compiled most of what it is going to compile. */
const rounds = 120;
/** A machine that takes longer has better things to do. */
const maxMs = 2000;
/** What one cell may take: the first waits for the evaluator's process to be up. */
const stepMs = 10_000;
/** What a person's cell waits for the warm-up's last one, which takes a millisecond where nothing is wrong. */
const stopMs = 500;

export function startWarmUp(options: WarmUpOptions): WarmUp {
  let stopped = false;
  let current = "";
  let inner: EvaluatorOptions | null = null;
  const done = run().catch(() => 0);

  return {
    takes(output) {
      if (output.cell !== current) return false;
      inner?.onOutput(output);
      return true;
    },
    async stop() {
      stopped = true;
      await within(done, stopMs).catch(() => {});
    },
    done,
  };

  async function run(): Promise<number> {
    // A folder that only this user may enter: nobody else can speak to the second session. Once the client is connected
    // nobody needs it.
    const folder = await mkdtemp(join(tmpdir(), "bunsen-"));
    let kernel: Kernel | null = null;
    let client: Client | null = null;
    try {
      const connection: ConnectionInfo = {
        transport: "ipc",
        ip: join(folder, "s"),
        shellPort: 1,
        controlPort: 2,
        stdinPort: 3,
        iopubPort: 4,
        hbPort: 5,
        key: crypto.randomUUID(),
        digest: "sha256",
      };
      kernel = await options.startKernel(secondSession(connection));
      client = await connectClient(connection);
      await rm(folder, { recursive: true, force: true });
      let begin = 0;
      let count = 0;
      while (count < rounds && !stopped && (count === 0 || performance.now() - begin < maxMs)) {
        if (!(await client.execute(cells[count % cells.length] as string))) break;
        if (count++ === 0) begin = performance.now();
      }
      return count;
    } finally {
      current = "";
      client?.close();
      void kernel?.end(0);
      void rm(folder, { recursive: true, force: true }).catch(() => {});
    }
  }

  function secondSession(connection: ConnectionInfo): KernelOptions {
    const { evaluator, typeErrors } = options;
    return {
      connection,
      cwd: folderless,
      log: () => {},
      loadEvaluator: async () => (evaluatorOptions) => {
        inner = evaluatorOptions;
        return {
          evaluate(cell) {
            current = cell.id;
            return evaluator.evaluate({ ...cell, warmUp: true });
          },
          comm: () => Promise.resolve(),
          interrupt: () => Promise.resolve(),
          answerInput: () => {},
          properties: () => Promise.resolve([]),
          inspect: () => Promise.resolve(null),
          pid: null,
          [Symbol.asyncDispose]: () => Promise.resolve(),
        };
      },
      async loadLanguage() {
        const { language, describeProblems } = await options.language();
        const notOurs = { start: () => {}, stateLost: () => {}, [Symbol.asyncDispose]: () => Promise.resolve() };
        return { language: { ...language, ...notOurs }, describeProblems };
      },
      typeErrors,
      openHistory: () => Promise.reject(new Error("the warm-up is not remembered")),
      exit: () => {},
    };
  }
}

/** The second session reads no file. */
const folderless = "/";

interface Client {
  /** Resolves when the reply and the idle of the cell have come, with whether it went well. @throws Error where they do not come */
  execute(code: string): Promise<boolean>;
  close(): void;
}

/** As much of a client as `execute_request` needs, over the wire's own codec. */
async function connectClient({ ip, key, digest, shellPort, iopubPort }: ConnectionInfo): Promise<Client> {
  const signer = createSigner(key, digest);
  const envelope: Envelope = createEnvelope({ signer, session: "warm-up", rememberedDigests: 1024 });
  let asked = "";
  let missing = 0;
  let settle: () => void = () => {};
  let isOk = false;
  let welcome: () => void = () => {};

  const told = (frames: readonly Uint8Array[]): void => {
    const decoded = envelope.decode(frames);
    if (!decoded.ok) return;
    const { header, parentHeader, content } = decoded.message;
    if (header.msg_type === "iopub_welcome") welcome();
    if (parentHeader.msg_id !== asked) return;
    if (header.msg_type === "execute_reply") isOk = content.status === "ok";
    const isEnd = header.msg_type === "status" && content.execution_state === "idle";
    if ((isEnd || header.msg_type === "execute_reply") && --missing === 0) settle();
  };
  const dial = async (port: number, type: "DEALER" | "SUB"): Promise<Bun.Socket> => {
    const decoder = createDecoder();
    return await Bun.connect({
      unix: `${ip}-${port}`,
      socket: {
        open(socket) {
          socket.write(encodeGreeting());
          socket.write(encodeReady(type));
        },
        data(_socket, bytes) {
          for (const event of decoder.push(bytes)) if (event.type === "message") told(event.frames);
        },
        error() {},
      },
    });
  };
  const shell = await dial(shellPort, "DEALER");
  const iopub = await dial(iopubPort, "SUB");
  await within(
    new Promise<void>((resolve) => {
      welcome = resolve;
      iopub.write(encodeMessage([new Uint8Array([1])]));
    }),
    stepMs,
  );

  return {
    async execute(code) {
      const content: Content = { code, silent: false, store_history: false, allow_stdin: false };
      const { header, frames } = envelope.encode({ type: "execute_request", parent: null, content });
      asked = header.msg_id;
      missing = 2;
      await within(
        new Promise<void>((resolve) => {
          settle = resolve;
          shell.write(encodeMessage(frames));
        }),
        stepMs,
      );
      return isOk;
    },
    close() {
      shell.end();
      iopub.end();
    },
  };
}

/** @throws Error where it takes longer. */
async function within(answer: Promise<unknown>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), ms);
  });
  try {
    await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
