/** `for i, (g, r): e`, `sum d: e`, and the indices that they bind. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Expression, IndexPattern, ReductionName } from '../syntax/tree.ts';
import { type Context, errorExpression, factScope, newIndex } from './context.ts';
import { toArithmetic } from './conversions.ts';
import { findRanges, indexGroups, rangesExpected, type SingleIndex } from './index-ranges.ts';
import { equalSizes, factFixes, mayHold, require, stateHelp } from './obligations.ts';
import { insertFix } from './report.ts';
import { extend, type IndexEntry } from './scope.ts';
import { reportDuplicates } from './signatures.ts';
import { multiplySizes, natural, type Size } from './size.ts';
import { sizeOf } from './type-expressions.ts';
import { typeScope } from './type-scope.ts';
import type { Dim, IndexGroup, Type, TypedExpression } from './typed.ts';
import {
  arithmeticOf,
  dropDims,
  dtypeElement,
  hasError,
  indexType,
  isFloat,
  isKnown,
  prependDims,
  productDim,
  showName,
  showType,
  tensor,
} from './types.ts';

// ── binding indices ────────────────────────────────────────────────────────────────────────────────────────

export interface BoundIndices {
  /** With the indices in scope. */
  readonly context: Context;
  readonly groups: readonly IndexGroup[];
  readonly dims: readonly Dim[];
  /** Whether every index has a range, the expected one; if not, that was reported (or is being tried out). */
  readonly complete: boolean;
}

/**
 * Gives each index its range: as written, from its uses in `body`, or from the dimension that is expected of
 * it.
 */
function bindIndices(
  context: Context,
  patterns: readonly IndexPattern[],
  body: Expression,
  expected: readonly Dim[],
): BoundIndices {
  const groups = indexGroups(patterns);
  const all = groups.flat();
  reportDuplicates(
    all.map(({ name }) => name),
    'index',
    context.report,
  );
  const entries = new Map(all.map((index) => [index, writtenRange(context, index)] as const));
  const open = all.filter((index) => index.bound === undefined);
  const found = findRanges(context, open, body, entries);
  for (const [index, { size, because }] of found) {
    entries.set(index, { ...entries.get(index)!, range: size, because });
  }
  const meet = groups.map((group, i) =>
    group.some((index) => found.get(index)?.disagrees)
      ? true
      : expectRanges(context, group, patterns[i]!.span, expected[i], entries),
  );
  for (const index of open) {
    const unknown = entries.get(index)?.range === undefined && !found.has(index);
    if (unknown && !context.trial) reportUnknownRange(context, index);
  }
  const typed = groups.map((group) =>
    group.flatMap((index) => {
      const { index: id, range } = entries.get(index)!;
      return range === undefined ? [] : [{ id, name: index.name.name, range }];
    }),
  );
  return {
    context: {
      ...context,
      scope: extend(
        context.scope,
        [...entries].map(([index, entry]) => [index.name.name, entry] as const),
      ),
    },
    groups: typed,
    dims: typed.map(groupDim),
    complete: meet.every((met) => met) && all.every((index) => entries.get(index)?.range !== undefined),
  };
}

function groupDim(group: IndexGroup): Dim {
  const factors = group.map(({ range }) => range);
  return productDim(factors, product(factors));
}

function product(sizes: readonly Size[]): Size {
  return sizes.reduce(multiplySizes, natural(1));
}

function writtenRange(context: Context, index: SingleIndex): IndexEntry {
  const range = index.bound === undefined ? undefined : sizeOf(index.bound, typeScope(context));
  return {
    kind: 'index',
    index: newIndex(context),
    range,
    because: {
      span: index.span,
      message: range === undefined ? index.name.name : `${index.name.name} runs over ${showName(range)}`,
    },
    noteUse: undefined,
  };
}

/**
 * Fills in what the uses left open, and compares the rest with what is expected; false when it is another.
 */
function expectRanges(
  context: Context,
  group: readonly SingleIndex[],
  span: Span,
  dim: Dim | undefined,
  entries: Map<SingleIndex, IndexEntry>,
): boolean {
  if (dim === undefined || !isKnown(dim.size)) return true;
  const known = group.map((index) => entries.get(index)?.range);
  const sizes = rangesExpected(context, dim, known);
  group.forEach((index, i) => {
    const range = sizes[i];
    if (known[i] !== undefined || range === undefined) return;
    const because = {
      span: index.span,
      message: `${index.name.name} runs over ${showName(range)}, as is expected here`,
    };
    entries.set(index, { ...entries.get(index)!, range, because });
  });
  if (known.some((range) => range === undefined)) return true;
  const found = product(known.filter((range) => range !== undefined));
  if (equalSizes(context.facts, found, dim.size)) return true;
  reportUnexpectedRange(context, group, span, found, dim.size, entries);
  return false;
}

function reportUnexpectedRange(
  context: Context,
  group: readonly SingleIndex[],
  span: Span,
  found: Size,
  wanted: Size,
  entries: ReadonlyMap<SingleIndex, IndexEntry>,
): void {
  const names = group.map(({ name }) => name.name).join(', ');
  const [first] = group;
  const unbounded = group.length === 1 && first !== undefined && first.bound === undefined;
  const bound = ` < ${showName(wanted)}`;
  const equal = { relation: '==', left: found, right: wanted } as const;
  context.report({
    code: 'E0403',
    message: `${names} runs over ${showName(found)}, where a dimension of size ${showName(wanted)} is expected`,
    at: span,
    secondary: group.map((index) => entries.get(index)!.because),
    help: [
      `write the range: ${names}${bound}`,
      ...(mayHold(context.facts, equal) ? [stateHelp(context.signature.declaration, equal)] : []),
    ],
    fixes: [
      ...(unbounded
        ? [insertFix(`write the range: ${names}${bound}`, span.file, first.name.span.end, bound)]
        : []),
      ...factFixes(factScope(context), equal),
    ],
  });
}

function reportUnknownRange(context: Context, index: SingleIndex): void {
  const { name, span } = index.name;
  // The devices along an axis of the mesh are a size too, and hardly ever a range.
  const isAxis = (size: string): boolean => context.module.axes.has(size) || context.signature.axes.has(size);
  const sizes = [...context.scope].flatMap(([size, entry]) =>
    entry.kind === 'size' && !isAxis(size) ? [size] : [],
  );
  context.report({
    code: 'E0404',
    message: `nothing says what ${name} ranges over`,
    at: span,
    label: 'it subscripts no dimension by itself, and no type is expected here',
    help: [`write its range: ${name} < ${sizes[0] ?? 'N'}`],
    fixes: sizes
      .slice(0, 3)
      .map((size) => insertFix(`write its range: ${name} < ${size}`, span.file, span.end, ` < ${size}`)),
  });
}

// ── for ────────────────────────────────────────────────────────────────────────────────────────────────────

export function inferComprehension(
  context: Context,
  node: Extract<Expression, { kind: 'comprehension' }>,
  expected: Type | undefined,
): TypedExpression {
  const { body, span, indices } = node;
  return comprehend(context, indices, body, span, expected, (inner, rest) => inner.infer(inner, body, rest));
}

/**
 * The tensor of `element`s over the indices; `element` gets the context with the indices and what is expected
 * of it.
 */
export function comprehend(
  context: Context,
  indices: readonly IndexPattern[],
  body: Expression,
  span: Span,
  expected: Type | undefined,
  element: (inner: Context, expected: Type | undefined) => TypedExpression,
): TypedExpression {
  const dims =
    expected === undefined || expected.kind === 'tuple' || expected.kind === 'error' ? [] : expected.dims;
  const bound = bindIndices(context, indices, body, dims.length >= indices.length ? dims : []);
  const rest =
    expected !== undefined && dims.length >= indices.length ? dropDims(expected, indices.length) : undefined;
  const value = element(bound.context, rest);
  if (!bound.complete || hasError(value.type)) return errorExpression(span);
  return {
    kind: 'comprehension',
    groups: bound.groups,
    body: value,
    type: prependDims(bound.dims, value.type),
    span,
  };
}

// ── sum, max, argmax … ─────────────────────────────────────────────────────────────────────────────────────

type ReductionNode = Extract<Expression, { kind: 'reduction' }>;

interface ReductionRule {
  readonly takes: 'numbers' | 'floats' | 'bools';
  readonly gives: 'same' | 'position';
}

const reductions: { readonly [R in ReductionName]: ReductionRule } = {
  sum: { takes: 'numbers', gives: 'same' },
  prod: { takes: 'numbers', gives: 'same' },
  max: { takes: 'numbers', gives: 'same' },
  min: { takes: 'numbers', gives: 'same' },
  mean: { takes: 'floats', gives: 'same' },
  any: { takes: 'bools', gives: 'same' },
  all: { takes: 'bools', gives: 'same' },
  argmax: { takes: 'numbers', gives: 'position' },
  argmin: { takes: 'numbers', gives: 'position' },
};

export function inferReduction(
  context: Context,
  node: ReductionNode,
  expected: Type | undefined,
): TypedExpression {
  const rule = reductions[node.reduction];
  const bound = bindIndices(context, node.indices, node.body, []);
  const raw = bound.context.infer(bound.context, node.body, bodyExpected(rule, expected));
  if (!bound.complete || hasError(raw.type)) return errorExpression(node.span);
  const body = reductionBody(context, node, rule, raw);
  if (body?.type.kind !== 'tensor') return errorExpression(node.span);
  const position = bound.groups[0];
  if (rule.gives === 'position') {
    if (bound.groups.length !== 1 || position === undefined || body.type.dims.length > 0) {
      return oneDimensionOnly(context, node);
    }
    if (!hasPosition(context, node, groupDim(position).size)) return errorExpression(node.span);
  }
  const type = rule.gives === 'position' ? indexType(groupDim(position!).size) : body.type;
  return { kind: 'reduction', reduction: node.reduction, groups: bound.groups, body, type, span: node.span };
}

/** Whether there is a position to give: among nothing there is none. */
function hasPosition(context: Context, node: ReductionNode, size: Size): boolean {
  const fact = { relation: '<=', left: natural(1), right: size } as const;
  return require(factScope(context), fact, {
    code: 'E0406',
    message: `${node.reduction} gives one of ${showName(size)} positions, of which there may be none`,
    at: node.span,
  });
}

function bodyExpected(rule: ReductionRule, expected: Type | undefined): Type | undefined {
  if (rule.gives === 'position') return undefined;
  const dims = expected?.kind === 'tensor' ? expected.dims : [];
  if (rule.takes === 'bools') return tensor(dtypeElement('bool'), dims);
  if (rule.takes === 'floats') return tensor(dtypeElement('f32'), dims);
  return expected?.kind === 'tensor' ? tensor(dtypeElement(arithmeticOf(expected.element)), dims) : undefined;
}

function reductionBody(
  context: Context,
  node: ReductionNode,
  rule: ReductionRule,
  body: TypedExpression,
): TypedExpression | undefined {
  const element = body.type.kind === 'tensor' ? body.type.element : undefined;
  const arithmetic = element === undefined ? undefined : arithmeticOf(element);
  const bool = arithmetic === 'bool';
  const fits =
    element !== undefined &&
    (rule.takes === 'bools' ? bool : rule.takes === 'floats' ? isFloat(element) : !bool);
  if (fits) return toArithmetic(body);
  const castable = element !== undefined && rule.takes !== 'bools';
  context.report({
    code: 'E0306',
    message: `${node.reduction} reduces ${rule.takes}`,
    at: node.body.span,
    label: `this is ${showType(body.type)}`,
    help: [
      rule.takes === 'bools'
        ? 'compare to get a bool: … != 0'
        : castable
          ? 'cast it to a float: f32(…)'
          : 'reduce one tensor at a time',
    ],
    fixes: castable
      ? [
          {
            message: 'cast it to a float: f32(…)',
            edits: [{ span: node.body.span, text: `f32(${context.text(node.body.span)})` }],
          },
        ]
      : [],
  });
  return undefined;
}

function oneDimensionOnly(context: Context, node: ReductionNode): TypedExpression {
  context.report({
    code: 'E0306',
    message: `${node.reduction} finds the position of one number along one dimension`,
    at: node.span,
    help: [`write the other dimensions as a comprehension: for i: ${node.reduction} j: …[i, j]`],
  });
  return errorExpression(node.span);
}
