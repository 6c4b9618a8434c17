/**
 * What a placed program means: the program without its collectives, on which they are the identity. Tensors
 * are numbered by how they are computed, so that two programs mean the same when their outputs have the same
 * numbers. Where a node stands, and what it is called, is not looked at.
 */
import type { ComputeNode, Graph, Node, Scalar, Tensor, TensorId } from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import {
  type Load,
  mapScalar,
  round,
  scalarKey,
  substituteIterators,
  substituteLoads,
} from '../../graph/scalar.ts';
import { sameShape } from '../../graph/tensor-type.ts';
import { allTensors, mapNodeScalars, renameReads } from '../../graph/uses.ts';

/** Whether both compute the same outputs, once collectives are left out. */
export function meansTheSame(before: Graph, after: Graph): boolean {
  const numbers = new Map<string, number>();
  const wanted = outputNumbers(before, numbers, () => true);
  // What only `after` stores, between what both do, is looked at in the place where it is read.
  const stored = new Set(numbers.keys());
  const found = outputNumbers(after, numbers, (key) => stored.has(key));
  return wanted.size === found.size && [...wanted].every(([path, number]) => found.get(path) === number);
}

/** Of each output by path. Maps that are not to be stored are put in place of their loads. */
function outputNumbers(
  graph: Graph,
  numbers: Map<string, number>,
  isStored: (key: string) => boolean,
): ReadonlyMap<string, number> {
  const tensors = allTensors(graph);
  const numberOf = new Map<TensorId, number>();
  const views = new Map<TensorId, ComputeNode>();
  const name = (tensor: TensorId): TensorId => numberOf.get(tensor) ?? -1;
  const numbered = (key: string): number => {
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  };
  const define = (tensor: TensorId, number: number): void => {
    numberOf.set(tensor, number);
    views.delete(tensor);
  };

  const visit = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      if (node.kind === 'collective') {
        define(node.result.id, name(node.source));
        const view = views.get(node.source);
        if (view !== undefined) views.set(node.result.id, view);
        continue;
      }
      if (node.kind === 'loop') {
        for (const [position, { tensor }] of node.body.inputs.entries())
          define(tensor.id, numbered(`state ${position} of ${node.loop}`));
        visit(node.body.nodes);
        const given = node.body.outputs.map(({ tensor }) => name(tensor));
        const key = `loop ${node.loop} ${node.count} from ${node.initial.map(name)} to ${given}`;
        for (const [position, tensor] of node.results.entries())
          define(tensor.id, numbered(`${key} ${position}`));
        continue;
      }
      const inPlace = mapNodeScalars(node, (scalar) =>
        roundedOnce(substituteLoads(scalar, (load) => viewed(load, views))),
      );
      const seen = roundedInStoring(inPlace);
      const copied = copiedTensor(seen, tensors);
      if (copied !== undefined) {
        define(results(node)[0]!.id, name(copied));
        continue;
      }
      const key = keys[node.kind](renameReads(seen, name) as never);
      if (seen.kind === 'compute' && seen.reduce === undefined && !isStored(`${key} 0`)) {
        define(seen.result.id, numbered(`${key} 0`));
        views.set(seen.result.id, seen);
        continue;
      }
      for (const [position, tensor] of results(node).entries())
        define(tensor.id, numbered(`${key} ${position}`));
    }
  };

  for (const { path, tensor } of graph.inputs) define(tensor.id, numbered(`input ${path}`));
  visit(graph.nodes);
  return new Map(graph.outputs.map(({ path, tensor }) => [path, name(tensor)]));
}

/** The tensor that a node gives back as it is. */
function copiedTensor(node: Node, tensors: ReadonlyMap<TensorId, Tensor>): TensorId | undefined {
  if (node.kind !== 'compute' || node.reduce !== undefined || node.body.op !== 'load') return undefined;
  const { tensor, dtype, subscripts } = node.body;
  const isAsItLies = subscripts.every(
    (subscript, axis) => subscript.op === 'iterator' && subscript.axis === axis,
  );
  const isSame = isAsItLies && dtype === node.result.dtype && sameShape(tensors.get(tensor)!, node.result);
  return isSame ? tensor : undefined;
}

/** Storing rounds to the type of the result: a map that has done so at last says no more. */
function roundedInStoring<N extends Node>(node: N): N {
  if (node.kind !== 'compute' || node.reduce !== undefined) return node;
  const { body, result } = node;
  const isRounded = body.op === 'round' && body.dtype === result.dtype;
  return isRounded ? { ...node, body: body.operand } : node;
}

/** Rounding again to the same type changes nothing. */
function roundedOnce(scalar: Scalar): Scalar {
  return mapScalar(scalar, (part) =>
    part.op === 'round' && part.operand.op === 'round' && part.operand.dtype === part.dtype
      ? part.operand
      : part,
  );
}

/** What is stored is rounded, once. */
function viewed(load: Load, views: ReadonlyMap<TensorId, ComputeNode>): Scalar {
  const view = views.get(load.tensor);
  if (view === undefined) return load;
  const { body, result } = view;
  const element = substituteIterators(body, (axis) => load.subscripts[axis]!);
  const isNarrowAlready = (body.op === 'load' || body.op === 'round') && body.dtype === result.dtype;
  return isNarrowAlready ? element : round(result.dtype, element);
}

type Keys = {
  readonly [K in Exclude<Node['kind'], 'loop' | 'collective'>]: (node: Extract<Node, { kind: K }>) => string;
};

/** Tells what a node computes from what others do; tensors are numbered already. */
const keys: Keys = {
  compute: ({ result, reduce, body, grouped }) =>
    [
      'compute',
      result.dtype,
      result.shape,
      scalarKey(body),
      reduce?.combiner,
      reduce?.extents,
      reduce?.finish && scalarKey(reduce.finish),
      JSON.stringify(grouped),
    ].join(' | '),
  softmaxSum: ({ result, extent, scoreExtents, valueAxes, ...node }) =>
    [
      'softmaxSum',
      result.dtype,
      result.shape,
      extent,
      scoreExtents,
      valueAxes,
      scalarKey(node.scoreBody),
      scalarKey(node.logit),
      node.visible && scalarKey(node.visible),
      scalarKey(node.value),
    ].join(' | '),
  route: ({ pick, experts }) => `route ${pick} ${experts}`,
  order: ({ source, direction, result }) => `order ${source} ${direction} ${result.shape}`,
  prefix: ({ source, combiner, result }) => `prefix ${source} ${combiner} ${result.dtype}`,
  block: ({ source, direction, cuts }) =>
    `${direction} ${source} ${cuts.map((list) => list.join('.')).join(';')}`,
  exchange: ({ verb, source, axes, combiner, result }) =>
    `${verb} ${source} ${axes} ${combiner} ${result.shape}`,
};
