/** Where a signature or an annotation says where a value lives. */

import type { Label } from '../../diagnostics/diagnostic.ts';
import type { PendingCombiner } from '../../placement/placement.ts';
import { showList, showPending } from '../../placement/placement.ts';
import type { Dim, Type } from '../typed.ts';
import { dimsOf, fieldType, showName } from '../types.ts';
import { requireDivides } from './divides.ts';
import type { Meeting } from './joins.ts';
import {
  axesOfCut,
  type Cut,
  type PendingAxis,
  type PlacedTensor,
  type PlacedValue,
  unknownValue,
  wholeTensor,
} from './placed-value.ts';
import { origins, sizeIn } from './placing.ts';
import { combinerNouns, gatherRemedies, listed, reduceRemedies, report, withRemedies } from './problems.ts';

/** Of a dimension without a placement: whole in a checked function, as it is where functions call others. */
export type Unwritten = 'whole' | 'open';

/**
 * The value as it is wanted, brought there without moving data: a whole dimension is cut, a final value is
 * masked. What would have to move is reported.
 * @param asker "the parameter q of ulysses", "the result of f"
 */
export function requirePlacement(
  meeting: Meeting,
  asker: string,
  value: PlacedValue,
  type: Type,
  unwritten: Unwritten,
): PlacedValue {
  switch (value.kind) {
    case 'unknown':
      return value;
    case 'tuple':
      if (type.kind !== 'tuple') return unknownValue;
      return {
        kind: 'tuple',
        elements: value.elements.map((element, i) =>
          requirePlacement(meeting, `part ${i + 1} of ${asker}`, element, type.elements[i]!, unwritten),
        ),
      };
    case 'record': {
      if (type.kind !== 'record') return unknownValue;
      const fields = [...value.fields].map(([name, field]) => {
        const wanted = fieldType(type, name);
        const what = `${name} of ${asker}`;
        return [name, wanted ? requirePlacement(meeting, what, field, wanted, unwritten) : field] as const;
      });
      return { kind: 'record', fields: new Map(fields) };
    }
    case 'tensor':
      return requireTensor(meeting, asker, value, type, unwritten);
  }
}

function requireTensor(
  meeting: Meeting,
  asker: string,
  tensor: PlacedTensor,
  type: Type,
  unwritten: Unwritten,
): PlacedValue {
  const cuts: Cut[] = [];
  for (const [position, dim] of dimsOf(type).entries()) {
    const cut = requireCut(meeting, asker, tensor.cuts[position] ?? [], dim, unwritten);
    if (cut === undefined) return unknownValue;
    cuts.push(cut);
  }
  const pending = requirePending(meeting, asker, tensor, type, unwritten);
  return pending === undefined ? unknownValue : { ...tensor, cuts, pending };
}

function requireCut(
  meeting: Meeting,
  asker: string,
  cut: Cut,
  { size, placement }: Dim,
  unwritten: Unwritten,
): Cut | undefined {
  if (placement.kind === 'hole' || (placement.kind === 'none' && unwritten === 'open')) return cut;
  const { placing, scope, span } = meeting;
  const wanted = placement.kind === 'axes' ? placement.axes : [];
  const own = axesOfCut(cut);
  const whole = sizeIn(size, scope);
  const isFree = own.length <= wanted.length && own.every((axis, i) => axis === wanted[i]);
  if (isFree) {
    const because: Label = { span, message: `cut over ${listed(wanted)} here` };
    const added = wanted.slice(own.length).map((axis) => ({ axis, because, wraps: [] }));
    const longer = [...cut, ...added];
    return added.length === 0 || requireDivides(meeting, axesOfCut(longer), whole) ? longer : undefined;
  }
  const shown = `${showName(whole)}${showList(wanted)}`;
  const kept = own.filter((axis, i) => axis === wanted[i]).length;
  report(placing, scope, {
    code: 'E0505',
    message:
      wanted.length === 0
        ? `${asker} has ${showName(whole)} whole, and the value is cut over ${listed(own)}`
        : `${asker} is ${shown}, and the value is ${showName(whole)}${showList(own)}`,
    span,
    remark: 'it is wanted here',
    secondary: origins(cut),
    ...withRemedies(
      gatherRemedies(placing, cut.slice(kept)),
      wanted.length === 0
        ? `write ${showName(whole)}${showList(own)} there`
        : 'move it there with a collective, or with `as [...]`',
    ),
  });
  return undefined;
}

function requirePending(
  { placing, scope, span }: Meeting,
  asker: string,
  { pending }: PlacedTensor,
  type: Type,
  unwritten: Unwritten,
): ReadonlyMap<string, PendingAxis> | undefined {
  const written = type.kind === 'tensor' ? (type.pending ?? []) : [];
  if (written.length === 0 && unwritten === 'open') return pending;
  const wanted = new Map<string, PendingCombiner>(written.map(({ axis, combiner }) => [axis, combiner]));
  const unwanted = [...pending].filter(([axis, entry]) => wanted.get(axis) !== entry.combiner);
  const [first] = unwanted;
  if (first !== undefined) {
    const [, entry] = first;
    const axes = unwanted.map(([axis]) => axis);
    const state = written.length === 0 ? 'final' : `pending ${showPending(wanted)}`;
    report(placing, scope, {
      code: 'E0509',
      message: `${asker} is ${state}, and the value is still ${combinerNouns[entry.combiner]} over ${listed(axes)}`,
      span,
      remark: 'it is wanted here',
      secondary: [entry.because],
      ...withRemedies(reduceRemedies(placing, axes, entry), 'finish it with all_reduce'),
    });
    return undefined;
  }
  const because: Label = { span, message: 'pending here, as it is written' };
  return new Map(
    written.map(({ axis, combiner }) => [
      axis,
      pending.get(axis) ?? { combiner, because, wraps: [], cut: undefined },
    ]),
  );
}

/** Where a parameter lives as its type says: whole where nothing is written. */
export function declaredPlacement(name: string, type: Type, at: Label['span']): PlacedValue {
  switch (type.kind) {
    case 'tuple':
      return {
        kind: 'tuple',
        elements: type.elements.map((element, i) => declaredPlacement(`${name}.${i}`, element, at)),
      };
    case 'record': {
      const fields = type.record.fields.map((field) => {
        return [
          field.name,
          declaredPlacement(`${name}.${field.name}`, fieldType(type, field.name)!, at),
        ] as const;
      });
      return { kind: 'record', fields: new Map(fields) };
    }
    case 'error':
      return unknownValue;
    case 'tensor':
    case 'key': {
      if (type.dims.some(({ placement }) => placement.kind === 'hole')) return unknownValue;
      const cuts = type.dims.map(({ size, placement }): Cut => {
        const axes = placement.kind === 'axes' ? placement.axes : [];
        const message = `${showName(size)} of ${name} is cut over ${listed(axes)} here`;
        return axes.map((axis) => ({ axis, because: { span: at, message }, wraps: [] }));
      });
      const written = type.kind === 'tensor' ? (type.pending ?? []) : [];
      const pending = written.map(({ axis, combiner }): [string, PendingAxis] => {
        const message = `${name} is ${combinerNouns[combiner]} over ${axis} here`;
        return [axis, { combiner, because: { span: at, message }, wraps: [], cut: undefined }];
      });
      return { ...wholeTensor(0), cuts, pending: new Map(pending) };
    }
  }
}
