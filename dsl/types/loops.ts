/** `fold` and `scan`. */
import type { Expression } from '../syntax/tree.ts';
import { type Context, errorExpression, newIndex } from './context.ts';
import { loopState, sameState } from './loop-state.ts';
import { bindPattern } from './patterns.ts';
import { type Entry, extend } from './scope.ts';
import type { Size } from './size.ts';
import { sizeOf } from './type-expressions.ts';
import { typeScope } from './type-scope.ts';
import type { IndexId, Type, TypedExpression, TypedPattern } from './typed.ts';
import { dimOf, dimsOf, dropDims, errorType, hasError, prependDims, showName, showType } from './types.ts';

type LoopNode = Extract<Expression, { kind: 'loop' }>;

interface Items {
  readonly count: Size;
  readonly name: string;
  readonly item: { readonly pattern: TypedPattern; readonly sequence: TypedExpression } | undefined;
  readonly entries: readonly (readonly [string, Entry])[];
}

export function inferLoop(context: Context, node: LoopNode, expected: Type | undefined): TypedExpression {
  const step = newIndex(context);
  const items = loopItems(context, node, step);
  const first =
    node.loop === 'fold' ? expected : expected?.kind === 'tuple' ? expected.elements[0] : undefined;
  const state = loopState(context, node.state, node.initial, first);
  if (items === undefined || state === undefined) return errorExpression(node.span);
  const inner = { ...context, scope: extend(context.scope, [...items.entries, ...state.entries]) };
  const { initial } = state;
  const shared = {
    kind: 'loop',
    loop: node.loop,
    count: items.count,
    step: { id: step, name: items.name, range: items.count },
    item: items.item,
    state: state.pattern,
    initial,
    span: node.span,
  } as const;
  if (node.loop === 'fold') {
    const body = sameState(context, inner.infer(inner, node.body, initial.type), state, 'fold');
    return body === undefined ? errorExpression(node.span) : { ...shared, body, type: initial.type };
  }
  const raw = inner.infer(inner, node.body, undefined);
  if (hasError(raw.type)) return errorExpression(node.span);
  const output =
    raw.type.kind === 'tuple' && raw.type.elements.length === 2 ? raw.type.elements[1] : undefined;
  if (output === undefined) return notAPair(context, raw);
  const body = sameState(context, raw, state, 'scan', { kind: 'tuple', elements: [initial.type, output] });
  if (body === undefined) return errorExpression(node.span);
  const stacked = prependDims([dimOf(items.count)], output);
  return { ...shared, body, type: { kind: 'tuple', elements: [initial.type, stacked] } };
}

function loopItems(context: Context, node: LoopNode, step: IndexId): Items | undefined {
  const { items } = node;
  if (items.kind === 'count') {
    const count = sizeOf(items.bound, typeScope(context));
    if (count === undefined) return undefined;
    const { name, span } = items.index;
    const because = { span, message: `${name} runs over ${showName(count)}` };
    const entry: Entry = { kind: 'index', index: step, range: count, because, noteUse: undefined };
    return { count, name, item: undefined, entries: [[name, entry]] };
  }
  const sequence = context.infer(context, items.sequence, undefined);
  const [leading] = dimsOf(sequence.type);
  const bound = bindPattern(
    context,
    items.pattern,
    leading === undefined ? errorType : dropDims(sequence.type, 1),
  );
  if (hasError(sequence.type)) return undefined;
  if (leading === undefined) {
    context.report({
      code: 'E0308',
      message: `${node.loop} runs over the rows of a leading dimension, and this has none`,
      at: items.sequence.span,
      label: `this is ${showType(sequence.type)}`,
      help: [`count instead: ${node.loop} i < N from …`],
    });
    return undefined;
  }
  const item = { pattern: bound.pattern, sequence };
  return { count: leading.size, name: 'step', item, entries: bound.entries };
}

function notAPair(context: Context, body: TypedExpression): TypedExpression {
  context.report({
    code: 'E0309',
    message: 'the body of a scan gives the next state and an output',
    at: body.span,
    label: `this is ${showType(body.type)}`,
    help: ['write (state, output), or use fold when nothing is collected'],
  });
  return errorExpression(body.span);
}
