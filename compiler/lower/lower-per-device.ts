/**
 * The per-device view. What a device takes is stored and its block made a tensor of its own; what it gives is
 * stored, and stands outside for the tensor of which it is the block. In between are ordinary nodes with the
 * extents of blocks, exchanges, and the device's coordinates. On a mesh with one device along the axes there
 * is no border, and every exchange is the identity.
 */
import type { AxisList } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Type } from '../../dsl/types/typed.ts';
import { dimsOf } from '../../dsl/types/types.ts';
import type { ExchangeVerb, LoopId, Scalar, Tensor } from '../graph/graph.ts';
import { apply, coordinate, counter, integer } from '../graph/scalar.ts';
import { storedDtype } from './graph-builder.ts';
import type { Typed } from './lower-expression.ts';
import { widened } from './lower-loop.ts';
import { bindPattern, type Lowering, leafDtypes, type Scope, typesOfLeaves } from './lowering.ts';
import { leaves, mapLeaves, scalarValue, type TensorValue, type Value, withLeaves } from './value.ts';

/** Devices along the axes together; sizes of the mesh are sizes like any other. */
function devicesAlong(axes: AxisList, scope: Scope): number {
  return axes.reduce((product, axis) => product * (scope.sizes.get(axis) ?? 1), 1);
}

export function lowerPerDevice(expression: Typed<'perDevice'>, scope: Scope, lowering: Lowering): Value {
  const { axes, body, captures, whole } = expression;
  const inside: Scope = { ...scope, locals: new Map(scope.locals), perDevice: true };
  for (const { local, outer, type, name } of captures) {
    const value = scope.locals.get(outer)!;
    inside.locals.set(local, bordered('enter', value, type, axes, name, scope, lowering));
  }
  const result = lowering.lower(body, inside);
  return bordered('leave', result, whole, axes, 'whole', scope, lowering);
}

/** The value on the other side of the border; `type` is that of the whole. */
function bordered(
  direction: 'enter' | 'leave',
  value: Value,
  type: Type,
  axes: AxisList,
  name: string,
  scope: Scope,
  lowering: Lowering,
): Value {
  const cuts = cutsOf(type, axes, scope);
  let position = 0;
  return mapLeaves(value, (leaf) => {
    const cut = cuts[position++]!;
    return cut.some((list) => list.length > 0) ? crossed(direction, leaf, cut, name, scope, lowering) : leaf;
  });
}

/** For each leaf of the type and each dimension, those of the axes that cut it and have several devices. */
function cutsOf(type: Type, axes: AxisList, scope: Scope): readonly (readonly AxisList[])[] {
  const isBorder = (axis: string) => axes.includes(axis) && devicesAlong([axis], scope) > 1;
  return typesOfLeaves(type).map((leaf) =>
    dimsOf(leaf).map(({ placement }) => (placement.kind === 'axes' ? placement.axes.filter(isBorder) : [])),
  );
}

function crossed(
  direction: 'enter' | 'leave',
  leaf: TensorValue,
  cut: readonly AxisList[],
  name: string,
  scope: Scope,
  { builder }: Lowering,
): TensorValue {
  const leading = builder.free(leaf);
  const source = builder.tensorFor(leaf, { name, leading });
  const cuts = [...leading.map((): AxisList => []), ...cut];
  const devices = cuts.map((list) => devicesAlong(list, scope));
  const shape = source.shape.map((extent, dim) =>
    direction === 'enter' ? extent / devices[dim]! : extent * devices[dim]!,
  );
  const result = builder.result(name, source.dtype, shape);
  builder.define({ kind: 'block', direction, source: source.id, cuts, devices, result });
  return builder.view(result, leading);
}

/** Where the device is along the axis. */
function placeAlong(axis: string, scope: Scope): Scalar {
  const devices = devicesAlong([axis], scope);
  return devices === 1 ? integer(0) : coordinate(axis, devices);
}

export function lowerMe({ axis }: Typed<'me'>, scope: Scope): Value {
  return scalarValue(placeAlong(axis, scope));
}

/** What devices send each other, in the per-device view. */
export function exchanged(
  verb: ExchangeVerb,
  value: Value,
  given: AxisList,
  scope: Scope,
  lowering: Lowering,
): Value {
  const axes = given.filter((axis) => devicesAlong([axis], scope) > 1);
  return axes.length === 0
    ? value
    : mapLeaves(value, (leaf) => {
        const leading = lowering.builder.free(leaf);
        const source = lowering.builder.tensorFor(leaf, { name: verb, leading });
        return lowering.builder.view(exchange(verb, source, axes, scope, lowering), leading);
      });
}

function exchange(
  verb: ExchangeVerb,
  source: Tensor,
  axes: AxisList,
  scope: Scope,
  { builder }: Lowering,
): Tensor {
  const result = builder.result(verb, source.dtype, source.shape);
  const devices = devicesAlong(axes, scope);
  builder.define({ kind: 'exchange', verb, axes, devices, combiner: 'sum', source: source.id, result });
  return result;
}

/** A tensor that goes from turn to turn, and the index variables that it depends on. */
interface Carried {
  readonly initial: TensorValue;
  /** Of the state; what travels keeps its own. */
  readonly dtype: Dtype | undefined;
  readonly leading: readonly number[];
}

/**
 * A ring: at turn i a device has the blocks of the device i before it. All turns but the last are one loop,
 * in which what travels is sent on after it was used; after the last nothing is sent.
 */
export function lowerRing(expression: Typed<'ring'>, outside: Scope, lowering: Lowering): Value {
  const { axis, body, initial, source, state: pattern, travelling } = expression;
  const { builder } = lowering;
  // After the ring the names of what travelled are those of the device's own blocks again.
  const scope: Scope = { ...outside, locals: new Map(outside.locals) };
  const turns = devicesAlong([axis], scope);
  const start = lowering.lower(initial, scope);
  const blocks = travelling.map((local) => scope.locals.get(local)!);
  const states = leaves(start).length;

  const turn = ({ held, state }: Held, at: Scalar): Value => {
    for (const [position, local] of travelling.entries()) scope.locals.set(local, held[position]!);
    if (source !== undefined) scope.indices.set(source.id, at);
    bindPattern(lowering, scope, pattern, state);
    return lowering.lower(body, scope);
  };
  if (turns === 1) return turn({ state: start, held: blocks }, integer(0));

  /** The state and the blocks seen in tensors of what is carried. */
  const seenIn = (tensors: readonly Tensor[], carried: readonly Carried[]): Held => {
    const views = tensors.map((tensor, position) => builder.view(tensor, carried[position]!.leading));
    let next = states;
    const held = blocks.map((block) => {
      const first = next;
      next += leaves(block).length;
      return withLeaves(block, views.slice(first, next));
    });
    return { state: withLeaves(start, views.slice(0, states)), held };
  };
  /** The rank that is so many before the device, around the ring. */
  const before = (steps: Scalar): Scalar => {
    const ahead = apply('add', apply('sub', placeAlong(axis, scope), steps), integer(turns));
    return apply('mod', ahead, integer(turns));
  };
  const enter = (carried: readonly Carried[]): Turn => {
    const loop = builder.enterLoop(turns - 1);
    const inputs = carried.map(({ initial: leaf, dtype, leading }, position) => {
      const extents = [...leading.map(builder.extent), ...leaf.axes.map(({ extent }) => extent)];
      return builder.input(`held.${position}`, dtype ?? storedDtype(leaf.body), extents);
    });
    return { loop, inputs, next: leaves(turn(seenIn(inputs, carried), before(counter(loop)))) };
  };

  const dtypes = leafDtypes(initial.type);
  const first = [...leaves(start), ...blocks.flatMap(leaves)];
  let carried: readonly Carried[] = first.map((leaf, position) => {
    return { initial: leaf, dtype: dtypes[position], leading: builder.free(leaf) };
  });
  const untouched = builder.snapshot();
  let found = enter(carried);
  // What a state depends on after a turn it depends on before it.
  for (
    let wider = widened(carried, found.next, builder);
    wider;
    wider = widened(carried, found.next, builder)
  ) {
    builder.restore(untouched);
    carried = wider;
    found = enter(carried);
  }

  const { loop, inputs, next } = found;
  const outputs = [
    ...next.map((leaf, position) => {
      const { dtype } = inputs[position]!;
      const { leading } = carried[position]!;
      const options = { name: `next.${position}`, dtype, leading, factored: false, inside: true };
      return builder.store(leaf, options).tensor;
    }),
    ...inputs.slice(states).map((input) => exchange('shift', input, [axis], scope, lowering)),
  ];
  const nodes = builder.leaveLoop();
  const starts = carried.map(({ initial: leaf, leading }, position) => {
    const { dtype, name } = inputs[position]!;
    return builder.tensorFor(leaf, { name, dtype, leading }).id;
  });
  const results = outputs.map(({ name, dtype, shape }) => builder.result(name, dtype, shape));
  builder.define({
    kind: 'loop',
    loop,
    count: turns - 1,
    initial: starts,
    body: {
      name: 'ring',
      inputs: inputs.map((tensor) => ({ path: tensor.name, tensor })),
      nodes,
      outputs: outputs.map((tensor) => ({ path: tensor.name, tensor: tensor.id })),
    },
    results,
  });
  return turn(seenIn(results, carried), before(integer(turns - 1)));
}

/** What a device has at one turn. */
interface Held {
  readonly state: Value;
  /** The blocks that travel. */
  readonly held: readonly Value[];
}

/** One turn of a loop that is still open. */
interface Turn {
  readonly loop: LoopId;
  readonly inputs: readonly Tensor[];
  readonly next: readonly TensorValue[];
}
