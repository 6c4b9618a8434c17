/**
 * The launch order: kernels, copies and loops over storages, and from when to when each storage is needed.
 */
import type { ExchangeNode, Graph, LoopNode, Tensor, TensorId } from '../graph/graph.ts';
import type { Schedule, ScheduledStep } from '../tiles/scheduled.ts';
import { exchangeOf } from './expand-exchange.ts';
import type { LaunchedKernel } from './kernel.ts';
import type { LaunchStep } from './package.ts';
import { bufferBytes, elementCount, packedBytes } from './storage-bytes.ts';
import { kernelOf, type StorageId, type Storages } from './storages.ts';

/** Positions in the launch order, both included. */
export interface Lifetime {
  readonly start: number;
  readonly end: number;
}

export interface LaunchOrder<K extends LaunchedKernel> {
  /** Over storages: planning replaces them by slots. */
  readonly steps: readonly LaunchStep[];
  /** Of every storage that a step or the caller touches. */
  readonly lifetimes: ReadonlyMap<StorageId, Lifetime>;
  readonly kernels: readonly K[];
}

/**
 * A state of a loop lives in two storages, the current and the next value, which swap after each step. What a
 * loop collects is copied to its slice of the result. Kernels with an empty grid are left out.
 */
export function launchOrder<K extends LaunchedKernel>(
  graph: Graph,
  schedule: Schedule,
  kernels: ReadonlyMap<string, K>,
  tensors: ReadonlyMap<TensorId, Tensor>,
  storages: Storages,
): LaunchOrder<K> {
  const used = new Map<string, K>();
  const touches = new Map<StorageId, { hull: Lifetime; loops: Set<OpenLoop> }>();
  const enclosing: OpenLoop[] = [];
  let position = 0;

  const touch = (storage: StorageId): void => {
    const known = touches.get(storage);
    const start = Math.min(known?.hull.start ?? position, position);
    const loops = known?.loops ?? new Set();
    for (const loop of enclosing) loops.add(loop);
    touches.set(storage, { hull: { start, end: position }, loops });
  };

  const dispatch = (kernel: K): LaunchStep[] => {
    const slots = kernel.bindings.map((binding) => storages.of(binding.tensor));
    if (kernel.grid.includes(0)) return [];
    position++;
    for (const storage of slots) touch(storage);
    used.set(kernel.name, kernel);
    return [{ kind: 'dispatch', kernel: kernel.name, slots, counters: [...kernel.counters] }];
  };

  const copy = (
    from: StorageId,
    to: StorageId,
    tensor: Tensor,
    sliceOf: number | undefined,
  ): LaunchStep[] => {
    position++;
    touch(from);
    touch(to);
    if (from === to || elementCount(tensor.shape) === 0) return [];
    const bytes = sliceOf === undefined ? bufferBytes(tensor) : packedBytes(tensor);
    return [{ kind: 'copy', from, to, bytes, ...(sliceOf === undefined ? {} : { sliceOf }) }];
  };

  const exchange = (node: ExchangeNode): LaunchStep[] => {
    const [from, to] = [storages.of(node.source), storages.of(node.result.id)];
    position++;
    touch(from);
    touch(to);
    const exchanged = exchangeOf(node);
    if (exchanged.elements === 0 || (node.devices === 1 && from === to)) return [];
    return [{ ...exchanged, from, to, tensor: tensors.get(node.source)!.name }];
  };

  const loop = (node: LoopNode, body: readonly ScheduledStep[]): LaunchStep[] => {
    const { states } = storages.loops.get(node)!;
    const entry = node.initial.flatMap((initial, index) =>
      copy(storages.of(initial), states[index]!.current, node.results[index]!, undefined),
    );
    const open: OpenLoop = { start: ++position, end: Number.POSITIVE_INFINITY };
    enclosing.push(open);
    const touchAll = () => {
      for (const result of node.results) touch(storages.of(result.id));
      for (const state of states)
        for (const at of [state.current, state.next]) if (at !== undefined) touch(at);
    };
    touchAll();
    const steps = list(body);
    const closing = node.body.outputs.flatMap((output, index) => {
      const from = storages.of(output.tensor);
      const state = states[index];
      if (state === undefined)
        return copy(from, storages.of(node.results[index]!.id), tensors.get(output.tensor)!, node.loop);
      return state.next === undefined ? [] : copy(from, state.next, node.results[index]!, undefined);
    });
    position++;
    touchAll();
    open.end = position;
    enclosing.pop();
    const swaps = states.flatMap((state): [number, number][] =>
      state.next === undefined ? [] : [[state.current, state.next]],
    );
    const repeated: LaunchStep = {
      kind: 'loop',
      loop: node.loop,
      count: node.count,
      steps: [...steps, ...closing],
      swaps,
    };
    return node.count === 0 ? entry : [...entry, repeated];
  };

  const list = (steps: readonly ScheduledStep[]): LaunchStep[] => steps.flatMap(launch);

  const launch = (step: ScheduledStep): LaunchStep[] => {
    switch (step.kind) {
      case 'kernel':
        return dispatch(kernelOf(kernels, step.program.name));
      case 'exchange':
        return exchange(step.node);
      case 'loop':
        return loop(step.loop, step.steps);
    }
  };

  for (const input of graph.inputs) touch(storages.of(input.tensor.id));
  const steps = list(schedule.steps);
  position++;
  for (const output of graph.outputs) touch(storages.of(output.tensor));
  const lifetimes = new Map(
    [...touches].map(([storage, { hull, loops }]) => [storage, acrossLoops(hull, loops)]),
  );
  return { steps, lifetimes, kernels: [...used.values()] };
}

interface OpenLoop {
  readonly start: number;
  end: number;
}

/** What is touched in a loop and also outside must keep its value through all of the loop's steps. */
function acrossLoops(hull: Lifetime, loops: ReadonlySet<OpenLoop>): Lifetime {
  let { start, end } = hull;
  for (let grown = true; grown; ) {
    grown = false;
    for (const loop of loops) {
      const inside = loop.start <= start && end <= loop.end;
      if (inside || (start <= loop.start && loop.end <= end)) continue;
      start = Math.min(start, loop.start);
      end = Math.max(end, loop.end);
      grown = true;
    }
  }
  return { start, end };
}
