// One training step as pure functions of tensors: (state, batch, key, rates) → (state, numbers). Nothing is read, saved
// or logged here, and no method, optimiser or engine is named. The loop (loop.ts) calls what `createStep` compiles.
import type { Batch } from "#toolkit/batches/contract.ts";
import type { Method, Parameters, PortContext } from "#toolkit/methods/contract.ts";
import { distillationLosses, teacherPorts } from "#toolkit/methods/distillation.ts";
import type { Ports } from "#toolkit/models/contract.ts";
import { forward, type T5Model } from "#toolkit/models/t5/index.ts";
import { clipByGlobalNorm, globalNorm, type Named, type Optimizer, type OptimizerState } from "#toolkit/nn/index.ts";
import {
  type Compiled,
  type CompileStats,
  compile,
  disposeTree,
  keepTree,
  type Precision,
  type TensorTree,
  tf,
  valueAndGrads,
} from "#toolkit/tensor/index.ts";

/** A batch as tensors. */
export type BatchTensors = {
  /** [B, T] int32 */
  readonly inputIds: tf.Tensor;
  /** [B, T] int32 */
  readonly attentionMask: tf.Tensor;
  /** [B, L] int32, −100 where ignored */
  readonly labels: tf.Tensor;
  /** [B] int32 */
  readonly taskIds: tf.Tensor;
};

/** What a step changes. */
export type TrainState = {
  readonly parameters: Named;
  readonly optimizer: OptimizerState;
};

/** The numbers of a step: `loss`, `norm` (of the gradient, before clipping) and the parts of the loss. */
export type StepNumbers = Readonly<Record<string, tf.Tensor>>;

export interface TeacherForcing {
  /** λ of L_PLM + λ (L_logits + L_hidden). */
  readonly weight: number;
  readonly temperature: number;
  readonly logits: number;
  readonly hidden: number;
  readonly hiddenLayers: "last" | "all";
  /** One prompt for each task, [K, P, H]: the teachers' encoder prompts. */
  readonly prompts: tf.Tensor;
}

export interface StepSetup {
  readonly model: T5Model;
  readonly method: Method;
  readonly options: Record<string, unknown>;
  /** Parameters of the method that do not train (group null). */
  readonly frozen: Parameters;
  readonly optimizer: Optimizer;
  /** 0 does not clip. */
  readonly clipNorm: number;
  /** Names of the learning-rate groups, in the order of the rates given to each step. */
  readonly groups: readonly string[];
  readonly precision: Precision;
  readonly teachers?: TeacherForcing;
}

/** Typed arrays → tensors of the engine in use. */
export function toTensors(batch: Batch): BatchTensors {
  const { batchSize, inputLength, labelLength } = batch;
  return {
    inputIds: tf.tensor2d(batch.inputIds, [batchSize, inputLength], "int32"),
    attentionMask: tf.tensor2d(batch.attentionMask, [batchSize, inputLength], "int32"),
    labels: tf.tensor2d(batch.labels, [batchSize, labelLength], "int32"),
    taskIds: tf.tensor1d(batch.taskIds, "int32"),
  };
}

/**
 * Compiled pieces of a step: the gradients of its parts, their sum, one update. The update is a program of its own, so
 * that it is compiled once for all input lengths and while the gradients' first program is; few parameters need none.
 */
export interface Step {
  /** Gradients of one part of a step. `shares` [3]: its shares of the step's rows, label tokens and encoder positions. */
  gradients(
    parameters: Named,
    batch: BatchTensors,
    key: tf.Tensor,
    shares: tf.Tensor,
  ): Promise<{ gradients: Named; numbers: StepNumbers }>;
  /** Adds two trees; the first one is consumed. */
  add<T extends TensorTree>(sum: T, part: T): Promise<T>;
  /** One update from summed gradients; consumes the state. */
  update(state: TrainState, gradients: Named, rates: tf.Tensor): Promise<{ state: TrainState; numbers: StepNumbers }>;
  /** Of the three programs. */
  readonly stats: { readonly gradients: CompileStats; readonly add: CompileStats; readonly update: CompileStats };
  dispose(): void;
}

/** Builds and compiles the step of a run. */
export function createStep(setup: StepSetup): Step {
  const { model, method, options, frozen, optimizer, clipNorm, groups, precision, teachers } = setup;

  const context = (batch: BatchTensors, inputEmbeddings: tf.Tensor, key: tf.Tensor): PortContext => ({
    backbone: model.backbone,
    taskIds: batch.taskIds,
    inputEmbeddings,
    attentionMask: batch.attentionMask,
    training: true,
    key,
  });

  const lossAndGradients = (
    parameters: Named,
    batch: BatchTensors,
    key: tf.Tensor,
    shares: tf.Tensor,
  ): { gradients: Named; numbers: Record<string, tf.Tensor> } => {
    // Every term is a mean: over rows, label tokens or encoder positions. Weighted by a part's share of just those, the
    // parts add up to the mean over the whole step, however it was cut.
    const [byRow, byToken, byPosition] = tf.unstack(shares) as [tf.Tensor, tf.Tensor, tf.Tensor];
    // Outside the tape: no gradient is kept for the teachers, and they see no dropout.
    const taught =
      teachers === undefined || teachers.weight === 0
        ? undefined
        : forward(model, {
            inputIds: batch.inputIds,
            attentionMask: batch.attentionMask,
            labels: batch.labels,
            ports: teacherPorts(teachers.prompts, batch.taskIds),
          });
    const { value, grads, aux } = valueAndGrads((trainable: Named) => {
      const all = { ...frozen, ...trainable };
      let seen: PortContext | undefined;
      const out = forward(model, {
        inputIds: batch.inputIds,
        attentionMask: batch.attentionMask,
        labels: batch.labels,
        key,
        ports: (inputEmbeddings): Ports => {
          seen = context(batch, inputEmbeddings, key);
          return method.ports(all, options, seen);
        },
      });
      const lm = tf.mul(out.loss, byToken);
      const parts: Record<string, tf.Tensor> = { lm };
      let total: tf.Tensor = lm;
      if (taught !== undefined && teachers !== undefined) {
        const terms = distillationLosses(taught, out, batch.labels, {
          temperature: teachers.temperature,
          layers: teachers.hiddenLayers,
        });
        parts.logits = tf.mul(terms.logits, byToken);
        parts.hidden = tf.add(tf.mul(terms.encoder, byPosition), tf.mul(terms.decoder, byToken));
        const distilled = tf.add(tf.mul(parts.logits, teachers.logits), tf.mul(parts.hidden, teachers.hidden));
        total = tf.add(total, tf.mul(distilled, teachers.weight));
      }
      const extra = method.regularizer?.(all, options, seen!);
      if (extra !== undefined) {
        parts.regularizer = tf.mul(extra, byRow);
        total = tf.add(total, parts.regularizer);
      }
      return [total as tf.Scalar, parts as TensorTree] as const;
    }, parameters);
    return { gradients: grads as Named, numbers: { loss: value, ...(aux as Record<string, tf.Tensor>) } };
  };

  const apply = (state: TrainState, gradients: Named, rates: tf.Tensor): { state: TrainState; norm: tf.Tensor } => {
    const clipped = clipNorm > 0 ? clipByGlobalNorm(gradients, clipNorm) : { gradients, norm: globalNorm(gradients) };
    const byGroup = tf.unstack(rates);
    const rateOf = (name: string): tf.Tensor => {
      const group = method.group(name, options);
      const index = groups.indexOf(group ?? "");
      if (index < 0) throw new Error(`parameter ${name} is of group ${group}; expected one of ${groups.join(", ")}`);
      return byGroup[index]!;
    };
    const updated = optimizer.update(clipped.gradients, state.optimizer, state.parameters, rateOf);
    return { state: { parameters: updated.parameters, optimizer: updated.state }, norm: clipped.norm };
  };

  const named = (name: string): { name: string; precision: Precision } => ({
    name: `${method.name} ${name}`,
    precision,
  });
  type PartResult = { gradients: Named; numbers: StepNumbers };
  const part: Compiled<[Named, BatchTensors, tf.Tensor, tf.Tensor], PartResult> = compile(
    (parameters: Named, batch: BatchTensors, key: tf.Tensor, shares: tf.Tensor): PartResult =>
      lossAndGradients(parameters, batch, key, shares),
    named("gradients"),
  );
  type Updated = { state: TrainState; numbers: StepNumbers };
  const update: Compiled<[TrainState, Named, tf.Tensor], Updated> = compile(
    (state: TrainState, gradients: Named, rates: tf.Tensor): Updated => {
      const next = apply(state, gradients, rates);
      return { state: next.state, numbers: { norm: next.norm } };
    },
    { ...named("update"), donate: [0], small: ([state]) => isFew((state as TrainState).parameters) },
  );
  const sum: Compiled<[Named, Named], Named> = compile(
    (a: Named, b: Named): Named =>
      Object.fromEntries(Object.entries(a).map(([name, tensor]) => [name, tf.add(tensor, b[name]!)])),
    { ...named("sum"), donate: [0], small: ([a]) => isFew(a as Named) },
  );

  let preparing: Promise<void> | undefined;
  /** Compiles the update while the first gradients are; where that fails, the update itself will say so. */
  const prepareUpdate = async (parameters: Named): Promise<void> => {
    if (numbersIn(parameters) > smallUpdate) return;
    // After the gradients' call is under way: tracing would hold it up.
    await new Promise(setImmediate);
    const made = tf.tidy(() =>
      keepTree({
        state: optimizer.init(parameters),
        gradients: Object.fromEntries(Object.entries(parameters).map(([name, x]) => [name, tf.zerosLike(x)])),
        rates: tf.zeros([groups.length]),
      }),
    );
    try {
      await update.prepare({ parameters, optimizer: made.state }, made.gradients, made.rates);
    } finally {
      disposeTree(made as TensorTree);
    }
  };

  return {
    gradients: (parameters, batch, key, shares) => {
      const result = part(parameters, batch, key, shares);
      preparing ??= prepareUpdate(parameters).catch(() => undefined);
      return result;
    },
    add: sum as Step["add"],
    async update(state, gradients, rates) {
      await preparing;
      return update(state, gradients, rates);
    },
    get stats() {
      return { gradients: part.stats, add: sum.stats, update: update.stats };
    },
    dispose: () => {
      for (const compiled of [part, update, sum]) compiled.dispose();
    },
  };
}

/**
 * A prompt and its like, a handful of tensors: native ops one by one take a millisecond and no compilation. More tensors
 * take longer so, and what is as large as a model is written to memory once for each op.
 */
const isFew = (parameters: Named): boolean =>
  Object.keys(parameters).length <= 16 && numbersIn(parameters) <= smallUpdate;

const numbersIn = (parameters: Named): number => Object.values(parameters).reduce((sum, { size }) => sum + size, 0);

/** Parameters of an update that may be computed once for nothing: a prompt, not a whole model. */
const smallUpdate = 2 ** 22;

/** One step on a batch that is not cut. Consumes the state. */
export async function takeStep(
  step: Step,
  state: TrainState,
  batch: BatchTensors,
  key: tf.Tensor,
  rates: tf.Tensor,
): Promise<{ state: TrainState; numbers: StepNumbers }> {
  const shares = tf.ones([3]);
  const out = await step.gradients(state.parameters, batch, key, shares);
  shares.dispose();
  const updated = await step.update(state, out.gradients, rates);
  disposeTree(out.gradients);
  return { state: updated.state, numbers: { ...out.numbers, ...updated.numbers } };
}

/** What the terms of a part's loss are means over: its rows, label tokens and encoder positions, the prompt's included. */
function weightsOf(batch: Batch, promptLength: number): readonly [number, number, number] {
  let tokens = 0;
  for (const label of batch.labels) if (label >= 0) tokens++;
  let positions = batch.batchSize * promptLength;
  for (const bit of batch.attentionMask) positions += bit;
  return [batch.batchSize, tokens, positions];
}

/**
 * One optimiser step over the parts of a batch. Consumes the state.
 * @param promptLength prompt rows that distillation compares; 0 without teachers
 */
export async function runStep(
  step: Step,
  state: TrainState,
  parts: readonly Batch[],
  key: (part: number) => tf.Tensor,
  rates: tf.Tensor,
  promptLength: number = 0,
): Promise<{ state: TrainState; numbers: StepNumbers }> {
  if (parts.length === 1) {
    const batch = toTensors(parts[0]!);
    const partKey = key(0);
    try {
      return await takeStep(step, state, batch, partKey, rates);
    } finally {
      disposeTree([...Object.values(batch), partKey]);
    }
  }
  const weights = parts.map((part) => weightsOf(part, promptLength));
  const totals = [0, 1, 2].map((term) => weights.reduce((sum, weight) => sum + weight[term as 0 | 1 | 2], 0));
  let gradients: Named | undefined;
  let numbers: Named | undefined;
  for (const [index, part] of parts.entries()) {
    const batch = toTensors(part);
    const shares = tf.tensor1d(weights[index]!.map((weight, term) => weight / Math.max(1, totals[term]!)));
    const partKey = key(index);
    const out = await step.gradients(state.parameters, batch, partKey, shares);
    disposeTree([...Object.values(batch), shares, partKey]);
    if (gradients === undefined || numbers === undefined) {
      gradients = out.gradients;
      numbers = out.numbers;
      continue;
    }
    gradients = await step.add(gradients, out.gradients);
    numbers = await step.add(numbers, out.numbers);
    disposeTree([out.gradients, out.numbers]);
  }
  const updated = await step.update(state, gradients!, rates);
  disposeTree(gradients!);
  return { state: updated.state, numbers: { ...numbers!, ...updated.numbers } };
}
