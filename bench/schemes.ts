/**
 * What the ways to cut causal attention over a sequence send, beside their formulas: `npm run bench:schemes`.
 * Each is run on logical devices of one adapter and compared with attention on one device.
 */
import { join } from 'node:path';
import { describeEntry } from '../compiler/lower/entry.ts';
import { schemeFormulas } from '../compiler/partition/scheme-traffic.ts';
import { type Checked, checkFile } from '../driver/check.ts';
import { compileFor } from '../driver/compile.ts';
import { type ExplainedMesh, explain } from '../driver/explain.ts';
import { lower } from '../driver/lower.ts';
import { packageRoot } from '../driver/package-root.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { loadMesh } from '../runtime/mesh/run-mesh.ts';
import { runWhole } from '../runtime/mesh/whole-tensors.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { inMemory } from '../runtime/weights/stored-tensor.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { accepted } from './accepted.ts';
import { devices, headSize, type Scheme, schemeInstance, schemes, tokens } from './scheme-cases.ts';

type Tensors = ReadonlyMap<string, TensorData>;

/** The tokens of a tensor `[tokens, …]` in another order. */
function reordered(tensor: TensorData, order: (place: number) => number): TensorData {
  const values = tensorValues(tensor);
  const width = values.length / tokens;
  const moved = Array.from({ length: values.length }, (_, at) => {
    return values[order(Math.floor(at / width)) * width + (at % width)]!;
  });
  return tensorFromValues(tensor.dtype, tensor.shape, moved);
}

function largestDifference(left: TensorData, right: TensorData): number {
  const others = tensorValues(right);
  return tensorValues(left).reduce((most, value, at) => Math.max(most, Math.abs(value - others[at]!)), 0);
}

function exchangesText({ exchanges }: ExplainedMesh): string {
  return exchanges.map(({ verb, axes, times }) => `${times} ${verb} @${axes.join(', ')}`).join(', ');
}

const opened = await openDevice(await openAdapter({ kind: 'software' }));
const checked: Checked = accepted(checkFile(join(packageRoot, 'bench/schemes.ricci')));
const asItIs = (place: number): number => place;

/** What an entry gives, and what the devices of its mesh exchange. */
async function run(entry: string, axes: Scheme['axes'], order = asItIs) {
  const instance = schemeInstance(entry, axes);
  const lowered = accepted(lower(checked, instance));
  const inputs: Tensors = new Map(
    describeEntry(checked.program, entry).inputs.map((wanted) => {
      const places = Array.from({ length: tokens }, (_, place) => place);
      const tensor =
        wanted.path === 'position'
          ? tensorFromValues('i32', [tokens], places)
          : randomInput(wanted, instance.sizes, 1);
      return [wanted.path, reordered(tensor, order)] as const;
    }),
  );
  const { package: compiled } = compileFor(lowered, instance, opened.profile);
  const loaded = await loadMesh(compiled, opened);
  const stored = new Map([...inputs].map(([path, tensor]) => [path, inMemory(tensor)]));
  const outputs = await runWhole(loaded, compiled.manifest, stored);
  loaded.destroy();
  return {
    output: outputs.get('out')!,
    sentBytes: loaded.traffic.sentBytes,
    explained: explain(checked, instance, lowered).mesh,
  };
}

const { output: wanted } = await run('alone', {});
console.log(
  `${opened.description}: causal attention (4, 8, ${tokens}, ${headSize}) in f16 on ${devices} devices`,
);
console.log('');
console.log(
  '| scheme | elements a device sends | that is | a device sent | all sent | exchanges of a device | difference |',
);
console.log('|---|---|---|---|---|---|---|');
const mebibytes = (bytes: number): string => `${Number((bytes / 2 ** 20).toFixed(3))} MiB`;
for (const { name, entry, axes, formula, predicted, order } of schemes) {
  const { output, sentBytes, explained } = await run(entry, axes, order);
  const inAll = sentBytes.reduce((sum, bytes) => sum + bytes, 0);
  const columns = [
    name,
    schemeFormulas[formula].forward + (order === undefined ? '' : ', and positions'),
    mebibytes(predicted),
    mebibytes(Math.max(...sentBytes)),
    mebibytes(inAll),
    exchangesText(explained!),
    largestDifference(output, order === undefined ? wanted : reordered(wanted, order)).toExponential(0),
  ];
  console.log(`| ${columns.join(' | ')} |`);
}
opened.destroy();
