/** `x[i, :, (g, r)]`: rows, columns, product dimensions and look-ups, each proved to be in range. */
import type { Label } from '../diagnostics/diagnostic.ts';
import type { Expression, Subscript } from '../syntax/tree.ts';
import { isInRange, upperFact } from './affine.ts';
import { type Context, errorExpression, factScope } from './context.ts';
import { atMost, equalSizes, factFixes, fixGiven, mayHold, stateHelp } from './obligations.ts';
import { replaceFix } from './report.ts';
import type { IndexEntry } from './scope.ts';
import { divideExactly, multiplySizes, natural, type Size } from './size.ts';
import type { Dim, Type, TypedExpression, TypedSubscript } from './typed.ts';
import { dimsOf, errorType, hasError, isInteger, scalarOf, showName, showType, withDims } from './types.ts';

type SubscriptNode = Extract<Expression, { kind: 'subscript' }>;

export function inferSubscript(context: Context, node: SubscriptNode): TypedExpression {
  const base = context.infer(context, node.base, undefined);
  const dims = dimsOf(base.type);
  if (base.type.kind === 'error') {
    for (const subscript of node.subscripts) inferLoose(context, subscript);
    return errorExpression(node.span);
  }
  if (node.subscripts.length > dims.length) return tooMany(context, node, base.type);
  const typed = node.subscripts.map((subscript, i) =>
    inferOne(context, subscript, { dim: dims[i]!, position: i, base: node.base }),
  );
  const kept = dims.filter((_, i) => i >= typed.length || typed[i]!.kind === 'whole');
  const failed = typed.some(subscriptFailed);
  return {
    kind: 'subscript',
    base,
    subscripts: typed,
    type: failed ? errorTypeUnlessTrial(context, withDims(base.type, kept)) : withDims(base.type, kept),
    span: node.span,
  };
}

/** While ranges are being learned, a look-up by an index without a range still has a type. */
function errorTypeUnlessTrial(context: Context, type: Type): Type {
  return context.trial ? type : errorType;
}

function subscriptFailed(subscript: TypedSubscript): boolean {
  if (subscript.kind === 'whole') return false;
  if (subscript.kind === 'at') return hasError(subscript.value.type);
  return subscript.parts.some(({ value }) => hasError(value.type));
}

/** For the errors within, when the base is one already. */
function inferLoose(context: Context, subscript: Subscript): void {
  if (subscript.kind === 'at') context.infer(context, subscript.value, scalarOf('i32'));
}

interface Target {
  readonly dim: Dim;
  readonly position: number;
  readonly base: Expression;
}

function inferOne(context: Context, subscript: Subscript, target: Target): TypedSubscript {
  if (subscript.kind === 'whole') return { kind: 'whole' };
  if (subscript.value.kind === 'tuple') return inferSplit(context, subscript.value, target);
  return { kind: 'at', value: inferIndex(context, subscript.value, target.dim.size, target) };
}

/** An integer scalar below `size`. */
function inferIndex(context: Context, value: Expression, size: Size, target: Target): TypedExpression {
  const open = openIndex(context, value);
  if (open !== undefined) {
    open.noteUse?.({ size, part: false, because: useLabel(context, value, size, target) });
    return { kind: 'index', index: open.index, type: errorType, span: value.span };
  }
  const typed = context.infer(context, value, scalarOf('i32'));
  const { type } = typed;
  if (hasError(type)) return typed;
  if (type.kind !== 'tensor' || type.dims.length > 0 || !isInteger(type.element)) {
    return notAnIndex(context, value, type);
  }
  const fits = type.element.kind === 'ix' && atMost(context.facts, type.element.range, size);
  if (fits || isInRange(context, typed, size)) return typed;
  return outOfRange(context, value, typed, size, target);
}

/** An index whose range is being looked for, standing by itself. */
function openIndex(context: Context, value: Expression): IndexEntry | undefined {
  const entry = value.kind === 'name' ? context.scope.get(value.name) : undefined;
  return entry?.kind === 'index' && entry.range === undefined ? entry : undefined;
}

export function useLabel(
  context: Pick<Context, 'text'>,
  value: Expression,
  size: Size,
  target: { readonly position: number; readonly base: Expression },
): Label {
  const name = value.kind === 'name' ? value.name : context.text(value.span);
  const base = shorten(context.text(target.base.span));
  return {
    span: value.span,
    message: `${name} runs over ${showName(size)}: dimension ${target.position + 1} of ${base}`,
  };
}

function shorten(text: string): string {
  return text.length <= 30 && !text.includes('\n') ? text : 'this tensor';
}

// ── product dimensions ─────────────────────────────────────────────────────────────────────────────────────

/**
 * The sizes of the parts into which a dimension is split, given those that are known: the missing one by
 * division, several missing ones as the dimension was written.
 */
export function splitSizes(
  context: Pick<Context, 'facts'>,
  dim: Dim,
  known: readonly (Size | undefined)[],
): readonly (Size | undefined)[] {
  const missing = known.filter((size) => size === undefined).length;
  if (missing === 1) {
    const product = known.reduce<Size>(
      (all, size) => (size === undefined ? all : multiplySizes(all, size)),
      natural(1),
    );
    const rest = divideExactly(dim.size, product);
    if (rest !== undefined) return known.map((size) => size ?? rest);
  }
  const { factors } = dim;
  const agrees =
    factors?.length === known.length &&
    known.every((size, i) => size === undefined || equalSizes(context.facts, size, factors[i]!));
  return agrees ? factors : known;
}

function inferSplit(
  context: Context,
  tuple: Extract<Expression, { kind: 'tuple' }>,
  target: Target,
): TypedSubscript {
  const { dim } = target;
  const open = tuple.elements.map((element) => openIndex(context, element));
  const typed = tuple.elements.map((element, i) =>
    open[i] === undefined
      ? context.infer(context, element, scalarOf('i32'))
      : ({
          kind: 'index',
          index: open[i].index,
          type: errorType,
          span: element.span,
        } satisfies TypedExpression),
  );
  if (typed.some((value, i) => open[i] === undefined && hasError(value.type))) {
    return { kind: 'at', value: errorExpression(tuple.span) };
  }
  const wrong = typed.findIndex(({ type }, i) => open[i] === undefined && !isScalarInteger(type));
  if (wrong >= 0)
    return { kind: 'at', value: notAnIndex(context, tuple.elements[wrong]!, typed[wrong]!.type) };
  const ranges = typed.map(({ type }) =>
    type.kind === 'tensor' && type.element.kind === 'ix' ? type.element.range : undefined,
  );
  const sizes = splitSizes(context, dim, ranges);
  open.forEach((entry, i) => {
    const size = sizes[i];
    if (entry === undefined || size === undefined) return;
    const because = useLabel(context, tuple.elements[i]!, size, target);
    entry.noteUse?.({ size, part: true, because: { ...because, message: `${because.message} in part` } });
  });
  const parts = typed.flatMap((value, i) => (sizes[i] === undefined ? [] : [{ value, size: sizes[i] }]));
  const product = parts.reduce<Size>((all, { size }) => multiplySizes(all, size), natural(1));
  if (parts.length !== typed.length || !equalSizes(context.facts, product, dim.size)) {
    const factored = splitByFactors(context, typed, dim);
    if (factored !== undefined) return factored;
    if (open.some((entry) => entry !== undefined)) return { kind: 'split', parts };
    return doesNotSplit(context, tuple, typed, target);
  }
  parts.forEach(({ value, size }, i) => {
    const isOpen = open[i] !== undefined;
    const fits = isOpen || ranges[i] === size || isInRange(context, value, size);
    if (!fits) parts[i] = { value: outOfRange(context, tuple.elements[i]!, value, size, target), size };
  });
  return { kind: 'split', parts };
}

/** Parts below the factors as they were written, when the parts' own ranges do not make up the dimension. */
function splitByFactors(
  context: Context,
  values: readonly TypedExpression[],
  dim: Dim,
): TypedSubscript | undefined {
  const { factors } = dim;
  if (factors?.length !== values.length) return undefined;
  const fits = values.every((value, i) => hasError(value.type) || isInRange(context, value, factors[i]!));
  return fits
    ? { kind: 'split', parts: values.map((value, i) => ({ value, size: factors[i]! })) }
    : undefined;
}

function isScalarInteger(type: Type): boolean {
  return type.kind === 'tensor' && type.dims.length === 0 && isInteger(type.element);
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

function tooMany(context: Context, node: SubscriptNode, type: Type): TypedExpression {
  const dims = dimsOf(type).length;
  context.report({
    code: 'E0308',
    message:
      dims === 0
        ? `a ${type.kind === 'tuple' ? 'tuple' : 'value without dimensions'} takes no subscripts`
        : `${node.subscripts.length} subscripts for a value with ${dims === 1 ? '1 dimension' : `${dims} dimensions`}`,
    at: node.subscripts[dims]?.span ?? node.span,
    label: 'this one is too many',
    secondary: [{ span: node.base.span, message: `this is ${showType(type)}` }],
    help: [
      type.kind === 'tuple'
        ? 'take the tuple apart: let (a, b) = …'
        : dims === 0
          ? 'leave the brackets out'
          : 'leave it out, or write two indices of a product dimension as (g, r)',
    ],
  });
  return errorExpression(node.span);
}

function notAnIndex(context: Context, value: Expression, type: Type): TypedExpression {
  const gathers = type.kind === 'tensor' && type.dims.length > 0 && isInteger(type.element);
  context.report({
    code: 'E0311',
    message: 'a subscript is one integer',
    at: value.span,
    label: `this is ${showType(type)}`,
    help: [
      gathers
        ? `look up element by element: for k: …[${context.text(value.span)}[k]]`
        : 'use an index, an ix value, or a sum of indices, sizes and numbers',
    ],
  });
  return errorExpression(value.span);
}

function outOfRange(
  context: Context,
  value: Expression,
  typed: TypedExpression,
  size: Size,
  target: Target,
): TypedExpression {
  const entry = value.kind === 'name' ? context.scope.get(value.name) : undefined;
  const because = entry?.kind === 'index' ? [entry.because] : [];
  const known =
    typed.type.kind === 'tensor' && typed.type.element.kind === 'ix' ? typed.type.element.range : undefined;
  const fact = upperFact(context, typed, size);
  const name = showName(size);
  const wrapped = `clamp_index[${name}](${context.text(value.span)})`;
  context.report({
    code: 'E0405',
    message:
      known === undefined
        ? `this subscript is not certainly below ${name}`
        : `this subscript is below ${showName(known)}, and the dimension has size ${name}`,
    at: value.span,
    label: `must be from 0 to ${name} − 1`,
    secondary: [
      ...because,
      { span: target.base.span, message: `dimension ${target.position + 1} has size ${name}` },
    ],
    help: [
      fact === undefined || !mayHold(context.facts, fact)
        ? 'guard it with `if`, or choose ranges that keep it inside'
        : stateHelp(context.signature.declaration, fact),
    ],
    fixes: [
      ...(fact === undefined ? [] : factFixes(factScope(context), fact)),
      fixGiven(
        factScope(context),
        { relation: '<=', left: natural(1), right: size },
        replaceFix(`clamp it into range: ${wrapped}`, value.span, wrapped),
      ),
    ],
  });
  return errorExpression(value.span);
}

function doesNotSplit(
  context: Context,
  tuple: Extract<Expression, { kind: 'tuple' }>,
  typed: readonly TypedExpression[],
  target: Target,
): TypedSubscript {
  const parts = typed.map(({ type }, i) => {
    const range =
      type.kind === 'tensor' && type.element.kind === 'ix' ? showName(type.element.range) : undefined;
    return `${context.text(tuple.elements[i]!.span)} ${range === undefined ? 'has no range of its own' : `is below ${range}`}`;
  });
  const size = showName(target.dim.size);
  context.report({
    code: 'E0409',
    message: `a dimension of size ${size} does not split into these parts`,
    at: tuple.span,
    label: parts.join(', '),
    secondary: [{ span: target.base.span, message: `dimension ${target.position + 1} has size ${size}` }],
    help: [`give the parts ranges whose product is ${size}: for (g < G, r < R): …`],
  });
  return { kind: 'at', value: errorExpression(tuple.span) };
}
