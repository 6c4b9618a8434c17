/**
 * One step of moving a tensor between placements. On values every change is the identity: what differs is
 * which device holds what. Which axes it may be of, and what placement it leaves, is one table of rules.
 */
import type { AxisList, Mesh, PendingCombiner, Placement } from '../../dsl/placement/placement.ts';
import { devicesAlong, sameList, showList, showPending } from '../../dsl/placement/placement.ts';
import type { CollectiveChange } from '../graph/graph.ts';

/** A collective as a program writes it, or what a plan has besides. */
export type PlacementChange =
  | CollectiveChange
  /** The axes, over which all devices hold the same, cut `dim` further: each device keeps its part. */
  | { readonly kind: 'slice'; readonly axes: AxisList; readonly dim: number }
  /** Along the axes, over which all devices hold the same, all but the first device put zero: a sum. */
  | { readonly kind: 'mask'; readonly axes: AxisList }
  /** Blocks keep their size, and other devices hold them: every device sends its whole block to one other. */
  | { readonly kind: 'permute'; readonly to: Placement };

export type ChangeKind = PlacementChange['kind'];
export type ChangeOf<K extends ChangeKind> = Extract<PlacementChange, { kind: K }>;

export type ChangeFaultReason =
  | 'axis occurs twice'
  | 'axis is in use'
  | 'not the minor end'
  | 'not pending'
  | 'different combiners'
  | 'no such dimension'
  | 'the same dimension'
  | 'blocks of another size'
  | 'does not divide';

/** Why a change cannot be made: never thrown. */
export interface ChangeFault {
  readonly fault: ChangeFaultReason;
  /** One clause that names the axes and the dimension: `tp is not pending`. */
  readonly message: string;
}

export function isFault<T extends object>(result: T | ChangeFault): result is ChangeFault {
  return 'fault' in result;
}

/** The placement after the change. A fault says which axes or dimension do not allow it, and why. */
export function applyChange(
  placement: Placement,
  change: PlacementChange,
  mesh: Mesh,
): Placement | ChangeFault {
  const apply = rules[change.kind] as Rule<ChangeKind>;
  const repeated = change.kind === 'permute' ? undefined : repeatedAxis(change.axes);
  return repeated ?? apply(placement, change, mesh);
}

// ── the rules ──────────────────────────────────────────────────────────────────────────────────────────────

type Rule<K extends ChangeKind> = (
  placement: Placement,
  change: ChangeOf<K>,
  mesh: Mesh,
) => Placement | ChangeFault;

const rules: { readonly [K in ChangeKind]: Rule<K> } = {
  all_gather(placement, { axes }) {
    const last = axes.at(-1);
    if (last === undefined) return placement;
    const dim = placement.dims.findIndex((list) => list.includes(last));
    if (dim < 0) return fault('not the minor end', `${last} cuts no dimension`);
    return notMinor(placement, axes, dim) ?? withDim(placement, dim, (list) => dropMinor(list, axes));
  },
  all_reduce(placement, { axes }) {
    return notReducible(placement, axes) ?? withoutPending(placement, axes);
  },
  reduce_scatter(placement, { axes, dim }) {
    return (
      noDimension(placement, dim) ??
      notReducible(placement, axes) ??
      withDim(withoutPending(placement, axes), dim, (list) => [...list, ...axes])
    );
  },
  all_to_all(placement, { axes, from, to }) {
    const impossible =
      noDimension(placement, from) ?? noDimension(placement, to) ?? notMinor(placement, axes, from);
    if (impossible !== undefined) return impossible;
    if (from === to) return fault('the same dimension', `dimension ${from} to itself moves nothing`);
    const gathered = withDim(placement, from, (list) => dropMinor(list, axes));
    return withDim(gathered, to, (list) => [...list, ...axes]);
  },
  broadcast(placement, { axes }) {
    return inUse(placement, axes) ?? placement;
  },
  slice(placement, { axes, dim }) {
    return (
      noDimension(placement, dim) ??
      inUse(placement, axes) ??
      withDim(placement, dim, (list) => [...list, ...axes])
    );
  },
  mask(placement, { axes }) {
    const other = [...placement.pending.values()].find((combiner) => combiner !== 'sum');
    if (other !== undefined && axes.length > 0)
      return fault(
        'different combiners',
        `pending ${showPending(placement.pending)} already: no sum can be added`,
      );
    const masked = axes.map((axis): [string, PendingCombiner] => [axis, 'sum']);
    return inUse(placement, axes) ?? withPending(placement, [...placement.pending, ...masked]);
  },
  permute(placement, { to }, mesh) {
    return otherBlocks(placement, to, mesh) ?? to;
  },
};

function withDim(placement: Placement, dim: number, change: (list: AxisList) => AxisList): Placement {
  const dims = placement.dims.map((list, place) => (place === dim ? change(list) : list));
  return { dims, pending: placement.pending };
}

function dropMinor(list: AxisList, axes: AxisList): AxisList {
  return list.slice(0, list.length - axes.length);
}

/** Pending axes are kept in order of their names, so that equal placements are written equally. */
function withPending(placement: Placement, pending: Iterable<[string, PendingCombiner]>): Placement {
  const sorted = [...pending].sort(([left], [right]) => (left < right ? -1 : 1));
  return { dims: placement.dims, pending: new Map(sorted) };
}

function withoutPending(placement: Placement, axes: AxisList): Placement {
  return withPending(
    placement,
    [...placement.pending].filter(([axis]) => !axes.includes(axis)),
  );
}

// ── faults ─────────────────────────────────────────────────────────────────────────────────────────────────

function fault(reason: ChangeFaultReason, message: string): ChangeFault {
  return { fault: reason, message };
}

function repeatedAxis(axes: AxisList): ChangeFault | undefined {
  const repeated = axes.find((axis, place) => axes.indexOf(axis) !== place);
  return repeated === undefined ? undefined : fault('axis occurs twice', `${repeated} is listed twice`);
}

function noDimension({ dims }: Placement, dim: number): ChangeFault | undefined {
  if (dims[dim] !== undefined) return undefined;
  return fault('no such dimension', `there is no dimension ${dim} of ${dims.length}`);
}

function notMinor({ dims }: Placement, axes: AxisList, dim: number): ChangeFault | undefined {
  const list = dims[dim] ?? [];
  if (axes.length <= list.length && sameList(list.slice(list.length - axes.length), axes)) return undefined;
  const cut = list.length === 0 ? 'is whole' : `is cut ${showList(list)}`;
  return fault(
    'not the minor end',
    `${showAxes(axes)} is not the minor end of dimension ${dim}, which ${cut}`,
  );
}

function inUse({ dims, pending }: Placement, axes: AxisList): ChangeFault | undefined {
  for (const axis of axes) {
    const dim = dims.findIndex((list) => list.includes(axis));
    if (dim >= 0) return fault('axis is in use', `${axis} cuts dimension ${dim} already`);
    if (pending.has(axis)) return fault('axis is in use', `${axis} is pending already`);
  }
  return undefined;
}

/**
 * Sums of maxima are not maxima of sums: where axes are pending for different combiners, their order would
 * matter, and the placement does not state one.
 */
function notReducible({ pending }: Placement, axes: AxisList): ChangeFault | undefined {
  const missing = axes.find((axis) => !pending.has(axis));
  if (missing !== undefined) return fault('not pending', `${missing} is not pending`);
  if (axes.length === 0 || new Set(pending.values()).size <= 1) return undefined;
  return fault('different combiners', `pending ${showPending(pending)}: which is combined first is not said`);
}

function otherBlocks(from: Placement, to: Placement, mesh: Mesh): ChangeFault | undefined {
  if (from.dims.length !== to.dims.length)
    return fault('no such dimension', `${from.dims.length} dimensions cannot become ${to.dims.length}`);
  const repeated = repeatedAxis([...to.dims.flat(), ...to.pending.keys()]);
  if (repeated !== undefined) return repeated;
  const dim = to.dims.findIndex(
    (list, place) => devicesAlong(mesh, list) !== devicesAlong(mesh, from.dims[place]!),
  );
  if (dim >= 0) {
    const cuts = [from, to].map(({ dims }) => devicesAlong(mesh, dims[dim]!));
    return fault(
      'blocks of another size',
      `dimension ${dim} is cut in ${cuts[0]}, and would be in ${cuts[1]}`,
    );
  }
  return samePending(from.pending, to.pending)
    ? undefined
    : fault('not pending', `a permutation leaves pending ${showPending(from.pending) || 'nothing'} as it is`);
}

function samePending(left: Placement['pending'], right: Placement['pending']): boolean {
  return left.size === right.size && [...left].every(([axis, combiner]) => right.get(axis) === combiner);
}

/** `tp`, `(node, gpu)` */
export function showAxes(axes: AxisList): string {
  return axes.length === 1 ? axes[0]! : `(${axes.join(', ')})`;
}

// ── shapes ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Whether every dimension is cut into equal blocks. */
export function divides(shape: readonly number[], placement: Placement, mesh: Mesh): boolean {
  return divisionFault(shape, placement, mesh) === undefined;
}

/** Names the first dimension that its axes do not cut into equal blocks. */
export function divisionFault(
  shape: readonly number[],
  { dims }: Placement,
  mesh: Mesh,
): ChangeFault | undefined {
  if (shape.length !== dims.length)
    return fault('no such dimension', `a shape of ${shape.length} dimensions is placed in ${dims.length}`);
  const dim = shape.findIndex((size, place) => size % devicesAlong(mesh, dims[place]!) !== 0);
  if (dim < 0) return undefined;
  const list = dims[dim]!;
  const blocks = devicesAlong(mesh, list);
  return fault(
    'does not divide',
    `dimension ${dim} of size ${shape[dim]} does not divide into ${blocks} blocks ${showList(list)}`,
  );
}

/** The shape of the block of each device, of a shape that the placement divides. */
export function localShape(shape: readonly number[], { dims }: Placement, mesh: Mesh): readonly number[] {
  return shape.map((size, dim) => size / devicesAlong(mesh, dims[dim]!));
}
