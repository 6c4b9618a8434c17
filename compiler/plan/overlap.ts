/**
 * The order of a schedule in which exchanges start early and are waited for late, so that a device computes
 * while they are on the way: a list scheduler, the same for all devices. Loops keep their place among what
 * depends on them; the steps within each are ordered likewise.
 */
import type { TensorId } from '../graph/graph.ts';
import { readsOf } from '../graph/uses.ts';
import type { ScheduledStep } from '../tiles/scheduled.ts';
import type { LaunchedKernel } from './kernel.ts';
import { kernelOf } from './storages.ts';

export function overlapped(
  steps: readonly ScheduledStep[],
  kernels: ReadonlyMap<string, LaunchedKernel>,
): readonly ScheduledStep[] {
  const inner = steps.map(
    (step): ScheduledStep =>
      step.kind === 'loop' ? { ...step, steps: overlapped(step.steps, kernels) } : step,
  );
  if (!inner.some(({ kind }) => kind === 'exchange')) return inner;
  return listed(inner.map((step, position) => ({ step, position, ...touchedBy(step, kernels) })));
}

interface Touched {
  readonly reads: ReadonlySet<TensorId>;
  readonly writes: ReadonlySet<TensorId>;
}

interface Item extends Touched {
  readonly step: ScheduledStep;
  readonly position: number;
}

function touchedBy(step: ScheduledStep, kernels: ReadonlyMap<string, LaunchedKernel>): Touched {
  switch (step.kind) {
    case 'kernel': {
      const { bindings } = kernelOf(kernels, step.program.name);
      const where = (isTouched: (access: LaunchedKernel['bindings'][number]['access']) => boolean) =>
        new Set(bindings.flatMap(({ tensor, access }) => (isTouched(access) ? [tensor] : [])));
      return { reads: where((access) => access !== 'write'), writes: where((access) => access !== 'read') };
    }
    case 'exchange':
      return { reads: new Set([step.node.source]), writes: new Set([step.node.result.id]) };
    case 'loop': {
      const inside = step.steps.map((each) => touchedBy(each, kernels));
      const reads = [...readsOf(step.loop), ...inside.flatMap(({ reads }) => [...reads])];
      const writes = [
        ...step.loop.results.map(({ id }) => id),
        ...inside.flatMap(({ writes }) => [...writes]),
      ];
      return { reads: new Set(reads), writes: new Set(writes) };
    }
  }
}

/** One after the other the step that is ready and comes first in this order; of equals the one before. */
const priorities: readonly ((item: Item, state: Listing) => boolean)[] = [
  ({ step }, state) => step.kind === 'exchange' && !waits(step, state),
  (item, state) => state.leadsToExchange.has(item) && !waits(item.step, state),
  ({ step }, state) => !waits(step, state),
  () => true,
];

interface Listing {
  /**
   * Results of exchanges that were started and that nothing has read yet, and what each step needs of them.
   */
  readonly flying: Set<TensorId>;
  readonly leadsToExchange: ReadonlySet<Item>;
  readonly needs: ReadonlyMap<ScheduledStep, Touched>;
}

function waits(step: ScheduledStep, { flying, needs }: Listing): boolean {
  const { reads, writes } = needs.get(step)!;
  return [...flying].some((tensor) => reads.has(tensor) || writes.has(tensor));
}

function listed(items: readonly Item[]): readonly ScheduledStep[] {
  const before = new Map(items.map((item) => [item, items.filter((other) => mustPrecede(other, item))]));
  const state: Listing = {
    flying: new Set(),
    leadsToExchange: ancestorsOfExchanges(items, before),
    needs: new Map(items.map((item) => [item.step, item])),
  };
  const unmet = new Map(items.map((item) => [item, before.get(item)!.length]));
  const after = new Map(items.map((item) => [item, [] as Item[]]));
  for (const item of items) for (const other of before.get(item)!) after.get(other)!.push(item);
  const order: ScheduledStep[] = [];
  while (unmet.size > 0) {
    const ready = [...unmet].flatMap(([item, count]) => (count === 0 ? [item] : []));
    const urgency = priorities.find((isFirst) => ready.some((item) => isFirst(item, state)))!;
    const next = ready.find((item) => urgency(item, state))!;
    unmet.delete(next);
    for (const item of after.get(next)!) unmet.set(item, unmet.get(item)! - 1);
    order.push(next.step);
    // What one step has waited for has arrived.
    for (const tensor of [...state.flying]) if (next.reads.has(tensor)) state.flying.delete(tensor);
    if (next.step.kind === 'exchange') state.flying.add(next.step.node.result.id);
  }
  return order;
}

/** Whether it comes before now, and what one of the two writes the other touches. */
function mustPrecede(first: Item, second: Item): boolean {
  if (first.position >= second.position) return false;
  const touches = ({ reads, writes }: Touched, tensor: TensorId) => reads.has(tensor) || writes.has(tensor);
  return (
    [...first.writes].some((tensor) => touches(second, tensor)) ||
    [...second.writes].some((tensor) => touches(first, tensor))
  );
}

function ancestorsOfExchanges(
  items: readonly Item[],
  before: ReadonlyMap<Item, readonly Item[]>,
): ReadonlySet<Item> {
  const found = new Set<Item>();
  for (const item of items.toReversed())
    if (item.step.kind === 'exchange' || found.has(item))
      for (const other of before.get(item)!) found.add(other);
  return found;
}
