/**
 * Which tensors are one and the same piece of memory by construction, before any sharing: a loop's state is
 * its initial value, its value in each step and its result; the next value of a state is written where it
 * will be read.
 */
import type { ExchangeNode, Graph, LoopNode, Tensor, TensorId, TensorType } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import type { Schedule, ScheduledStep } from '../tiles/scheduled.ts';
import { verbFacts } from './exchange-verbs.ts';
import type { LaunchedKernel } from './kernel.ts';

/** A piece of memory, numbered from 0. */
export type StorageId = number & { readonly brand?: 'storage' };

export interface Storages {
  readonly of: (tensor: TensorId) => StorageId;
  /** What each storage holds, for its size and for messages. */
  readonly tensors: readonly Tensor[];
  readonly loops: ReadonlyMap<LoopNode, LoopStorages>;
  /** Storages that exchange their buffers have equal numbers here. */
  readonly swapGroups: ReadonlyMap<StorageId, number>;
}

export interface LoopStorages {
  readonly states: readonly StateStorages[];
}

/** A state that each step leaves as it is has no `next`. */
export interface StateStorages {
  readonly current: StorageId;
  readonly next: StorageId | undefined;
}

/** Every tensor of the program by its id, with those of loop bodies and those between kernels. */
export function allTensors(graph: Graph, schedule: Schedule): ReadonlyMap<TensorId, Tensor> {
  const tensors = new Map<TensorId, Tensor>();
  const add = (tensor: Tensor) => tensors.set(tensor.id, tensor);
  const visit = (part: Graph): void => {
    for (const input of part.inputs) add(input.tensor);
    for (const node of part.nodes) {
      for (const tensor of results(node)) add(tensor);
      if (node.kind === 'loop') visit(node.body);
    }
  };
  visit(graph);
  // Scheduling may have rewritten a loop's body.
  const visitSteps = (steps: readonly ScheduledStep[]): void => {
    for (const step of steps) {
      if (step.kind === 'exchange') add(step.node.result);
      if (step.kind !== 'loop') continue;
      for (const tensor of step.loop.results) add(tensor);
      visit(step.loop.body);
      visitSteps(step.steps);
    }
  };
  visitSteps(schedule.steps);
  for (const tensor of schedule.temporaries) add(tensor);
  return tensors;
}

export function assignStorages(
  graph: Graph,
  schedule: Schedule,
  kernels: ReadonlyMap<string, LaunchedKernel>,
  tensors: ReadonlyMap<TensorId, Tensor>,
): Storages {
  const uses = countUses(graph, schedule, kernels);
  const assigned = new Map<TensorId, StorageId>();
  /** Results of states that never change are their initial values. */
  const aliases = new Map<TensorId, TensorId>();
  const held: Tensor[] = [];
  const loops = new Map<LoopNode, LoopStorages>();
  const partners: [StorageId, StorageId][] = [];
  /** Aliases can be followed only when all of them are known. */
  const pending: (() => void)[] = [];

  const tensorOf = (id: TensorId): Tensor => {
    const tensor = tensors.get(id);
    if (tensor === undefined) throw new Error(`planning: tensor ${id} is not in the program`);
    return tensor;
  };
  const create = (tensor: Tensor): StorageId => held.push(tensor) - 1;
  const storageOf = (id: TensorId): StorageId => {
    let original = id;
    for (let at = aliases.get(id); at !== undefined; at = aliases.get(at)) original = at;
    const known = assigned.get(original);
    if (known !== undefined) return known;
    const storage = create(tensorOf(original));
    assigned.set(original, storage);
    return storage;
  };

  /** Last step first: where a later step wants a tensor decides where an earlier one writes it. */
  const visit = (steps: readonly ScheduledStep[]): void => {
    const defined = definedBy(steps, kernels);
    for (const step of [...steps].reverse()) {
      if (step.kind === 'loop') visitLoop(step.loop, step.steps, defined);
      if (step.kind === 'exchange') visitExchange(step.node, defined);
    }
  };

  /** Where the verb allows it, what nothing else reads is exchanged in place. */
  const visitExchange = ({ verb, source, result }: ExchangeNode, around: ReadonlySet<TensorId>): void => {
    const isOwn = around.has(source) && uses.get(source) === 1 && !assigned.has(source);
    if (verbFacts[verb].inPlace && isOwn) assigned.set(source, storageOf(result.id));
  };

  const visitLoop = (
    loop: LoopNode,
    steps: readonly ScheduledStep[],
    around: ReadonlySet<TensorId>,
  ): void => {
    const definedInside = definedBy(steps, kernels);
    const states = loop.initial.map((initial, index): StateStorages | TensorId => {
      const inside = loop.body.inputs[index]!.tensor;
      const result = loop.results[index]!;
      const after = loop.body.outputs[index]!.tensor;
      const unchanged = after === inside.id;
      if (unchanged && !assigned.has(result.id)) {
        aliases.set(result.id, initial);
        aliases.set(inside.id, initial);
        return initial;
      }
      const current = storageOf(result.id);
      assigned.set(inside.id, current);
      const movable = around.has(initial) && uses.get(initial) === 1 && !assigned.has(initial);
      if (movable && sameType(tensorOf(initial), result)) assigned.set(initial, current);
      if (unchanged) return { current, next: undefined };
      const next = create(result);
      if (definedInside.has(after) && !assigned.has(after) && sameType(tensorOf(after), result))
        assigned.set(after, next);
      partners.push([current, next]);
      return { current, next };
    });
    visit(steps);
    pending.push(() =>
      loops.set(loop, {
        states: states.map((state) =>
          typeof state === 'number' ? { current: storageOf(state), next: undefined } : state,
        ),
      }),
    );
  };

  visit(schedule.steps);
  for (const settle of pending) settle();
  return { of: storageOf, tensors: held, loops, swapGroups: groupsOf(partners) };
}

function sameType(left: TensorType, right: TensorType): boolean {
  return left.dtype === right.dtype && left.shape.join() === right.shape.join();
}

/** The tensors that the steps of this list itself define, not those inside its loops. */
function definedBy(
  steps: readonly ScheduledStep[],
  kernels: ReadonlyMap<string, LaunchedKernel>,
): ReadonlySet<TensorId> {
  const defined = new Set<TensorId>();
  for (const step of steps) {
    if (step.kind === 'loop') for (const tensor of step.loop.results) defined.add(tensor.id);
    else if (step.kind === 'exchange') defined.add(step.node.result.id);
    else
      for (const binding of kernelOf(kernels, step.program.name).bindings)
        if (binding.access !== 'read') defined.add(binding.tensor);
  }
  return defined;
}

/** How often each tensor is read, be it by a kernel, a loop or the caller. */
function countUses(
  graph: Graph,
  schedule: Schedule,
  kernels: ReadonlyMap<string, LaunchedKernel>,
): ReadonlyMap<TensorId, number> {
  const uses = new Map<TensorId, number>();
  const use = (tensor: TensorId) => uses.set(tensor, (uses.get(tensor) ?? 0) + 1);
  const visit = (steps: readonly ScheduledStep[]): void => {
    for (const step of steps) {
      if (step.kind === 'loop') {
        for (const initial of step.loop.initial) use(initial);
        for (const output of step.loop.body.outputs) use(output.tensor);
        visit(step.steps);
      } else if (step.kind === 'exchange') use(step.node.source);
      else
        for (const binding of kernelOf(kernels, step.program.name).bindings)
          if (binding.access !== 'write') use(binding.tensor);
    }
  };
  visit(schedule.steps);
  for (const output of graph.outputs) use(output.tensor);
  return uses;
}

export function kernelOf<K extends LaunchedKernel>(kernels: ReadonlyMap<string, K>, name: string): K {
  const kernel = kernels.get(name);
  if (kernel === undefined) throw new Error(`planning: there is no kernel ${name}`);
  return kernel;
}

function groupsOf(partners: readonly (readonly [StorageId, StorageId])[]): ReadonlyMap<StorageId, number> {
  const groups = new Map<StorageId, number>();
  for (const [left, right] of partners) {
    const [first, second] = [groups.get(left) ?? left, groups.get(right) ?? right];
    const merged = Math.min(first, second);
    for (const [storage, group] of groups)
      if (group === first || group === second) groups.set(storage, merged);
    groups.set(left, merged);
    groups.set(right, merged);
  }
  return groups;
}
