// One life of the process that runs cells: started, spoken to, listened to, ended. Not here: what is made of its frames
// and of its end (child-process.ts).

import { randomBytes } from "node:crypto";
import { writeSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Command, decodeFrame, encodeCommand, type Frame, FrameDecoder } from "./frames.ts";
import { NativeDecoder } from "./native-output.ts";

const CHILD: string = join(import.meta.dirname, "child/main.ts");

/** After its end, how long its pipes may stay open (a process that it started may hold them). */
const DRAIN_MS = 200;

export type StreamName = "stdout" | "stderr";

export interface LifeListener {
  onFrame(life: Life, frame: Frame): void;
  onNative(life: Life, name: StreamName, text: string): void;
  onMark(life: Life, name: StreamName, sequence: number): void;
  /** It has ended and everything that it wrote has been delivered. */
  onEnd(life: Life): void;
}

/**
 * What cells find in `process.env`: all but what the kernelspec sets for the kernel's own process. The parsers' allocator would
 * take huge pages, of which they use a tenth; the engine's own and what cells load do not ask it.
 */
export function evaluatorEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = { MIMALLOC_ALLOW_THP: "0" };
  const kernelOnly = new Set(["BUNSEN_KERNEL_ONLY", ...(env.BUNSEN_KERNEL_ONLY ?? "").split(" ")]);
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !kernelOnly.has(name)) kept[name] = value;
  }
  return kept;
}

/** Why a process ended, in words. */
function describeEnd(child: Subprocess): string {
  const signal = child.signalCode as NodeJS.Signals | null;
  if (signal === null) return `exit code ${child.exitCode ?? "unknown"}`;
  const words: Partial<Record<NodeJS.Signals, string>> = {
    SIGABRT: "it aborted",
    SIGSEGV: "a segmentation fault",
    SIGBUS: "a bus error",
    SIGILL: "an illegal instruction, which Bun also raises when it panics or runs out of memory",
    SIGTRAP: "a trap, which Bun also raises when it panics or runs out of memory",
    SIGKILL: "it was killed, as by the system when memory runs out",
    SIGFPE: "an arithmetic fault in native code",
    SIGTERM: "it was told to end",
  };
  const why = words[signal];
  return why === undefined ? `signal ${signal}` : `signal ${signal} (${why})`;
}

export class Life {
  readonly nonce: string = randomBytes(12).toString("hex");
  /** Whether it has got as far as taking commands. */
  ready = false;
  /** Whether it has ended. */
  over = false;
  readonly #child: Subprocess;
  readonly #answers: number;
  /** Null until the socket to the child is open. */
  #commands: Bun.Socket | null = null;
  readonly #unsent: Uint8Array[] = [];
  readonly #listener: LifeListener;
  readonly #native: Record<StreamName, NativeDecoder>;
  readonly #drained: Promise<unknown>;

  /** @throws Error where the process cannot be started (no such folder, no more processes). */
  constructor(cwd: string, listener: LifeListener) {
    this.#listener = listener;
    this.#native = { stdout: new NativeDecoder(this.nonce), stderr: new NativeDecoder(this.nonce) };
    // --no-install: a missing package is an error that names the remedy, never a silent download.
    // --no-orphans: it ends with the kernel, however that ends, and takes what cells have started with it.
    this.#child = Bun.spawn([process.execPath, "--no-install", "--no-orphans", CHILD, cwd, this.nonce], {
      cwd,
      env: evaluatorEnvironment(process.env),
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe"],
      onExit: () => void this.#onExit(),
    });
    const stdio = this.#child.stdio as unknown as (number | null)[];
    this.#answers = stdio[4] as number;
    const closed = Promise.withResolvers<void>();
    const frames = new FrameDecoder(decodeFrame);
    // Bun's own types do not know that `connect` takes an open descriptor.
    const options = {
      fd: stdio[3] as number,
      socket: {
        data: (_socket: unknown, chunk: Uint8Array): void => {
          for (const frame of frames.push(chunk)) {
            if (frame.type === "ready") this.ready = true;
            listener.onFrame(this, frame);
          }
        },
        close: (): void => closed.resolve(),
        error: (): void => closed.resolve(),
      },
    };
    void Bun.connect(options as never);
    void Bun.connect({
      fd: stdio[5] as number,
      socket: {
        open: (socket: Bun.Socket): void => {
          this.#commands = socket;
          this.#write();
        },
        drain: (): void => this.#write(),
        data: (): void => {},
        // Its end is seen elsewhere.
        error: (): void => {},
      },
    } as never);
    this.#drained = Promise.all([
      closed.promise,
      this.#read("stdout", this.#child.stdout as ReadableStream<Uint8Array>),
      this.#read("stderr", this.#child.stderr as ReadableStream<Uint8Array>),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** How it ended, in words. */
  get end(): string {
    return describeEnd(this.#child);
  }

  send(command: Command): void {
    if (this.over) return;
    this.#unsent.push(encodeCommand(command));
    // While something waits, the socket is full: it tells when it is not.
    if (this.#unsent.length === 1) this.#write();
  }

  #write(): void {
    const socket = this.#commands;
    while (socket !== null) {
      const bytes = this.#unsent[0];
      if (bytes === undefined) return;
      const written = socket.write(bytes);
      if (written < bytes.length) {
        this.#unsent[0] = bytes.subarray(Math.max(0, written));
        return;
      }
      this.#unsent.shift();
    }
  }

  /** Answers blocking input; null is an interrupt. */
  answer(inputId: number, value: string | null): void {
    if (!this.over) writeSync(this.#answers, `${JSON.stringify({ inputId, value })}\n`);
  }

  /** Ends it at once; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  async #read(name: StreamName, stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = this.#native[name];
    for await (const chunk of stream) {
      for (const piece of decoder.push(chunk)) {
        if ("mark" in piece) this.#listener.onMark(this, name, piece.mark);
        else this.#listener.onNative(this, name, piece.text);
      }
    }
    const rest = decoder.end();
    if (rest !== "") this.#listener.onNative(this, name, rest);
  }

  async #onExit(): Promise<void> {
    this.over = true;
    await Promise.race([this.#drained, Bun.sleep(DRAIN_MS)]);
    this.#listener.onEnd(this);
  }
}
