// The TypeScript language server as a child process: started when first needed, started again when it dies, told of the
// documents anew each time. It speaks LSP and knows nothing of cells or of Jupyter.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ConnectionClosedError, createConnection, type RpcConnection } from "./rpc.ts";

export interface ServerOptions {
  /** The folder with the tsconfig. */
  readonly root: string;
  readonly onLog: (line: string) => void;
}

/** What a document is to the server: a file that need not exist. */
export interface OpenDocument {
  readonly path: string;
  readonly text: string;
}

export interface LanguageServer {
  /** Starts the process where none runs. */
  start(): void;
  /** Opens a document, or replaces its text. Sent at once; the server handles messages in order. */
  open(document: OpenDocument): void;
  close(path: string): void;
  /** Tells that files on disk have changed, so that they are read anew. */
  filesChanged(changes: readonly FileChange[]): void;
  /**
   * Asks, starting the server where none runs; asked again once where the server died meanwhile.
   *
   * @throws {ConnectionClosedError} where it died twice, or was disposed of.
   */
  request(method: string, params: unknown): Promise<unknown>;
  readonly pid: number | null;
  dispose(): Promise<void>;
}

export interface FileChange {
  readonly path: string;
  /** LSP's FileChangeType: changed or made (2), deleted (3). */
  readonly type: 2 | 3;
}

interface Running {
  readonly process: Bun.Subprocess<"pipe", "pipe", "ignore">;
  readonly connection: RpcConnection;
}

const restartPauseMs = 30_000;

export function createServer(options: ServerOptions): LanguageServer {
  const documents = new Map<string, { text: string; version: number }>();
  let running: Running | null = null;
  let disposed = false;
  let deaths: number[] = [];

  const start = (): Running => {
    if (disposed) throw new ConnectionClosedError("The language server was stopped with its kernel.");
    if (running !== null) return running;
    const now = Date.now();
    deaths = deaths.filter((time) => now - time < restartPauseMs);
    if (deaths.length >= 3) {
      throw new ConnectionClosedError("The language server died three times in half a minute; it rests for a while.");
    }
    running = launch(options, (reason) => {
      running = null;
      if (disposed) return;
      deaths.push(Date.now());
      options.onLog(`language server: ${reason}; it is started again when needed`);
    });
    for (const [path, { text, version }] of documents) notifyOpen(running.connection, path, text, version);
    return running;
  };

  return {
    start: () => {
      start();
    },
    open: ({ path, text }) => {
      const document = documents.get(path);
      if (document === undefined) {
        documents.set(path, { text, version: 1 });
        if (running !== null) notifyOpen(running.connection, path, text, 1);
      } else if (document.text !== text) {
        document.text = text;
        document.version++;
        running?.connection.notify("textDocument/didChange", {
          textDocument: { uri: uriOf(path), version: document.version },
          contentChanges: [{ text }],
        });
      }
    },
    close: (path) => {
      if (documents.delete(path))
        running?.connection.notify("textDocument/didClose", { textDocument: { uri: uriOf(path) } });
    },
    filesChanged: (changes) => {
      if (changes.length === 0) return;
      running?.connection.notify("workspace/didChangeWatchedFiles", {
        changes: changes.map(({ path, type }) => ({ uri: uriOf(path), type })),
      });
    },
    request: async (method, params) => {
      try {
        return await start().connection.request(method, params);
      } catch (error) {
        if (!(error instanceof ConnectionClosedError) || disposed) throw error;
        return start().connection.request(method, params);
      }
    },
    get pid() {
      return running?.process.pid ?? null;
    },
    dispose: async () => {
      disposed = true;
      const last = running;
      running = null;
      if (last === null) return;
      last.connection.close("The kernel stops.");
      last.process.kill("SIGKILL");
      await last.process.exited;
    },
  };
}

export function uriOf(path: string): string {
  return pathToFileURL(path).href;
}

function notifyOpen(connection: RpcConnection, path: string, text: string, version: number): void {
  const languageId = path.endsWith(".tsx") ? "typescriptreact" : "typescript";
  connection.notify("textDocument/didOpen", { textDocument: { uri: uriOf(path), languageId, version, text } });
}

/** The native compiler itself, without the JavaScript that only looks it up. */
export function serverBinary(): string {
  const { resolve } = createRequire(import.meta.url);
  const name = `@typescript/typescript-${process.platform}-${process.arch}/package.json`;
  const { resolve: resolveFromTypescript } = createRequire(resolve("typescript/package.json"));
  return join(dirname(resolveFromTypescript(name)), "lib", process.platform === "win32" ? "tsc.exe" : "tsc");
}

function launch({ root, onLog }: ServerOptions, onExit: (reason: string) => void): Running {
  let connection: RpcConnection | null = null;
  const child = Bun.spawn([serverBinary(), "--lsp", "--stdio"], {
    cwd: root,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
    // Its garbage collector runs earlier than by default (100): a fifth less memory for a tenth more processor time at the start.
    env: { ...process.env, GOGC: "50", GOMEMLIMIT: "1GiB" },
  });
  const write = (bytes: Uint8Array): void => {
    try {
      child.stdin.write(bytes);
      void child.stdin.flush();
    } catch {
      // It is going away: `exited` below tells all who wait.
    }
  };
  const own = createConnection(write, answerServer);
  connection = own;
  void child.exited.then((code) => {
    const reason = `ended with ${child.signalCode ?? `status ${code}`}`;
    own.close(`The language server ${reason}.`);
    onExit(reason);
  });
  void readAll(child.stdout, own).catch((error: unknown) => {
    onLog(`language server: ${error instanceof Error ? error.message : String(error)}`);
    child.kill("SIGKILL");
  });
  // Notifications sent meanwhile are handled after these, in order.
  own.request("initialize", initializeParams(root)).catch(() => undefined);
  own.notify("initialized", {});
  return { process: child, connection };
}

async function readAll(stream: ReadableStream<Uint8Array>, connection: RpcConnection): Promise<void> {
  for await (const chunk of stream) connection.receive(chunk);
}

/** The server asks for configuration and to register watchers: neither is offered, null is a fine answer to all. */
function answerServer(method: string, params: unknown): unknown {
  if (method !== "workspace/configuration") return null;
  return (params as { items?: unknown[] } | null)?.items?.map(() => null) ?? [];
}

function initializeParams(root: string): object {
  return {
    processId: process.pid,
    rootUri: uriOf(root),
    workspaceFolders: [{ uri: uriOf(root), name: "notebook" }],
    initializationOptions: {
      disablePushDiagnostics: true,
      userPreferences: {
        // Indexing every package for imports that a completion might add costs seconds and a hundred megabytes.
        includeCompletionsForModuleExports: false,
        includeCompletionsForImportStatements: true,
        // Packages come from the notebook's folder only; nothing is downloaded.
        disableAutomaticTypeAcquisition: true,
      },
    },
    capabilities: {
      general: { positionEncodings: ["utf-16"] },
      textDocument: {
        completion: {
          completionItem: { snippetSupport: false, documentationFormat: ["markdown"], labelDetailsSupport: true },
        },
        hover: { contentFormat: ["markdown"] },
        signatureHelp: { signatureInformation: { documentationFormat: ["markdown"], activeParameterSupport: true } },
        definition: { linkSupport: true },
        diagnostic: {},
      },
    },
  };
}
