/**
 * Random programs with twins: nodes that compute what another one does, or almost. What is taken for the same
 * and is not shows in them, and what becomes the end of a reduction.
 */
import { type Choose, pick } from '../../compiler/graph/choice-tape.ts';
import type { Combiner, ComputeNode, Node, Scalar, Tensor } from '../../compiler/graph/graph.ts';
import { results } from '../../compiler/graph/graph.ts';
import type { RandomProgram } from '../../compiler/graph/random-graph.ts';
import {
  apply,
  constant,
  convert,
  iterator,
  iterators,
  load,
  reduced,
  scalarType,
  substituteIterators,
  tensorsOf,
} from '../../compiler/graph/scalar.ts';
import { allTensors } from '../../compiler/graph/uses.ts';

/** A twin of the node, with what reads it; nothing where the node has none of the kind. */
type Twin = (
  node: ComputeNode,
  result: (like: Tensor, shape?: readonly number[]) => Tensor,
) => readonly Node[];

const otherCombiner: { readonly [C in Combiner]: Combiner } = {
  sum: 'max',
  prod: 'sum',
  max: 'min',
  min: 'prod',
  any: 'all',
  all: 'any',
  argmax: 'argmin',
  argmin: 'argmax',
};

const twins: { readonly [kind: string]: Twin } = {
  'the same': (node, result) => [{ ...node, result: result(node.result) }],
  'with the axes turned, and read': (node, result) =>
    read(turned(node, result(node.result, node.result.shape.toReversed())), result, (rank) => [
      iterators(rank),
    ]),
  'with the axes turned': (node, result) => [
    turned(node, result(node.result, node.result.shape.toReversed())),
  ],
  'with another combiner': (node, result) =>
    node.reduce === undefined || node.reduce.extents.includes(0)
      ? []
      : [
          {
            ...node,
            result: result(node.result),
            reduce: { ...node.reduce, combiner: otherCombiner[node.reduce.combiner] },
          },
        ],
  'stored in another type': (node, result) =>
    node.result.dtype === 'f32' ? [{ ...node, result: { ...result(node.result), dtype: 'bf16' } }] : [],
  'with another end': (node, result) => {
    const type = typeReduced(node);
    if (node.reduce === undefined || type === 'bool') return [];
    const { finish } = node.reduce;
    const value = finish ?? reduced(type);
    const own = scalarType(value);
    if (own === 'bool') return [];
    const reduce = { ...node.reduce, finish: apply('sub', value, constant(own, 1)) };
    return [{ ...node, result: result(node.result), reduce }];
  },
  'the place of the greatest, with its reduced axes turned': (node, result) => {
    const type = scalarType(node.body);
    if (node.reduce?.extents.length !== 2 || node.reduce.extents.includes(0) || type === 'bool') return [];
    const rank = node.result.shape.length;
    const swap = (axis: number) => iterator(axis === rank ? rank + 1 : axis === rank + 1 ? rank : axis);
    const { extents } = node.reduce;
    const place = (body: Scalar, own: readonly number[]): ComputeNode => ({
      ...node,
      body,
      result: { ...result(node.result), dtype: 'i32' },
      reduce: { combiner: 'argmax', extents: own, finish: undefined },
    });
    return [place(node.body, extents), place(substituteIterators(node.body, swap), extents.toReversed())];
  },
  'read with the axes turned': (node, result) =>
    readBy(node, result, (rank) => [iterators(rank).toReversed()]),
  'read on its diagonal': (node, result) =>
    readBy(square(node), result, (rank) => (rank === 2 ? [[iterator(0), iterator(0)]] : [iterators(rank)])),
  'read both ways': (node, result) =>
    readBy(square(node), result, (rank) =>
      rank === 2 ? [iterators(rank), iterators(rank).toReversed()] : [iterators(rank)],
    ),
};

function typeReduced({ body, reduce }: ComputeNode) {
  return reduce?.combiner === 'argmax' || reduce?.combiner === 'argmin' ? 'i32' : scalarType(body);
}

function turned(node: ComputeNode, result: Tensor): ComputeNode {
  const rank = result.shape.length;
  const turn = (scalar: Scalar) =>
    substituteIterators(scalar, (axis) => iterator(axis < rank ? rank - 1 - axis : axis));
  const reduce = node.reduce && { ...node.reduce, finish: node.reduce.finish && turn(node.reduce.finish) };
  return { ...node, result, body: turn(node.body), reduce };
}

/** Of what has two axes, as much as they have in common. */
function square(node: ComputeNode): ComputeNode {
  const { shape } = node.result;
  if (shape.length !== 2) return node;
  const extent = Math.min(...shape);
  return { ...node, result: { ...node.result, shape: [extent, extent] } };
}

/** A node almost like it, and a map that alone reads it, at its own axes in some order. */
function readBy(node: ComputeNode, result: Parameters<Twin>[1], placesOf: PlacesOf): readonly Node[] {
  const type = scalarType(node.body);
  const body = type === 'bool' ? apply('not', node.body) : apply('sub', node.body, constant(type, 1));
  return read({ ...node, body, result: result(node.result) }, result, placesOf);
}

type PlacesOf = (rank: number) => readonly (readonly Scalar[])[];

function read(twin: ComputeNode, result: Parameters<Twin>[1], placesOf: PlacesOf): readonly Node[] {
  const places = placesOf(twin.result.shape.length);
  const [first] = places;
  const shape = [...twin.result.shape.keys()].map((axis) => {
    const dim = first!.findIndex((place) => place.op === 'iterator' && place.axis === axis);
    return twin.result.shape[Math.max(0, dim)]!;
  });
  const out = { ...result(twin.result, shape), dtype: 'f32' as const };
  const value = places
    .map((own) => convert('f32', load(twin.result, own)))
    .reduce((left, right) => apply('sub', left, right));
  const body = shape.length === 0 ? value : apply('add', value, convert('f32', iterator(0)));
  return [twin, { kind: 'compute', result: out, body, reduce: undefined, grouped: undefined }];
}

const kinds = Object.keys(twins);

/** A program with some twins of its nodes, and of its sorts and prefixes, all of them outputs. */
export function withTwins({ graph, inputs }: RandomProgram, choose: Choose): RandomProgram {
  let next = Math.max(-1, ...allTensors(graph).keys()) + 1;
  const result = (like: Tensor, shape = like.shape): Tensor => ({ ...like, id: next++, shape });
  const made = graph.nodes.flatMap((node): readonly Node[] => {
    switch (node.kind) {
      case 'compute':
        return node.grouped ? [] : [0, 1, 2].flatMap(() => twins[pick(choose, kinds)]!(node, result));
      case 'order': {
        const direction = pick(choose, ['ascending', 'descending'] as const);
        return [{ ...node, direction, result: result(node.result) }];
      }
      case 'prefix':
        return [{ ...node, combiner: pick(choose, ['sum', 'max'] as const), result: result(node.result) }];
      default:
        return [];
    }
  });
  const read = new Set(made.flatMap((node) => (node.kind === 'compute' ? loaded(node) : [])));
  const outputs = made
    .flatMap(results)
    .filter(({ id }) => !read.has(id))
    .map(({ id }, at) => ({ path: `twin.${at}`, tensor: id }));
  return {
    graph: { ...graph, nodes: [...graph.nodes, ...made], outputs: [...graph.outputs, ...outputs] },
    inputs,
  };
}

function loaded({ body }: ComputeNode): readonly number[] {
  return [...tensorsOf(body)];
}
