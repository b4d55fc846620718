// What a prompt method is: how its parameters are sized, initialised, trained, counted and saved, and how they fill
// a model's ports. Types only. The table of methods is methods.ts; one file per method; nothing else names a method.
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Backbone, BackboneShape, Ports } from "#toolkit/models/contract.ts";
import type { TensorTree } from "#toolkit/tensor/contract.ts";
import type { Fields } from "./options.ts";

/** Flat parameters by name; names are those of the checkpoint file (PEFT's where PEFT has the method). */
export type Parameters = Readonly<Record<string, Tensor>>;

/** What the ports of one forward pass may depend on. */
export interface PortContext {
  readonly backbone: Backbone;
  /** [B] int32: which task each row belongs to. */
  readonly taskIds: Tensor;
  /** [B, T, H] token embeddings of the input, before anything is put in front (ATTEMPT, SMoP route by them). */
  readonly inputEmbeddings: Tensor;
  /** [B, T] */
  readonly attentionMask: Tensor;
  readonly training: boolean;
  /** [2] int32: randomness of this step (routing noise, dropout); absent in evaluation. */
  readonly key?: Tensor;
}

/** A trained prompt (or other parameters) that a method starts from: what a source stage leaves behind. */
export interface SourceState {
  readonly method: string;
  readonly tasks: readonly string[];
  readonly parameters: Parameters;
}

/** A `SourceState` by its shapes alone, as the headers of a run's files tell them before anything is loaded. */
export interface SourceShape {
  readonly method: string;
  readonly tasks: readonly string[];
  readonly parameters: Readonly<Record<string, { readonly shape: readonly number[] }>>;
}

/** What a start from sources is checked against. */
export interface SourceContext {
  readonly backbone: Pick<BackboneShape, "hiddenSize">;
  readonly tasks: readonly string[];
  readonly sources?: readonly SourceShape[];
}

/** What options are checked against; the shapes of weights where they are known. */
export type BackboneSizes = Pick<BackboneShape, "hiddenSize" | "numEncoderLayers" | "numDecoderLayers" | "vocabSize"> &
  Partial<Pick<BackboneShape, "weights">>;

export interface InitContext {
  readonly backbone: Backbone;
  readonly numTasks: number;
  readonly seed: number;
  /** Names of the tasks, in order of task id. */
  readonly tasks: readonly string[];
  /** Token ids of the text initialisation, of the class labels. The caller tokenises: methods know no tokenizer. */
  readonly textIds?: readonly number[];
  readonly labelIds?: readonly (readonly number[])[];
  readonly sources?: readonly SourceState[];
}

export interface Method<Options extends object = Record<string, unknown>> {
  readonly name: string;
  readonly title: string;
  /** Paper and section, public code, or this project's own reading. */
  readonly source: string;
  /** The `peft_type` of adapter files that this method reads, where PEFT has the method. */
  readonly peftType?: string;
  readonly defaults: Options;
  /** Its options as data: kind, range and meaning of each. They are checked with these, before any model is there. */
  readonly fields: Fields<Options>;
  /**
   * What must hold besides each option's own range: between options (always), and against the backbone (where one is
   * given). Each problem begins with the option's name and says what is allowed.
   */
  check?(options: Options, backbone: BackboneSizes | null): string[];
  /** True: a start without sources is impossible. */
  readonly needsSources?: true;
  /** What of the sources does not fit these options and this backbone, by shapes; `init` refuses the same. */
  checkSources?(options: Options, context: SourceContext): string[];
  init(options: Options, context: InitContext): Parameters;
  /** Learning-rate group of a parameter (`shared`, `task`, …), or null where it stays frozen. */
  group(name: string, options: Options): string | null;
  /** The paper's learning rate of each group. */
  readonly learningRates: Readonly<Record<string, number>>;
  /** Fills the model's ports; differentiable in `parameters`. */
  ports(parameters: Parameters, options: Options, context: PortContext): Ports;
  /** An extra term of the loss (load balance, a prior), or undefined. */
  regularizer?(parameters: Parameters, options: Options, context: PortContext): Tensor | undefined;
  /** Trainable parameters per task, as the paper counts them. */
  countParameters(options: Options, backbone: Backbone, tasks: number): number;
  /**
   * The folder to save: adapter_config.json and the tensors of adapter_model.safetensors. With the backbone, the config
   * also repeats the sizes that PEFT reads from it.
   */
  toFile(
    parameters: Parameters,
    options: Options,
    backbone?: Backbone,
  ): { readonly config: Record<string, unknown>; readonly tensors: Parameters };
  /**
   * What of loaded parameters does not fit a backbone, each with what was expected; empty when all fits. Without it the
   * one check is that `prompt_embeddings` is as wide as the backbone.
   */
  fits?(parameters: Parameters, options: Options, backbone: Backbone): string[];
  /**
   * This method's tensor for a parameter of PEFT's module, where the names do not follow the common rule
   * (`prompt_encoder.default.embedding.weight` is `prompt_embeddings`, `.default` is dropped elsewhere).
   */
  peftParameter?(name: string): string;
  /** @throws Error naming what is missing or of another shape. */
  fromFile(
    config: Record<string, unknown>,
    tensors: Parameters,
  ): { readonly options: Options; readonly parameters: Parameters };
}

export type { TensorTree };
