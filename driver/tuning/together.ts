/**
 * Whether choices that are best for problems apart are so together, too: kernels that are alike may be made
 * one, and others not.
 */
import type { Graph } from '../../compiler/graph/graph.ts';
import { allTensors } from '../../compiler/plan/storages.ts';
import { type Advice, adviceOf } from '../../compiler/tiles/choices/advice.ts';
import { problemKey } from '../../compiler/tiles/choices/problem-key.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';
import type { ChosenSchedule } from '../../compiler/tiles/scheduled.ts';
import { isUserError } from '../../runtime/errors.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { isNear } from './near.ts';
import type { Loaded } from './trier.ts';
import { isOver } from './tune.ts';
import type { TunedProgram } from './tune-program.ts';
import type { Tuning } from './tuning-file.ts';

type Problems = Tuning['problems'];

export interface WholeProgram extends TunedProgram {
  readonly inputs: () => ReadonlyMap<string, TensorData>;
}

export interface Together {
  readonly isStopped: () => boolean;
  /** Milliseconds of the program by first choices and by those that were found, or why it has none. */
  readonly found: (graph: Graph, times: readonly [number, number] | string) => void;
}

/**
 * Of problems for which another choice than the first is better those with which no program is slower, and
 * that no program has which there was no time to run, unless another has nothing else.
 */
export async function keptTogether(
  programs: readonly WholeProgram[],
  problems: Problems,
  { isStopped, found }: Together,
): Promise<Problems> {
  const better = new Map([...problems].filter(([, { first, milliseconds }]) => milliseconds < first));
  const advice = adviceOf(new Map([...better].map(([key, { choice }]) => [key, choice])));
  const kept = new Set<string>();
  const dropped = new Set<string>();
  for (const program of programs) {
    const { keys, own } = betterOf(program, advice, better);
    if (own.length === 0) continue;
    if (keys.length === 1) kept.add(own[0]!);
    else if (!isStopped()) {
      const times = await timesOf(program, advice);
      found(program.graph, times);
      const isFaster = typeof times !== 'string' && times[1] < times[0];
      for (const key of own) (isFaster ? kept : dropped).add(key);
    }
  }
  return new Map([...better].filter(([key]) => kept.has(key) && !dropped.has(key)));
}

/** The problems of a program, and those of them that have a better choice. */
function betterOf({ graph, trier }: WholeProgram, advice: Advice | undefined, better: Problems) {
  const schedule = scheduleGraph(graph, trier.device, advice);
  const tensors = allTensors(graph, schedule);
  const keys = schedule.chosen.map(({ problem }) => problemKey(problem, (id) => tensors.get(id)!));
  return { keys, own: [...new Set(keys.filter((key) => better.has(key)))] };
}

/** In turns. */
const rounds = 7;

async function timesOf(
  { graph, trier, inputs }: WholeProgram,
  advice: Advice | undefined,
): Promise<readonly [number, number] | string> {
  const { device } = trier;
  const schedules = [scheduleGraph(graph, device), scheduleGraph(graph, device, advice)];
  for (const schedule of schedules) trier.expect?.(graph, schedule);
  const given = inputs();
  const all: Loaded[] = [];
  try {
    const load = async (schedule: ChosenSchedule) => {
      const loaded = await trier.load(graph, schedule);
      all.push(loaded);
      return { loaded, outputs: await loaded.run(given) };
    };
    const [first, other] = [await load(schedules[0]!), await load(schedules[1]!)];
    if (!isNear(first.outputs, other.outputs)) return 'the results differ';
    const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as [number, number];
    for (let round = 0; round < rounds; round++)
      for (const [place, { loaded }] of [first, other].entries())
        least[place] = Math.min(least[place]!, await loaded.time());
    return least;
  } catch (error) {
    if (!isUserError(error) || isOver(error)) throw error;
    return error.message;
  } finally {
    for (const { destroy } of all) destroy();
  }
}
