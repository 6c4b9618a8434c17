/** JSON values over a stream, one a line. */
import type { Socket } from 'node:net';

/** Characters. Longer lines are no message of ours. */
const longestLine = 2 ** 24;

export function lineOf(value: object | null): string {
  return `${JSON.stringify(value)}\n`;
}

/** Hears each line's value; null is one, too. Destroys the socket when something else comes. */
export function readLines(socket: Socket, hear: (value: object | null) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (socket.destroyed) return;
      const value = parsed(line);
      if (value === undefined) socket.destroy();
      else hear(value);
    }
    if (rest.length > longestLine) socket.destroy();
  });
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
