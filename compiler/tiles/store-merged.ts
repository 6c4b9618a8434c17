/**
 * What is only stored once more, with axes merged or split, and is a result of the program, is stored where
 * the result is: the elements lie in the same order, as heads `(g, r)` of attention and the heads of its
 * result do. What is computed of each element alone, as when it is scaled, a reduction finishes with.
 */
import type { ComputeNode, Graph, Node, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import {
  apply,
  float,
  integer,
  iterator,
  iteratorsOf,
  type Load,
  loadsOf,
  reduced,
  scalarKey,
  scalarType,
  substituteLoads,
} from '../graph/scalar.ts';
import { uses } from '../graph/uses.ts';
import { createInterner } from '../optimize/expressions/interner.ts';
import { boundsOf } from '../optimize/nodes.ts';
import { simplifierOf } from '../optimize/simplify.ts';

export interface StoredMerged {
  readonly graph: Graph;
  /** What the program says of results whose shape in the graph is another. */
  readonly results: ReadonlyMap<TensorId, Tensor>;
}

export function storeMerged(graph: Graph): StoredMerged {
  const readers = uses(graph);
  const isOnlyResult = ({ id }: Tensor) => readers.get(id)?.every(({ kind }) => kind === 'output') ?? false;
  const isReadOnce = ({ id }: Tensor) => readers.get(id)?.length === 1;
  const computed = new Map(
    graph.nodes.filter(isComputed).map((node): [TensorId, Computed] => [node.result.id, node]),
  );
  const results = new Map<TensorId, Tensor>();
  const instead = new Map<TensorId, Computed>();
  for (const node of graph.nodes) {
    if (node.kind !== 'compute' || node.reduce !== undefined) continue;
    const [read, ...others] = loadsOf(node.body);
    const source = read && computed.get(read.tensor);
    if (source === undefined || others.length > 0) continue;
    if (!isReadOnce(source.result) || !isOnlyResult(node.result)) continue;
    const made = isSameOrder(node, read!, source.result) ? finished(source, node) : undefined;
    if (made === undefined) continue;
    const { id, name } = node.result;
    results.set(id, node.result);
    instead.set(source.result.id, { ...made, result: { ...made.result, id, name } });
  }
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (!isComputed(node)) return [node];
    if (results.has(node.result.id)) return [];
    return [instead.get(node.result.id) ?? node];
  });
  return { graph: { ...graph, nodes }, results };
}

/** The source with what a copy makes of its elements; undefined where it cannot. */
function finished(source: Computed, { body, result: { dtype } }: ComputeNode): Computed | undefined {
  const { result } = source;
  if (body.op === 'load') return result.dtype === dtype ? source : undefined;
  if (source.kind !== 'compute' || source.reduce === undefined || result.dtype !== 'f32') return undefined;
  const { finish = reduced('f32') } = source.reduce;
  const whole = substituteLoads(body, () => finish);
  const isOfElement = iteratorsOf(substituteLoads(body, () => float(0))).size === 0;
  if (!isOfElement || scalarType(whole) !== 'f32') return undefined;
  return { ...source, result: { ...result, dtype }, reduce: { ...source.reduce, finish: whole } };
}

type Computed = Node & { readonly kind: 'compute' | 'softmaxSum' };

function isComputed(node: Node): node is Computed {
  return node.kind === 'compute' || node.kind === 'softmaxSum';
}

/** Whether each element is read where the same element lies; of programs for all sizes nothing is said. */
function isSameOrder(copy: ComputeNode, { subscripts }: Load, source: Tensor): boolean {
  if (source.ends !== undefined || copy.result.ends !== undefined) return false;
  const wanted = subscriptsOf(copy.result.shape, source.shape);
  const simplify = simplifierOf(boundsOf(copy, new Map()), createInterner());
  const key = (scalar: Scalar) => scalarKey(simplify(scalar));
  return wanted !== undefined && subscripts.every((own, dim) => key(own) === key(wanted[dim]!));
}

/**
 * The places along the dimensions of one shape of what lies at the iterators of another, where groups of
 * dimensions that follow each other have equally many elements, of one dimension in one of the shapes.
 */
function subscriptsOf(shape: readonly number[], other: readonly number[]): readonly Scalar[] | undefined {
  const places: Scalar[] = [];
  let axis = 0;
  while (axis < shape.length && places.length < other.length) {
    const split = groupOf(other, places.length, shape[axis]!);
    const merged = groupOf(shape, axis, other[places.length]!);
    if (split !== undefined) {
      const place = iterator(axis);
      for (const [at, extent] of split.entries()) {
        const behind = split.slice(at + 1).reduce((product, each) => product * each, 1);
        places.push(apply('mod', apply('floordiv', place, integer(behind)), integer(extent)));
      }
      axis++;
    } else if (merged !== undefined) {
      const flat = merged.reduce<Scalar>(
        (sum, extent, at) => apply('add', apply('mul', sum, integer(extent)), iterator(axis + at)),
        integer(0),
      );
      places.push(flat);
      axis += merged.length;
    } else return undefined;
  }
  return axis === shape.length && places.length === other.length ? places : undefined;
}

/** The dimensions from one on that have so many elements together. */
function groupOf(shape: readonly number[], first: number, elements: number): readonly number[] | undefined {
  let product = 1;
  for (let end = first; end < shape.length; end++) {
    product *= shape[end]!;
    if (product === elements) return shape.slice(first, end + 1);
    if (product > elements) return undefined;
  }
  return undefined;
}
