/**
 * Completion of non-blocking MPI calls. MPI has no events: libraries move data, and tell that they have, only
 * while they are asked. They are asked from the event loop, in turns, so that the process goes on serving
 * what else it has.
 */
import type { Mpi } from './library.ts';

/** Milliseconds in which nothing moved until others than MPI have their turn. */
const turn = 0.1;
/** Milliseconds until then while data moves, which waits on both sides for as long as one does not ask. */
const longestTurn = 1;
/** A single question that takes this many milliseconds has moved data. */
const working = 0.02;
/** After this many milliseconds in which nothing moved, it is asked only once a millisecond. */
const patience = 20;

interface Flight {
  readonly count: number;
  readonly requests: Int32Array | BigUint64Array;
  /** Of the requests. */
  readonly address: bigint;
  /** Memory that MPI reads or writes: it must not be collected. */
  readonly holds: readonly Uint8Array[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Posts one MPI call: the call writes its request to the memory that it is given. */
export type Post = (request: Int32Array | BigUint64Array) => void;

export interface Progress {
  /** Posts the calls, in their order; fulfilled when all have completed. `holds` is the memory they use. */
  readonly complete: (posts: readonly Post[], holds: readonly Uint8Array[]) => Promise<void>;
}

/**
 * @param crowded There are more ranks than cores. One that asks on and on then keeps others from sending what
 *   it asks for.
 */
export function newProgress(mpi: Mpi, crowded: boolean): Progress {
  const flag = new Int32Array(new ArrayBuffer(4));
  const flagAddress = mpi.address(flag);
  const flights = new Set<Flight>();
  /** What failed, kept for good: messages to its memory may still be under way. */
  const wrecks: Flight[] = [];
  let scheduled = false;
  let lastMoved = 0;

  const isDone = ({ count, address }: Flight): boolean => {
    mpi.call('MPI_Testall', count, address, flagAddress, mpi.abi.statusesIgnore);
    return flag[0] !== 0;
  };
  const land = (flight: Flight, settle: () => void) => {
    flights.delete(flight);
    settle();
  };
  /** Asks once about each; true if one has landed. */
  const ask = (): boolean => {
    const before = flights.size;
    for (const flight of flights) {
      try {
        if (isDone(flight)) land(flight, flight.resolve);
      } catch (error) {
        wrecks.push(flight);
        land(flight, () => flight.reject(error));
      }
    }
    return flights.size < before;
  };
  const takeTurn = () => {
    scheduled = false;
    const start = performance.now();
    let now = start;
    while (flights.size > 0) {
      const landed = ask();
      const asked = performance.now();
      if (landed || asked - now > working) lastMoved = asked;
      now = asked;
      if (landed || now - Math.max(start, lastMoved) > turn || now - start > longestTurn) break;
      if (crowded) mpi.yieldCore();
    }
    if (flights.size > 0) schedule(now);
  };
  const schedule = (now: number) => {
    if (scheduled) return;
    scheduled = true;
    if (now - lastMoved < patience) setImmediate(takeTurn);
    else setTimeout(takeTurn, 1);
  };
  return {
    complete: (posts, holds) =>
      new Promise((resolve, reject) => {
        const requests = mpi.handles(posts.length);
        for (const [place, post] of posts.entries()) post(requests.subarray(place, place + 1));
        const address = mpi.address(requests);
        const flight = { count: posts.length, requests, address, holds, resolve, reject };
        flights.add(flight);
        lastMoved = performance.now();
        if (!scheduled) takeTurn();
      }),
  };
}
