/**
 * Softmax-weighted sums of few rows over many keys, as when decoding token by token: the keys are cut into
 * chunks, each of which is a softmax of its own, and a second kernel puts them together by their largest
 * logits and totals (Dao et al., "Flash-Decoding for long-context inference", 2023). With one kernel a device
 * would have as many workgroups as there are heads.
 */
import type { ComputeNode, Scalar, SoftmaxSumNode, Tensor } from '../../graph/graph.ts';
import {
  apply,
  float,
  integer,
  iterator,
  iteratorsOf,
  load,
  substituteIterators,
} from '../../graph/scalar.ts';
import type { DeviceProfile } from '../device-profile.ts';
import type { ScheduledStep } from '../scheduled.ts';
import type { ScheduleContext } from './context.ts';
import { hidden } from './softmax-problem.ts';

/** Keys that are worth a workgroup of their own. */
const shortestChunk = 128;
/** Chunks are put together by an expression with all of them. */
const mostChunks = 16;

/**
 * Undefined where one kernel has workgroups enough, or too little to do. How many keys a bounded program
 * meets is known when it runs, which is when they would have to be cut.
 */
export function splitSoftmaxSum(
  node: SoftmaxSumNode,
  context: ScheduleContext,
): readonly ScheduledStep[] | undefined {
  const wanted = Math.floor(
    wantedWorkgroups(context.device) / Math.max(1, workgroupsOf(node, context.device)),
  );
  const count = Math.min(mostChunks, wanted, Math.floor(node.extent / shortestChunk));
  const isBounded = node.end !== undefined || node.result.ends !== undefined;
  if (isBounded || node.partial !== undefined || count < 2 || node.result.shape.includes(0)) return undefined;
  const length = lengthOf(node.extent, count);
  const chunks = chunksOf(node, Math.ceil(node.extent / length), length, context);
  return [...context.node(chunks), ...context.node(together(node, chunks))];
}

/** Chunks are alike where half as many or more can be: what is seen then still bounds how far each goes. */
function lengthOf(extent: number, count: number): number {
  for (let chunks = count; 2 * chunks >= count; chunks--) if (extent % chunks === 0) return extent / chunks;
  return Math.ceil(extent / count);
}

function wantedWorkgroups({ core, software, units }: DeviceProfile): number {
  if (core !== undefined) return 8;
  // So few rows are waiting for memory, of which several workgroups ask for more.
  if (units !== undefined) return 4 * units.processors;
  return software ? 8 : 128;
}

/** Of one kernel for all keys: rows that meet the same keys share a workgroup, up to so many. */
function workgroupsOf(node: SoftmaxSumNode, { software }: DeviceProfile): number {
  const streamed = node.result.shape.length;
  const varying = new Set<number>();
  for (const scalar of [node.scoreBody, node.value])
    for (const factor of factorsAlong(scalar, streamed))
      for (const axis of iteratorsOf(factor)) varying.add(axis);
  const rows = node.result.shape.flatMap((extent, axis) =>
    node.valueAxes.includes(axis) ? [] : [{ extent, isShared: !varying.has(axis) }],
  );
  const product = (isShared: boolean) =>
    rows.reduce((total, row) => (row.isShared === isShared ? total * row.extent : total), 1);
  return product(false) * Math.ceil(product(true) / (software ? 8 : 64));
}

/** The factors of nested products that vary with the streamed axis. */
function factorsAlong(scalar: Scalar, streamed: number): readonly Scalar[] {
  if (scalar.op === 'apply' && scalar.function === 'mul')
    return scalar.operands.flatMap((operand) => factorsAlong(operand, streamed));
  return iteratorsOf(scalar).has(streamed) ? [scalar] : [];
}

type Chunks = SoftmaxSumNode & { readonly partial: NonNullable<SoftmaxSumNode['partial']> };

/** The same over each chunk: the first axis of its results. */
function chunksOf(node: SoftmaxSumNode, count: number, length: number, context: ScheduleContext): Chunks {
  const { shape, name } = node.result;
  const streamed = shape.length;
  const wanted = apply('add', apply('mul', iterator(0), integer(length)), iterator(streamed + 1));
  const isRagged = count * length !== node.extent;
  const position = isRagged ? apply('min', wanted, integer(node.extent - 1)) : wanted;
  const moved = (scalar: Scalar) =>
    substituteIterators(scalar, (axis) => (axis === streamed ? position : iterator(axis + 1)));
  const isReal = isRagged ? apply('lt', wanted, integer(node.extent)) : undefined;
  const seen = node.visible && moved(node.visible);
  const visible = seen && isReal ? apply('and', isReal, seen) : (seen ?? isReal);
  const rows = shape.filter((_, axis) => !node.valueAxes.includes(axis));
  const temporary = (what: string, own: readonly number[]) =>
    context.temporary(`${name}_${what}`, { dtype: 'f32', shape: [count, ...own] });
  return {
    ...node,
    result: temporary('chunks', shape),
    extent: length,
    scoreBody: moved(node.scoreBody),
    logit: moved(node.logit),
    visible,
    value: moved(node.value),
    valueAxes: node.valueAxes.map((axis) => axis + 1),
    partial: { top: temporary('tops', rows), total: temporary('totals', rows), lowest: hidden },
  };
}

/** Each chunk weighted by exp(its top − the greatest), over the totals so weighted; 0 if nothing is seen. */
function together(node: SoftmaxSumNode, { result, extent, partial }: Chunks): ComputeNode {
  const { shape } = node.result;
  const own = shape.map((_, axis) => iterator(axis));
  const ofRow = own.filter((_, axis) => !node.valueAxes.includes(axis));
  const chunks = Array.from({ length: Math.ceil(node.extent / extent) }, (_, chunk) => integer(chunk));
  const each = (tensor: Tensor, place: readonly Scalar[]) =>
    chunks.map((chunk) => load(tensor, [chunk, ...place]));
  const tops: readonly Scalar[] = each(partial.top, ofRow);
  const greatest = tops.reduce((left, right) => apply('max', left, right));
  const weights = tops.map((top) => apply('exp', apply('sub', top, greatest)));
  const weighted = (values: readonly Scalar[]) =>
    values
      .map((value, chunk) => apply('mul', value, weights[chunk]!))
      .reduce((left, right) => apply('add', left, right));
  const total = weighted(each(partial.total, ofRow));
  const mean = apply('div', weighted(each(result, own)), total);
  return {
    kind: 'compute',
    result: node.result,
    body: apply('select', apply('eq', total, float(0)), float(0), mean),
    reduce: undefined,
    grouped: undefined,
  };
}
