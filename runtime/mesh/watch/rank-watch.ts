/** A rank's side of the watch: starts its sentinel, and reports to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Ending } from './endings.ts';
import type { Group, Step } from './ledger.ts';
import { lineOf } from './lines.ts';
import {
  type Address,
  type Answer,
  descriptors,
  type Order,
  type RankReport,
  type SentinelOptions,
} from './messages.ts';

/** Milliseconds after a call has ended until that is reported, if no other was begun. */
const passing = 20;
/** Milliseconds for which reports may wait to be written together while the event loop does not turn. */
const gathering = 1;
/** Milliseconds from the sentinel's word that the job ends: the other sentinels speak first. */
const ending = 300;
/** Characters of an exception that are reported: its first line says what it is. */
const longestMessage = 200;

/** Started before MPI is: some of its transports do not survive a fork. */
export interface Sentinel {
  /** Makes it the hub of a job. */
  readonly listen: (ranks: number, hosts: readonly string[], options: SentinelOptions) => Promise<Address>;
  /** Connects it to the hub. */
  readonly join: (address: Address, rank: number, options: SentinelOptions) => Promise<void>;
  /**
   * From now on, the end of this process is a fault of the job.
   * @param giveUp lets go of what it shares with the other ranks, before this process ends as the job failed
   */
  readonly watch: (giveUp?: () => void) => Watch;
  /** It is not needed. */
  readonly dismiss: () => void;
}

export interface Watch {
  readonly declare: (group: Group) => void;
  readonly begin: (step: Step) => void;
  readonly end: (step: Step) => void;
  readonly abort: (reason: string) => void;
  /** The rank has ended its part, as have all others. */
  readonly leave: () => void;
}

/**
 * Hydra, MPICH's launcher, sees the end of a rank by its end of this socket. The sentinel holds it too, so
 * that the job lives until its verdict is out.
 */
function launcherSocket(environment: NodeJS.ProcessEnv): number | undefined {
  const descriptor = Number(environment.PMI_FD ?? Number.NaN);
  return Number.isInteger(descriptor) ? descriptor : undefined;
}

/** The sentinel is never what keeps this process alive. */
export function startSentinel(environment: NodeJS.ProcessEnv): Sentinel {
  const held = launcherSocket(environment);
  const child = spawn(process.execPath, [fileURLToPath(new URL('sentinel-main.js', import.meta.url))], {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe', ...(held === undefined ? [] : [held])],
  });
  const pipe = child.stdio[descriptors.reports] as Socket;
  child.unref();
  child.channel?.unref();
  pipe.unref();
  // An end of the sentinel shows in its `exit` event.
  pipe.on('error', () => {});
  return {
    listen: (ranks, hosts, options) =>
      ask(child, { kind: 'listen', ranks, hosts, options }, (answer) =>
        answer.kind === 'listening' ? answer.address : undefined,
      ),
    join: async (address, rank, options) => {
      await ask(
        child,
        { kind: 'join', address, rank, options },
        ({ kind }) => kind === 'joined' || undefined,
      );
    },
    watch: (giveUp = () => undefined) => watchWith(child, pipe, giveUp),
    dismiss: () => {
      child.kill();
    },
  };
}

/** The process lives at least until the sentinel has answered. */
async function ask<T>(
  child: ChildProcess,
  order: Order,
  pick: (answer: Answer) => T | undefined,
): Promise<T> {
  child.channel?.ref();
  try {
    return await new Promise<T>((resolve, reject) => {
      const fail = () => reject(new Error('the watch of this rank could not start'));
      child.once('message', (answer) => {
        const picked = pick(answer as Answer);
        if (picked === undefined) fail();
        else resolve(picked);
      });
      child.once('exit', fail);
      child.send(order, (error) => {
        if (error !== null) fail();
      });
    });
  } finally {
    child.channel?.unref();
  }
}

function watchWith(child: ChildProcess, pipe: Socket, giveUp: () => void): Watch {
  let over = false;
  let thrown: string | undefined;
  /** Calls that have ended, by group, where that is not reported yet. */
  const passed = new Map<string, Step>();

  /** What is not written yet, and since when. */
  let gathered: RankReport[] = [];
  let gatheredSince = 0;
  const write = () => {
    if (gathered.length > 0 && pipe.writable) pipe.write(gathered.map(lineOf).join(''));
    gathered = [];
  };
  /** Written when this returns, unless the sentinel is far behind. */
  const report = (message: RankReport) => {
    gathered.push(message);
    write();
  };
  /**
   * Written when the event loop turns: before that a call that all ranks have come to is over, and writing
   * takes longer than such a call.
   */
  const reportSoon = (message: RankReport) => {
    const now = performance.now();
    if (gathered.length === 0) {
      gatheredSince = now;
      setImmediate(write);
    }
    gathered.push(message);
    if (now - gatheredSince > gathering) write();
  };
  const reportPassed = () => {
    for (const step of passed.values()) report({ kind: 'pass', step });
    passed.clear();
  };
  const endWith = (how: Ending) => {
    if (over) return;
    over = true;
    report({ kind: 'ended', ending: how, at: Date.now() });
  };

  child.on('message', () => {
    // The only answer that is left: the job has failed.
    over = true;
    setTimeout(() => process.exit(1), ending);
    giveUp();
  });
  child.on('exit', () => {
    if (over) return;
    over = true;
    process.stderr.write('ricci: the watch of this rank was killed; the job ends\n');
    process.exit(1);
  });
  process.on('uncaughtExceptionMonitor', (error) => {
    thrown = String(error).split('\n')[0]!.slice(0, longestMessage);
  });
  process.on('exit', (status) =>
    endWith(thrown === undefined ? { by: 'exit', status } : { by: 'exception', message: thrown }),
  );
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      endWith({ by: 'signal', signal: constants.signals[signal] });
      // Without other listeners it does what it does by default.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });

  return {
    declare: (group) => report({ kind: 'group', group }),
    begin: (step) => {
      passed.delete(step.group);
      reportSoon({ kind: 'begin', step });
    },
    end: (step) => {
      if (passed.size === 0) setTimeout(reportPassed, passing).unref();
      passed.set(step.group, step);
    },
    abort: (reason) => {
      report({ kind: 'abort', reason });
      // A process with nothing left to do would end before it is told to.
      child.channel?.ref();
    },
    leave: () => {
      over = true;
      report({ kind: 'left' });
      pipe.end();
      child.disconnect();
    },
  };
}
