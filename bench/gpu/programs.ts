/**
 * For a machine with a GPU that is lent for minutes: checks every small program on it against the reference
 * evaluator, and prints what fails as it fails: `node dist/bench/gpu/programs.js ptx`, or `wgsl` for the
 * kernels of WebGPU on its adapter. With `--emulator` PTX runs without a GPU. Several processes share the
 * programs (`--processes`), and begin none after `--seconds`.
 */
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkFile } from '../../driver/check.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { instancesOf } from '../../property-tests/instances.ts';
import { accepted } from '../accepted.ts';
import { runPool } from './pool.ts';
import type { ProgramAnswer, ProgramJob } from './program-worker.ts';

/** One ulp of bf16, which a result may be apart by where it is rounded. */
const tolerance = 2 ** -7;
/** Seconds for one program at one size. */
const longest = 20;
/** Between lines that say how far it is. */
const reported = 2000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    emulator: { type: 'boolean', default: false },
    processes: { type: 'string', default: String(Math.min(16, availableParallelism())) },
    seconds: { type: 'string', default: '40' },
    /** Those of one file, such as `softmax.ricci`. */
    file: { type: 'string' },
  },
});

/** Every program at one size before any at another, for when time is short. */
function allJobs(): readonly ProgramJob[] {
  const folder = join(packageRoot, 'property-tests/programs');
  const files = readdirSync(folder).filter((name) =>
    values.file === undefined ? name.endsWith('.ricci') : name === values.file,
  );
  const jobs = files.flatMap((name) => {
    const file = join(folder, name);
    const { program } = accepted(checkFile(file));
    const entries = [...program.entries.values()].filter(({ exported }) => exported);
    return entries.flatMap(({ name: entry }) =>
      instancesOf(program, entry).map((sizes, turn) => ({ turn, job: { file, entry, sizes: [...sizes] } })),
    );
  });
  return jobs.toSorted((left, right) => left.turn - right.turn).map(({ job }) => job);
}

const jobs = allJobs();
const spent: Record<string, number> = {};
let [passed, failed, worst] = [0, 0, 0];
let told = performance.now();
const begin = told;

const left = await runPool<ProgramJob, ProgramAnswer>(
  {
    file: new URL('program-worker.js', import.meta.url),
    arguments: [positionals.includes('ptx') ? 'ptx' : 'wgsl', ...(values.emulator ? ['--emulator'] : [])],
    processes: Number(values.processes),
    jobs,
    limit: 1000 * Number(values.seconds),
    longest: 1000 * longest,
  },
  ({ file, entry, sizes }, heard) => {
    const outcome = 'answer' in heard ? (heard.answer.failed ?? heard.answer.distance) : heard.ended;
    if ('answer' in heard)
      for (const [stage, milliseconds] of Object.entries(heard.answer.milliseconds))
        spent[stage] = (spent[stage] ?? 0) + milliseconds;
    if (typeof outcome === 'number' && outcome <= tolerance) {
      passed++;
      worst = Math.max(worst, outcome);
    } else {
      failed++;
      console.log(`${file.slice(packageRoot.length)} ${entry} ${JSON.stringify(sizes)}: ${outcome}`);
    }
    if (performance.now() - told < reported) return;
    told = performance.now();
    console.log(`${seconds(told - begin)}: ${passed} passed, ${failed} failed, of ${jobs.length}`);
  },
);

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

const stages = Object.entries(spent).map(([stage, milliseconds]) => `${stage} ${seconds(milliseconds)}`);
console.log(`in all processes together: ${stages.join(', ')}; ${seconds(performance.now() - begin)} in all`);
console.log(
  `${passed} passed, ${failed} failed, ${left} not begun; the largest distance of those that passed is ${worst}`,
);
process.exitCode = failed > 0 ? 1 : 0;
