/**
 * The axes that cut each iterator of a node: the one rule for comprehensions. An iterator that subscripts a
 * dimension by itself takes the longest list that stands on it. Where a dimension is subscripted by parts
 * (`i * c + j`, `i // c`, `i mod c`), lists are tried that could make the read local, and kept if they do.
 */
import { type AxisList, devicesAlong, isPrefix, type Mesh, showList } from '../../dsl/placement/placement.ts';
import type { Scalar } from '../graph/graph.ts';
import { type Load, loadsOf } from '../graph/scalar.ts';
import { type ExpressionScope, localizer } from './expressions.ts';
import { Misplaced } from './fault.ts';

type Scope = Omit<ExpressionScope, 'lists'>;

/** A dimension that is cut, where a load subscripts it. */
interface Read {
  readonly load: Load;
  readonly dim: number;
  readonly list: AxisList;
}

/** Throws `Misplaced` where two lists on one iterator do not agree. */
export function iteratorLists(scalars: readonly Scalar[], scope: Scope): readonly AxisList[] {
  const lists: AxisList[] = scope.extents.map(() => []);
  const inParts: Read[] = [];
  for (const read of readsOf(scalars, scope)) {
    const subscript = read.load.subscripts[read.dim]!;
    const { tensor } = scope.tensor(read.load.tensor);
    if (subscript.op !== 'iterator' || scope.extents[subscript.axis] !== tensor.shape[read.dim]) {
      inParts.push(read);
      continue;
    }
    const longest = longer(lists[subscript.axis]!, read.list);
    if (longest === undefined) {
      const both = [lists[subscript.axis]!, read.list].map(showList).join(' and ');
      throw new Misplaced('lists agree', read.list, `one variable runs over dimensions cut ${both}`);
    }
    lists[subscript.axis] = longest;
  }
  for (const read of inParts) {
    if (isOwn(read, lists, scope)) continue;
    const proposed = withProposal(read, lists, scope);
    if (proposed !== undefined && isOwn(read, proposed, scope)) lists.splice(0, lists.length, ...proposed);
  }
  return lists;
}

function readsOf(scalars: readonly Scalar[], scope: Scope): readonly Read[] {
  return scalars.flatMap(loadsOf).flatMap((load) =>
    scope
      .tensor(load.tensor)
      .placement.dims.map((list, dim): Read => ({ load, dim, list }))
      .filter(({ list }) => list.length > 0),
  );
}

function longer(left: AxisList, right: AxisList): AxisList | undefined {
  if (isPrefix(left, right)) return right;
  return isPrefix(right, left) ? left : undefined;
}

function isOwn({ load, dim }: Read, lists: readonly AxisList[], scope: Scope): boolean {
  try {
    return localizer({ ...scope, lists }).isOwn(load, dim);
  } catch (error) {
    // What it is looked up by is not final: so it is not the device's own either.
    if (error instanceof Misplaced) return false;
    throw error;
  }
}

/** The lists with what the read asks for; undefined when that contradicts what others asked for. */
function withProposal(read: Read, lists: readonly AxisList[], scope: Scope): readonly AxisList[] | undefined {
  const proposed = [...lists];
  for (const [axis, list] of proposals(read.load.subscripts[read.dim]!, read.list, lists, scope)) {
    const longest = longer(proposed[axis]!, list);
    if (longest === undefined || scope.extents[axis]! % devicesAlong(scope.mesh, longest) !== 0)
      return undefined;
    proposed[axis] = longest;
  }
  return proposed;
}

/**
 * Which iterators would be cut how if the subscript were to follow the list. Only a guess: it is proved or
 * dropped.
 */
function proposals(
  subscript: Scalar,
  list: AxisList,
  lists: readonly AxisList[],
  scope: Scope,
): ReadonlyMap<number, AxisList> {
  if (subscript.op === 'iterator') return new Map([[subscript.axis, list]]);
  if (subscript.op !== 'apply') return new Map();
  const [first] = subscript.operands;
  switch (subscript.function) {
    case 'floordiv':
      return proposals(first!, list, lists, scope);
    case 'mod': {
      // The major part has used up what is before.
      const [[axis] = []] = proposals(first!, list, lists, scope);
      return axis === undefined ? new Map() : new Map([[axis, [...lists[axis]!, ...list]]]);
    }
    case 'add':
    case 'mul':
      return overTerms(termsOf(subscript), list, scope);
    default:
      return new Map();
  }
}

interface Term {
  readonly axis: number;
  readonly factor: number;
}

/** The multiples of iterators in a sum; what else is in it makes no proposal. */
export function termsOf(scalar: Scalar): readonly Term[] {
  if (scalar.op === 'iterator') return [{ axis: scalar.axis, factor: 1 }];
  if (scalar.op !== 'apply') return [];
  const [first, second] = scalar.operands;
  if (scalar.function === 'add') return [...termsOf(first!), ...termsOf(second!)];
  if (scalar.function !== 'mul') return [];
  const [number, other] = first!.op === 'constant' ? [first, second!] : [second!, first!];
  if (number?.op !== 'constant') return [];
  return termsOf(other).map(({ axis, factor }) => ({ axis, factor: factor * number.value }));
}

/** The major part takes the longest prefix that divides it; the next one the rest, if that uses it up. */
function overTerms(terms: readonly Term[], list: AxisList, { extents, mesh }: Scope): Map<number, AxisList> {
  const taken = new Map<number, AxisList>();
  let rest = list;
  for (const { axis } of terms.toSorted((left, right) => right.factor - left.factor)) {
    const prefix = longestDividing(rest, extents[axis]!, mesh);
    taken.set(axis, prefix);
    rest = rest.slice(prefix.length);
    if (devicesAlong(mesh, prefix) < extents[axis]!) break;
  }
  return taken;
}

function longestDividing(list: AxisList, extent: number, mesh: Mesh): AxisList {
  for (let length = list.length; length > 0; length--) {
    const prefix = list.slice(0, length);
    if (extent % devicesAlong(mesh, prefix) === 0) return prefix;
  }
  return [];
}
