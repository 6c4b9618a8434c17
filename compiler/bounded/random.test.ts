/** Random programs with an extent that a run decides: they compute what the program of each size does. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluateGraph } from '../graph/evaluate.ts';
import type { Extent } from '../graph/extent.ts';
import { float32 } from '../graph/float32.ts';
import type { Graph, Node, Scalar, Tensor } from '../graph/graph.ts';
import { printGraph } from '../graph/print.ts';
import { type RandomProgram, randomPrograms } from '../graph/random-graph.ts';
import { apply, integer, mapScalar } from '../graph/scalar.ts';
import { mapNodeScalars } from '../graph/uses.ts';
import { checkGraph } from '../graph/well-formed.ts';
import { optimize } from '../optimize/passes.ts';
import { withEnds } from './with-ends.ts';
import { Unlike } from './zip-graphs.ts';

/** No other extent, and no other number that subscripts are computed with, is it or one less. */
const capacity = 8;
const sizes = [3, capacity, 5, 1, capacity, 2, capacity, capacity];
/** Of axes that are made of it and others nothing is known. */
const fixed = new Set(
  Array.from({ length: 1000 }, (_, extent) => extent).filter((each) => each % capacity > 0),
);
const most = capacity;
const end: Extent = { constant: 0, terms: [{ size: 'S', most, factor: 1 }] };

/** The program with other extents for the capacity, and expressions for numbers that are it or one less. */
function resized(graph: Graph, extent: (value: number) => number, named: Scalar): Graph {
  const tensor = (each: Tensor): Tensor => ({ ...each, shape: each.shape.map(extent) });
  const scalar = (root: Scalar): Scalar =>
    mapScalar(root, (part) => {
      if (part.op !== 'constant' || part.dtype !== 'i32') return part;
      if (part.value === capacity) return named;
      return part.value === capacity - 1 ? apply('sub', named, integer(1)) : part;
    });
  const node = (each: Node): Node => {
    const own = mapNodeScalars(each, scalar);
    switch (own.kind) {
      case 'compute':
        return {
          ...own,
          result: tensor(own.result),
          reduce: own.reduce && { ...own.reduce, extents: own.reduce.extents.map(extent) },
        };
      case 'order':
      case 'prefix':
      case 'collective':
        return { ...own, result: tensor(own.result) };
      case 'loop':
        return { ...own, body: resized(own.body, extent, named), results: own.results.map(tensor) };
      default:
        throw new Unlike(`${own.kind} is made by passes`);
    }
  };
  return {
    ...graph,
    inputs: graph.inputs.map((input) => ({ ...input, tensor: tensor(input.tensor) })),
    nodes: graph.nodes.map(node),
  };
}

interface Found {
  readonly wanted: readonly number[];
  readonly found: readonly number[];
  readonly shown: string;
}

/** What each gives at the true positions; undefined where there is no such program. */
function compared({ graph, inputs }: RandomProgram, length: number, change = withEnds): Found | undefined {
  if (!graph.inputs.some(({ tensor }) => tensor.shape.includes(capacity))) return undefined;
  const isOfSize = (value: number) => (value === capacity ? length : value);
  let own: Graph;
  let bounded: Graph;
  try {
    own = resized(graph, isOfSize, integer(length));
    const named = resized(graph, (value) => value, { op: 'size', name: 'S', most });
    const numbered = {
      graph: optimize(named),
      extents: new Map([[capacity, end]]),
      fixed,
      capacities: new Map(),
    };
    bounded = change(numbered);
  } catch (error) {
    if (error instanceof Unlike) return undefined;
    throw error;
  }
  if (checkGraph(own).length > 0) return undefined;
  const cut = new Map(
    graph.inputs.map(({ tensor }) => {
      const value = inputs.get(tensor.id)!;
      const shape = tensor.shape.map(isOfSize);
      const data = positions(shape).map((at) => value.data[offset(at, tensor.shape)] as number);
      return [tensor.id, { ...value, shape, data: Float64Array.from(data) }] as const;
    }),
  );
  const wanted = evaluated(own, cut, undefined);
  if (wanted === undefined) return undefined;
  // Behind the ends: NaN, and what is no index.
  const spoilt = new Map(
    graph.inputs.map(({ tensor }) => {
      const value = inputs.get(tensor.id)!;
      const data = Float64Array.from(value.data as ArrayLike<number>);
      for (const [flat, at] of positions(tensor.shape).entries())
        if (at.some((place, dim) => place >= isOfSize(tensor.shape[dim]!)))
          data[flat] = tensor.dtype === 'f32' ? Number.NaN : tensor.dtype === 'bool' ? 1 : 100;
      return [tensor.id, { ...value, data }] as const;
    }),
  );
  const found = evaluated(bounded, spoilt, new Map([['S', length]])) ?? [];
  return {
    wanted: wanted.flatMap(({ data }) => [...data]),
    found: found.flatMap(({ shape, data }, output) => {
      const real = wanted[output]!.shape;
      return positions(real).map((at) => data[offset(at, shape)]!);
    }),
    shown: `${printGraph(own)}\n\n${printGraph(bounded)}`,
  };
}

function evaluated(
  graph: Graph,
  inputs: Parameters<typeof evaluateGraph<number>>[1],
  run?: Map<string, number>,
) {
  try {
    const outputs = evaluateGraph(graph, inputs, float32, undefined, run);
    return [...outputs.values()].map(({ shape, data }) => ({
      shape,
      data: Array.from(data as ArrayLike<number>),
    }));
  } catch (error) {
    // A number that was drawn reads out of range at a smaller size: there is no such program.
    if (run === undefined) return undefined;
    throw error;
  }
}

function positions(shape: readonly number[]): readonly (readonly number[])[] {
  return shape.reduce<readonly (readonly number[])[]>(
    (before, extent) => before.flatMap((at) => Array.from({ length: extent }, (_, place) => [...at, place])),
    [[]],
  );
}

function offset(at: readonly number[], shape: readonly number[]): number {
  return at.reduce((sum, place, dim) => sum * shape[dim]! + place, 0);
}

test('a random program computes at each size what the program of that size does', () => {
  let compares = 0;
  fc.assert(
    fc.property(randomPrograms(sizes), fc.integer({ min: 1, max: capacity }), (program, length) => {
      const result = compared(program, length);
      if (result === undefined) return;
      compares++;
      expect(result.found, result.shown).toEqual(result.wanted);
    }),
    { numRuns: 120 },
  );
  expect(compares).toBeGreaterThan(25);
});

/** Without the choices that a position's being behind an end makes. */
function withoutMasks(graph: Graph): Graph {
  const isBound = (part: Scalar): boolean =>
    part.op === 'apply' &&
    (part.function === 'and'
      ? part.operands.every(isBound)
      : part.function === 'lt' && part.operands[0]!.op === 'iterator' && part.operands[1]!.op === 'size');
  const unmasked = (root: Scalar): Scalar =>
    mapScalar(root, (part) =>
      part.op === 'apply' && part.function === 'select' && isBound(part.operands[0]!)
        ? part.operands[1]!
        : part,
    );
  const nodes = graph.nodes.map((node): Node => {
    if (node.kind === 'loop') return { ...node, body: withoutMasks(node.body) };
    return mapNodeScalars(node, unmasked);
  });
  return { ...graph, nodes };
}

test('masks that are left out are found out', () => {
  const programs = fc.sample(randomPrograms(sizes), { numRuns: 60, seed: 5 });
  const isWrong = (program: RandomProgram): boolean => {
    try {
      const result = compared(program, 3, (numbered) => withoutMasks(withEnds(numbered)));
      return result !== undefined && `${result.found}` !== `${result.wanted}`;
    } catch {
      return true;
    }
  };
  expect(programs.filter(isWrong).length).toBeGreaterThan(2);
});
