/** What the library is compared with: layers written out as plain loops over rows of numbers. */
import { at, range, sum, type TestTensor } from '../../compiler/lower/testing.ts';

export type Row = readonly number[];

export function rowOf(tensor: TestTensor, ...position: readonly number[]): Row {
  const width = tensor.shape.at(-1) ?? 0;
  return range(width).map((place) => at(tensor, ...position, place));
}

export function softmax(scores: Row): Row {
  const top = Math.max(...scores);
  const total = sum(scores.length, (u) => Math.exp(scores[u]! - top));
  return scores.map((score) => Math.exp(score - top) / total);
}

export function logsumexp(scores: Row): number {
  return Math.log(sum(scores.length, (u) => Math.exp(scores[u]!)));
}

export function dot(left: Row, right: Row): number {
  return sum(left.length, (place) => left[place]! * right[place]!);
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const silu = (x: number): number => x * sigmoid(x);

/** By its Maclaurin series, exact enough for |x| below 3. */
export function erf(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; n < 60; n += 1) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

/** Positions of the `count` largest, largest first, the lower position first where they are equal. */
export function best(scores: Row, count: number): Row {
  return range(scores.length)
    .sort((left, right) => scores[right]! - scores[left]!)
    .slice(0, count);
}

/** SwiGLU with weights [out, in]: `down · (silu(gate · x) * (up · x))`. */
export function gatedNetwork(x: Row, gate: readonly Row[], up: readonly Row[], down: readonly Row[]): Row {
  const hidden = gate.map((row, f) => silu(dot(row, x)) * dot(up[f]!, x));
  return down.map((row) => dot(row, hidden));
}

/** The matrix at a place of a stack of matrices. */
export function matrixOf(tensor: TestTensor, ...position: readonly number[]): readonly Row[] {
  const rows = tensor.shape.at(-2) ?? 0;
  return range(rows).map((row) => rowOf(tensor, ...position, row));
}
