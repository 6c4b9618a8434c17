/**
 * Exchanges between the logical devices of one adapter, side by side with what the adapter copies: `npm run
 * bench:mesh -- [VERB…] [--json]`. Each moves at least the bytes that its devices read and write; the goal is
 * half of a copy's bytes a second: the adapter's own copy for what moves,
 * a copying kernel for what combines. Results are checked in the same run.
 */
import { type ExchangeVerb, exchangeVerbs, type Graph } from '../compiler/graph/graph.ts';
import { chunkCount, verbFacts } from '../compiler/plan/exchange-verbs.ts';
import { packedBytes } from '../compiler/plan/storage-bytes.ts';
import { compileFor } from '../driver/compile.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { loadMesh } from '../runtime/mesh/run-mesh.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { bufferUsage } from '../runtime/webgpu/usage.ts';
import { tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { measureCeilings } from './ceilings.ts';
import { medianTime } from './timing.ts';

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');
const devices = 4;
const mesh: Mesh = { axes: [{ name: 'x', size: devices }] };
const measuredDtypes: readonly Dtype[] = ['f32', 'bf16'];

interface Row {
  readonly verb: ExchangeVerb;
  readonly dtype: Dtype;
  readonly milliseconds: number;
  readonly bestMilliseconds: number;
  readonly gigabytesASecond: number;
  /** Of the bytes a second of the copy that is alike. */
  readonly ofCopy: number;
  readonly launches: number;
  readonly sentBytes: number;
  readonly isRight: boolean;
}

type Expected = (rank: number, place: number, elements: number) => number;
const expected: { readonly [V in ExchangeVerb]: Expected } = {
  all_gather: (_, place, elements) => elementOf(Math.floor(place / elements), place % elements),
  all_reduce: (_, place) => sumAt(place),
  reduce_scatter: (rank, place, elements) => sumAt(rank * elements + place),
  all_to_all: (rank, place, elements) =>
    elementOf(Math.floor(place / elements), rank * elements + (place % elements)),
  shift: (rank, place) => elementOf((rank + devices - 1) % devices, place),
  broadcast: (_, place) => elementOf(0, place),
};

/** Chunks that must be read and written for each device; a copy of what it has itself counts as well. */
const movedChunks: { readonly [V in ExchangeVerb]: number } = {
  all_gather: 2 * devices,
  all_reduce: 2,
  reduce_scatter: devices + 1,
  all_to_all: 2 * devices,
  shift: 2,
  broadcast: 2,
};

const opened = await openDevice(await openAdapter({ report: (line) => process.stderr.write(`${line}\n`) }));
// Each device's source or result, whichever is larger.
const wholeBytes = opened.profile.software ? 4 << 20 : 64 << 20;
const byKernel = (await measureCeilings(opened)).bytes;
const copied = Math.max(await measureCopy(opened), await measureCopy(opened), await measureCopy(opened));
say(`${opened.description}, ${devices} logical devices, ${wholeBytes >> 20} MiB each`, {
  device: opened.description,
});
say(
  `ceilings: ${(copied / 1e9).toFixed(1)} GB/s read and written by a copy, ${(byKernel / 1e9).toFixed(1)} by a kernel`,
  { copied, byKernel },
);
say('          verb  dtype        ms   best ms      GB/s  of copy  launches    sent MiB  right');
for (const verb of exchangeVerbs.filter((name) => names.length === 0 || names.includes(name)))
  for (const dtype of measuredDtypes) {
    const row = await measure(verb, dtype);
    say(line(row), row);
  }
opened.destroy();

function say(text: string, record: object = {}): void {
  console.log(json ? JSON.stringify(record) : text);
}

function line(row: Row): string {
  return [
    row.verb.padStart(14),
    row.dtype.padStart(6),
    row.milliseconds.toFixed(2).padStart(9),
    row.bestMilliseconds.toFixed(2).padStart(9),
    row.gigabytesASecond.toFixed(1).padStart(9),
    `${(row.ofCopy * 100).toFixed(0)}%`.padStart(8),
    `${row.launches}`.padStart(9),
    (row.sentBytes / 2 ** 20).toFixed(1).padStart(11),
    (row.isRight ? 'yes' : 'NO').padStart(6),
  ].join(' ');
}

async function measure(verb: ExchangeVerb, dtype: Dtype): Promise<Row> {
  const { source, result } = verbFacts[verb];
  const chunks = [source, result].map((each) => chunkCount(each, devices));
  const elements = wholeBytes / packedBytes({ dtype, shape: [Math.max(...chunks)] });
  const shapes = chunks.map((count) => (count === 1 ? [elements] : [count, elements]));
  const loaded = await loadMesh(compile(verb, dtype, shapes[0]!, shapes[1]!), opened);
  const count = chunks[0]! * elements;
  const inputs = Array.from({ length: devices }, (_, device) => {
    const values = Array.from({ length: count }, (_, place) => elementOf(device, place));
    return new Map([['x', tensorFromValues(dtype, shapes[0]!, values)]]);
  });
  const outputs = await loaded.run(inputs);
  const isRight = outputs.every((output, rank) =>
    tensorValues(output.get('out')!).every((value, place) => value === expected[verb](rank, place, elements)),
  );
  const time = await medianTime(() => loaded.runOnDevice());
  loaded.destroy();
  const moved = devices * elements * packedBytes({ dtype, shape: [1] }) * movedChunks[verb];
  return {
    verb,
    dtype,
    milliseconds: time.seconds * 1000,
    bestMilliseconds: time.best * 1000,
    gigabytesASecond: moved / time.best / 1e9,
    ofCopy: moved / time.best / (verbFacts[verb].combines ? byKernel : copied),
    launches: loaded.launches,
    sentBytes: Math.max(...loaded.traffic.sentBytes),
    isRight,
  };
}

function compile(
  verb: ExchangeVerb,
  dtype: Dtype,
  source: readonly number[],
  result: readonly number[],
): ReturnType<typeof compileFor>['package'] {
  const x = { id: 0, name: 'x', dtype, shape: source };
  const out = { id: 1, name: 'out', dtype, shape: result };
  const group = { verb, axes: ['x'], devices, combiner: 'sum' } as const;
  const graph: Graph = {
    name: verb,
    inputs: [{ path: 'x', tensor: x }],
    nodes: [{ kind: 'exchange', ...group, source: 0, result: out }],
    outputs: [{ path: 'out', tensor: 1 }],
  };
  const device = { graph, mesh, inputs: new Map(), outputs: new Map() };
  const lowered = { kind: 'lowered', graph, optimized: graph, below: new Map(), device } as const;
  const instance = { entry: verb, sizes: new Map(), inputDtypes: new Map() };
  return compileFor(lowered, instance, opened.profile).package;
}

/** Small enough that sums are exact in bf16. */
function elementOf(device: number, place: number): number {
  return (place % 31) + device;
}

function sumAt(place: number): number {
  return Array.from({ length: devices }, (_, device) => elementOf(device, place)).reduce((a, b) => a + b);
}

/** Bytes read and written a second by the adapter's own copy between buffers. */
async function measureCopy({ device }: OpenedDevice): Promise<number> {
  const usage = bufferUsage.copySource | bufferUsage.copyDestination;
  const buffers = Array.from({ length: 2 * devices }, () => device.createBuffer({ size: wholeBytes, usage }));
  const time = await medianTime(async () => {
    const encoder = device.createCommandEncoder();
    for (let pair = 0; pair < devices; pair++)
      encoder.copyBufferToBuffer(buffers[2 * pair]!, 0, buffers[2 * pair + 1]!, 0, wholeBytes);
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  });
  for (const buffer of buffers) buffer.destroy();
  return (2 * devices * wholeBytes) / time.best;
}
