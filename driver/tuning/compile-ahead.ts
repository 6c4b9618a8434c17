/**
 * Processes that make PTX packages while this one measures, each on a core of its own, and have the driver
 * compile their modules: what it makes goes to its cache on disk (`~/.nv/ComputeCache`), where this process
 * finds it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Graph } from '../../compiler/graph/graph.ts';
import type { PtxPackage } from '../../compiler/plan/package.ts';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import type { ChosenSchedule } from '../../compiler/tiles/scheduled.ts';

export interface CompilingAhead {
  /**
   * Fulfilled when the driver has compiled the package, or refused it: loading it then tells why. Undefined
   * where it was not made: making it then tells why.
   */
  readonly compile: (graph: Graph, schedule: ChosenSchedule, arch: PtxTarget) => Promise<Made>;
  readonly close: () => void;
}

type Made = PtxPackage | undefined;

export interface AheadRequest {
  readonly number: number;
  readonly graph: Graph;
  readonly schedule: ChosenSchedule;
  readonly arch: PtxTarget;
}

export interface AheadAnswer {
  readonly number: number;
  readonly made: Made;
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
    compile: (graph, schedule, arch) => {
      const least = all.reduce((one, other) => (other.waiting() < one.waiting() ? other : one));
      // What was chosen for which problem is nothing that kernels are made of, and has functions in it.
      return least.compile({ number: ++lastNumber, graph, schedule: { ...schedule, chosen: [] }, arch });
    },
    close: () => {
      for (const { close } of all) close();
    },
  };
}

function newCompiler(environment: NodeJS.ProcessEnv) {
  const child: ChildProcess = fork(processFile, [], {
    env: environment,
    execArgv: [],
    serialization: 'advanced',
  });
  const waiting = new Map<number, (made: Made) => void>();
  const settle = ({ number, made }: AheadAnswer) => {
    waiting.get(number)?.(made);
    waiting.delete(number);
  };
  let isOver = false;
  child.on('message', (answer) => settle(answer as AheadAnswer));
  child.on('exit', () => {
    isOver = true;
    for (const number of [...waiting.keys()]) settle({ number, made: undefined });
  });
  return {
    waiting: () => (isOver ? Number.POSITIVE_INFINITY : waiting.size),
    compile: (request: AheadRequest): Promise<Made> =>
      new Promise((done) => {
        if (isOver || !child.connected) return done(undefined);
        const { number } = request;
        waiting.set(number, done);
        child.send(request, (error) => {
          if (error !== null) settle({ number, made: undefined });
        });
      }),
    close: () => {
      if (child.connected) child.disconnect();
    },
  };
}
