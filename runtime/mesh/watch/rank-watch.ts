/** A rank's side of the watch: starts its sentinel, and tells it what the rank calls. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Ending } from './endings.ts';
import type { Group, Step } from './ledger.ts';
import type { Address, Answer, Order, Patience, Report } from './messages.ts';

/** Milliseconds for which calls are gathered before they are reported together. */
const gathering = 20;
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
  /** From now on, the end of this process is a fault of the job. */
  readonly watch: () => Watch;
  /** It was not needed. */
  readonly dismiss: () => void;
}

export interface SentinelOptions {
  readonly patience: Patience;
  /** What to call the rank, beside its number. */
  readonly name: string;
}

export interface Watch {
  readonly declare: (group: Group) => void;
  readonly begin: (step: Step) => void;
  readonly end: (step: Step) => void;
  /** Reports at once what was gathered. */
  readonly flush: () => void;
  readonly abort: (reason: string) => void;
  /** The rank has ended its part, as have all others. */
  readonly leave: () => void;
}

/**
 * Hydra, MPICH's launcher, sees the end of a rank by its end of this socket. The sentinel holds it too, so that
 * the job lives until its verdict is out.
 */
function launcherSocket(environment: NodeJS.ProcessEnv): number | undefined {
  const descriptor = Number(environment.PMI_FD ?? Number.NaN);
  return Number.isInteger(descriptor) ? descriptor : undefined;
}

export function startSentinel(environment: NodeJS.ProcessEnv): Sentinel {
  const held = launcherSocket(environment);
  const child = spawn(process.execPath, [fileURLToPath(new URL('sentinel-main.js', import.meta.url))], {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', ...(held === undefined ? [] : [held])],
  });
  child.unref();
  child.channel?.unref();
  return {
    listen: (ranks, hosts, options) =>
      ask(child, { kind: 'listen', ranks, hosts, ...options }, (answer) =>
        answer.kind === 'listening' ? answer.address : undefined,
      ),
    join: (address, rank, options) =>
      ask(
        child,
        { kind: 'join', address, rank, ...options },
        (answer) => answer.kind === 'joined' || undefined,
      ).then(() => {}),
    watch: () => watchWith(child),
    dismiss: () => child.disconnect(),
  };
}

function send(child: ChildProcess, order: Order): void {
  // Errors tell that it is gone, which its `exit` event tells too.
  if (child.connected) child.send(order, () => {});
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
      const hear = (answer: Answer) => {
        const picked = pick(answer);
        if (picked !== undefined) resolve(picked);
        else reject(new Error('the watch of this rank could not start'));
      };
      child.once('message', hear as (message: unknown) => void);
      child.once('exit', () => reject(new Error('the watch of this rank ended')));
      send(child, order);
    });
  } finally {
    child.channel?.unref();
  }
}

function watchWith(child: ChildProcess): Watch {
  let over = false;
  let thrown: string | undefined;
  let begun: Step[] = [];
  const waiting = new Map<string, Step>();
  /** Runs while calls are gathered. */
  let timer: NodeJS.Timeout | undefined;
  let isStale = false;

  const report = (message: Report) => send(child, { kind: 'report', report: message });
  const flush = () => {
    isStale = false;
    report({ kind: 'steps', begun, waiting: [...waiting.values()] });
    begun = [];
  };
  /** At once, unless it reported just now. */
  const flushSoon = () => {
    if (timer !== undefined) {
      isStale = true;
      return;
    }
    flush();
    timer = setTimeout(() => {
      timer = undefined;
      if (isStale) flushSoon();
    }, gathering).unref();
  };
  const endWith = (how: Ending) => {
    if (over) return;
    over = true;
    flush();
    report({ kind: 'ended', ending: how, at: Date.now() });
  };

  child.on('message', () => {
    // Only `failed` comes now.
    over = true;
    setTimeout(() => process.exit(1), ending);
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
  process.once('SIGTERM', () => {
    endWith({ by: 'signal', signal: 15 });
    // Without other listeners it does what it does by default.
    if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
  });

  return {
    declare: (group) => report({ kind: 'group', group }),
    begin: (step) => {
      begun.push(step);
      waiting.set(step.group, step);
      flushSoon();
    },
    end: ({ group, step }) => {
      if (waiting.get(group)?.step === step) waiting.delete(group);
      flushSoon();
    },
    flush,
    abort: (reason) => {
      flush();
      report({ kind: 'abort', reason });
    },
    leave: () => {
      over = true;
      flush();
      report({ kind: 'left' });
      child.disconnect();
    },
  };
}
