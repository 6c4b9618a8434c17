/**
 * Measures the table of schedules that ships, on a machine with its GPU: `node dist/bench/gpu/tune.js FILE`
 * writes a tuning file with the problems of `tuned.ts` for which another choice than the first is best, within
 * `--seconds`. What comes first in the list is measured, what there is no time for is left out. `FILE.apart`
 * has all that was measured.
 *
 * A kernel that faults or hangs takes its process with it: then another goes on behind the problem.
 */
import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { tunedCases } from './tuned.ts';

/** What the process that measures is told. */
export interface TuneJob {
  readonly file: string;
  /** Until it ends. */
  readonly seconds: number;
  /** Choices that are tried of a problem. */
  readonly most: number;
  /** Processes that compile beside it. */
  readonly processes: number;
  /** Cases of the list. */
  readonly cases: number;
  /** Keys of problems. */
  readonly skipped: readonly string[];
}

/** That it goes on, and with which problem. */
export interface TuneNews {
  readonly problem: string;
}

/** Seconds in which something is heard of a process, or it hangs. */
const longestSilence = 10;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '40' },
    most: { type: 'string', default: '8' },
    processes: { type: 'string', default: String(Math.min(14, availableParallelism() - 1)) },
    cases: { type: 'string', default: String(tunedCases.length) },
  },
});
const [file] = positionals;
if (file === undefined) throw new Error('usage: node dist/bench/gpu/tune.js FILE [--seconds 40] [--most 8]');

/** Undefined when it is through; or else the problem with which it ended. */
function measured(job: TuneJob): Promise<string | undefined> {
  const child = fork(new URL('tune-worker.js', import.meta.url), []);
  child.send(job);
  return new Promise((done) => {
    let last: string | undefined;
    const listen = () => setTimeout(() => child.kill('SIGKILL'), 1000 * longestSilence);
    let timer = listen();
    child.on('message', ({ problem }: TuneNews) => {
      last = problem;
      clearTimeout(timer);
      timer = listen();
    });
    child.on('exit', (status) => {
      clearTimeout(timer);
      done(status === 0 ? undefined : (last ?? ''));
    });
  });
}

const end = performance.now() + 1000 * Number(values.seconds);
const skipped: string[] = [];
rmSync(`${file}.apart`, { force: true });
for (;;) {
  const ended = await measured({
    file,
    seconds: (end - performance.now()) / 1000,
    most: Number(values.most),
    processes: Number(values.processes),
    cases: Number(values.cases),
    skipped,
  });
  if (ended === undefined) break;
  console.log(`the process ended with: ${ended === '' ? 'no problem yet' : ended}`);
  // What ends before it measures anything does so again.
  if (ended === '' || performance.now() > end) {
    process.exitCode = 1;
    break;
  }
  skipped.push(ended);
}
