/** Finds the problems of programs, and measures those of which nothing is known yet. */
import { graphCost } from '../../compiler/graph/cost.ts';
import type { Graph, Tensor, TensorId } from '../../compiler/graph/graph.ts';
import { allTensors } from '../../compiler/plan/storages.ts';
import { adviceOf } from '../../compiler/tiles/choices/advice.ts';
import type { Problem } from '../../compiler/tiles/choices/problem.ts';
import { problemKey } from '../../compiler/tiles/choices/problem-key.ts';
import { problemTitle } from '../../compiler/tiles/choices/problem-title.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';
import { apart } from './apart.ts';
import type { Trier } from './trier.ts';
import {
  expectFirst,
  type Measured,
  type Outcome,
  type Plan,
  planOf,
  type Search,
  tuneProblem,
} from './tune.ts';
import type { TunedProblem, Tuning } from './tuning-file.ts';

type Problems = Tuning['problems'];

export interface ProgramSearch
  extends Pick<Search, 'isStopped' | 'report' | 'most' | 'mostEvaluated' | 'suggested'> {
  /** Seconds to measure for, all problems together. */
  readonly budget: number;
  readonly progress: (title: string, tried: number, all: number) => void;
  /** Keys of problems that are not to be measured. */
  readonly skipped?: ReadonlySet<string>;
  /** Hears the key of each problem before it is measured. */
  readonly begun?: (key: string) => void;
  /** Hears of each problem, and of all that is known then. */
  readonly found: (title: string, outcome: Outcome, problems: Problems) => void;
}

export interface TunedProgram {
  /** Optimized. */
  readonly graph: Graph;
  readonly trier: Trier;
}

/**
 * A round measures the problems that there are as far as choices are known; what is chosen then may make
 * others, as halves of what is split, which the next round measures.
 * @param programs those first that matter most
 */
export async function tunePrograms(
  programs: readonly TunedProgram[],
  known: Problems,
  search: ProgramSearch,
): Promise<Problems> {
  let left = search.budget * 1000;
  const problems = new Map<string, TunedProblem>(known);
  const done = new Set([...known.keys(), ...(search.skipped ?? [])]);
  for (;;) {
    const found = programs.flatMap((program) => problemsOf(program, problems));
    const open = [...new Map(found.map((each) => [each.key, each])).values()].filter(
      ({ key }) => !done.has(key),
    );
    if (open.length === 0) return problems;
    const plans = new Map<Open, Plan>();
    const planned = (each: Open): Plan => {
      const plan = plans.get(each) ?? planOf(each.problem, each.tensors, each.trier, search);
      plans.set(each, plan);
      return plan;
    };
    for (const [place, each] of open.entries()) {
      if (search.isStopped() || left <= 0) return problems;
      const { key, title, trier } = each;
      done.add(key);
      search.begun?.(key);
      const budget = left / (open.length - place);
      const begin = performance.now();
      const plan = planned(each);
      const next = open[place + 1];
      if (next?.trier.expect !== undefined) expectFirst(planned(next), next.trier);
      const outcome = await tuneProblem(plan, trier, {
        ...search,
        budget,
        progress: (tried, all) => search.progress(title, tried, all),
      });
      plans.delete(each);
      left -= Math.min(budget, performance.now() - begin);
      if ('choice' in outcome) problems.set(key, tunedOf(outcome));
      search.found(title, outcome, problems);
    }
  }
}

function tunedOf({ choice, milliseconds, first }: Measured): TunedProblem {
  return { choice, milliseconds, first };
}

interface Open {
  readonly trier: Trier;
  readonly key: string;
  readonly problem: Problem;
  readonly tensors: (id: TensorId) => Tensor;
  readonly title: string;
}

/** Each once, those that take longest first. */
function problemsOf({ graph, trier }: TunedProgram, problems: Problems): readonly Open[] {
  const choices = new Map([...problems].map(([key, { choice }]) => [key, choice]));
  const schedule = scheduleGraph(graph, trier.device, adviceOf(choices));
  const all = allTensors(graph, schedule);
  const tensors = (id: TensorId) => all.get(id)!;
  const open = schedule.chosen.map(({ problem }) => ({
    trier,
    key: problemKey(problem, tensors),
    problem,
    tensors,
    title: problemTitle(problem),
    work: workOf(problem, tensors),
  }));
  const distinct = [...new Map(open.map((each) => [each.key, each])).values()];
  return distinct.sort((left, right) => right.work - left.work);
}

function workOf(problem: Problem, tensors: (id: TensorId) => Tensor): number {
  const { flops, bytesRead, bytesWritten } = graphCost(apart(problem, tensors).graph);
  return flops + bytesRead + bytesWritten;
}
