/** The process of `tune.ts` that measures. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describeEntry } from '../../compiler/lower/entry.ts';
import type { Allowance } from '../../compiler/tiles/allowances.ts';
import { printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import { checkFile } from '../../driver/check.ts';
import { asStoredOn } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { repeatedInput } from '../../driver/random-inputs.ts';
import { knownFrom } from '../../driver/tuning/cache.ts';
import { compilingAhead } from '../../driver/tuning/compile-ahead.ts';
import { gpuIdentity } from '../../driver/tuning/identity.ts';
import { keptTogether, type WholeProgram } from '../../driver/tuning/together.ts';
import { onGpu, type Trier } from '../../driver/tuning/trier.ts';
import { tunePrograms } from '../../driver/tuning/tune-program.ts';
import { readTuning, writeTuning } from '../../driver/tuning/tuning-file.ts';
import { openGpu } from '../../runtime/cuda/driver/open.ts';
import { accepted } from '../accepted.ts';
import type { TuneJob, TuneNews } from './tune.ts';
import { tunedCases } from './tuned.ts';

const job = await new Promise<TuneJob>((told) => process.once('message', told));
const { file, seconds } = job;

/** The part of the time in which problems are tuned; in what is left of it whole programs are compared. */
const searching = 0.8;

const begin = performance.now();
const passed = () => (performance.now() - begin) / 1000;
const ahead = compilingAhead(job.processes);
const gpu = await openGpu();
const checked = accepted(checkFile(join(packageRoot, 'bench/gpu/cases.ricci')));
const triers = new Map<string, Trier>();
/** One for all cases that allow the same. */
function trierFor(allowed: readonly Allowance[]): Trier {
  const name = allowed.join();
  const trier = triers.get(name) ?? onGpu(gpu, { allowed, ahead });
  triers.set(name, trier);
  return trier;
}
const programs = tunedCases.slice(0, job.cases).map((each): WholeProgram => {
  const sizes = new Map(Object.entries(each.sizes));
  const { entry, allowed = [] } = each;
  const { optimized } = accepted(lower(checked, { entry, sizes, inputDtypes: new Map() }));
  const trier = trierFor(allowed);
  const { graph } = asStoredOn(trier.device, optimized);
  const { inputs } = describeEntry(checked.program, entry);
  return {
    graph,
    trier,
    inputs: () => new Map(inputs.map((input) => [input.path, repeatedInput(input, sizes, 1)])),
  };
});
console.log(`${passed().toFixed(1)} s: ${programs.length} programs are lowered`);

const device = gpuIdentity(gpu.gpu);
const apart = `${file}.apart`;
let current = '';
/** That it goes on. */
function tell(problem: string): void {
  current = problem;
  const news: TuneNews = { problem };
  process.send!(news);
}
const say = (line: string) => console.log(`${passed().toFixed(1)} s: ${line}`);
/** Of a process before this one. */
const known = existsSync(apart) ? readTuning(apart).problems : new Map();
const tuned = await tunePrograms(programs, known, {
  skipped: new Set(job.skipped),
  begun: tell,
  // Each has as many choices as are asked for, until time is over.
  budget: Number.POSITIVE_INFINITY,
  most: job.most,
  suggested: knownFrom('shipped', device, console.error).advice,
  // The evaluator takes seconds for what the GPU does at once.
  mostEvaluated: 1e7,
  isStopped: () => passed() > searching * seconds,
  report: say,
  progress: () => tell(current),
  found: (title, outcome, all) => {
    writeTuning(apart, { device, rates: undefined, problems: all });
    if (!('choice' in outcome)) return say(`${title}: ${outcome.untried}`);
    const { first, milliseconds, tried, choice } = outcome;
    say(
      `${title}: ${first.toFixed(4)} ms, best ${milliseconds.toFixed(4)} of ${tried}: ${printChoice(choice)}`,
    );
  },
});
const problems = await keptTogether(programs, tuned, {
  isStopped: () => passed() > seconds,
  found: ({ name }, times) => {
    tell(current);
    say(
      `${name} whole: ${typeof times === 'string' ? times : times.map((each) => each.toFixed(4)).join(' → ')}`,
    );
  },
});
writeTuning(file, { device, rates: undefined, problems });
say(`${problems.size} of ${tuned.size} problems have a better choice`);
ahead?.close();
gpu.release();
process.disconnect();
