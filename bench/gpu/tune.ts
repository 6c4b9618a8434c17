/**
 * Measures the table of schedules that ships, on a machine with its GPU: `node dist/bench/gpu/tune.js FILE`
 * writes a tuning file with the problems of `tuned.ts` for which another choice than the first is best, within
 * `--seconds`. What comes first in the list is measured, what there is no time for is left out. `FILE.apart`
 * has all that was measured.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeEntry } from '../../compiler/lower/entry.ts';
import { printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import { checkFile, lower } from '../../driver/compile.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { repeatedInput } from '../../driver/random-inputs.ts';
import { knownFrom } from '../../driver/tuning/cache.ts';
import { compilingAhead } from '../../driver/tuning/compile-ahead.ts';
import { gpuIdentity } from '../../driver/tuning/identity.ts';
import { keptTogether, type WholeProgram } from '../../driver/tuning/together.ts';
import { onGpu, type Trier } from '../../driver/tuning/trier.ts';
import { tunePrograms } from '../../driver/tuning/tune-program.ts';
import { writeTuning } from '../../driver/tuning/tuning-file.ts';
import { openGpu } from '../../runtime/cuda/driver/open.ts';
import { accepted } from '../accepted.ts';
import { tunedCases } from './tuned.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '40' },
    /** Choices that are tried of a problem. */
    most: { type: 'string', default: '8' },
    processes: { type: 'string', default: String(Math.min(14, availableParallelism() - 1)) },
    /** Cases of the list. */
    cases: { type: 'string', default: String(tunedCases.length) },
  },
});
const [file] = positionals;
if (file === undefined) throw new Error('usage: node dist/bench/gpu/tune.js FILE [--seconds 40] [--most 8]');

/** The part of the time in which problems are tuned; in what is left of it whole programs are compared. */
const searching = 0.8;

const begin = performance.now();
const passed = () => (performance.now() - begin) / 1000;
const seconds = Number(values.seconds);
const ahead = compilingAhead(Number(values.processes));
const gpu = await openGpu();
const checked = accepted(checkFile(join(packageRoot, 'bench/gpu/cases.ricci')));
const [exact, rounding] = [false, true].map((roundsFactors) => onGpu(gpu, { roundsFactors, ahead })) as [
  Trier,
  Trier,
];
const programs = tunedCases.slice(0, Number(values.cases)).map((each): WholeProgram => {
  const sizes = new Map(Object.entries(each.sizes));
  const { entry, roundsFactors = false } = each;
  const { optimized: graph } = accepted(lower(checked, { entry, sizes, inputDtypes: new Map() }));
  const { inputs } = describeEntry(checked.program, entry);
  return {
    graph,
    trier: roundsFactors ? rounding : exact,
    inputs: () => new Map(inputs.map((input) => [input.path, repeatedInput(input, sizes, 1)])),
  };
});
console.log(`${passed().toFixed(1)} s: ${programs.length} programs are lowered`);

const device = gpuIdentity(gpu.gpu);
const say = (line: string) => console.log(`${passed().toFixed(1)} s: ${line}`);
const tuned = await tunePrograms(programs, new Map(), {
  // Each has as many choices as are asked for, until time is over.
  budget: Number.POSITIVE_INFINITY,
  most: Number(values.most),
  suggested: knownFrom('shipped', device, console.error).advice,
  // The evaluator takes seconds for what the GPU does at once.
  mostEvaluated: 1e7,
  isStopped: () => passed() > searching * seconds,
  report: say,
  progress: () => undefined,
  found: (title, outcome, all) => {
    writeTuning(`${file}.apart`, { device, rates: undefined, problems: all });
    if (!('choice' in outcome)) return say(`${title}: ${outcome.untried}`);
    const { first, milliseconds, tried, choice } = outcome;
    say(
      `${title}: ${first.toFixed(4)} ms, best ${milliseconds.toFixed(4)} of ${tried}: ${printChoice(choice)}`,
    );
  },
});
const problems = await keptTogether(programs, tuned, {
  isStopped: () => passed() > seconds,
  found: ({ name }, times) =>
    say(
      `${name} whole: ${typeof times === 'string' ? times : times.map((each) => each.toFixed(4)).join(' → ')}`,
    ),
});
writeTuning(file, { device, rates: undefined, problems });
say(`${problems.size} of ${tuned.size} problems have a better choice`);
ahead?.close();
gpu.release();
