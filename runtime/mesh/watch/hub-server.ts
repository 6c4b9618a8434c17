/** The hub on a socket: the sentinels of all ranks connect to it, with a token that only they were given. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { type Hub, newHub } from './hub.ts';
import { type Link, newLink } from './link.ts';
import type { Address, Hello, Report, Word } from './messages.ts';

const loopback = '127.0.0.1';

interface HubServer {
  readonly address: Address;
  /** What the hub's own rank reports. */
  readonly hear: (report: Report) => void;
}

interface HubOptions {
  readonly ranks: number;
  /** Names of this host for the others; none where all ranks are on it. */
  readonly hosts: readonly string[];
  /** What to call rank 0. */
  readonly name: string;
  /** Told what the hub says to rank 0. */
  readonly tell: (word: Word) => void;
}

function sameToken(left: string, right: string): boolean {
  return left.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right));
}

function isHello(value: object, token: string, ranks: number): value is Hello {
  const { token: given, rank, name } = value as Partial<Hello>;
  return (
    typeof given === 'string' &&
    sameToken(given, token) &&
    Number.isInteger(rank) &&
    rank! > 0 &&
    rank! < ranks &&
    typeof name === 'string'
  );
}

async function listening(server: Server, host: string | undefined): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, ...(host !== undefined && { host }) }, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has an address');
  return address.port;
}

/** Listens on the loopback device alone where all ranks are on this host. */
export async function serveHub({ ranks, hosts, name, tell }: HubOptions): Promise<HubServer> {
  const token = randomBytes(16).toString('hex');
  const [links, names] = [new Map<number, Link>(), new Map([[0, name]])];
  const hub: Hub = newHub(
    ranks,
    (rank) => `rank ${rank} (${names.get(rank) ?? 'not yet connected'})`,
    (rank, word) => (rank === 0 ? tell(word) : links.get(rank)?.send(word)),
  );
  const closeWhenOver = () => {
    if (hub.isOver()) server.close();
  };
  const welcome = (socket: Socket) => {
    let rank: number | undefined;
    const link = newLink(
      socket,
      (value) => {
        if (rank !== undefined) {
          hub.hear(rank, value as Report);
          closeWhenOver();
        } else if (isHello(value, token, ranks)) {
          rank = value.rank;
          names.set(rank, value.name);
          links.set(rank, link);
          link.send({ kind: 'welcome' } satisfies Word);
        } else socket.destroy();
      },
      () => {
        if (rank !== undefined) hub.lost(rank);
        closeWhenOver();
      },
    );
  };
  const server = createServer(welcome);
  const local = hosts.length === 0;
  const port = await listening(server, local ? loopback : undefined);
  return {
    address: { hosts: local ? [loopback] : hosts, port, token },
    hear: (report) => {
      hub.hear(0, report);
      closeWhenOver();
    },
  };
}
