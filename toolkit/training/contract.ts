// Events of a training run: what `train()` yields, and what the run log, the notebook's live plot and the command
// line render. Types only.

export type TrainEvent =
  | {
      readonly type: "start";
      readonly run: string;
      readonly totalSteps: number;
      /** Steps that a checkpoint holds already; 0 for a run that begins. */
      readonly fromStep: number;
      readonly trainableParameters: number;
      readonly estimate: { readonly memoryMiB: number; readonly seconds: number };
    }
  | {
      readonly type: "step";
      readonly stage: string;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss: number;
      /** Named parts of the loss (`lm`, `logits`, `hidden`). */
      readonly parts: Readonly<Record<string, number>>;
      readonly learningRates: Readonly<Record<string, number>>;
      readonly stepMs: number;
      /** Time that the step waited for its batch. */
      readonly waitMs: number;
      /** Share of padding among the input positions computed, prompt rows not counted; 0..1. */
      readonly padding?: number;
      /** Passes that the step's rows were cut into. */
      readonly subBatches?: number;
    }
  | {
      readonly type: "evaluation";
      readonly stage: string;
      readonly step: number;
      readonly task: string;
      readonly split: string;
      readonly metrics: Readonly<Record<string, number>>;
    }
  | { readonly type: "checkpoint"; readonly step: number; readonly path: string; readonly best: boolean }
  | { readonly type: "warning"; readonly message: string }
  | {
      readonly type: "done";
      readonly run: string;
      readonly steps: number;
      readonly seconds: number;
      readonly metrics: Readonly<Record<string, number>>;
    };
