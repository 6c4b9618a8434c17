/** The options by which several commands name an entry, its sizes and its inputs. */
import { type Command, Option } from 'commander';
import { describeEntry, type EntryTensor, entryOf, solveEntrySizes } from '../../compiler/lower/entry.ts';
import { type Allowance, allowanceFacts, allowances } from '../../compiler/tiles/allowances.ts';
import { type Checked, checkFile, chooseEntry, type Rejected } from '../../driver/check.ts';
import type { KernelTarget } from '../../driver/choose-target.ts';
import { checkInputType } from '../../driver/inputs.ts';
import type { Instance } from '../../driver/lower.ts';
import { readMachine } from '../../driver/machine.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { ElementType } from '../../dsl/types/typed.ts';
import { UserError } from '../../runtime/errors.ts';
import type { StoredTensor } from '../../runtime/weights/stored-tensor.ts';
import { Ended, exitStatus, UsageError } from '../exit.ts';
import {
  type GivenSizes,
  noSizes,
  parseAllowances,
  parseAssignments,
  parseNamed,
  parseSizes,
} from '../options.ts';
import type { Output } from '../output.ts';
import { type GivenInputs, type InputOptions, readInputs } from './given-inputs.ts';

export interface EntryOptions extends InputOptions {
  readonly entry?: string;
  readonly size: GivenSizes;
  readonly mesh: ReadonlyMap<string, number>;
  readonly auto?: boolean;
  readonly machine?: string;
  readonly json?: boolean;
}

export function withEntryOptions(command: Command): Command {
  return command
    .option('--entry <name>', 'the function; may be left out where there is one export fn')
    .addOption(
      new Option(
        '--size <sizes>',
        'sizes that the inputs do not fix: S=128,B=2; to compile for all up to a bound: S<=4096; repeatable',
      )
        .argParser(parseSizes)
        .default(noSizes, 'none'),
    )
    .addOption(
      new Option('--mesh <axes>', 'devices along mesh axes: sp=4,tp=2; repeatable')
        .argParser(parseAssignments)
        .default(new Map(), 'one device'),
    )
    .option('--auto', 'with --mesh: let the compiler place all that the program does not')
    .option('--machine <file>', 'JSON: what devices and links do, for the compiler to weigh where it places')
    .option('--inputs <file>', 'a safetensors file with the inputs by path: x, experts.gate')
    .option(
      '--checkpoint <dir>',
      "a Hugging Face checkpoint: weights and sizes of the standard library's models",
    )
    .addOption(
      new Option(
        '--input <path=value>',
        'one input, before all others: NAME=FILE.npy (rounded for bf16 and f8, which npy lacks), or NAME=NUMBER ' +
          'for a scalar; repeatable',
      )
        .argParser(parseNamed)
        .default(new Map(), 'none'),
    )
    .option('--json', 'the result as JSON on standard output');
}

/** Of commands that make kernels. */
export function tuningOption(by: 'auto' | 'shipped'): Option {
  return new Option(
    '--tuning <from>',
    'schedules as ricci tune measured them: a file that it wrote, auto for what it kept of this device, shipped ' +
      'for what comes with the compiler alone, or none',
  ).default(by);
}

/** Of targets that know nothing of WebGPU's adapters. */
export function refuseAdapter(
  adapter: 'auto' | 'hardware' | 'software',
  target: Exclude<KernelTarget, 'wgsl'>,
): void {
  if (adapter !== 'auto')
    throw new UsageError(
      `--adapter: the target ${target} runs on no adapter`,
      'leave it out, or use --target wgsl',
    );
}

const permitted = allowances.map((each) => `${each}, ${allowanceFacts[each].permits}`);

/** What matrix units may do that changes results. */
export function allowOption(): Option {
  return new Option(
    '--allow <what>',
    `of PTX, what matrix units may round that the program does not: ${permitted.join('; ')}; a list, repeatable`,
  )
    .argParser(parseAllowances)
    .default([], 'none');
}

/** Of another target; what a GPU has no units for is refused when it is known which it is. */
export function refuseAllowances([first]: readonly Allowance[], target: string | undefined): void {
  if (first !== undefined && target !== 'ptx')
    throw new UsageError(`--allow ${first} is of PTX`, 'use --target ptx, or leave it out');
}

/** Of commands that run an entry, or look at it, at one set of sizes. */
export function refuseBounds({ size: { bounds } }: Pick<EntryOptions, 'size'>): void {
  const [first] = bounds;
  if (first !== undefined)
    throw new UsageError(
      `--size ${first[0]}<=${first[1]}: this is for one size at a time`,
      `give ${first[0]}=…, or compile with the bound and run the package`,
    );
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
  /** Those that were given, each of the dtype and shape that the entry takes; read when asked for. */
  readonly inputs: Map<string, StoredTensor>;
}

/**
 * Checks the file, reads the inputs that were given, and finds the sizes.
 * @param complete whether all inputs must be given, as for a run without random ones.
 */
export function prepareEntry(
  file: string,
  options: EntryOptions,
  output: Output,
  complete: boolean = false,
): Prepared {
  const checked = orEnd(checkFile(file), output);
  const entry = chooseEntry(checked.program, file, options.entry);
  refuseMeshes(checked.program.axes, options);
  const { axes } = checked.program;
  const { inputs: wanted } = describeEntry(checked.program, entry);
  const given = readInputs(
    options,
    wanted.map(({ path, element }) => ({ path, dtype: dtypeOf(element) })),
  );
  const inputs = given.tensors;
  if (complete) refuseMissing(wanted, given);
  const shapes = new Map([...inputs].map(([path, { shape }]) => [path, shape]));
  const own = entryOf(checked.program, entry).sizes;
  const configured = [...given.sizes].filter(([name]) => own.includes(name));
  const declared = [...options.mesh].filter(([axis]) => axes.includes(axis));
  const { values, bounds } = options.size;
  // The other sizes have to go with the largest.
  const known = new Map([...configured, ...values, ...bounds, ...declared]);
  const solved = solveEntrySizes(checked.program, entry, shapes, known);
  if (solved.kind === 'rejected') {
    output.diagnostics(solved.diagnostics, checked.sources);
    throw new Ended(exitStatus.diagnostic);
  }
  for (const each of wanted) {
    const tensor = inputs.get(each.path);
    if (tensor !== undefined) checkInputType(each, tensor, solved.sizes);
  }
  const inputDtypes = new Map<string, Dtype>([...inputs].map(([path, { dtype }]) => [path, dtype]));
  const mesh = meshOf(options.mesh);
  const instance: Instance = {
    entry,
    sizes: new Map([...solved.sizes].filter(([name]) => !bounds.has(name))),
    ...(bounds.size === 0 ? {} : { bounds }),
    inputDtypes,
    ...(mesh === undefined ? {} : { mesh, auto: options.auto === true }),
    ...(options.machine === undefined ? {} : { costs: readMachine(options.machine) }),
  };
  return { checked, instance, wanted, inputs };
}

/** Said before the sizes that they would have fixed are missed. */
function refuseMissing(wanted: readonly EntryTensor[], { tensors, strangers }: GivenInputs): void {
  const missing = wanted.filter(({ path }) => !tensors.has(path)).map(({ path }) => path);
  const [first] = missing;
  if (first === undefined) return;
  const verb = missing.length === 1 ? 'the input is missing' : 'inputs are missing';
  const others = strangers.length === 0 ? '' : `; given, but no inputs: ${strangers.slice(0, 6).join(', ')}`;
  throw new UserError(
    'wrong-input',
    `${verb}: ${missing.join(', ')}${others}`,
    `give --inputs FILE.safetensors, --input ${first}=FILE.npy, or --random SEED for random ones`,
  );
}

/** Axes are no sizes to choose: there are as many devices as the mesh has. */
function refuseMeshes(axes: readonly string[], { size, mesh, auto }: EntryOptions): void {
  const given = new Map([...size.values, ...size.bounds]);
  const axis = axes.find((name) => given.has(name));
  if (axis !== undefined)
    throw new UsageError(`${axis} is an axis of the mesh, no size`, `give --mesh ${axis}=${given.get(axis)}`);
  // What the compiler places may be on axes of which the program knows nothing.
  const unknown = auto === true ? undefined : [...mesh.keys()].find((name) => !axes.includes(name));
  if (unknown !== undefined)
    throw new UserError(
      'wrong-input',
      `there is no mesh axis ${unknown}`,
      axes.length === 0
        ? 'give --auto to let the compiler place the program, or leave --mesh out'
        : `there are: ${axes.join(', ')}`,
    );
  if (auto === true && mesh.size === 0)
    throw new UsageError(
      '--auto has no mesh to place the program on',
      'give --mesh tp=4, or leave --auto out',
    );
  const empty = [...mesh].find(([, devices]) => devices === 0);
  if (empty !== undefined)
    throw new UserError('wrong-input', `the mesh has no device along ${empty[0]}`, 'give at least 1');
}

/** In the order in which the axes were given: along the last, neighbours have neighbouring numbers. */
function meshOf(axes: ReadonlyMap<string, number>): Mesh | undefined {
  return axes.size === 0 ? undefined : { axes: [...axes].map(([name, size]) => ({ name, size })) };
}

function dtypeOf(element: ElementType): Dtype | undefined {
  switch (element.kind) {
    case 'dtype':
      return element.dtype;
    case 'float':
      return undefined;
    case 'ix':
      return 'i32';
  }
}
