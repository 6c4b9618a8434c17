/** What a rank waits in, and for how long. */
import type { Step } from './ledger.ts';
import type { Patience } from './messages.ts';

interface Wait {
  readonly step: Step;
  /** Milliseconds. */
  readonly since: number;
  /** Seconds after which it is next said for whom. */
  notice: number;
}

/** By group. */
export type Waits = Map<string, Wait>;

/** @param now Milliseconds, as in the others here. */
export function beginWait(waits: Waits, step: Step, patience: Patience, now: number): void {
  // Deleted first, so that the latest is the last.
  waits.delete(step.group);
  waits.set(step.group, { step, since: now, notice: patience.notice });
}

export function endWait(waits: Waits, { group, step }: Step): void {
  if (waits.get(group)?.step.step === step) waits.delete(group);
}

export function latestWait(waits: Waits): Step | undefined {
  return [...waits.values()].at(-1)?.step;
}

export interface Overdue {
  readonly step: Step;
  readonly seconds: number;
  /** It is the last that is said of it. */
  readonly last: boolean;
}

/** The waits of which something is to be said now. */
export function overdueWaits(waits: Waits, patience: Patience, now: number): readonly Overdue[] {
  return [...waits.values()].flatMap((wait) => {
    const seconds = Math.floor((now - wait.since) / 1000);
    const last = seconds >= patience.last;
    if (!last && seconds < wait.notice) return [];
    wait.notice += patience.notice;
    return [{ step: wait.step, seconds, last }];
  });
}
