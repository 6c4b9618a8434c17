/**
 * What every rank has called, in one place, so that calls that do not match are found, and not waited for.
 * Pure bookkeeping: `in-process.ts` keeps one for its logical ranks, the hub of the watch one for a job.
 */
import { showRanks } from '../show-ranks.ts';

/** A group of ranks. Its id is the same on all of them, and no other group's. */
export interface Group {
  readonly id: string;
  /** The mesh axes along which it lies. */
  readonly label: string;
  /** Ranks of the world, in the order of the group. */
  readonly members: readonly number[];
}

/**
 * One call of a collective. Those of a group are numbered from 0; the n-th of all members belong together.
 */
export interface Step {
  readonly group: string;
  readonly step: number;
  /** Verb, element type and count. */
  readonly what: string;
}

/** The last thing that a rank calls, on the world. What others wait for in other groups will not come. */
export const closing = 'close';

interface OpenStep {
  readonly what: string;
  /** The first that called it. */
  readonly rank: number;
  /** Members that have called it. */
  count: number;
}

interface GroupRecord extends Group {
  /** By rank of the world: the number of steps begun. */
  readonly begun: Map<number, number>;
  /** Steps that some members have begun and some not. */
  readonly open: Map<number, OpenStep>;
}

export interface Ledger {
  readonly groups: Map<string, GroupRecord>;
  /** By rank: its latest step. */
  readonly latest: Map<number, Step>;
  readonly closed: Set<number>;
}

export function newLedger(): Ledger {
  return { groups: new Map(), latest: new Map(), closed: new Set() };
}

/** Each member declares its group; the first counts. */
export function declareGroup({ groups }: Ledger, group: Group): void {
  if (groups.has(group.id)) return;
  const begun = new Map(group.members.map((member) => [member, 0]));
  groups.set(group.id, { ...group, begun, open: new Map() });
}

export function showStep({ groups }: Ledger, { group, step, what }: Step): string {
  return `${what} over ${groups.get(group)?.label ?? group} (step ${step})`;
}

/**
 * Rank `rank` has called `step`. Its steps come in the order in which it called them; those of different
 * ranks may come in any order.
 *
 * @returns What is wrong, if it does not match what others called or if one of them is not coming.
 */
export function recordStep(ledger: Ledger, rank: number, step: Step): string | undefined {
  const group = ledger.groups.get(step.group);
  if (group === undefined || !group.begun.has(rank)) return `rank ${rank} is not in group ${step.group}`;
  group.begun.set(rank, step.step + 1);
  ledger.latest.set(rank, step);
  if (step.what === closing) ledger.closed.add(rank);
  const open = group.open.get(step.step) ?? { what: step.what, rank, count: 0 };
  if (open.what !== step.what)
    return `rank ${open.rank} calls ${open.what}, but rank ${rank} calls ${showStep(ledger, step)}`;
  open.count++;
  if (open.count < group.members.length) group.open.set(step.step, open);
  else group.open.delete(step.step);
  return step.what === closing ? deserted(ledger, rank) : notComing(ledger, rank, step, group);
}

/** What others wait for from a rank that closes. */
function deserted(ledger: Ledger, rank: number): string | undefined {
  for (const group of ledger.groups.values()) {
    const begun = group.begun.get(rank);
    const open = begun === undefined ? undefined : group.open.get(begun);
    if (begun === undefined || open === undefined) continue;
    return desertion(ledger, rank, open.rank, { group: group.id, step: begun, what: open.what });
  }
  return undefined;
}

/** Whom a rank now waits for that has closed already. */
function notComing(ledger: Ledger, rank: number, step: Step, { begun }: GroupRecord): string | undefined {
  const closed = [...ledger.closed].find(
    (other) => (begun.get(other) ?? Number.POSITIVE_INFINITY) <= step.step,
  );
  return closed === undefined ? undefined : desertion(ledger, closed, rank, step);
}

function desertion(ledger: Ledger, closed: number, waiting: number, step: Step): string {
  return `rank ${closed} has ended its part, but rank ${waiting} waits for it in ${showStep(ledger, step)}`;
}

/** For whom a rank waits in a step: the members that have not called it, with the latest that they called. */
export function showAbsent(ledger: Ledger, { group, step }: Pick<Step, 'group' | 'step'>): string {
  const absent = [...(ledger.groups.get(group)?.begun ?? [])].filter(([, begun]) => begun <= step);
  if (absent.length === 0) return 'the data to arrive: all its ranks have called it';
  const byPlace = new Map<string, number[]>();
  for (const [rank] of absent) {
    const latest = ledger.latest.get(rank);
    const place = latest === undefined ? 'nothing called yet' : `last in ${showStep(ledger, latest)}`;
    byPlace.set(place, [...(byPlace.get(place) ?? []), rank]);
  }
  return [...byPlace].map(([place, ranks]) => `${showRanks(ranks)} (${place})`).join(', ');
}
