/**
 * Runs a small Mixtral on the bytes of a text file and prints the bytes that it predicts to come next.
 *
 *   npm run mixtral                 on this project's licence
 *   npm run mixtral -- FILE [N]     on the first N bytes (64) of another file
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCheckpoint } from '../../driver/hugging-face.ts';
import { load, type ModelInputs, scalar, tensor, valuesOf } from '../../driver/model.ts';
import { standardLibrary } from '../../driver/module-loader.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { makeCheckpoint } from './make-checkpoint.ts';

const [file = join(packageRoot, 'LICENSE'), count = '64'] = process.argv.slice(2);
const say = (line: string) => process.stderr.write(`${line}\n`);

if (!existsSync(file)) {
  say(`error: ${file}: there is no such file\n  = help: give the path of a text file`);
  process.exit(1);
}
const text = readFileSync(file);
const bytes = text.subarray(0, Number(count));
if (!(bytes.length > 0)) {
  say(
    `error: no bytes to read in ${file}\n  = help: give a file that is not empty, and how many bytes of it (64)`,
  );
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'ricci-mixtral-'));
try {
  say('making a checkpoint in the layout of Hugging Face: config.json, two shards, an index');
  makeCheckpoint(folder, text);
  const checkpoint = readCheckpoint(folder);
  const sizes = Object.fromEntries(checkpoint.sizes);
  const inputs: ModelInputs = {
    tokens: tensor('i32', [bytes.length], bytes),
    ...Object.fromEntries(checkpoint.weights),
    ...Object.fromEntries([...checkpoint.settings].map(([name, value]) => [name, scalar('f32', value)])),
  };
  const source = join(standardLibrary, `${checkpoint.module}.ricci`);

  const logits: { readonly [target: string]: Float64Array } = {
    wgsl: await logitsOn('wgsl'),
    reference: await logitsOn('reference'),
  };
  const [kernels, reference] = [logits.wgsl ?? new Float64Array(), logits.reference ?? new Float64Array()];
  report(predictions(kernels), predictions(reference), relativeDistance(kernels, reference));

  async function logitsOn(target: 'wgsl' | 'reference'): Promise<Float64Array> {
    const model = await load(source, { target, report: say });
    try {
      const start = performance.now();
      const { out } = await model.call(checkpoint.entry, inputs, sizes);
      say(`${target}: compiled and ran in ${((performance.now() - start) / 1000).toFixed(1)} s`);
      return valuesOf(out);
    } finally {
      model.close();
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function report(predicted: readonly number[], expected: readonly number[], distance: number): void {
  const same = predicted.filter((byte, place) => byte === expected[place]).length;
  const right = predicted.filter((byte, place) => byte === text[place + 1]).length;
  console.log(`read       ${show([...bytes])}`);
  console.log(`predicted  ${show(predicted)}`);
  console.log(`${right} of ${predicted.length} predicted bytes are the text's own next byte`);
  console.log(`${same} of ${predicted.length} agree with the reference evaluator;`);
  console.log(`logits differ from it by ${distance.toExponential(1)} (relative L2 norm)`);
}

/** The likeliest next byte after each position. */
function predictions(logits: Float64Array): number[] {
  const vocabulary = logits.length / bytes.length;
  return Array.from({ length: bytes.length }, (_, position) => {
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
