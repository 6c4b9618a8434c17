/**
 * What the source must state of the mesh, since it does not know how many devices there are: that they divide
 * the dimensions that they cut.
 */
import { type AxisList, devicesAlong, type Mesh } from '../../dsl/placement/placement.ts';
import type { Fact } from '../../dsl/syntax/tree.ts';
import { natural, productOf, span } from './source-tree.ts';

export interface DivideFacts {
  /** The devices along the axes divide the extent. */
  readonly divides: (axes: AxisList, extent: number) => void;
  /** Likewise, and the signature says so by itself: it is not stated again. */
  readonly declares: (axes: AxisList, extent: number) => void;
  /**
   * A dimension that is cut so is taken apart into these, or made of them: major first. False where that is
   * not so: a device would have no whole parts.
   */
  readonly splits: (axes: AxisList, extents: readonly number[]) => boolean;
  readonly all: () => readonly Fact[];
}

export function createDivideFacts(mesh: Mesh | undefined): DivideFacts {
  const found = new Map<string, Fact>();
  const declared = new Set<string>();
  const note = (fact: MeshFact): void => {
    const { relation, axes, extent } = fact;
    if (axes.length > 0)
      found.set(keyOf(fact), { relation, left: productOf(axes), right: natural(extent), span });
  };
  return {
    divides: (axes, extent) => note({ relation: '|', axes, extent }),
    declares: (axes, extent) => {
      for (const last of axes.keys())
        declared.add(keyOf({ relation: '|', axes: axes.slice(0, last + 1), extent }));
    },
    splits: (axes, extents) => {
      const needed = mesh === undefined ? [] : neededToSplit(mesh, axes, extents);
      for (const fact of needed ?? []) note(fact);
      return needed !== undefined;
    },
    all: () => [...found].flatMap(([key, fact]) => (declared.has(key) ? [] : [fact])),
  };
}

interface MeshFact {
  readonly relation: '|' | '==';
  readonly axes: AxisList;
  readonly extent: number;
}

function keyOf({ relation, axes, extent }: MeshFact): string {
  return `${axes.join(' ')} ${relation} ${extent}`;
}

/** As the checker does: the major part is cut over all of the axes, or it is used up by the first of them. */
function neededToSplit(
  mesh: Mesh,
  axes: AxisList,
  extents: readonly number[],
): readonly MeshFact[] | undefined {
  if (axes.length === 0) return [];
  const [extent, ...rest] = extents;
  if (extent === undefined) return undefined;
  if (extent % devicesAlong(mesh, axes) === 0) return [{ relation: '|', axes, extent }];
  const used = axes.findIndex((_, last) => devicesAlong(mesh, axes.slice(0, last + 1)) === extent) + 1;
  if (used === 0 && extent !== 1) return undefined;
  const others = neededToSplit(mesh, axes.slice(used), rest);
  return (
    others && [
      ...(used > 0 ? [{ relation: '==', axes: axes.slice(0, used), extent } as const] : []),
      ...others,
    ]
  );
}
