/**
 * Runs the program of one device on all devices of a mesh, in step, with the reference evaluator: what a
 * partitioned program means. Exchanges are carried out here, and what they send is counted.
 */
import {
  devicesAlong,
  type Mesh,
  type PendingCombiner,
  type Placement,
} from '../../dsl/placement/placement.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { Algebra, Storage, TensorValue } from '../graph/algebra.ts';
import { type DeviceState, evaluateInStep, type Share } from '../graph/evaluate.ts';
import type { ExchangeVerb, TensorId, TensorType } from '../graph/graph.ts';
import { integerOperation } from '../graph/integers.ts';
import { roundTo } from '../graph/rounding.ts';
import { arithmeticOf } from '../graph/scalar.ts';
import { elementCount, isFloat, sameShape, stridesOf } from '../graph/tensor-type.ts';
import { allCoordinates, blockNumber } from './blocks.ts';
import { localShape } from './change.ts';
import { blockPositions, groupsAlong } from './devices.ts';
import type { DeviceProgram } from './localize.ts';

export interface MeshRun<V> {
  /** The whole tensors by path. */
  readonly outputs: ReadonlyMap<string, TensorValue<V>>;
  /** Bytes that the busiest device sends, by what sends them. */
  readonly sent: ReadonlyMap<ExchangeVerb, number>;
}

/**
 * Inputs are whole tensors by path, or what each device holds of them, in order of the devices' numbers.
 * Throws (an internal error) when devices that should hold the same do not.
 */
export function evaluateOnMesh<V>(
  { graph, mesh, inputs: placements, outputs, whole: trueShapes }: DeviceProgram,
  inputs: ReadonlyMap<string, TensorValue<V> | readonly TensorValue<V>[]>,
  algebra: Algebra<V>,
): MeshRun<V> {
  const coordinates = allCoordinates(mesh);
  const parts = graph.inputs.map(({ path, tensor }): readonly [TensorId, readonly TensorValue<V>[]] => {
    const given = inputs.get(path);
    if (given === undefined) throw new Error(`no value for the input ${path}`);
    if (!('dtype' in given)) return [tensor.id, given];
    const placement = placements.get(path)!;
    const isPadded = trueShapes?.inputs.has(path) ?? false;
    const whole = isPadded ? resized(given, wholeShape(tensor.shape, placement, mesh), algebra) : given;
    const blocks = distribute(whole, placement, mesh, algebra);
    return [tensor.id, blocks];
  });
  const devices = coordinates.map(
    (own, device): DeviceState<V> => ({
      inputs: new Map(parts.map(([tensor, blocks]) => [tensor, blocks[device]!])),
      coordinate: (axis) => blockNumber([axis], own, mesh),
    }),
  );
  const sent = new Map<ExchangeVerb, number>();
  const results = evaluateInStep(graph, devices, algebra, (node, shares) => {
    const { source } = shares[0]!;
    const elements = elementsSent[node.verb](elementCount(source), node.devices);
    const bytes = (elements * dtypeFacts[source.dtype].bits) / 8;
    sent.set(node.verb, (sent.get(node.verb) ?? 0) + bytes);
    for (const group of groupsAlong(node.axes, mesh))
      verbs[node.verb](
        group.map((device) => shares[device]!),
        combinerOf(node.combiner, source, algebra),
      );
  });
  const whole = [...outputs].map(([path, placement]) => {
    const blocks = results.map((result) => result.get(path)!);
    const tensor = assemble(blocks, placement, mesh, algebra);
    return [path, resized(tensor, trueShapes?.outputs.get(path) ?? tensor.shape, algebra)] as const;
  });
  return { outputs: new Map(whole), sent };
}

// ── exchanges ──────────────────────────────────────────────────────────────────────────────────────────────

/**
 * By the busiest device of P with a source of so many elements, where chunks are passed on in a ring and as
 * equal as they can be (Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations
 * in MPICH", 2005).
 */
const elementsSent: { readonly [V in ExchangeVerb]: (elements: number, devices: number) => number } = {
  all_gather: (elements, devices) => elements * (devices - 1),
  all_reduce: (elements, devices) => 2 * (elements - Math.floor(elements / devices)),
  reduce_scatter: (elements, devices) => elements - elements / devices,
  all_to_all: (elements, devices) => elements - elements / devices,
  shift: (elements, devices) => (devices > 1 ? elements : 0),
  broadcast: (elements, devices) => (devices > 1 ? elements : 0),
};

type Element<V> = V | number;

/** Sums of narrow floats are taken in f32, and rounded once, when all parts are in. */
interface Combine<V> {
  readonly take: (left: Element<V>, right: Element<V>) => Element<V>;
  readonly store: (total: Element<V>) => Element<V>;
}
type Elements<V> = Storage<Element<V>>;

/** What each member of a group, by rank, gets. */
type Verb = <V>(group: readonly Share<V>[], combine: Combine<V>) => void;

const verbs: { readonly [V in ExchangeVerb]: Verb } = {
  all_gather: (group) => {
    for (const { result } of group)
      for (const [rank, { source }] of group.entries())
        copy(source, 0, result, rank * elementCount(source), elementCount(source));
  },
  all_reduce: (group, combine) => {
    for (const { result } of group) combineChunk(group, 0, result, combine);
  },
  reduce_scatter: (group, combine) => {
    for (const [rank, { result }] of group.entries())
      combineChunk(group, rank * elementCount(result), result, combine);
  },
  all_to_all: (group) => {
    for (const [receiver, { result }] of group.entries()) {
      const chunk = elementCount(result) / group.length;
      for (const [sender, { source }] of group.entries())
        copy(source, receiver * chunk, result, sender * chunk, chunk);
    }
  },
  shift: (group) => {
    for (const [rank, { result }] of group.entries())
      copy(group.at(rank - 1)!.source, 0, result, 0, elementCount(result));
  },
  broadcast: (group) => {
    for (const { result } of group) copy(group[0]!.source, 0, result, 0, elementCount(result));
  },
};

function elementsOf<V>(value: TensorValue<V>): Elements<V> {
  return value.data as Elements<V>;
}

function copy<V>(from: TensorValue<V>, start: number, to: TensorValue<V>, at: number, count: number): void {
  const [source, target] = [elementsOf(from), elementsOf(to)];
  for (let position = 0; position < count; position++) target[at + position] = source[start + position]!;
}

/** In order of rank, so that every device gets the same, to the bit. */
function combineChunk<V>(
  group: readonly Share<V>[],
  start: number,
  result: TensorValue<V>,
  combine: Combine<V>,
): void {
  const target = elementsOf(result);
  const sources = group.map(({ source }) => elementsOf(source));
  for (let position = 0; position < target.length; position++) {
    const parts = sources.map((source): Element<V> => source[start + position] as Element<V>);
    target[position] = combine.store(parts.reduce(combine.take));
  }
}

function combinerOf<V>(
  combiner: PendingCombiner,
  { dtype }: Pick<TensorType, 'dtype'>,
  algebra: Algebra<V>,
): Combine<V> {
  const name = ({ sum: 'add', max: 'max', min: 'min' } as const)[combiner];
  if (isFloat({ dtype })) {
    const combine = algebra.functions[name];
    return {
      take: (left, right) => combine(left as V, right as V),
      store: (total) => algebra.round(dtype, total as V),
    };
  }
  const type = arithmeticOf(dtype);
  const combine = integerOperation(name, type === 'f32' ? 'i32' : type);
  return {
    take: (left, right) => combine(left as number, right as number, 0, 0),
    store: (total) => roundTo(dtype, total as number),
  };
}

// ── whole tensors and blocks ───────────────────────────────────────────────────────────────────────────────

/**
 * What each device holds of a whole tensor, in order of the devices' numbers. Of a sum that is pending the
 * first device along the axes has all, and the others zero.
 */
export function distribute<V>(
  value: TensorValue<V>,
  placement: Placement,
  mesh: Mesh,
  algebra: Algebra<V>,
): readonly TensorValue<V>[] {
  const { dtype, shape } = value;
  const summed = [...placement.pending].flatMap(([axis, combiner]) => (combiner === 'sum' ? [axis] : []));
  const zero = isFloat(value) ? algebra.constant(0) : 0;
  return allCoordinates(mesh).map((coordinates) => {
    const isFirst = blockNumber(summed, coordinates, mesh) === 0;
    const positions = blockPositions(shape, placement, coordinates, mesh);
    const data = newElements(value, positions.length, algebra);
    for (const [at, position] of positions.entries())
      data[at] = isFirst ? elementsOf(value)[position]! : zero;
    return { dtype, shape: localShape(shape, placement, mesh), data: data as Storage<V> };
  });
}

/** Throws (an internal error) when devices that should hold the same do not, and says which. */
export function assemble<V>(
  blocks: readonly TensorValue<V>[],
  placement: Placement,
  mesh: Mesh,
  algebra: Algebra<V>,
): TensorValue<V> {
  const { dtype } = blocks[0]!;
  const shape = wholeShape(blocks[0]!.shape, placement, mesh);
  const coordinates = allCoordinates(mesh);
  const pending = [...placement.pending.keys()];
  const whole = newElements({ dtype }, elementCount({ shape }), algebra);
  const combine = combinerOf([...placement.pending.values()][0] ?? 'sum', { dtype }, algebra);
  const areSame = isFloat({ dtype }) && algebra.areSame ? sameBy(algebra.areSame) : sameElement;
  /** By where the block starts, the parts of it that are to be combined, by where along the pending axes. */
  const found = new Map<number | undefined, Map<number, Elements<V>>>();
  for (const [device, block] of blocks.entries()) {
    const own = coordinates[device]!;
    const positions = blockPositions(shape, placement, own, mesh);
    const parts = found.get(positions[0]) ?? new Map<number, Elements<V>>();
    found.set(positions[0], parts);
    const part = blockNumber(pending, own, mesh);
    const known = parts.get(part);
    // Devices that differ along axes that are not mentioned hold the same.
    const differing = known
      ? positions.findIndex((_, at) => !areSame(known[at]!, elementsOf(block)[at]!))
      : -1;
    if (differing >= 0) throw new Error(`device ${device} holds another value at element ${differing}`);
    if (known === undefined)
      for (const [at, position] of positions.entries()) {
        const element = elementsOf(block)[at]!;
        whole[position] = parts.size === 0 ? element : combine.take(whole[position]!, element);
      }
    parts.set(part, elementsOf(block));
  }
  if (pending.length > 0) for (let at = 0; at < whole.length; at++) whole[at] = combine.store(whole[at]!);
  return { dtype, shape, data: whole as Storage<V> };
}

/** Of the blocks of all devices together. */
function wholeShape(block: readonly number[], { dims }: Placement, mesh: Mesh): readonly number[] {
  return block.map((extent, dim) => extent * devicesAlong(mesh, dims[dim]!));
}

/** The tensor with its dimensions cut short, or with zeros behind their end. */
export function resized<V>(
  value: TensorValue<V>,
  shape: readonly number[],
  algebra: Algebra<V>,
): TensorValue<V> {
  if (sameShape(value, { shape })) return value;
  const strides = stridesOf(value.shape);
  const zero = isFloat(value) ? algebra.constant(0) : 0;
  const data = newElements(value, elementCount({ shape }), algebra);
  const places = stridesOf(shape).map((stride, dim) => ({ stride, extent: shape[dim]! }));
  for (let at = 0; at < data.length; at++) {
    const index = places.map(({ stride, extent }) => Math.floor(at / stride) % extent);
    const isInside = index.every((position, dim) => position < value.shape[dim]!);
    const position = index.reduce((sum, own, dim) => sum + own * strides[dim]!, 0);
    data[at] = isInside ? elementsOf(value)[position]! : zero;
  }
  return { dtype: value.dtype, shape, data: data as Storage<V> };
}

function newElements<V>(type: Pick<TensorType, 'dtype'>, length: number, algebra: Algebra<V>): Elements<V> {
  return (isFloat(type) ? algebra.createStorage(length) : new Float64Array(length)) as Elements<V>;
}

function sameBy<V>(areSame: (left: V, right: V) => boolean): typeof sameElement<V> {
  return (left, right) => areSame(left as V, right as V);
}

/** NaN is the same as NaN, and both zeros are. */
function sameElement<V>(left: Element<V>, right: Element<V>): boolean {
  return left === right || Object.is(left, right);
}
