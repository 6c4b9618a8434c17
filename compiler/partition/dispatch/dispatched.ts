/**
 * A region of nodes that are computed for each pick, computed for each slot of an expert instead. With (t, k)
 * for a pick, p for its block of tokens, e for its expert and c for its slot, what was at [t, k, …] is at
 * [p, e, c, …]; `w[pick[t, k], …]` is w[e, …].
 */
import type {
  CollectiveNode,
  ComputeNode,
  Graph,
  Node,
  Scalar,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import {
  apply,
  constant,
  integer,
  iterator,
  iterators,
  type Load,
  load,
  mapScalar,
  scalarType,
  substituteIterators,
} from '../../graph/scalar.ts';
import { mapNodeScalars, readsOf } from '../../graph/uses.ts';
import type { RoutedNode, RoutedRegion } from './routing.ts';
import { leading, map, type NewTensor, numberOf, picksInBlock, positionsOf, slotNodes } from './slots.ts';

interface Means {
  /** Slots of an expert for a block of tokens. */
  readonly count: number;
  readonly tensor: (id: TensorId) => Tensor;
  readonly newTensor: NewTensor;
}

/** What a dimension of something that is read stands for: a dimension of `pick`, or a part of a token's row. */
type Role = number | 'row';

interface Row {
  readonly from: Tensor;
  /** One for each dimension. */
  readonly roles: readonly Role[];
}

/** The graph, or the body of a loop, with its region dispatched. What is read outside of the region stays. */
export function dispatched(graph: Graph, { nodes, routing }: RoutedRegion, means: Means): Graph {
  const { count, newTensor, tensor } = means;
  const { batch, block, experts, over, pick, token } = routing;
  const region = new Map<TensorId, RoutedNode>(nodes.map((routed) => [routed.node.result.id, routed]));
  const slots = slotNodes(routing, count, newTensor);
  const first = leading(routing);
  /** Axes of what is computed for each slot: batch dimensions, then these, then those of a row. */
  const [source, expert, slot] = [first.length - 1, first.length, first.length + 1];
  const head = first.length + 2;
  const perSlot = new Map<TensorId, Tensor>();
  const sent = new Map<string, Tensor>();

  const moved = (from: Tensor, dims: { readonly from: number; readonly to: number }): CollectiveNode => ({
    kind: 'collective',
    source: from.id,
    result: newTensor(from.name, from.dtype, from.shape),
    change: { kind: 'all_to_all', axes: over, ...dims },
  });

  /** The rows of a tensor in the slots of the experts, and the nodes that bring them there. */
  function brought(row: Row): { readonly rows: Tensor; readonly nodes: readonly Node[] } {
    const { from, roles } = row;
    const key = `${from.id}: ${roles.join(' ')}`;
    const known = sent.get(key);
    if (known !== undefined) return { rows: known, nodes: [] };
    const tokens = roles.indexOf(token);
    const split = tokens < 0 ? undefined : blocksOf(from, tokens);
    const at = [...iterators(source + 1), iterator(expert)];
    const number = load(slots.queue, [...at, iterator(slot)]);
    const positions = positionsOf(routing, number);
    let next = head;
    const subscripts = roles.map((role) => {
      if (role === 'row') return iterator(next++);
      return positions.get(role) ?? iterator(batch.indexOf(role));
    });
    const value = split ? load(split.result, [iterator(source), ...subscripts]) : load(from, subscripts);
    const extents = from.shape.filter((_, dim) => roles[dim] === 'row');
    const buffer = newTensor(from.name, from.dtype, [...first, experts, count, ...extents]);
    const isUsed = apply('eq', load(slots.chosen, [...at, number]), integer(1));
    const move = moved(buffer, { from: source, to: expert });
    sent.set(key, move.result);
    const filled = map(buffer, apply('select', isUsed, value, constant(scalarType(value), 0)));
    return { rows: move.result, nodes: [...(split ? [split] : []), filled, move] };
  }

  /** Block p of the tokens at [p, …]. */
  function blocksOf(from: Tensor, tokens: number): ComputeNode {
    const { sources } = routing;
    const shape = [sources, ...from.shape.with(tokens, block)];
    const subscripts = from.shape.map((_, dim) => iterator(dim + 1));
    const start = apply('mul', iterator(0), integer(block));
    const inBlock = subscripts.with(tokens, apply('add', start, subscripts[tokens]!));
    return map(newTensor(from.name, from.dtype, shape), load(from, inBlock));
  }

  /** The node for each slot, after the nodes that bring what it reads. */
  function slotwise({ axes, node }: RoutedNode): readonly Node[] {
    const rank = node.result.shape.length;
    const total = rank + (node.reduce?.extents.length ?? 0);
    const rows = [...node.result.shape.keys()].filter((axis) => !axes.includes(axis));
    // Until all loads are replaced, the new axes stand after those of the node.
    const [p, e, c] = [total, total + 1, total + 2];
    const at = [...batch.map((dim) => iterator(axes[dim]!)), ...[p, e, c].map(iterator)];
    const before: Node[] = [];
    const replaced = (read: Load): Scalar => {
      if (read.tensor === pick.id) return iterator(e);
      const inside = region.get(read.tensor);
      if (inside !== undefined) {
        const rest = read.subscripts.filter((_, dim) => !inside.axes.includes(dim));
        return load(perSlot.get(read.tensor)!, [...at, ...rest]);
      }
      const row = rowOf(read, tensor(read.tensor), axes, node);
      if (!row.roles.some((role) => role !== 'row' && !batch.includes(role))) return read;
      const { nodes: bringing, rows: held } = brought(row);
      before.push(...bringing);
      return load(held, [...at, ...read.subscripts.filter((_, dim) => row.roles[dim] === 'row')]);
    };
    const renumbered = (axis: number): Scalar => {
      if (axis >= total) return iterator(source + axis - total);
      if (axis >= rank) return iterator(head + rows.length + axis - rank);
      const dim = axes.indexOf(axis);
      return iterator(dim < 0 ? head + rows.indexOf(axis) : batch.indexOf(dim));
    };
    const { dtype, name, shape } = node.result;
    const result = newTensor(name, dtype, [...first, experts, count, ...rows.map((axis) => shape[axis]!)]);
    perSlot.set(node.result.id, result);
    const changed = mapNodeScalars(node, (scalar) =>
      substituteIterators(
        mapScalar(scalar, (part) => (part.op === 'load' ? replaced(part) : part)),
        renumbered,
      ),
    );
    return [...before, { ...changed, result }];
  }

  /** What a dimension of what is read stands for: one of `pick`, or part of a row. */
  function rowOf(read: Load, from: Tensor, axes: readonly number[], node: ComputeNode): Row {
    const roles = read.subscripts.map((subscript, dim): Role => {
      const role = subscript.op === 'iterator' ? axes.indexOf(subscript.axis) : -1;
      return role >= 0 && from.shape[dim] === node.result.shape[axes[role]!] ? role : 'row';
    });
    return { from, roles };
  }

  /** The result for each pick, as it was, out of those for each slot. */
  function returned({ axes, node }: RoutedNode): readonly Node[] {
    const back = moved(perSlot.get(node.result.id)!, { from: expert, to: source });
    const position = (dim: number): Scalar => iterator(axes[dim]!);
    const length = integer(Math.max(1, block));
    const at = [
      ...batch.map(position),
      apply('floordiv', position(token), length),
      load(pick, axes.map(iterator)),
    ];
    const number = numberOf(routing, (dim) =>
      dim === token ? apply('mod', position(dim), length) : position(dim),
    );
    const own = apply('sub', load(slots.upTo, [...at, number]), integer(1));
    const rows = [...node.result.shape.keys()].filter((axis) => !axes.includes(axis));
    const value = load(back.result, [...at, own, ...rows.map(iterator)]);
    const held = apply('lt', own, integer(count));
    const zero = constant(scalarType(value), 0);
    return [
      back,
      map(node.result, count < picksInBlock(routing) ? apply('select', held, value, zero) : value),
    ];
  }

  const isOf = (node: Node): RoutedNode | undefined =>
    node.kind === 'compute' ? region.get(node.result.id) : undefined;
  const outside = new Set([
    ...graph.outputs.map((output) => output.tensor),
    ...graph.nodes.filter((node) => isOf(node) === undefined).flatMap((node) => [...readsOf(node)]),
  ]);
  return {
    ...graph,
    nodes: graph.nodes.flatMap((node): readonly Node[] => {
      const routed = isOf(node);
      if (routed === undefined) return [node];
      const computing = slotwise(routed);
      const returning = outside.has(routed.node.result.id) ? returned(routed) : [];
      return [...(routed === nodes[0] ? slots.nodes : []), ...computing, ...returning];
    }),
  };
}
