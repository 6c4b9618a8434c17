/** Models that are loaded with bounds, and packages of bounded sizes: what they take and what they refuse. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import type { TensorData } from '../runtime/weights/tensor-data.ts';
import { checkFile } from './check.ts';
import { compileWasm } from './compile.ts';
import { type Instance, lower } from './lower.ts';
import { load, tensor, valuesOf } from './model.ts';

const source = `
export fn sums(x: f32[S, D], y: f32[D, S]) -> f32[S] where S % 2 == 0 = for s: sum d: x[s, d] * y[d, s]
export fn doubled(x: f32[S]) -> f32[S] = 2 * x
export fn halves(x: f32[S]) -> f32[S / 2] where S % 2 == 0 = for s < S / 2: x[s]
export fn counted[S](c: f32) -> f32[S] = for s: c + f32(s)
export fn picked(table: f32[V], place: ix(V)[S]) -> f32[S] = for s: table[place[s]]
export fn steps(x: f32[S, D]) -> f32[D] = fold row in x from acc = (for d: 0.0): for d: 0.5 * acc[d] + row[d]
`;

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-bounds-'));
  file = join(folder, 'bounds.ricci');
  writeFileSync(file, source);
});
afterAll(() => rmSync(folder, { recursive: true }));

const row = (length: number) =>
  tensor(
    'f32',
    [length],
    Array.from({ length }, (_, at) => at),
  );

test.each(['wasm', 'wgsl', 'reference'] as const)(
  'a model takes any length up to its bound (%s)',
  async (target) => {
    const model = await load(file, { target, bounds: { S: 10 } });
    for (const length of [6, 10, 2, 0]) {
      const ones = Array.from({ length: 3 * length }, () => 1);
      const [x, y] = [tensor('f32', [length, 3], ones), tensor('f32', [3, length], ones)];
      const { out } = await model.call('sums', { x, y });
      expect([...valuesOf(out)]).toEqual(Array.from({ length }, () => 3));
    }
    await expect(model.call('doubled', { x: row(11) })).rejects.toThrow('S = 11, and the bound of S is 10');
    await expect(
      model.call('sums', { x: tensor('f32', [1, 3], [1, 1, 1]), y: tensor('f32', [3, 1], [1, 1, 1]) }),
    ).rejects.toThrow('S % 2 == 0 does not hold');
    const { out } = await model.call('counted', { c: tensor('f32', [], [1]) }, { S: 3 });
    expect([...valuesOf(out)]).toEqual([1, 2, 3]);
    model.close();
  },
);

test('what is not one program for all sizes says why', async () => {
  const model = await load(file, { target: 'wasm', bounds: { S: 8 } });
  const steps = model.call('steps', { x: tensor('f32', [2, 1], [1, 2]) });
  await expect(steps).rejects.toThrow(
    'steps cannot be compiled for all S up to a bound: the steps of a loop',
  );
  await expect(model.call('halves', { x: row(4) })).rejects.toThrow('does not grow in step with S');
  model.close();
  await expect(
    load(file, { bounds: { S: 0 } }).then((each) => each.call('doubled', { x: row(1) })),
  ).rejects.toThrow('the bound of S is 0');
});

async function loaded(instance: Pick<Instance, 'entry' | 'sizes' | 'bounds'>) {
  const checked = checkFile(file);
  if (checked.kind === 'rejected') return expect.unreachable();
  const whole: Instance = { ...instance, inputDtypes: new Map() };
  const lowered = lower(checked, whole);
  if (lowered.kind === 'rejected') return expect.unreachable();
  return loadWasm(compileWasm(lowered, whole, wasmDeviceHere()).package, { threads: 1 });
}

test('a package finds its sizes, and refuses those that it is not for', async () => {
  const bounds = new Map([['S', 8]]);
  const sums = await loaded({ entry: 'sums', sizes: new Map([['D', 1]]), bounds });
  const inputs = (length: number, other: number) =>
    new Map<string, TensorData>([
      ['x', tensor('f32', [length, 1], Array<number>(length).fill(1))],
      ['y', tensor('f32', [1, other], Array<number>(other).fill(2))],
    ]);
  expect([...valuesOf(sums.run(inputs(4, 4)).get('out')!)]).toEqual([2, 2, 2, 2]);
  expect(() => sums.run(inputs(4, 2))).toThrow('S is 4 by the input x');
  expect(() => sums.run(inputs(3, 3))).toThrow('S % 2 == 0 does not hold for S = 3');
  expect(() => sums.run(inputs(10, 10))).toThrow('S is 10, and the package is for S from 0 to 8');
  expect(() => sums.run(new Map([['x', inputs(2, 2).get('x')!]]))).toThrow('the input y was given as [1, 4]');
  // What was refused has changed nothing.
  expect(sums.run(new Map()).get('out')!.shape).toEqual([4]);
  sums.destroy();

  const picked = await loaded({ entry: 'picked', sizes: new Map([['S', 1]]), bounds: new Map([['V', 8]]) });
  const at = (place: number) =>
    new Map<string, TensorData>([
      ['table', row(3)],
      ['place', tensor('i32', [1], [place])],
    ]);
  expect([...valuesOf(picked.run(at(2)).get('out')!)]).toEqual([2]);
  expect(() => picked.run(at(3))).toThrow('place');
  picked.destroy();

  const counted = await loaded({ entry: 'counted', sizes: new Map(), bounds });
  const c = new Map([['c', tensor('f32', [], [0])]]);
  expect(() => counted.run(c)).toThrow('the size S of counted is not known');
  expect(() => counted.run(c, new Map([['T', 1]]))).toThrow('counted has no bounded size T');
  expect([...valuesOf(counted.run(c, new Map([['S', 2]])).get('out')!)]).toEqual([0, 1]);
  counted.destroy();
});
