/** Counterexamples shrink to what matters, on their structure better than on the choices they are made of. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readTape } from './choice-tape.ts';
import { evaluateGraph } from './evaluate.ts';
import { float64 } from './float64.ts';
import type { Graph, Node } from './graph.ts';
import { printGraph } from './print.ts';
import { type RandomProgram, randomLoweredPrograms, randomProgram } from './random-graph.ts';
import { scalarType, subexpressions } from './scalar.ts';
import { complexityOf, shrinkProgram, smallerPrograms } from './shrink-graph.ts';
import { allNodes, nodeScalars, readsOf } from './uses.ts';
import { checkGraph } from './well-formed.ts';

const sizes = [2, 3, 5, 1, 2, 3, 5, 2, 3, 0];
const programs = fc
  .sample(randomLoweredPrograms(), { numRuns: 40, seed: 7 })
  .filter(({ graph }) => graph.outputs.length > 0);

test('smaller programs are well-formed, run, and are simpler', () => {
  for (const program of programs.slice(0, 15)) {
    let tried = 0;
    for (const smaller of smallerPrograms(program)) {
      expect(checkGraph(smaller.graph), printGraph(smaller.graph)).toEqual([]);
      evaluateGraph(smaller.graph, smaller.inputs, float64);
      expect(complexityOf(smaller)).toBeLessThan(complexityOf(program));
      if (++tried === 60) break;
    }
    expect(tried).toBeGreaterThan(0);
  }
});

test('what fails whatever it is becomes next to nothing', async () => {
  for (const program of programs.slice(0, 10)) {
    const least = await shrinkProgram(program, () => true, 1000);
    expect(partsOf(least), printGraph(least.graph)).toBeLessThanOrEqual(3);
  }
});

test('no more is tried than may be', async () => {
  let tries = 0;
  await shrinkProgram(
    programs[0]!,
    () => {
      tries++;
      return true;
    },
    5,
  );
  expect(tries).toBeLessThanOrEqual(5);
});

/** Nodes and parts of expressions, inputs and outputs. */
function partsOf({ graph }: RandomProgram): number {
  const nodes = allNodes(graph);
  const parts = nodes.flatMap(nodeScalars).flatMap(subexpressions);
  return nodes.length + parts.length + graph.inputs.length + graph.outputs.length;
}

// ── bugs that are planted ──────────────────────────────────────────────────────────────────────────────────

function reads(graph: Graph, by: (node: Node) => boolean, of: (node: Node) => boolean): boolean {
  const nodes = allNodes(graph);
  const made = new Set(nodes.filter(of).flatMap((node) => ('result' in node ? [node.result.id] : [])));
  return nodes.some((node) => by(node) && [...readsOf(node)].some((id) => made.has(id)));
}

const isSum = (node: Node) => node.kind === 'compute' && node.reduce?.combiner === 'sum';

/** Whether a program shows them. */
const bugs: { readonly [name: string]: (program: RandomProgram) => boolean } = {
  'a sum reads an order': ({ graph }) => reads(graph, isSum, ({ kind }) => kind === 'order'),
  'a loop computes an exponential': ({ graph }) =>
    graph.nodes.some(
      (node) =>
        node.kind === 'loop' &&
        node.count > 1 &&
        allNodes(node.body)
          .flatMap(nodeScalars)
          .flatMap(subexpressions)
          .some((part) => part.op === 'apply' && ['tanh', 'exp'].includes(part.function)),
    ),
  'a choice between products': ({ graph }) =>
    allNodes(graph)
      .flatMap(nodeScalars)
      .flatMap(subexpressions)
      .some(
        (part) =>
          part.op === 'apply' &&
          part.function === 'select' &&
          scalarType(part) === 'f32' &&
          part.operands.slice(1).some((own) => own.op === 'apply' && own.function === 'mul'),
      ),
};

const onTape = fc
  .array(fc.noBias(fc.nat(2 ** 16)), { minLength: 300, maxLength: 1200, size: 'max' })
  .map((tape) => randomProgram(readTape(tape), sizes, 'lowered'));

/** Of what the bug shrinks to, for several seeds. Shrinking a tape of hundreds of choices takes long. */
function sizesOf(
  programs: fc.Arbitrary<RandomProgram>,
  shows: (program: RandomProgram) => boolean,
  times: number,
): readonly number[] {
  const seeds = Array.from({ length: times }, (_, seed) => seed + 1);
  const found = seeds.flatMap((seed) => {
    const property = fc.property(programs, (program) => !shows(program));
    const { counterexample } = fc.check(property, { seed, numRuns: 2000 });
    return counterexample === null ? [] : [partsOf(counterexample[0])];
  });
  return found.sort((left, right) => left - right);
}

function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)]!;
}

describe.each(Object.entries(bugs))('%s', (_, shows) => {
  test('is shown by a smaller program than the choices shrink to', () => {
    const structural = sizesOf(randomLoweredPrograms(sizes), shows, 5);
    expect(structural.length).toBeGreaterThanOrEqual(4);
    expect(median(structural)).toBeLessThanOrEqual(16);
    expect(median(structural)).toBeLessThan(median(sizesOf(onTape, shows, 3)));
  });
});
