// One training or evaluation batch, as plain typed arrays: what `batches/` yields and `training/` turns into tensors.
// Types only; how they are made is in buckets.ts, mixture.ts and collate.ts.

export interface Batch {
  /** Row-major [B, T]; 0 is padding. */
  readonly inputIds: Int32Array;
  /** [B, T], 1 for real tokens. */
  readonly attentionMask: Int32Array;
  /** [B, L]; −100 is ignored by the loss. */
  readonly labels: Int32Array;
  /** [B]: index of each row's task in the mixture; 0 for a single task. */
  readonly taskIds: Int32Array;
  /** [B]: index of each row's example in its `EncodedDataset` (in evaluation: of the row in its split), so that predictions find their example. */
  readonly rows: Int32Array;
  readonly batchSize: number;
  readonly inputLength: number;
  readonly labelLength: number;
}

/** All rows of one optimiser update. Losses and gradients of the parts are summed, weighted by what they are means over (rows, label tokens): one update. */
export interface StepBatch {
  /** Update number, from 0. */
  readonly step: number;
  /** One sub-batch per input length; their batchSize adds up to `examples`. */
  readonly parts: readonly Batch[];
  readonly examples: number;
  /** Milliseconds that the consumer waited for this batch. */
  readonly waitMs: number;
  /** True where the batch was made ahead, on the worker. */
  readonly prefetched?: boolean;
}
