/** Where the value of an expression lives: the one rule, kind by kind. */

import { dtypeFacts } from '../dtype.ts';
import type { ElementType, TypedExpression } from '../typed.ts';
import { type Arithmetic, arithmeticOf } from '../types.ts';
import { dependenceOf, joinTensors, requireFinal } from './joins.ts';
import { operationName, type Role, roles } from './linearity.ts';
import { bindPlaced, placeTensors, type Typed } from './operands.ts';
import { placeBuiltin } from './place-builtin.ts';
import { placeCall } from './place-call.ts';
import { placeCollective } from './place-collective.ts';
import { placeComprehension, placeReduction } from './place-comprehension.ts';
import { placeLoop } from './place-loop.ts';
import { placeLocal, placeMe, placePerDevice, placeRing } from './place-per-device.ts';
import { placeSubscript } from './place-subscript.ts';
import {
  type PendingAxis,
  type PlacedValue,
  unknownValue,
  wholeTensor,
  wrappedBy,
  zipTensors,
} from './placed-value.ts';
import type { PlaceScope, Placing } from './placing.ts';
import { requirePlacement } from './required.ts';

type Table = {
  readonly [K in TypedExpression['kind']]: (
    expression: Typed<K>,
    scope: PlaceScope,
    placing: Placing,
  ) => PlacedValue;
};

const table: Table = {
  constant: () => wholeTensor(0),
  size: () => wholeTensor(0),
  local: placeLocal,
  // Each device knows which part of a range is its own.
  index: ({ index }, scope) => {
    const variable = scope.indices.get(index);
    if (variable === undefined) return unknownValue;
    const varies = new Set(variable.varies === undefined ? [] : [variable.varies]);
    return { ...wholeTensor(0), indices: new Set([variable]), varies, index: variable };
  },
  field: ({ base, name }, scope, placing) => {
    const value = placing.place(base, scope);
    return value.kind === 'record' ? (value.fields.get(name) ?? unknownValue) : unknownValue;
  },
  subscript: placeSubscript,
  tuple: ({ elements }, scope, placing) => ({
    kind: 'tuple',
    elements: elements.map((element) => placing.place(element, scope)),
  }),
  record: ({ fields, type }, scope, placing) => {
    const names = type.kind === 'record' ? type.record.fields.map(({ name }) => name) : [];
    const values = fields.map((field, i) => [names[i] ?? '', placing.place(field, scope)] as const);
    return { kind: 'record', fields: new Map(values) };
  },
  apply: placeApply,
  cast: placeCast,
  comprehension: placeComprehension,
  reduction: placeReduction,
  if: placeIf,
  let: (expression, scope, placing) => {
    // One after the other: there may be more of them than calls may be nested.
    let inner: TypedExpression = expression;
    for (; inner.kind === 'let'; inner = inner.body)
      bindPlaced(inner.pattern, placing.place(inner.value, scope), scope);
    return placing.place(inner, scope);
  },
  call: placeCall,
  builtin: placeBuiltin,
  loop: placeLoop,
  collective: placeCollective,
  placed: ({ value, to, span }, scope, placing) =>
    requirePlacement({ placing, scope, span }, 'the annotated type', placing.place(value, scope), to, 'open'),
  perDevice: placePerDevice,
  me: placeMe,
  ring: placeRing,
  error: () => unknownValue,
};

/** In the checked function itself these can be put into a collective as they are. */
const wrappable: ReadonlySet<TypedExpression['kind']> = new Set([
  'local',
  'field',
  'call',
  'collective',
  'reduction',
  'comprehension',
]);

export function placeExpression(
  expression: TypedExpression,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const place = table[expression.kind] as (
    expression: TypedExpression,
    scope: PlaceScope,
    placing: Placing,
  ) => PlacedValue;
  const value = place(expression, scope, placing);
  return scope.call === undefined && wrappable.has(expression.kind) ? wrappedBy(value, expression) : value;
}

function placeApply({ function: name, operands, span }: Typed<'apply'>, scope: PlaceScope, placing: Placing) {
  const tensors = placeTensors(operands, scope, placing);
  if (tensors === undefined) return unknownValue;
  const isOrdered = tensors.some(({ pending }) => [...pending.values()].some(isOrder));
  const role = isOrdered && operands.some(isUnsigned) ? unsignedRole(roles[name]) : roles[name];
  return joinTensors({ placing, scope, span }, operationName(name), role, tensors) ?? unknownValue;
}

function isOrder({ combiner }: PendingAxis): boolean {
  return combiner !== 'sum';
}

function isUnsigned({ type }: TypedExpression): boolean {
  return type.kind === 'tensor' && arithmeticOf(type.element) === 'u32';
}

/** Unsigned numbers wrap, so that of what is done to them only a choice among them keeps their order. */
function unsignedRole(role: Role): Role {
  return role === 'greatest' || role === 'least' ? role : 'final';
}

/**
 * Rounding the parts of a sum is taken for rounding the sum; truncating them is not. Integers wrap: their sum
 * goes through casts among i32 and u32, and their order does not.
 */
function placeCast({ operand, type, span }: Typed<'cast'>, scope: PlaceScope, placing: Placing): PlacedValue {
  const value = placing.place(operand, scope);
  if (value.kind !== 'tensor' || type.kind !== 'tensor' || operand.type.kind !== 'tensor') return value;
  const [from, to] = [operand.type, type].map(({ element }) => arithmeticOf(element)) as [
    Arithmetic,
    Arithmetic,
  ];
  const isRing = [from, to].every((arithmetic) => arithmetic === 'i32' || arithmetic === 'u32');
  const goesThrough = ({ combiner }: PendingAxis): boolean => {
    if (isNarrowInteger(type.element)) return false;
    if (from === to) return true;
    return combiner === 'sum' ? isRing : !isRing && from !== 'f32';
  };
  if ([...value.pending.values()].every(goesThrough)) return value;
  const what = to === 'f32' ? 'a cast to a float' : 'a cast to an integer';
  requireFinal({ placing, scope, span }, what, value);
  return unknownValue;
}

/** Stored in fewer bits than it is computed in. */
function isNarrowInteger(element: ElementType): boolean {
  if (element.kind !== 'dtype') return false;
  const { arithmetic, class: kind } = dtypeFacts[element.dtype];
  return kind !== 'float' && arithmetic !== element.dtype;
}

function placeIf(
  { condition, then, otherwise, span }: Typed<'if'>,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const chosen = placing.place(condition, scope);
  const branches = [then, otherwise].map((branch) => placing.place(branch, scope));
  if (chosen.kind !== 'tensor') return unknownValue;
  const meeting = { placing, scope, span };
  if (!requireFinal({ ...meeting, span: condition.span }, 'the condition of if', chosen)) return unknownValue;
  return zipTensors(branches[0]!, branches[1]!, (left, right) => {
    const joined = joinTensors(meeting, 'if', 'sum', [left, right]);
    return joined ? { ...joined, ...dependenceOf([chosen, joined]) } : unknownValue;
  });
}
