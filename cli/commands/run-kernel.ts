/** Runs a kernel for `ricci emulate`: with all of the emulator, which no other command needs. */
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { EmulatorFault } from '../../backends/cuda-ptx/emulator/fault.ts';
import type { CopyTiming } from '../../backends/cuda-ptx/emulator/grid-plan.ts';
import { type Launch, LaunchError, LostThread, launch } from '../../backends/cuda-ptx/emulator/launch.ts';
import { parsePtx } from '../../backends/cuda-ptx/parse.ts';
import type { PtxModule } from '../../backends/cuda-ptx/ptx.ts';
import { PtxError } from '../../backends/cuda-ptx/ptx-error.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { UserError } from '../../runtime/errors.ts';
import { UsageError } from '../exit.ts';
import { createOutput } from '../output.ts';
import type { Streams } from '../streams.ts';
import { countText } from '../table.ts';
import { type GivenBuffer, parseExtent, readArguments } from './emulate-arguments.ts';
import { isFloatBuffer, npyOfBuffer, valuesOfBuffer } from './kernel-buffers.ts';
import { checkPlace, reportValues, type Shown } from './results.ts';

export interface EmulateOptions {
  readonly kernel?: string;
  readonly grid: string;
  readonly block: string;
  readonly shared: string;
  readonly arg: readonly string[];
  readonly random: number;
  readonly copies: string;
  readonly checks: string;
  readonly most: string;
  readonly output: readonly string[];
  readonly json?: boolean;
}

export function emulate(file: string, options: EmulateOptions, streams: Streams): void {
  const output = createOutput(options.json === true, streams);
  const module = readModule(file);
  const { arguments: given, buffers } = readArguments(options.arg, options.random);
  const files = outputFiles(options.output, buffers);
  const before = new Map(buffers.map((each) => [each.name, new Uint8Array(each.bytes)]));
  const started = performance.now();
  const { instructions } = runNamed(file, module, {
    ...{ module, kernel: kernelOf(file, module, options.kernel), arguments: given },
    grid: parseExtent(options.grid, 'grid'),
    block: parseExtent(options.block, 'block'),
    sharedBytes: parseBytes(options.shared),
    copies: parseCopies(options.copies),
    mostInstructions: parseMost(options.most),
    // What a kernel says is no part of a JSON answer.
    print: (text) => (options.json === true ? streams.err : streams.out).write(text),
    ...checksOf(options.checks),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  output.progress(`${countText(instructions)} instructions of threads in ${seconds} s`);
  for (const [name, path] of files) {
    const found = buffers.find((each) => each.name === name)!;
    writeFileBeside(path, npyOfBuffer(found));
    output.progress(`${name} written to ${path}`);
  }
  // What the kernel left as it was is no result.
  const results = buffers.filter(
    ({ name, bytes, isEmpty }) => isEmpty || !Buffer.from(bytes).equals(before.get(name)!),
  );
  reportValues(new Map(results.map((each) => [each.name, shownOf(each)])), undefined, output);
}

function shownOf(buffer: GivenBuffer): Shown {
  const { type, shape } = buffer;
  const digits = type === 'f64' ? 12 : 6;
  return { dtype: type, shape, isFloat: isFloatBuffer(type), digits, values: valuesOfBuffer(buffer) };
}

function readModule(file: string): PtxModule {
  if (statSync(file).isDirectory())
    throw new UserError('file-access', `${file} is a directory`, 'give a file of PTX text');
  return inFile(file, undefined, () => parsePtx(readFileSync(file, 'utf8'), { postpones: true }));
}

function kernelOf(file: string, module: PtxModule, given: string | undefined): string {
  const kernels = module.functions.filter(({ isEntry }) => isEntry).map(({ name }) => name);
  if (given !== undefined && kernels.includes(given)) return given;
  const [only] = kernels;
  if (given === undefined && only !== undefined && kernels.length === 1) return only;
  const message =
    given === undefined ? `${file} has ${kernels.length} kernels` : `${file} has no kernel ${given}`;
  const help = kernels.length === 0 ? 'give a file with an .entry' : `give --kernel ${kernels.join(' or ')}`;
  throw new UserError('wrong-input', message, help);
}

function runNamed(file: string, module: PtxModule, parts: Launch): ReturnType<typeof launch> {
  return inFile(file, module, () => launch(parts));
}

/** What goes wrong, with where in the file it did. */
function inFile<T>(file: string, module: PtxModule | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PtxError) {
      const { line, column } = error.place;
      throw new UserError(
        'malformed-file',
        `${file}:${line}:${column}: ${error.message}`,
        'see docs/emulator.md for what of PTX is supported; ptxas says whether a text is PTX',
      );
    }
    if (error instanceof LaunchError)
      throw new UserError('wrong-input', error.message, 'see --help for how a launch is described');
    if (error instanceof LostThread)
      throw new UserError(
        'device-lost',
        error.message,
        'run again; if it happens again, launch fewer blocks',
      );
    if (error instanceof EmulatorFault) throw kernelFault(file, module, error);
    throw error;
  }
}

function kernelFault(file: string, module: PtxModule | undefined, fault: EmulatorFault): UserError {
  const { place, source, instruction } = fault;
  const at = place === undefined ? file : `${file}:${place.line}:${place.column}`;
  const nameOf = (at: { readonly file: number; readonly line: number } | undefined): string | undefined => {
    const name = at && module?.files.get(at.file);
    return name === undefined ? undefined : `${basename(name)}:${at?.line}`;
  };
  const [own, caller] = [nameOf(source), nameOf(source?.caller)];
  const isCalled = caller !== undefined && caller !== own;
  const origin = own === undefined ? '' : `, from ${own}${isCalled ? `, called at ${caller}` : ''}`;
  const what = instruction === undefined ? '' : ` (${instruction}${origin})`;
  return new UserError(
    'kernel-fault',
    `${at}: ${fault.message}${what}`,
    fault.kind === 'no end'
      ? 'with --most more instructions are let pass; a thread that waits for another may wait for ever'
      : 'the kernel is at fault, or what it was launched with: docs/emulator.md says what each fault means',
  );
}

function parseBytes(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) > 2 ** 20)
    throw new UsageError(`--shared ${text} is no number of bytes`, 'give a whole number below 1 MiB');
  return Number(text);
}

function parseMost(text: string): number {
  if (/^\d+(e\d+)?$/.test(text) && Number(text) >= 1) return Number(text);
  throw new UsageError(
    `--most ${text} is no number of instructions`,
    'give --most 1e12, or as many as it takes',
  );
}

function parseCopies(text: string): CopyTiming {
  if (text === 'late' || text === 'early') return text;
  if (!/^\d{1,9}$/.test(text))
    throw new UsageError(`--copies ${text} is neither late nor early nor a seed`, 'give one of these');
  return { seed: Number(text) };
}

const checks = {
  all: { checksMemory: true, checksRaces: true, checksGlobalRaces: true },
  shared: { checksMemory: true, checksRaces: true },
  memory: { checksMemory: true, checksRaces: false },
  none: { checksMemory: false, checksRaces: false },
} as const;

function checksOf(text: string): (typeof checks)[keyof typeof checks] {
  if (Object.hasOwn(checks, text)) return checks[text as keyof typeof checks];
  throw new UsageError(`--checks ${text} is not known`, 'give all, shared, memory or none');
}

function outputFiles(
  texts: readonly string[],
  buffers: readonly GivenBuffer[],
): readonly (readonly [string, string])[] {
  return texts.map((text) => {
    const [, name, path] = /^([^=]+)=(.+\.npy)$/.exec(text) ?? [];
    if (name === undefined || path === undefined)
      throw new UsageError(`-o ${text} is not NAME=FILE.npy`, 'name a buffer and a file for it');
    if (!buffers.some((each) => each.name === name))
      throw new UsageError(
        `-o ${text}: no buffer is called ${name}`,
        `name one of ${buffers.map((each) => each.name).join(', ') || 'the arguments, of which none is a buffer'}`,
      );
    checkPlace(path);
    return [name, path];
  });
}
