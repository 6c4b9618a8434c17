/**
 * The sentinel of a rank: a small process beside it, which outlives it for a moment. A launcher that sees one
 * rank die kills the others at once, before they can say why; and a rank that computes does not hear. So what
 * is to be said is said from here, on the standard error that both share.
 */
import { writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type Ending, showEnding } from './endings.ts';
import { serveHub } from './hub-server.ts';
import { declareGroup, newLedger, type Step, showStep } from './ledger.ts';
import { newLink } from './link.ts';
import type { Address, Answer, Hello, Order, Patience, Report, Word } from './messages.ts';
import { endingOf } from './process-end.ts';

/** Milliseconds to make a connection; to end, for a rank that was told to; from its end to that of this one. */
const limits = { connecting: 10_000, ending: 2_000, lingering: 200 };

interface Wait {
  readonly step: Step;
  /** Milliseconds of this process's clock. */
  readonly since: number;
  /** Seconds after which it is next said for whom. */
  notice: number;
}

const rankProcess = process.ppid;
/** Only for the names of groups. */
const ledger = newLedger();
/** What the rank waits in, by group. */
let waits = new Map<string, Wait>();
let rank = 0;
let tellHub: (report: Report) => void = () => {};
let endLink: () => void = () => {};
/** Of the rank: it closed its communicator; it ended otherwise; the job has failed. */
const state = { left: false, ended: false, failed: false };

function say(text: string): void {
  try {
    writeSync(2, `ricci: ${text}\n`);
  } catch {
    // Nobody reads it any more.
  }
}

function answer(message: Answer): void {
  if (process.connected) process.send?.(message);
}

/** Says why the job ends, and ends the rank. */
function fail(text: string): void {
  if (state.failed) return;
  state.failed = true;
  const [wait] = waits.values();
  if (!state.ended)
    say(
      text +
        (wait === undefined
          ? `; rank ${rank} stops`
          : ` while rank ${rank} waited in ${showStep(ledger, wait.step)}`),
    );
  answer({ kind: 'failed' });
  setTimeout(() => {
    if (process.connected) process.kill(rankProcess, 'SIGKILL');
  }, limits.ending);
  if (state.ended) setTimeout(() => process.exit(), limits.lingering);
}

const words: { readonly [K in Word['kind']]: (word: Extract<Word, { kind: K }>) => void } = {
  welcome: () => answer({ kind: 'joined' }),
  notice: ({ text }) => say(text),
  failed: ({ text }) => fail(text),
};

function hear(word: Word): void {
  (words[word.kind] as (word: Word) => void)(word);
}

/** What the sentinel itself learns from what its rank reports. */
const lessons: { readonly [K in Report['kind']]?: (report: Extract<Report, { kind: K }>) => void } = {
  group: ({ group }) => declareGroup(ledger, group),
  steps: ({ waiting }) => {
    const now = performance.now();
    const known = waits;
    waits = new Map(
      waiting.map((step) => {
        const wait = known.get(step.group);
        return [
          step.group,
          wait?.step.step === step.step ? wait : { step, since: now, notice: patience.notice },
        ];
      }),
    );
  },
  ended: () => {
    state.ended = true;
  },
  left: () => {
    state.left = true;
  },
};

function forward(report: Report): void {
  (lessons[report.kind] as ((report: Report) => void) | undefined)?.(report);
  tellHub(report);
  if (report.kind === 'left') endLink();
}

let patience: Patience = { notice: Number.POSITIVE_INFINITY, last: Number.POSITIVE_INFINITY };

function checkWaits(): void {
  const now = performance.now();
  for (const wait of waits.values()) {
    const seconds = Math.floor((now - wait.since) / 1000);
    const last = seconds >= patience.last;
    if (!last && seconds < wait.notice) continue;
    wait.notice += patience.notice;
    tellHub({ kind: 'overdue', step: wait.step, seconds, last });
  }
}

async function connectTo({ hosts, port }: Address): Promise<Socket> {
  const faults: string[] = [];
  for (const host of hosts) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect({ host, port, timeout: limits.connecting });
        socket.once('connect', () => resolve(socket.setTimeout(0)));
        socket.once('timeout', () => socket.destroy(new Error('no answer')));
        socket.once('error', reject);
      });
    } catch (error) {
      faults.push(`${host}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Error(`rank ${rank} cannot reach the watch of rank 0 (port ${port}, ${faults.join('; ')})`);
}

const silence: Ending = { by: 'silence' };

const orders: {
  readonly [K in Order['kind']]: (order: Extract<Order, { kind: K }>) => Promise<void> | void;
} = {
  listen: async (order) => {
    patience = order.patience;
    const { address, hear: report } = await serveHub({ ...order, tell: hear });
    tellHub = report;
    answer({ kind: 'listening', address });
  },
  join: async ({ address, rank: mine, name, ...order }) => {
    rank = mine;
    patience = order.patience;
    const link = newLink(
      await connectTo(address),
      (value) => hear(value as Word),
      () => {
        if (!state.left) fail(`rank 0 ${showEnding(silence)}`);
      },
    );
    link.send({ token: address.token, rank, name } satisfies Hello);
    tellHub = link.send;
    endLink = link.end;
  },
  report: ({ report }) => forward(report),
};

process.on('message', (order: Order) => {
  const done = (orders[order.kind] as (order: Order) => Promise<void> | void)(order);
  done?.catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));
});

process.on('disconnect', async () => {
  const at = Date.now();
  if (!state.left && !state.ended) {
    state.ended = true;
    forward({ kind: 'ended', ending: await endingOf(rankProcess), at });
  }
  if (state.failed) setTimeout(() => process.exit(), limits.lingering);
});

setInterval(checkWaits, 1000).unref();
