/** `if c then a else b`: one bool chooses between two values of one type. */

import type { Fix } from '../diagnostics/diagnostic.ts';
import type { Expression } from '../syntax/tree.ts';
import { guardsOf } from './affine.ts';
import { type Context, errorExpression } from './context.ts';
import { cast, sameDims } from './conversions.ts';
import { isFlexible } from './flexible.ts';
import { equalSizes } from './obligations.ts';
import { insertFix, replaceFix } from './report.ts';
import type { Type, TypedExpression } from './typed.ts';
import {
  arithmeticOf,
  dtypeElement,
  hasError,
  isFloat,
  isInteger,
  sameElement,
  scalarOf,
  showType,
} from './types.ts';

type IfNode = Extract<Expression, { kind: 'if' }>;

export function inferIf(context: Context, node: IfNode, expected: Type | undefined): TypedExpression {
  const condition = context.infer(context, node.condition, scalarOf('bool'));
  const known = checkCondition(context, condition);
  const [then, otherwise] = inferBranches(context, node, condition, expected);
  if (!known || hasError(then.type) || hasError(otherwise.type)) return errorExpression(node.span);
  const joined = join(context, then, otherwise);
  if (joined === undefined) return branchesDiffer(context, node, then, otherwise);
  return {
    kind: 'if',
    condition,
    // biome-ignore lint/suspicious/noThenProperty: the branch of the tree's own `if`, never awaited
    then: joined[0],
    otherwise: joined[1],
    type: joined[0].type,
    span: node.span,
  };
}

function checkCondition(context: Context, condition: TypedExpression): boolean {
  const { type } = condition;
  if (hasError(type)) return false;
  const bool = type.kind === 'tensor' && arithmeticOf(type.element) === 'bool';
  if (bool && type.dims.length === 0) return true;
  context.report({
    code: 'E0307',
    message: 'the condition of an `if` is one bool',
    at: condition.span,
    label: `this is ${showType(type)}`,
    help: [
      bool
        ? 'to choose element by element, write the `if` under `for i: …`; to reduce, use any or all'
        : 'compare to get a bool: … != 0',
    ],
  });
  return false;
}

/**
 * Literals and sizes in one branch take the dtype of the other. What the condition tells holds in each
 * branch.
 */
function inferBranches(
  context: Context,
  node: IfNode,
  condition: TypedExpression,
  expected: Type | undefined,
): readonly [TypedExpression, TypedExpression] {
  const branch = (expression: Expression, holds: boolean, hint: Type | undefined): TypedExpression => {
    const guards = [...context.guards, ...guardsOf(context, condition, holds)];
    return context.infer({ ...context, guards }, expression, hint);
  };
  if (isFlexible(context, node.then) && !isFlexible(context, node.otherwise)) {
    const otherwise = branch(node.otherwise, false, expected);
    return [branch(node.then, true, numberHint(otherwise.type) ?? expected), otherwise];
  }
  const then = branch(node.then, true, expected);
  const hint = isFlexible(context, node.otherwise) ? (numberHint(then.type) ?? expected) : expected;
  return [then, branch(node.otherwise, false, hint)];
}

function numberHint(type: Type): Type | undefined {
  return type.kind === 'tensor' ? scalarOf(arithmeticOf(type.element)) : undefined;
}

/** Both as one type: the same, or for numbers the arithmetic type of both. */
function join(
  context: Context,
  left: TypedExpression,
  right: TypedExpression,
): readonly [TypedExpression, TypedExpression] | undefined {
  const one = left.type;
  const other = right.type;
  if (one.kind !== 'tensor' || other.kind !== 'tensor')
    return sameType(context, one, other) ? [left, right] : undefined;
  if (!sameDims(context, one.dims, other.dims)) return undefined;
  if (sameElement(one.element, other.element) && one.element.kind !== 'float') return [left, right];
  const arithmetic = arithmeticOf(one.element);
  if (arithmetic !== arithmeticOf(other.element)) return undefined;
  return [cast(left, dtypeElement(arithmetic)), cast(right, dtypeElement(arithmetic))];
}

function sameType(context: Context, left: Type, right: Type): boolean {
  if (left.kind === 'tensor') {
    return (
      right.kind === 'tensor' &&
      sameElement(left.element, right.element) &&
      sameDims(context, left.dims, right.dims)
    );
  }
  if (left.kind === 'record') {
    return (
      right.kind === 'record' &&
      left.record === right.record &&
      sameDims(context, left.dims, right.dims) &&
      left.sizes.every((size, i) => equalSizes(context.facts, size, right.sizes[i]!))
    );
  }
  if (left.kind === 'key') return right.kind === 'key' && sameDims(context, left.dims, right.dims);
  if (left.kind === 'tuple' && right.kind === 'tuple') {
    const { elements } = right;
    return (
      left.elements.length === elements.length &&
      left.elements.every((element, i) => sameType(context, element, elements[i]!))
    );
  }
  return false;
}

function branchesDiffer(
  context: Context,
  node: IfNode,
  then: TypedExpression,
  otherwise: TypedExpression,
): TypedExpression {
  context.report({
    code: 'E0313',
    message: 'the two branches have different types',
    at: node.span,
    secondary: [then, otherwise].map(({ span, type }) => ({ span, message: `this is ${showType(type)}` })),
    help: ['make the two of one type: cast one, or repeat a scalar with `for i: …`'],
    fixes: branchFixes(context, then, otherwise),
  });
  return errorExpression(node.span);
}

/** A scalar repeated along the other's dimension; an integer cast to the other's float. */
function branchFixes(context: Context, then: TypedExpression, otherwise: TypedExpression): readonly Fix[] {
  return [[then, otherwise] as const, [otherwise, then] as const].flatMap(([branch, other]) => {
    if (branch.type.kind !== 'tensor' || other.type.kind !== 'tensor') return [];
    const { span } = branch;
    if (branch.type.dims.length < other.type.dims.length) {
      const names = other.type.dims.map((_, i) => `i${i}`).join(', ');
      return [insertFix('repeat the scalar', span.file, span.start, `for ${names}: `)];
    }
    const mixed = isInteger(branch.type.element) && isFloat(other.type.element);
    return mixed ? [replaceFix('cast to f32', span, `f32(${context.text(span)})`)] : [];
  });
}
