/**
 * The search against an integer program of the same costs, solved by HiGHS: over all roles of all axes at
 * once, where the search takes the axes in turn.
 */
import fc from 'fast-check';
import loadHighs, { type Highs } from 'highs';
import { expect, test } from 'vitest';
import type { Mesh } from '../../../dsl/placement/placement.ts';
import { type Choose, pick, readTape } from '../../graph/choice-tape.ts';
import { randomPrograms } from '../../graph/random-graph.ts';
import { withoutCollectives } from '../../optimize/collectives.ts';
import { type CostModel, defaultCostModel } from './cost-model.ts';
import { movementSeconds } from './movement-seconds.ts';
import { type Network, networkOf } from './network.ts';
import type { Role } from './roles.ts';
import {
  type Numbered,
  numbered,
  type Placements,
  placements,
  rememberedMovements,
  searcher,
  type Weigher,
  weigher,
} from './search.ts';

// Its types are of a CommonJS module, which is not what is imported here.
const highs = await (loadHighs as unknown as () => Promise<Highs>)();
const tapes = fc.array(fc.noBias(fc.nat(2 ** 16)), { minLength: 10, maxLength: 10 });
const programs = randomPrograms([4, 2, 6, 12]);

/** All that is legal at a site, whatever the axes do elsewhere. */
function strategiesOf({ sites }: Network, all: Placements): readonly (readonly Numbered[])[] {
  return sites.map(({ roles, strategy }) =>
    roles
      .reduce<readonly (readonly Role[])[]>(
        (choices, own) => choices.flatMap((choice) => own.map((role) => [...choice, role])),
        [[]],
      )
      .flatMap((choice) => {
        const found = strategy(choice);
        return found === undefined ? [] : [numbered(found, all.numberOf)];
      }),
  );
}

/**
 * One variable for each strategy of a site, and one for each pair of them along an edge (Zheng et al., "Alpa",
 * 2022, without their merging).
 */
function leastByIntegerProgram(network: Network, weigh: Weigher, all: Placements): number {
  const strategies = strategiesOf(network, all);
  const objective: string[] = [];
  const constraints = strategies.map((own, site) => `${sum(own.map((_, at) => `x${site}_${at}`))} = 1`);
  const add = (cost: number, variable: string): void => {
    objective.push(`${cost.toExponential(12)} ${variable}`);
  };
  for (const [site, own] of strategies.entries())
    for (const [at, strategy] of own.entries()) add(weigh.site(strategy), `x${site}_${at}`);
  for (const [number, edge] of network.edges.entries()) {
    const { from, to } = edge;
    const name = (row: number, column: number): string => `y${number}_${row}_${column}`;
    const columns: string[][] = strategies[to.site]!.map(() => []);
    for (const [row, left] of strategies[from.site]!.entries()) {
      const pairs: string[] = [];
      for (const [column, right] of strategies[to.site]!.entries()) {
        const cost = weigh.edge(edge, left, right);
        if (cost === Infinity || (from.site === to.site && row !== column)) continue;
        add(cost, name(row, column));
        pairs.push(name(row, column));
        columns[column]!.push(name(row, column));
      }
      constraints.push(`${sum(pairs)} - x${from.site}_${row} = 0`);
    }
    for (const [column, pairs] of columns.entries())
      constraints.push(`${sum(pairs)} - x${to.site}_${column} = 0`);
  }
  const binary = strategies.flatMap((own, site) => own.map((_, at) => `x${site}_${at}`));
  const text = [
    'Minimize',
    ` cost: ${sum(objective)}`,
    'Subject To',
    ...constraints.map((each, number) => ` c${number}: ${each}`),
    'Binary',
    ...binary.map((variable) => ` ${variable}`),
    'End',
  ].join('\n');
  const solution = highs.solve(text, { mip_rel_gap: 1e-9 });
  expect(solution.Status).toBe('Optimal');
  return solution.ObjectiveValue;
}

/** In lines that the format allows. */
function sum(terms: readonly string[]): string {
  return terms.length === 0 ? '0 none' : terms.join('\n + ');
}

interface Compared {
  readonly found: number;
  readonly least: number;
}

function compare(
  program: { readonly graph: Parameters<typeof networkOf>[0] },
  mesh: Mesh,
  costs: CostModel,
): Compared {
  const graph = withoutCollectives(program.graph);
  const free = { inputs: new Map(), outputs: new Map(), byHand: new Map() };
  const network = networkOf(graph, { mesh, costs, uneven: false, ...free });
  const secondsFor = movementSeconds(mesh, costs);
  const secondsPerByte = 1e-3;
  const all = placements();
  const weigh = weigher(rememberedMovements(network, secondsFor, all), secondsPerByte);
  return {
    found: searcher(network, secondsFor)(secondsPerByte)!.cost,
    least: leastByIntegerProgram(network, weigh, all),
  };
}

/** From links that are worth everything to such as nothing is. */
function randomCosts(choose: Choose): CostModel {
  const link = (): CostModel['link'] => ({
    bytesPerSecond: pick(choose, [0.5, 2, 8, 100]),
    latencySeconds: pick(choose, [0, 0.1, 2]),
  });
  const links = new Map(['a', 'b'].map((axis) => [axis, link()]));
  return { ...defaultCostModel, flopsPerSecond: 1, bytesPerSecond: 16, links };
}

test('on one axis nothing is cheaper', () => {
  fc.assert(
    fc.property(programs, tapes, (program, tape) => {
      const choose = readTape(tape);
      const { found, least } = compare(
        program,
        { axes: [{ name: 'a', size: 2 + choose(2) }] },
        randomCosts(choose),
      );
      expect(found).toBeCloseTo(least, 6);
    }),
    { numRuns: 30, endOnFailure: true },
  );
});

test('on two axes nothing is much cheaper, and mostly nothing at all', () => {
  const ratios: number[] = [];
  fc.assert(
    fc.property(programs, tapes, (program, tape) => {
      const axes = ['a', 'b'].map((name, at) => ({ name, size: 2 + at }));
      const { found, least } = compare(program, { axes }, randomCosts(readTape(tape)));
      expect(found).toBeGreaterThanOrEqual(least * (1 - 1e-6));
      expect(found).toBeLessThanOrEqual(least * 1.1);
      ratios.push(found / Math.max(least, 1e-9));
    }),
    { numRuns: 30, endOnFailure: true },
  );
  const exact = ratios.filter((ratio) => ratio < 1 + 1e-6);
  expect(exact.length / ratios.length).toBeGreaterThan(0.9);
});
