/**
 * The per-device view: `per_device sp (q, k) { … }` is what one device along sp does with its blocks. Inside,
 * a dimension S@sp is of size S / sp; outside again, a dimension of that size is S@sp.
 */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Expression, Identifier } from '../syntax/tree.ts';
import type { CallNode } from './arguments.ts';
import { type Context, errorExpression, newIndex, newLocal } from './context.ts';
import { type Facts, withFact } from './facts.ts';
import { loopState, sameState } from './loop-state.ts';
import { equalSizes } from './obligations.ts';
import { type Entry, extend, type IndexEntry } from './scope.ts';
import { parameter, parameterProduct, quotient, type Size } from './size.ts';
import { requireAxis } from './type-expressions.ts';
import { typeScope } from './type-scope.ts';
import type { Captured, Dim, Type, TypedExpression } from './typed.ts';
import { dimsOf, hasError, indexType, showType, withDims } from './types.ts';

type Local = Extract<Entry, { kind: 'local' }>;

export function inferPerDevice(
  context: Context,
  node: Extract<Expression, { kind: 'perDevice' }>,
  expected: Type | undefined,
): TypedExpression {
  const known = node.axes.filter((axis) => requireAxis(axis, typeScope(context)));
  const named = node.captures.flatMap((capture) => localNamed(context, capture) ?? []);
  if (known.length < node.axes.length || named.length < node.captures.length)
    return errorExpression(node.span);
  const axes = known.map(({ name }) => name);
  const blocks: Block[] = [];
  const captures = named.map(({ local, type }, i): Captured & { readonly inside: Type } => {
    const { name, span } = node.captures[i]!;
    const inner = newLocal(context);
    return { name, outer: local, local: inner, type, span, inside: blockType(type, axes, blocks) };
  });
  const entries = captures.map(({ name, local, inside, span }): readonly [string, Entry] => [
    name,
    { kind: 'local', local, type: inside, span },
  ]);
  const inner: Context = {
    ...context,
    insidePerDevice: true,
    scope: extend(context.scope, entries),
    facts: blocks.reduce<Facts>(
      (facts, { whole, devices }) => withFact(facts, { relation: '|', left: devices, right: whole }),
      context.facts,
    ),
  };
  const body = context.infer(inner, node.body, expected && blockType(expected, axes, []));
  if (hasError(body.type)) return errorExpression(node.span);
  const part = recordOfBlocks(inner, body.type, blocks);
  if (part !== undefined) {
    reportRecord(context, part, axes, node.body.span);
    return errorExpression(node.span);
  }
  const type = wholeType(inner, body.type, blocks);
  const kept = captures.map(({ name, outer, local, type: own, span }) => ({
    name,
    outer,
    local,
    type: own,
    span,
  }));
  return { kind: 'perDevice', axes, captures: kept, body, whole: type, type, span: node.span };
}

/** A dimension that is cut, and what one device has of it. */
interface Block {
  readonly dim: Dim;
  readonly whole: Size;
  readonly devices: Size;
  readonly size: Size;
}

/** The type of what one device has of a value of the type, where the axes cut it. */
function blockType(type: Type, axes: readonly string[], found: Block[]): Type {
  if (type.kind === 'tuple')
    return { ...type, elements: type.elements.map((element) => blockType(element, axes, found)) };
  const dims = dimsOf(type).map((dim): Dim => {
    const { placement, size } = dim;
    if (placement.kind !== 'axes') return dim;
    // Only the major axes of a list have blocks that lie together.
    const others = placement.axes.findIndex((axis) => !axes.includes(axis));
    const own = others < 0 ? placement.axes : placement.axes.slice(0, others);
    if (own.length === 0) return dim;
    const devices = parameterProduct(own);
    const block = { dim, whole: size, devices, size: quotient(size, devices) };
    found.push(block);
    const rest = placement.axes.slice(own.length);
    return {
      size: block.size,
      placement: rest.length === 0 ? { kind: 'none' } : { kind: 'axes', axes: rest },
    };
  });
  return withDims(type, dims);
}

/** A dimension of the size of a block is that dimension, cut. */
function wholeType(context: Context, type: Type, blocks: readonly Block[]): Type {
  if (type.kind === 'tuple')
    return { ...type, elements: type.elements.map((element) => wholeType(context, element, blocks)) };
  const dims = dimsOf(type).map(
    (dim) => blocks.find(({ size }) => equalSizes(context.facts, size, dim.size))?.dim ?? dim,
  );
  return withDims(type, dims);
}

type RecordType = Extract<Type, { kind: 'record' }>;

/** A record with a block's size among its sizes: its type says nothing of where the tensors in it are cut. */
function recordOfBlocks(context: Context, type: Type, blocks: readonly Block[]): RecordType | undefined {
  if (type.kind === 'tuple') {
    const found = type.elements.map((element) => recordOfBlocks(context, element, blocks));
    return found.find((record) => record !== undefined);
  }
  if (type.kind !== 'record') return undefined;
  const isBlock = (size: Size) => blocks.some((block) => equalSizes(context.facts, block.size, size));
  return type.sizes.some(isBlock) ? type : undefined;
}

function reportRecord(context: Context, type: RecordType, axes: readonly string[], span: Span): void {
  const { fields, name } = type.record;
  const names = fields.map((field) => field.name);
  context.report({
    code: 'E0514',
    message: `the ${name} of one device has blocks in it, and records of blocks are not put together`,
    at: span,
    label: `this is ${showType(type)}`,
    help: [
      `give its tensors, and make the record outside: let (${names.join(', ')}) = per_device ${listedAxes(axes)} …, then ${name}(${names.map((field) => `${field}: ${field}`).join(', ')})`,
    ],
  });
}

function listedAxes(axes: readonly string[]): string {
  return axes.length === 1 ? axes[0]! : `(${axes.join(', ')})`;
}

/** `me(sp)`: where the device is along an axis. */
export function inferMe(context: Context, node: CallNode): TypedExpression {
  const [argument] = node.arguments;
  const axis = argument?.kind === 'value' && argument.value.kind === 'name' ? argument.value : undefined;
  if (axis === undefined || node.arguments.length > 1 || !context.insidePerDevice) {
    context.report({
      code: 'E0504',
      message: context.insidePerDevice
        ? 'me is written me(axis)'
        : 'where a device is can be asked in the per-device view only',
      at: node.span,
      help: [
        context.insidePerDevice
          ? 'name one mesh axis'
          : 'put it inside per_device axis (…) { … }; outside, every index is of the whole tensor',
      ],
    });
    return errorExpression(node.span);
  }
  if (!requireAxis(axis, typeScope(context))) return errorExpression(node.span);
  return { kind: 'me', axis: axis.name, type: indexType(parameter(axis.name)), span: node.span };
}

function localNamed(context: Context, name: Identifier): Local | undefined {
  const entry = context.scope.get(name.name);
  if (entry?.kind === 'local') return entry;
  const value = context.infer(context, { kind: 'name', name: name.name, span: name.span }, undefined);
  if (hasError(value.type)) return undefined;
  context.report({
    code: 'E0503',
    message: `${name.name} is not a tensor`,
    at: name.span,
    label: `this is ${showType(value.type)}`,
    help: ['name parameters and lets here: indices and sizes are the same everywhere'],
  });
  return undefined;
}

export function inferRing(
  context: Context,
  node: Extract<Expression, { kind: 'ring' }>,
  expected: Type | undefined,
): TypedExpression {
  const known = requireAxis(node.axis, typeScope(context));
  const travelling = node.travelling.flatMap((name) => localNamed(context, name)?.local ?? []);
  const state = loopState(context, node.state, node.initial, expected);
  if (!known || state === undefined || travelling.length < node.travelling.length)
    return errorExpression(node.span);
  const turns = parameter(node.axis.name);
  const { source } = node;
  const step = source && { id: newIndex(context), name: source.name, range: turns };
  const entry: IndexEntry | undefined = step &&
    source && {
      kind: 'index',
      index: step.id,
      range: turns,
      because: { span: source.span, message: `${source.name} is a rank along ${node.axis.name}` },
      noteUse: undefined,
    };
  const scope = extend(context.scope, [
    ...state.entries,
    ...(entry && source ? [[source.name, entry] as const] : []),
  ]);
  const raw = context.infer({ ...context, scope }, node.body, state.initial.type);
  const body = sameState(context, raw, state, 'ring');
  if (body === undefined) return errorExpression(node.span);
  return {
    kind: 'ring',
    axis: node.axis.name,
    travelling,
    state: state.pattern,
    initial: state.initial,
    source: step,
    body,
    type: state.initial.type,
    span: node.span,
  };
}
