/**
 * Sums of exponentials that weigh nothing, of logits that are a product: those of a vocabulary. Tiles are
 * those of any product, by matrix units too, but what is left of a row of a tile is its largest logit and the
 * sum of exponentials relative to that; a second kernel puts the tiles of a row together, in order (Milakov
 * and Gimelshein, "Online normalizer calculation for softmax", 2018). Logits themselves stay in registers.
 */
import type { ComputeNode, Scalar, SoftmaxSumNode, Tensor } from '../../graph/graph.ts';
import { apply as applied, iterator, iterators, load } from '../../graph/scalar.ts';
import { type Product, productOfLogits } from '../../optimize/contraction.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { lowerScalar } from '../lower-scalar.ts';
import type { RowCluster, RowMember } from '../row-clusters.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, reduceTiles, register, store } from '../tile-builder.ts';
import { apply, both, constant, coordinate, element, flatten, masked } from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';
import { type ContractionProblem, contractionSteps, type Ending } from './contraction.ts';
import { contractionProblem } from './contraction-problem.ts';
import { multipliedByUnits } from './in-parts.ts';
import { rowClusterProblem } from './row-cluster.ts';
import { unitContraction } from './unit-contraction.ts';

type Partial = SoftmaxSumNode & { readonly partial: NonNullable<SoftmaxSumNode['partial']> };

/** Undefined where values are weighed, or logits are no product whose columns are what is streamed. */
export function logitsProblem(
  node: SoftmaxSumNode,
  context: ScheduleContext,
): ContractionProblem | undefined {
  if (!isPartial(node) || node.value.op !== 'constant') return undefined;
  const product: Product | undefined = productOfLogits(node);
  return product && contractionProblem(product.node, product.contraction, context);
}

function isPartial(node: SoftmaxSumNode): node is Partial {
  return node.partial !== undefined;
}

export function scheduleTiledSum(
  node: SoftmaxSumNode,
  logits: ContractionProblem,
  choice: ChoiceOf<'tiles' | 'units'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  if (!isPartial(node)) throw new Error(`${node.result.name} is no part of a softmax`);
  const { shape, ends, name } = node.result;
  const groups = Math.ceil(logits.columns.extent / columnsOf(choice));
  const temporary = (what: string) =>
    context.temporary(`${name}_${what}`, {
      ...{ dtype: 'f32', shape: [...shape, groups] },
      ...(ends && { ends: [...ends, undefined] }),
    });
  const parts = { top: temporary('tops'), total: temporary('totals') };
  const ending = leavingParts(node, parts, context);
  const byUnits = (units: ChoiceOf<'units'>) => {
    const { before, ...multiplied } = multipliedByUnits(logits, context);
    return [...before, unitContraction(multiplied, units, context, ending)];
  };
  const tiles = choice.form === 'units' ? byUnits(choice) : contractionSteps(logits, choice, context, ending);
  return [...tiles, ...context.problem(rowClusterProblem(together(node, parts, groups), context))];
}

/** Of a tile. */
function columnsOf(choice: ChoiceOf<'tiles' | 'units'>): number {
  return (choice.form === 'units' ? choice.warpColumns : choice.threadColumns) * choice.columns;
}

/** Of each row what every tile has of it, in their order. */
interface Parts {
  readonly top: Tensor;
  readonly total: Tensor;
}

function leavingParts({ partial, visible, result }: Partial, parts: Parts, context: ScheduleContext): Ending {
  return ({ rows, columns, iterators: at, value, isRow, isColumn, group }) => {
    const pair = [coordinate(0, rows.extent), coordinate(1, columns.extent)];
    const row = pair.slice(0, 1);
    const isSeen = both(
      isColumn,
      visible && lowerScalar(visible, { tensors: context.tensors, iterators: at }),
    );
    const lowest = constant(partial.lowest, 'f32');
    const difference = apply('sub', 'f32', element('logit', 'f32', pair), element('top', 'f32', row));
    const leave = (tensor: Tensor, tile: string) => {
      const place = flatten([...at.slice(0, result.shape.length), group], tensor.shape);
      return store(tensor, [rows], place, element(tile, 'f32', row), isRow);
    };
    // Since no top is lower than the lowest, what is hidden weighs nothing.
    const nothing = constant(Number.NEGATIVE_INFINITY, 'f32');
    return [
      define(register('logit', 'f32', [rows, columns]), masked(isSeen, value, nothing)),
      reduceTiles('max', ['logit'], ['largest']),
      define(register('top', 'f32', [rows]), apply('max', 'f32', element('largest', 'f32', row), lowest)),
      define(register('weight', 'f32', [rows, columns]), apply('exp', 'f32', difference)),
      reduceTiles('sum', ['weight'], ['total']),
      leave(parts.top, 'top'),
      leave(parts.total, 'total'),
    ];
  };
}

/** The largest top, and the totals relative to it. */
function together({ partial, result, value }: Partial, parts: Parts, groups: number): RowCluster {
  const rank = result.shape.length;
  const own = iterators(rank);
  const part = (tensor: Tensor) => load(tensor, [...own, iterator(rank)]);
  const kept = applied('exp', applied('sub', part(parts.top), load(partial.top, own)));
  const reduction = (into: Tensor, body: Scalar, combiner: 'max' | 'sum'): RowMember => ({
    kind: 'statistic',
    node: {
      ...{ kind: 'compute', result: into, body, grouped: undefined },
      reduce: { combiner, extents: [groups], finish: undefined },
    },
  });
  const weighed: ComputeNode = {
    ...{ kind: 'compute', result, body: applied('mul', load(partial.total, own), value) },
    ...{ reduce: undefined, grouped: undefined },
  };
  const members: readonly RowMember[] = [
    reduction(partial.top, part(parts.top), 'max'),
    reduction(partial.total, applied('mul', part(parts.total), kept), 'sum'),
    { kind: 'few', node: weighed },
  ];
  return {
    ...{ kind: 'rowCluster', rows: result.shape, members, nodes: members.map(({ node }) => node) },
    stored: new Set([partial.top, partial.total, result].map(({ id }) => id)),
  };
}
