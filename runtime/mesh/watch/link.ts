/** A connection between a sentinel and the hub: JSON values, one a line, and a pulse to show that it lives. */
import type { Socket } from 'node:net';

/** Seconds between pulses, and without any after which the other is taken to be gone. */
const pulse = { every: 2, limit: 20 };
/** Characters. Longer lines are no message of ours. */
const longestLine = 2 ** 24;

export interface Link {
  readonly send: (value: object) => void;
  /** After what was sent before. */
  readonly end: () => void;
}

/**
 * @param hear Told what comes.
 * @param closed Told once, when the connection is gone: closed by either side, broken, or silent for too long.
 */
export function newLink(socket: Socket, hear: (value: object) => void, closed: () => void): Link {
  const write = (value: object | null) => {
    if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
  };
  let heard = performance.now();
  const beat = setInterval(() => {
    if (performance.now() - heard > pulse.limit * 1000) socket.destroy();
    else write(null);
  }, pulse.every * 1000);
  let rest = '';
  socket.setEncoding('utf8').setNoDelay(true);
  // What goes wrong with a connection closes it.
  socket.on('error', () => {});
  socket.on('close', () => {
    clearInterval(beat);
    closed();
  });
  socket.on('data', (text: string) => {
    heard = performance.now();
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (socket.destroyed) return;
      const value = parsed(line);
      if (value === undefined) socket.destroy();
      else if (value !== null) hear(value);
    }
    if (rest.length > longestLine) socket.destroy();
  });
  return { send: write, end: () => socket.end() };
}

/** Undefined for what is no line of ours. */
function parsed(line: string): object | null | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' ? value : undefined;
  } catch {
    return undefined;
  }
}
