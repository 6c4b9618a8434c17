/**
 * Softmax-weighted sums in pieces, as the library's `flash` has them: keys and values arrive block by block,
 * and partial softmaxes merge (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018).
 * `recoverPartialAttention` makes one streaming node of a piece.
 */
import type { ComputeNode, Node, Scalar, Tensor } from '../../graph/graph.ts';
import { apply, float, iterator, iterators, load, mapScalar, reduced } from '../../graph/scalar.ts';
import { type Blocks, blockExtents, type Divided, inBlocks } from './in-blocks.ts';

export type NewTensor = (name: string, dtype: Tensor['dtype'], shape: readonly number[]) => Tensor;

/**
 * For each query the largest logit so far, the sum of exp(logit − largest), and that sum weighted by values:
 * the first two have the output axes of the attention but those that only values have.
 */
export interface Partial {
  readonly top: Tensor;
  readonly total: Tensor;
  readonly weighted: Tensor;
}

/** Below all logits, and finite, so that the difference of two is a number. */
const lowest = -(2 - 2 ** -23) * 2 ** 127;

function outputsOf({ attention }: Divided): readonly number[] {
  return [...attention.result.shape.keys()];
}

function rowsOf(divided: Divided): readonly number[] {
  return outputsOf(divided).filter((axis) => !divided.attention.valueAxes.includes(axis));
}

export function newPartial(name: string, divided: Divided, newTensor: NewTensor): Partial {
  const extents = blockExtents(divided);
  const rows = rowsOf(divided).map((axis) => extents[axis]!);
  const outputs = outputsOf(divided).map((axis) => extents[axis]!);
  return {
    top: newTensor(`${name}.top`, 'f32', rows),
    total: newTensor(`${name}.total`, 'f32', rows),
    weighted: newTensor(`${name}.weighted`, 'f32', outputs),
  };
}

/** Before any keys. */
export function startNodes({ top, total, weighted }: Partial): readonly Node[] {
  return [map(top, float(lowest)), map(total, float(0)), map(weighted, float(0))];
}

/** Takes in the keys of rank `from`, which are in the blocks. */
export function stepNodes(
  divided: Divided,
  { held, blocks, from }: { readonly held: Partial; readonly blocks: Blocks; readonly from: Scalar },
  newTensor: NewTensor,
): { readonly nodes: readonly Node[]; readonly after: Partial } {
  const { logit, scoreBody, scoreExtents, value, visible } = divided.attention;
  const keys = divided.sequence.keys.axis;
  const extents = blockExtents(divided);
  const rows = rowsOf(divided);
  const outputs = outputsOf(divided);
  const weightAxes = [...rows, keys];
  const weightShape = weightAxes.map((axis) => extents[axis]!);
  const score = newTensor('score', 'f32', weightShape);
  const weights = newTensor('weight', 'f32', weightShape);
  const after = newPartial('next', divided, newTensor);

  const seen = (scalar: Scalar, axes: readonly number[]): Scalar =>
    inBlocks(scalar, divided, { axes, blocks, from });
  const isSum = scoreExtents.length > 0;
  const scored = isSum ? load(score, iterators(weightAxes.length)) : seen(scoreBody, weightAxes);
  const scoreAxes = [...weightAxes, ...scoreExtents.map((_, at) => keys + 1 + at)];
  const scores = isSum ? [reduction(score, 'sum', scoreExtents, seen(scoreBody, scoreAxes))] : [];

  const visibleHere = visible && seen(visible, weightAxes);
  const ifVisible = (here: Scalar, hidden: number): Scalar =>
    visibleHere === undefined ? here : apply('select', visibleHere, here, float(hidden));
  const ofScore = mapScalar(seen(logit, weightAxes), (part) => (part.op === 'reduced' ? scored : part));
  // In the expressions of both its readers: what only one node reads would become a part of the score.
  const logitHere = ifVisible(ofScore, lowest);

  const inRow = iterators(rows.length);
  const rowOfOutput = rows.map(iterator);
  const difference = apply('sub', logitHere, load(after.top, inRow));
  const summed = (before: Tensor, own: readonly Scalar[], row: readonly Scalar[]): Scalar => {
    const kept = apply('exp', apply('sub', load(held.top, row), load(after.top, row)));
    return apply('add', apply('mul', load(before, own), kept), reduced('f32'));
  };
  const weighted = apply(
    'mul',
    load(weights, [...rowOfOutput, iterator(outputs.length)]),
    seen(value, [...outputs, keys]),
  );
  const overKeys = [extents[keys]!];
  const nodes: readonly Node[] = [
    ...scores,
    reduction(after.top, 'max', overKeys, logitHere, apply('max', load(held.top, inRow), reduced('f32'))),
    map(weights, ifVisible(apply('exp', difference), 0)),
    reduction(
      after.total,
      'sum',
      overKeys,
      load(weights, iterators(weightAxes.length)),
      summed(held.total, inRow, inRow),
    ),
    reduction(
      after.weighted,
      'sum',
      overKeys,
      weighted,
      summed(held.weighted, iterators(outputs.length), rowOfOutput),
    ),
  ];
  return { nodes, after };
}

/** After all keys. Rows that see nothing give 0. */
export function finishNode(result: Tensor, { total, weighted }: Partial, divided: Divided): Node {
  const divisor = load(total, rowsOf(divided).map(iterator));
  const quotient = apply('div', load(weighted, iterators(weighted.shape.length)), divisor);
  const isMasked = divided.attention.visible !== undefined;
  return map(
    result,
    isMasked ? apply('select', apply('lt', float(0), divisor), quotient, float(0)) : quotient,
  );
}

function map(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

function reduction(
  result: Tensor,
  combiner: 'sum' | 'max',
  extents: readonly number[],
  body: Scalar,
  finish?: Scalar,
): ComputeNode {
  return { kind: 'compute', result, body, reduce: { combiner, extents, finish }, grouped: undefined };
}
