// What the environment says about hub and caches, read once per call and turned into plain values. Nothing is created here.
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

export interface Environment {
  /** Hub address without a slash at the end. */
  readonly endpoint: string;
  readonly token: string | null;
  /** The Hugging Face cache shared with Python (`models--…`, `datasets--…`). */
  readonly hubCache: string;
  /** Bunsen's own cache: Arrow tables, token ids. */
  readonly cache: string;
  readonly offline: boolean;
  /** Pins of the hub's files. */
  readonly lockFile: string;
}

type Variables = Readonly<Record<string, string | undefined>>;

const hub = "https://huggingface.co";

/**
 * BUNSEN_HUB, HF_ENDPOINT · HF_TOKEN, HF_TOKEN_PATH, HF_HOME/token · HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME ·
 * BUNSEN_CACHE · BUNSEN_OFFLINE, HF_HUB_OFFLINE · BUNSEN_LOCK. The names and defaults of HF_* are Python's.
 */
export function readEnvironment(variables: Variables = process.env): Environment {
  const value = (name: string): string | undefined => variables[name]?.trim() || undefined;
  const caches = value("XDG_CACHE_HOME") ?? join(value("HOME") ?? homedir(), ".cache");
  const hubHome = expand(value("HF_HOME") ?? join(caches, "huggingface"));
  const endpoint = (value("BUNSEN_HUB") ?? value("HF_ENDPOINT") ?? hub).replace(/\/+$/, "");
  return {
    endpoint,
    token: value("HF_TOKEN") ?? tokenFile(expand(value("HF_TOKEN_PATH") ?? join(hubHome, "token"))),
    hubCache: expand(value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE") ?? join(hubHome, "hub")),
    cache: expand(value("BUNSEN_CACHE") ?? join(caches, "bunsen")),
    offline: isOn(value("BUNSEN_OFFLINE")) || isOn(value("HF_HUB_OFFLINE")),
    lockFile: expand(value("BUNSEN_LOCK") ?? resolve(import.meta.dirname, "../../datasets/lock.json")),
  };
}

function expand(path: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(2)) : resolve(path);
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && ["1", "ON", "YES", "TRUE"].includes(value.toUpperCase());
}

function tokenFile(path: string): string | null {
  if (!existsSync(path)) return null;
  return readFileSync(path, "utf8").trim() || null;
}
