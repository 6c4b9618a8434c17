/** The changes that a resharding tries on a placement, and the mesh axes that it tries them on. */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import { axesOf, devicesAlong } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from './change.ts';

/**
 * The axes that occur at one of the ends, and all others that have several devices: these hold copies, among
 * which work can be divided by slicing before and gathering after. In the order of the mesh.
 */
export function usefulAxes(from: Placement, to: Placement, mesh: Mesh): AxisList {
  const used = new Set([...axesOf(from), ...axesOf(to)]);
  const ofMesh = mesh.axes.filter(({ name, size }) => used.has(name) || size > 1).map(({ name }) => name);
  return [...new Set([...ofMesh, ...used])];
}

/**
 * Of a placement, in this order: slices, masks, all-gathers, all-to-alls, permutations, reduce-scatters,
 * all-reduces. Whether sizes divide, and whether `applyChange` allows it, is not looked at.
 */
export function candidateChanges(
  axes: AxisList,
  mesh: Mesh,
): (placement: Placement) => readonly PlacementChange[] {
  const alike = blocksAlike(axes, mesh);
  return (placement) => {
    const used = new Set(axesOf(placement));
    const free = axes.filter((axis) => !used.has(axis));
    return [
      ...slices(free, placement),
      ...free.map((axis): PlacementChange => ({ kind: 'mask', axes: [axis] })),
      ...moves(placement),
      ...alike(placement).map((other): PlacementChange => ({ kind: 'permute', to: other })),
      ...combinations(placement),
    ];
  };
}

function slices(free: AxisList, { dims }: Placement): readonly PlacementChange[] {
  return free.flatMap((axis) =>
    dims.map((_, dim): PlacementChange => ({ kind: 'slice', axes: [axis], dim })),
  );
}

/** All-gathers and all-to-alls of every minor end. */
function moves({ dims }: Placement): readonly PlacementChange[] {
  return dims.flatMap((list, from) =>
    list.flatMap((_, start) => {
      const axes = list.slice(start);
      const others = dims.flatMap((_, to) => (to === from ? [] : [to]));
      return [
        { kind: 'all_gather', axes } as const,
        ...others.map((to): PlacementChange => ({ kind: 'all_to_all', axes, from, to })),
      ];
    }),
  );
}

/** Reduce-scatters of some pending axes, in any order, and all-reduces. */
function combinations({ dims, pending }: Placement): readonly PlacementChange[] {
  const ordered = arrangements([...pending.keys()]);
  const scatters = ordered.flatMap((axes) =>
    dims.map((_, dim): PlacementChange => ({ kind: 'reduce_scatter', axes, dim })),
  );
  const inOrderOfNames = ordered.filter((axes) =>
    axes.every((axis, place) => place === 0 || axes[place - 1]! < axis),
  );
  return [...scatters, ...inOrderOfNames.map((axes): PlacementChange => ({ kind: 'all_reduce', axes }))];
}

/** Every choice of one or more of the axes in every order. */
function arrangements(axes: AxisList): readonly AxisList[] {
  return axes.flatMap((axis) => {
    const rest = axes.filter((other) => other !== axis);
    return [[axis], ...arrangements(rest).map((more) => [axis, ...more])];
  });
}

/** The placements over the axes with blocks of the same size and the same pending. */
function blocksAlike(axes: AxisList, mesh: Mesh): (placement: Placement) => readonly Placement[] {
  const known = new Map<string, readonly (readonly AxisList[])[]>();
  return ({ dims, pending }) => {
    const cuts = dims.map((list) => devicesAlong(mesh, list));
    const free = axes.filter((axis) => !pending.has(axis));
    const key = `${cuts.join()};${free.join()}`;
    const found = known.get(key) ?? listsThatCut(cuts, free, mesh);
    known.set(key, found);
    return found.map((lists) => ({ dims: lists, pending }));
  };
}

/** Lists, one for each dimension, that cut it into so many blocks. */
function listsThatCut(
  [blocks, ...rest]: readonly number[],
  axes: AxisList,
  mesh: Mesh,
): readonly (readonly AxisList[])[] {
  if (blocks === undefined) return [[]];
  return listsOf(blocks, axes, mesh).flatMap((list) => {
    const others = axes.filter((axis) => !list.includes(axis));
    return listsThatCut(rest, others, mesh).map((lists) => [list, ...lists]);
  });
}

/** Lists of so many devices. */
function listsOf(devices: number, axes: AxisList, mesh: Mesh): readonly AxisList[] {
  const longer = axes.flatMap((axis) => {
    const rest = devices / devicesAlong(mesh, [axis]);
    if (!Number.isInteger(rest)) return [];
    const others = axes.filter((other) => other !== axis);
    return listsOf(rest, others, mesh).map((list) => [axis, ...list]);
  });
  return devices === 1 ? [[], ...longer] : longer;
}
