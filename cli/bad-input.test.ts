/**
 * Whatever is wrong with what the command is given is one clear error, the documented exit status, and
 * nothing written.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config, makeCheckpoint } from '../examples/mixtral/make-checkpoint.ts';
import { npyBytes } from '../runtime/weights/npy.ts';
import { writeSafetensors } from '../runtime/weights/safetensors.ts';
import { type TensorData, tensorFromValues } from '../runtime/weights/tensor-data.ts';
import { runInProcess } from './testing.ts';

const source = `
export fn f(x: f32[N, 3], w: float[3, M], place: ix(M)[N], count: i32, flag: bool) -> f32[N, M] where M <= 9 =
  for n, m: (sum d: x[n, d] * w[d, m]) + f32(place[n]) + f32(count)
export fn g(x: f32[N]) -> f32[N] = 2 * x
export fn square(x: f32[N, N]) -> f32[N] = for n: x[n, n]
export fn two(x: f32) -> (f32, f32) = (x, x)
export fn long[N](x: f32) -> f32 = fold i < N from h = x: h + 1
`;

function counted(dtype: TensorData['dtype'], ...shape: readonly number[]): TensorData {
  const length = shape.reduce((product, extent) => product * extent, 1);
  return tensorFromValues(
    dtype,
    shape,
    Array.from({ length }, (_, position) => position % 2),
  );
}

const good: Readonly<Record<string, TensorData>> = {
  x: counted('f32', 2, 3),
  w: counted('bf16', 3, 4),
  place: counted('i32', 2),
  count: counted('i32'),
  flag: counted('bool'),
};
const { w, ...withoutW } = good;
const { place, ...withoutPlace } = good;

let folder: string;
let before: readonly string[];
const at = (name: string) => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-bad-'));
  mkdirSync(at('folder'));
  mkdirSync(at('folder.npy'));
  writeFileSync(at('model.ricci'), source);
  writeFileSync(at('wrong.ricci'), 'export fn f(x: f32) -> f32 = y');
  writeFileSync(at('latin.ricci'), Buffer.from('// gr\xf6\xdfer\nexport fn f(x:f32)->f32=x', 'latin1'));
  const tensors: Readonly<Record<string, Readonly<Record<string, TensorData>>>> = {
    good,
    misnamed: { ...withoutW, weights: w! },
    slip: { ...withoutPlace, plase: place! },
    strangers: { other: w! },
    dtype: { ...good, x: counted('f16', 2, 3) },
    float: { ...good, w: counted('i32', 3, 4) },
    shape: { ...good, x: counted('f32', 2, 4) },
    rank: { ...good, x: counted('f32', 6) },
    contradiction: { ...good, place: counted('i32', 3) },
    range: { ...good, place: tensorFromValues('i32', [2], [0, 4]) },
  };
  for (const [name, each] of Object.entries(tensors))
    writeSafetensors(at(`${name}.safetensors`), new Map(Object.entries(each)));

  const whole = readFileSync(at('good.safetensors'));
  writeFileSync(at('cut.safetensors'), whole.subarray(0, -3));
  writeFileSync(at('short.safetensors'), whole.subarray(0, 5));
  const huge = Buffer.from(whole);
  huge.writeBigUInt64LE(2n ** 63n, 0);
  writeFileSync(at('huge.safetensors'), huge);
  const header = (name: string, json: string, bytes: number) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(at(`${name}.safetensors`), Buffer.concat([length, Buffer.from(json), Buffer.alloc(bytes)]));
  };
  const entry = (name: string, begin: number) =>
    `"${name}":{"dtype":"F32","shape":[2],"data_offsets":[${begin},${begin + 8}]}`;
  header('json', '{"x": {', 0);
  header('overlap', `{${entry('x', 0)},${entry('w', 4)}}`, 12);
  header('twice', `{${entry('x', 0)},${entry('x', 0)}}`, 8);

  const npy = npyBytes(good.x!);
  writeFileSync(at('x.npy'), npy);
  writeFileSync(at('cut.npy'), npy.subarray(0, -3));
  writeFileSync(at('text.npy'), 'no tensor at all');

  const checkpoint = (name: string, text: string) => {
    mkdirSync(at(name));
    writeFileSync(join(at(name), 'config.json'), text);
  };
  makeCheckpoint(at('checkpoint'), Buffer.from('a cat and a hat'));
  checkpoint('no-json', '{"architectures": [');
  checkpoint('no-fields', '{"architectures": ["MixtralForCausalLM"]}');
  checkpoint('no-weights', JSON.stringify(config));
  before = readdirSync(folder, { recursive: true, encoding: 'utf8' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `@NAME` is a file of the folder. */
type Case = readonly [what: string, line: string, status: number, message: RegExp];

async function expectRefusal(line: string, status: number, message: RegExp): Promise<void> {
  const words = line.split(' ').filter((word) => word !== '');
  const args = words.map((word) => word.replace(/@/, `${folder}/`));
  const result = await runInProcess(...args);
  expect(result.stderr).toMatch(message);
  expect(result).toMatchObject({ status, stdout: '' });
  expect(result.stderr).not.toMatch(/^\s+at \S+ \(|: internal error:/m);
  expect(readdirSync(folder, { recursive: true, encoding: 'utf8' })).toEqual(before);
}

describe('the command line', () => {
  test.each<Case>([
    ['no command', '', 2, /Usage: ricci/],
    ['an unknown command', 'rum', 2, /unknown command 'rum'.*Did you mean run/s],
    ['an unknown option', 'run @model.ricci --entyr f', 2, /unknown option '--entyr'/],
    ['no file', 'run', 2, /missing required argument 'file'/],
    ['a negative size', 'run @model.ricci --entry f --size N=-1', 2, /'N=-1' is not NAME=NUMBER/],
    ['a size that is no number', 'run @model.ricci --entry f --size N=two', 2, /'N=two' is not NAME=NUMBER/],
    ['a size too large', 'run @model.ricci --entry f --size N=99999999999999999999', 2, /too large/],
    ['a size twice', 'explain @model.ricci --entry f --size N=1,N=2', 2, /N is given twice/],
    ['a seed that is no number', 'run @model.ricci --entry f --random x', 2, /'x' is not a whole number/],
    ['an input without a value', 'run @model.ricci --entry f --input x=', 2, /'x=' is not NAME=FILE/],
    ['an input twice', 'run @model.ricci --entry f --input x=1 --input x=2', 2, /x is given twice/],
    ['an unknown target', 'run @model.ricci --target sass', 2, /Allowed choices are wgsl, wasm, ptx/],
    ['nothing to compile to', 'compile @model.ricci --entry f', 2, /nothing to do/],
    ['two things to compile to', 'compile @model.ricci --show types -o @p', 2, /--show writes no package/],
    ['an unknown stage', 'compile @model.ricci --show sass', 2, /Allowed choices are tree, types, graph/],
    [
      'an architecture of no PTX',
      'compile @model.ricci --entry square --size N=4 --target wgsl --arch sm_80 -o @t',
      2,
      /--arch is of PTX/,
    ],
    [
      'a GPU of before',
      'compile @model.ricci --entry square --size N=4 --target ptx --arch sm_75 -o @t',
      2,
      /--arch sm_75 is no GPU that PTX is written for\n.*sm_80, for GPUs from Ampere on/,
    ],
    [
      'rounded factors of WebAssembly',
      'run @model.ricci --target wasm --allow rounded-factors',
      2,
      /--allow rounded-factors is of PTX/,
    ],
    [
      'an allowance that there is not',
      'run @model.ricci --target ptx --allow tf32,fast',
      2,
      /'fast' is none of rounded-factors, tf32, f8-sums/,
    ],
    [
      'what a target has no units for',
      'compile @model.ricci --entry square --size N=4 --target ptx --arch sm_80 --allow f8-sums -o @t',
      1,
      /f8-sums is allowed, and sm_80 has no matrix units for it/,
    ],
    ['an adapter for PTX', 'run @model.ricci --target ptx --adapter software', 2, /ptx runs on no adapter/],
    [
      'PTX of another target',
      'compile @model.ricci --entry square --size N=4 --show ptx',
      2,
      /--show ptx: the target wgsl has no ptx/,
    ],
    [
      'a report of no PTX',
      'compile @model.ricci --entry square --size N=4 --target wasm --report',
      2,
      /--report is of PTX/,
    ],
    [
      'a report beside a stage',
      'compile @model.ricci --entry square --size N=4 --target ptx --show ptx --report',
      2,
      /--report writes no package, and shows no stage/,
    ],
    ['a trace of no kernels', 'run @model.ricci --target reference --trace @t', 2, /--trace times kernels/],
    [
      'a trace of no kernels',
      'run @model.ricci --target reference --trace @t',
      2,
      /--trace times kernels, and the reference has none/,
    ],
    [
      'an adapter for none',
      'run @model.ricci --target wasm --adapter software',
      2,
      /wasm runs on no adapter/,
    ],
    [
      'WGSL of WebAssembly',
      'compile @model.ricci --target wasm --show wgsl',
      2,
      /the target wasm has no wgsl/,
    ],
    [
      'relaxed SIMD of WGSL',
      'compile @model.ricci --relaxed-simd -o @p',
      2,
      /--relaxed-simd is of WebAssembly/,
    ],
    ['WebAssembly of WGSL', 'compile @model.ricci --show wasm', 2, /the target wgsl has no wasm/],
    ['a bound where one size is run', 'run @model.ricci --entry f --size N<=4', 2, /for one size at a time/],
  ])('%s', (_, line, status, message) => expectRefusal(line, status, message));
});

describe('files and entries', () => {
  test.each<Case>([
    ['no such file', 'check @nothing.ricci', 1, /nothing\.ricci: there is no such file/],
    ['a directory', 'explain @folder', 1, /folder: it is a directory/],
    ['a directory that is no package', 'run @folder', 1, /folder: is no package/],
    ['a text that is no UTF-8', 'fmt @latin.ricci', 1, /latin\.ricci: it is not UTF-8/],
    ['a program with errors', 'explain @wrong.ricci', 1, /E0201.*wrong\.ricci:1:30/s],
    [
      'no such entry',
      'explain @model.ricci --entry h',
      1,
      /no function h\n.*there are: f, g, square, two, long/,
    ],
    ['several entries', 'explain @model.ricci', 1, /which function.*\n.*--entry: f, g, square, two, long/],
    ['an unknown size', 'explain @model.ricci --entry g --size Q=1', 1, /E0601.*g has no size Q/],
    [
      'a mesh as a size',
      'explain examples/moe/moe.ricci --size ep=2',
      2,
      /ep is an axis of the mesh, no size/,
    ],
    [
      'an index beyond i32',
      'explain @model.ricci --entry g --size N=2147483648',
      1,
      /index counts to 2147483647/,
    ],
    [
      'many launches',
      'run @model.ricci --entry long --size N=99999999 --random 1 --adapter software',
      1,
      /launch 100000000 kern/,
    ],
    ['a missing size', 'explain @model.ricci --entry g', 1, /E0602.*size N of g is not known/],
    [
      'a size against a where',
      'explain @model.ricci --entry f --size N=1,M=10',
      1,
      /E0603.*M <= 9 does not hold/,
    ],
  ])('%s', (_, line, status, message) => expectRefusal(line, status, message));
});

describe('inputs', () => {
  const run = 'run @model.ricci --entry f --target reference';
  test.each<Case>([
    ['none', run, 1, /inputs are missing: x, w, place, count, flag/],
    [
      'a misnamed one',
      `${run} --inputs @misnamed.safetensors`,
      1,
      /is missing: w; given, but no inputs: weights/,
    ],
    ['a slip of the pen', `${run} --inputs @slip.safetensors`, 1, /no tensor place, but one named plase/],
    ['only strangers', `${run} --inputs @strangers.safetensors`, 1, /none of its tensors is an input: other/],
    ['another dtype', `${run} --inputs @dtype.safetensors`, 1, /input x is f16\[2, 3\], not f32\[2, 3\]/],
    ['no float', `${run} --inputs @float.safetensors`, 1, /input w is i32\[3, 4\], not float\[3, 4\]/],
    [
      'another shape',
      `${run} --inputs @shape.safetensors`,
      1,
      /x has the shape \[2, 4\].*\[N, 3\]: 4 is not 3/,
    ],
    ['another rank', `${run} --inputs @rank.safetensors`, 1, /x has the shape \[6\].*another number of dim/],
    [
      'shapes that disagree',
      `${run} --inputs @contradiction.safetensors`,
      1,
      /place has the shape \[3\].*3 is not 2/,
    ],
    ['shapes against sizes', `${run} --inputs @good.safetensors --size N=5`, 1, /2 is not 5/],
    ['an index out of range', `${run} --inputs @range.safetensors`, 1, /place has 4 at position 1/],
    ['no such file', `${run} --inputs @nothing.safetensors`, 1, /cannot read .*nothing.*no such file/],
    ['a folder without tensors', `${run} --inputs @folder`, 1, /cannot read .*model\.safetensors/],
    ['a file cut off', `${run} --inputs @cut.safetensors`, 1, /cut\.safetensors: truncated/],
    ['a file of five bytes', `${run} --inputs @short.safetensors`, 1, /truncated: 5 bytes/],
    ['a header too long', `${run} --inputs @huge.safetensors`, 1, /not a safetensors file/],
    ['a header that is no JSON', `${run} --inputs @json.safetensors`, 1, /its header is not JSON/],
    ['tensors that overlap', `${run} --inputs @overlap.safetensors`, 1, /tensor w: overlaps/],
    ['a tensor twice', `${run} --inputs @twice.safetensors`, 1, /has x twice/],
    ['an .npy cut off', `${run} --input x=@cut.npy --random 1`, 1, /takes 24 bytes, and it has 21/],
    ['a text as .npy', `${run} --input x=@text.npy --random 1`, 1, /is not a \.npy file/],
    ['a directory as .npy', `${run} --input x=@folder --random 1`, 1, /cannot read .*it is a directory/],
    ['an unknown one', `${run} --input y=1 --random 1`, 1, /there is no input y\n.*inputs are x, w, place/],
    [
      'a half as an integer',
      `${run} --input count=1.5 --random 1`,
      1,
      /count is i32, which has no value 1\.5/,
    ],
    ['a two as a bool', `${run} --input flag=2 --random 1`, 1, /flag is bool.*\n.*true or false/],
    [
      'too much',
      'run @model.ricci --entry square --target reference --size N=2000000000 --random 1',
      1,
      /would take .* TiB, more than/,
    ],
    [
      'compiled with another dtype',
      'compile @model.ricci --entry f --inputs @dtype.safetensors -o @p',
      1,
      /x is f16/,
    ],
  ])('%s', (_, line, status, message) => expectRefusal(line, status, message));
});

describe('checkpoints', () => {
  const run = 'run stdlib/mixtral.ricci --target reference --random 1 --checkpoint';
  test.each<Case>([
    ['no folder', `${run} @nothing`, 1, /nothing\/config\.json: there is no such file/],
    ['a configuration that is no JSON', `${run} @no-json`, 1, /no-json\/config\.json: not JSON/],
    ['a configuration without fields', `${run} @no-fields`, 1, /config\.json: vocab_size: /],
    ['no weights', `${run} @no-weights`, 1, /cannot read .*model\.safetensors/],
    [
      'for another model',
      'run @model.ricci --entry f --checkpoint @checkpoint',
      1,
      /checkpoint of stdlib\/mixtral/,
    ],
    [
      'sizes against it',
      `${run} @checkpoint --size S=1,V=100`,
      1,
      /weights\.embed has the shape \[256, 128\]/,
    ],
  ])('%s', (_, line, status, message) => expectRefusal(line, status, message));
});

describe('results', () => {
  const run = 'run @model.ricci --entry f --target reference --inputs @good.safetensors';
  test.each<Case>([
    [
      'into no folder',
      `${run} -o @nothing/y.safetensors`,
      1,
      /cannot write .*nothing.*no such file or directory\n/,
    ],
    ['onto a directory', `${run} -o @folder.npy`, 1, /cannot write .*it is a directory/],
    ['of no known format', `${run} -o @y.txt`, 2, /written as \.safetensors or \.npy/],
    ['two in a .npy', 'run @model.ricci --entry two --random 1 -o @y.npy', 1, /there are 2 results/],
    [
      'a trace into no folder',
      `${run.replace('reference', 'wgsl')} --trace @nothing/t`,
      1,
      /cannot write .*nothing/,
    ],
    ['below a file', `${run} -o @x.npy/y.npy`, 1, /cannot write .*a part of its path is a file/],
    ['a declaration below a file', 'declare @x.npy/m.ricci', 1, /cannot read .*a part of its path is a file/],
    [
      'a package over a file',
      'compile @model.ricci --entry g --size N=2 -o @x.npy',
      1,
      /x\.npy is a file, so nothing/,
    ],
    [
      'a package over a folder',
      'compile @model.ricci --entry g --size N=2 -o @checkpoint',
      1,
      /something else than a p/,
    ],
  ])('%s', (_, line, status, message) => expectRefusal(line, status, message));
});

test('what is right is not refused: the cases differ from it in one thing each', async () => {
  const args = [
    'run',
    at('model.ricci'),
    '--entry',
    'f',
    '--target',
    'reference',
    '--inputs',
    at('good.safetensors'),
  ];
  expect(await runInProcess(...args, '--input', `x=${at('x.npy')}`)).toMatchObject({ status: 0, stderr: '' });
});
