/** How a process of this host ended, as far as its parent has not yet asked: Linux keeps it until then. */
import { readFileSync } from 'node:fs';
import type { Ending } from './endings.ts';

/** Milliseconds from the closing of a process's files to its end. */
const dying = 100;

/** The numbers of /proc/PID/stat from the third on: the second is a name, which may hold anything. */
function statusFields(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text
      .slice(text.lastIndexOf(')') + 2)
      .trim()
      .split(' ');
  } catch {
    return undefined;
  }
}

/** Waits for a process that is ending. Without /proc, or when its parent was faster, it only says `death`. */
export async function endingOf(pid: number): Promise<Ending> {
  const until = performance.now() + dying;
  while (performance.now() < until) {
    const fields = statusFields(pid);
    if (fields === undefined) break;
    if (fields[0] === 'Z') {
      // Field 52 of proc(5): what waitpid gives.
      const status = Number(fields[49]);
      const signal = status & 0x7f;
      return signal === 0 ? { by: 'exit', status: status >> 8 } : { by: 'signal', signal };
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return { by: 'death' };
}
