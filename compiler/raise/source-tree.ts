/** Making syntax trees. They were never parsed, so all their spans are empty. */
import type { Span } from '../../dsl/diagnostics/diagnostic.ts';
import type { AxisList } from '../../dsl/placement/placement.ts';
import type {
  BinaryOperator,
  Binding,
  DimExpression,
  Expression,
  Identifier,
  IndexPattern,
  LetPattern,
  PendingExpression,
  ReductionName,
  SizeExpression,
  TypeExpression,
  UnaryOperator,
} from '../../dsl/syntax/tree.ts';

export const span: Span = { file: 'raised.ricci', start: 0, end: 0 };

export function identifier(name: string): Identifier {
  return { name, span };
}

// ── sizes and types ────────────────────────────────────────────────────────────────────────────────────────

export function natural(value: number): SizeExpression {
  return { kind: 'natural', value, span };
}

/** `node * gpu`: the devices along some axes. */
export function productOf(axes: AxisList): SizeExpression {
  return axes
    .map((name): SizeExpression => ({ kind: 'name', name, span }))
    .reduce((left, right) => ({ kind: 'binary', operator: '*', left, right, span }));
}

export function dim(extent: number, axes: AxisList): DimExpression {
  const placement =
    axes.length === 0 ? ({ kind: 'none' } as const) : ({ kind: 'axes', axes: axes.map(identifier) } as const);
  return { size: natural(extent), placement, span };
}

export function namedType(
  name: string,
  sizes: readonly number[],
  dims: readonly DimExpression[],
  pending: readonly PendingExpression[],
): TypeExpression {
  const path = { qualifier: undefined, name: identifier(name), span };
  return { kind: 'named', path, sizes: sizes.map(natural), dims, pending, span };
}

/** The one type, or a tuple of several. */
export function tupleType(types: readonly TypeExpression[]): TypeExpression {
  const [only] = types;
  return only !== undefined && types.length === 1 ? only : { kind: 'tuple', elements: types, span };
}

// ── expressions ────────────────────────────────────────────────────────────────────────────────────────────

/** As it is written, without a sign. */
export function number(text: string): Expression {
  return { kind: 'number', text, span };
}

export function boolean(value: boolean): Expression {
  return { kind: 'boolean', value, span };
}

export function named(name: string): Expression {
  return { kind: 'name', name, span };
}

export function unary(operator: UnaryOperator, operand: Expression): Expression {
  return { kind: 'unary', operator, operand, span };
}

export function binary(operator: BinaryOperator, left: Expression, right: Expression): Expression {
  return { kind: 'binary', operator, left, right, span };
}

export function call(
  name: string,
  operands: readonly Expression[],
  sizes: readonly number[] = [],
): Expression {
  const given = operands.map((value) => ({ kind: 'value', name: undefined, value, span }) as const);
  return { kind: 'call', callee: named(name), sizes: sizes.map(natural), arguments: given, span };
}

/** The one expression, or a tuple of several. */
export function tuple(elements: readonly Expression[]): Expression {
  const [only] = elements;
  return only !== undefined && elements.length === 1 ? only : { kind: 'tuple', elements, span };
}

/** The value itself when there are no subscripts. */
export function subscripted(base: Expression, subscripts: readonly Expression[]): Expression {
  if (subscripts.length === 0) return base;
  const at = subscripts.map((value) => ({ kind: 'at', value, span }) as const);
  return { kind: 'subscript', base, subscripts: at, span };
}

export function choice(condition: Expression, then: Expression, otherwise: Expression): Expression {
  return { kind: 'if', condition, then, otherwise, span };
}

/** The result itself when there is nothing before it. */
export function block(bindings: readonly Binding[], result: Expression): Expression {
  return bindings.length === 0 ? result : { kind: 'block', bindings, result, span };
}

/** The element itself when there are no indices. */
export function comprehension(indices: readonly IndexPattern[], body: Expression): Expression {
  return indices.length === 0 ? body : { kind: 'comprehension', indices, body, span };
}

export function reduction(
  name: ReductionName,
  indices: readonly IndexPattern[],
  body: Expression,
): Expression {
  return { kind: 'reduction', reduction: name, indices, body, span };
}

// ── patterns ───────────────────────────────────────────────────────────────────────────────────────────────

export type SingleIndex = Extract<IndexPattern, { kind: 'index' }>;

/** Without a bound where it is plain what it ranges over. */
export function index(name: string, bound: number | undefined): SingleIndex {
  return {
    kind: 'index',
    name: identifier(name),
    bound: bound === undefined ? undefined : natural(bound),
    span,
  };
}

/** The one index, or the parts of a product dimension. */
export function indexGroup(parts: readonly SingleIndex[]): IndexPattern {
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : { kind: 'tuple', parts, span };
}

export function namePattern(name: string): LetPattern {
  return { kind: 'name', name: identifier(name), span };
}

/** The one pattern, or a tuple of several. */
export function tuplePattern(patterns: readonly LetPattern[]): LetPattern {
  const [only] = patterns;
  return only !== undefined && patterns.length === 1 ? only : { kind: 'tuple', elements: patterns, span };
}

export function binding(pattern: LetPattern, type: TypeExpression | undefined, value: Expression): Binding {
  return { pattern, type, value, span };
}
