import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Graph } from '../../compiler/graph/graph.ts';
import type { Allowance } from '../../compiler/tiles/allowances.ts';
import { printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import type { Rates } from '../../compiler/tiles/device-rates.ts';
import { chooseTarget, type KernelTarget, onChosen } from '../../driver/choose-target.ts';
import { asStoredOn } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { cachedTuning, keepTuning, knownFrom } from '../../driver/tuning/cache.ts';
import { compilingAhead } from '../../driver/tuning/compile-ahead.ts';
import { adapterIdentity, gpuIdentity, processorIdentity } from '../../driver/tuning/identity.ts';
import { measureRates } from '../../driver/tuning/measure-rates.ts';
import { ratesText } from '../../driver/tuning/rates-text.ts';
import { onAdapter, onGpu, onProcessor, type Trier } from '../../driver/tuning/trier.ts';
import type { Outcome } from '../../driver/tuning/tune.ts';
import { tunePrograms } from '../../driver/tuning/tune-program.ts';
import { type Identity, type Tuning, writeTuning } from '../../driver/tuning/tuning-file.ts';
import type { DriverDevice } from '../../runtime/cuda/driver/open.ts';
import { isUserError, UserError } from '../../runtime/errors.ts';
import { wasmDeviceHere } from '../../runtime/wasm/features.ts';
import { createOutput, type Output } from '../output.ts';
import type { Streams } from '../streams.ts';
import { alignColumns, counted } from '../table.ts';
import {
  allowOption,
  type EntryOptions,
  orEnd,
  prepareEntry,
  refuseAdapter,
  refuseAllowances,
  withEntryOptions,
} from './entry-options.ts';

interface TuneOptions extends EntryOptions {
  readonly target?: KernelTarget;
  readonly adapter: 'auto' | 'hardware' | 'software';
  readonly budget: number;
  readonly again?: boolean;
  readonly allow: readonly Allowance[];
  readonly output?: string;
}

export function addTune(command: Command, streams: Streams): void {
  withEntryOptions(
    command
      .command('tune')
      .description('measure which schedules are best for an entry on this machine, and keep what is found')
      .argument('<file>', 'a .ricci file'),
  )
    .addOption(new Option('--target <target>', 'where to run').choices(['wgsl', 'wasm', 'ptx']))
    .addOption(
      new Option('--adapter <kind>', 'which WebGPU adapter')
        .choices(['auto', 'hardware', 'software'])
        .default('auto'),
    )
    .addOption(
      new Option(
        '--budget <seconds>',
        'how long to measure, beside what it takes to compute what results are compared with',
      )
        .argParser(parseSeconds)
        .default(60),
    )
    .addOption(allowOption())
    .option('--again', 'measure what was measured before, too')
    .option('-o, --output <file>', 'write what is known to this file, for ricci compile --tuning')
    .action(async (file: string, options: TuneOptions) => {
      const output = createOutput(options.json === true, streams);
      if (options.target === 'wasm' || options.target === 'ptx')
        refuseAdapter(options.adapter, options.target);
      refuseAllowances(options.allow, options.target);
      const { checked, instance } = prepareEntry(file, options, output);
      const lowered = orEnd(lower(checked, instance, output.advance), output);
      const { target, adapter } = options;
      const chosen = await chooseTarget({ target, adapter, report: output.progress });
      await onChosen(chosen, {
        wasm: () =>
          tune(
            lowered.optimized,
            (rates) => onProcessor(wasmDeviceHere(), rates),
            processorIdentity(),
            options,
            output,
          ),
        wgsl: async () => {
          const opened = await chosen.open();
          const on = (rates?: Rates) => onAdapter(opened, rates);
          try {
            await tune(lowered.optimized, on, adapterIdentity(opened), options, output);
          } finally {
            opened.destroy();
          }
        },
        ptx: async () => {
          const gpu = await gpuToTune();
          const ahead = compilingAhead(Math.min(mostAhead, availableParallelism() - 1));
          const { allow: allowed } = options;
          const on = (rates?: Rates) => onGpu(gpu, { rates, allowed, ahead });
          try {
            const { graph } = asStoredOn(on().device, lowered.optimized);
            await tune(graph, on, gpuIdentity(gpu.gpu), options, output);
          } finally {
            ahead?.close();
            gpu.release();
          }
        },
      });
    });
}

/** Operations that the evaluator is through with in a second: what a GPU is tuned for has more, as a rule. */
const mostEvaluatedForGpu = 2e7;

/** Processes that compile beside what is measured. */
const mostAhead = 8;

/** @throws UserError `no-device` */
async function gpuToTune(): Promise<DriverDevice> {
  const { openGpu } = await import('../../runtime/cuda/driver/open.ts');
  try {
    return await openGpu();
  } catch (error) {
    if (!isUserError(error) || error.code !== 'no-device') throw error;
    throw new UserError(
      'no-device',
      `${error.message}; how fast PTX is only a GPU tells, the emulator does not`,
      'tune on a machine with an NVIDIA GPU and its driver, and bring what `-o FILE` writes',
    );
  }
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds < 1e6)) throw new InvalidArgumentError(`'${text}' is no number of seconds.`);
  return seconds;
}

interface Row {
  readonly title: string;
  readonly outcome: Outcome;
}

async function tune(
  graph: Graph,
  on: (rates?: Rates) => Trier,
  device: Identity,
  { budget, again = false, output: path }: TuneOptions,
  output: Output,
): Promise<void> {
  const cached = cachedTuning(device, output.progress);
  const rates = (again ? undefined : cached?.rates) ?? (await measured(on(), output));
  const before = cached?.problems ?? new Map();
  const rows: Row[] = [];
  let isStopped = false;
  const stop = () => {
    // The second time at once.
    process.removeListener('SIGINT', stop);
    isStopped = true;
    output.progress('stopping; what was measured is kept');
  };
  process.on('SIGINT', stop);
  /** All that is known, with what was known of other programs. */
  let known: Tuning = { device, rates, problems: before };
  keepTuning(known);
  try {
    await tunePrograms([{ graph, trier: on(rates) }], again ? new Map() : before, {
      budget,
      ...(device.target === 'ptx' ? { mostEvaluated: mostEvaluatedForGpu } : {}),
      suggested: knownFrom('shipped', device, output.progress).advice,
      isStopped: () => isStopped,
      report: output.progress,
      progress: (title, tried, all) => output.advance(`tuning ${title}`, tried, all),
      found: (title, outcome, problems) => {
        rows.push({ title, outcome });
        known = { device, rates, problems: new Map([...before, ...problems]) };
        keepTuning(known);
      },
    });
  } finally {
    process.removeListener('SIGINT', stop);
  }
  if (path !== undefined) writeTuning(path, known);
  report(rows, known, path, output);
}

/** Undefined where it cannot be measured: the device is taken to be as usual then. */
async function measured(trier: Trier, output: Output): Promise<Rates | undefined> {
  const unknown = 'how fast the device is cannot be measured';
  try {
    const rates = await measureRates(trier, output.advance);
    if (rates === undefined) output.progress(`${unknown} while the machine does so much else`);
    return rates;
  } catch (error) {
    if (!isUserError(error) || error.code === 'device-lost') throw error;
    output.progress(`${unknown}: ${error.message}`);
    return undefined;
  }
}

function report(rows: readonly Row[], known: Tuning, path: string | undefined, output: Output): void {
  const titles = ['problem', 'first ms', 'best ms', 'ratio', 'tried', 'best choice'];
  const lines = alignColumns(
    [titles, ...rows.map(cellsOf)],
    ['left', 'right', 'right', 'right', 'right', 'left'],
  );
  const written = path === undefined ? '' : `; written to ${path}`;
  const rates = known.rates === undefined ? [] : [ratesText(known.rates)];
  const summary = `${counted(known.problems.size, 'problem')} known of ${known.device.name}${written}`;
  output.data([...(rows.length === 0 ? [] : lines), ...rates, summary].join('\n'), {
    device: known.device,
    ...(known.rates === undefined ? {} : { rates: known.rates }),
    measured: rows.map(({ title, outcome }) => ({
      problem: title,
      ...('choice' in outcome ? { ...outcome, choice: printChoice(outcome.choice) } : outcome),
    })),
    known: known.problems.size,
  });
}

function cellsOf({ title, outcome }: Row): readonly string[] {
  if (!('choice' in outcome)) return [title, '', '', '', '', outcome.untried];
  const { choice, first, milliseconds, tried, all } = outcome;
  const times = [first, milliseconds].map((time) => time.toFixed(3));
  const ratio = (first / Math.max(milliseconds, 1e-9)).toFixed(2);
  return [title, ...times, ratio, `${tried} of ${all}`, printChoice(choice)];
}
