// The kernel: binds the five sockets, checks what comes in, looks the handler up, and wraps each request in busy and
// idle. What a request does is in handlers/; how bytes travel is in ../wire; cells run in the evaluator's process.

import type { CreateEvaluator, Evaluator } from "../evaluator/port.ts";
import type { TypeErrors } from "../language/contract.ts";
import type { ConnectionInfo } from "../protocol/connection-file.ts";
import { createEnvelope } from "../protocol/envelope.ts";
import { type Channel, type Content, flag, type Message } from "../protocol/messages.ts";
import { createSigner } from "../protocol/signature.ts";
import type { Peer } from "../wire/endpoint.ts";
import type { Router } from "../wire/router.ts";
import type { Xpub } from "../wire/xpub.ts";
import { aborted, failure, noSubshell, unknownRequest } from "./answers.ts";
import { handlers } from "./handlers.ts";
import type { History, StoredCell } from "./history.ts";
import { createInputs } from "./inputs.ts";
import { createLanguageLink, type LanguageParts } from "./language-link.ts";
import { createOutputs } from "./outputs.ts";
import { createPublisher } from "./publisher.ts";
import type { HandlerRow, Request, Session } from "./session.ts";
import { createShells, type Shell } from "./shells.ts";
import { bindSockets } from "./sockets.ts";
import type { WarmUp, WarmUpOptions } from "./warm-up.ts";

export interface KernelOptions {
  readonly connection: ConnectionInfo;
  /** The notebook's folder. */
  readonly cwd: string;
  /** One line for the kernel's log, by importance. */
  readonly log: (level: "debug" | "info" | "warn", line: string) => void;
  /** The parts that are loaded after the sockets are bound. */
  readonly loadEvaluator: () => Promise<CreateEvaluator>;
  readonly loadLanguage: (log: (line: string) => void) => Promise<LanguageParts>;
  /** What becomes of a cell's type errors. */
  readonly typeErrors: TypeErrors;
  readonly openHistory: () => Promise<History>;
  /** Absent: the first cells compile the path of a cell as they go. */
  readonly loadWarmUp?: () => Promise<(options: WarmUpOptions) => WarmUp>;
  /** Called when everything is written and closed; ends the process. */
  readonly exit: (status: number) => void;
}

export interface Kernel {
  /** The ports really bound (they differ from the file's where that says 0). */
  readonly connection: ConnectionInfo;
  interrupt(): Promise<void>;
  /** Ends as after a shutdown_request. */
  end(status: number): Promise<void>;
}

/** A client that reconnects asks within this time. */
const evaluatorStartMs = 25;
/** At rest for this long after its start, a kernel warms up: what starts kernels to run cells at once is not held up. */
const warmUpDelayMs = 700;
/** What a front end may wait for runtime values: types alone answer after that. Less while a cell runs, which most likely computes. */
const runtimeAnswerMs = 50;
const busyAnswerMs = 25;
/** Cells are written to the history a little after their replies, several by one write where they come fast. */
const historyDelayMs = 100;
/** The reply to shutdown is written and the evaluator gone within this; then the process ends in any case. */
const endMs = 50;

/** @throws SocketError where a port is in use or an address cannot be bound. */
export async function startKernel(options: KernelOptions): Promise<Kernel> {
  const { log, cwd } = options;
  const warn = (line: string): void => log("warn", line);
  const id = crypto.randomUUID();
  const envelope = createEnvelope({
    signer: createSigner(options.connection.key, options.connection.digest),
    session: id,
  });
  let ending = false;

  const receive = (channel: Channel, identity: Uint8Array, frames: readonly Uint8Array[]): void => {
    if (ending) return;
    const decoded = envelope.decode(frames);
    if (!decoded.ok) {
      warn(`${channel}: dropped a message: ${decoded.reason}`);
      return;
    }
    accept(channel, { ...decoded.message, identities: [identity, ...decoded.message.identities] });
  };

  // The first socket may be spoken to while the last is being bound: what comes then waits until all is there.
  let bound = false;
  const early: (() => void)[] = [];
  const whenBound =
    <Arguments extends unknown[]>(handle: (...args: Arguments) => void) =>
    (...args: Arguments): void => {
      if (bound) handle(...args);
      else early.push(() => handle(...args));
    };
  const sockets = await bindSockets(options.connection, {
    log: warn,
    onMessage: whenBound(receive),
    onStdinConnect: whenBound(() => inputs.connected()),
    onSubscribe: whenBound((peer: Peer, topic: Uint8Array) => publisher.welcome(peer, topic)),
  });
  const { connection } = sockets;
  const routers: Record<Channel, Router> = sockets.routers;
  const iopub: Xpub = sockets.iopub;

  const publisher = createPublisher(() => iopub, envelope);
  const comms = new Map<string, string>();
  const outputs = createOutputs({
    publisher,
    onComm(type, commId, targetName) {
      if (type === "comm_open") comms.set(commId, targetName);
      else comms.delete(commId);
    },
  });
  const inputs = createInputs({
    envelope,
    send: (identities, frames) => routers.stdin.send(identities[0]!, [...identities.slice(1), ...frames]),
    answer: (inputId, value) => evaluator?.answerInput(inputId, value),
    log: warn,
  });

  // The evaluator's process starts as soon as the first request is answered, or nobody asks for a moment: a front end
  // waits for the first reply, and loading and spawning would double its time.
  let evaluator: Evaluator | null = null;
  const firstReply = Promise.withResolvers<void>();
  setTimeout(firstReply.resolve, evaluatorStartMs);
  const evaluatorReady = firstReply.promise.then(options.loadEvaluator).then((create) => {
    evaluator = create({
      cwd,
      onLog: (line) => log("info", `evaluator: ${line}`),
      onOutput(output) {
        if (warmUp?.takes(output) === true) return;
        if (output.type !== "input_request") {
          outputs.receive(output);
          return;
        }
        // What the cell has said before it asks is seen before.
        outputs.release(output.cell);
        const origin = outputs.originOf(output.cell);
        if (origin === null) warn(`input: dropped a question of a cell that nobody knows: ${output.cell}`);
        else inputs.ask(output, origin);
      },
    });
    return evaluator;
  });
  // Whoever needs it learns of a failure; until then it must not end the process.
  evaluatorReady.catch((error: unknown) => warn(`the evaluator did not start: ${String(error)}`));

  let warmUp: WarmUp | null = null;
  let warmUpTimer: ReturnType<typeof setTimeout> | null = null;
  /** Begins the warm-up's wait anew with each request that is no cell; the first cell ends it for good. */
  const warmUpSoon = (): void => {
    if (warmUpTimer !== null) clearTimeout(warmUpTimer);
    if (options.loadWarmUp === undefined || hasRun || ending || warmUp !== null) return;
    warmUpTimer = setTimeout(async () => {
      try {
        const [startWarmUp, ready] = await Promise.all([options.loadWarmUp!(), evaluatorReady]);
        if (hasRun || ending) return;
        warmUp = startWarmUp({
          startKernel,
          evaluator: ready,
          language: language.parts,
          typeErrors: options.typeErrors,
        });
        const begin = performance.now();
        const count = await warmUp.done;
        log("debug", `warm-up: ${count} cells in ${Math.round(performance.now() - begin)} ms`);
        if (!hasRun && !ending) await openHistory();
      } catch (error) {
        log("debug", `warm-up: ${String(error)}`);
      }
    }, warmUpDelayMs);
  };
  /** Whether user code has run or is about to. */
  let hasRun = false;
  /** The evaluator, for user code: what warms it up makes way. */
  const makeWay = async (): Promise<Evaluator> => {
    hasRun = true;
    await warmUp?.stop();
    return await evaluatorReady;
  };
  /** One promise for all who ask: they go on in the order in which they asked. */
  let evaluatorForUser: Promise<Evaluator> | null = null;

  const language = createLanguageLink({
    load: () => options.loadLanguage((line) => log("info", line)),
    typeErrors: options.typeErrors,
    evaluatorPid: () => evaluator?.pid ?? null,
    log: warn,
  });

  let history: Promise<History> | null = null;
  let unwritten: StoredCell[] = [];
  const openHistory = async (): Promise<History> => {
    history ??= options.openHistory();
    const store = await history;
    if (unwritten.length > 0) {
      const cells = unwritten;
      unwritten = [];
      store.add(cells);
    }
    return store;
  };

  const session: Session = {
    id,
    connection,
    publisher,
    outputs,
    inputs,
    shells: createShells((request) => serve(request, handlers[request.message.header.msg_type]!)),
    comms,
    evaluator() {
      firstReply.resolve();
      evaluatorForUser ??= makeWay();
      return evaluatorForUser;
    },
    language: language.get,
    history: openHistory,
    properties: (expression) => soon(evaluator?.properties(expression), [], patience()),
    inspectValue: (expression) => soon(evaluator?.inspect(expression), null, patience()),
    interrupt,
    remember(shell, line, code, result) {
      unwritten.push({ key: shell.id ?? "", line, source: code, result });
      if (unwritten.length === 1) {
        setTimeout(() => {
          if (!ending) openHistory().catch((error: unknown) => warn(`history: ${String(error)}`));
        }, historyDelayMs);
      }
    },
    codeRan: language.codeRan,
    typeErrors: options.typeErrors,
    typeProblems: language.typeProblems,
    log: warn,
    shutDown: () => void end(0),
  };

  const patience = (): number => (session.shells.running().length > 0 ? busyAnswerMs : runtimeAnswerMs);

  function accept(channel: Channel, message: Message): void {
    const { header } = message;
    if (channel === "stdin") {
      if (header.msg_type === "input_reply") inputs.reply(message);
      else warn(`stdin: dropped a ${header.msg_type}: expected an input_reply`);
      return;
    }
    const shell: Shell = session.shells.find(header.subshell_id) ?? session.shells.main;
    const request: Request = { channel, message, shell };
    const row = Object.hasOwn(handlers, header.msg_type) ? handlers[header.msg_type] : undefined;
    if (row === undefined || !row.channels.includes(channel)) {
      log("info", `${channel}: no handler for ${header.msg_type}`);
      void serve(request, unknownRequest(header.msg_type, channel));
    } else if (session.shells.find(header.subshell_id) === null) {
      void serve(request, { ...row, handle: () => noSubshell(session, header.subshell_id) });
    } else if (row.order === "queued") session.shells.push(request);
    else void serve(request, row);
  }

  function reply(request: Request, type: string, content: Content): void {
    const { identities, header } = request.message;
    const { frames } = envelope.encode({ type, parent: header, content });
    routers[request.channel].send(identities[0]!, [...identities.slice(1), ...frames]);
  }

  /** One request, from busy to idle. Never rejects. */
  async function serve(request: Request, row: HandlerRow): Promise<void> {
    const { header } = request.message;
    publisher.status(header, "busy");
    let content: Content;
    try {
      const handled = row.handle(session, request);
      content = handled instanceof Promise ? await handled : handled;
    } catch (error) {
      content = failure(error);
      if (header.msg_type === "execute_request") {
        // Not the cell's fault but the kernel's: it still has to be seen where cells' errors are.
        const { ename, evalue, traceback } = content;
        publisher.publish(header, "error", { ename, evalue, traceback });
        content = { ...content, execution_count: request.shell.executionCount, user_expressions: {}, payload: [] };
      }
      warn(`${header.msg_type}: ${String(content.evalue)}`);
    }
    const notRun = content.status === "error" ? await behind(request) : [];
    if (row.reply !== null) reply(request, row.reply, { status: "ok", ...content });
    publisher.status(header, "idle");
    firstReply.resolve();
    if (!ending) language.startSoon();
    warmUpSoon();
    for (const each of notRun) abort(each);
    // Front ends show the state that came last: while a cell computes they shall go on showing busy.
    if (row.order === "at once") {
      const running = session.shells.running()[0];
      if (running !== undefined && !ending) publisher.status(running.message.header, "busy");
    }
  }

  /** The cells queued behind one that failed, taken out of the queue: those of the same client, where it asked for that. */
  async function behind(request: Request): Promise<Request[]> {
    const { header, content } = request.message;
    if (header.msg_type !== "execute_request" || !flag(content, "stop_on_error", true)) return [];
    // What the client sent together with this cell may still wait in the socket: let it in first.
    await new Promise((resolve) => setImmediate(resolve));
    return session.shells.remove(
      request.shell,
      ({ message }) => message.header.msg_type === "execute_request" && message.header.session === header.session,
    );
  }

  function abort(request: Request): void {
    const { header } = request.message;
    publisher.status(header, "busy");
    reply(request, "execute_reply", aborted(request));
    publisher.status(header, "idle");
  }

  async function interrupt(): Promise<void> {
    await warmUp?.stop();
    await evaluator?.interrupt();
  }

  async function end(status: number): Promise<void> {
    if (ending) return;
    ending = true;
    void warmUp?.stop();
    // First let the reply, and what is being published, out of this turn.
    await new Promise((resolve) => setImmediate(resolve));
    const pid = evaluator?.pid ?? null;
    const stopped = Promise.allSettled([
      evaluator?.[Symbol.asyncDispose](),
      language.dispose(),
      sockets.flushed(endMs),
    ]);
    try {
      if (unwritten.length > 0) await openHistory();
      (await history)?.close();
    } catch (error) {
      warn(`history: ${String(error)}`);
    }
    await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, endMs))]);
    if (pid !== null) kill(pid);
    sockets.close();
    options.exit(status);
  }

  bound = true;
  for (const each of early) each();
  return { connection, interrupt, end };
}

/** The answer if it comes soon, else `otherwise`: a busy evaluator must not hold up completion. */
async function soon<T>(answer: Promise<T> | undefined, otherwise: T, ms: number): Promise<T> {
  if (answer === undefined) return otherwise;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), ms);
  });
  try {
    return await Promise.race([answer.catch(() => otherwise), late]);
  } finally {
    clearTimeout(timer);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already, which is what was wanted.
  }
}
