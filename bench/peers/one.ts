/**
 * Times one peer on one workload, in a process of its own, and prints a line of JSON: what crashes or hangs
 * costs that line only. `node dist/bench/peers/one.js PEER CASE`.
 */
import { type TensorData, tensorFromValues, tensorValues } from '../../runtime/weights/tensor-data.ts';
import { namedCases } from '../cases.ts';
import { prepare } from '../prepare.ts';
import { medianTime } from '../timing.ts';
import type { Dense, Problem } from './peer.ts';
import { openPeer } from './peers.ts';

export interface Timed {
  readonly how: string;
  readonly milliseconds: number;
  readonly bestMilliseconds: number;
  readonly processorMilliseconds: number;
  readonly error: number;
}

const [peerName = '', caseName = ''] = process.argv.slice(2);
const [workload] = namedCases([caseName]);
if (workload === undefined) throw new Error(`no case ${caseName}`);
const prepared = prepare(workload);
const problem: Problem = {
  entry: workload.entry as Problem['entry'],
  inputs: new Map([...prepared.inputs].map(([name, tensor]) => [name, dense(tensor)])),
};
const peer = await openPeer(peerName, prepared);
const { how, run, read } = await peer.prepare(problem);
await run();
const values = await read();
const outputs = new Map([['out', tensorFromValues('f32', [values.length], values)]]);
const time = await medianTime(run);
const timed: Timed = {
  how,
  milliseconds: time.seconds * 1000,
  bestMilliseconds: time.best * 1000,
  processorMilliseconds: time.processor * 1000,
  error: prepared.error(outputs),
};
process.stdout.write(`${JSON.stringify(timed)}\n`, () => process.exit(0));

function dense(tensor: TensorData): Dense {
  return { shape: tensor.shape, values: Float32Array.from(tensorValues(tensor)) };
}
