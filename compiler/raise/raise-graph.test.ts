/** What is raised is well-typed, and computes the same bits as the graph that it was raised from. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomLoweredPrograms, type RandomProgram } from '../graph/random-graph.ts';
import { raiseGraph } from './raise-graph.ts';
import { differenceOfRaised, roundsUntilSettled, type Values } from './testing.ts';

const programs = randomLoweredPrograms().filter(({ graph }) => graph.outputs.length > 0);

function inputsOf({ graph, inputs }: RandomProgram): Values {
  return new Map(graph.inputs.map(({ path, tensor }) => [path, inputs.get(tensor.id)!]));
}

describe('random graphs', () => {
  test('check, and compute the same bits', () => {
    fc.assert(
      fc.property(programs, (program) => {
        expect(differenceOfRaised(program.graph, inputsOf(program))).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  test('are raised to the same text again, once lowering has simplified what it can', () => {
    fc.assert(
      fc.property(programs, ({ graph }) => {
        expect(roundsUntilSettled(raiseGraph(graph))).toBeDefined();
      }),
      { numRuns: 100 },
    );
  });
});
