/**
 * What is used together on one device: the axes of the indices, of the dimensions and of what is pending are
 * all different. Judged where the values meet, and again in the end, when the axes of all indices are known.
 */
import type { Label, Span } from '../../diagnostics/diagnostic.ts';
import type { TypedExpression } from '../typed.ts';
import {
  type CutAxis,
  mapTensors,
  type PlacedTensor,
  type PlacedValue,
  unknownValue,
} from './placed-value.ts';
import { type PlaceScope, type Placing, placeOf, type UsedTogether } from './placing.ts';
import { usedTwice } from './problems.ts';

/** The value, without the tensors that have an axis twice: these are reported. */
export function useTogether(
  value: PlacedValue,
  { span }: TypedExpression,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  return mapTensors(value, (tensor) => (fitsTogether(tensor, span, scope, placing) ? tensor : unknownValue));
}

/** Whether no axis of what meets at the place occurs twice; else that is reported. */
export function fitsTogether(tensor: PlacedTensor, span: Span, scope: PlaceScope, placing: Placing): boolean {
  const used = { tensor, at: placeOf(span, 'they meet here', scope) };
  placing.together.push(used);
  return judgeTogether(used, placing);
}

interface Use {
  /** What is cut over the axis. */
  readonly entry: CutAxis | undefined;
  readonly label: Label;
  readonly lookedUp: boolean;
}

/** Whether no axis occurs twice; else that is reported, of the same uses once. */
export function judgeTogether({ tensor, at }: UsedTogether, placing: Placing): boolean {
  const twice = [...usesByAxis(tensor)].filter(([, uses]) => uses.length > 1);
  if (twice.length > 0) placing.outcome.hasFailed = true;
  for (const [axis, uses] of twice) {
    const labels = uses.map(({ label }) => label);
    const key = `${axis} ${labels.map(({ span }) => `${span.file} ${span.start}`).join(' ')}`;
    if (placing.judged.has(key)) continue;
    placing.judged.add(key);
    const entries = uses.flatMap(({ entry }) => entry ?? []);
    const lookedUp = uses.some((use) => use.lookedUp);
    usedTwice(placing, at, axis, labels, entries, lookedUp);
  }
  return twice.length === 0;
}

function usesByAxis({ cuts, indices, pending }: PlacedTensor): ReadonlyMap<string, readonly Use[]> {
  const found = new Map<string, Use[]>();
  const add = (axis: string, use: Use) => found.set(axis, [...(found.get(axis) ?? []), use]);
  for (const entry of [...[...indices].flatMap(({ cut }) => cut), ...cuts.flat()])
    add(entry.axis, { entry, label: entry.because, lookedUp: false });
  for (const [axis, { because, cut, lookedUp = false }] of pending)
    add(axis, { entry: cut, label: because, lookedUp });
  return found;
}
