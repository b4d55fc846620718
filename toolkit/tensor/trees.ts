// Trees of tensors: nested arrays and objects whose leaves are tensors (parameters, optimiser states, batches).
// Plain functions over them. Not a class hierarchy, and not a pytree registry: only arrays and plain objects nest.
import * as tf from "@tensorflow/tfjs-core";
import type { TensorTree } from "./contract.ts";

const isTensor = (tree: TensorTree): tree is tf.Tensor => tree instanceof tf.Tensor;

/** The tree with `fn` applied to each leaf; `path` is dotted (`adam.0.mean`). Objects keep their key order. */
export function treeMap<T extends TensorTree>(tree: T, fn: (leaf: tf.Tensor, path: string) => tf.Tensor): T {
  const walk = (node: TensorTree, path: string): TensorTree => {
    if (isTensor(node)) return fn(node, path);
    const at = (name: string | number): string => (path ? `${path}.${name}` : String(name));
    if (Array.isArray(node)) return node.map((child: TensorTree, index) => walk(child, at(index)));
    if (node === null || typeof node !== "object") {
      throw new TypeError(
        `a tensor tree holds ${JSON.stringify(node) ?? String(node)} at "${path}"; expected a tensor, an array or an object of them`,
      );
    }
    const out: Record<string, TensorTree> = {};
    for (const [name, child] of Object.entries(node as Record<string, TensorTree>)) out[name] = walk(child, at(name));
    return out;
  };
  return walk(tree, "") as T;
}

/** The leaves in the order that `treeMap` visits them. */
export function treeLeaves(tree: TensorTree): tf.Tensor[] {
  const leaves: tf.Tensor[] = [];
  treeMap(tree, (leaf) => {
    leaves.push(leaf);
    return leaf;
  });
  return leaves;
}

/** A tree of the same structure with these leaves. @throws RangeError when their number differs. */
export function treeWithLeaves<T extends TensorTree>(tree: T, leaves: readonly tf.Tensor[]): T {
  let next = 0;
  const out = treeMap(tree, () => {
    const leaf = leaves[next++];
    if (leaf === undefined) throw new RangeError(`the tree has more leaves than the ${leaves.length} given`);
    return leaf;
  });
  if (next !== leaves.length) throw new RangeError(`the tree has ${next} leaves, ${leaves.length} were given`);
  return out;
}

/** Structure, dtypes and shapes as one string: equal strings, equal executables. */
export function treeSignature(tree: TensorTree): string {
  if (isTensor(tree)) return `${tree.dtype}[${tree.shape.join(",")}]`;
  if (Array.isArray(tree)) return `(${tree.map((child: TensorTree) => treeSignature(child)).join(";")})`;
  const children = Object.entries(tree as Record<string, TensorTree>);
  return `{${children.map(([name, child]) => `${JSON.stringify(name)}:${treeSignature(child)}`).join(";")}}`;
}

/** Frees every leaf that is still alive. Leaves that appear twice are freed once. */
export function disposeTree(tree: TensorTree): void {
  for (const leaf of treeLeaves(tree)) if (!leaf.isDisposed) leaf.dispose();
}

/** Protects every leaf from the surrounding `tf.tidy`. */
export function keepTree<T extends TensorTree>(tree: T): T {
  for (const leaf of treeLeaves(tree)) tf.keep(leaf);
  return tree;
}

/** Values of every leaf, read together. */
export async function readTree(tree: TensorTree): Promise<(Float32Array | Int32Array | Uint8Array)[]> {
  return Promise.all(treeLeaves(tree).map((leaf) => leaf.data()));
}
