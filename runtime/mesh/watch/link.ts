/** A connection between a sentinel and the hub: JSON lines, and a pulse to show that it lives. */
import type { Socket } from 'node:net';
import { lineOf, readLines } from './lines.ts';

/** Seconds between pulses, and without any after which the other is taken to be gone. */
const pulse = { every: 2, limit: 20 };

export interface Link {
  readonly send: (value: object) => void;
  /** After what was sent before. */
  readonly end: () => void;
}

/**
 * @param hear Told what comes.
 * @param closed Told once, when the connection is gone: closed by either side, broken, or silent for too
 *   long.
 */
export function newLink(socket: Socket, hear: (value: object) => void, closed: () => void): Link {
  const write = (value: object | null) => {
    if (socket.writable) socket.write(lineOf(value));
  };
  let heard = performance.now();
  const beat = setInterval(() => {
    if (performance.now() - heard > pulse.limit * 1000) socket.destroy();
    else write(null);
  }, pulse.every * 1000);
  socket.setNoDelay(true);
  // What goes wrong with a connection closes it.
  socket.on('error', () => {});
  socket.on('close', () => {
    clearInterval(beat);
    closed();
  });
  readLines(socket, (value) => {
    heard = performance.now();
    if (value !== null) hear(value);
  });
  return { send: write, end: () => socket.end() };
}
