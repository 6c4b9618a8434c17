/**
 * What going through a function found, kept for the next call with arguments that live alike. Functions that
 * call others twice would else be gone through as often as there are ways down to them.
 *
 * Arguments live alike when the axes, what is pending and how they share indices agree, whatever the places
 * in the text that these came from. So what is kept has holes for the axes and indices of the arguments,
 * which those of the next call fill.
 */
import type { Span } from '../../diagnostics/diagnostic.ts';
import { showSize } from '../size.ts';
import {
  axesOfCut,
  type Cut,
  type CutAxis,
  type IndexVariable,
  mapTensors,
  type PendingAxis,
  type PlacedTensor,
  type PlacedValue,
  tensorsIn,
} from './placed-value.ts';
import type { Place, PlaceScope, Placing, UsedTogether } from './placing.ts';

/** Of one function that is checked: the calls in it share what they found. */
export interface RememberedCalls {
  readonly found: Map<string, RememberedCall>;
  /** Calls of the checked function with what was already reported in them. */
  readonly reported: Set<string>;
}

export function noCalls(): RememberedCalls {
  return { found: new Map(), reported: new Set() };
}

interface RememberedCall {
  readonly arguments: Holes;
  readonly result: PlacedValue;
  /** Of the indices of the arguments, when the function was gone through. */
  readonly cuts: readonly Cut[];
  /** What depends on indices of the arguments, whose axes are not all known yet. */
  readonly together: readonly UsedTogether[];
  readonly hasFailed: boolean;
}

/** What differs between arguments that live alike, in the order in which it is met. */
interface Holes {
  readonly axes: readonly CutAxis[];
  readonly pending: readonly PendingAxis[];
  readonly indices: readonly IndexVariable[];
}

/**
 * The value that `walk` gives for the arguments; it is asked only if it was not before, or if what is wrong
 * is not yet reported for this call of the checked function.
 */
export function remembered(
  callee: string,
  given: readonly PlacedValue[],
  scope: PlaceScope,
  placing: Placing,
  walk: (given: readonly PlacedValue[], placing: Placing) => PlacedValue,
): PlacedValue {
  const { calls } = placing;
  const values = given.map(withOwnOrigins);
  const holes = holesOf(values);
  const key = keyOf(callee, values, holes.indices, scope);
  const known = calls.found.get(key);
  const site = `${siteKey(scope.call?.span)} ${key}`;
  const isSaid = known?.hasFailed !== true || placing.isTrial || calls.reported.has(site);
  if (known !== undefined && isSaid) return repeated(known, holes, scope, placing);

  const inner = placing.inCall();
  const result = walk(values, inner);
  const together = openUses(inner, holes.indices);
  placing.together.push(...together);
  const { hasFailed } = inner.outcome;
  if (hasFailed) placing.outcome.hasFailed = true;
  if (hasFailed && !placing.isTrial) calls.reported.add(site);
  const cuts = holes.indices.map(({ cut }) => cut);
  calls.found.set(key, { arguments: holes, result, cuts, together, hasFailed });
  return result;
}

/** With axes that are objects of their own, so that a result tells which argument each came from. */
function withOwnOrigins(value: PlacedValue): PlacedValue {
  return mapTensors(value, (tensor) => ({
    ...tensor,
    cuts: tensor.cuts.map((cut) => cut.map((entry) => ({ ...entry }))),
    pending: new Map([...tensor.pending].map(([axis, entry]) => [axis, { ...entry }])),
  }));
}

function holesOf(values: readonly PlacedValue[]): Holes {
  const tensors = values.flatMap(tensorsIn);
  const indices = [...new Set(tensors.flatMap((tensor) => [...tensor.indices]))];
  return {
    axes: [...tensors.flatMap(({ cuts }) => cuts.flat()), ...indices.flatMap(({ cut }) => cut)],
    pending: tensors.flatMap(({ pending }) => [...pending.values()]),
    indices,
  };
}

/** All that going through the function depends on. */
function keyOf(
  callee: string,
  values: readonly PlacedValue[],
  indices: readonly IndexVariable[],
  { sizes, device }: PlaceScope,
): string {
  const ranges = indices.map(({ counts, cut, range, varies }) => [
    counts,
    axesOfCut(cut),
    showSize(range),
    varies ?? '',
  ]);
  const numbers = new Map(indices.map((index, number) => [index, number]));
  const tensors = values.flatMap(tensorsIn).map((tensor) => tensorKey(tensor, numbers));
  const forms = values.map(formOf);
  return JSON.stringify([callee, [...sizes.values()].map(showSize), device?.axes, ranges, forms, tensors]);
}

function tensorKey(tensor: PlacedTensor, numbers: ReadonlyMap<IndexVariable, number>): unknown {
  const { cuts, index, indices, pending, varies } = tensor;
  return [
    cuts.map(axesOfCut),
    [...pending].map(([axis, { combiner }]) => [axis, combiner]),
    [...indices].map((one) => numbers.get(one)),
    [...varies],
    index && numbers.get(index),
  ];
}

/** Which parts of it are tensors: parts of arguments that are not known are none. */
function formOf(value: PlacedValue): unknown {
  switch (value.kind) {
    case 'tuple':
      return value.elements.map(formOf);
    case 'record':
      return [...value.fields.values()].map(formOf);
    case 'tensor':
    case 'unknown':
      return value.kind;
  }
}

function siteKey(span: Span | undefined): string {
  return span === undefined ? '' : `${span.file} ${span.start} ${span.end}`;
}

/** What depends on the caller's indices, each once; all else is judged now, its indices being complete. */
function openUses(inner: Placing, indices: readonly IndexVariable[]): readonly UsedTogether[] {
  const numbers = new Map(indices.map((index, number) => [index, number]));
  const open = new Map<string, UsedTogether>();
  for (const used of inner.together) {
    if ([...used.tensor.indices].some((index) => numbers.has(index))) {
      const own = [...used.tensor.indices].filter((index) => !numbers.has(index));
      const places = [...used.at.inside.map(({ span }) => siteKey(span)), siteKey(used.at.at)];
      const key = [places, own.map(({ cut }) => axesOfCut(cut)), tensorKey(used.tensor, numbers)];
      open.set(JSON.stringify(key), used);
    } else {
      inner.judge(used);
    }
  }
  return [...open.values()];
}

/** The same for other arguments that live alike. */
function repeated(known: RememberedCall, holes: Holes, scope: PlaceScope, placing: Placing): PlacedValue {
  const axes = pairs(known.arguments.axes, holes.axes);
  const entries = pairs(known.arguments.pending, holes.pending);
  const indices = pairs(known.arguments.indices, holes.indices);
  const axisOf = (entry: CutAxis): CutAxis => axes.get(entry) ?? entry;
  const cutOf = (cut: Cut): Cut => cut.map(axisOf);
  const indexOf = (index: IndexVariable): IndexVariable => indices.get(index) ?? index;
  const pendingOf = (entry: PendingAxis): PendingAxis =>
    entries.get(entry) ?? { ...entry, cut: entry.cut && axisOf(entry.cut) };
  const tensorOf = (tensor: PlacedTensor): PlacedTensor => ({
    ...tensor,
    cuts: tensor.cuts.map(cutOf),
    pending: new Map([...tensor.pending].map(([axis, entry]) => [axis, pendingOf(entry)])),
    indices: new Set([...tensor.indices].map(indexOf)),
    index: tensor.index && indexOf(tensor.index),
  });
  const placeOf = ({ at, inside }: Place): Place => ({ at: scope.call?.span ?? at, inside });

  for (const [number, index] of holes.indices.entries()) index.cut = cutOf(known.cuts[number]!);
  for (const { tensor, at } of known.together)
    placing.together.push({ tensor: tensorOf(tensor), at: placeOf(at) });
  if (known.hasFailed) placing.outcome.hasFailed = true;
  return mapTensors(known.result, tensorOf);
}

function pairs<T>(before: readonly T[], now: readonly T[]): ReadonlyMap<T, T> {
  return new Map(before.map((one, i) => [one, now[i]!]));
}
