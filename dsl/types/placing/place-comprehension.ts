/**
 * The one rule for comprehensions. Each index takes the longest list of axes that an operand has on it; every
 * other operand is cut to it without moving data. A free index makes a dimension cut over its axes, a reduced
 * one leaves them pending.
 */
import { multiplySizes, natural, type Size } from '../size.ts';
import type { IndexGroup, TypedIndex } from '../typed.ts';
import { devicesOver, proveDivides, proveEqual, reportUnmergeable } from './divides.ts';
import type { Meeting } from './joins.ts';
import { leaves } from './linearity.ts';
import type { Typed } from './operands.ts';
import {
  axesOfCut,
  type Cut,
  type IndexVariable,
  mapTensors,
  type PendingAxis,
  type PlacedTensor,
  type PlacedValue,
  unknownValue,
} from './placed-value.ts';
import { type PlaceScope, type Placing, sizeIn } from './placing.ts';
import { combinerNouns, listed, needsFinal, needsWhole } from './problems.ts';
import { useTogether } from './together.ts';

/** `varies`: of a ring, the axis along which devices have other values of it. */
export function bindIndex(
  { id, name, range }: TypedIndex,
  scope: PlaceScope,
  counts = false,
  varies?: string,
): IndexVariable {
  const variable = { name, range: sizeIn(range, scope), counts, varies, cut: [] };
  scope.indices.set(id, variable);
  return variable;
}

function bindGroups(groups: readonly IndexGroup[], scope: PlaceScope): readonly (readonly IndexVariable[])[] {
  return groups.map((group) => group.map((index) => bindIndex(index, scope)));
}

export function placeComprehension(
  expression: Typed<'comprehension'>,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const groups = bindGroups(expression.groups, scope);
  const body = useTogether(placing.place(expression.body, scope), expression.body, scope, placing);
  const bound = groups.flat();
  const dims = groups.map((group) => mergedCut(group, { placing, scope, span: expression.span }));
  const known = dims.filter((cut) => cut !== undefined);
  if (known.length < dims.length) return unknownValue;
  return mapTensors(body, (tensor) => ({
    ...without(tensor, bound),
    cuts: [...known, ...tensor.cuts],
  }));
}

function without(tensor: PlacedTensor, bound: readonly IndexVariable[]): PlacedTensor {
  const indices = new Set([...tensor.indices].filter((index) => !bound.includes(index)));
  return { ...tensor, indices, index: undefined };
}

/**
 * A product dimension: the blocks of a device are one block of it only where a minor factor is cut no sooner
 * than the major ones have been cut to single indices.
 */
function mergedCut(group: readonly IndexVariable[], meeting: Meeting): Cut | undefined {
  let cut: Cut = [];
  let size: Size = natural(1);
  for (const index of group) {
    if (index.cut.length > 0 && !proveEqual(meeting.placing, devicesOver(cut), size)) {
      reportUnmergeable(meeting, index, size);
      return undefined;
    }
    cut = [...cut, ...index.cut];
    size = multiplySizes(size, index.range);
  }
  return cut;
}

/**
 * `n@A` subscripted by (n1, n2, …): each part takes the longest beginning of what is left of A whose devices
 * divide it, and the next one has any only if this one is used up. Undefined where no such parts are known.
 */
export function splitCut(cut: Cut, sizes: readonly Size[], placing: Placing): readonly Cut[] | undefined {
  if (cut.length === 0) return sizes.map(() => []);
  const [size, ...others] = sizes;
  if (size === undefined) return undefined;
  if (proveDivides(placing, axesOfCut(cut), size)) return [cut, ...others.map(() => [])];
  for (let length = cut.length - 1; length >= 0; length--) {
    const major = cut.slice(0, length);
    if (!proveEqual(placing, devicesOver(major), size)) continue;
    const rest = splitCut(cut.slice(length), others, placing);
    if (rest !== undefined) return [major, ...rest];
  }
  return undefined;
}

export function placeReduction(
  expression: Typed<'reduction'>,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const { reduction, span } = expression;
  const variables = bindGroups(expression.groups, scope).flat();
  const body = useTogether(placing.place(expression.body, scope), expression.body, scope, placing);
  const left = leaves[reduction];
  return mapTensors(body, (tensor) => {
    const unfit = new Map([...tensor.pending].filter(([, { combiner }]) => combiner !== left));
    if (unfit.size > 0) {
      needsFinal(placing, scope, reduction, span, unfit);
      return unknownValue;
    }
    const cut = variables.filter((index) => index.cut.length > 0);
    const [first] = cut;
    if (left === 'needs the whole range') {
      if (first === undefined) return without(tensor, variables);
      needsWhole(placing, scope, reduction, span, first.cut, `the range of ${first.name}`);
      return unknownValue;
    }
    const pending = new Map(tensor.pending);
    for (const index of cut) {
      for (const entry of index.cut) {
        const message = `${combinerNouns[left]} over ${index.name}, which is cut over ${listed(axesOfCut(index.cut))}`;
        const added: PendingAxis = {
          combiner: left,
          because: { span, message },
          wraps: [],
          cut: entry,
        };
        pending.set(entry.axis, added);
      }
    }
    return { ...without(tensor, variables), pending };
  });
}
