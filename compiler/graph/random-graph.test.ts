import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluateGraph } from './evaluate.ts';
import { float64 } from './float64.ts';
import { combiners } from './graph.ts';
import { printGraph } from './print.ts';
import { randomPrograms } from './random-graph.ts';
import { loadsOf } from './scalar.ts';
import { elementCount } from './tensor-type.ts';
import { allNodes, allTensors, nodeScalars } from './uses.ts';
import { checkGraph } from './well-formed.ts';

const programs = fc.sample(randomPrograms(), { numRuns: 300, seed: 1 });

test('random graphs are well-formed and run', () => {
  for (const { graph, inputs } of programs) {
    expect(checkGraph(graph), printGraph(graph)).toEqual([]);
    const outputs = evaluateGraph(graph, inputs, float64);
    const tensors = allTensors(graph);
    for (const { path, tensor } of graph.outputs) {
      const value = outputs.get(path)!;
      expect(value.shape).toEqual(tensors.get(tensor)!.shape);
      expect(value.data).toHaveLength(elementCount(value));
    }
  }
});

test('random graphs cover the language of graphs', () => {
  const covered = new Set<string>();
  for (const { graph } of programs)
    for (const node of allNodes(graph)) {
      covered.add(node.kind);
      if (node.kind === 'compute' && node.reduce !== undefined) {
        covered.add(node.reduce.combiner);
        if (node.reduce.extents.includes(0)) covered.add('reduction over nothing');
      }
      const looksUp = nodeScalars(node).some((scalar) =>
        loadsOf(scalar).some(({ subscripts }) =>
          subscripts.some((subscript) => loadsOf(subscript).length > 0),
        ),
      );
      if (looksUp) covered.add('look-up');
    }
  const wanted = [
    'compute',
    'softmaxSum',
    'route',
    'order',
    'prefix',
    'loop',
    'collective',
    'look-up',
    ...combiners,
  ];
  for (const what of [...wanted, 'reduction over nothing']) expect(covered).toContain(what);
});

test('values are mostly finite and differ', () => {
  const values = programs.flatMap(({ graph, inputs }) =>
    [...evaluateGraph(graph, inputs, float64).values()].flatMap(({ data }) =>
      Array.from({ length: data.length }, (_, position) => data[position]!),
    ),
  );
  expect(values.filter(Number.isFinite).length / values.length).toBeGreaterThan(0.95);
  expect(new Set(values).size).toBeGreaterThan(100);
});
