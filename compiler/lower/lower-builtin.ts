/** The built-in functions that are not pointwise: one table. */
import type { Builtin, TypedExpression } from '../../dsl/types/typed.ts';
import type { PrefixNode, Scalar } from '../graph/graph.ts';
import { apply, arithmeticOf, integer, iterator, load } from '../graph/scalar.ts';
import { clampTo } from './cast.ts';
import type { Typed } from './lower-expression.ts';
import { asIndex, type Lowering, type Scope, settle, sizeOf } from './lowering.ts';
import { type Draw, draws, foldIn, type KeyWords, splitHalf } from './randomness.ts';
import { lowerSoftmax } from './softmax.ts';
import {
  type KeyValue,
  scalarOf,
  scalarValue,
  type TensorValue,
  tensorOf,
  type Value,
  zipLeaves,
} from './value.ts';

/** Arguments are evaluated already, and stored where that is not cheap. */
type Rule = (
  arguments_: readonly Value[],
  type: TypedExpression['type'],
  scope: Scope,
  lowering: Lowering,
) => Value;

const table: { readonly [B in Builtin]: Rule } = {
  softmax: ([x, visible], _type, _scope, lowering) =>
    lowerSoftmax(lowering, tensorOf(x!), visible && tensorOf(visible)),
  top_k: ([x], type, scope, lowering) =>
    ordered(lowering, tensorOf(x!), 'descending', resultExtent(type, scope)),
  sort: ([x], type, scope, lowering) =>
    ordered(lowering, tensorOf(x!), 'ascending', resultExtent(type, scope)),
  cumsum: ([x], _type, _scope, lowering) => prefix(lowering, tensorOf(x!), 'sum'),
  cumprod: ([x], _type, _scope, lowering) => prefix(lowering, tensorOf(x!), 'prod'),
  cummax: ([x], _type, _scope, lowering) => prefix(lowering, tensorOf(x!), 'max'),
  concat: ([first, second], _type, _scope, lowering) =>
    zipLeaves(first!, second!, (left, right) => concatenated(lowering, left, right)),
  split_key: ([key]) => ({
    kind: 'tuple',
    elements: [0, 1].map((half) => keyOf(splitHalf(wordsOf(key!), half))),
  }),
  fold_in: ([key, counter]) => keyOf(foldIn(wordsOf(key!), scalarOf(counter!))),
  uniform: ([key], type, scope, lowering) => drawn(lowering, 'uniform', key!, type, scope),
  normal: ([key], type, scope, lowering) => drawn(lowering, 'normal', key!, type, scope),
  random_bits: ([key], type, scope, lowering) => drawn(lowering, 'random_bits', key!, type, scope),
  clamp_index: ([position], type, scope, lowering) => {
    if (type.kind !== 'tensor' || type.element.kind !== 'ix') throw new Error('clamp_index gives an index');
    const { arithmetic } = lowering.builder;
    return scalarValue(clampTo(asIndex(scalarOf(position!)), sizeOf(type.element.range, scope), arithmetic));
  },
};

export function lowerBuiltin(expression: Typed<'builtin'>, scope: Scope, lowering: Lowering): Value {
  const { builtin, type } = expression;
  const evaluated = expression.arguments.map((argument) =>
    settle(lowering, lowering.lower(argument, scope), builtin),
  );
  return settle(lowering, table[builtin](evaluated, type, scope, lowering), builtin);
}

/** The extent of the vectors in a tuple of results. */
function resultExtent(type: TypedExpression['type'], scope: Scope): number {
  const [values] = type.kind === 'tuple' ? type.elements : [];
  if (values?.kind !== 'tensor') throw new Error('values and places were expected');
  return sizeOf(values.dims[0]!.size, scope);
}

/** Values in order and the places they come from. */
function ordered(
  lowering: Lowering,
  x: TensorValue,
  direction: 'ascending' | 'descending',
  kept: number,
): Value {
  const { builder } = lowering;
  const leading = builder.free(x);
  const source = builder.tensorFor(x, { name: 'ordered', leading });
  const order = builder.result('order', 'i32', [...source.shape.slice(0, -1), kept]);
  builder.define({ kind: 'order', source: source.id, direction, result: order });
  const places = builder.view(order, leading);
  const values: TensorValue = {
    kind: 'tensor',
    axes: places.axes,
    body: load(source, [...leading.map(iterator), places.body]),
  };
  return { kind: 'tuple', elements: [values, places] };
}

function prefix(lowering: Lowering, x: TensorValue, combiner: PrefixNode['combiner']): TensorValue {
  const { builder } = lowering;
  const leading = builder.free(x);
  const source = builder.tensorFor(x, { name: 'summand', leading });
  const result = builder.result(combiner, arithmeticOf(source.dtype), source.shape);
  builder.define({ kind: 'prefix', source: source.id, combiner, result });
  return builder.view(result, leading);
}

function concatenated(lowering: Lowering, left: TensorValue, right: TensorValue): TensorValue {
  const { builder } = lowering;
  const { arithmetic } = builder;
  const extent = left.axes[0]!.extent;
  const axes = [
    builder.axis(extent + right.axes[0]!.extent),
    ...left.axes.slice(1).map((axis) => builder.axis(axis.extent, axis.factors)),
  ];
  const [first, ...others] = axes.map((axis) => iterator(axis.iterator)) as [Scalar, ...Scalar[]];
  const inLeft = arithmetic.simplify(apply('lt', first, integer(extent)));
  const after = arithmetic.subtract(first, integer(extent));
  const body = apply(
    'select',
    inLeft,
    builder.at(left, [first, ...others]),
    builder.at(right, [after, ...others]),
  );
  return { kind: 'tensor', axes, body: arithmetic.simplify(body) };
}

/** One draw an element, its row-major position as the counter. */
function drawn(
  lowering: Lowering,
  draw: Draw,
  key: Value,
  type: TypedExpression['type'],
  scope: Scope,
): Value {
  if (type.kind !== 'tensor') throw new Error('a draw is a tensor');
  const { builder } = lowering;
  const axes = type.dims.map((dim) => builder.axis(sizeOf(dim.size, scope)));
  const position = builder.arithmetic.merge(
    [integer(0), ...axes.map((axis) => iterator(axis.iterator))],
    [1, ...axes.map((axis) => axis.extent)],
  );
  return { kind: 'tensor', axes, body: draws[draw](wordsOf(key), position) };
}

function wordsOf(key: Value): KeyWords {
  if (key.kind !== 'key') throw new Error(`a key was expected, not a ${key.kind}`);
  const [first, second] = key.words.map((word) => scalarOf(word)) as [Scalar, Scalar];
  return { first, second };
}

function keyOf({ first, second }: KeyWords): KeyValue {
  return { kind: 'key', words: [scalarValue(first), scalarValue(second)] };
}
