/**
 * Collectives: the identity on values, kept as nodes for the partitioner. What moves is stored first, with an
 * axis for each index variable that it depends on: a collective of one row is one of all rows together.
 */

import type { AxisList } from '../../dsl/placement/placement.ts';
import type { Type } from '../../dsl/types/typed.ts';
import { dimsOf, saysPlacement } from '../../dsl/types/types.ts';
import type { PlacementChange } from '../graph/graph.ts';
import { iterator, load } from '../graph/scalar.ts';
import type { Typed } from './lower-expression.ts';
import { exchanged } from './lower-per-device.ts';
import { type Lowering, type Scope, typesOfLeaves } from './lowering.ts';
import { mapLeaves, type TensorValue, type Value } from './value.ts';

type Collective = Typed<'collective'>;

export function lowerCollective(expression: Collective, scope: Scope, lowering: Lowering): Value {
  const value = lowering.lower(expression.value, scope);
  const { axes, collective } = expression;
  if (scope.perDevice && collective !== 'reshard') return exchanged(collective, value, axes, scope, lowering);
  return mapLeaves(value, (leaf) => moved(expression, leaf, lowering));
}

function moved(expression: Collective, leaf: TensorValue, lowering: Lowering): TensorValue {
  const leading = lowering.builder.free(leaf);
  const change = changeOf(expression, leading.length);
  return change === undefined ? leaf : changed(leaf, leading, change, expression.collective, lowering);
}

function changed(
  leaf: TensorValue,
  leading: readonly number[],
  change: PlacementChange,
  name: string,
  { builder }: Lowering,
): TensorValue {
  const source = builder.tensorFor(leaf, { name, leading });
  const result = builder.result(name, source.dtype, source.shape);
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

export function lowerPlaced({ value, to }: Typed<'placed'>, scope: Scope, lowering: Lowering): Value {
  return declared(lowering.lower(value, scope), to, lowering);
}

/** The value where the type says that it lives, of which nothing is left to do where it says nothing. */
export function declared(value: Value, type: Type, lowering: Lowering): Value {
  if (!saysPlacement(type)) return value;
  const types = typesOfLeaves(type);
  let position = 0;
  return mapLeaves(value, (leaf) => {
    const own = types[position++]!;
    return saysPlacement(own) ? declaredAs(leaf, own, asItComes, lowering) : leaf;
  });
}

/** What becomes of a dimension of which a type does not say how it is cut; undefined: what it is. */
interface Unsaid {
  readonly unwritten: AxisList | undefined;
  /** Of one that is written to be open: `S@?`. */
  readonly open: AxisList | undefined;
}

const asItComes: Unsaid = { unwritten: undefined, open: undefined };

/** Where dimensions that are not written are whole, what is not written to be pending is final. */
export function declaredAs(
  leaf: TensorValue,
  type: Type,
  { unwritten, open }: Unsaid,
  lowering: Lowering,
): TensorValue {
  const dims = dimsOf(type).map(({ placement }) => {
    if (placement.kind === 'axes') return placement.axes;
    return placement.kind === 'hole' ? open : unwritten;
  });
  const written = (type.kind === 'tensor' ? type.pending : undefined) ?? (unwritten && []);
  const pending = written && new Map(written.map(({ axis, combiner }) => [axis, combiner]));
  const leading = lowering.builder.free(leaf);
  const change = { kind: 'declare', first: leading.length, dims, pending } as const;
  return changed(leaf, leading, change, 'declared', lowering);
}
