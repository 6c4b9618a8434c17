/**
 * Measures how a problem is best scheduled on a device: each choice is compiled, checked against the
 * reference evaluator, and timed.
 */
import { graphCost } from '../../compiler/graph/cost.ts';
import type { Tensor, TensorId } from '../../compiler/graph/graph.ts';
import type { Advice } from '../../compiler/tiles/choices/advice.ts';
import { areSame, type Choice } from '../../compiler/tiles/choices/choice.ts';
import { printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import type { Problem } from '../../compiler/tiles/choices/problem.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';
import type { ChosenSchedule } from '../../compiler/tiles/scheduled.ts';
import { isUserError, type UserError } from '../../runtime/errors.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { runReference } from '../run-reference.ts';
import { type Apart, apart } from './apart.ts';
import { isNear } from './near.ts';
import { onceFor } from './once-for.ts';
import { inOrder } from './order.ts';
import type { Loaded, Trier } from './trier.ts';

export interface Measured {
  readonly choice: Choice;
  /** Milliseconds of the best choice, and of the one that is taken without tuning. */
  readonly milliseconds: number;
  readonly first: number;
  /** Of choices that were measured, and of all there are. */
  readonly tried: number;
  readonly all: number;
}

/** What is known of a problem after a search, or why there was none. */
export type Outcome = Measured | { readonly untried: string };

export interface Search {
  /** Milliseconds to measure for: what is compared with is computed before. */
  readonly budget: number;
  readonly isStopped: () => boolean;
  /** Hears of choices that are not to be trusted. */
  readonly report: (line: string) => void;
  readonly progress: (tried: number, all: number) => void;
  /** Choices that are tried at most; as many as there is time for where it is left out. */
  readonly most?: number;
  /** Operations of what the reference evaluates: beyond, results are compared with the first choice's. */
  readonly mostEvaluated?: number;
  /** What is taken where nothing was measured here, as what ships: it is tried after the first choice. */
  readonly suggested?: Advice | undefined;
}

/** For these the evaluator takes seconds. */
const usualEvaluated = 1e9;

/** A problem with the choices for it, in the order in which they are measured. */
export interface Plan {
  readonly problem: Problem;
  readonly program: Apart;
  /** Of `all` that there are those that are tried. */
  readonly choices: readonly Choice[];
  readonly all: number;
  readonly scheduleOf: (choice: Choice) => ChosenSchedule;
}

export function planOf(
  problem: Problem,
  tensors: (id: TensorId) => Tensor,
  { device }: Trier,
  { most, suggested }: Pick<Search, 'most' | 'suggested'>,
): Plan {
  const program = apart(problem, tensors);
  const all = withSecond(inOrder(problem, tensors, device), suggested?.(problem, tensors));
  const schedules = new Map<Choice, ChosenSchedule>();
  const scheduleOf = (choice: Choice): ChosenSchedule => {
    const schedule = schedules.get(choice) ?? scheduleGraph(program.graph, device, onceFor(problem, choice));
    schedules.set(choice, schedule);
    return schedule;
  };
  return { problem, program, choices: all.slice(0, most), all: all.length, scheduleOf };
}

function withSecond(choices: readonly Choice[], wanted: Choice | undefined): readonly Choice[] {
  const second = wanted && choices.slice(1).find((choice) => areSame(choice, wanted));
  return second === undefined ? choices : [...new Set([choices[0]!, second, ...choices])];
}

function expectChoice({ program, choices, scheduleOf }: Plan, place: number, { expect }: Trier): void {
  const choice = choices[place];
  if (choice !== undefined) expect?.(program.graph, scheduleOf(choice));
}

/** Says what will be loaded first. */
export function expectFirst(plan: Plan, trier: Trier): void {
  for (let place = 0; place < expectedAtOnce; place++) expectChoice(plan, place, trier);
}

/** Choices that are made ready beside the one that is measured. */
const expectedAtOnce = 6;

export async function tuneProblem(plan: Plan, trier: Trier, search: Search): Promise<Outcome> {
  const { program, choices, all } = plan;
  const finalists: Candidate[] = [];
  let tried = 0;
  try {
    expectFirst(plan, trier);
    const inputs = program.inputs();
    let wanted = expected(program, inputs, search);
    const begin = performance.now();
    const [last, deadline] = [searching, 1].map((part) => begin + part * search.budget) as [number, number];
    for (const choice of choices) {
      if (tried > 0 && (search.isStopped() || performance.now() > last)) break;
      expectChoice(plan, tried + expectedAtOnce, trier);
      search.progress(tried++, choices.length);
      const loaded = await loadedAs(choice, plan, trier, search);
      if (loaded === undefined) continue;
      const found = await loaded.run(inputs);
      wanted ??= found;
      if (!isNear(wanted, found)) {
        loaded.destroy();
        if (tried === 1) return { untried: 'the first choice differs from the reference' };
        search.report(`${printChoice(choice)}: its results are wrong, and it is left out`);
        continue;
      }
      keepBest(finalists, { choice, loaded, times: await timesOf(loaded, firstRuns) });
    }
    if (finalists.length === 0) return { untried: 'no choice can be run' };
    await race(finalists, deadline);
    return { ...bestOf(finalists), tried, all };
  } catch (error) {
    if (!isUserError(error)) return { untried: `it cannot be run apart: ${(error as Error).message}` };
    if (isOver(error)) throw error;
    return { untried: error.message };
  } finally {
    for (const { loaded } of finalists) loaded.destroy();
  }
}

/** Undefined where it takes too long to evaluate. */
function expected(
  { graph }: Apart,
  inputs: ReadonlyMap<string, TensorData>,
  { mostEvaluated = usualEvaluated }: Search,
): ReadonlyMap<string, TensorData> | undefined {
  return graphCost(graph).flops > mostEvaluated ? undefined : runReference(graph, inputs);
}

/** Whether nothing runs on the device any more: of CUDA, not after a fault either. */
export function isOver({ code }: UserError): boolean {
  return code === 'device-lost' || code === 'kernel-fault';
}

/** Undefined where the device refuses it. */
async function loadedAs(
  choice: Choice,
  { program, scheduleOf }: Plan,
  trier: Trier,
  { report }: Search,
): Promise<Loaded | undefined> {
  try {
    return await trier.load(program.graph, scheduleOf(choice));
  } catch (error) {
    if (!isUserError(error) || isOver(error)) throw error;
    report(`${printChoice(choice)}: ${error.message}`);
    return undefined;
  }
}

// ── timing ─────────────────────────────────────────────────────────────────────────────────────────────────

interface Candidate {
  readonly choice: Choice;
  readonly loaded: Loaded;
  /** Milliseconds. */
  readonly times: readonly number[];
}

/** The part of the budget in which choices are tried; in what is left of it, the best are compared. */
const searching = 0.7;
const firstRuns = 3;
/** So many are measured again, in turns; the first choice is always one of them. */
const mostFinalists = 4;
const rounds = 15;
/** What takes so much longer than the fastest will not be it. */
const hopeless = 1.15;
/** Another choice must be faster by so much, or the first one stays. */
const leastGain = 0.03;

async function timesOf(loaded: Loaded, runs: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let turn = 0; turn < runs; turn++) {
    times.push(await loaded.time());
  }
  return times;
}

function keepBest(finalists: Candidate[], candidate: Candidate): void {
  finalists.push(candidate);
  if (finalists.length <= mostFinalists) return;
  const others = finalists.slice(1);
  const slowest = others.reduce((worst, each) => (fastest(each) > fastest(worst) ? each : worst));
  slowest.loaded.destroy();
  finalists.splice(finalists.indexOf(slowest), 1);
}

/** Whatever else the machine does only makes a run slower. */
function fastest({ times }: Pick<Candidate, 'times'>): number {
  return Math.min(...times);
}

/**
 * Those that may be best yet, in turns, so that what else the machine does disturbs all alike. The first
 * choice always takes part: it is what the others are compared with.
 */
async function race(finalists: Candidate[], deadline: number): Promise<void> {
  for (let round = 0; round < rounds && (round < 3 || performance.now() < deadline); round++) {
    const least = Math.min(...finalists.map(fastest));
    for (const [place, each] of finalists.entries())
      if (place === 0 || fastest(each) < least * hopeless)
        finalists[place] = { ...each, times: [...each.times, ...(await timesOf(each.loaded, 1))] };
  }
}

function bestOf(finalists: readonly Candidate[]): Pick<Measured, 'choice' | 'milliseconds' | 'first'> {
  const timed = finalists.map(({ choice, times }) => ({ choice, milliseconds: fastest({ times }) }));
  const [first] = timed;
  const best = timed.reduce((least, each) => (each.milliseconds < least.milliseconds ? each : least));
  const chosen = best.milliseconds < first!.milliseconds * (1 - leastGain) ? best : first!;
  return { ...chosen, first: first!.milliseconds };
}
