/**
 * The slots of experts: a block of tokens has so many for each expert, for those of its picks that come
 * first. Nodes that say which pick is in a slot, and which slot a pick has.
 */
import type { ComputeNode, Node, Scalar, Tensor } from '../../graph/graph.ts';
import { apply, integer, iterator, iterators, load } from '../../graph/scalar.ts';
import { product } from '../../optimize/nodes.ts';
import type { Routing } from './routing.ts';

export type NewTensor = (name: string, dtype: Tensor['dtype'], shape: readonly number[]) => Tensor;

/**
 * With B for the batch dimensions, P blocks of tokens, E experts, C slots, and N picks in a block, which are
 * numbered with the last dimension fastest.
 */
export interface Slots {
  /** i32[B…, P, E, N]: 1 for a pick of the expert. */
  readonly chosen: Tensor;
  /** i32[B…, P, E, C]: the pick in the slot; any other than one of the expert where the slot is empty. */
  readonly queue: Tensor;
  /** i32[B…, P, E, N]: picks of the expert up to this one. */
  readonly upTo: Tensor;
  readonly nodes: readonly Node[];
}

export function map(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

/** Extents of the batch dimensions, and the number of blocks. */
export function leading({ batch, pick, sources }: Routing): readonly number[] {
  return [...batch.map((dim) => pick.shape[dim]!), sources];
}

/** Extents of the queued dimensions in one block of tokens. */
function queuedExtents({ block, pick, queued, token }: Routing): readonly number[] {
  return queued.map((dim) => (dim === token ? block : pick.shape[dim]!));
}

export function picksInBlock(routing: Routing): number {
  return product(queuedExtents(routing));
}

/** For each dimension of `pick` that is queued its position in the block of pick number `n`. */
export function positionsOf(routing: Routing, n: Scalar): ReadonlyMap<number, Scalar> {
  const extents = queuedExtents(routing);
  return new Map(
    routing.queued.map((dim, at) => {
      const inner = Math.max(1, product(extents.slice(at + 1)));
      const major = apply('floordiv', n, integer(inner));
      return [dim, at === 0 ? major : apply('mod', major, integer(Math.max(1, extents[at]!)))] as const;
    }),
  );
}

/** The number of the pick at such positions in its block, by dimension. */
export function numberOf(routing: Routing, position: (dim: number) => Scalar): Scalar {
  const extents = queuedExtents(routing);
  return routing.queued.reduce<Scalar>(
    (number, dim, at) => apply('add', apply('mul', number, integer(extents[at]!)), position(dim)),
    integer(0),
  );
}

export function slotNodes(routing: Routing, count: number, newTensor: NewTensor): Slots {
  const { batch, block, experts, pick, token } = routing;
  const first = leading(routing);
  const picks = picksInBlock(routing);
  const rank = first.length;
  const inBlock = newTensor('pick', 'i32', [...first, picks]);
  const positions = positionsOf(routing, iterator(rank));
  const start = apply('mul', iterator(rank - 1), integer(block));
  const subscripts = pick.shape.map((_, dim) => {
    if (dim === token) return apply('add', start, positions.get(dim)!);
    return positions.get(dim) ?? iterator(batch.indexOf(dim));
  });
  const chosen = newTensor('chosen', 'i32', [...first, experts, picks]);
  const own = load(inBlock, [...iterators(rank), iterator(rank + 1)]);
  const isOwn = apply('eq', own, iterator(rank));
  const queue = newTensor('queue', 'i32', [...first, experts, count]);
  const upTo = newTensor('up to', 'i32', [...first, experts, picks]);
  return {
    chosen,
    queue,
    upTo,
    nodes: [
      map(inBlock, load(pick, subscripts)),
      map(chosen, apply('select', isOwn, integer(1), integer(0))),
      { kind: 'order', source: chosen.id, direction: 'descending', result: queue },
      { kind: 'prefix', source: chosen.id, combiner: 'sum', result: upTo },
    ],
  };
}
