/** Cuts a graph into kernels: one schedule for each kind of node, chosen by one table. */
import {
  type Graph,
  type LoopId,
  type Node,
  type NodeKind,
  results,
  type Tensor,
  type TensorId,
} from '../graph/graph.ts';
import { contractionOf } from '../optimize/contraction.ts';
import type { DeviceProfile } from './device-profile.ts';
import type { Schedule, ScheduledStep } from './scheduled.ts';
import type { NodeSchedule, ScheduleContext } from './schedules/context.ts';
import { scheduleContraction } from './schedules/contraction.ts';
import { scheduleMap } from './schedules/map.ts';
import { scheduleOrder } from './schedules/order.ts';
import { schedulePrefix } from './schedules/prefix.ts';
import { type ReductionNode, scheduleReduction } from './schedules/reduction.ts';
import { scheduleRoute } from './schedules/route.ts';
import { scheduleSoftmaxSum } from './schedules/softmax-sum.ts';
import { program } from './tile-builder.ts';

const scheduleCompute: NodeSchedule<'compute'> = (node, context) => {
  if (node.reduce === undefined) return scheduleMap(node, context);
  const reduction: ReductionNode = { ...node, reduce: node.reduce };
  const contraction = contractionOf(node);
  return contraction === undefined
    ? scheduleReduction(reduction, context)
    : scheduleContraction(reduction, contraction, context);
};

type Schedules = { readonly [K in Exclude<NodeKind, 'loop'>]: NodeSchedule<K> };

const schedules: Schedules = {
  compute: scheduleCompute,
  softmaxSum: scheduleSoftmaxSum,
  order: scheduleOrder,
  prefix: schedulePrefix,
  route: scheduleRoute,
};

/** The kernels of a graph in launch order. Deterministic; nothing is measured or allocated. */
export function scheduleGraph(graph: Graph, device: DeviceProfile): Schedule {
  const tensors = tensorsOf(graph);
  const temporaries: Tensor[] = [];
  const names = new Map<string, number>();
  let nextId = Math.max(-1, ...tensors.keys()) + 1;

  const tensor = (id: TensorId): Tensor => {
    const found = tensors.get(id);
    if (found === undefined) throw new Error(`scheduling: tensor ${id} is in no graph`);
    return found;
  };

  /** `map_h`, then `map_h_1` … */
  const uniqueName = (wanted: string): string => {
    const plain = wanted.replace(/[^A-Za-z0-9]+/g, '_').replace(/_+$/, '');
    const count = names.get(plain) ?? 0;
    names.set(plain, count + 1);
    if (count === 0) return plain;
    return uniqueName(`${plain}_${count}`);
  };

  const contextIn = (enclosing: readonly LoopId[]): ScheduleContext => {
    const context: ScheduleContext = {
      device,
      tensors: tensor,
      temporary: (name, { dtype, shape }) => {
        const made: Tensor = { id: nextId++, name, dtype, shape };
        tensors.set(made.id, made);
        temporaries.push(made);
        return made;
      },
      kernel: (parts) => ({
        kind: 'kernel',
        program: program({ ...parts, name: uniqueName(parts.name), enclosing }),
      }),
      node: (node) => scheduleNode(node, context, enclosing),
    };
    return context;
  };

  const scheduleNode = (
    node: Node,
    context: ScheduleContext,
    enclosing: readonly LoopId[],
  ): readonly ScheduledStep[] => {
    if (node.kind === 'loop') {
      const inside = [...enclosing, node.loop];
      const bodyContext = contextIn(inside);
      const steps = node.body.nodes.flatMap((each) => scheduleNode(each, bodyContext, inside));
      return [{ kind: 'loop', loop: node, steps }];
    }
    const schedule = schedules[node.kind] as NodeSchedule<typeof node.kind>;
    return schedule(node, context);
  };

  const context = contextIn([]);
  return { steps: graph.nodes.flatMap((node) => scheduleNode(node, context, [])), temporaries };
}

function tensorsOf(graph: Graph): Map<TensorId, Tensor> {
  const found = new Map<TensorId, Tensor>(graph.inputs.map(({ tensor }) => [tensor.id, tensor]));
  for (const node of graph.nodes) {
    for (const tensor of results(node)) found.set(tensor.id, tensor);
    if (node.kind === 'loop') for (const [id, tensor] of tensorsOf(node.body)) found.set(id, tensor);
  }
  return found;
}
