/** `ricci run --trace`: what a trace viewer gets, on one device and on meshes in this process. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { traceFaults } from '../runtime/trace/testing.ts';
import { runInProcess } from './testing.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-trace-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const random = ['--random', '1', '--target', 'wasm'];
const sharded = ['property-tests/programs/sharded.ricci', '--size', 'T=4,D=8,F=8,L=3'];
const attention = ['property-tests/programs/tour-attention.ricci', '--size', 'S=8,G=4,R=2,A=4'];

async function traced(args: readonly string[], where = ['--target', 'wasm']): Promise<string> {
  const file = join(folder, 'trace.json');
  const run = ['run', ...args, '--random', '1', ...where, '--trace', file];
  const { status, stderr } = await runInProcess(...run);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return readFileSync(file, 'utf8');
}

const onAdapter = ['--adapter', 'software'];
const layers = [...sharded, '--entry', 'layers', '--mesh', 'dp=2,tp=2'];

describe('a trace', () => {
  test.each([
    ['one device', [...sharded, '--entry', 'layers'], { devices: 1, exchanges: 0, of: 1 }],
    ['a loop of all-reduces', layers, { devices: 4, exchanges: 3, of: 2 }],
    ['one WebGPU device', [...sharded, '--entry', 'layers'], { devices: 1, exchanges: 0, of: 1 }, onAdapter],
    ['a loop on WebGPU', layers, { devices: 4, exchanges: 3, of: 2 }, onAdapter],
    [
      'ring attention',
      [...attention, '--entry', 'ring', '--mesh', 'sp=4'],
      { devices: 4, exchanges: 6, of: 4, arrows: 1 },
    ],
    ['Ulysses', [...attention, '--entry', 'ulysses', '--mesh', 'sp=4'], { devices: 4, exchanges: 4, of: 4 }],
  ] as const)(
    'of %s has every device and exchange, and who sends to whom',
    async (_, args, expected, where = ['--target', 'wasm']) => {
      expect(traceFaults(await traced(args, where), expected)).toEqual([]);
    },
  );

  test.each([
    ["the host's", ['--target', 'wasm']],
    ["the device's own", onAdapter],
  ])('by %s clock names devices, kernels and exchanges, with sizes in bytes', async (clock, where) => {
    const entry = ['--entry', 'two_ways', '--size', 'T=4,D=8,F=8', '--mesh', 'dp=2,tp=2'];
    const text = await traced([sharded[0]!, ...entry], where);
    const { otherData, traceEvents } = JSON.parse(text) as {
      readonly otherData: Readonly<Record<string, string>>;
      readonly traceEvents: readonly { readonly name: string; readonly args: unknown }[];
    };
    expect(otherData.clock).toContain(clock);
    const argumentsOf = (name: string) => traceEvents.find((event) => event.name === name)?.args;
    expect(argumentsOf('process_name')).toEqual({ name: 'device 0 (dp=0, tp=0)' });
    expect(argumentsOf('all_reduce @tp: y')).toEqual({
      tensor: 'y',
      devices: '0 1',
      'bytes sent': 64,
      chunk: '16 f32, 64 bytes',
    });
    const kernel = traceEvents.find(({ name }) => name.endsWith(': h'));
    expect(kernel?.args).toMatchObject({ reads: 'x, w1', 'bytes of what it reads': 192, writes: 'h' });
  });

  test('that lacks something is wrong', async () => {
    const text = await traced(layers);
    const expected = { devices: 4, exchanges: 3, of: 2 };
    const { traceEvents, ...rest } = JSON.parse(text) as {
      readonly traceEvents: readonly Readonly<Record<string, unknown>>[];
    };
    const without = (found: (event: Readonly<Record<string, unknown>>) => boolean) => {
      const place = traceEvents.findLastIndex(found);
      expect(place).toBeGreaterThan(0);
      return traceFaults(JSON.stringify({ ...rest, traceEvents: traceEvents.toSpliced(place, 1) }), expected);
    };
    for (const ph of ['s', 'f']) expect(without((event) => event.ph === ph)).not.toEqual([]);
    expect(without((event) => event.cat === 'communication' && event.ph === 'X')).not.toEqual([]);
    const late = traceEvents.map((event) => (event.ph === 'f' ? { ...event, ts: 1e9 } : event));
    expect(traceFaults(JSON.stringify({ ...rest, traceEvents: late }), expected)).not.toEqual([]);
    const longer = traceEvents.map((event) => (event.ph === 'X' ? { ...event, dur: 1e9 } : event));
    expect(traceFaults(JSON.stringify({ ...rest, traceEvents: longer }), expected)).not.toEqual([]);
  });

  test('is not there when the run fails', async () => {
    const file = join(folder, 'none.json');
    const args = [...sharded, '--entry', 'layers', '--input', 'x=nothing.npy', ...random, '--trace', file];
    expect(await runInProcess('run', ...args)).toMatchObject({ status: 1, stdout: '' });
    expect(existsSync(file)).toBe(false);
  });
});
