/** The calls of a group, one after another, each with its number; the watch knows of each. */
import type { Group } from './watch/ledger.ts';
import type { Watch } from './watch/rank-watch.ts';

export interface Steps {
  readonly run: (what: string, perform: () => Promise<void>) => Promise<void>;
}

/** One piece of work after another, also after one that failed. */
export type Queue = (work: () => Promise<void>) => Promise<void>;

export function newQueue(): Queue {
  let previous: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = previous.then(work);
    previous = done.catch(() => {});
    return done;
  };
}

/** @param queue of the group, or of several that do not overlap */
export function newSteps(watch: Watch, group: Group, queue: Queue): Steps {
  let count = 0;
  return {
    run: (what, perform) => {
      const step = { group: group.id, step: count++, what };
      return queue(async () => {
        watch.begin(step);
        await perform();
        watch.end(step);
      });
    },
  };
}
