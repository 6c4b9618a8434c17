/** The hub of the watch: hears all ranks, and judges. */
import { consequenceTier, type Ending, isByUser, showEnding } from './endings.ts';
import { declareGroup, newLedger, recordStep, showAbsent, showStep } from './ledger.ts';
import type { Report, Word } from './messages.ts';

/**
 * Milliseconds from the first end that is heard of to the verdict: of the ranks that the launcher ends in
 * turn, one may be heard first.
 */
const judging = 200;

export interface Hub {
  readonly hear: (rank: number, report: Report) => void;
  /** The connection to a rank has closed. */
  readonly lost: (rank: number) => void;
  /** All ranks have left, or the job has failed. */
  readonly isOver: () => boolean;
}

interface Ended {
  readonly rank: number;
  readonly ending: Ending;
  /** Milliseconds since 1970, by the clock of its host. */
  readonly at: number;
}

/** @param name What to call a rank: `rank 2 (process 4711 on node-3)`. */
export function newHub(
  ranks: number,
  name: (rank: number) => string,
  tell: (rank: number, word: Word) => void,
): Hub {
  const ledger = newLedger();
  const [left, ended] = [new Set<number>(), new Map<number, Ended>()];
  let failed = false;

  const fail = (text: string | undefined, silent?: number | 'all') => {
    if (failed || text === undefined) return;
    failed = true;
    const word: Word = { kind: 'failed', text, ...(silent !== undefined && { silent }) };
    for (let rank = 0; rank < ranks; rank++) tell(rank, word);
  };
  const judge = () => {
    const [first] = [...ended.values()].sort(
      (one, other) => consequenceTier(one.ending) - consequenceTier(other.ending) || one.at - other.at,
    );
    if (first === undefined) return;
    const { rank, ending } = first;
    fail(`${name(rank)} ${showEnding(ending)}`, isByUser(ending) ? 'all' : rank);
  };
  const end = (rank: number, ending: Ending, at: number) => {
    if (ended.size === 0) setTimeout(judge, judging);
    ended.set(rank, { rank, ending, at });
  };
  const rules: {
    readonly [K in Report['kind']]: (rank: number, report: Extract<Report, { kind: K }>) => void;
  } = {
    group: (_, { group }) => declareGroup(ledger, group),
    steps: (rank, { begun }) => {
      for (const step of begun) fail(recordStep(ledger, rank, step));
    },
    overdue: (rank, { step, seconds, last }) => {
      const [where, whom] = [showStep(ledger, step), showAbsent(ledger, step)];
      const text = `rank ${rank} has waited ${seconds} s in ${where} for ${whom}`;
      if (last) fail(text);
      else tell(rank, { kind: 'notice', text });
    },
    abort: (rank, { reason }) => fail(`${name(rank)} gave up: ${reason}`),
    ended: (rank, { ending, at }) => end(rank, ending, at),
    left: (rank) => left.add(rank),
  };
  return {
    hear: (rank, report) => (rules[report.kind] as (rank: number, report: Report) => void)(rank, report),
    lost: (rank) => {
      if (!left.has(rank) && !ended.has(rank)) end(rank, { by: 'silence' }, Date.now());
    },
    isOver: () => failed || left.size === ranks,
  };
}
