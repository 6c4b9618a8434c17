/** Where the ranks of a job leave a text each, before there is anything else between them: over TCP. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../../errors.ts';
import { lineOf, readLines } from '../watch/lines.ts';

export interface Store {
  /** Collective: the texts of all ranks, in their order. */
  readonly gather: (text: string) => Promise<readonly string[]>;
  readonly close: () => void;
}

export interface StorePlace {
  /** The machine of rank 0. */
  readonly host: string;
  readonly port: number;
  /** What tells this job from others that look for theirs at the same port. */
  readonly job: string;
}

interface Left {
  readonly job: string;
  readonly rank: number;
  readonly round: number;
  readonly text: string;
}

/** Seconds that rank 0 may be later than others, and between two tries. */
const patience = { all: 120, between: 0.1 };

/** @throws UserError `no-device` when rank 0 is not reached, or its port is taken */
export async function openStore(place: StorePlace, rank: number, size: number): Promise<Store> {
  const server = rank === 0 ? await listening(place, size) : undefined;
  const socket = await connected(place);
  const waiting = new Map<number, (texts: readonly string[]) => void>();
  readLines(socket, (value) => {
    const { round, texts } = value as { readonly round: number; readonly texts: readonly string[] };
    waiting.get(round)?.(texts);
    waiting.delete(round);
  });
  let lost: ((error: Error) => void) | undefined;
  let isOpen = true;
  socket.on('error', () => {});
  socket.on('close', () => {
    if (isOpen) lost?.(new UserError('device-lost', 'rank 0 ended while ranks met', 'see what rank 0 says'));
  });
  let round = 0;
  return {
    gather: (text) =>
      new Promise((resolve, reject) => {
        lost = reject;
        const left: Left = { job: place.job, rank, round, text };
        waiting.set(round++, resolve);
        socket.write(lineOf(left));
      }),
    close: () => {
      isOpen = false;
      socket.end();
      server?.close();
    },
  };
}

function isLeft(value: Partial<Left>): value is Left {
  const { rank, round, text } = value;
  return Number.isInteger(rank) && Number.isInteger(round) && typeof text === 'string';
}

/** Answers a round when all have left their texts. */
async function listening({ host, port, job }: StorePlace, size: number): Promise<Server> {
  const rounds = new Map<number, Map<number, { readonly text: string; readonly socket: Socket }>>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    readLines(socket, (value) => {
      const left = value as Partial<Left> | null;
      if (left?.job !== job || !isLeft(left)) return socket.destroy();
      const texts = rounds.get(left.round) ?? new Map();
      rounds.set(left.round, texts.set(left.rank, { text: left.text, socket }));
      if (texts.size < size) return;
      rounds.delete(left.round);
      const ordered = Array.from({ length: size }, (_, rank) => texts.get(rank)!);
      const answer = lineOf({ round: left.round, texts: ordered.map(({ text }) => text) });
      for (const { socket: to } of ordered) to.write(answer);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', (error) =>
      reject(
        new UserError(
          'no-device',
          `rank 0 cannot listen at port ${port} of ${host}: ${error.message}`,
          'choose another MASTER_PORT',
        ),
      ),
    );
    server.listen(port);
  });
  return server;
}

async function connected({ host, port }: StorePlace): Promise<Socket> {
  const end = performance.now() + patience.all * 1000;
  for (;;) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect({ host, port, noDelay: true });
        socket.once('connect', () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (performance.now() < end) await sleep(patience.between * 1000);
      else
        throw new UserError(
          'no-device',
          `rank 0 is not reached at ${host}:${port}: ${error instanceof Error ? error.message : String(error)}`,
          'see that it runs, and that MASTER_ADDR and MASTER_PORT are of its machine',
        );
    }
  }
}
