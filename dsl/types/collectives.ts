/**
 * What moves data between devices. On values each is the identity, and so it is in types up to placements.
 */
import type { Argument, Expression, Identifier, SizeExpression } from '../syntax/tree.ts';
import { type CallNode, explicitSizes } from './arguments.ts';
import { type Context, errorExpression } from './context.ts';
import { sameDims } from './conversions.ts';
import { equalSizes } from './obligations.ts';
import { multiplySizes, type Size, sameSize } from './size.ts';
import { checkPlacements, dimsFrom, requireAxis, sizeOf } from './type-expressions.ts';
import { typeScope } from './type-scope.ts';
import type { Dim, Type, TypedExpression } from './typed.ts';
import { dimsOf, hasError, showDims, showName, showType, withDims } from './types.ts';

type Collective = Extract<TypedExpression, { kind: 'collective' }>['collective'];
type CallableCollective = Exclude<Collective, 'reshard'>;

interface CollectiveRule {
  /** What follows the value and the axis. */
  readonly last: 'nothing' | 'dimension' | 'move';
  readonly usage: string;
}

const rules: { readonly [C in CallableCollective]: CollectiveRule } = {
  all_gather: { last: 'nothing', usage: 'all_gather(x, axis)' },
  all_reduce: { last: 'nothing', usage: 'all_reduce(x, axis)' },
  reduce_scatter: { last: 'dimension', usage: 'reduce_scatter(x, axis, N)' },
  all_to_all: { last: 'move', usage: 'all_to_all(x, axis, N -> M)' },
  shift: { last: 'nothing', usage: 'shift(x, axis)' },
  broadcast: { last: 'nothing', usage: 'broadcast(x, axis)' },
};

export const collectiveNames = Object.keys(rules) as readonly CallableCollective[];

export function isCollectiveName(name: string): name is CallableCollective {
  return Object.hasOwn(rules, name);
}

export function inferCollective(
  context: Context,
  node: CallNode,
  collective: CallableCollective,
  expected: Type | undefined,
): TypedExpression {
  const rule = rules[collective];
  const [first, second, third, ...more] = node.arguments;
  const value = positional(first);
  const axes = axesOf(positional(second));
  const fits = rule.last === 'nothing' ? third === undefined : third !== undefined && more.length === 0;
  const rightKind = rule.last === 'nothing' || (rule.last === 'move') === (third?.kind === 'move');
  const sizes = explicitSizes(context, node, collective, []);
  if (value === undefined || axes === undefined || !fits || !rightKind || sizes === undefined) {
    if (sizes !== undefined) reportUsage(context, node, collective, rule);
    return errorExpression(node.span);
  }
  if (collective === 'shift' && !context.insidePerDevice) reportShift(context, node);
  const scope = { ...typeScope(context) };
  const known = axes.filter((axis) => requireAxis(axis, scope));
  const typed = context.infer(context, value, expected);
  if (known.length < axes.length || hasError(typed.type)) return errorExpression(node.span);
  const dims =
    third === undefined ? [] : third.kind === 'move' ? [third.from, third.to] : [sizeExpression(third.value)];
  const positions = dims.map((dim) => dim && dimensionNamed(context, dim, typed));
  const found = positions.filter((position) => position !== undefined);
  if (found.length < positions.length) return errorExpression(node.span);
  return {
    kind: 'collective',
    collective,
    value: typed,
    axes: axes.map(({ name }) => name),
    dims: found,
    to: undefined,
    type: movedType(
      typed.type,
      collective,
      axes.map(({ name }) => name),
      found,
    ),
    span: node.span,
  };
}

type Move = (lists: (readonly string[])[], axes: readonly string[], dims: readonly number[]) => void;

const off: Move = (lists, axes) => {
  const dim = lists.findIndex((list) => axes.every((axis) => list.includes(axis)));
  if (dim >= 0) lists[dim] = lists[dim]!.filter((axis) => !axes.includes(axis));
};

const moves: { readonly [C in CallableCollective]: Move } = {
  all_gather: off,
  all_reduce: () => {},
  reduce_scatter: (lists, axes, [dim]) => {
    lists[dim!] = [...lists[dim!]!, ...axes];
  },
  all_to_all: (lists, axes, [from, to]) => {
    lists[from!] = lists[from!]!.filter((axis) => !axes.includes(axis));
    lists[to!] = [...lists[to!]!, ...axes];
  },
  shift: () => {},
  broadcast: () => {},
};

/** With the placement that the collective leads to, as far as the type says one: it is checked later. */
function movedType(
  type: Type,
  collective: CallableCollective,
  axes: readonly string[],
  dims: readonly number[],
): Type {
  if (type.kind === 'tuple')
    return { ...type, elements: type.elements.map((part) => movedType(part, collective, axes, dims)) };
  const lists = dimsOf(type).map(({ placement }) => (placement.kind === 'axes' ? placement.axes : []));
  moves[collective](lists, axes, dims);
  const placed = dimsOf(type).map((dim, i): Dim => {
    const list = lists[i]!;
    return { ...dim, placement: list.length === 0 ? { kind: 'none' } : { kind: 'axes', axes: list } };
  });
  return withDims(type, placed);
}

function positional(argument: Argument | undefined): Expression | undefined {
  return argument?.kind === 'value' && argument.name === undefined ? argument.value : undefined;
}

function axesOf(expression: Expression | undefined): readonly Identifier[] | undefined {
  if (expression?.kind === 'name') return [expression];
  if (expression?.kind !== 'tuple') return undefined;
  const axes = expression.elements.flatMap((element) => (element.kind === 'name' ? [element] : []));
  return axes.length === expression.elements.length ? axes : undefined;
}

function sizeExpression(expression: Expression): SizeExpression | undefined {
  switch (expression.kind) {
    case 'name':
      return expression;
    case 'number': {
      const value = Number(expression.text);
      return Number.isSafeInteger(value) ? { kind: 'natural', value, span: expression.span } : undefined;
    }
    case 'binary': {
      const left = sizeExpression(expression.left);
      const right = sizeExpression(expression.right);
      const { operator, span } = expression;
      const isSize = operator === '+' || operator === '-' || operator === '*' || operator === '/';
      return isSize && left !== undefined && right !== undefined
        ? { kind: 'binary', operator, left, right, span }
        : undefined;
    }
    default:
      return undefined;
  }
}

/**
 * The position of the one dimension of that size, or else of the one whose major factors have it together: a
 * product dimension is cut along these.
 */
function dimensionNamed(
  context: Context,
  dimension: SizeExpression,
  value: TypedExpression,
): number | undefined {
  const size = sizeOf(dimension, typeScope(context));
  if (size === undefined) return undefined;
  const dims = dimsOf(value.type);
  const same = (part: Size): boolean => sameSize(part, size) || equalSizes(context.facts, part, size);
  const whole = dims.flatMap((dim, position) => (same(dim.size) ? [position] : []));
  const major = dims.flatMap(({ factors = [] }, position) =>
    factors.some((_, last) => same(factors.slice(0, last + 1).reduce(multiplySizes))) ? [position] : [],
  );
  const found = whole.length > 0 ? whole : major;
  if (found.length === 1) return found[0];
  const secondary = [{ span: value.span, message: `this is ${showType(value.type)}` }];
  if (found.length > 1) {
    const places = found.map((position) => `dimension ${position + 1}`).join(' or ');
    context.report({
      code: 'E0503',
      message: `${showName(size)} could be ${places}`,
      at: dimension.span,
      secondary,
      help: ['give one of them a size parameter of its own'],
    });
    return undefined;
  }
  const isMinor = dims.some(({ factors = [] }) => factors.some(same));
  context.report({
    code: 'E0503',
    message: isMinor
      ? `${showName(size)} is no major part of a dimension`
      : `the value has no dimension of size ${showName(size)}`,
    at: dimension.span,
    secondary,
    help: [
      `its dimensions are ${showDims(dims) || 'none: it is a scalar'}`,
      ...(isMinor ? ['a product dimension is cut along its first factor: name that, or the product'] : []),
    ],
  });
  return undefined;
}

function reportUsage(context: Context, node: CallNode, name: string, rule: CollectiveRule): void {
  context.report({
    code: 'E0503',
    message: `${name} is written ${rule.usage}`,
    at: node.span,
    help: ['the axis is the name of a mesh axis, or several as (node, gpu)'],
  });
}

function reportShift(context: Context, node: CallNode): void {
  context.report({
    code: 'E0504',
    message: 'shift makes sense in the per-device view only',
    at: node.callee.span,
    help: ['put it inside per_device axis (…) { … }'],
  });
}

// ── x as [S@sp, D] ─────────────────────────────────────────────────────────────────────────────────────────

export function inferReshard(
  context: Context,
  node: Extract<Expression, { kind: 'reshard' }>,
  expected: Type | undefined,
): TypedExpression {
  const scope = typeScope(context);
  checkPlacements(node.dims, node.pending, scope);
  const dims = dimsFrom(node.dims, scope);
  const value = context.infer(context, node.value, expected);
  if (dims === undefined || hasError(value.type)) return errorExpression(node.span);
  if (!sameDims(context, dims, dimsOf(value.type)) || value.type.kind === 'tuple') {
    context.report({
      code: 'E0401',
      message: '`as` changes where a tensor lives, not its shape',
      at: node.span,
      secondary: [{ span: value.span, message: `this is ${showType(value.type)}` }],
      help: [`write the sizes that it has: as ${showDims(dimsOf(value.type))}, with placements`],
    });
    return errorExpression(node.span);
  }
  const to = {
    dims: dims.map(({ placement }) => (placement.kind === 'axes' ? placement.axes : [])),
    pending: new Map(node.pending.map(({ axis, reduction }) => [axis.name, reduction])),
  };
  return {
    kind: 'collective',
    collective: 'reshard',
    value,
    axes: [...to.dims.flat(), ...to.pending.keys()],
    dims: [],
    to,
    type: withDims(value.type, dims),
    span: node.span,
  };
}
