/**
 * Runs a small Mixtral on the bytes of a text file and prints the bytes that it predicts to come next.
 *
 *   npm run mixtral                 on this project's licence
 *   npm run mixtral -- FILE [N]     on the first N bytes (64) of another file
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileReason } from '../../compiler/plan/file-reason.ts';
import { type Checkpoint, readCheckpoint } from '../../driver/hugging-face.ts';
import {
  isUserError,
  type LoadOptions,
  load,
  type ModelInputs,
  scalar,
  tensor,
  UserError,
  valuesOf,
} from '../../driver/model.ts';
import { standardLibrary } from '../../driver/module-loader.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { makeCheckpoint } from './make-checkpoint.ts';

const [file = join(packageRoot, 'LICENSE'), count = '64'] = process.argv.slice(2);
const say = (line: string) => process.stderr.write(`${line}\n`);

/** Devices of which each holds half of the model, so slow that what they compute is worth dividing too. */
const fourDevices: LoadOptions = {
  mesh: { dp: 2, tp: 2 },
  auto: true,
  machine: {
    flopsPerSecond: 1e8,
    memoryBytes: 1.2e6,
    link: { bytesPerSecond: 1e10, latencySeconds: 1e-6 },
  },
};

try {
  await main();
} catch (error) {
  if (!isUserError(error)) throw error;
  say(`error: ${error.message}\n  = help: ${error.help}`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { text, bytes } = readText();
  const folder = mkdtempSync(join(tmpdir(), 'ricci-mixtral-'));
  try {
    say('making a checkpoint in the layout of Hugging Face: config.json, two shards, an index');
    makeCheckpoint(folder, text);
    const checkpoint = readCheckpoint(folder);
    const inputs: ModelInputs = {
      tokens: tensor('i32', [bytes.length], bytes),
      ...Object.fromEntries([...checkpoint.weights].map(([path, stored]) => [path, stored.read()])),
      ...Object.fromEntries([...checkpoint.settings].map(([name, value]) => [name, scalar('f32', value)])),
    };
    const kernels = await logitsOn({}, checkpoint, inputs);
    const onMesh = await logitsOn(fourDevices, checkpoint, inputs);
    const reference = await logitsOn({ target: 'reference' }, checkpoint, inputs);
    report(text, bytes, kernels, reference);
    const apart = relativeDistance(onMesh, kernels).toExponential(1);
    console.log(`on four logical devices, placed by the compiler, logits differ by ${apart}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The text, and the bytes of it that the model reads. */
function readText(): { readonly text: Uint8Array; readonly bytes: Uint8Array } {
  let text: Uint8Array;
  try {
    text = readFileSync(file);
  } catch (error) {
    throw new UserError(
      'file-access',
      `cannot read ${file}: ${fileReason(error)}`,
      'give the path of a text file',
    );
  }
  const length = Number(count);
  if (!Number.isSafeInteger(length) || length < 1) {
    throw new UserError(
      'wrong-input',
      `'${count}' is no number of bytes`,
      'give a whole number from 1, as in 64',
    );
  }
  if (text.length === 0) throw new UserError('wrong-input', `${file} is empty`, 'give a file with a text');
  return { text, bytes: text.subarray(0, length) };
}

async function logitsOn(
  options: LoadOptions,
  checkpoint: Checkpoint,
  inputs: ModelInputs,
): Promise<Float64Array> {
  const source = join(standardLibrary, `${checkpoint.module}.ricci`);
  const model = await load(source, { ...options, report: say });
  try {
    const start = performance.now();
    const { out } = await model.call(checkpoint.entry, inputs, Object.fromEntries(checkpoint.sizes));
    const where = `${options.target ?? 'kernels'}${options.mesh === undefined ? '' : ', on a mesh'}`;
    say(`${where}: compiled and ran in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    return valuesOf(out);
  } finally {
    model.close();
  }
}

function report(text: Uint8Array, bytes: Uint8Array, kernels: Float64Array, reference: Float64Array): void {
  const predicted = predictions(kernels, bytes.length);
  const expected = predictions(reference, bytes.length);
  const same = predicted.filter((byte, place) => byte === expected[place]).length;
  const right = predicted.filter((byte, place) => byte === text[place + 1]).length;
  console.log(`read       ${show([...bytes])}`);
  console.log(`predicted  ${show(predicted)}`);
  console.log(`${right} of ${predicted.length} predicted bytes are the text's own next byte`);
  console.log(`${same} of ${predicted.length} agree with the reference evaluator;`);
  console.log(
    `logits differ from it by ${relativeDistance(kernels, reference).toExponential(1)} (relative L2 norm)`,
  );
}

/** The likeliest next byte after each position. */
function predictions(logits: Float64Array, positions: number): number[] {
  const vocabulary = logits.length / positions;
  return Array.from({ length: positions }, (_, position) => {
    const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
    return row.reduce((best, value, byte) => (value > (row[best] ?? 0) ? byte : best), 0);
  });
}

function relativeDistance(left: Float64Array, right: Float64Array): number {
  const squares = left.reduce((sum, value, place) => sum + (value - (right[place] ?? 0)) ** 2, 0);
  return Math.sqrt(squares / right.reduce((sum, value) => sum + value * value, 0));
}

/** Bytes as text, with what cannot be seen escaped. */
function show(codes: readonly number[]): string {
  return JSON.stringify(Buffer.from(codes).toString('latin1'));
}
