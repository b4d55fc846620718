// `bunsen parity DIR`: runs this implementation on the inputs of a reference run and compares every number the run
// recorded. For users who want to know whether their own checkpoint means the same here. One JSON line a tensor.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Adapter, fillPorts, loadAdapter, type Parameters } from "#toolkit/methods/index.ts";
import { createGenerator, type Forward, forward, loadT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { parseEngineChoice, tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { openSafetensors, openWeights, readJsonObject, toTensor, WeightsError } from "#toolkit/weights/index.ts";
import { type Command, type Terminal, UsageError } from "./contract.ts";

const usage = `usage: bunsen parity DIR [--base MODEL_DIR] [--tolerance 1e-4] [--engine auto|cuda|cpu|wasm]

DIR holds a reference run:
  io.safetensors                input_ids, attention_mask, labels, optionally task_ids (inputs);
                                loss, logits, encoder_last, decoder_last, encoder_hidden.N, decoder_hidden.N,
                                generated (greedy ids), grad.<parameter> (references, whichever are there)
  and either                    config.json and model.safetensors
  or a PEFT adapter             adapter_config.json and adapter_model.safetensors, with --base MODEL_DIR
Prints one JSON line per reference: name, maxAbsolute, maxRelative (max|a-b| / max|b|), tolerance, pass. A gradient
of a tensor that the adapter file does not hold prints "absent" and does not fail. Exit status 1 if any line fails.

Without --engine (or BUNSEN_ENGINE) weights of up to 1 GiB run on wasm, whose results are the same on every machine.

example: bunsen parity runs/reference --base models/t5-base`;

/** Above it wasm, which has 4 GiB in all, is no choice. */
const wasmLimit = 2 ** 30;

interface Line {
  readonly name: string;
  readonly maxAbsolute?: number;
  readonly maxRelative?: number;
  readonly tolerance?: number;
  /** absent, unknown: not compared. shape: ours has another one. */
  readonly status?: "absent" | "unknown" | "shape";
  readonly expected?: readonly number[];
  readonly actual?: readonly number[];
  readonly pass: boolean;
}

interface Subject {
  readonly model: T5Model;
  readonly adapter: Adapter | undefined;
}

/** The command as a function: prints to standard output. @returns the exit status */
export function parity(args: readonly string[]): Promise<number> {
  return run(args, {
    out: (text) => process.stdout.write(`${text}\n`),
    err: (text) => process.stderr.write(`${text}\n`),
    interactive: false,
  });
}

export const command: Command = { summary: "compare with a reference run", usage, run };

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parse(args);
  const [folder, ...others] = positionals;
  if (folder === undefined || others.length > 0) throw new UsageError(`expected one folder\n\n${usage}`);
  const tolerance = Number(values.tolerance ?? "1e-4");
  if (!(tolerance > 0)) throw new UsageError(`--tolerance expected a number above 0, got ${values.tolerance}`);
  if (!existsSync(join(folder, "io.safetensors")))
    throw new WeightsError(`${folder} holds no io.safetensors; see bunsen help parity for what a reference run is`);
  const base = baseFolder(folder, values.base);
  await useEngine(values.engine ? parseEngineChoice(values.engine) : defaultEngine(base));
  const subject = load(folder, base);
  const io = readIo(folder);
  let failed = 0;
  let compared = 0;
  for await (const line of compare(subject, io, tolerance)) {
    terminal.out(JSON.stringify(line));
    if (!line.pass) failed++;
    if (line.status === undefined) compared++;
  }
  if (compared === 0) {
    terminal.err("nothing was compared: io.safetensors holds no reference (loss, logits, …)");
    return 1;
  }
  return failed > 0 ? 1 : 0;
}

function parse(args: readonly string[]): {
  readonly values: { readonly base?: string; readonly tolerance?: string; readonly engine?: string };
  readonly positionals: readonly string[];
} {
  const options = { base: { type: "string" }, tolerance: { type: "string" }, engine: { type: "string" } } as const;
  return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
}

/** The folder of the model: DIR itself, --base, or the adapter's own base_model_name_or_path where that is a folder. */
function baseFolder(folder: string, base: string | undefined): string {
  if (!existsSync(join(folder, "adapter_config.json"))) return base ?? folder;
  if (base !== undefined) return base;
  const { base_model_name_or_path: named } = readJsonObject(join(folder, "adapter_config.json"));
  if (typeof named === "string" && existsSync(named) && statSync(named).isDirectory()) return named;
  throw new UsageError(
    `${folder} holds an adapter of ${JSON.stringify(named)}; say where that model is with --base MODEL_DIR`,
  );
}

function defaultEngine(base: string): "wasm" | undefined {
  if (process.env.BUNSEN_ENGINE) return undefined;
  const source = openWeights(base);
  const bytes = source.names.reduce((sum, name) => {
    const { begin, end } = source.info(name)!;
    return sum + end - begin;
  }, 0);
  return bytes <= wasmLimit ? "wasm" : undefined;
}

function load(folder: string, base: string): Subject {
  const model = loadT5(base);
  const adapter = existsSync(join(folder, "adapter_config.json")) ? loadAdapter(folder, model.backbone) : undefined;
  return { model, adapter };
}

const inputs = ["input_ids", "attention_mask", "labels", "task_ids"] as const;

function readIo(folder: string): Readonly<Record<string, tf.Tensor>> {
  const path = join(folder, "io.safetensors");
  const file = openSafetensors(path);
  const missing = ["input_ids", "labels"].filter((name) => !file.tensors.has(name));
  if (missing.length > 0) throw new WeightsError(`${path} lacks the inputs ${missing.join(" and ")}`);
  const tensors = Object.fromEntries([...file.tensors.keys()].map((name) => [name, toTensor(file.read(name))]));
  const { input_ids: ids, labels } = tensors;
  tensors.attention_mask ??= tf.onesLike(ids!);
  tensors.task_ids ??= tf.zeros([ids!.shape[0]!], "int32");
  if (ids!.rank !== 2 || labels!.rank !== 2 || ids!.shape[0] !== labels!.shape[0])
    throw new WeightsError(
      `${path}: input_ids and labels must be [B, T] and [B, L]; they are [${ids!.shape}] and [${labels!.shape}]`,
    );
  if (tensors.attention_mask!.shape.join() !== ids!.shape.join())
    throw new WeightsError(`${path}: attention_mask is [${tensors.attention_mask!.shape}], input_ids [${ids!.shape}]`);
  return tensors;
}

async function* compare(
  subject: Subject,
  io: Readonly<Record<string, tf.Tensor>>,
  tolerance: number,
): AsyncGenerator<Line> {
  const references = Object.keys(io).filter((name) => !(inputs as readonly string[]).includes(name));
  const wantsGradients = references.some((name) => name.startsWith("grad."));
  const { out, gradients } = outputs(subject, io, wantsGradients);
  for (const name of references) {
    const reference = io[name]!;
    if (name === "generated") {
      yield { name, ...(await compareGenerated(subject, io, reference)) };
      continue;
    }
    if (name.startsWith("grad.")) {
      const ours = gradients[parameterName(name.slice("grad.".length), subject)];
      if (!ours) yield { name, status: "absent", pass: true };
      else yield { name, ...(await difference(withUnusedRows(ours, reference, subject), reference, tolerance)) };
      continue;
    }
    const ours = outputNamed(out, name);
    if (!ours) yield { name, status: "unknown", pass: true };
    else yield { name, ...(await difference(ours, reference, tolerance)) };
  }
}

/** The forward pass, and gradients of whatever the folder holds: an adapter's tensors, else all weights. */
function outputs(
  { model, adapter }: Subject,
  io: Readonly<Record<string, tf.Tensor>>,
  wantsGradients: boolean,
): { readonly out: Forward; readonly gradients: Readonly<Record<string, tf.Tensor>> } {
  const batch = { inputIds: io.input_ids!, attentionMask: io.attention_mask!, labels: io.labels! };
  const context = { backbone: model.backbone, taskIds: io.task_ids!, attentionMask: io.attention_mask! };
  const run = (parameters: Parameters): Forward =>
    forward(model, {
      ...batch,
      ports: adapter
        ? fillPorts(adapter.method, adapter.options, parameters, context)
        : { weight: (name, frozen) => parameters[name] ?? frozen },
    });
  const all = adapter?.parameters ?? Object.fromEntries(model.weights);
  const gradients = wantsGradients
    ? valueAndGrads((parameters: Record<string, tf.Tensor>) => run(parameters).loss, { ...all }).grads
    : {};
  return { out: run(all), gradients };
}

function outputNamed(out: Forward, name: string): tf.Tensor | undefined {
  const [, stack, index] = /^(encoder|decoder)_hidden\.(\d+)$/.exec(name) ?? [];
  if (stack) return (stack === "encoder" ? out.encoder.hiddenStates : out.decoderHiddenStates)[Number(index)];
  const named: Readonly<Record<string, tf.Tensor>> = {
    loss: out.loss,
    logits: out.logits,
    encoder_last: out.encoder.last,
    decoder_last: out.decoderHiddenStates.at(-1)!,
  };
  return Object.hasOwn(named, name) ? named[name] : undefined;
}

/** PEFT's name of a parameter → the tensor's name in the adapter file. */
function parameterName(name: string, { adapter }: Subject): string {
  if (adapter?.method.peftParameter) return adapter.method.peftParameter(name);
  return name
    .replace("prompt_encoder.default.embedding.weight", "prompt_embeddings")
    .replace("prompt_encoder.default.", "")
    .replace(".default.", ".");
}

/**
 * PEFT keeps a second half of a prompt for the decoder that its prompt tuning never uses (two submodules); reading
 * drops it, and its gradient is zero.
 */
function withUnusedRows(ours: tf.Tensor, reference: tf.Tensor, { adapter }: Subject): tf.Tensor {
  const [rows, wanted] = [ours.shape[0], reference.shape[0]];
  const halves = (adapter?.config.num_transformer_submodules ?? 2) === 2 && ours.rank === 2 && wanted === 2 * rows!;
  return halves ? tf.concat([ours, tf.zerosLike(ours)], 0) : ours;
}

async function difference(ours: tf.Tensor, reference: tf.Tensor, tolerance: number): Promise<Omit<Line, "name">> {
  if (ours.shape.join() !== reference.shape.join())
    return { status: "shape", expected: reference.shape, actual: ours.shape, pass: false };
  const [a, b] = await Promise.all([ours.data(), reference.data()]);
  let maxAbsolute = 0;
  let scale = 0;
  for (let i = 0; i < b.length; i++) {
    const distance = Math.abs(a[i]! - b[i]!);
    // A NaN on either side is a difference without bound, never one that compares as small.
    maxAbsolute = distance >= 0 ? Math.max(maxAbsolute, distance) : Number.POSITIVE_INFINITY;
    if (maxAbsolute === Number.POSITIVE_INFINITY) break;
    scale = Math.max(scale, Math.abs(b[i]!));
  }
  const maxRelative = maxAbsolute === 0 ? 0 : maxAbsolute / scale;
  return { maxAbsolute, maxRelative, tolerance, pass: maxRelative <= tolerance };
}

/** Greedy ids must be identical; the reference begins with the start token and is padded. */
async function compareGenerated(
  { model, adapter }: Subject,
  io: Readonly<Record<string, tf.Tensor>>,
  reference: tf.Tensor,
): Promise<Omit<Line, "name">> {
  const [batchSize, width] = reference.shape as [number, number];
  const generator = createGenerator(model, {
    maxNewTokens: Math.max(1, width - 1),
    ports: (parameters: Parameters, batch) =>
      adapter
        ? fillPorts(adapter.method, adapter.options, parameters, { backbone: model.backbone, ...batch })(
            batch.inputEmbeddings,
          )
        : {},
  });
  const data = async (name: (typeof inputs)[number]): Promise<Int32Array> => Int32Array.from(await io[name]!.data());
  const batch = {
    inputIds: await data("input_ids"),
    attentionMask: await data("attention_mask"),
    taskIds: await data("task_ids"),
    batchSize,
    inputLength: io.input_ids!.shape[1]!,
  };
  const rows = await generator.generate(batch, adapter?.parameters ?? {});
  generator.dispose();
  const expected = (await reference.array()) as number[][];
  const { decoderStartTokenId, padTokenId } = model.config;
  const wrong = rows.filter((row, i) => {
    const whole = [decoderStartTokenId, ...row, ...new Array<number>(width).fill(padTokenId)].slice(0, width);
    return whole.join() !== expected[i]!.join();
  }).length;
  return { maxAbsolute: wrong, maxRelative: wrong / batchSize, tolerance: 0, pass: wrong === 0 };
}
