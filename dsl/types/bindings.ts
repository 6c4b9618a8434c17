/** `{ let … let … result }`, and the `let`s of a property. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Binding, Expression } from '../syntax/tree.ts';
import { affineOf } from './affine.ts';
import { comprehend } from './comprehensions.ts';
import type { Context } from './context.ts';
import { convert } from './conversions.ts';
import { type BoundPattern, bindPattern } from './patterns.ts';
import { extend } from './scope.ts';
import { typeOf } from './type-expressions.ts';
import { typeScope } from './type-scope.ts';
import type { Type, TypedExpression } from './typed.ts';
import { hasError, saysPlacement } from './types.ts';

export function inferBlock(
  context: Context,
  node: Extract<Expression, { kind: 'block' }>,
  expected: Type | undefined,
): TypedExpression {
  const { inner, around } = bindAll(context, node.bindings, node.span);
  return around(inner.infer(inner, node.result, expected));
}

/** Where the names are in scope, and the `let`s around what is inferred there. */
export function bindAll(
  context: Context,
  bindings: readonly Binding[],
  span: Span,
): { readonly inner: Context; readonly around: (body: TypedExpression) => TypedExpression } {
  const bound: { readonly value: TypedExpression; readonly pattern: BoundPattern['pattern'] }[] = [];
  let inner = context;
  for (const binding of bindings) {
    const { value, pattern, entries } = inferBinding(inner, binding);
    bound.push({ value, pattern });
    inner = { ...inner, scope: extend(inner.scope, entries) };
  }
  const around = (innermost: TypedExpression): TypedExpression =>
    bound.reduceRight<TypedExpression>(
      (body, { value, pattern }) => ({ kind: 'let', pattern, value, body, type: body.type, span }),
      innermost,
    );
  return { inner, around };
}

function inferBinding(
  context: Context,
  binding: Binding,
): BoundPattern & { readonly value: TypedExpression } {
  const { pattern } = binding;
  const annotated =
    binding.type === undefined ? undefined : typeOf(binding.type, typeScope(context), 'no float');
  if (pattern.kind === 'element') {
    const { indices, name, span } = pattern;
    const value = comprehend(context, indices, binding.value, span, undefined, (inner) =>
      annotatedValue(inner, binding, annotated),
    );
    return { value, ...bindPattern(context, { kind: 'name', name, span }, value.type) };
  }
  const value = annotatedValue(context, binding, annotated);
  const bound = bindPattern(context, pattern, value.type);
  const affine = affineOf(context, value);
  if (bound.pattern.kind === 'local' && affine !== undefined) {
    context.body.affineLocals.set(bound.pattern.local, affine);
  }
  return { value, ...bound };
}

/** For `let h[f]: bf16 = e` the annotation is the element's type. */
function annotatedValue(context: Context, binding: Binding, annotated: Type | undefined): TypedExpression {
  const value = context.infer(context, binding.value, annotated);
  if (annotated === undefined || binding.type === undefined) return value;
  const converted = convert(context, value, {
    type: annotated,
    place: 'written',
    asker: 'the annotated type',
    because: [{ span: binding.type.span, message: 'written here' }],
  });
  if (hasError(converted.type) || !saysPlacement(annotated)) return converted;
  return { kind: 'placed', value: converted, to: annotated, type: annotated, span: value.span };
}
