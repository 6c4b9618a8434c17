/**
 * Collectives: the identity on values, kept as nodes for the partitioner. What moves is stored first, with an
 * axis for each index variable that it depends on: a collective of one row is one of all rows together.
 */

import type { PlacementChange } from '../graph/graph.ts';
import { iterator, load } from '../graph/scalar.ts';
import type { Typed } from './lower-expression.ts';
import type { Lowering, Scope } from './lowering.ts';
import { mapLeaves, type TensorValue, type Value } from './value.ts';

type Collective = Typed<'collective'>;

export function lowerCollective(expression: Collective, scope: Scope, lowering: Lowering): Value {
  const value = lowering.lower(expression.value, scope);
  return mapLeaves(value, (leaf) => moved(expression, leaf, lowering));
}

function moved(expression: Collective, leaf: TensorValue, { builder }: Lowering): TensorValue {
  const { collective } = expression;
  const leading = builder.free(leaf);
  const change = changeOf(expression, leading.length);
  if (change === undefined) return leaf;
  const source = builder.tensorFor(leaf, { name: collective, leading });
  const result = builder.result(collective, source.dtype, source.shape);
  builder.define({ kind: 'collective', source: source.id, result, change });
  const axes = leaf.axes.map(({ extent, factors }) => builder.axis(extent, factors));
  const subscripts = [...leading, ...axes.map((axis) => axis.iterator)].map(iterator);
  return { kind: 'tensor', axes, body: load(result, subscripts) };
}

/** The dimensions of the value follow `leading` others. A shift changes what a device holds, not the value. */
function changeOf(expression: Collective, leading: number): PlacementChange | undefined {
  const { collective: kind, axes, to } = expression;
  const [first = 0, second = 0] = expression.dims.map((dim) => leading + dim);
  switch (kind) {
    case 'all_gather':
    case 'all_reduce':
    case 'broadcast':
      return { kind, axes };
    case 'reduce_scatter':
      return { kind, axes, dim: first };
    case 'all_to_all':
      return { kind, axes, from: first, to: second };
    case 'reshard':
      return to && { kind, first: leading, to };
    case 'shift':
      return undefined;
  }
}
