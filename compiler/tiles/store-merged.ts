/**
 * What is only stored once more, with axes merged or split, and is a result of the program, is stored where
 * the result is: the elements lie in the same order, as heads `(g, r)` of attention and the heads of its
 * result do.
 */
import type { ComputeNode, Graph, Node, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { apply, integer, iterator, type Load, scalarKey } from '../graph/scalar.ts';
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
    graph.nodes.filter(isComputed).map((node): [TensorId, Tensor] => [node.result.id, node.result]),
  );
  const results = new Map<TensorId, Tensor>();
  const instead = new Map<TensorId, Tensor>();
  for (const node of graph.nodes) {
    if (node.kind !== 'compute' || node.reduce !== undefined || node.body.op !== 'load') continue;
    const source = computed.get(node.body.tensor);
    if (source === undefined || !isReadOnce(source) || !isOnlyResult(node.result)) continue;
    if (source.dtype !== node.result.dtype || !isSameOrder(node, node.body, source)) continue;
    const { id, name } = node.result;
    results.set(id, node.result);
    instead.set(source.id, { ...source, id, name });
  }
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (!isComputed(node)) return [node];
    if (results.has(node.result.id)) return [];
    const result = instead.get(node.result.id);
    return [result === undefined ? node : { ...node, result }];
  });
  return { graph: { ...graph, nodes }, results };
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
