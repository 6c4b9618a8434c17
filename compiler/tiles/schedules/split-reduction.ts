/**
 * Long reductions with few results, sums of products among them: in two kernels, so that the whole device
 * takes part. The first reduces each chunk of one axis by itself, and a product stays one (split-K); the
 * second puts the chunks together in order, so that results are the same each time.
 */
import type { ComputeNode, Scalar } from '../../graph/graph.ts';
import { apply, integer, mapScalar, constant as scalarConstant, scalarType } from '../../graph/scalar.ts';
import { contractionOf, factorsOf, product } from '../../optimize/contraction.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { identityValue, isPositional } from '../combiners.ts';
import type { ScheduledStep } from '../scheduled.ts';
import type { ScheduleContext } from './context.ts';
import type { ReductionNode, ReductionProblem } from './reduction.ts';

/** The axis that is cut into chunks; undefined where none is long enough, or positions would be lost. */
export function splitAxis({ reduce: { combiner, extents } }: ReductionNode): number | undefined {
  if (isPositional(combiner) && extents.length > 1) return undefined;
  const axis = extents.findIndex((extent) => extent >= 32);
  return axis < 0 ? undefined : axis;
}

export function scheduleSplit(
  { node }: ReductionProblem,
  { chunk }: ChoiceOf<'split'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const axis = splitAxis(node)!;
  const parts = Math.ceil(node.reduce.extents[axis]! / chunk);
  return isPositional(node.reduce.combiner)
    ? splitPositional(node, chunk, parts, context)
    : splitPlain(node, axis, chunk, parts, context);
}

/** `body` with its iterators replaced: by axis. */
function withIterators(body: Scalar, iterators: readonly Scalar[]): Scalar {
  return mapScalar(body, (part) => (part.op === 'iterator' ? iterators[part.axis]! : part));
}

const iterator = (axis: number): Scalar => ({ op: 'iterator', axis });

/**
 * First over each chunk of one axis and all of the others, then over the chunks. What is reduced from one
 * chunk lies as results do, for products to store whole vectors.
 */
function splitPlain(
  node: ReductionNode,
  axis: number,
  chunk: number,
  parts: number,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { shape } = node.result;
  const { combiner, extents } = node.reduce;
  const rank = shape.length;
  const dtype = scalarType(node.body);
  const partial = context.temporary(`${node.result.name}_parts`, {
    dtype: dtype === 'bool' ? 'u32' : dtype,
    shape: [parts, ...shape],
  });
  // Axes of the first kernel: the part, the output's, then the reduced ones with the chunk in place of its
  // axis.
  const reducedAt = (at: number) => iterator(1 + rank + at);
  const position = apply('add', apply('mul', iterator(0), integer(chunk)), reducedAt(axis));
  const iterators = [
    ...shape.map((_, at) => iterator(1 + at)),
    ...extents.map((_, at) => (at === axis ? position : reducedAt(at))),
  ];
  const isRagged = chunk * parts !== extents[axis];
  const identity = scalarConstant(dtype, identityValue(combiner, dtype));
  const isReal = apply('lt', position, integer(extents[axis]!));
  const withinAxis = (scalar: Scalar) => apply('select', isReal, scalar, identity);
  const moved = withIterators(node.body, iterators);
  // A product of factors that are zero behind the end is still a product.
  const factors = contractionOf(node) === undefined ? [moved] : factorsOf(moved);
  const first: ComputeNode = {
    kind: 'compute',
    result: partial,
    body: isRagged ? product(factors.map(withinAxis)) : moved,
    reduce: {
      combiner,
      extents: extents.map((extent, at) => (at === axis ? chunk : extent)),
      finish: dtype === 'bool' ? convertReduced('bool', 'u32') : undefined,
    },
    grouped: undefined,
  };
  const part: Scalar = {
    op: 'load',
    tensor: partial.id,
    dtype: partial.dtype,
    subscripts: [iterator(rank), ...shape.map((_, at) => iterator(at))],
  };
  const second: ComputeNode = {
    ...node,
    body: dtype === 'bool' ? { op: 'convert', dtype: 'bool', operand: part } : part,
    reduce: { combiner, extents: [parts], finish: node.reduce.finish },
    grouped: undefined,
  };
  return [...context.node(first), ...context.node(second)];
}

function convertReduced(from: 'bool', to: 'u32'): Scalar {
  return { op: 'convert', dtype: to, operand: { op: 'reduced', dtype: from } };
}

/** First the position of the best in each chunk, then the best among those positions. */
function splitPositional(
  node: ReductionNode,
  chunk: number,
  parts: number,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { shape } = node.result;
  const { combiner, extents, finish } = node.reduce;
  const rank = shape.length;
  const places = context.temporary(`${node.result.name}_places`, { dtype: 'i32', shape: [...shape, parts] });
  const outputs = shape.map((_, at) => iterator(at));
  // The last chunk may end early: its last elements are the axis's last one again, which loses every tie.
  const within = apply('add', apply('mul', iterator(rank), integer(chunk)), iterator(rank + 1));
  const position = apply('min', within, integer(extents[0]! - 1));
  const first: ComputeNode = {
    kind: 'compute',
    result: places,
    body: withIterators(node.body, [...outputs, position]),
    reduce: {
      combiner,
      extents: [chunk],
      finish: apply('add', apply('mul', iterator(rank), integer(chunk)), { op: 'reduced', dtype: 'i32' }),
    },
    grouped: undefined,
  };
  const placeAt = (part: Scalar): Scalar => ({
    op: 'load',
    tensor: places.id,
    dtype: 'i32',
    subscripts: [...outputs, part],
  });
  const chosen = placeAt({ op: 'reduced', dtype: 'i32' });
  const second: ComputeNode = {
    ...node,
    body: withIterators(node.body, [...outputs, placeAt(iterator(rank))]),
    reduce: {
      combiner,
      extents: [parts],
      finish:
        finish === undefined ? chosen : mapScalar(finish, (part) => (part.op === 'reduced' ? chosen : part)),
    },
  };
  return [...context.node(first), ...context.node(second)];
}
