// One training or evaluation batch, as plain typed arrays: what `batches/` yields and `training/` turns into tensors.

export interface Batch {
  /** Row-major [B, T]; 0 is padding. */
  readonly inputIds: Int32Array;
  /** [B, T], 1 for real tokens. */
  readonly attentionMask: Int32Array;
  /** [B, L]; −100 is ignored by the loss. */
  readonly labels: Int32Array;
  /** [B]: index of each row's task in the mixture; 0 for a single task. */
  readonly taskIds: Int32Array;
  /** [B]: index of each row in its dataset's split, so that predictions find their example. */
  readonly rows: Int32Array;
  readonly batchSize: number;
  readonly inputLength: number;
  readonly labelLength: number;
}
