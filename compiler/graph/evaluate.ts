/**
 * The reference evaluator: runs the index graph directly, over any algebra. It is the meaning of the
 * language, and every other way of running is compared with it.
 */
import type { Algebra, Storage, TensorValue } from './algebra.ts';
import type { Frame, Slot } from './compile-scalar.ts';
import { computeCode, softmaxSumCode } from './evaluate-compute.ts';
import { extentAt, type Sizes } from './extent.ts';
import type {
  BlockNode,
  CollectiveNode,
  ExchangeNode,
  Graph,
  LoopId,
  LoopNode,
  Node,
  OrderNode,
  PrefixNode,
  RouteNode,
  Tensor,
  TensorId,
} from './graph.ts';
import { results } from './graph.ts';
import { integerOperation } from './integers.ts';
import { printType } from './print.ts';
import { roundTo } from './rounding.ts';
import { arithmeticOf } from './scalar.ts';
import { elementCount, isFloat, sameShape } from './tensor-type.ts';
import { allNodes, allTensors } from './uses.ts';
import { describeNode } from './well-formed.ts';

/**
 * The outputs by path. `inputs` has a value for each input of the graph, of its dtype and shape; what they
 * hold must be representable in the dtype. Throws (an internal error, naming node and index) on a load out of
 * range, and on what only the program of one device of a mesh may have.
 * @param onNode hears how many nodes were run, of how many, each step of a loop counted.
 * @param sizes of this run, where the graph is bounded
 */
export function evaluateGraph<V>(
  graph: Graph,
  inputs: ReadonlyMap<TensorId, TensorValue<V>>,
  algebra: Algebra<V>,
  onNode: (done: number, total: number) => void = () => undefined,
  sizes: Sizes = new Map(),
): ReadonlyMap<string, TensorValue<V>> {
  const alone: DeviceState<V> = {
    ...{ inputs, sizes },
    coordinate: (axis) => {
      throw new Error(`${graph.name} asks for a coordinate along ${axis}, and runs on one device`);
    },
  };
  const exchange = (node: ExchangeNode): never => {
    throw new Error(`${describeNode(node)} exchanges, and ${graph.name} runs on one device`);
  };
  return evaluateInStep(graph, [alone], algebra, exchange, onNode)[0]!;
}

/** What is particular to one device. */
export interface DeviceState<V> {
  readonly inputs: ReadonlyMap<TensorId, TensorValue<V>>;
  /** Its place along a mesh axis of so many devices. */
  readonly coordinate: (axis: string, devices: number) => number;
  /** Of a bounded program: what its sizes are in this run. */
  readonly sizes?: Sizes;
}

/** What one device gives to an exchange, and where it gets what comes of it. */
export interface Share<V> {
  readonly source: TensorValue<V>;
  /** Of the type of the node's result, to be filled. */
  readonly result: TensorValue<V>;
}

/** Fills the results of all devices, which stand in the order in which they were given. */
export type Exchange<V> = (node: ExchangeNode, shares: readonly Share<V>[]) => void;

/**
 * Runs one program on several devices in step: each node on all of them before the next node. The outputs of
 * each device by path; otherwise as `evaluateGraph`.
 */
export function evaluateInStep<V>(
  graph: Graph,
  devices: readonly DeviceState<V>[],
  algebra: Algebra<V>,
  exchange: Exchange<V>,
  onNode: (done: number, total: number) => void = () => undefined,
): readonly ReadonlyMap<string, TensorValue<V>>[] {
  const total = runCount(graph);
  let done = 0;
  const machines = devices.map((device) => createMachine(graph, algebra, device));
  for (const [position, { inputs }] of devices.entries())
    for (const { path, tensor } of graph.inputs) {
      const value = inputs.get(tensor.id);
      if (value === undefined) throw new Error(`no value for the input ${path}`);
      checkValue(path, value, tensor);
      bind(machines[position]!.slot(tensor.id), value.data);
    }
  const together = { machines, exchange, ran: () => onNode(++done, total) };
  const run = graph.nodes.map((node) => nodeCode(node, together));
  onNode(done, total);
  for (const step of run) step();
  return machines.map(
    (machine) =>
      new Map(graph.outputs.map(({ path, tensor }) => [path, tensorValueOf(machine.slot(tensor))])),
  );
}

function checkValue<V>(path: string, value: TensorValue<V>, wanted: Tensor): void {
  if (value.dtype !== wanted.dtype || !sameShape(value, wanted))
    throw new Error(`the input ${path} is ${printType(value)}, not ${printType(wanted)}`);
  if (value.data.length !== elementCount(wanted))
    throw new Error(`the input ${path} has ${value.data.length} elements, not ${elementCount(wanted)}`);
}

/** How many times a node is run, loops run through. */
function runCount(graph: Graph): number {
  return graph.nodes.reduce(
    (sum, node) => sum + (node.kind === 'loop' ? node.count * runCount(node.body) : 1),
    0,
  );
}

// ── state of a run ─────────────────────────────────────────────────────────────────────────────────────────

/** One device. */
interface Machine<V> {
  readonly algebra: Algebra<V>;
  readonly slot: (tensor: TensorId) => Slot<V>;
  readonly step: (loop: LoopId) => { value: number };
  readonly coordinate: (axis: string, devices: number) => number;
  readonly sizes: Sizes;
}

/** All devices of a run. */
interface Together<V> {
  readonly machines: readonly Machine<V>[];
  readonly exchange: Exchange<V>;
  /** Called after each node that is not a loop. */
  readonly ran: () => void;
}

function createMachine<V>(graph: Graph, algebra: Algebra<V>, device: DeviceState<V>): Machine<V> {
  const nothing = algebra.createStorage(0);
  const slots = new Map<TensorId, Slot<V>>();
  for (const [id, tensor] of allTensors(graph))
    slots.set(id, { tensor, floats: nothing, numbers: new Float64Array(0) });
  const steps = new Map<LoopId, { value: number }>();
  for (const node of allNodes(graph)) if (node.kind === 'loop') steps.set(node.loop, { value: 0 });
  return {
    algebra,
    slot: (tensor) => slots.get(tensor) ?? missing(`tensor %${tensor}`),
    step: (loop) => steps.get(loop) ?? missing(`loop ${loop}`),
    coordinate: device.coordinate,
    sizes: device.sizes ?? new Map(),
  };
}

function missing(what: string): never {
  throw new Error(`the graph has no ${what}`);
}

function bind<V>(slot: Slot<V>, data: Storage<V> | Storage<number>): void {
  if (isFloat(slot.tensor)) slot.floats = data as Storage<V>;
  else slot.numbers = data as Storage<number>;
}

function dataOf<V>(slot: Slot<V>): Storage<V> | Storage<number> {
  return isFloat(slot.tensor) ? slot.floats : slot.numbers;
}

function tensorValueOf<V>(slot: Slot<V>): TensorValue<V> {
  const { dtype, shape } = slot.tensor;
  return { dtype, shape, data: dataOf(slot) };
}

/** Gives the tensor fresh elements: the old ones may still be read as a state of a loop. */
function renew<V>(slot: Slot<V>, algebra: Algebra<V>): void {
  const count = elementCount(slot.tensor);
  bind(slot, isFloat(slot.tensor) ? algebra.createStorage(count) : new Float64Array(count));
}

// ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Nodes that a device runs by itself. */
type OwnKind = Exclude<Node['kind'], 'loop' | 'exchange'>;
type NodeCodes = {
  readonly [K in OwnKind]: <V>(node: Extract<Node, { kind: K }>, machine: Machine<V>) => () => void;
};

const nodeCodes: NodeCodes = {
  compute: (node, machine) =>
    computeCode(
      node,
      machine.slot(node.result.id),
      frameOf(node, machine, [...node.result.shape, ...(node.reduce?.extents ?? [])]),
    ),
  softmaxSum: (node, machine) =>
    softmaxSumCode(
      node,
      {
        result: machine.slot(node.result.id),
        top: node.partial && machine.slot(node.partial.top.id),
        total: node.partial && machine.slot(node.partial.total.id),
      },
      frameOf(node, machine, [...node.result.shape, node.extent, ...node.scoreExtents]),
    ),
  route: routeCode,
  order: orderCode,
  prefix: prefixCode,
  collective: collectiveCode,
  block: blockCode,
};

/** Runs the node once on every device each time it is called. */
function nodeCode<V>(node: Node, together: Together<V>): () => void {
  const { machines } = together;
  const code = codeOfAll(node, together);
  const defined = machines.flatMap((machine) =>
    results(node).map((tensor) => ({ machine, slot: machine.slot(tensor.id) })),
  );
  return () => {
    for (const { machine, slot } of defined) renew(slot, machine.algebra);
    code();
    if (node.kind !== 'loop') together.ran();
  };
}

function codeOfAll<V>(node: Node, together: Together<V>): () => void {
  if (node.kind === 'exchange') return exchangeCode(node, together);
  if (node.kind === 'loop') {
    const { body } = node;
    const steps = body.nodes.map((inner) => nodeCode(inner, together));
    const loops = together.machines.map((machine) => loopCode(node, machine));
    return () => {
      for (const { begin } of loops) begin();
      for (let step = 0; step < node.count; step++) {
        for (const { enter } of loops) enter(step);
        for (const run of steps) run();
        for (const { leave } of loops) leave(step);
      }
      for (const { end } of loops) end();
    };
  }
  const codeOf = nodeCodes[node.kind] as (node: Node, machine: Machine<V>) => () => void;
  const codes = together.machines.map((machine) => codeOf(node, machine));
  return () => {
    for (const code of codes) code();
  };
}

function exchangeCode<V>(node: ExchangeNode, { machines, exchange }: Together<V>): () => void {
  return () =>
    exchange(
      node,
      machines.map((machine) => ({
        source: tensorValueOf(machine.slot(node.source)),
        result: tensorValueOf(machine.slot(node.result.id)),
      })),
    );
}

/** On one device the identity. */
function blockCode<V>(node: BlockNode, machine: Machine<V>): () => void {
  if (node.devices.some((devices) => devices > 1))
    throw new Error(`${describeNode(node)}: what devices do on their own needs a mesh of them`);
  const source = machine.slot(node.source);
  const result = machine.slot(node.result.id);
  return () => bind(result, dataOf(source));
}

/** The identity. */
function collectiveCode<V>(node: CollectiveNode, machine: Machine<V>): () => void {
  const source = machine.slot(node.source);
  const result = machine.slot(node.result.id);
  return () => bind(result, dataOf(source));
}

function frameOf<V>(node: Node, machine: Machine<V>, extents: readonly number[]): Frame<V> {
  return {
    node: describeNode(node),
    algebra: machine.algebra,
    extents,
    axes: new Int32Array(extents.length),
    point: 0,
    reducedFloat: machine.algebra.constant(0),
    reducedNumber: 0,
    slot: machine.slot,
    step: machine.step,
    coordinate: machine.coordinate,
    size: (name) => machine.sizes.get(name) ?? missing(`size ${name}`),
  };
}

function routeCode<V>(node: RouteNode, machine: Machine<V>): () => void {
  const [pick, order, offsets] = [node.pick, node.order.id, node.offsets.id].map(machine.slot);
  return () => {
    const length = node.end === undefined ? pick!.numbers.length : extentAt(node.end, machine.sizes);
    const chosen = Array.from({ length }, (_, position) => pick!.numbers[position]!);
    const wrong = chosen.find((expert) => expert < 0 || expert >= node.experts);
    if (wrong !== undefined) throw new Error(`${describeNode(node)}: ${wrong} of ${node.experts} experts`);
    let placed = 0;
    for (let expert = 0; expert < node.experts; expert++) {
      offsets!.numbers[expert] = placed;
      for (const [position, own] of chosen.entries()) if (own === expert) order!.numbers[placed++] = position;
    }
    offsets!.numbers[node.experts] = placed;
  };
}

function orderCode<V>(node: OrderNode, machine: Machine<V>): () => void {
  const source = machine.slot(node.source);
  const result = machine.slot(node.result.id);
  const extent = source.tensor.shape.at(-1) ?? 1;
  const kept = node.result.shape.at(-1) ?? 1;
  const sign = node.direction === 'ascending' ? 1 : -1;
  const keyAt = isFloat(source.tensor)
    ? (position: number) => machine.algebra.toNumber(source.floats[position]!)
    : (position: number) => source.numbers[position]!;
  const { ordered } = machine.algebra;
  const hearNeighbours = (row: number, positions: readonly number[]): void => {
    if (ordered === undefined || !isFloat(source.tensor)) return;
    for (let rank = 1; rank < Math.min(positions.length, kept + 1); rank++) {
      const [before, after] = [positions[rank - 1]!, positions[rank]!];
      ordered(source.floats[row * extent + before]!, source.floats[row * extent + after]!);
    }
  };
  return () => {
    const rows = kept === 0 ? 0 : result.numbers.length / kept;
    for (let row = 0; row < rows; row++) {
      const keys = Array.from({ length: extent }, (_, position) => keyAt(row * extent + position));
      // Sorting is stable: ties stay by position.
      const positions = [...keys.keys()].sort((left, right) => compareKeys(keys[left]!, keys[right]!, sign));
      for (let rank = 0; rank < kept; rank++) result.numbers[row * kept + rank] = positions[rank]!;
      hearNeighbours(row, positions);
    }
  };
}

function compareKeys(left: number, right: number, sign: number): number {
  if (Number.isNaN(left) || Number.isNaN(right))
    return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
  return left === right ? 0 : left < right ? -sign : sign;
}

function prefixCode<V>(node: PrefixNode, machine: Machine<V>): () => void {
  const { algebra } = machine;
  const source = machine.slot(node.source);
  const result = machine.slot(node.result.id);
  const extent = source.tensor.shape.at(-1) ?? 1;
  const { dtype } = node.result;
  const name = ({ sum: 'add', prod: 'mul', max: 'max' } as const)[node.combiner];
  if (isFloat(node.result)) {
    const combine = algebra.functions[name];
    return () => {
      accumulate(source.floats, result.floats, extent, combine, (value) => algebra.round(dtype, value));
    };
  }
  const type = arithmeticOf(dtype) === 'u32' ? 'u32' : 'i32';
  const combine = integerOperation(name, type);
  return () => {
    accumulate(
      source.numbers,
      result.numbers,
      extent,
      (left, right) => combine(left, right, 0, 0),
      (value) => roundTo(dtype, value),
    );
  };
}

/** Inclusive prefixes of each row; only what is stored is rounded. */
function accumulate<T>(
  source: Storage<T>,
  result: Storage<T>,
  extent: number,
  combine: (left: T, right: T) => T,
  stored: (value: T) => T,
): void {
  for (let start = 0; start < source.length; start += extent) {
    let running = source[start] as T;
    result[start] = stored(running);
    for (let position = start + 1; position < start + extent; position++) {
      running = combine(running, source[position] as T);
      result[position] = stored(running);
    }
  }
}

/** What a device does around the nodes of a loop's body. */
interface LoopCode {
  readonly begin: () => void;
  readonly enter: (step: number) => void;
  readonly leave: (step: number) => void;
  readonly end: () => void;
}

function loopCode<V>(node: LoopNode, machine: Machine<V>): LoopCode {
  const step = machine.step(node.loop);
  const initial = node.initial.map(machine.slot);
  const states = node.body.inputs.map(({ tensor }) => machine.slot(tensor.id));
  const given = node.body.outputs.map(({ tensor }) => machine.slot(tensor));
  const final = node.results.map((tensor) => machine.slot(tensor.id));
  return {
    begin: () => {
      for (const [position, state] of states.entries()) bind(state, dataOf(initial[position]!));
    },
    enter: (at) => {
      step.value = at;
    },
    leave: (at) => {
      for (const [position, slot] of given.entries())
        if (position >= states.length) collect(slot, final[position]!, at);
      const next = states.map((_, position) => dataOf(given[position]!));
      for (const [position, state] of states.entries()) bind(state, next[position]!);
    },
    end: () => {
      for (const [position, state] of states.entries()) bind(final[position]!, dataOf(state));
    },
  };
}

/** Copies what a step gave to its row of the collected tensor. */
function collect<V>(from: Slot<V>, to: Slot<V>, row: number): void {
  const copy = <T>(source: Storage<T>, target: Storage<T>): void => {
    for (let position = 0; position < source.length; position++)
      target[row * source.length + position] = source[position]!;
  };
  if (isFloat(to.tensor)) copy(from.floats, to.floats);
  else copy(from.numbers, to.numbers);
}
