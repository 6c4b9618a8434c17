/** What is scheduled by choice: nodes, with what is known of them before anything is chosen. */
import type { ComputeNode, SoftmaxSumNode } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { contractionOf } from '../../optimize/contraction.ts';
import type { DeviceProfile } from '../device-profile.ts';
import type { ChainProblem } from '../schedules/chain-problem.ts';
import type { ScheduleContext } from '../schedules/context.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import { contractionProblem } from '../schedules/contraction-problem.ts';
import { type MapForm, type MapProblem, mapProblem } from '../schedules/map.ts';
import type { OrderForm, OrderProblem } from '../schedules/order-problem.ts';
import type { PrefixForm, PrefixProblem } from '../schedules/prefix-problem.ts';
import { emptyReduction, type ReductionProblem, reductionProblem } from '../schedules/reduction.ts';
import type { RowClusterProblem } from '../schedules/row-cluster.ts';
import { type SoftmaxProblem, softmaxProblem, zeros } from '../schedules/softmax-problem.ts';
import { areSame, type Choice, type ChoiceOf } from './choice.ts';
import { printChoice } from './choice-text.ts';
import type { Choosing } from './choosing.ts';
import { type ContractionForm, contractionChoices } from './contraction.ts';
import { mapChoices } from './map.ts';
import { orderChoices } from './order.ts';
import { prefixChoices } from './prefix.ts';
import { type ReductionForm, reductionChoices } from './reduction.ts';
import { rowClusterChoices } from './row-cluster.ts';
import { type SoftmaxForm, softmaxChoices } from './softmax-sum.ts';
import { chainChoices, type UnitChainChoice } from './unit-chain.ts';

export type Problem =
  | MapProblem
  | ReductionProblem
  | ContractionProblem
  | SoftmaxProblem
  | PrefixProblem
  | OrderProblem
  | RowClusterProblem
  | ChainProblem;
export type ProblemKind = Problem['kind'];
export type ProblemOf<K extends ProblemKind> = Problem & { readonly kind: K };

/** The forms that a problem of each kind may take. */
interface FormsOf {
  readonly map: MapForm;
  readonly reduction: ReductionForm;
  readonly contraction: ContractionForm;
  readonly softmaxSum: SoftmaxForm;
  readonly prefix: PrefixForm;
  readonly order: OrderForm;
  readonly rowCluster: 'rows';
  readonly chain: UnitChainChoice['form'];
}
export type ChoiceFor<K extends ProblemKind> = ChoiceOf<FormsOf[K]>;

/** Undefined where there is nothing to compute. */
export function problemOf(node: ComputeNode | SoftmaxSumNode, context: ScheduleContext): Problem | undefined {
  if (elementCount(node.result) === 0) return undefined;
  if (node.kind === 'softmaxSum') {
    return node.extent === 0 ? mapProblem(zeros(node), context) : softmaxProblem(node, context);
  }
  const { reduce } = node;
  if (reduce === undefined) return mapProblem(node, context);
  const reduction = { ...node, reduce };
  if (reduce.extents.includes(0)) return mapProblem(emptyReduction(reduction), context);
  const contraction = contractionOf(node);
  return contraction === undefined
    ? reductionProblem(reduction, context)
    : contractionProblem(reduction, contraction, context);
}

const choosings: { readonly [K in ProblemKind]: Choosing<ProblemOf<K>, ChoiceFor<K>> } = {
  map: mapChoices,
  reduction: reductionChoices,
  contraction: contractionChoices,
  softmaxSum: softmaxChoices,
  prefix: prefixChoices,
  order: orderChoices,
  rowCluster: rowClusterChoices,
  chain: chainChoices,
};

/** As they are in the graph, in its order. */
export function nodesOf(problem: Problem): readonly Problem['node'][] {
  if (problem.kind === 'rowCluster') return problem.cluster.nodes;
  if (problem.kind === 'chain') return [...problem.links, ...problem.outers].map(({ node }) => node);
  return [problem.node];
}

/** What is taken where nothing better is known. */
export function firstChoice<K extends ProblemKind>(
  problem: ProblemOf<K>,
  device: DeviceProfile,
): ChoiceFor<K> {
  const choosing: Choosing<ProblemOf<K>, ChoiceFor<K>> = choosings[problem.kind];
  return choosing.first(problem, device);
}

/** All that the device can run, each once, the first choice first. */
export function allChoices<K extends ProblemKind>(
  problem: ProblemOf<K>,
  device: DeviceProfile,
): readonly ChoiceFor<K>[] {
  const choosing: Choosing<ProblemOf<K>, ChoiceFor<K>> = choosings[problem.kind];
  const all = [choosing.first(problem, device), ...choosing.all(problem, device)];
  return [...new Map(all.map((choice) => [printChoice(choice), choice])).values()];
}

/** The same among those that the device can run; undefined where it is none of them. */
export function legalChoice<K extends ProblemKind>(
  problem: ProblemOf<K>,
  device: DeviceProfile,
  wanted: Choice,
): ChoiceFor<K> | undefined {
  const choosing: Choosing<ProblemOf<K>, ChoiceFor<K>> = choosings[problem.kind];
  const all = [choosing.first(problem, device), ...choosing.all(problem, device)];
  return all.find((each) => areSame(each, wanted));
}
