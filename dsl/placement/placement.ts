/**
 * Where a tensor lives on a mesh of devices. A dimension is cut over an ordered list of mesh axes into as
 * many equal blocks as the axes have devices together; the block of a device is the one whose number its
 * coordinates write, the first axis being the most significant digit. Over axes that nothing mentions, every
 * device holds the same. A value that is pending over axes is not final: what it stands for is the sum (or
 * the greatest, or the least) of what the devices along them hold.
 */

/** Mesh axes on which one dimension is cut, major first; [] is whole. */
export type AxisList = readonly string[];

export type PendingCombiner = 'sum' | 'max' | 'min';

/** No axis occurs twice: not in a list, not in two of them, not in a list and pending. */
export interface Placement {
  /** One for each dimension. */
  readonly dims: readonly AxisList[];
  /** Axes over which the value is still to be combined, in order of their names. */
  readonly pending: ReadonlyMap<string, PendingCombiner>;
}

/** Where a tensor may live, of which a person says a part: a dimension cut so, or as is best. */
export interface Wish {
  readonly dims: readonly (AxisList | 'any')[];
  readonly pending: Placement['pending'];
}

export interface MeshAxis {
  readonly name: string;
  /** Devices along it: 1 or more. */
  readonly size: number;
}

/** The devices are numbered row-major: along the last axis neighbours have neighbouring numbers. */
export interface Mesh {
  readonly axes: readonly MeshAxis[];
}

export function wholePlacement(rank: number): Placement {
  return { dims: Array.from({ length: rank }, () => []), pending: new Map() };
}

/** Devices along the axes together; an axis that the mesh does not have is of size 1. */
export function devicesAlong(mesh: Mesh, axes: Iterable<string>): number {
  let count = 1;
  for (const name of axes) count *= mesh.axes.find((axis) => axis.name === name)?.size ?? 1;
  return count;
}

export function deviceCount(mesh: Mesh): number {
  return mesh.axes.reduce((count, { size }) => count * size, 1);
}

export function sameList(left: AxisList, right: AxisList): boolean {
  return left.length === right.length && left.every((axis, place) => axis === right[place]);
}

export function isPrefix(shorter: AxisList, longer: AxisList): boolean {
  return shorter.length <= longer.length && shorter.every((axis, place) => axis === longer[place]);
}

export function samePlacement(left: Placement, right: Placement): boolean {
  return (
    left.dims.length === right.dims.length &&
    left.dims.every((list, dim) => sameList(list, right.dims[dim]!)) &&
    left.pending.size === right.pending.size &&
    [...left.pending].every(([axis, combiner]) => right.pending.get(axis) === combiner)
  );
}

/** Every axis that is used, with repetitions where the placement is ill-formed. */
export function axesOf({ dims, pending }: Placement): readonly string[] {
  return [...dims.flat(), ...pending.keys()];
}

/** `@sp`, `@(node, gpu)`; nothing for a whole dimension. */
export function showList(list: AxisList): string {
  if (list.length === 0) return '';
  return list.length === 1 ? `@${list[0]}` : `@(${list.join(', ')})`;
}

/** `{+tp}`, `{+tp, max sp}`; nothing where nothing is pending. */
export function showPending(pending: Placement['pending']): string {
  const parts = [...pending].map(([axis, combiner]) =>
    combiner === 'sum' ? `+${axis}` : `${combiner} ${axis}`,
  );
  return parts.length === 0 ? '' : `{${parts.join(', ')}}`;
}
