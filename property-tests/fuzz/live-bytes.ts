/** What a package must have room for at least: what its kernels, in order, hold at once. */
import { tensorBytes } from '../../compiler/graph/cost.ts';
import type { Graph, TensorId } from '../../compiler/graph/graph.ts';
import { allTensors } from '../../compiler/plan/storages.ts';
import type { Schedule } from '../../compiler/tiles/scheduled.ts';

/**
 * The most bytes alive at once, each tensor from the first kernel that has it to the last; inputs and outputs
 * throughout. Undefined where there are loops, whose states may lie where they began, or exchanges.
 */
export function liveBytes(graph: Graph, schedule: Schedule): number | undefined {
  const kernels = schedule.steps.flatMap((step) => (step.kind === 'kernel' ? [step.program] : []));
  if (kernels.length < schedule.steps.length) return undefined;
  const tensors = allTensors(graph, schedule);
  const bytes = (id: TensorId) => tensorBytes(tensors.get(id)!);
  const throughout = new Set([
    ...graph.inputs.map(({ tensor }) => tensor.id),
    ...graph.outputs.map(({ tensor }) => tensor),
  ]);
  const lives = new Map<TensorId, { readonly first: number; readonly last: number }>();
  for (const [position, { buffers }] of kernels.entries())
    for (const { tensor } of buffers)
      lives.set(tensor, { first: lives.get(tensor)?.first ?? position, last: position });
  const between = [...lives].filter(([id]) => !throughout.has(id));
  const total = (ids: Iterable<TensorId>) => [...ids].reduce((sum, id) => sum + bytes(id), 0);
  const at = kernels.map((_, position) =>
    total(between.flatMap(([id, { first, last }]) => (first <= position && position <= last ? [id] : []))),
  );
  return total(throughout) + Math.max(0, ...at);
}
