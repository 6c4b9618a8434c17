/**
 * The sentinel of a rank: a small process beside it, which outlives it for a moment. A launcher that sees one
 * rank die kills the others at once, before they can say why; and a rank that computes does not hear. So what
 * is to be said is said from here, on the standard error that both share.
 */
import { writeSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { showEnding } from './endings.ts';
import { serveHub } from './hub-server.ts';
import { declareGroup, newLedger, type Step, showStep } from './ledger.ts';
import { readLines } from './lines.ts';
import { newLink } from './link.ts';
import {
  type Address,
  type Answer,
  descriptors,
  type Hello,
  type Order,
  type Patience,
  type RankReport,
  type Report,
  type Word,
} from './messages.ts';
import { endingOf } from './process-end.ts';
import { beginWait, endWait, latestWait, overdueWaits, type Waits } from './waits.ts';

/**
 * Milliseconds: between readings of what the rank reports; to make a connection; for a rank to report where
 * it waits; for it to end when told to; from its end to that of this process.
 */
const limits = { reading: 10, connecting: 10_000, reporting: 50, ending: 2_000, lingering: 1_000 };

const rankProcess = process.ppid;
/** Only for the names of groups. */
const ledger = newLedger();
const waits: Waits = new Map();
let begun: Step[] = [];
let rank = 0;
let patience: Patience = { notice: Number.POSITIVE_INFINITY, last: Number.POSITIVE_INFINITY };
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

/** Says why the job ends, unless others do, and ends the rank. */
function fail(text: string, silent?: number | 'all'): void {
  if (state.failed) return;
  state.failed = true;
  setTimeout(() => {
    const wait = latestWait(waits);
    const where = wait === undefined ? undefined : showStep(ledger, wait);
    if (silent !== rank && silent !== 'all')
      say(text + (where === undefined ? `; rank ${rank} stops` : ` while rank ${rank} waited in ${where}`));
    answer({ kind: 'failed' });
    if (state.ended) setTimeout(() => process.exit(), limits.lingering);
    else setTimeout(() => process.kill(rankProcess, 'SIGKILL'), limits.ending);
  }, limits.reporting);
}

const words: { readonly [K in Word['kind']]: (word: Extract<Word, { kind: K }>) => void } = {
  welcome: () => answer({ kind: 'joined' }),
  notice: ({ text }) => say(text),
  failed: ({ text, silent }) => fail(text, silent),
};

function hear(word: Word): void {
  (words[word.kind] as (word: Word) => void)(word);
}

function reportSteps(): void {
  if (begun.length > 0) tellHub({ kind: 'steps', begun });
  begun = [];
}

/** After what the rank called before. */
function forward(report: Report): void {
  reportSteps();
  tellHub(report);
}

const reports: { readonly [K in RankReport['kind']]: (report: Extract<RankReport, { kind: K }>) => void } = {
  group: (report) => {
    declareGroup(ledger, report.group);
    forward(report);
  },
  begin: ({ step }) => {
    beginWait(waits, step, patience, performance.now());
    begun.push(step);
  },
  pass: ({ step }) => endWait(waits, step),
  abort: forward,
  ended: (report) => {
    state.ended = true;
    forward(report);
  },
  left: (report) => {
    state.left = true;
    forward(report);
    endLink();
  },
};

/** The pipe has closed: the rank's process ends. */
async function rankIsGone(): Promise<void> {
  const at = Date.now();
  if (state.left) return;
  if (!state.ended) {
    state.ended = true;
    reports.ended({ kind: 'ended', ending: await endingOf(rankProcess), at });
  }
  if (state.failed) setTimeout(() => process.exit(), limits.lingering);
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
  throw new Error(`rank ${rank} cannot reach the watch of rank 0 (port ${port}; ${faults.join('; ')})`);
}

const orders: { readonly [K in Order['kind']]: (order: Extract<Order, { kind: K }>) => Promise<void> } = {
  listen: async ({ ranks, hosts, options }) => {
    patience = options.patience;
    const server = await serveHub({ ranks, hosts, name: options.name, tell: hear });
    tellHub = server.hear;
    answer({ kind: 'listening', address: server.address });
  },
  join: async ({ address, rank: mine, options }) => {
    rank = mine;
    patience = options.patience;
    const link = newLink(
      await connectTo(address),
      (value) => hear(value as Word),
      () => {
        if (!state.left) fail(`rank 0 ${showEnding({ by: 'silence' })}`);
      },
    );
    link.send({ token: address.token, rank, name: options.name } satisfies Hello);
    tellHub = link.send;
    endLink = link.end;
  },
};

process.on('message', (order: Order) => {
  (orders[order.kind] as (order: Order) => Promise<void>)(order).catch((error: unknown) =>
    fail(error instanceof Error ? error.message : String(error)),
  );
});

const pipe = new Socket({ fd: descriptors.reports });
readLines(pipe, (report) => {
  const known = report as RankReport;
  (reports[known.kind] as (report: RankReport) => void)(known);
});
// The rank needs the core more: it is not disturbed at each call.
pipe.on('data', () => {
  reportSteps();
  pipe.pause();
  setTimeout(() => pipe.resume(), limits.reading);
});
// What goes wrong with the pipe closes it.
pipe.on('error', () => {});
pipe.on('close', rankIsGone);

setInterval(() => {
  for (const overdue of overdueWaits(waits, patience, performance.now()))
    forward({ kind: 'overdue', ...overdue });
}, 1000).unref();
