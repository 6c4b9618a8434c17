/**
 * The inputs that a command line gives, by path: from a safetensors file, a checkpoint, `.npy` files and
 * numbers.
 */
import { statSync } from 'node:fs';
import { typeText } from '../../compiler/plan/storage-bytes.ts';
import { type Checkpoint, readCheckpoint } from '../../driver/hugging-face.ts';
import { closestName } from '../../dsl/types/did-you-mean.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import { UserError } from '../../runtime/errors.ts';
import { openNpy, readNpy } from '../../runtime/weights/npy.ts';
import { openSafetensors } from '../../runtime/weights/safetensors.ts';
import { inMemory, rounded, type StoredTensor } from '../../runtime/weights/stored-tensor.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../../runtime/weights/tensor-data.ts';

/** An input as an entry or a package takes it: `dtype` is undefined where any float does. */
export interface WantedInput {
  readonly path: string;
  readonly dtype: Dtype | undefined;
}

export interface InputOptions {
  readonly inputs?: string;
  readonly checkpoint?: string;
  readonly input: ReadonlyMap<string, string>;
}

export interface GivenInputs {
  /** Read when asked for. */
  readonly tensors: Map<string, StoredTensor>;
  /** Tensors of the `--inputs` file that are no inputs. */
  readonly strangers: readonly string[];
  /** What a checkpoint's configuration fixes. */
  readonly sizes: ReadonlyMap<string, number>;
}

/** Later ones win: the checkpoint, then `--inputs`, then each `--input`. */
export function readInputs(options: InputOptions, wanted: readonly WantedInput[]): GivenInputs {
  const checkpoint = options.checkpoint === undefined ? undefined : readCheckpoint(options.checkpoint);
  const tensors = new Map([
    ...(checkpoint === undefined ? [] : checkpointInputs(options.checkpoint ?? '', checkpoint, wanted)),
    ...[...options.input].map(([path, value]) => [path, readInput(path, value, wanted)] as const),
  ]);
  const inFile =
    options.inputs === undefined ? undefined : fileInputs(options.inputs, wanted, new Set(tensors.keys()));
  for (const [path, tensor] of inFile?.tensors ?? []) if (!options.input.has(path)) tensors.set(path, tensor);
  return { tensors, strangers: inFile?.strangers ?? [], sizes: checkpoint?.sizes ?? new Map() };
}

function pathsOf(wanted: readonly WantedInput[]): string {
  return wanted.map(({ path }) => path).join(', ');
}

function checkpointInputs(
  folder: string,
  { module, weights, settings }: Checkpoint,
  wanted: readonly WantedInput[],
): readonly (readonly [string, StoredTensor])[] {
  const all = new Map([
    ...weights,
    ...[...settings].map(([name, value]) => [name, inMemory(tensorFromValues('f32', [], [value]))] as const),
  ]);
  const found = wanted.flatMap(({ path }) => {
    const tensor = all.get(path);
    return tensor === undefined ? [] : [[path, tensor] as const];
  });
  if (found.length > 0) return found;
  throw new UserError(
    'wrong-input',
    `${folder}: none of its weights is an input; it is a checkpoint of stdlib/${module}.ricci`,
    `the inputs are ${pathsOf(wanted)}`,
  );
}

/**
 * The tensors of the file that are inputs. A name that is nearly one is a slip, not something to leave out.
 */
function fileInputs(
  file: string,
  wanted: readonly WantedInput[],
  given: ReadonlySet<string>,
): Pick<GivenInputs, 'tensors' | 'strangers'> {
  const source = openSafetensors(file);
  const known = new Set(wanted.map(({ path }) => path));
  const strangers = source.names.filter((name) => !known.has(name));
  for (const { path } of wanted) {
    const near = source.has(path) || given.has(path) ? undefined : closestName(path, strangers);
    if (near === undefined) continue;
    throw new UserError(
      'wrong-input',
      `${file} has no tensor ${path}, but one named ${near}, which is no input`,
      `the inputs are ${pathsOf(wanted)}`,
    );
  }
  const names = source.names.filter((name) => known.has(name));
  if (names.length === 0) {
    const some = source.names.length === 0 ? 'it has none' : source.names.slice(0, 6).join(', ');
    throw new UserError(
      'wrong-input',
      `${file}: none of its tensors is an input: ${some}`,
      `the inputs are ${pathsOf(wanted)}`,
    );
  }
  return { tensors: new Map(names.map((name) => [name, source.tensor(name)])), strangers };
}

function readInput(path: string, value: string, wanted: readonly WantedInput[]): StoredTensor {
  const input = wanted.find((each) => each.path === path);
  if (input === undefined) {
    throw new UserError('wrong-input', `there is no input ${path}`, `the inputs are ${pathsOf(wanted)}`);
  }
  const { dtype = 'f32' } = input;
  const number = dtype === 'bool' ? (truth[value] ?? Number(value)) : Number(value);
  return Number.isNaN(number) ? asWanted(npy(value), dtype) : inMemory(scalarInput(path, dtype, number));
}

/** A pipe is read at once. */
function npy(file: string): StoredTensor {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? openNpy(file) : inMemory(readNpy(file));
}

const truth: Readonly<Record<string, number>> = { true: 1, false: 0 };

function scalarInput(path: string, dtype: Dtype, number: number): TensorData {
  const tensor = tensorFromValues(dtype, [], [number]);
  if (dtypeFacts[dtype].class === 'float' || tensorValues(tensor)[0] === number) return tensor;
  throw new UserError(
    'wrong-input',
    `the input ${path} is ${typeText(tensor)}, which has no value ${number}`,
    dtype === 'bool' ? 'give true or false' : 'give a whole number that fits',
  );
}

/** NumPy lacks bf16 and the f8 types: floats given for them are rounded. */
function asWanted(tensor: StoredTensor, dtype: Dtype): StoredTensor {
  const lacking = dtype === 'bf16' || dtype === 'f8e4m3' || dtype === 'f8e5m2';
  if (!lacking || dtypeFacts[tensor.dtype].class !== 'float') return tensor;
  return rounded(tensor, dtype);
}
