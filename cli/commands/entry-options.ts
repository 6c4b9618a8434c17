/** The options by which several commands name an entry, its sizes and its inputs. */
import { type Command, Option } from 'commander';
import { describeEntry, type EntryTensor, solveEntrySizes } from '../../compiler/lower/entry.ts';
import { type Checked, checkFile, chooseEntry, type Instance, type Rejected } from '../../driver/compile.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { UserError } from '../../runtime/errors.ts';
import { readNpy } from '../../runtime/weights/npy.ts';
import { openSafetensors } from '../../runtime/weights/safetensors.ts';
import { type TensorData, tensorFromValues } from '../../runtime/weights/tensor-data.ts';
import { Ended, exitStatus } from '../exit.ts';
import { parseAssignments, parseNamed, parseSeed } from '../options.ts';
import type { Output } from '../output.ts';

export interface EntryOptions {
  readonly entry?: string;
  readonly size: ReadonlyMap<string, number>;
  readonly inputs?: string;
  readonly input: ReadonlyMap<string, string>;
  readonly random?: number;
  readonly json?: boolean;
}

export function withEntryOptions(command: Command): Command {
  return command
    .option('--entry <name>', 'the function; may be left out where there is one export fn')
    .addOption(
      new Option('--size <sizes>', 'sizes that the inputs do not fix: S=128,B=2')
        .argParser(parseAssignments)
        .default(new Map(), 'none'),
    )
    .option('--inputs <file>', 'a safetensors file with the inputs by path: x, experts.gate')
    .addOption(
      new Option('--input <path=value>', 'one input: NAME=FILE.npy, or NAME=NUMBER for a scalar; repeatable')
        .argParser(parseNamed)
        .default(new Map(), 'none'),
    )
    .addOption(new Option('--random <seed>', 'random inputs for those not given').argParser(parseSeed))
    .option('--json', 'the result as JSON on standard output');
}

/** Shows what is wrong and ends the command. */
export function orEnd<T extends { readonly kind: string }>(
  outcome: T | Rejected,
  output: Output,
): Exclude<T, Rejected> {
  if (outcome.kind === 'rejected') {
    const { diagnostics, sources } = outcome as Rejected;
    output.diagnostics(diagnostics, sources);
    throw new Ended(exitStatus.diagnostic);
  }
  return outcome as Exclude<T, Rejected>;
}

export interface Prepared {
  readonly checked: Checked;
  readonly instance: Instance;
  readonly wanted: readonly EntryTensor[];
  /** Those that were given. */
  readonly inputs: Map<string, TensorData>;
}

/** Checks the file, reads the inputs that were given, and finds the sizes. */
export function prepareEntry(file: string, options: EntryOptions, output: Output): Prepared {
  const checked = orEnd(checkFile(file), output);
  const entry = chooseEntry(checked.program, file, options.entry);
  const { inputs: wanted } = describeEntry(checked.program, entry);
  const inputs = readInputs(options, wanted);
  const shapes = new Map([...inputs].map(([path, { shape }]) => [path, shape]));
  const solved = solveEntrySizes(checked.program, entry, shapes, options.size);
  if (solved.kind === 'rejected') {
    output.diagnostics(solved.diagnostics, checked.sources);
    throw new Ended(exitStatus.diagnostic);
  }
  const inputDtypes = new Map<string, Dtype>([...inputs].map(([path, { dtype }]) => [path, dtype]));
  return { checked, instance: { entry, sizes: solved.sizes, inputDtypes }, wanted, inputs };
}

/** Adds random tensors for the inputs that are missing, when a seed was given. */
export function completeInputs({ wanted, inputs, instance }: Prepared, seed: number | undefined): void {
  if (seed === undefined) return;
  for (const tensor of wanted) {
    if (!inputs.has(tensor.path)) inputs.set(tensor.path, randomInput(tensor, instance.sizes, seed));
  }
}

function readInputs(options: EntryOptions, wanted: readonly EntryTensor[]): Map<string, TensorData> {
  const found = new Map<string, TensorData>();
  if (options.inputs !== undefined) {
    const source = openSafetensors(options.inputs);
    try {
      for (const name of source.names) {
        if (wanted.some(({ path }) => path === name)) found.set(name, source.read(name));
      }
      if (found.size === 0) {
        throw new UserError(
          'wrong-input',
          `${options.inputs}: none of its tensors is an input: ${source.names.slice(0, 6).join(', ')}`,
          `the inputs are ${wanted.map(({ path }) => path).join(', ')}`,
        );
      }
    } finally {
      source.close();
    }
  }
  for (const [path, value] of options.input) {
    const tensor = wanted.find((each) => each.path === path);
    if (tensor === undefined) {
      throw new UserError(
        'wrong-input',
        `there is no input ${path}`,
        `the inputs are ${wanted.map((each) => each.path).join(', ')}`,
      );
    }
    const isNumber = value.trim() !== '' && Number.isFinite(Number(value));
    const dtype =
      tensor.element.kind === 'dtype' ? tensor.element.dtype : tensor.element.kind === 'ix' ? 'i32' : 'f32';
    found.set(path, isNumber ? tensorFromValues(dtype, [], [Number(value)]) : readNpy(value));
  }
  return found;
}
