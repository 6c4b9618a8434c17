/** One property: the sides of its checks, typed and held against each other. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Check, Expression, PropertyDeclaration } from '../syntax/tree.ts';
import { bindAll } from './bindings.ts';
import { type CheckedBody, isTooDeep, openBody } from './check-body.ts';
import { type Context, errorExpression } from './context.ts';
import { cast, convert } from './conversions.ts';
import { isFlexible } from './flexible.ts';
import type { PropertySignature } from './property-signature.ts';
import type { Report } from './report.ts';
import type { ModuleScope } from './scope.ts';
import { agree } from './sides.ts';
import { needsExpectation } from './solve-arguments.ts';
import type { PropertyCheck, PropertyInfo, Type, TypedExpression } from './typed.ts';
import {
  arithmeticOf,
  hasError,
  leafTypes,
  mapElements,
  scalarOf,
  showType,
  withoutPlacement,
} from './types.ts';

export interface CheckedProperty extends Pick<CheckedBody, 'calls'> {
  readonly info: PropertyInfo;
}

/** Where the sides live is not said yet: all are whole in the result (see `placing/place-property.ts`). */
export function checkProperty(
  signature: PropertySignature,
  module: ModuleScope,
  report: Report,
  text: (span: Span) => string,
): CheckedProperty {
  const { declaration, id, name, ranges, mesh, traits, given } = signature;
  const { span, documentation } = declaration;
  const { context, parameters } = openBody(signature, module, report, text);
  const isDeep = expressionsOf(declaration).some((part) => isTooDeep('this', part.span, part, report));
  const { inner, around } = bindAll(context, isDeep ? [] : declaration.bindings, span);
  const sides: TypedExpression[] = [];
  const checks = declaration.checks.map((check): PropertyCheck => {
    const left = sides.length;
    sides.push(...(isDeep ? [errorExpression(check.span)] : sidesOf(inner, check)));
    const { label, relation, span } = check;
    return relation === 'holds'
      ? { relation, left, label, span }
      : { relation, left, right: left + 1, label, span };
  });
  const conditions = declaration.conditions.map(({ value }) => {
    sides.push(isDeep ? errorExpression(value.span) : holds(inner, value, conditionTexts));
    return sides.length - 1;
  });
  const type: Type = { kind: 'tuple', elements: sides.map((side) => side.type) };
  return {
    info: {
      id,
      name,
      function: {
        id,
        name,
        exported: false,
        auto: false,
        sizes: signature.sizes,
        explicitSizes: signature.rangedSizes,
        parameters,
        result: withoutPlacement(type),
        resultSpan: declaration.checks[0]?.span ?? span,
        facts: signature.facts,
        body: around({ kind: 'tuple', elements: sides, type, span }),
        documentation,
        span,
      },
      ranges,
      mesh,
      traits,
      given,
      conditions,
      checks,
      documentation,
      span,
    },
    calls: context.body.calls,
  };
}

/** The values of `let`s, the conditions and the sides. */
export function expressionsOf({ bindings, conditions, checks }: PropertyDeclaration): readonly Expression[] {
  const sides = checks.flatMap(({ left, right }) => (right === undefined ? [left] : [left, right]));
  return [...bindings.map(({ value }) => value), ...conditions.map(({ value }) => value), ...sides];
}

/** Two, or the one of a check that is a bool by itself. */
function sidesOf(context: Context, check: Check): readonly TypedExpression[] {
  const { relation, left, right } = check;
  if (relation === 'holds' || right === undefined) return [holds(context, left, checkTexts)];
  const sides = inferSides(context, left, right).map((side) => settle(context, side));
  const [one, other] = sides;
  if (one === undefined || other === undefined || sides.some(({ type }) => hasError(type))) return sides;
  const literals = [asStored(one, other.type), asStored(other, one.type)] as const;
  agree(context, check, literals[0], literals[1]);
  return literals;
}

/** First the side that says its own shape and type; the other takes what it leaves open from it. */
function inferSides(
  context: Context,
  left: Expression,
  right: Expression,
): readonly [TypedExpression, TypedExpression] {
  const isOpen = (side: Expression): boolean => isFlexible(context, side) || needsExpectation(context, side);
  if (isOpen(left) && !isOpen(right)) {
    const other = context.infer(context, right, undefined);
    return [context.infer(context, left, known(other)), other];
  }
  const one = context.infer(context, left, undefined);
  return [one, context.infer(context, right, known(one))];
}

function known({ type }: TypedExpression): Type | undefined {
  return hasError(type) ? undefined : type;
}

/** What is stored as any float is read, and compared, as f32. A key is not a value to compare. */
function settle(context: Context, side: TypedExpression): TypedExpression {
  if (hasError(side.type)) return side;
  if (leafTypes(side.type).some(({ kind }) => kind === 'key')) {
    context.report({
      code: 'E0319',
      message: 'a key is not compared',
      at: side.span,
      label: `this is ${showType(side.type)}`,
      help: ['compare what is drawn from it: random_bits(key)'],
    });
    return errorExpression(side.span);
  }
  const type = mapElements(side.type, (element) =>
    element.kind === 'float' ? { kind: 'dtype', dtype: 'f32' } : element,
  );
  return convert(context, side, { type, place: 'written', asker: 'a side of a check', because: [] });
}

/** A literal is of the float type of the other side: `check f(x) == 0.5`. */
function asStored(side: TypedExpression, other: Type): TypedExpression {
  const isFloat = (type: Type): boolean => type.kind === 'tensor' && arithmeticOf(type.element) === 'f32';
  return side.kind === 'constant' && isFloat(side.type) && other.kind === 'tensor' && isFloat(other)
    ? cast(side, other.element)
    : side;
}

/** What is said of what is no bool. */
interface HoldsTexts {
  readonly message: string;
  readonly help: string;
}

const checkTexts: HoldsTexts = {
  message: 'a check without a relation is a bool, of any shape',
  help: 'compare it with what it must be: … ~= …, … === …, … == …, or … <= …',
};

const conditionTexts: HoldsTexts = {
  message: 'what is given is a bool, of any shape',
  help: 'compare it with what it must be: … == …, or … <= …',
};

function holds(context: Context, written: Expression, { message, help }: HoldsTexts): TypedExpression {
  const side = context.infer(context, written, scalarOf('bool'));
  const { type } = side;
  if (hasError(type) || (type.kind === 'tensor' && arithmeticOf(type.element) === 'bool')) return side;
  context.report({
    code: 'E0318',
    message,
    at: side.span,
    label: `this is ${showType(type)}`,
    help: [help],
  });
  return errorExpression(side.span);
}
