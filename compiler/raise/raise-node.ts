/** Nodes as bindings: one table by kind. */
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import { samePlacement } from '../../dsl/placement/placement.ts';
import type { Binding, Expression, LetPattern, TypeExpression } from '../../dsl/syntax/tree.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type {
  CollectiveNode,
  LoopNode,
  Node,
  OrderNode,
  PrefixNode,
  Tensor,
  TensorId,
} from '../graph/graph.ts';
import { arithmeticOf, isNarrow } from '../graph/scalar.ts';
import { changeWithoutIdle } from '../partition/idle-axes.ts';
import { raiseCompute } from './raise-compute.ts';
import type { Raising } from './raising.ts';
import {
  binding,
  block,
  call,
  comprehension,
  identifier,
  index,
  named,
  namePattern,
  natural,
  span,
  subscripted,
  tuple,
  tuplePattern,
  tupleType,
} from './source-tree.ts';
import { dimsOf, pendingOf, placedType, plainType, storedType } from './tensor-types.ts';

type Rules = {
  readonly [K in Node['kind']]: (node: Extract<Node, { kind: K }>, raising: Raising) => readonly Binding[];
};

const rules: Rules = {
  compute: (node, raising) => [raiseCompute(node, raising)],
  order: raiseOrder,
  prefix: raisePrefix,
  loop: raiseLoop,
  collective: raiseCollective,
  softmaxSum: unwritten('a streamed softmax'),
  route: unwritten('a table of routes'),
  block: perDevice,
  exchange: perDevice,
};

export function raiseNodes(nodes: readonly Node[], raising: Raising): readonly Binding[] {
  return nodes.flatMap((node) =>
    (rules[node.kind] as (node: Node, raising: Raising) => readonly Binding[])(node, raising),
  );
}

/** What optimizing and localizing make, and lowering does not. */
function unwritten(what: string): () => never {
  return () => {
    throw new Error(`${what} has no form in the source`);
  };
}

function perDevice(): never {
  throw new UserError(
    'wrong-input',
    'what each device of a mesh does by itself cannot be shown as source',
    'show it for one device, or as a graph',
  );
}

/** `for i, j: f(x[i, j])` of what goes along the last dimension of a tensor. */
function byRows(
  { shape }: Tensor,
  source: Expression,
  raising: Raising,
  value: (row: Expression) => Expression,
) {
  const names = raising.indices.outputs(Math.max(0, shape.length - 1));
  const patterns = names.map((name) => index(name, undefined));
  return comprehension(patterns, value(subscripted(source, names.map(named))));
}

// ── sorting ────────────────────────────────────────────────────────────────────────────────────────────────

/** The values in order come along, and nobody asks for them. */
function raiseOrder({ source: id, direction, result }: OrderNode, raising: Raising): readonly Binding[] {
  const source = raising.tensor(id);
  const extent = source.shape.at(-1)!;
  const kept = result.shape.at(-1)!;
  const given = direction === 'descending' ? kept : extent;
  const arithmetic = arithmeticOf(source.dtype);
  const numbers = arithmetic === 'bool' ? 'i32' : arithmetic;
  const value = byRows(source, named(raising.name(id)), raising, (row) => {
    const sortable = arithmetic === 'bool' ? call('i32', [row]) : row;
    return direction === 'descending' ? call('top_k', [sortable], [kept]) : call('sort', [sortable]);
  });
  raising.below.set(result.id, extent);
  const shape = [...source.shape.slice(0, -1), given];
  const placement = raising.placementOf(result.id);
  const name = raising.name(result.id);
  const values = raising.names.fresh(`${name}_values`);
  const order = given === kept ? name : raising.names.fresh(`${name}_whole`);
  const whole = binding(
    tuplePattern([namePattern(values), namePattern(order)]),
    tupleType([
      placedType(raising, { name: numbers, sizes: [] }, { shape }, placement),
      placedType(raising, { name: 'ix', sizes: [extent] }, { shape }, placement),
    ]),
    value,
  );
  if (given === kept) return [whole];
  const names = raising.indices.outputs(shape.length);
  const patterns = result.shape.map((size, axis) =>
    index(names[axis]!, axis === shape.length - 1 ? size : undefined),
  );
  const first = comprehension(patterns, subscripted(named(order), names.map(named)));
  return [whole, binding(namePattern(name), storedType(raising, result), first)];
}

const prefixes = { sum: 'cumsum', prod: 'cumprod', max: 'cummax' } as const;

function raisePrefix({ source: id, combiner, result }: PrefixNode, raising: Raising): readonly Binding[] {
  const source = raising.tensor(id);
  const isCast = isNarrow(result.dtype) && dtypeFacts[result.dtype].class !== 'float';
  const value = byRows(source, named(raising.name(id)), raising, (row) => {
    const prefix = call(prefixes[combiner], [row]);
    return isCast ? call(result.dtype, [prefix]) : prefix;
  });
  return [binding(namePattern(raising.name(result.id)), storedType(raising, result), value)];
}

// ── loops ──────────────────────────────────────────────────────────────────────────────────────────────────

function raiseLoop(node: LoopNode, raising: Raising): readonly Binding[] {
  const { body, count, initial, loop, results } = node;
  const step = raising.names.fresh('step');
  raising.steps.set(loop, { name: step, count });
  const states = body.inputs.map(({ tensor }) => tensor);
  const before = initial.map((id, position) => startOf(raising.tensor(id), states[position]!, raising));
  const bindings = raiseNodes(body.nodes, raising);
  const outputs = body.outputs.map((output) => output.tensor);
  const read = (id: TensorId): Expression => named(raising.name(id));
  const collected = outputs.slice(states.length);
  for (const [position, id] of collected.entries()) {
    const below = raising.below.get(id);
    if (below !== undefined) raising.below.set(results[states.length + position]!.id, below);
  }
  const pattern = (tensors: readonly Tensor[]) =>
    tuplePattern(tensors.map(({ id }) => namePattern(raising.name(id))));
  const types = (tensors: readonly Tensor[]): TypeExpression =>
    tupleType(tensors.map((tensor) => storedType(raising, tensor)));
  const isFold = collected.length === 0;
  const [final, stacked] = [results.slice(0, states.length), results.slice(states.length)];
  const carried: Carried =
    states.length === 0
      ? nothingCarried(raising)
      : {
          state: pattern(states),
          initial: tuple(before.map(({ value }) => value)),
          next: tuple(outputs.slice(0, states.length).map(read)),
          final: pattern(final),
          type: types(final),
        };
  const value: Expression = {
    kind: 'loop',
    loop: isFold ? 'fold' : 'scan',
    items: { kind: 'count', index: identifier(step), bound: natural(count) },
    state: carried.state,
    initial: carried.initial,
    body: block(bindings, isFold ? carried.next : tuple([carried.next, tuple(collected.map(read))])),
    span,
  };
  const loopBinding = isFold
    ? binding(carried.final, carried.type, value)
    : binding(
        tuplePattern([carried.final, pattern(stacked)]),
        tupleType([carried.type, types(stacked)]),
        value,
      );
  return [...before.flatMap(({ bindings: own }) => own), loopBinding];
}

/** What goes from step to step. */
interface Carried {
  readonly state: LetPattern;
  readonly initial: Expression;
  readonly next: Expression;
  readonly final: LetPattern;
  readonly type: TypeExpression;
}

/** A loop is written with a state, also where all that was one is left out. */
function nothingCarried(raising: Raising): Carried {
  const [state, final] = ['none', 'none'].map((name) => raising.names.fresh(name)) as [string, string];
  return {
    state: namePattern(state),
    initial: call('i32', [sizeOf(0)]),
    next: named(state),
    final: namePattern(final),
    type: placedType(raising, { name: 'i32', sizes: [] }, { shape: [] }, undefined),
  };
}

/**
 * What a state begins with. It is of one type from step to step, of which the next one need not be an index,
 * and it lives at one place.
 */
function startOf(
  { dtype, id, name }: Tensor,
  state: Tensor,
  raising: Raising,
): { readonly bindings: readonly Binding[]; readonly value: Expression } {
  const value = raising.below.has(id) ? call(dtype, [named(raising.name(id))]) : named(raising.name(id));
  const [given, wanted] = [id, state.id].map(raising.placementOf);
  if (given === undefined || wanted === undefined || samePlacement(given, wanted))
    return { bindings: [], value };
  const start = raising.names.fresh(`${name}_start`);
  return {
    bindings: [binding(namePattern(start), plainType(raising, state, wanted), value)],
    value: named(start),
  };
}

// ── collectives ────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Whether the node gives what it is given, where it is: on one device each does, and so does a planned change
 * or a declaration that is none.
 */
export function isAlias(
  { change, result, source }: CollectiveNode,
  { mesh, placementOf }: Pick<Raising, 'mesh' | 'placementOf'>,
): boolean {
  if (mesh === undefined || changeWithoutIdle(change, mesh) === undefined) return true;
  if (change.kind !== 'reshard' && change.kind !== 'declare') return false;
  const [before, after] = [source, result.id].map(placementOf);
  return before !== undefined && after !== undefined && samePlacement(before, after);
}

function raiseCollective(node: CollectiveNode, raising: Raising): readonly Binding[] {
  const { result, source } = node;
  const below = raising.below.get(source);
  if (below !== undefined) raising.below.set(result.id, below);
  if (isAlias(node, raising)) return [];
  const name = namePattern(raising.name(result.id));
  return [binding(name, storedType(raising, result), changedValue(node, raising))];
}

function changedValue({ change, result, source }: CollectiveNode, raising: Raising): Expression {
  const value = named(raising.name(source));
  const active = changeWithoutIdle(change, raising.mesh!)!;
  const { shape } = result;
  /** Dimensions are named by their sizes. */
  const isNamed = (...dims: readonly number[]): boolean =>
    dims.every((dim) => shape.filter((extent) => extent === shape[dim]).length === 1);
  switch (active.kind) {
    case 'declare':
      return value;
    case 'all_gather':
    case 'all_reduce':
    case 'broadcast':
      return call(active.kind, [value, axesOf(active.axes)]);
    case 'reduce_scatter': {
      const { axes, dim } = active;
      if (!isNamed(dim)) break;
      return call(active.kind, [value, axesOf(axes), sizeOf(shape[dim]!)]);
    }
    case 'all_to_all': {
      const { axes, from, to } = active;
      if (!isNamed(from, to)) break;
      const move = { kind: 'move', from: natural(shape[from]!), to: natural(shape[to]!), span } as const;
      const written = call(active.kind, [value, axesOf(axes)]);
      return written.kind === 'call' ? { ...written, arguments: [...written.arguments, move] } : written;
    }
    case 'reshard':
  }
  const placement = raising.placementOf(result.id);
  const dims = dimsOf(raising, shape, placement);
  return { kind: 'reshard', value, dims, pending: pendingOf(placement), span };
}

function axesOf(axes: readonly string[]): Expression {
  return tuple(axes.map(named));
}

function sizeOf(extent: number): Expression {
  return { kind: 'number', text: String(extent), span };
}
