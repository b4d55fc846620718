// Installing, finding and removing the kernelspec, without Python; and the command line around it.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { evaluatorEnvironment } from "#kernel/evaluator/life.ts";
import { parseInstallArguments } from "#kernel/install/command.ts";
import {
  findKernelspecs,
  type Kernelspec,
  missingFiles,
  removeKernelspec,
  writeKernelspec,
} from "#kernel/install/kernelspec.ts";
import { kernelsFolder, searchedFolders } from "#kernel/install/paths.ts";

const root = mkdtempSync(join(tmpdir(), "bunsen-install-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const project = resolve(import.meta.dirname, "..", "..", "..");
const options = { name: "bunsen", displayName: "TypeScript (Bunsen)", env: { A: "1" } };
/** What a kernelspec sets for the kernel's own process. */
const smallKernel = {
  BUN_JSC_useDFGJIT: "0",
  MIMALLOC_ALLOW_THP: "0",
  BUNSEN_KERNEL_ONLY: "BUN_JSC_useDFGJIT MIMALLOC_ALLOW_THP",
};
let folder = "";
let folders = 0;

beforeEach(() => {
  folder = join(root, `kernels-${folders++}`);
});

const read = (name = "bunsen"): Kernelspec => JSON.parse(readFileSync(join(folder, name, "kernel.json"), "utf8"));

describe("the kernelspec", () => {
  test("names the pinned Bun and this project by absolute paths, message interrupts, env and logos", () => {
    const place = writeKernelspec(folder, options, "1.2.3");
    const spec = read();
    expect(spec.argv).toEqual([
      join(project, "node_modules", "bun", "bin", "bun.exe"),
      join(project, "kernel", "main.ts"),
      "run",
      "{connection_file}",
      "--log-level",
      "info",
    ]);
    expect(spec).toMatchObject({
      display_name: "TypeScript (Bunsen)",
      language: "typescript",
      interrupt_mode: "message",
      kernel_protocol_version: "5.5",
    });
    expect(spec.env).toEqual({ ...smallKernel, A: "1" });
    expect(readdirSync(place).sort()).toEqual(["kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"]);
    for (const size of [32, 64]) {
      const png = readFileSync(join(place, `logo-${size}x${size}.png`));
      expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([size, size]);
    }
    expect(missingFiles(spec)).toEqual([]);
    expect(missingFiles({ ...spec, argv: ["/nowhere/bun", ...spec.argv.slice(1)] })).toEqual(["/nowhere/bun"]);
  });

  test("what the user sets wins over what makes the kernel's process small, and reaches the cells", () => {
    writeKernelspec(folder, { ...options, env: { BUN_JSC_useDFGJIT: "1", B: "2" } }, "1");
    const { env } = read();
    expect(env).toEqual({
      BUN_JSC_useDFGJIT: "1",
      B: "2",
      MIMALLOC_ALLOW_THP: "0",
      BUNSEN_KERNEL_ONLY: "MIMALLOC_ALLOW_THP",
    });
    expect(evaluatorEnvironment({ ...env, C: undefined })).toEqual({
      BUN_JSC_useDFGJIT: "1",
      B: "2",
      MIMALLOC_ALLOW_THP: "0",
    });
    writeKernelspec(folder, options, "1");
    expect(evaluatorEnvironment(read().env)).toEqual({ A: "1", MIMALLOC_ALLOW_THP: "0" });
  });

  test("installing again replaces it, and leaves nothing else behind", () => {
    writeKernelspec(folder, options, "1");
    writeFileSync(join(folder, "bunsen", "stale"), "");
    writeKernelspec(folder, { ...options, displayName: "Other" }, "2");
    expect(read().display_name).toBe("Other");
    expect(readdirSync(folder)).toEqual(["bunsen"]);
    expect(existsSync(join(folder, "bunsen", "stale"))).toBe(false);
  });

  test("another kernel's folder is neither replaced nor removed", () => {
    mkdirSync(join(folder, "python3"), { recursive: true });
    writeFileSync(join(folder, "python3", "kernel.json"), '{"argv": ["python"]}');
    expect(() => writeKernelspec(folder, { ...options, name: "python3" }, "1")).toThrow(/belongs to another kernel/);
    expect(() => removeKernelspec(folder, "python3")).toThrow(/belongs to another kernel/);
    expect(findKernelspecs(folder)).toEqual([]);
    expect(readdirSync(folder)).toEqual(["python3"]);
  });

  test("a name that Jupyter refuses is refused", () => {
    expect(() => writeKernelspec(folder, { ...options, name: "a b" }, "1")).toThrow(/--name: expected letters.*"a b"/);
    expect(() => writeKernelspec(folder, { ...options, name: "../up" }, "1")).toThrow(/--name/);
  });

  test("it is found, and removed once", () => {
    writeKernelspec(folder, options, "1");
    expect(findKernelspecs(folder).map(({ name }) => name)).toEqual(["bunsen"]);
    expect(removeKernelspec(folder, "bunsen")).toBe(true);
    expect(removeKernelspec(folder, "bunsen")).toBe(false);
    expect(findKernelspecs(join(folder, "none"))).toEqual([]);
  });
});

describe("where it goes", () => {
  test.each([
    ["linux", { HOME: "/h" }, "/h/.local/share/jupyter/kernels"],
    ["linux", { HOME: "/h", XDG_DATA_HOME: "/d" }, "/d/jupyter/kernels"],
    ["linux", { HOME: "/h", JUPYTER_DATA_DIR: "/j" }, "/j/kernels"],
    ["darwin", { HOME: "/h" }, "/h/Library/Jupyter/kernels"],
    ["darwin", { HOME: "/h", JUPYTER_PLATFORM_DIRS: "1" }, "/h/Library/Application Support/Jupyter/kernels"],
  ] as const)("--user on %s with %j", (platform, env, expected) => {
    expect(kernelsFolder({ kind: "user" }, env, platform)).toBe(expected);
  });

  test("--prefix, and --sys-prefix of an active environment", () => {
    expect(kernelsFolder({ kind: "prefix", prefix: "/p" }, {}, "linux")).toBe("/p/share/jupyter/kernels");
    expect(kernelsFolder({ kind: "sys-prefix" }, { VIRTUAL_ENV: "/v", PATH: "" }, "linux")).toBe(
      "/v/share/jupyter/kernels",
    );
    expect(kernelsFolder({ kind: "sys-prefix" }, { CONDA_PREFIX: "/c", PATH: "" }, "linux")).toBe(
      "/c/share/jupyter/kernels",
    );
  });

  test("--sys-prefix without one: the environment of the first jupyter or python3 on the path", () => {
    const venv = join(root, "venv");
    mkdirSync(join(venv, "bin"), { recursive: true });
    writeFileSync(join(venv, "pyvenv.cfg"), "");
    symlinkSync("/usr/bin/env", join(venv, "bin", "python3"));
    expect(kernelsFolder({ kind: "sys-prefix" }, { PATH: `/nowhere:${join(venv, "bin")}` }, "linux")).toBe(
      join(venv, "share", "jupyter", "kernels"),
    );
    expect(() => kernelsFolder({ kind: "sys-prefix" }, { PATH: "/nowhere" }, "linux")).toThrow(
      /--sys-prefix: expected an active environment.*--user or --prefix/,
    );
  });

  test("what Jupyter searches, in its order", () => {
    expect(searchedFolders({ JUPYTER_PATH: "/a:/b", HOME: "/h", VIRTUAL_ENV: "/v", PATH: "" }, "linux")).toEqual([
      "/a/kernels",
      "/b/kernels",
      "/h/.local/share/jupyter/kernels",
      "/v/share/jupyter/kernels",
      "/usr/local/share/jupyter/kernels",
      "/usr/share/jupyter/kernels",
    ]);
  });
});

describe("what is typed", () => {
  test("all options, in both spellings", () => {
    const args = ["--prefix=/p", "--name", "ts", "--display-name", "My TS", "--env", "A=1=2", "--env=B="];
    expect(parseInstallArguments("install", args)).toEqual({
      scope: { kind: "prefix", prefix: "/p" },
      name: "ts",
      displayName: "My TS",
      env: { A: "1=2", B: "" },
    });
  });

  test("all mistakes at once", () => {
    expect(() =>
      parseInstallArguments("install", ["--user", "--sys-prefix", "--env", "oops", "--frob", "--name"]),
    ).toThrow(
      /--env: expected KEY=VALUE, got "oops".*unknown option --frob.*--name: expected a value.*one of --user, --sys-prefix and --prefix/,
    );
  });
});

describe("the command line", () => {
  const home = join(root, "home");
  const run = (...args: string[]): { status: number; out: string; err: string } => {
    mkdirSync(home, { recursive: true });
    const { exitCode, stdout, stderr } = Bun.spawnSync(
      [process.execPath, join(project, "kernel", "main.ts"), ...args],
      {
        env: { HOME: home, PATH: "/nowhere" },
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    return { status: exitCode, out: stdout.toString(), err: stderr.toString() };
  };

  test("install, status, uninstall without Python on the path", () => {
    expect(run("status")).toMatchObject({
      status: 1,
      out: expect.stringMatching(/not installed: bunsen-kernel install --user/),
    });
    expect(run("install", "--user")).toMatchObject({
      status: 0,
      out: expect.stringMatching(/installed bunsen \(TypeScript \(Bunsen\)\) in .*home/),
    });
    expect(run("status").out).toMatch(
      /bunsen \(TypeScript \(Bunsen\)\): .*\.local\/share\/jupyter\/kernels\/bunsen: version/,
    );
    expect(run("uninstall", "--user")).toMatchObject({ status: 0 });
    expect(run("uninstall", "--user")).toMatchObject({ status: 1, out: expect.stringMatching(/not installed/) });
  });

  test("a kernelspec in an environment names it, so that native libraries there are found; --env has the last word", () => {
    const prefix = join(root, "environment");
    const spec = (): { env: Record<string, string> } =>
      JSON.parse(readFileSync(join(prefix, "share/jupyter/kernels/bunsen/kernel.json"), "utf8"));
    expect(run("install", "--prefix", prefix).status).toBe(0);
    expect(spec().env).toEqual({ ...smallKernel, BUNSEN_PREFIX: prefix });
    expect(run("install", "--prefix", prefix, "--env", "BUNSEN_PREFIX=/other").status).toBe(0);
    expect(spec().env).toEqual({ ...smallKernel, BUNSEN_PREFIX: "/other" });
  });

  test("mistakes: one line, a status that is not 0, a stack only with --debug", () => {
    for (const [args, message] of [
      [["frob"], /expected run, install, uninstall or status, got "frob"/],
      [["run"], /expected the path of a connection file/],
      [["run", "/nowhere/c.json"], /connection file \/nowhere\/c\.json: no such file/],
      [["run", "x", "--log-level", "loud"], /--log-level: expected debug, info, warn, error, got "loud"/],
      [["install", "--sys-prefix"], /expected an active environment/],
      [["install", "--nope"], /unknown option --nope/],
    ] as const) {
      const { status, err } = run(...args);
      expect(err).toMatch(message);
      expect([status > 0, err.trim().split("\n").length]).toEqual([true, 1]);
      expect(run(...args, "--debug").err).toMatch(/\n\s+at /);
    }
  });

  test("a folder that cannot be written", () => {
    const closed = join(root, "closed");
    mkdirSync(closed, { mode: 0o500 });
    if (process.getuid?.() === 0) return; // root may write everywhere
    const { status, err } = run("install", "--prefix", closed);
    chmodSync(closed, 0o700);
    expect([status, err.trim().split("\n").length]).toEqual([1, 1]);
  });
});
