/**
 * Small exchanges between the same devices that are ready at the same time become one: what they send is laid
 * out one after another, so that their messages are one message. Worth it where starting a message takes
 * longer than sending it.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type {
  ComputeNode,
  ExchangeNode,
  ExchangeVerb,
  Graph,
  Node,
  Scalar,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { apply, integer, iterator, iterators, load } from '../../graph/scalar.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { allTensors, readsOf } from '../../graph/uses.ts';
import { inLoopsFirst } from '../../optimize/nodes.ts';
import type { DeviceProgram } from '../localize.ts';
import type { CollectiveOptions } from './options.ts';

/** A kernel reads all sources at once, and a device may bind eight buffers to it. */
const mostMerged = 6;

/** Whether a leading axis of what is sent, and of what arrives, is that of the devices. */
const byRank: { readonly [V in ExchangeVerb]: { readonly source: boolean; readonly result: boolean } } = {
  all_gather: { source: false, result: true },
  all_reduce: { source: false, result: false },
  reduce_scatter: { source: true, result: false },
  all_to_all: { source: true, result: true },
  shift: { source: false, result: false },
  broadcast: { source: false, result: false },
};

export function mergeSmall(program: DeviceProgram, { mergedBytes }: CollectiveOptions): DeviceProgram {
  if (mergedBytes === 0) return program;
  const tensors = allTensors(program.graph);
  let nextId = Math.max(-1, ...tensors.keys()) + 1;
  const newTensor = (like: Tensor, shape: readonly number[]): Tensor => ({ ...like, id: nextId++, shape });
  const isSmall = ({ source }: ExchangeNode): boolean => {
    const sent = tensors.get(source)!;
    const elements = elementCount(sent);
    return elements > 0 && (elements * dtypeFacts[sent.dtype].bits) / 8 <= mergedBytes;
  };
  const graph = inLoopsFirst(program.graph, (level) => {
    const groups = groupsOf(level, tensors, isSmall);
    if (groups.length === 0) return level;
    const gone = new Set<Node>(groups.flat());
    const made = groups.flatMap((group) => merged(group, tensors, newTensor));
    return { ...level, nodes: sorted([...level.nodes.filter((node) => !gone.has(node)), ...made]) };
  });
  return { ...program, graph };
}

/** Exchanges with as many others before them do not depend on each other. */
function groupsOf(
  { nodes }: Graph,
  tensors: ReadonlyMap<TensorId, Tensor>,
  isSmall: (node: ExchangeNode) => boolean,
): readonly (readonly ExchangeNode[])[] {
  const depth = new Map<TensorId, number>();
  const groups = new Map<string, ExchangeNode[][]>();
  for (const node of nodes) {
    const before = Math.max(0, ...[...readsOf(node)].map((tensor) => depth.get(tensor) ?? 0));
    for (const { id } of results(node)) depth.set(id, before + (node.kind === 'exchange' ? 1 : 0));
    if (node.kind !== 'exchange' || !isSmall(node)) continue;
    const { verb, axes, combiner, source } = node;
    const key = [before, verb, axes.join(' '), combiner, tensors.get(source)!.dtype].join();
    const known = groups.get(key) ?? [];
    groups.set(key, known);
    const open = known.at(-1);
    if (open !== undefined && open.length < mostMerged) open.push(node);
    else known.push([node]);
  }
  return [...groups.values()].flat().filter((group) => group.length > 1);
}

/** Packing, the exchange, and unpacking into the results that there were. */
function merged(
  group: readonly ExchangeNode[],
  tensors: ReadonlyMap<TensorId, Tensor>,
  newTensor: (like: Tensor, shape: readonly number[]) => Tensor,
): readonly Node[] {
  const [first] = group as readonly [ExchangeNode, ...ExchangeNode[]];
  const ranked = byRank[first.verb];
  const sources = group.map(({ source }) => tensors.get(source)!);
  const lengths = sources.map((source) => elementCount(source) / (ranked.source ? first.devices : 1));
  const starts = lengths.map((_, place) => lengths.slice(0, place).reduce((sum, length) => sum + length, 0));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const shaped = (isRanked: boolean) => (isRanked ? [first.devices, total] : [total]);
  const packed = newTensor(sources[0]!, shaped(ranked.source));
  const arrived = newTensor(first.result, shaped(ranked.result));
  return [
    map(packed, concatenated(sources, starts, lengths, ranked.source)),
    { ...first, source: packed.id, result: arrived },
    ...group.map(({ result }, place) => map(result, partOf(arrived, result, starts[place]!, ranked.result))),
  ];
}

function map(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

/** Element by element of the last axis: that of the tensor in whose part it lies. */
function concatenated(
  sources: readonly Tensor[],
  starts: readonly number[],
  lengths: readonly number[],
  isRanked: boolean,
): Scalar {
  const position = iterator(isRanked ? 1 : 0);
  const parts = sources.map((source, place): Scalar => {
    const within = apply('sub', position, integer(starts[place]!));
    // Where it is not chosen nothing is read beyond its ends either.
    const at = apply('max', integer(0), apply('min', within, integer(lengths[place]! - 1)));
    const shape = isRanked ? source.shape.slice(1) : source.shape;
    return load(source, [...(isRanked ? [iterator(0)] : []), ...unflattened(at, shape)]);
  });
  return parts.reduceRight((rest, part, place) =>
    apply('select', apply('lt', position, integer(starts[place + 1]!)), part, rest),
  );
}

/** The subscripts of the element that lies so far from the first. */
function unflattened(at: Scalar, shape: readonly number[]): readonly Scalar[] {
  return shape.map((extent, dim) => {
    const inner = shape.slice(dim + 1).reduce((size, each) => size * each, 1);
    return apply('mod', apply('floordiv', at, integer(inner)), integer(extent));
  });
}

function partOf(arrived: Tensor, { shape }: Tensor, start: number, isRanked: boolean): Scalar {
  const own = iterators(shape.length);
  const [rank, inner, extents] = isRanked
    ? [own.slice(0, 1), own.slice(1), shape.slice(1)]
    : [[], own, shape];
  const flat = inner.reduce<Scalar>(
    (sum, each, dim) => apply('add', apply('mul', sum, integer(extents[dim]!)), each),
    integer(0),
  );
  return load(arrived, [...rank, apply('add', integer(start), flat)]);
}

/** In topological order, of those that are ready the one that came first. */
function sorted(nodes: readonly Node[]): readonly Node[] {
  const defined = new Set(nodes.flatMap(results).map(({ id }) => id));
  const left = new Set(nodes);
  const order: Node[] = [];
  while (left.size > 0)
    for (const node of left) {
      if ([...readsOf(node)].some((tensor) => defined.has(tensor))) continue;
      left.delete(node);
      for (const { id } of results(node)) defined.delete(id);
      order.push(node);
    }
  return order;
}
