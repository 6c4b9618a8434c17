/** Cuts a graph into kernels: one schedule for each kind of node, as chosen for the problem that it is. */
import type { ComputeNode, Graph, LoopId, Node, NodeKind, Tensor, TensorId } from '../graph/graph.ts';
import { elementCount } from '../graph/tensor-type.ts';
import { allTensors, readsOf } from '../graph/uses.ts';
import type { Advice } from './choices/advice.ts';
import {
  type ChoiceFor,
  firstChoice,
  legalChoice,
  type ProblemKind,
  type ProblemOf,
  problemOf,
} from './choices/problem.ts';
import type { DeviceProfile } from './device-profile.ts';
import { fuseKernels } from './fuse-kernels.ts';
import { joinMaps } from './join-maps.ts';
import { joinSums } from './join-sums.ts';
import { mergeKernels } from './merge-kernels.ts';
import { productChains } from './product-chains.ts';
import { clusterRows } from './row-clusters.ts';
import type { Chosen, ChosenSchedule, ScheduledStep } from './scheduled.ts';
import type { NodeSchedule, ScheduleContext } from './schedules/context.ts';
import { scheduleContraction } from './schedules/contraction.ts';
import { scheduleMap } from './schedules/map.ts';
import { scheduleOrder } from './schedules/order.ts';
import { orderProblem } from './schedules/order-problem.ts';
import { schedulePrefix } from './schedules/prefix.ts';
import { prefixProblem } from './schedules/prefix-problem.ts';
import { scheduleReduction } from './schedules/reduction.ts';
import { scheduleRoute } from './schedules/route.ts';
import { rowClusterProblem, scheduleRowCluster } from './schedules/row-cluster.ts';
import { scheduleSoftmaxSum } from './schedules/softmax-sum.ts';
import { splitSoftmaxSum } from './schedules/split-softmax-sum.ts';
import { scheduleChain } from './schedules/unit-chain.ts';
import { splitBuffers } from './split-buffers.ts';
import { program } from './tile-builder.ts';
import { unrollLoops } from './unroll-loops.ts';

/** How each kind of problem becomes kernels, as chosen. */
const scheduleAs: {
  readonly [K in ProblemKind]: (
    problem: ProblemOf<K>,
    choice: ChoiceFor<K>,
    context: ScheduleContext,
  ) => readonly ScheduledStep[];
} = {
  map: scheduleMap,
  reduction: scheduleReduction,
  contraction: scheduleContraction,
  softmaxSum: scheduleSoftmaxSum,
  prefix: schedulePrefix,
  order: scheduleOrder,
  rowCluster: scheduleRowCluster,
  chain: scheduleChain,
};

const scheduleChosen: NodeSchedule<'compute' | 'softmaxSum'> = (node, context) => {
  const problem = problemOf(node, context);
  return problem === undefined ? [] : context.problem(problem);
};

/** How each kind of node becomes kernels; loops are the nodes of their bodies. */
const schedules: { readonly [K in Exclude<NodeKind, 'loop'>]: NodeSchedule<K> } = {
  compute: scheduleChosen,
  softmaxSum: (node, context) => splitSoftmaxSum(node, context) ?? scheduleChosen(node, context),
  order: (node, context) =>
    elementCount(node.result) === 0 ? [] : context.problem(orderProblem(node, context)),
  prefix: (node, context) => (elementCount(node.result) === 0 ? [] : context.problem(prefixProblem(node))),
  route: scheduleRoute,
  collective: ({ change }) => {
    throw new Error(`${change.kind} is taken out before scheduling`);
  },
  block: ({ direction }) => {
    throw new Error(`the ${direction} of a block is taken out before scheduling`);
  },
  exchange: (node) => [{ kind: 'exchange', node }],
};

/**
 * The kernels of a graph in launch order. Deterministic; nothing is measured or allocated.
 * @param advise what is chosen, where it knows better than to take the first choice and the device can run it
 */
export function scheduleGraph(
  graph: Graph,
  device: DeviceProfile,
  advise: Advice = () => undefined,
): ChosenSchedule {
  const decided: Chosen[] = [];
  const tensors = new Map(allTensors(graph));
  const temporaries: Tensor[] = [];
  const names = new Set<string>();
  let nextId = Math.max(-1, ...tensors.keys()) + 1;

  const tensorOf = (id: TensorId): Tensor => {
    const found = tensors.get(id);
    if (found === undefined) throw new Error(`scheduling: tensor ${id} is in no graph`);
    return found;
  };

  const temporary: ScheduleContext['temporary'] = (name, { dtype, shape, ends }) => {
    const made: Tensor = { id: nextId++, name, dtype, shape, ...(ends && { ends }) };
    tensors.set(made.id, made);
    temporaries.push(made);
    return made;
  };

  const choose = <K extends ProblemKind>(problem: ProblemOf<K>): ChoiceFor<K> => {
    const wanted = advise(problem, tensorOf);
    const legal = wanted && legalChoice(problem, device, wanted);
    return legal ?? firstChoice(problem, device);
  };

  const contextIn = (enclosing: readonly LoopId[]): ScheduleContext => {
    const context: ScheduleContext = {
      device,
      tensors: tensorOf,
      temporary,
      kernel: ({ beside, ...parts }) => {
        const name = uniqueName(parts.name, names);
        return {
          kind: 'kernel',
          program: program({ ...parts, name, enclosing }),
          ...(beside && { beside: () => program({ ...beside(), name, enclosing }) }),
        };
      },
      node: (node) => fitting(node).flatMap((each) => scheduleWhole(each, context)),
      problem: (problem) => {
        const choice = choose(problem);
        decided.push({ problem, choice });
        return scheduleProblem(problem, choice, context);
      },
    };
    return context;
  };

  /** The node and what it takes apart before it, none with too many buffers. */
  const fitting = <N extends Node>(node: N): readonly (N | ComputeNode)[] => {
    if (node.kind === 'loop') return [node];
    const { before, node: last } = splitBuffers(node, device.maxStorageBuffersPerStage, temporary);
    return [...before, last];
  };

  const scheduleList = (part: Graph, enclosing: readonly LoopId[]): readonly ScheduledStep[] => {
    const context = contextIn(enclosing);
    const nodes = joinSums(part, context).flatMap(fitting);
    const { chains, within } = productChains(nodes, part.outputs, context);
    const steps = clusterRows(nodes, part.outputs, context).flatMap((each): readonly ScheduledStep[] => {
      if (each.kind === 'rowCluster') return context.problem(rowClusterProblem(each, context));
      const chain = chains.get(each);
      if (chain !== undefined) return context.problem(chain);
      if (within.has(each)) return [];
      if (each.kind !== 'loop') return scheduleWhole(each, context);
      return [{ kind: 'loop', loop: each, steps: scheduleList(each.body, [...enclosing, each.loop]) }];
    });
    const given = new Set(part.outputs.map(({ tensor }) => tensor));
    for (const node of part.nodes)
      if (node.kind === 'loop') for (const tensor of readsOf(node)) given.add(tensor);
    const fused = fuseKernels(steps, device, enclosing, (tensor) => given.has(tensor));
    const joined = joinMaps(fused, device, enclosing);
    return unrollLoops(mergeKernels(joined, device, enclosing), device);
  };

  return { steps: scheduleList(graph, []), temporaries, chosen: decided };
}

function scheduleWhole<K extends Exclude<NodeKind, 'loop'>>(
  node: Node & { readonly kind: K },
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const schedule: NodeSchedule<K> = schedules[node.kind];
  return schedule(node, context);
}

function scheduleProblem<K extends ProblemKind>(
  problem: ProblemOf<K>,
  choice: ChoiceFor<K>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const schedule: (typeof scheduleAs)[K] = scheduleAs[problem.kind];
  const kernel: ScheduleContext['kernel'] = (parts) => context.kernel({ ...parts, choice });
  return schedule(problem, choice, { ...context, kernel });
}

/** An identifier that no other kernel has: `map_h`, then `map_h_1` … */
function uniqueName(wanted: string, taken: Set<string>): string {
  const plain = wanted.replace(/[^A-Za-z0-9]+/g, '_').replace(/_+$/, '');
  let name = plain;
  for (let copy = 1; taken.has(name); copy++) name = `${plain}_${copy}`;
  taken.add(name);
  return name;
}
