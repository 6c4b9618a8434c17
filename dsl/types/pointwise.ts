/** Pointwise functions on scalars and tensors: operand types, elementwise shapes, a scalar extends. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Expression } from '../syntax/tree.ts';
import { type Context, errorExpression, factScope } from './context.ts';
import { cast, sameDims, unequalSizes } from './conversions.ts';
import { isFlexible, wantedArithmetic } from './flexible.ts';
import { factFixes } from './obligations.ts';
import { replaceFix } from './report.ts';
import { type ScalarFunction, type ScalarSignature, scalarFunctions } from './scalar-functions.ts';
import type { Dim, Type, TypedExpression } from './typed.ts';
import {
  type Arithmetic,
  arithmeticOf,
  dtypeElement,
  hasError,
  isFloat,
  scalarOf,
  showType,
  type TensorType,
  tensor,
} from './types.ts';

/** How the user wrote the function: `+`, `max`, `if`. */
export interface Written {
  readonly name: string;
  readonly span: Span;
}

/**
 * Checks the operands together, those with a dtype of their own first, so that literals and sizes take it;
 * then applies the function.
 */
export function inferPointwise(
  context: Context,
  name: ScalarFunction,
  written: Written,
  operands: readonly Expression[],
  expected: Type | undefined,
): TypedExpression {
  return applyPointwise(context, name, written, inferTogether(context, name, operands, expected));
}

function inferTogether(
  context: Context,
  name: ScalarFunction,
  operands: readonly Expression[],
  expected: Type | undefined,
): readonly TypedExpression[] {
  const { signature } = scalarFunctions[name];
  const hint = operandHint(signature, expected);
  const flexible = operands.map((operand) => isFlexible(context, operand));
  const typed = operands.map((operand, i) =>
    flexible[i] ? undefined : context.infer(context, operand, hint),
  );
  const firm = typed.find((value) => value?.type.kind === 'tensor')?.type;
  const own = firm?.kind === 'tensor' ? arithmeticOf(firm.element) : undefined;
  const wanted = own ?? (signature === 'float' ? 'f32' : wantedArithmetic(hint));
  const flexibleHint = wanted === undefined || wanted === 'bool' ? undefined : scalarOf(wanted);
  return operands.map((operand, i) => typed[i] ?? context.infer(context, operand, flexibleHint));
}

function operandHint(signature: ScalarSignature, expected: Type | undefined): Type | undefined {
  if (signature === 'compare') return undefined;
  const dims = expected?.kind === 'tensor' ? expected.dims : [];
  if (signature === 'float') return tensor(dtypeElement('f32'), dims);
  if (signature === 'bool') return tensor(dtypeElement('bool'), dims);
  if (signature === 'bits') return tensor(dtypeElement('u32'), dims);
  const wanted = wantedArithmetic(expected);
  return wanted === undefined ? undefined : tensor(dtypeElement(wanted), dims);
}

/** `name(operands)`, with the casts that it needs; errors are reported and give an error. */
function applyPointwise(
  context: Context,
  name: ScalarFunction,
  written: Written,
  operands: readonly TypedExpression[],
): TypedExpression {
  const { span } = written;
  if (operands.some(({ type }) => hasError(type))) return errorExpression(span);
  const types = operands.map(({ type }) => type);
  const wrong = types.findIndex((type) => !isOperand(scalarFunctions[name].signature, type));
  if (wrong >= 0) return wrongOperand(context, name, written, operands[wrong]!);
  const tensors = types.filter((type) => type.kind === 'tensor');
  const arithmetic = commonArithmetic(name, tensors);
  if (arithmetic === undefined) return mixedOperands(context, name, written, operands, tensors);
  const dims = commonDims(context, written, operands);
  if (dims === undefined) return errorExpression(span);
  const result = scalarFunctions[name].signature === 'compare' ? 'bool' : arithmetic;
  return {
    kind: 'apply',
    function: name,
    operands: operands.map((operand) => cast(operand, dtypeElement(arithmetic))),
    type: tensor(dtypeElement(result), dims),
    span,
  };
}

function isOperand(signature: ScalarSignature, type: Type): boolean {
  if (type.kind !== 'tensor') return false;
  const bool = arithmeticOf(type.element) === 'bool';
  if (signature === 'bool') return bool;
  return signature === 'compare' || !bool;
}

/** What the operands are computed in; undefined when they do not go together. */
function commonArithmetic(name: ScalarFunction, types: readonly TensorType[]): Arithmetic | undefined {
  const all = new Set(types.map(({ element }) => arithmeticOf(element)));
  const [only] = all;
  if (all.size !== 1 || only === undefined) return undefined;
  const { signature } = scalarFunctions[name];
  if (signature === 'float') return only === 'f32' ? only : undefined;
  if (signature === 'integer') return only === 'i32' || only === 'u32' ? only : undefined;
  if (signature === 'bits') return only === 'u32' ? only : undefined;
  if (signature === 'compare') return only !== 'bool' || name === 'eq' || name === 'ne' ? only : undefined;
  return only;
}

/** The dims of the operands that have any, which must agree; reports when they do not. */
export function commonDims(
  context: Context,
  written: Written,
  operands: readonly TypedExpression[],
): readonly Dim[] | undefined {
  const shaped = operands.filter(({ type }) => type.kind === 'tensor' && type.dims.length > 0);
  const [first, ...others] = shaped;
  if (first?.type.kind !== 'tensor') return [];
  const { dims } = first.type;
  const other = others.find(({ type }) => type.kind === 'tensor' && !sameDims(context, dims, type.dims));
  if (other === undefined) return dims;
  const sizes = unequalSizes(context, first.type, other.type);
  context.report({
    code: 'E0401',
    message: `${written.name} is element by element, and the shapes differ`,
    at: written.span,
    secondary: [
      { span: first.span, message: `this is ${showType(first.type)}` },
      { span: other.span, message: `this is ${showType(other.type)}` },
    ],
    help: [
      sizes.length === 0
        ? 'write it with indices to say which dimensions go together: for i, j: a[i, j] … b[j]'
        : 'only equal shapes go together, and a scalar with any',
    ],
    fixes: sizes.slice(0, 1).flatMap((fact) => factFixes(factScope(context), fact)),
  });
  return undefined;
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

function wrongOperand(
  context: Context,
  name: ScalarFunction,
  written: Written,
  operand: TypedExpression,
): TypedExpression {
  const wantsBool = scalarFunctions[name].signature === 'bool';
  const isBool = operand.type.kind === 'tensor';
  context.report({
    code: 'E0306',
    message: `${written.name} is for ${wantsBool ? 'bools' : 'numbers'}`,
    at: operand.span,
    label: `this is ${showType(operand.type)}`,
    help: [
      wantsBool
        ? 'compare to get a bool: … != 0'
        : isBool
          ? 'turn the bool into a number: f32(…), or if … then 1 else 0'
          : 'name the field or the part that is meant',
    ],
    fixes:
      !wantsBool && isBool
        ? [
            replaceFix(
              'turn the bool into a number: f32(…), or if … then 1 else 0',
              operand.span,
              `f32(${context.text(operand.span)})`,
            ),
          ]
        : [],
  });
  return errorExpression(written.span);
}

function mixedOperands(
  context: Context,
  name: ScalarFunction,
  written: Written,
  operands: readonly TypedExpression[],
  types: readonly TensorType[],
): TypedExpression {
  const { signature } = scalarFunctions[name];
  const integers = operands.filter((_, i) => !isFloat(types[i]!.element));
  if (name === 'div' && integers.length === operands.length)
    return integerDivision(context, written, operands);
  const floats = integers.length < operands.length;
  const isBits = signature === 'bits';
  const toCast = operands.filter((_, i) => {
    const { element } = types[i]!;
    if (isBits) return arithmeticOf(element) !== 'u32';
    return isFloat(element) === (signature === 'integer');
  });
  const target = isBits
    ? 'u32'
    : signature !== 'integer' && (floats || signature === 'float')
      ? 'f32'
      : 'i32';
  const casts = toCast.map((operand) => `${target}(${context.text(operand.span)})`);
  const castHelp = `cast to ${target}: ${casts.join(', ')}`;
  context.report({
    code: signature === 'bool' || types.some(isBoolTensor) ? 'E0306' : 'E0303',
    message:
      signature === 'float' && !floats
        ? `${written.name} is for floats`
        : `${written.name} has operands of different kinds`,
    at: written.span,
    secondary: operands.map((operand) => ({
      span: operand.span,
      message: `this is ${showType(operand.type)}`,
    })),
    help: [castHelp],
    fixes: [
      {
        message: castHelp,
        edits: toCast.map(({ span }, i) => ({ span, text: casts[i]! })),
      },
    ],
  });
  return errorExpression(written.span);
}

function isBoolTensor(type: TensorType): boolean {
  return arithmeticOf(type.element) === 'bool';
}

function integerDivision(
  context: Context,
  written: Written,
  operands: readonly TypedExpression[],
): TypedExpression {
  const [left, right] = operands.map(({ span }) => context.text(span));
  context.report({
    code: 'E0304',
    message: '`/` divides floats, and these are integers',
    at: written.span,
    secondary: operands.map(({ span, type }) => ({ span, message: `this is ${showType(type)}` })),
    help: [`to round down: floordiv(${left}, ${right})`, `as floats: f32(${left}) / f32(${right})`],
    fixes: [
      replaceFix(`to round down: floordiv(${left}, ${right})`, written.span, `floordiv(${left}, ${right})`),
      replaceFix(`as floats: f32(${left}) / f32(${right})`, written.span, `f32(${left}) / f32(${right})`),
    ],
  });
  return errorExpression(written.span);
}
