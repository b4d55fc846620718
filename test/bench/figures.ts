// What benches print of their samples. No statistics beyond that.

export const middle = (xs: readonly number[]): number => xs.toSorted((a, b) => a - b)[Math.floor(xs.length / 2)]!;
export const rounded = (x: number, digits = 1): number => Number(x.toFixed(digits));
