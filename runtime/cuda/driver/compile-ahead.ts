/**
 * Processes in which the driver compiles PTX while this one does something else: it compiles one module at a
 * time, on one core. What they make goes to the driver's cache on disk (`~/.nv/ComputeCache`), where this
 * process finds it.
 */
import { type ChildProcess, fork } from 'node:child_process';

export interface CompilingAhead {
  /** Fulfilled when the module is in the cache, or is none that the driver compiles: loading it tells why. */
  readonly compile: (ptx: string) => Promise<void>;
  readonly close: () => void;
}

export interface AheadRequest {
  readonly number: number;
  readonly ptx: string;
}

const processFile = new URL('./compile-ahead-main.js', import.meta.url);
/** There is one where the program was built. */
const canStart = import.meta.url.endsWith('.js');

/** Undefined where nothing would be gained: no cache, no other core. */
export function compilingAhead(
  processes: number,
  environment: NodeJS.ProcessEnv = process.env,
): CompilingAhead | undefined {
  if (!canStart || processes < 1 || environment.CUDA_CACHE_DISABLE === '1') return undefined;
  const all = Array.from({ length: processes }, () => newCompiler(environment));
  let lastNumber = 0;
  return {
    compile: (ptx) => {
      const least = all.reduce((one, other) => (other.waiting() < one.waiting() ? other : one));
      return least.compile({ number: ++lastNumber, ptx });
    },
    close: () => {
      for (const { close } of all) close();
    },
  };
}

function newCompiler(environment: NodeJS.ProcessEnv) {
  const child: ChildProcess = fork(processFile, [], { env: environment });
  const waiting = new Map<number, () => void>();
  const settle = (number: number) => {
    waiting.get(number)?.();
    waiting.delete(number);
  };
  let isOver = false;
  child.on('message', (number) => settle(number as number));
  child.on('exit', () => {
    isOver = true;
    for (const number of [...waiting.keys()]) settle(number);
  });
  return {
    waiting: () => (isOver ? Number.POSITIVE_INFINITY : waiting.size),
    compile: (request: AheadRequest): Promise<void> =>
      new Promise((done) => {
        if (isOver || !child.connected) return done();
        waiting.set(request.number, done);
        child.send(request, (error) => {
          if (error !== null) settle(request.number);
        });
      }),
    close: () => {
      if (child.connected) child.disconnect();
    },
  };
}
