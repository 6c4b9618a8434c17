/**
 * Subscripts. An index variable goes along with the cut of its dimension; any other subscript is a look-up:
 * of a dimension that is cut, each device finds what it has, and what it finds is pending.
 */
import type { PendingCombiner } from '../../placement/placement.ts';
import type { Dim, Type, TypedExpression, TypedSubscript } from '../typed.ts';
import { arithmeticOf, dimsOf } from '../types.ts';
import { proveEqual, reportUnsplittable } from './divides.ts';
import { cutIndex, dependenceOf, type Meeting, requireFinal } from './joins.ts';
import type { Typed } from './operands.ts';
import { splitCut } from './place-comprehension.ts';
import {
  axesOfCut,
  type Cut,
  type CutAxis,
  type IndexVariable,
  mapTensors,
  type PendingAxis,
  type PlacedTensor,
  type PlacedValue,
  unknownValue,
  wholeTensor,
} from './placed-value.ts';
import { type PlaceScope, type Placing, sizeIn } from './placing.ts';
import { listed, needsFinal } from './problems.ts';

export function placeSubscript(
  expression: Typed<'subscript'>,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const base = placing.place(expression.base, scope);
  const found: PlacedSubscript[] = [];
  const dims = dimsOf(expression.base.type);
  for (const [position, subscript] of expression.subscripts.entries()) {
    const placed = placeOne(subscript, dims[position]!, scope, placing);
    if (placed === undefined) return unknownValue;
    found.push(placed);
  }
  const combiner = combinerOf(expression.base.type);
  return mapTensors(base, (tensor) =>
    subscripted(tensor, found, { placing, scope, span: expression.span }, combiner),
  );
}

type PlacedSubscript =
  | { readonly kind: 'whole' }
  | { readonly kind: 'index'; readonly index: IndexVariable }
  /** Parts that are no index are undefined. */
  | {
      readonly kind: 'split';
      readonly parts: readonly IndexVariable[];
      readonly sizes: readonly Parameters<typeof splitCut>[1][number][];
    }
  | { readonly kind: 'look-up'; readonly value: PlacedTensor };

function placeOne(
  subscript: TypedSubscript,
  { size }: Dim,
  scope: PlaceScope,
  placing: Placing,
): PlacedSubscript | undefined {
  switch (subscript.kind) {
    case 'whole':
      return { kind: 'whole' };
    case 'at': {
      const index = indexOf(subscript.value, scope, placing);
      // One that runs over a part of the dimension has no block of it on each device.
      if (index !== undefined && proveEqual(placing, index.range, sizeIn(size, scope)))
        return { kind: 'index', index };
      return lookup([subscript.value], scope, placing);
    }
    case 'split': {
      const parts = subscript.parts.map(({ value }) => indexOf(value, scope, placing));
      const known = parts.filter((part) => part !== undefined);
      const sizes = subscript.parts.map(({ size }) => sizeIn(size, scope));
      if (known.length === parts.length) return { kind: 'split', parts: known, sizes };
      return lookup(
        subscript.parts.map(({ value }) => value),
        scope,
        placing,
      );
    }
  }
}

/** The index variable that the expression is, under whatever name, if it is one that may be cut. */
function indexOf(value: TypedExpression, scope: PlaceScope, placing: Placing): IndexVariable | undefined {
  let given = value;
  while (given.kind === 'let') given = given.body;
  if (given.kind !== 'index' && given.kind !== 'local') return undefined;
  const placed = placing.quietly().place(value, scope);
  const index = placed.kind === 'tensor' ? placed.index : undefined;
  return index?.counts ? undefined : index;
}

function lookup(
  values: readonly TypedExpression[],
  scope: PlaceScope,
  placing: Placing,
): PlacedSubscript | undefined {
  const found: PlacedTensor[] = [];
  for (const value of values) {
    const placed = placing.place(value, scope);
    if (placed.kind !== 'tensor') return undefined;
    if (!requireFinal({ placing, scope, span: value.span }, 'a subscript', placed)) return undefined;
    found.push(placed);
  }
  return { kind: 'look-up', value: { ...wholeTensor(0), ...dependenceOf(found) } };
}

/** Devices that have not what is looked up give zero, or false: the neutral element of the combiner. */
function combinerOf(type: Type): PendingCombiner {
  return type.kind === 'tensor' && arithmeticOf(type.element) === 'bool' ? 'max' : 'sum';
}

function subscripted(
  tensor: PlacedTensor,
  subscripts: readonly PlacedSubscript[],
  meeting: Meeting,
  combiner: PendingCombiner,
): PlacedValue {
  const cuts: Cut[] = [];
  const indices = new Set(tensor.indices);
  const varies = new Set(tensor.varies);
  const pending = new Map(tensor.pending);
  for (const [dim, subscript] of subscripts.entries()) {
    const cut = tensor.cuts[dim]!;
    switch (subscript.kind) {
      case 'whole':
        cuts.push(cut);
        break;
      case 'index':
        if (!cutIndex(meeting, subscript.index, cut)) return unknownValue;
        indices.add(subscript.index);
        break;
      case 'split': {
        const parts = splitCut(cut, subscript.sizes, meeting.placing);
        if (parts === undefined) {
          reportUnsplittable(meeting, cut, subscript.sizes);
          return unknownValue;
        }
        for (const [i, index] of subscript.parts.entries()) {
          if (!cutIndex(meeting, index, parts[i]!)) return unknownValue;
          indices.add(index);
        }
        break;
      }
      case 'look-up':
        for (const index of subscript.value.indices) indices.add(index);
        for (const axis of subscript.value.varies) varies.add(axis);
        // What other devices put for it is no neutral element of another combiner.
        if (cut.length > 0 && [...pending.values()].some((entry) => entry.combiner !== combiner)) {
          needsFinal(
            meeting.placing,
            meeting.scope,
            'a look-up in a dimension that is cut',
            meeting.span,
            pending,
          );
          return unknownValue;
        }
        for (const entry of cut) pending.set(entry.axis, foundOn(entry, cut, meeting, combiner));
        break;
    }
  }
  return {
    kind: 'tensor',
    cuts: [...cuts, ...tensor.cuts.slice(subscripts.length)],
    pending,
    indices,
    varies,
  };
}

function foundOn(entry: CutAxis, cut: Cut, { span }: Meeting, combiner: PendingCombiner): PendingAxis {
  const axes = listed(axesOfCut(cut));
  return {
    combiner,
    because: { span, message: `looked up in a dimension that is cut over ${axes}: one device has it` },
    wraps: [],
    cut: entry,
    lookedUp: true,
  };
}
