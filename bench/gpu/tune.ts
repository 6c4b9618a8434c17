/**
 * Measures the table of schedules that ships, on a machine with its GPU: `node dist/bench/gpu/tune.js FILE`
 * writes a tuning file with the problems of `tuned.ts` for which another choice than the first is best, within
 * `--seconds`. What comes first in the list is measured, what there is no time for is left out.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import { checkFile, lower } from '../../driver/compile.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { knownFrom } from '../../driver/tuning/cache.ts';
import { gpuIdentity } from '../../driver/tuning/identity.ts';
import { onGpu, type Trier } from '../../driver/tuning/trier.ts';
import { tunePrograms } from '../../driver/tuning/tune-program.ts';
import { writeTuning } from '../../driver/tuning/tuning-file.ts';
import { compilingAhead } from '../../runtime/cuda/driver/compile-ahead.ts';
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
const programs = tunedCases.slice(0, Number(values.cases)).map(({ entry, sizes, roundsFactors }) => {
  const instance = { entry, sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
  const { optimized: graph } = accepted(lower(checked, instance));
  return { graph, trier: roundsFactors === true ? rounding : exact };
});
console.log(`${passed().toFixed(1)} s: ${programs.length} programs are lowered`);

const device = gpuIdentity(gpu.gpu);
await tunePrograms(programs, new Map(), {
  budget: seconds - passed(),
  most: Number(values.most),
  suggested: knownFrom('shipped', device, console.error).advice,
  // The evaluator takes seconds for what the GPU does at once.
  mostEvaluated: 1e7,
  isStopped: () => passed() > seconds,
  report: (line) => console.log(line),
  progress: () => undefined,
  found: (title, outcome, problems) => {
    const said =
      'choice' in outcome
        ? `${outcome.first.toFixed(4)} ms, best ${outcome.milliseconds.toFixed(4)} of ${outcome.tried}: ${printChoice(outcome.choice)}`
        : outcome.untried;
    console.log(`${passed().toFixed(1)} s: ${title}: ${said}`);
    const better = [...problems].filter(([, { first, milliseconds }]) => milliseconds < first);
    writeTuning(file, { device, rates: undefined, problems: new Map(better) });
  },
});
ahead?.close();
gpu.release();
