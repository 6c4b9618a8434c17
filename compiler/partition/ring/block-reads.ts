/** Which dimension of what an attention reads goes along with its queries, and which with its keys. */
import type { SoftmaxSumNode, Tensor, TensorId } from '../../graph/graph.ts';
import { iteratorsOf, type Load, loadsOf } from '../../graph/scalar.ts';
import { nodeScalars } from '../../graph/uses.ts';

/** An iterator of the attention. */
export interface Axis {
  readonly axis: number;
  readonly extent: number;
}

export interface SequenceAxes {
  readonly queries: Axis;
  readonly keys: Axis;
}

/** A load that reads one dimension in order. */
export interface BlockRead {
  readonly of: keyof SequenceAxes;
  readonly dim: number;
}

export type TensorOf = (id: TensorId) => Tensor;

/** undefined: it reads by position, or what is the same for all. */
export function blockRead(
  load: Load,
  { queries, keys }: SequenceAxes,
  tensorOf: TensorOf,
): BlockRead | undefined {
  const { shape } = tensorOf(load.tensor);
  const key = orderedDim(load, keys, shape);
  if (key !== undefined && !mentions(load, queries.axis)) return { of: 'keys', dim: key };
  const query = orderedDim(load, queries, shape);
  return query === undefined ? undefined : { of: 'queries', dim: query };
}

/** The dimension that the iterator runs along, where it occurs nowhere else. */
function orderedDim(
  { subscripts }: Load,
  { axis, extent }: Axis,
  shape: readonly number[],
): number | undefined {
  const dims = [...subscripts.keys()].filter((dim) => iteratorsOf(subscripts[dim]!).has(axis));
  const [dim] = dims;
  if (dim === undefined || dims.length > 1 || shape[dim] !== extent) return undefined;
  return subscripts[dim]!.op === 'iterator' ? dim : undefined;
}

function mentions({ subscripts }: Load, axis: number): boolean {
  return subscripts.some((part) => iteratorsOf(part).has(axis));
}

/**
 * Axes along which the devices divide queries, and keys: scores and values read keys in blocks. undefined
 * where there are none; a mask may also read by position.
 */
export function sequenceAxes(
  node: SoftmaxSumNode,
  devices: number,
  tensorOf: TensorOf,
): SequenceAxes | undefined {
  const { extent, result, scoreBody, value, valueAxes, visible } = node;
  const keys: Axis = { axis: result.shape.length, extent };
  const isDivided = (axis: Axis): boolean => axis.extent > 0 && axis.extent % devices === 0;
  const keyed = [scoreBody, value].flatMap(loadsOf).filter((load) => mentions(load, keys.axis));
  if (!isDivided(keys) || !loadsOf(value).some((load) => mentions(load, keys.axis))) return undefined;
  const read = new Set(nodeScalars(node).flatMap((scalar) => [...iteratorsOf(scalar)]));
  const candidates = result.shape
    .map((own, axis): Axis => ({ axis, extent: own }))
    .filter((queries) => {
      if (valueAxes.includes(queries.axis) || !read.has(queries.axis) || !isDivided(queries)) return false;
      return keyed.every((load) => blockRead(load, { queries, keys }, tensorOf)?.of === 'keys');
    });
  // Of heads that share their keys and of queries, the mask tells those that have a place in the sequence.
  const masked = visible === undefined ? new Set<number>() : iteratorsOf(visible);
  const queries =
    candidates.find(({ axis }) => masked.has(axis)) ??
    candidates.find((axis) => axis.extent === extent) ??
    candidates[0];
  return queries && { queries, keys };
}
