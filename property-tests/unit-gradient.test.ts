/** Products of products by matrix units, as gradients of attention are, in the emulator. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { elementCount } from '../compiler/graph/tensor-type.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import type { Choice } from '../compiler/tiles/choices/choice.ts';
import { parseChoice } from '../compiler/tiles/choices/choice-text.ts';
import { cudaDevices, wasmDevice } from '../compiler/tiles/device-profile.ts';
import { type PtxTarget, ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { scheduleGraph } from '../compiler/tiles/schedule-graph.ts';
import { allStatements } from '../compiler/tiles/tile-builder.ts';
import type { TileExpression } from '../compiler/tiles/tile-expression.ts';
import type { TileProgram } from '../compiler/tiles/tile-program.ts';
import { compilePtx } from '../driver/compile.ts';
import { checkByUnits, preparedByName } from './by-units.ts';
import { namedProgram } from './named-program.ts';
import { deviceToleranceOf, distance, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';

const file = 'unit-gradient.ricci';
const seed = fc.readConfigureGlobal().seed ?? 0;

/** For one target after the other. */
const cases = [
  'causal_gradient S=70,G=2,R=1,A=32,B=32',
  'causal_gradient S=90,G=1,R=3,A=24,B=40',
  'sliding_gradient S=150,H=1,A=16,B=64',
  'texts_gradient S=130,H=1,A=16,B=16',
  'whole_gradient S=150,U=130,H=1,A=16,B=20',
  'fading S=70,H=2,A=16,B=48',
  'there_and_back S=150,H=1,A=16,B=16',
];

test.each(cases.map((name, at) => ({ name, target: ptxTargets[at % ptxTargets.length]! })))(
  '$name for $target',
  ({ name, target }) => checkByUnits(file, name, 'unitChain', { target, turns: 2 }),
);

const advised = (text: string): Advice => {
  const choice = parseChoice(text) as Choice;
  return ({ kind }) => (kind === 'chain' ? choice : undefined);
};

/** Keys and values have a kernel together. A warpgroup brings boxes, and others compute. */
test.each([
  ['causal_gradient S=150,G=1,R=1,A=64,B=64', 'unitChain warps=4 rows=16 block=32 stages=2', 'late'],
  ['causal_gradient S=130,G=1,R=2,A=64,B=64', 'unitChain warps=8 rows=16 block=48 stages=3', 'early'],
  // More results than leave registers for descriptors.
  [
    'causal_gradient S=130,G=1,R=2,A=128,B=128',
    'unitChain warps=8 rows=16 block=64 stages=2 columns=lanes',
    { seed },
  ],
] as const)('%s brought as boxes', async (name, text, copies) => {
  const { instance, lowered, inputs, written } = preparedByName(file, name);
  const advice = advised(text);
  const { kernels } = compilePtx(lowered, { ...instance, advice }, 'sm_90a');
  const texts = kernels.filter((kernel) => kernel.name.startsWith('chain_')).map(({ entry }) => entry);
  expect(texts).toHaveLength(2);
  for (const entry of texts) expect(entry).toContain('cp.async.bulk.tensor');
  const run = runPtx(lowered, { ...instance, advice }, inputs, { target: 'sm_90a', copies });
  expect(distance(written, await run)).toBeLessThanOrEqual(deviceToleranceOf(written));
});

/** The lanes of a warp load once what differs along a block alone, and give it to each other. */
test.each([
  ['causal_gradient S=150,G=1,R=2,A=32,B=16', 'unitChain warps=4 rows=16 block=64 stages=2', 'sm_80'],
  ['texts_gradient S=200,H=1,A=16,B=16', 'unitChain warps=4 rows=16 block=128 stages=2', 'sm_90a'],
  ['sliding_gradient S=150,H=1,A=16,B=16', 'unitChain warps=2 rows=32 block=64 stages=3', 'sm_80'],
] as const)('%s, by lanes', async (name, text, target) => {
  const { instance, lowered, inputs, written } = preparedByName(file, name);
  const advice = advised(`${text} columns=lanes`);
  expect(compilePtx(lowered, { ...instance, advice }, target).module).toContain('shfl.sync.idx.b32');
  const off = distance(written, await runPtx(lowered, { ...instance, advice }, inputs, { target }));
  expect(off).toBeLessThanOrEqual(deviceToleranceOf(written));
});

describe('what is made where it is used', () => {
  /** Bytes of the largest tensor that there is room for. */
  const largest = (name: string, target: PtxTarget) => {
    const { lowered, instance } = loweredByName(name);
    const { slots } = compilePtx(lowered, instance, target).package.manifest;
    return Math.max(...slots.map(({ bytes }) => bytes));
  };

  test.each(ptxTargets)('has no room in memory, for %s', (target) => {
    expect(largest('causal_gradient S=256,G=2,R=1,A=64,B=64', target)).toBeLessThan(2 * 2 * 256 ** 2);
    expect(largest('there_and_back S=1024,H=2,A=16,B=16', target)).toBeLessThan(2 * 2 * 1024 ** 2);
    // Of weights an index could not count.
    expect(largest('causal_gradient S=65536,G=1,R=1,A=64,B=64', target)).toBe(2 * 64 * 65_536);
  });

  const chainsOf = (name: string, target: PtxTarget) =>
    scheduleGraph(loweredByName(name).lowered.optimized, cudaDevices[target])
      .steps.flatMap((step) => (step.kind === 'kernel' ? [step.program] : []))
      .filter(({ name: kernel }) => kernel.startsWith('chain_'));

  /** Products of each kernel of a chain. */
  const productsOf = (name: string, target: PtxTarget) =>
    chainsOf(name, target).map(
      ({ body }) => allStatements(body).filter(({ kind }) => kind === 'multiplyAccumulate').length,
    );

  test.each(ptxTargets)('is made once for keys and values where registers hold both, for %s', (target) => {
    for (const width of [64, 96, 128]) {
      const name = `causal_gradient S=8192,G=16,R=1,A=${width},B=${width}`;
      expect(productsOf(name, target), name).toEqual([3, 4]);
    }
    // Of f32 a factor is three numbers, all of which a warpgroup has while it multiplies.
    const wide = productsOf('sliding_gradient S=8192,H=16,A=128,B=128', target);
    expect(wide.toSorted()).toEqual(target === 'sm_80' ? [3, 4] : [2, 3, 3]);
  });

  test.each(ptxTargets)('leaves nothing to be scaled or merged after it, for %s', (target) => {
    const { instance, lowered } = loweredByName('causal_gradient S=8192,G=4,R=4,A=128,B=128');
    expect(compilePtx(lowered, instance, target).kernels).toHaveLength(3);
  });

  test.each(ptxTargets)('leaves no processor without work for long at the end, for %s', (target) => {
    const { processors } = cudaDevices[target].units!;
    for (const program of chainsOf('causal_gradient S=8192,G=16,R=1,A=128,B=128', target)) {
      const steps = stepsOf(program);
      const ends = Array.from({ length: processors }, () => 0);
      // Each takes the next one when it has done the one before.
      for (const each of steps) ends[ends.indexOf(Math.min(...ends))]! += each;
      const all = steps.reduce((total, each) => total + each, 0);
      expect(Math.max(...ends) * processors).toBeLessThan(1.02 * all);
    }
  });

  test('is stored where there are no matrix units', () => {
    const { lowered } = loweredByName('causal_gradient S=256,G=2,R=1,A=64,B=64');
    const { chosen } = scheduleGraph(lowered.optimized, wasmDevice);
    const stored = chosen.filter(({ problem }) => elementCount(problem.node.result) >= 2 * 256 * 256);
    expect(stored.map(({ problem }) => problem.kind)).toEqual(['contraction', 'contraction']);
  });
});

/** Steps of the pipeline of each workgroup, in the order in which they begin. */
function stepsOf({ body, grid }: TileProgram): readonly number[] {
  const pipeline = allStatements(body).find((each) => each.kind === 'pipeline')!;
  const count = grid.reduce((total, extent) => total * extent, 1);
  return Array.from({ length: count }, (_, place) => {
    const places = unflattened(place, grid);
    return Math.ceil((valueAt(pipeline.to, places) - valueAt(pipeline.from, places)) / pipeline.step);
  });
}

function unflattened(place: number, extents: readonly number[]): readonly number[] {
  return extents.reduceRight<{ readonly rest: number; readonly places: readonly number[] }>(
    ({ rest, places }, extent) => ({
      rest: Math.floor(rest / extent),
      places: [rest % extent, ...places],
    }),
    { rest: place, places: [] },
  ).places;
}

const operations: { readonly [name: string]: (left: number, right: number) => number } = {
  add: (left, right) => left + right,
  sub: (left, right) => left - right,
  mul: (left, right) => left * right,
  min: Math.min,
  max: Math.max,
  floordiv: (left, right) => Math.floor(left / right),
};

function valueAt(expression: TileExpression, places: readonly number[]): number {
  if (expression.op === 'constant') return expression.value;
  if (expression.op === 'grid') return places[expression.axis]!;
  if (expression.op !== 'apply') return expect.unreachable(expression.op);
  const [left, right] = expression.operands.map((operand) => valueAt(operand, places));
  return operations[expression.function]!(left!, right!);
}

function loweredByName(name: string) {
  const { checked, entry, instances } = namedProgram(`${file}: ${name}`);
  const instance = { entry, sizes: instances[0]!, inputDtypes: new Map() };
  return { instance, lowered: loweredEntry(checked, instance) };
}
