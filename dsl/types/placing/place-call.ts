/** Calls: a function is gone through with its arguments where they live, once for all that live alike. */
import type { FunctionInfo } from '../typed.ts';
import { dimsIn } from '../types.ts';
import { requireDivides } from './divides.ts';
import type { Typed } from './operands.ts';
import { type PlacedValue, unknownValue } from './placed-value.ts';
import { type PlaceScope, type Placing, sizeIn } from './placing.ts';
import { remembered } from './remembered-calls.ts';
import { declaredPlacement, requirePlacement } from './required.ts';

export function placeCall(expression: Typed<'call'>, scope: PlaceScope, placing: Placing): PlacedValue {
  const callee = placing.program.functions.get(expression.function);
  if (callee === undefined) return unknownValue;
  const sizes = new Map(callee.sizes.map((name, i) => [name, sizeIn(expression.sizes[i]!, scope)] as const));
  const inside: PlaceScope = {
    locals: new Map(),
    indices: new Map(),
    sizes,
    call: scope.call ?? { span: expression.span, name: callee.name },
    device: scope.device && { axes: scope.device.axes, unnamed: new Map() },
  };
  const given: PlacedValue[] = [];
  for (const [i, { name, type }] of callee.parameters.entries()) {
    const argument = expression.arguments[i]!;
    const meeting = { placing, scope: { ...inside, call: scope.call }, span: argument.span };
    const asker = `the parameter ${name} of ${callee.name}`;
    const value = placing.place(argument, scope);
    const placed = requirePlacement(meeting, asker, value, type, unwrittenIn(callee));
    given.push(placed);
  }
  if (given.some(({ kind }) => kind === 'unknown')) return unknownValue;
  for (const { size, placement } of dimsIn(callee.result)) {
    const axes = placement.kind === 'axes' ? placement.axes : [];
    const meeting = { placing, scope, span: expression.span };
    if (!requireDivides(meeting, axes, sizeIn(size, inside))) return unknownValue;
  }
  if (callee.auto) return declaredPlacement('the result', callee.result, callee.resultSpan);
  return remembered(callee.id, given, inside, placing, (values, placing) => {
    for (const [i, { local }] of callee.parameters.entries()) inside.locals.set(local, values[i]!);
    const result = placing.place(callee.body, inside);
    const meeting = { placing, scope: inside, span: callee.body.span };
    return requirePlacement(meeting, `the result of ${callee.name}`, result, callee.result, 'open');
  });
}

/** What the partitioner made of a function is for the placements that are written, and no others. */
function unwrittenIn(callee: FunctionInfo): 'whole' | 'open' {
  return callee.auto ? 'whole' : 'open';
}
