/**
 * `fold` and `scan`: one loop node, whose body is lowered once however many steps there are. A state that
 * depends on index variables of comprehensions around the loop has an axis for each: all those loops run as
 * one.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Graph, LoopId, Tensor } from '../graph/graph.ts';
import { counter, iterator, load } from '../graph/scalar.ts';
import type { GraphBuilder } from './graph-builder.ts';
import type { Typed } from './lower-expression.ts';
import { bindPattern, type Lowering, leafDtypes, rowsAt, type Scope, settle, sizeOf } from './lowering.ts';
import { leaves, type TensorValue, type Value, withLeaves } from './value.ts';

type Loop = Typed<'loop'>;

/** A tensor of the state: what it is stored as, and the index variables that it depends on. */
interface State {
  readonly initial: TensorValue;
  readonly dtype: Dtype;
  readonly leading: readonly number[];
}

interface Body {
  readonly loop: LoopId;
  readonly inputs: readonly Tensor[];
  readonly next: readonly TensorValue[];
  readonly collected: Value | undefined;
}

export function lowerLoop(expression: Loop, scope: Scope, lowering: Lowering): Value {
  const { builder } = lowering;
  const initial = lowering.lower(expression.initial, scope);
  const sequence =
    expression.item && settle(lowering, lowering.lower(expression.item.sequence, scope), 'rows');
  const dtypes = leafDtypes(expression.initial.type);
  let states: readonly State[] = leaves(initial).map((leaf, position) => {
    return { initial: leaf, dtype: dtypes[position]!, leading: builder.free(leaf) };
  });
  const before = builder.snapshot();
  let body = lowerBody(expression, scope, lowering, initial, states, sequence);
  // What the next state depends on, the state before it depends on too: tried again until nothing is added.
  for (let wider = widened(states, body.next, builder); wider; wider = widened(states, body.next, builder)) {
    builder.restore(before);
    states = wider;
    body = lowerBody(expression, scope, lowering, initial, states, sequence);
  }
  return finishLoop(expression, scope, lowering, initial, states, body);
}

/** Enters the loop and leaves it open. */
function lowerBody(
  expression: Loop,
  scope: Scope,
  lowering: Lowering,
  initial: Value,
  states: readonly State[],
  sequence: Value | undefined,
): Body {
  const { builder } = lowering;
  const loop = builder.enterLoop(sizeOf(expression.count, scope));
  const inputs = states.map(({ initial: leaf, dtype, leading }, position) =>
    builder.input(`state.${position}`, dtype, [
      ...leading.map(builder.extent),
      ...leaf.axes.map((axis) => axis.extent),
    ]),
  );
  const values = states.map(({ leading }, position) => builder.view(inputs[position]!, leading));
  scope.indices.set(expression.step.id, counter(loop));
  if (expression.item) {
    bindPattern(lowering, scope, expression.item.pattern, rowsAt(builder, sequence!, [counter(loop)]));
  }
  bindPattern(lowering, scope, expression.state, withLeaves(initial, values));
  const result = lowering.lower(expression.body, scope);
  if (expression.loop === 'fold') return { loop, inputs, next: leaves(result), collected: undefined };
  if (result.kind !== 'tuple') throw new Error('the body of a scan gives a state and an output');
  const [next, collected] = result.elements as [Value, Value];
  return { loop, inputs, next: leaves(next), collected };
}

/**
 * The states, each with the index variables that its next value brings in (those without one as they are);
 * undefined when there are none.
 */
export function widened<S extends { readonly leading: readonly number[] }>(
  states: readonly S[],
  next: readonly TensorValue[],
  builder: GraphBuilder,
): readonly S[] | undefined {
  const wider = states.map((state, position): S => {
    const leaf = next[position];
    const all = new Set([...state.leading, ...(leaf === undefined ? [] : builder.free(leaf))]);
    return { ...state, leading: [...all].sort((left, right) => left - right) };
  });
  const grew = wider.some(({ leading }, position) => leading.length > states[position]!.leading.length);
  return grew ? wider : undefined;
}

/** Stores what the body gives, leaves the loop, and makes its node. */
function finishLoop(
  expression: Loop,
  scope: Scope,
  lowering: Lowering,
  initial: Value,
  states: readonly State[],
  body: Body,
): Value {
  const { builder } = lowering;
  const outputs: Tensor[] = [];
  /** Each output is the result of a node of the body, and of one output only. */
  const give = (leaf: TensorValue, name: string, dtype: Dtype, leading: readonly number[]): Tensor => {
    const found = builder.tensorFor(leaf, { name, dtype, leading });
    const own = builder.isOwnResult(found.id) && !outputs.includes(found);
    const tensor = own
      ? found
      : builder.store(leaf, { name, dtype, leading, factored: false, inside: true }).tensor;
    outputs.push(tensor);
    return tensor;
  };
  for (const [position, { dtype, leading }] of states.entries())
    give(body.next[position]!, `next.${position}`, dtype, leading);
  const collected = body.collected ? leaves(body.collected) : [];
  const collectedDtypes = body.collected ? collectedTypes(expression) : [];
  const collectedLeading = collected.map((leaf) => builder.free(leaf));
  for (const [position, leaf] of collected.entries())
    give(leaf, `out.${position}`, collectedDtypes[position]!, collectedLeading[position]!);
  const nodes = builder.leaveLoop();

  const starts = states.map(({ initial: leaf, dtype, leading }, position) =>
    builder.tensorFor(leaf, { name: `initial.${position}`, dtype, leading }),
  );
  const count = sizeOf(expression.count, scope);
  const results = outputs.map(({ name, dtype, shape }, position) =>
    builder.result(name, dtype, position < states.length ? shape : [count, ...shape]),
  );
  const graph: Graph = {
    name: expression.loop,
    inputs: body.inputs.map((tensor) => ({ path: tensor.name, tensor })),
    nodes,
    outputs: outputs.map((tensor) => ({ path: tensor.name, tensor: tensor.id })),
  };
  builder.define({
    kind: 'loop',
    loop: body.loop,
    count,
    initial: starts.map((tensor) => tensor.id),
    body: graph,
    results,
  });

  const final = withLeaves(
    initial,
    states.map(({ leading }, position) => builder.view(results[position]!, leading)),
  );
  if (body.collected === undefined) return final;
  const stacked = collected.map((_, position) =>
    stackedView(lowering, results[states.length + position]!, collectedLeading[position]!),
  );
  return { kind: 'tuple', elements: [final, withLeaves(body.collected, stacked)] };
}

function collectedTypes(expression: Loop): readonly Dtype[] {
  const { type } = expression;
  if (type.kind !== 'tuple') throw new Error('a scan gives a state and outputs');
  return leafDtypes(type.elements[1]!);
}

/**
 * The step comes first in the tensor, before the index variables, and first of the dimensions of the value.
 */
function stackedView(lowering: Lowering, tensor: Tensor, leading: readonly number[]): TensorValue {
  const { builder } = lowering;
  const [count, ...rest] = tensor.shape;
  const step = builder.axis(count!);
  const axes = rest.slice(leading.length).map((extent) => builder.axis(extent));
  const subscripts = [step.iterator, ...leading, ...axes.map((axis) => axis.iterator)].map(iterator);
  return { kind: 'tensor', axes: [step, ...axes], body: load(tensor, subscripts) };
}
