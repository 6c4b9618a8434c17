/**
 * One change of placement as what a device does: it packs what it sends by rank of who gets it, exchanges,
 * and unpacks by rank of whom it came from. Packing is index arithmetic in compute nodes, which fuse with
 * others.
 */
import { devicesAlong, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import type { ComputeNode, ExchangeNode, Node, Scalar, Tensor } from '../graph/graph.ts';
import { apply, integer, iterator, iterators, load } from '../graph/scalar.ts';
import { conversionNode } from './conversion.ts';
import { localTensor } from './local-blocks.ts';
import type { ReshardStep } from './reshard-steps.ts';

/** A step between two placements of one tensor. */
export interface Move {
  readonly mesh: Mesh;
  /** With its global shape. */
  readonly source: Tensor;
  readonly from: Placement;
  /** Likewise; defined by the last of the nodes. */
  readonly result: Tensor;
  readonly to: Placement;
  readonly newTensor: (name: string, like: Tensor, shape: readonly number[]) => Tensor;
}

type Steps = {
  readonly [K in ReshardStep['kind']]: (
    step: Extract<ReshardStep, { kind: K }>,
    move: Move,
  ) => readonly Node[];
};

const steps: Steps = {
  all_gather: (step, move) => {
    const [sent, received] = [localTensor(move.source, move.from, move.mesh), local(move)];
    const dim = move.from.dims.findIndex((list) => list.includes(step.axes[0]!));
    const packed = move.newTensor('gathered', sent, [devices(step, move), ...sent.shape]);
    return [exchange('all_gather', step, move, sent, packed), unpack(packed, received, dim)];
  },
  all_reduce: (step, move) => [
    exchange('all_reduce', step, move, localTensor(move.source, move.from, move.mesh), local(move)),
  ],
  reduce_scatter: (step, move) => {
    const [sent, received] = [localTensor(move.source, move.from, move.mesh), local(move)];
    const packed = move.newTensor('packed', sent, [devices(step, move), ...received.shape]);
    return [pack(sent, packed, step.dim), exchange('reduce_scatter', step, move, packed, received)];
  },
  all_to_all: (step, move) => {
    const [sent, received] = [localTensor(move.source, move.from, move.mesh), local(move)];
    const shape = sent.shape.with(step.to, received.shape[step.to]!);
    const packed = move.newTensor('packed', sent, [devices(step, move), ...shape]);
    const exchanged = move.newTensor('exchanged', sent, packed.shape);
    return [
      pack(sent, packed, step.to),
      exchange('all_to_all', step, move, packed, exchanged),
      unpack(exchanged, received, step.from),
    ];
  },
  broadcast: (step, move) => [
    exchange('broadcast', step, move, localTensor(move.source, move.from, move.mesh), local(move)),
  ],
  slice: (_, move) => [converted(move)],
  mask: (_, move) => [converted(move)],
};

/** What one device does. `to` is `from` after the step. */
export function moveNodes(step: ReshardStep, move: Move): readonly Node[] {
  return (steps[step.kind] as (step: ReshardStep, move: Move) => readonly Node[])(step, move);
}

export function copyNode(source: Tensor, result: Tensor): ComputeNode {
  return mapNode(result, load(source, iterators(result.shape.length)));
}

function local({ result, to, mesh }: Move): Tensor {
  return localTensor(result, to, mesh);
}

function converted({ source, from, to, result, mesh }: Move): ComputeNode {
  return conversionNode(source, from, to, result, mesh);
}

function devices({ axes }: Pick<ReshardStep, 'axes'>, { mesh }: Move): number {
  return devicesAlong(mesh, axes);
}

function mapNode(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

function exchange(
  verb: ExchangeNode['verb'],
  step: Pick<ReshardStep, 'axes'>,
  move: Move,
  source: Tensor,
  result: Tensor,
): ExchangeNode {
  const { axes } = step;
  // The axes of one exchange are pending in one way.
  const combiner = move.from.pending.get(axes[0]!) ?? 'sum';
  return { kind: 'exchange', verb, axes, devices: devices(step, move), combiner, source: source.id, result };
}

/** `packed[rank, …]` is the part of `source` that block `rank` of dimension `dim` is. */
function pack(source: Tensor, packed: Tensor, dim: number): ComputeNode {
  const [rank, ...inner] = iterators(packed.shape.length) as [Scalar, ...Scalar[]];
  const start = apply('mul', rank, integer(packed.shape[dim + 1]!));
  return mapNode(packed, load(source, inner.with(dim, apply('add', start, iterator(dim + 1)))));
}

/** Dimension `dim` of the result is the blocks of `packed` one after another. */
function unpack(packed: Tensor, result: Tensor, dim: number): ComputeNode {
  // Of nothing there are no positions, whatever they are divided by.
  const block = integer(Math.max(1, packed.shape[dim + 1]!));
  const rank = apply('floordiv', iterator(dim), block);
  const subscripts = iterators(result.shape.length).with(dim, apply('mod', iterator(dim), block));
  return mapNode(result, load(packed, [rank, ...subscripts]));
}
