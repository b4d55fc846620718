// JupyterLab and a browser for tests: a server with nothing of the machine's own settings, the kernelspec of this
// checkout, and headless Chromium. It checks nothing itself.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";

export const projectRoot: string = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** Where screenshots go; ignored by git. */
export const outputFolder: string = join(projectRoot, "test/output");

/** The Python that has JupyterLab: `$BUNSEN_PYTHON`, else the one that `bun run setup` makes. Null where there is none. */
export function findPython(): string | null {
  const candidates = [process.env.BUNSEN_PYTHON, join(projectRoot, ".venv/bin/python")];
  return candidates.find((path) => path !== undefined && existsSync(path)) ?? null;
}

/** `$BUNSEN_CHROMIUM`, else Debian's. Null where there is none. */
export function findChromium(): string | null {
  const candidates = [process.env.BUNSEN_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"];
  return candidates.find((path) => path !== undefined && existsSync(path)) ?? null;
}

export interface Lab extends AsyncDisposable {
  /** With the trailing slash. */
  readonly url: string;
  /** The folder that is served. */
  readonly folder: string;
  readonly browser: Browser;
  /** Opens a notebook of the folder and waits until its kernel is idle. */
  openNotebook(name: string): Promise<Page>;
  /** What the server wrote, for failures. */
  log(): string;
}

/** One code cell for each text. */
export function notebook(cells: readonly string[]): string {
  return JSON.stringify({
    cells: cells.map((source, index) => ({
      cell_type: "code",
      id: `cell-${index}`,
      execution_count: null,
      metadata: {},
      outputs: [],
      source,
    })),
    metadata: { kernelspec: { name: "bunsen", display_name: "TypeScript (Bunsen)", language: "typescript" } },
    nbformat: 4,
    nbformat_minor: 5,
  });
}

export async function startLab(files: Readonly<Record<string, string>>): Promise<Lab> {
  const python = findPython();
  const executablePath = findChromium();
  if (python === null || executablePath === null) throw new Error("JupyterLab or Chromium is missing.");
  const home = mkdtempSync(join(tmpdir(), "bunsen-lab-"));
  const folder = join(home, "work");
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  installKernel(join(home, "prefix"));
  silenceNews(join(home, "settings"));
  const server = spawn(
    python,
    [
      ...["-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"],
      ...["--ServerApp.port_retries=0", "--IdentityProvider.token=", `--ServerApp.root_dir=${folder}`],
    ],
    {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        HOME: home,
        JUPYTER_PATH: join(home, "prefix/share/jupyter"),
        JUPYTER_CONFIG_DIR: join(home, "config"),
        JUPYTER_DATA_DIR: join(home, "data"),
        JUPYTER_RUNTIME_DIR: join(home, "runtime"),
        JUPYTERLAB_SETTINGS_DIR: join(home, "settings"),
        JUPYTERLAB_WORKSPACES_DIR: join(home, "workspaces"),
      },
    },
  );
  let written = "";
  for (const stream of [server.stdout, server.stderr]) stream?.on("data", (chunk: Buffer) => (written += chunk));
  const log = (): string => written;
  let browser: Browser | null = null;
  const dispose = async (): Promise<void> => {
    await browser?.close();
    await stopServer(server);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const url = await readUrl(server, join(home, "runtime"), log);
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    return {
      url,
      folder,
      browser,
      log,
      openNotebook: async (name) => {
        const page = await context.newPage();
        await page.goto(`${url}lab/tree/${name}?reset`, { waitUntil: "domcontentloaded" });
        await page.locator(".jp-Notebook").waitFor();
        await waitForIdle(page);
        return page;
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw new Error(`JupyterLab did not start: ${(error as Error).message}\n${written}`, { cause: error });
  }
}

/** The kernel is connected and does nothing, as the status bar tells. (The circle beside the kernel's name says so too early.) */
export async function waitForIdle(page: Page): Promise<void> {
  await page.getByText("TypeScript (Bunsen) | Idle").waitFor();
}

function installKernel(prefix: string): void {
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(projectRoot, "kernel/main.ts"), "install", "--prefix", prefix],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`The kernel could not be installed: ${stderr}`);
}

/** Lab asks about news the first time, in a box that lies over the page. */
function silenceNews(settings: string): void {
  const folder = join(settings, "@jupyterlab/apputils-extension");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "notification.jupyterlab-settings"),
    JSON.stringify({ fetchNews: "false", checkForUpdates: false }),
  );
}

/** The server writes its address into its runtime folder once it listens. */
async function readUrl(server: ChildProcess, runtime: string, log: () => string): Promise<string> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (server.exitCode !== null) throw new Error(`it ended with status ${server.exitCode}`);
    const name = existsSync(runtime)
      ? readdirSync(runtime).find((file) => /^jpserver-\d+\.json$/.test(file))
      : undefined;
    if (name !== undefined) {
      const { url } = JSON.parse(readFileSync(join(runtime, name), "utf8")) as { url: string };
      const answer = await fetch(`${url}api`).catch(() => null);
      if (answer?.ok === true) return url;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`it did not listen within a minute\n${log()}`);
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return;
  const ended = new Promise((done) => server.once("exit", done));
  server.kill("SIGTERM");
  const timer = setTimeout(() => server.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(timer);
}
