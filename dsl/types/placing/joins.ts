/** Operands that meet: their cuts, what is pending in them, and the indices that they depend on. */
import type { Span } from '../../diagnostics/diagnostic.ts';
import type { PendingCombiner } from '../../placement/placement.ts';
import { allows, type Role } from './linearity.ts';
import type { Cut, IndexVariable, PendingAxis, PlacedTensor } from './placed-value.ts';
import type { PlaceScope, Placing } from './placing.ts';
import { cutDifferently, needsFinal } from './problems.ts';
import { fitsTogether } from './together.ts';

export function isPrefixCut(shorter: Cut, longer: Cut): boolean {
  return shorter.length <= longer.length && shorter.every(({ axis }, i) => axis === longer[i]!.axis);
}

export function sameCut(left: Cut, right: Cut): boolean {
  return left.length === right.length && isPrefixCut(left, right);
}

/** The longer of two cuts of which one begins with the other, else undefined. */
export function longerCut(left: Cut, right: Cut): Cut | undefined {
  if (isPrefixCut(right, left)) return left;
  return isPrefixCut(left, right) ? right : undefined;
}

export interface Meeting {
  readonly placing: Placing;
  readonly scope: PlaceScope;
  readonly span: Span;
}

/** One range that several operands have: the longest of their cuts. What does not fit is reported. */
export function joinCuts(
  { placing, scope, span }: Meeting,
  what: string,
  cuts: readonly Cut[],
): Cut | undefined {
  let longest: Cut = [];
  for (const cut of cuts) {
    const longer = longerCut(longest, cut);
    if (longer === undefined) {
      cutDifferently(placing, scope, what, span, longest, cut);
      return undefined;
    }
    longest = longer;
  }
  return longest;
}

/** An operand has the index as a subscript of a dimension with this cut. */
export function cutIndex(meeting: Meeting, index: IndexVariable, cut: Cut): boolean {
  const joined = joinCuts(meeting, index.name, [index.cut, cut]);
  if (joined !== undefined) index.cut = joined;
  return joined !== undefined;
}

/** Tensors of one shape, and scalars, which extend. Undefined after a report. */
export function joinTensors(
  meeting: Meeting,
  what: string,
  role: Role,
  operands: readonly PlacedTensor[],
): PlacedTensor | undefined {
  const shaped = operands.filter(({ cuts }) => cuts.length > 0);
  const rank = Math.max(0, ...shaped.map(({ cuts }) => cuts.length));
  const cuts = Array.from({ length: rank }, (_, dim) =>
    joinCuts(
      meeting,
      'a dimension',
      shaped.map((operand) => operand.cuts[dim]!),
    ),
  );
  const known = cuts.filter((cut) => cut !== undefined);
  const pending = joinPending(meeting, what, role, operands);
  if (known.length < rank || pending === undefined) return undefined;
  const joined: PlacedTensor = { kind: 'tensor', cuts: known, pending, ...dependenceOf(operands) };
  // Scalars are judged where their indices are bound.
  const isFit = rank === 0 || fitsTogether(joined, meeting.span, meeting.scope, meeting.placing);
  return isFit ? joined : undefined;
}

/** What something made of the operands is a different value for. */
export function dependenceOf(operands: readonly PlacedTensor[]): Pick<PlacedTensor, 'indices' | 'varies'> {
  return {
    indices: new Set(operands.flatMap(({ indices }) => [...indices])),
    varies: new Set(operands.flatMap(({ varies }) => [...varies])),
  };
}

function joinPending(
  { placing, scope, span }: Meeting,
  what: string,
  role: Role,
  operands: readonly PlacedTensor[],
): ReadonlyMap<string, PendingAxis> | undefined {
  const joined = new Map<string, PendingAxis>();
  for (const [axis, entry] of operands.flatMap(({ pending }) => [...pending])) {
    const isPending = operands.map(({ pending }) => pending.has(axis));
    const isMixed = operands.some(({ pending }) => isOther(pending.get(axis), entry.combiner));
    if (isMixed || !allows(role, entry.combiner, isPending)) {
      needsFinal(placing, scope, what, span, new Map([[axis, entry]]));
      return undefined;
    }
    if (!joined.has(axis)) joined.set(axis, entry);
  }
  return joined;
}

function isOther(entry: PendingAxis | undefined, combiner: PendingCombiner): boolean {
  return entry !== undefined && entry.combiner !== combiner;
}

/** Reported unless nothing is pending in the tensor. */
export function requireFinal({ placing, scope, span }: Meeting, what: string, tensor: PlacedTensor): boolean {
  if (tensor.pending.size === 0) return true;
  needsFinal(placing, scope, what, span, tensor.pending);
  return false;
}
