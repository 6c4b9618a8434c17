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
  /** A dimension that is cut so is taken apart into these, or made of them: major first. */
  readonly splits: (axes: AxisList, extents: readonly number[]) => void;
  readonly all: () => readonly Fact[];
}

export function createDivideFacts(mesh: Mesh | undefined): DivideFacts {
  const found = new Map<string, Fact>();
  const note = (relation: '|' | '==', axes: AxisList, extent: number): void => {
    if (axes.length === 0) return;
    const fact: Fact = { relation, left: productOf(axes), right: natural(extent), span };
    found.set(`${axes.join(' ')} ${relation} ${extent}`, fact);
  };
  /** As the checker does: the major part is cut over all of the axes, or it is used up by the first of them. */
  const splits = (axes: AxisList, extents: readonly number[]): void => {
    const [major, ...rest] = extents;
    if (major === undefined || axes.length === 0 || mesh === undefined) return;
    if (major % devicesAlong(mesh, axes) === 0) {
      note('|', axes, major);
      return;
    }
    const used = axes.findIndex((_, last) => devicesAlong(mesh, axes.slice(0, last + 1)) === major) + 1;
    if (used > 0) note('==', axes.slice(0, used), major);
    splits(axes.slice(used), rest);
  };
  return {
    divides: (axes, extent) => note('|', axes, extent),
    splits,
    all: () => [...found.values()],
  };
}
