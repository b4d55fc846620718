// install, uninstall and status as a user types them: options in, lines out. The work is in kernelspec.ts and paths.ts.

import bunsen from "bunsen/package.json" with { type: "json" };
import { findKernelspecs, missingFiles, projectFolder, removeKernelspec, writeKernelspec } from "./kernelspec.ts";
import { kernelsFolder, prefixOf, type Scope, searchedFolders } from "./paths.ts";

/** What was typed makes no sense: every mistake at once. */
export class InstallUsageError extends Error {
  override readonly name: string = "InstallUsageError";
}

export interface InstallArguments {
  readonly scope: Scope;
  readonly name: string;
  readonly displayName: string;
  readonly env: Readonly<Record<string, string>>;
}

/** @returns the exit status. @throws InstallUsageError, KernelspecError, ScopeError: messages for the user. */
export function installCommand(
  command: "install" | "uninstall" | "status",
  args: readonly string[],
  print: (line: string) => void,
): number {
  const env = process.env;
  if (command === "status") {
    if (args.length > 0) throw new InstallUsageError(`status: expected no options, got ${args.join(" ")}`);
    print(`bunsen ${bunsen.version} at ${projectFolder}, Bun ${Bun.version}`);
    let found = 0;
    for (const folder of searchedFolders(env, process.platform)) {
      for (const { name, folder: place, spec } of findKernelspecs(folder)) {
        found++;
        const missing = missingFiles(spec);
        const { version, home } = spec.metadata.bunsen;
        const state =
          missing.length > 0
            ? `broken: ${missing.join(", ")} is missing; install again`
            : `version ${version} of ${home}`;
        print(`${name} (${spec.display_name}): ${place}: ${state}`);
      }
    }
    if (found === 0) print("not installed: bunsen-kernel install --user");
    return found === 0 ? 1 : 0;
  }

  const { scope, name, displayName, env: kernelEnv } = parseInstallArguments(command, args);
  const folder = kernelsFolder(scope, env, process.platform);
  if (command === "install") {
    // Where native libraries that cells use may lie; a value that the user gave with --env wins.
    const prefix = prefixOf(scope, env, process.platform);
    const specEnv = { ...(prefix === null ? {} : { BUNSEN_PREFIX: prefix }), ...kernelEnv };
    const place = writeKernelspec(folder, { name, displayName, env: specEnv }, bunsen.version);
    print(`installed ${name} (${displayName}) in ${place}`);
    return 0;
  }
  if (removeKernelspec(folder, name)) {
    print(`removed ${name} from ${folder}`);
    return 0;
  }
  print(`${name} is not installed in ${folder}; bunsen-kernel status shows where it is`);
  return 1;
}

/** @throws InstallUsageError naming every mistake. */
export function parseInstallArguments(command: "install" | "uninstall", args: readonly string[]): InstallArguments {
  const mistakes: string[] = [];
  const scopes: Scope[] = [];
  let name = "bunsen";
  let displayName = "TypeScript (Bunsen)";
  const env: Record<string, string> = {};
  for (let i = 0; i < args.length; i++) {
    const [option, attached] = args[i]!.split(/=(.*)/s, 2) as [string, string | undefined];
    const value = (): string => {
      const given = attached ?? args[++i];
      if (given === undefined) mistakes.push(`${option}: expected a value, got nothing`);
      return given ?? "";
    };
    if (option === "--user") scopes.push({ kind: "user" });
    else if (option === "--sys-prefix") scopes.push({ kind: "sys-prefix" });
    else if (option === "--prefix") scopes.push({ kind: "prefix", prefix: value() });
    else if (option === "--name") name = value();
    else if (option === "--display-name" && command === "install") displayName = value();
    else if (option === "--env" && command === "install") {
      const pair = value();
      const at = pair.indexOf("=");
      if (at > 0) env[pair.slice(0, at)] = pair.slice(at + 1);
      else mistakes.push(`--env: expected KEY=VALUE, got ${JSON.stringify(pair)}`);
    } else mistakes.push(`unknown option ${args[i]}`);
  }
  if (scopes.length > 1) mistakes.push("expected one of --user, --sys-prefix and --prefix, got several");
  if (mistakes.length > 0) throw new InstallUsageError(`${command}: ${mistakes.join("; ")}; see --help`);
  return { scope: scopes[0] ?? { kind: "user" }, name, displayName, env };
}
