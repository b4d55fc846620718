// Finds sums of matrix products that can be one product: Σᵢ aᵢ·bᵢ = [a₁ a₂ …]·[b₁; b₂; …]. A backward pass is full of
// them: whatever several layers read gets a gradient from each. It decides which; the builder writes them (builder.ts).
import { sizeOf, type Value } from "./builder.ts";

/** A product as it was written: its operands, and which of their dimensions are batch and contracted. */
export interface Product {
  readonly left: Value;
  readonly right: Value;
  readonly batch: readonly [readonly number[], readonly number[]];
  readonly contract: readonly [readonly number[], readonly number[]];
}

/** What a sum adds up: products to be joined, group by group, and everything else. */
export interface Merge {
  /** Name of the outermost sum. */
  readonly sum: string;
  readonly groups: readonly (readonly Product[])[];
  readonly rest: readonly Value[];
}

export interface Graph {
  /** Names, each after its operands. */
  readonly order: readonly string[];
  readonly results: readonly Value[];
  operands(name: string): readonly Value[];
  isSum(name: string): boolean;
  product(name: string): Product | undefined;
}

/** The sums of a graph worth rewriting. A value that anything else reads stays as it is. */
export function productsToMerge({ order, results, operands, isSum, product }: Graph): Merge[] {
  const uses = new Map<string, number>();
  const use = ({ name }: Value): void => void uses.set(name, (uses.get(name) ?? 0) + 1);
  for (const name of order) operands(name).forEach(use);
  results.forEach(use);
  const isInner = (value: Value): boolean => isSum(value.name) && uses.get(value.name) === 1;
  const inner = new Set(
    order
      .filter(isSum)
      .flatMap((name) => operands(name).filter(isInner))
      .map(({ name }) => name),
  );
  return order
    .filter((name) => isSum(name) && !inner.has(name))
    .flatMap((sum) => {
      const terms: Value[] = [];
      const pending = operands(sum).toReversed();
      for (let next = pending.pop(); next; next = pending.pop()) {
        if (inner.has(next.name)) pending.push(...operands(next.name).toReversed());
        else terms.push(next);
      }
      const size = sizeOf(terms[0]!.shape);
      const groupOf = (term: Value): string | undefined => {
        const found = uses.get(term.name) === 1 ? product(term.name) : undefined;
        if (found === undefined || found.contract[0].length !== 1 || copiedBy(found) >= size) return undefined;
        const { left, right, batch, contract } = found;
        const free = (value: Value, side: 0 | 1): (number | null)[] =>
          value.shape.map((length, index) => (index === contract[side][0] ? null : length));
        return JSON.stringify([left.element, right.element, batch, contract, free(left, 0), free(right, 1)]);
      };
      const groups = [...Map.groupBy(terms, groupOf)]
        .filter(([key]) => key !== undefined)
        .map(([, members]) => ({ members, products: members.map(({ name }) => product(name)!) }))
        .filter(({ products }) => pays(products, size));
      if (groups.length === 0) return [];
      const joined = new Set(groups.flatMap(({ members }) => members));
      const rest = terms.filter((term) => !joined.has(term));
      return [{ sum, groups: groups.map(({ products }) => products), rest }];
    });
}

/** Joining copies the operands of all. */
const copiedBy = ({ left, right }: Product): number => sizeOf(left.shape) + sizeOf(right.shape);

/** It spares writing and adding all products but one. */
const pays = (group: readonly Product[], size: number): boolean =>
  group.reduce((sum, product) => sum + copiedBy(product), 0) < (group.length - 1) * size;
