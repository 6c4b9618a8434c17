/** A function of scalars applied to tensors: element by element, as operators are. */
import type { Span } from '../diagnostics/diagnostic.ts';
import { type Context, errorExpression, newIndex, newLocal } from './context.ts';
import { commonDims } from './pointwise.ts';
import type { TypedExpression } from './typed.ts';
import { dropDims, indexType, prependDims } from './types.ts';

/**
 * `build` makes the call from scalar arguments; where an argument has dims it is made once for each element.
 */
export function liftOverDims(
  context: Context,
  written: { readonly name: string; readonly span: Span },
  values: readonly TypedExpression[],
  build: (values: readonly TypedExpression[]) => TypedExpression,
): TypedExpression {
  const { span } = written;
  const dims = commonDims(context, written, values);
  if (dims === undefined) return errorExpression(span);
  if (dims.length === 0) return build(values);
  const indices = dims.map(({ size }, i) => ({ id: newIndex(context), name: `i${i}`, range: size }));
  const at = indices.map(({ id, range }) => ({
    kind: 'at' as const,
    value: { kind: 'index', index: id, type: indexType(range), span } satisfies TypedExpression,
  }));
  const isShaped = ({ type }: TypedExpression): boolean => type.kind === 'tensor' && type.dims.length > 0;
  const shaped = values.filter(isShaped).map((value) => ({ value, local: newLocal(context) }));
  const elements = values.map((value): TypedExpression => {
    const named = shaped.find((candidate) => candidate.value === value);
    if (named === undefined) return value;
    const base: TypedExpression = { kind: 'local', local: named.local, type: value.type, span: value.span };
    const type = dropDims(value.type, dims.length);
    return { kind: 'subscript', base, subscripts: at, type, span: value.span };
  });
  const call = build(elements);
  if (call.type.kind === 'error') return call;
  const body: TypedExpression = {
    kind: 'comprehension',
    groups: indices.map((index) => [index]),
    body: call,
    type: prependDims(dims, call.type),
    span,
  };
  return shaped.reduceRight<TypedExpression>(
    (rest, { value, local }) => ({
      kind: 'let',
      pattern: { kind: 'local', local, name: written.name, type: value.type },
      value,
      body: rest,
      type: rest.type,
      span,
    }),
    body,
  );
}
