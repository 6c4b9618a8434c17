/**
 * What every graph must satisfy, as tables of rules: over whole graphs, over nodes, and over the scalar
 * expressions in them. Run after every pass; a fault is a bug of the pass before it.
 */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type {
  Arithmetic,
  Combiner,
  ComputeNode,
  ExchangeNode,
  ExchangeVerb,
  Graph,
  LoopId,
  LoopNode,
  Node,
  PlacementChange,
  Scalar,
  SoftmaxSumNode,
  Tensor,
  TensorId,
  TensorType,
} from './graph.ts';
import { results } from './graph.ts';
import { printScalar, printType } from './print.ts';
import {
  applyType,
  arithmeticOf,
  isNarrow,
  iterators,
  load,
  loadsOf,
  operands,
  scalarKey,
  scalarType,
  subexpressions,
} from './scalar.ts';
import { elementCount, sameShape } from './tensor-type.ts';
import { allNodes, readsOf } from './uses.ts';

export interface GraphFault {
  readonly rule: string;
  /** `compute h%3`, or the graph's name when it is a matter of the whole graph. */
  readonly node: string;
  readonly message: string;
}

/** Every fault of the graph and its loop bodies, in order; a well-formed graph has none. */
export function checkGraph(graph: Graph): readonly GraphFault[] {
  const faults: GraphFault[] = [];
  for (const [rule, check] of Object.entries(graphRules))
    for (const message of check(graph)) faults.push({ rule, node: graph.name, message });
  checkNodes(graph, { tensors: new Map(), loops: new Set() }, faults);
  return faults;
}

/** Throws an internal error that names the stage, and for each fault the node and the rule. */
export function assertWellFormed(graph: Graph, stage: string): void {
  const faults = checkGraph(graph);
  if (faults.length === 0) return;
  const shown = faults.slice(0, 8).map(({ rule, node, message }) => `\n  ${node}: ${message} (${rule})`);
  const more = faults.length > shown.length ? `\n  and ${faults.length - shown.length} more` : '';
  throw new Error(`${stage} gave an ill-formed graph ${graph.name}:${shown.join('')}${more}`);
}

/** What may be used at a node. */
interface Scope {
  readonly tensors: ReadonlyMap<TensorId, Tensor>;
  readonly loops: ReadonlySet<LoopId>;
}

type Messages = Iterable<string>;

function checkNodes(graph: Graph, outer: Scope, faults: GraphFault[]): void {
  const tensors = new Map(outer.tensors);
  const scope: Scope = { tensors, loops: outer.loops };
  for (const { tensor } of graph.inputs) tensors.set(tensor.id, tensor);
  for (const node of graph.nodes) {
    const add = (rule: string, message: string): void => {
      faults.push({ rule, node: describeNode(node), message });
    };
    for (const [rule, check] of Object.entries(nodeRules))
      for (const message of check(node, scope)) add(rule, message);
    for (const place of scalarPlaces(node)) checkScalar(place, scope, add);
    if (node.kind === 'loop')
      checkNodes(node.body, { tensors, loops: new Set([...scope.loops, node.loop]) }, faults);
    for (const tensor of results(node)) tensors.set(tensor.id, tensor);
  }
  for (const { path, tensor } of graph.outputs)
    if (!tensors.has(tensor))
      faults.push({ rule: 'outputs are defined', node: graph.name, message: `${path} is %${tensor}` });
}

/** `compute h%3` */
export function describeNode(node: Node): string {
  return `${node.kind} ${results(node)
    .map(({ name, id }) => `${name}%${id}`)
    .join(', ')}`;
}

// ── whole graphs ───────────────────────────────────────────────────────────────────────────────────────────

const graphRules: Readonly<Record<string, (graph: Graph) => Messages>> = {
  *'tensor ids are unique'(graph) {
    const inner = allNodes(graph).flatMap((node) => (node.kind === 'loop' ? node.body.inputs : []));
    const defined = [
      ...[...graph.inputs, ...inner].map(({ tensor }) => tensor),
      ...allNodes(graph).flatMap(results),
    ];
    for (const id of repeated(defined.map((tensor) => tensor.id))) yield `%${id} is defined more than once`;
  },
  *'loop ids are unique'(graph) {
    const loops = allNodes(graph).flatMap((node) => (node.kind === 'loop' ? [node.loop] : []));
    for (const loop of repeated(loops)) yield `loop ${loop} occurs more than once`;
  },
  *'paths are unique'(graph) {
    for (const path of repeated(graph.inputs.map((input) => input.path))) yield `two inputs ${path}`;
    for (const path of repeated(graph.outputs.map((output) => output.path))) yield `two outputs ${path}`;
  },
  *'input shapes are natural'(graph) {
    for (const { path, tensor } of graph.inputs)
      if (!tensor.shape.every(isNatural)) yield `${path} is ${printType(tensor)}`;
  },
};

function repeated<T>(values: readonly T[]): Set<T> {
  const seen = new Set<T>();
  return new Set(values.filter((value) => seen.size === seen.add(value).size));
}

function isNatural(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

// ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

const nodeRules: Readonly<Record<string, (node: Node, scope: Scope) => Messages>> = {
  *'definitions before uses'(node, scope) {
    // What a loop's body reads is checked at the nodes in it.
    const read = node.kind === 'loop' ? node.initial : readsOf(node);
    for (const tensor of read) if (!scope.tensors.has(tensor)) yield `%${tensor} is not defined here`;
  },
  *'shapes are natural'(node) {
    for (const tensor of results(node))
      if (!tensor.shape.every(isNatural)) yield `${tensor.name} is ${printType(tensor)}`;
    for (const extent of extentsOf(node)) if (!isNatural(extent)) yield `an extent is ${extent}`;
  },
  *'compute types'(node) {
    if (node.kind === 'compute') yield* computeTypes(node);
  },
  *'arg of something'(node) {
    if (node.kind !== 'compute' || node.reduce === undefined || node.result.shape.includes(0)) return;
    const positions = node.reduce.combiner === 'argmax' || node.reduce.combiner === 'argmin';
    if (positions && node.reduce.extents.includes(0)) yield `${node.reduce.combiner} over nothing`;
  },
  *'grouped look-up'(node, scope) {
    if (node.kind === 'compute' && node.grouped !== undefined) yield* groupedLookup(node, scope);
  },
  *'value axes'(node) {
    if (node.kind !== 'softmaxSum') return;
    const rank = node.result.shape.length;
    for (const axis of node.valueAxes)
      if (!isNatural(axis) || axis >= rank) yield `axis ${axis} is not one of the ${rank} output axes`;
    for (const axis of repeated(node.valueAxes)) yield `axis ${axis} is listed twice`;
  },
  *'softmax sum types'(node) {
    if (node.kind === 'softmaxSum') yield* softmaxSumTypes(node);
  },
  *'route types'(node, scope) {
    const pick = node.kind === 'route' ? scope.tensors.get(node.pick) : undefined;
    if (node.kind !== 'route' || pick === undefined) return;
    if (!isNatural(node.experts)) yield `${node.experts} experts`;
    if (!isInteger(pick)) yield `pick is ${printType(pick)}, not integers`;
    const positions = elementCount(pick);
    yield* expectType('order', node.order, { dtype: 'i32', shape: [positions] });
    yield* expectType('offsets', node.offsets, { dtype: 'i32', shape: [node.experts + 1] });
  },
  *'order types'(node, scope) {
    const source = node.kind === 'order' ? scope.tensors.get(node.source) : undefined;
    if (node.kind !== 'order' || source === undefined) return;
    const extent = source.shape.at(-1);
    const kept = node.result.shape.at(-1);
    if (extent === undefined) yield 'the source is a scalar';
    else if (kept === undefined || kept > extent) yield `${kept} of ${extent} positions`;
    else
      yield* expectType('the result', node.result, {
        dtype: 'i32',
        shape: [...source.shape.slice(0, -1), kept],
      });
  },
  *'prefix types'(node, scope) {
    const source = node.kind === 'prefix' ? scope.tensors.get(node.source) : undefined;
    if (node.kind !== 'prefix' || source === undefined) return;
    if (source.shape.length === 0) yield 'the source is a scalar';
    if (!sameShape(source, node.result)) yield `${printType(source)} to ${printType(node.result)}`;
    const type = arithmeticOf(source.dtype);
    if (type === 'bool') yield 'the source is bool';
    if (type !== arithmeticOf(node.result.dtype)) yield `${source.dtype} to ${node.result.dtype}`;
  },
  *'collective types'(node, scope) {
    const source = node.kind === 'collective' ? scope.tensors.get(node.source) : undefined;
    if (node.kind !== 'collective' || source === undefined) return;
    yield* expectType('the result', node.result, source);
    for (const dim of dimsOf(node.change))
      if (!isNatural(dim) || dim >= source.shape.length) yield `${printType(source)} has no dim ${dim}`;
  },
  *'block types'(node, scope) {
    const source = node.kind === 'block' ? scope.tensors.get(node.source) : undefined;
    if (node.kind !== 'block' || source === undefined) return;
    const { cuts, devices, direction, result } = node;
    const [whole, block] = direction === 'enter' ? [source, result] : [result, source];
    const shape = block.shape.map((extent, dim) => extent * (devices[dim] ?? 0));
    yield* expectType('the whole', whole, { dtype: block.dtype, shape });
    if (cuts.length !== shape.length) yield `${cuts.length} lists of axes for ${shape.length} dimensions`;
    if (repeated(cuts.flat()).size > 0) yield 'an axis is listed twice';
  },
  *'exchange types'(node, scope) {
    const source = node.kind === 'exchange' ? scope.tensors.get(node.source) : undefined;
    if (node.kind !== 'exchange' || source === undefined) return;
    if (!isNatural(node.devices) || node.devices === 0) yield `a group of ${node.devices}`;
    if (repeated(node.axes).size > 0) yield 'an axis is listed twice';
    const { dtype, shape } = source;
    const inChunks = node.verb === 'all_to_all' || node.verb === 'reduce_scatter';
    if (inChunks && shape[0] !== node.devices) yield `${printType(source)} is not in ${node.devices} chunks`;
    yield* expectType('the result', node.result, { dtype, shape: exchangedShape[node.verb](node, shape) });
  },
  *'loop types'(node, scope) {
    if (node.kind === 'loop') yield* loopTypes(node, scope);
  },
};

function extentsOf(node: Node): readonly number[] {
  switch (node.kind) {
    case 'compute':
      return node.reduce?.extents ?? [];
    case 'softmaxSum':
      return [node.extent, ...node.scoreExtents];
    case 'loop':
      return [node.count];
    case 'route':
    case 'order':
    case 'prefix':
    case 'collective':
    case 'block':
    case 'exchange':
      return [];
  }
}

function dimsOf(change: PlacementChange): readonly number[] {
  switch (change.kind) {
    case 'reduce_scatter':
      return [change.dim];
    case 'all_to_all':
      return [change.from, change.to];
    case 'reshard':
      return change.to.dims.map((_, position) => change.first + position);
    case 'declare':
      return change.dims.map((_, position) => change.first + position);
    default:
      return [];
  }
}

const unchanged = (_: ExchangeNode, shape: readonly number[]): readonly number[] => shape;
const exchangedShape: {
  readonly [V in ExchangeVerb]: (node: ExchangeNode, shape: readonly number[]) => readonly number[];
} = {
  all_gather: ({ devices }, shape) => [devices, ...shape],
  all_reduce: unchanged,
  reduce_scatter: (_, shape) => shape.slice(1),
  all_to_all: unchanged,
  shift: unchanged,
  broadcast: unchanged,
};

const numbers: readonly Arithmetic[] = ['f32', 'i32', 'u32'];
const combinerTakes: { readonly [C in Combiner]: readonly Arithmetic[] } = {
  sum: numbers,
  prod: numbers,
  max: numbers,
  min: numbers,
  any: ['bool'],
  all: ['bool'],
  argmax: numbers,
  argmin: numbers,
};

/** The type of the reduced value; undefined for a map. */
function reducedType(node: ComputeNode): Arithmetic | undefined {
  if (node.reduce === undefined) return undefined;
  const positions = node.reduce.combiner === 'argmax' || node.reduce.combiner === 'argmin';
  return positions ? 'i32' : scalarType(node.body);
}

function* computeTypes(node: ComputeNode): Messages {
  const body = scalarType(node.body);
  const { reduce, result } = node;
  if (reduce !== undefined && !combinerTakes[reduce.combiner].includes(body))
    yield `${reduce.combiner} does not combine ${body}`;
  const stored = reduce?.finish ? scalarType(reduce.finish) : (reducedType(node) ?? body);
  if (stored !== arithmeticOf(result.dtype)) yield `${stored} is stored as ${result.dtype}`;
}

function* softmaxSumTypes(node: SoftmaxSumNode): Messages {
  const wanted = { scoreBody: 'f32', logit: 'f32', visible: 'bool', value: 'f32' } as const;
  for (const role of ['scoreBody', 'logit', 'visible', 'value'] as const) {
    const scalar = node[role];
    if (scalar !== undefined && scalarType(scalar) !== wanted[role])
      yield `${role} is ${scalarType(scalar)}, not ${wanted[role]}`;
  }
  if (arithmeticOf(node.result.dtype) !== 'f32') yield `the result is ${node.result.dtype}`;
  if (node.partial === undefined) return;
  const rows = node.result.shape.filter((_, axis) => !node.valueAxes.includes(axis));
  for (const { dtype, name, shape } of [node.partial.top, node.partial.total])
    if (dtype !== 'f32' || !sameShape({ shape }, { shape: rows }))
      yield `${name} is not f32[${rows.join(', ')}]`;
}

function* groupedLookup(node: ComputeNode, scope: Scope): Messages {
  const grouped = node.grouped!;
  const pick = scope.tensors.get(grouped.pick);
  const order = scope.tensors.get(grouped.order);
  const offsets = scope.tensors.get(grouped.offsets);
  if (pick === undefined || order === undefined || offsets === undefined) return;
  if (node.reduce?.combiner !== 'sum') yield 'it is not a sum';
  const shape = node.result.shape;
  if (repeated(grouped.axes).size > 0) yield 'an axis is listed twice';
  if (!sameShape({ shape: grouped.axes.map((axis) => shape[axis] ?? -1) }, pick))
    yield `axes ${grouped.axes.join(', ')} do not span ${printType(pick)}`;
  const positions = elementCount(pick);
  yield* expectType('order', order, { dtype: 'i32', shape: [positions] });
  yield* expectType('offsets', offsets, { dtype: 'i32', shape: [grouped.experts + 1] });
  const rows = iterators(shape.length);
  const lookup = scalarKey(load(pick, grouped.axes.map((axis) => rows[axis]!).filter(Boolean)));
  const looked = loadsOf(node.body).some((found) =>
    found.subscripts.some(
      (subscript, axis) =>
        scalarKey(subscript) === lookup && scope.tensors.get(found.tensor)?.shape[axis] === grouped.experts,
    ),
  );
  if (!looked) yield `no load looks up one of ${grouped.experts} by the pick`;
}

function* loopTypes(node: LoopNode, scope: Scope): Messages {
  const { body, count } = node;
  const states = body.inputs.map(({ tensor }) => tensor);
  if (node.initial.length !== states.length)
    yield `${node.initial.length} initial values for ${states.length} states`;
  if (body.outputs.length !== node.results.length)
    yield `the body gives ${body.outputs.length} values, the loop ${node.results.length}`;
  if (body.outputs.length < states.length)
    yield `the body gives ${body.outputs.length} values for ${states.length} states`;
  const inside = new Map([...scope.tensors, ...states.map((tensor) => [tensor.id, tensor] as const)]);
  for (const inner of body.nodes) for (const tensor of results(inner)) inside.set(tensor.id, tensor);
  for (const [position, state] of states.entries()) {
    const initial = scope.tensors.get(node.initial[position] ?? -1);
    if (initial !== undefined) yield* expectType(`the initial ${state.name}`, initial, state);
  }
  for (const [position, output] of body.outputs.entries()) {
    const given = inside.get(output.tensor);
    const result = node.results[position];
    if (given === undefined || result === undefined) continue;
    const state = states[position];
    if (state !== undefined) {
      yield* expectType(`the next ${state.name}`, given, state);
      yield* expectType(`the final ${state.name}`, result, state);
    } else
      yield* expectType(`the collected ${given.name}`, result, {
        dtype: given.dtype,
        shape: [count, ...given.shape],
      });
  }
}

function isInteger(tensor: Tensor): boolean {
  const { class: kind } = dtypeFacts[tensor.dtype];
  return kind === 'signed' || kind === 'unsigned';
}

function* expectType(what: string, found: TensorType, wanted: TensorType): Messages {
  if (found.dtype !== wanted.dtype || !sameShape(found, wanted))
    yield `${what} is ${printType(found)}, not ${printType(wanted)}`;
}

// ── scalar expressions ─────────────────────────────────────────────────────────────────────────────────────

/** An expression where it stands in its node. */
interface ScalarPlace {
  readonly role: string;
  readonly scalar: Scalar;
  readonly mayUse: (axis: number) => boolean;
  /** The type of `reduced`, where there is one. */
  readonly reduced: Arithmetic | undefined;
}

function scalarPlaces(node: Node): readonly ScalarPlace[] {
  if (node.kind === 'compute') {
    const rank = node.result.shape.length;
    const all = rank + (node.reduce?.extents.length ?? 0);
    const body = { role: 'body', scalar: node.body, mayUse: below(all), reduced: undefined };
    const finish = node.reduce?.finish;
    if (finish === undefined) return [body];
    return [body, { role: 'finish', scalar: finish, mayUse: below(rank), reduced: reducedType(node) }];
  }
  if (node.kind === 'softmaxSum') {
    const rank = node.result.shape.length;
    const streamed = below(rank + 1);
    const scored = below(rank + 1 + node.scoreExtents.length);
    const notValue = (axis: number): boolean => !node.valueAxes.includes(axis);
    const logit = (axis: number): boolean => streamed(axis) && notValue(axis);
    return [
      {
        role: 'scoreBody',
        scalar: node.scoreBody,
        mayUse: (axis) => scored(axis) && notValue(axis),
        reduced: undefined,
      },
      { role: 'logit', scalar: node.logit, mayUse: logit, reduced: 'f32' },
      ...(node.visible === undefined
        ? []
        : [{ role: 'visible', scalar: node.visible, mayUse: logit, reduced: 'f32' } as const]),
      { role: 'value', scalar: node.value, mayUse: streamed, reduced: undefined },
    ];
  }
  return [];
}

function below(count: number): (axis: number) => boolean {
  return (axis) => isNatural(axis) && axis < count;
}

function checkScalar(place: ScalarPlace, scope: Scope, add: (rule: string, message: string) => void): void {
  for (const scalar of subexpressions(place.scalar))
    for (const [rule, holds] of Object.entries(scalarRules))
      if (!holds(scalar, place, scope)) add(rule, `${place.role} has ${excerpt(scalar)}`);
}

/** The head of a wrong part is what matters; long texts are cut. */
function excerpt(scalar: Scalar): string {
  const text = printScalar(scalar);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

const constantRange: { readonly [A in Arithmetic]: (value: number) => boolean } = {
  f32: () => true,
  i32: (value) => value === (value | 0),
  u32: (value) => value === value >>> 0,
  bool: (value) => value === 0 || value === 1,
};

const scalarRules: Readonly<Record<string, (scalar: Scalar, place: ScalarPlace, scope: Scope) => boolean>> = {
  'constants are of their type': (scalar) =>
    scalar.op !== 'constant' || constantRange[scalar.dtype](scalar.value),
  'iterators in range': (scalar, place) => scalar.op !== 'iterator' || place.mayUse(scalar.axis),
  'counters inside their loop': (scalar, _, scope) => scalar.op !== 'counter' || scope.loops.has(scalar.loop),
  'coordinates are of some devices': (scalar) =>
    scalar.op !== 'coordinate' || (isNatural(scalar.devices) && scalar.devices > 0),
  'reduced in finish only': (scalar, place) => scalar.op !== 'reduced' || scalar.dtype === place.reduced,
  'loads have the dtype of the tensor': (scalar, _, scope) =>
    scalar.op !== 'load' || (scope.tensors.get(scalar.tensor)?.dtype ?? scalar.dtype) === scalar.dtype,
  'a subscript for each axis': (scalar, _, scope) => {
    if (scalar.op !== 'load') return true;
    const tensor = scope.tensors.get(scalar.tensor);
    return tensor === undefined || tensor.shape.length === scalar.subscripts.length;
  },
  'subscripts are i32': (scalar) =>
    scalar.op !== 'load' || scalar.subscripts.every((subscript) => scalarType(subscript) === 'i32'),
  'functions get operands they take': (scalar) =>
    scalar.op !== 'apply' || applyType(scalar.function, operands(scalar).map(scalarType)) === scalar.dtype,
  'rounding is to a narrow type': (scalar) =>
    scalar.op !== 'round' ||
    (isNarrow(scalar.dtype) && scalarType(scalar.operand) === arithmeticOf(scalar.dtype)),
};
