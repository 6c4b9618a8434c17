/** `x[i, :, (g, r)]`: a view, unless what is subscripted must first be computed. */
import type { TypedSubscript } from '../../dsl/types/typed.ts';
import type { Scalar } from '../graph/graph.ts';
import { iterator, iteratorsOf, loadsOf } from '../graph/scalar.ts';
import type { Typed } from './lower-expression.ts';
import { asIndex, type Lowering, type Scope, settle, settleScalar, sizeOf } from './lowering.ts';
import { type Axis, mapLeaves, scalarOf, type TensorValue, type Value } from './value.ts';

export function lowerSubscript(expression: Typed<'subscript'>, scope: Scope, lowering: Lowering): Value {
  const { builder } = lowering;
  const base = settle(lowering, lowering.lower(expression.base, scope), 'value');
  const subscripts = expression.subscripts.map((subscript) => lowerOne(subscript, scope, lowering));
  return mapLeaves(base, (found) => {
    const leaf = isSeenInParts(found, subscripts, scope, lowering)
      ? builder.store(found, { name: 'parts' }).value
      : found;
    const kept: Axis[] = [];
    const replaced = new Map<number, Scalar>();
    for (const [position, axis] of leaf.axes.entries()) {
      const index = subscripts[position];
      const whole = index === undefined ? builder.axis(axis.extent, axis.factors) : undefined;
      if (whole) kept.push(whole);
      replaced.set(axis.iterator, index ?? iterator(whole!.iterator));
    }
    return { kind: 'tensor', axes: kept, body: builder.substitute(leaf.body, replaced) };
  });
}

/**
 * Whether a part of a dimension is looked up by data: `x[(p, place[i])]`. Where p is cut, a device has what is
 * looked up, but an index into the whole dimension does not show it; one into a tensor of the parts does. The
 * optimizer takes the tensor out again.
 */
function isSeenInParts(
  { axes, body }: TensorValue,
  subscripts: readonly (Scalar | undefined)[],
  { sizes }: Scope,
  { program }: Lowering,
): boolean {
  if (!program.axes.some((axis) => (sizes.get(axis) ?? 1) > 1)) return false;
  const lookedUp = axes
    .filter((_, position) => loadsOf(subscripts[position] ?? iterator(0)).length > 0)
    .map((axis) => axis.iterator);
  const inParts = loadsOf(body)
    .flatMap((load) => load.subscripts)
    .filter((subscript) => subscript.op !== 'iterator')
    .flatMap((subscript) => [...iteratorsOf(subscript)]);
  return lookedUp.some((axis) => inParts.includes(axis));
}

/** undefined for `:`. */
function lowerOne(subscript: TypedSubscript, scope: Scope, lowering: Lowering): Scalar | undefined {
  switch (subscript.kind) {
    case 'whole':
      return undefined;
    case 'at':
      return settleScalar(lowering, asIndex(scalarOf(lowering.lower(subscript.value, scope))), 'index');
    case 'split': {
      const parts = subscript.parts.map(({ value }) => asIndex(scalarOf(lowering.lower(value, scope))));
      const factors = subscript.parts.map(({ size }) => sizeOf(size, scope));
      return settleScalar(lowering, lowering.builder.arithmetic.merge(parts, factors), 'index');
    }
  }
}
