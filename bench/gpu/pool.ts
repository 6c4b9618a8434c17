/**
 * Jobs given to processes, one at a time to each: a GPU has room for several, what is compiled for it takes a
 * core each, and a job that faults or hangs takes nothing but its own process with it.
 */
import { type ChildProcess, fork } from 'node:child_process';

export interface Pool<Job> {
  /** The file of a process, which answers each message it gets by one. */
  readonly file: URL;
  readonly arguments: readonly string[];
  readonly processes: number;
  readonly jobs: readonly Job[];
  /** Milliseconds: no job begins later, and one that takes `longest` by itself is ended. */
  readonly limit: number;
  readonly longest: number;
}

export interface PoolAnswer {
  /** Whether its process is of no more use, as after a fault of the GPU. */
  readonly isLast?: boolean;
}

/** What came of a job: an answer, or why there is none. */
export type Heard<Answer> = { readonly answer: Answer } | { readonly ended: string };

/** @param hear of each job that was begun. @returns how many were not. */
export async function runPool<Job extends object, Answer extends PoolAnswer>(
  { file, arguments: words, processes, jobs, limit, longest }: Pool<Job>,
  hear: (job: Job, heard: Heard<Answer>) => void,
): Promise<number> {
  const deadline = performance.now() + limit;
  let next = 0;
  const hasMore = () => next < jobs.length && performance.now() < deadline;
  const inOneProcess = (child: ChildProcess): Promise<void> =>
    new Promise((done) => {
      let timer: NodeJS.Timeout | undefined;
      let current: Job | undefined;
      let isHanging = false;
      const begin = () => {
        if (!hasMore()) {
          child.disconnect();
          return;
        }
        current = jobs[next++]!;
        child.send(current);
        timer = setTimeout(() => {
          isHanging = true;
          child.kill('SIGKILL');
        }, longest);
      };
      child.on('message', (answer: Answer) => {
        clearTimeout(timer);
        hear(current!, { answer });
        current = undefined;
        if (answer.isLast === true) child.disconnect();
        else begin();
      });
      child.on('exit', (status, signal) => {
        clearTimeout(timer);
        const how = isHanging ? `no answer in ${longest / 1000} s` : `its process ended: ${signal ?? status}`;
        if (current !== undefined) hear(current, { ended: how });
        done();
      });
      begin();
    });
  const work = async () => {
    while (hasMore()) await inOneProcess(fork(file, words));
  };
  await Promise.all(Array.from({ length: Math.min(processes, jobs.length) }, work));
  return jobs.length - next;
}
