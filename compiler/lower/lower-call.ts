/** Calls: the body of the function, at the sizes and with the arguments of the call. */
import type { FunctionInfo, TypedExpression } from '../../dsl/types/typed.ts';
import { borderOf, intoRegion, outOfRegion } from './auto-region.ts';
import { declared } from './lower-collective.ts';
import type { Typed } from './lower-expression.ts';
import { type Lowering, type Scope, settle, sizeOf } from './lowering.ts';
import { madeAt, madeInCall } from './origin.ts';
import type { Value } from './value.ts';

export function lowerCall(expression: Typed<'call'>, scope: Scope, lowering: Lowering): Value {
  const callee = lowering.program.functions.get(expression.function);
  if (callee === undefined) throw new Error(`there is no function ${expression.function}`);
  const call: Call = { expression, callee, scope };
  return callee.auto && !scope.auto ? lowerRegion(call, lowering) : lowerPart(call, lowering);
}

interface Call {
  readonly expression: Typed<'call'>;
  readonly callee: FunctionInfo;
  /** Of the caller. */
  readonly scope: Scope;
}

/** A call that is placed with what is around it. */
function lowerPart(call: Call, lowering: Lowering): Value {
  const { callee } = call;
  const given = argumentsOf(call, lowering, (value, position) =>
    declared(value, callee.parameters[position]!.type, lowering),
  );
  return declared(bodyOf(call, given, lowering), callee.result, lowering);
}

/** A call of an `auto fn` from what is placed by hand. */
function lowerRegion(call: Call, lowering: Lowering): Value {
  const { callee } = call;
  const { builder } = lowering;
  const border = borderOf();
  const given = argumentsOf(call, lowering, (value, position) =>
    intoRegion(border, value, callee.parameters[position]!.type, lowering),
  );
  const result = builder.collecting(border.inside, () =>
    outOfRegion(border, bodyOf(call, given, lowering), callee.result, lowering),
  );
  lowering.regions.push(border);
  return result;
}

function argumentsOf(
  { expression, callee, scope }: Call,
  lowering: Lowering,
  handed: (value: Value, position: number) => Value,
): readonly Value[] {
  return callee.parameters.map(({ name }, position) => {
    const given: TypedExpression = expression.arguments[position]!;
    const argument = lowering.lower(given, scope);
    return madeAt(lowering.builder, given.span, () => handed(settle(lowering, argument, name), position));
  });
}

function bodyOf({ expression, callee, scope }: Call, given: readonly Value[], lowering: Lowering): Value {
  const sizes = new Map(lowering.program.axes.map((axis) => [axis, scope.sizes.get(axis) ?? 1]));
  for (const [position, name] of callee.sizes.entries())
    sizes.set(name, sizeOf(expression.sizes[position]!, scope));
  const inner: Scope = {
    sizes,
    locals: new Map(callee.parameters.map(({ local }, position) => [local, given[position]!])),
    indices: new Map(),
    perDevice: scope.perDevice,
    auto: scope.auto || callee.auto,
  };
  const body = madeInCall(lowering.builder, expression.span, () => lowering.lower(callee.body, inner));
  return settle(lowering, body, callee.name);
}
