/**
 * Implicit conversions: where a value of one type may stand for another, and what is said when it may not.
 */
import type { Fix, Label } from '../diagnostics/diagnostic.ts';
import { isInRange } from './affine.ts';
import { type Context, errorExpression, factScope, newLocal } from './context.ts';
import { dtypeFacts } from './dtype.ts';
import type { Fact } from './facts.ts';
import { atMost, equalSizes, factFixes, fixGiven, mayHold, stateHelp } from './obligations.ts';
import { insertFix, replaceFix } from './report.ts';
import { natural } from './size.ts';
import type { TypeCode } from './type-codes.ts';
import type { Dim, ElementType, Type, TypedExpression, TypedPattern } from './typed.ts';
import {
  arithmeticOf,
  dimsOf,
  dropDims,
  dtypeElement,
  hasError,
  isFloat,
  isInteger,
  isKnown,
  sameElement,
  showElement,
  showName,
  showType,
  type TensorType,
  withElement,
} from './types.ts';

/**
 * Where a type is written (a result, an annotated let, the state of a loop's own type) floats are rounded to
 * it; an argument widens only.
 */
export type ConversionPlace = 'written' | 'argument';

export interface Wanted {
  readonly type: Type;
  readonly place: ConversionPlace;
  /** What asks for the type: "the result of f", "the parameter x of g". */
  readonly asker: string;
  readonly because: readonly Label[];
  /** The code for shapes that differ. */
  readonly shapeCode?: TypeCode;
  readonly help?: string;
}

/** The value as the wanted type, or an error in its place. */
export function convert(context: Context, value: TypedExpression, wanted: Wanted): TypedExpression {
  const from = value.type;
  const to = wanted.type;
  if (hasError(from) || hasError(to)) return value;
  if (from.kind === 'tuple' && to.kind === 'tuple' && from.elements.length === to.elements.length) {
    return convertTuple(context, value, from.elements, to.elements, wanted);
  }
  if (from.kind === 'tuple' || to.kind === 'tuple' || from.kind === 'error' || to.kind === 'error') {
    return differ(context, value, wanted);
  }
  if (from.kind !== to.kind) return differ(context, value, wanted);
  if (!sameDims(context, from.dims, to.dims)) return shapesDiffer(context, value, wanted);
  if (from.kind === 'record' && to.kind === 'record') {
    const same =
      from.record === to.record && from.sizes.every((size, i) => sizesAgree(context, size, to.sizes[i]!));
    return same ? value : differ(context, value, wanted);
  }
  if (from.kind === 'tensor' && to.kind === 'tensor')
    return convertElements(context, value, from, to, wanted);
  return value;
}

/** Equal up to placements. */
export function sameDims(context: Context, left: readonly Dim[], right: readonly Dim[]): boolean {
  return (
    left.length === right.length && left.every((dim, i) => sizesAgree(context, dim.size, right[i]!.size))
  );
}

function sizesAgree(context: Context, left: Dim['size'], right: Dim['size']): boolean {
  return !isKnown(left) || !isKnown(right) || equalSizes(context.facts, left, right);
}

/** A pointwise cast, or the value itself when it is of that element type already. */
export function cast(value: TypedExpression, element: ElementType): TypedExpression {
  if (value.type.kind !== 'tensor' || sameElement(value.type.element, element)) return value;
  const type = withElement(value.type, element);
  if (value.kind === 'constant' && type.element.kind === 'dtype' && type.element.dtype === 'f32') {
    return { ...value, type };
  }
  return { kind: 'cast', operand: value, type, span: value.span };
}

/** As what arithmetic on it is done in. */
export function toArithmetic(value: TypedExpression): TypedExpression {
  if (value.type.kind !== 'tensor') return value;
  return cast(value, dtypeElement(arithmeticOf(value.type.element)));
}

function convertTuple(
  context: Context,
  value: TypedExpression,
  from: readonly Type[],
  to: readonly Type[],
  wanted: Wanted,
): TypedExpression {
  const element = (part: TypedExpression, i: number): TypedExpression =>
    convert(context, part, { ...wanted, type: to[i]!, asker: `part ${i + 1} of ${wanted.asker}` });
  const type = wanted.type;
  const { span } = value;
  if (value.kind === 'tuple') {
    const elements = value.elements.map(element);
    return elements.some((part) => hasError(part.type))
      ? errorExpression(span)
      : { ...value, type, elements };
  }
  const locals = from.map((part, i) => ({
    kind: 'local' as const,
    local: newLocal(context),
    name: `part${i}`,
    type: part,
  }));
  const pattern: TypedPattern = { kind: 'tuple', elements: locals };
  const elements = locals
    .map(({ local, type: part }): TypedExpression => ({ kind: 'local', local, type: part, span }))
    .map(element);
  if (elements.some((part) => hasError(part.type))) return errorExpression(span);
  if (elements.every(({ kind }) => kind === 'local')) return { ...value, type };
  const body: TypedExpression = { kind: 'tuple', elements, type, span };
  return { kind: 'let', pattern, value, body, type, span };
}

function convertElements(
  context: Context,
  value: TypedExpression,
  from: TensorType,
  to: TensorType,
  wanted: Wanted,
): TypedExpression {
  const source = from.element;
  const target = to.element;
  if (sameElement(source, target)) return { ...value, type: { ...from, dims: to.dims } };
  if (target.kind === 'float')
    return isFloat(source) ? value : mixed(context, value, from, dtypeElement('f32'), wanted);
  if (target.kind === 'ix') return toIndex(context, value, from, target, wanted);
  const result = { ...cast(value, target), type: { ...to } };
  if (isFloat(source) && isFloat(target)) {
    const widens = target.dtype === 'f32' || wanted.place === 'written';
    return widens ? result : narrowing(context, value, from, target, wanted);
  }
  if (isFloat(source) !== isFloat(target) && !isBool(source) && !isBool(target)) {
    return mixed(context, value, from, target, wanted);
  }
  if (isInteger(source) && isInteger(target)) {
    const widens = arithmeticOf(source) === arithmeticOf(target) && dtypeFacts[target.dtype].bits === 32;
    return widens ? result : narrowing(context, value, from, target, wanted);
  }
  return differ(context, value, wanted);
}

function isBool(element: ElementType): boolean {
  return arithmeticOf(element) === 'bool';
}

function toIndex(
  context: Context,
  value: TypedExpression,
  from: TensorType,
  target: Extract<ElementType, { kind: 'ix' }>,
  wanted: Wanted,
): TypedExpression {
  if (!isKnown(target.range)) return value;
  if (value.kind === 'comprehension' && value.body.type.kind === 'tensor') {
    const { groups, body } = value;
    const type = dropDims(wanted.type, groups.length);
    const element = convert(context, body, { ...wanted, type, asker: `an element of ${wanted.asker}` });
    return hasError(element.type) ? element : { ...value, body: element, type: { ...from, element: target } };
  }
  const fits = from.element.kind === 'ix' && atMost(context.facts, from.element.range, target.range);
  if (fits || isInRange(context, value, target.range)) return cast(value, target);
  if (!isInteger(from.element)) return differ(context, value, wanted);
  const range = showName(target.range);
  context.report({
    code: 'E0405',
    message: `${wanted.asker} is an index below ${range}, and this may not be`,
    at: value.span,
    label: `this is ${showType(from)}`,
    secondary: wanted.because,
    help: [`clamp_index[${range}](…) brings any integer into range`],
    fixes:
      from.dims.length === 0
        ? [
            fixGiven(
              factScope(context),
              { relation: '<=', left: natural(1), right: target.range },
              wrapFix(context, value, `clamp_index[${range}]`),
            ),
          ]
        : [],
  });
  return errorExpression(value.span);
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

function wrapFix(context: Context, value: TypedExpression, wrapper: string): Fix {
  const text = `${wrapper}(${context.text(value.span)})`;
  return replaceFix(`write ${text.length <= 40 ? text : `${wrapper}(…)`}`, value.span, text);
}

function narrowing(
  context: Context,
  value: TypedExpression,
  from: TensorType,
  target: ElementType,
  wanted: Wanted,
): TypedExpression {
  const name = showElement(target);
  context.report({
    code: 'E0302',
    message: `${wanted.asker} is ${name}, and this ${showElement(from.element)} would lose precision`,
    at: value.span,
    label: `this is ${showType(from)}`,
    secondary: wanted.because,
    help: [wrapFix(context, value, name).message],
    fixes: [wrapFix(context, value, name)],
  });
  return errorExpression(value.span);
}

function mixed(
  context: Context,
  value: TypedExpression,
  from: TensorType,
  target: ElementType,
  wanted: Wanted,
): TypedExpression {
  const name = showElement(target);
  context.report({
    code: 'E0303',
    message: `${wanted.asker} is ${showType(wanted.type)}, and this is ${showType(from)}`,
    at: value.span,
    label: `this is ${showType(from)}`,
    secondary: wanted.because,
    help: [wrapFix(context, value, name).message],
    fixes: [wrapFix(context, value, name)],
  });
  return errorExpression(value.span);
}

function shapesDiffer(context: Context, value: TypedExpression, wanted: Wanted): TypedExpression {
  context.report({
    code: wanted.shapeCode ?? 'E0401',
    message: `${wanted.asker} is ${showType(wanted.type)}, and this is ${showType(value.type)}`,
    at: value.span,
    label: `this is ${showType(value.type)}`,
    secondary: wanted.because,
    help: [wanted.help ?? shapeHelp(context, value.type, wanted.type)],
    fixes: lessDims(value.type, wanted.type)
      ? [repeatFix(value)]
      : unequalSizes(context, value.type, wanted.type)
          .slice(0, 1)
          .flatMap((fact) => factFixes(factScope(context), fact)),
  });
  return errorExpression(value.span);
}

/** A scalar where a tensor is asked for can be repeated by a `for`, whose range is then known. */
function repeatFix(value: TypedExpression): Fix {
  const { file, start } = value.span;
  return insertFix('repeat it along the dimension', file, start, 'for i: ');
}

function lessDims(from: Type, to: Type): boolean {
  return from.kind === 'tensor' && to.kind === 'tensor' && from.dims.length + 1 === to.dims.length;
}

/** The pairs of sizes that would have to be equal, when the number of dimensions is right. */
export function unequalSizes(context: Context, from: Type, to: Type): readonly Fact[] {
  const wanted = dimsOf(to);
  const dims = dimsOf(from);
  if (wanted.length !== dims.length) return [];
  return dims.flatMap(({ size }, i) => {
    const right = wanted[i]!.size;
    return sizesAgree(context, size, right) ? [] : [{ relation: '==' as const, left: size, right }];
  });
}

function shapeHelp(context: Context, from: Type, to: Type): string {
  if (from.kind === 'tensor' && to.kind === 'tensor') {
    if (from.dims.length < to.dims.length) return 'write `for i: …` to make the missing dimension';
    if (from.dims.length > to.dims.length) return 'subscript the surplus dimension, or reduce over it';
  }
  const [fact] = unequalSizes(context, from, to);
  return fact !== undefined && mayHold(context.facts, fact)
    ? stateHelp(context.signature.declaration, fact)
    : 'the sizes are different numbers: change one of the two';
}

function differ(context: Context, value: TypedExpression, wanted: Wanted): TypedExpression {
  context.report({
    code: 'E0301',
    message: `${wanted.asker} is ${showType(wanted.type)}, and this is ${showType(value.type)}`,
    at: value.span,
    label: `this is ${showType(value.type)}`,
    secondary: wanted.because,
    help: [wanted.help ?? differHelp(value.type, wanted.type)],
  });
  return errorExpression(value.span);
}

function differHelp(from: Type, to: Type): string {
  const bool = (type: Type): boolean => type.kind === 'tensor' && isBool(type.element);
  if (bool(to)) return 'a comparison gives a bool: … != 0';
  if (bool(from)) return 'turn a bool into a number with f32(…), or choose by it: if … then 1 else 0';
  if (from.kind === 'tuple') return 'take the tuple apart: let (a, b) = …';
  return `give a value of type ${showType(to)} here`;
}
