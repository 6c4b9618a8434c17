/** The meaning of every kind of expression as values and nodes: one table. */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { TypedExpression, TypedNode } from '../../dsl/types/typed.ts';
import type { Scalar } from '../graph/graph.ts';
import { apply, arithmeticOf, constant, iterator, round } from '../graph/scalar.ts';
import { castTo } from './cast.ts';
import { lowerBuiltin } from './lower-builtin.ts';
import { lowerCall } from './lower-call.ts';
import { lowerCollective, lowerPlaced } from './lower-collective.ts';
import { lowerComprehension, lowerReduction } from './lower-comprehension.ts';
import { lowerLoop } from './lower-loop.ts';
import { lowerMe, lowerPerDevice, lowerRing } from './lower-per-device.ts';
import { lowerSubscript } from './lower-subscript.ts';
import { bindPattern, dtypeOfElement, type Lowering, type Scope, settleScalar, sizeOf } from './lowering.ts';
import { madeAt } from './origin.ts';
import { scalarOf, scalarValue, type TensorValue, tensorOf, type Value, zipLeaves } from './value.ts';

export type TypedKind = TypedNode['kind'];
export type Typed<K extends TypedKind> = TypedExpression & { readonly kind: K };

type Table = {
  readonly [K in TypedKind]: (expression: Typed<K>, scope: Scope, lowering: Lowering) => Value;
};

const table: Table = {
  constant: (expression) => scalarValue(numberOf(expression, expression.value)),
  size: (expression, scope) => scalarValue(numberOf(expression, sizeOf(expression.size, scope))),
  local: (expression, scope) => scope.locals.get(expression.local)!,
  index: (expression, scope) => scalarValue(scope.indices.get(expression.index)!),
  field: (expression, scope, lowering) => {
    const base = lowering.lower(expression.base, scope);
    if (base.kind !== 'record') throw new Error(`a record was expected, not a ${base.kind}`);
    return base.fields.get(expression.name)!;
  },
  subscript: lowerSubscript,
  tuple: (expression, scope, lowering) => ({
    kind: 'tuple',
    elements: expression.elements.map((element) => lowering.lower(element, scope)),
  }),
  record: (expression, scope, lowering) => {
    const { type } = expression;
    if (type.kind !== 'record') throw new Error('a record without a record type');
    const fields = type.record.fields.map(
      ({ name }, position) => [name, lowering.lower(expression.fields[position]!, scope)] as const,
    );
    return { kind: 'record', fields: new Map(fields) };
  },
  apply: (expression, scope, lowering) => {
    const operands = expression.operands.map((operand) => tensorOf(lowering.lower(operand, scope)));
    const shape = operands.find((operand) => operand.axes.length > 0)?.axes ?? [];
    return elementwise(lowering, operands, shape, (...parts) => apply(expression.function, ...parts));
  },
  cast: (expression, scope, lowering) => {
    const operand = tensorOf(lowering.lower(expression.operand, scope));
    if (expression.type.kind !== 'tensor') throw new Error('a cast to something that is not a tensor');
    return {
      ...operand,
      body: castTo(operand.body, expression.type.element, scope, lowering.builder.arithmetic),
    };
  },
  comprehension: lowerComprehension,
  reduction: lowerReduction,
  if: (expression, scope, lowering) => {
    const condition = scalarOf(lowering.lower(expression.condition, scope));
    const { where } = lowering.builder;
    const then = where(condition, true, () => lowering.lower(expression.then, scope));
    const otherwise = where(condition, false, () => lowering.lower(expression.otherwise, scope));
    const scalar = then.kind === 'tensor' && then.axes.length === 0;
    const chosen = scalarValue(scalar ? condition : settleScalar(lowering, condition, 'condition'));
    return zipLeaves(then, otherwise, (left, right) =>
      elementwise(lowering, [chosen, left, right], left.axes, (...parts) => apply('select', ...parts)),
    );
  },
  let: (expression, scope, lowering) => {
    // A block is a chain of lets: followed here, so that a long one does not nest.
    let rest: TypedExpression = expression;
    while (rest.kind === 'let') {
      const { pattern, value, body } = rest;
      const lowered = lowering.lower(value, scope);
      madeAt(lowering.builder, value.span, () => bindPattern(lowering, scope, pattern, lowered));
      rest = body;
    }
    return lowering.lower(rest, scope);
  },
  call: lowerCall,
  builtin: lowerBuiltin,
  loop: lowerLoop,
  collective: lowerCollective,
  placed: lowerPlaced,
  perDevice: lowerPerDevice,
  me: lowerMe,
  ring: lowerRing,
  error: () => {
    throw new Error('a program with errors is not lowered');
  },
};

export function lowerExpression(expression: TypedExpression, scope: Scope, lowering: Lowering): Value {
  return (table[expression.kind] as (expression: TypedExpression, scope: Scope, lowering: Lowering) => Value)(
    expression,
    scope,
    lowering,
  );
}

function numberOf(expression: TypedExpression, value: number): Scalar {
  if (expression.type.kind !== 'tensor') throw new Error('a number that is not a scalar');
  const dtype = dtypeOfElement(expression.type.element);
  return round(
    dtype,
    constant(arithmeticOf(dtype), dtypeFacts[dtype].class === 'float' ? Math.fround(value) : value),
  );
}

/** Over axes like these; operands without dimensions extend, and are evaluated once. */
function elementwise(
  lowering: Lowering,
  operands: readonly TensorValue[],
  shape: TensorValue['axes'],
  combine: (...parts: readonly Scalar[]) => Scalar,
): TensorValue {
  const { builder } = lowering;
  const axes = shape.map(({ extent, factors }) => builder.axis(extent, factors));
  const subscripts = axes.map((axis) => iterator(axis.iterator));
  const parts = operands.map((operand) => {
    if (operand.axes.length > 0) return builder.at(operand, subscripts);
    return axes.length > 0 ? settleScalar(lowering, operand.body, 'factor') : operand.body;
  });
  return { kind: 'tensor', axes, body: builder.arithmetic.simplify(combine(...parts)) };
}
