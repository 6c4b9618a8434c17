/**
 * Smaller programs than a given one, for finding what about a counterexample matters. Each is well-formed and
 * runs on its inputs, and is simpler by one measure, so that taking one after another comes to an end.
 */
import { dtypes } from '../../dsl/types/dtype.ts';
import type { TensorValue } from './algebra.ts';
import { evaluateGraph } from './evaluate.ts';
import { float32 } from './float32.ts';
import type {
  Arithmetic,
  Graph,
  LoopNode,
  Node,
  NodeKind,
  Scalar,
  Tensor,
  TensorId,
  TensorType,
} from './graph.ts';
import { results } from './graph.ts';
import type { RandomProgram } from './random-graph.ts';
import {
  arithmeticOf,
  constant,
  integer,
  isNarrow,
  load,
  mapScalar,
  operands,
  scalarType,
  subexpressions,
} from './scalar.ts';
import { elementCount, sameShape, stridesOf } from './tensor-type.ts';
import { allNodes, allTensors, mapNodeScalars, nodeScalars, readsOf, renameReads } from './uses.ts';
import { checkGraph } from './well-formed.ts';

type Step = (program: RandomProgram) => Iterable<RandomProgram>;

/** What takes most away comes first. */
const steps: readonly Step[] = [
  withoutUnread,
  withoutNodes,
  withoutOutputs,
  withoutLoops,
  withInputsMerged,
  withSmallerSizes,
  withWiderDtypes,
  withSimplerNodes,
  withSimplerScalars,
  withSimplerValues,
];

/** In the order in which they are worth trying. */
export function* smallerPrograms(program: RandomProgram): IterableIterator<RandomProgram> {
  const most = complexityOf(program);
  for (const step of steps)
    for (const smaller of step(program)) if (complexityOf(smaller) < most && isSound(smaller)) yield smaller;
}

/**
 * The first of the smaller programs that fails as well, and so on, until none does or so many were tried.
 */
export async function shrinkProgram(
  program: RandomProgram,
  fails: (program: RandomProgram) => boolean | Promise<boolean>,
  mostTries: number,
): Promise<RandomProgram> {
  let tries = 0;
  const next = async (current: RandomProgram): Promise<RandomProgram | undefined> => {
    for (const smaller of smallerPrograms(current)) {
      if (tries++ >= mostTries) return undefined;
      if (await fails(smaller)) return smaller;
    }
    return undefined;
  };
  let current = program;
  for (let found = await next(current); found !== undefined; found = await next(current)) current = found;
  return current;
}

// ── the measure ────────────────────────────────────────────────────────────────────────────────────────────

/** Nodes weigh more than what is in them, that more than sizes, and those more than values. */
export function complexityOf({ graph, inputs }: RandomProgram): number {
  const nodes = allNodes(graph);
  const tensors = [...allTensors(graph).values()];
  const scalars = nodes.flatMap(nodeScalars);
  const values = [...inputs.values()].map(({ data }) =>
    Array.from({ length: data.length }, (_, at) => Math.min(2, Math.abs(data[at] as number))),
  );
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  return (
    1000 * nodes.length +
    300 * graph.inputs.length +
    300 * graph.outputs.length +
    sum(nodes.map((node) => 10 * formComplexity(node))) +
    sum(scalars.map((scalar) => sum(subexpressions(scalar).map(partComplexity)))) +
    sum(tensors.map(({ dtype, shape }) => (isNarrow(dtype) ? 20 : 0) + sum(shape) + 2 * shape.length)) +
    sum(values.map((list) => sum(list) / (1 + list.length)))
  );
}

function partComplexity(scalar: Scalar): number {
  if (scalar.op === 'constant') return scalar.value === 0 ? 10 : 11;
  return scalar.op === 'iterator' ? 12 : 20;
}

/** What a node has that it could do without. */
function formComplexity(node: Node): number {
  switch (node.kind) {
    case 'compute': {
      if (node.reduce === undefined) return 0;
      const { combiner, extents, finish } = node.reduce;
      const ofExtents = extents.reduce((sum, extent) => sum + extent, 0);
      return 4 + (combiner === 'sum' ? 0 : 2) + ofExtents + (finish === undefined ? 0 : 4);
    }
    case 'softmaxSum':
      return 10 + node.extent + node.scoreExtents.length + (node.visible === undefined ? 0 : 4);
    case 'loop':
      return 10 + node.count;
    case 'route':
      return node.experts;
    case 'order':
      return node.direction === 'ascending' ? 0 : 1;
    case 'prefix':
      return node.combiner === 'sum' ? 0 : 1;
    case 'collective':
    case 'block':
    case 'exchange':
      return 0;
  }
}

function isSound({ graph, inputs }: RandomProgram): boolean {
  if (graph.outputs.length === 0 || checkGraph(graph).length > 0) return false;
  try {
    evaluateGraph(graph, inputs, float32);
    return true;
  } catch {
    // A load is out of range, or there is an expert too many.
    return false;
  }
}

// ── nodes and tensors ──────────────────────────────────────────────────────────────────────────────────────

/** Every node, those of loop bodies too, by what stands in its place. */
function mapNodes(graph: Graph, change: (node: Node) => readonly Node[]): Graph {
  const nodes = graph.nodes.flatMap((node) =>
    change(node).map((own) => (own.kind === 'loop' ? { ...own, body: mapNodes(own.body, change) } : own)),
  );
  return { ...graph, nodes };
}

/** Of what stands outside of loops, by id, as inputs can have them. Nothing where the evaluator refuses. */
function valuesOf({ graph, inputs }: RandomProgram): ReadonlyMap<TensorId, TensorValue<number>> {
  const defined = graph.nodes.flatMap(results);
  const outputs = defined.map(({ id }) => ({ path: `${id}`, tensor: id }));
  const values = evaluateGraph({ ...graph, outputs }, inputs, float32);
  return new Map([...inputs, ...defined.map(({ id }) => [id, values.get(`${id}`)!] as const)]);
}

function zeros({ dtype, shape }: TensorType): TensorValue<number> {
  return { dtype, shape, data: new Float64Array(elementCount({ shape })) };
}

/** What is read and no longer computed becomes an input: with what it was, or inside of loops with zeros. */
function withMissingAsInputs(
  graph: Graph,
  before: RandomProgram,
  values: ReadonlyMap<TensorId, TensorValue<number>>,
): RandomProgram {
  const known = new Set(graph.inputs.map(({ tensor }) => tensor.id));
  const defined = allTensors(graph);
  const read = [...allNodes(graph).flatMap((node) => [...readsOf(node)]), ...outputsOf(graph)];
  const missing = [...new Set(read)].filter((id) => !known.has(id) && !defined.has(id));
  const tensors = allTensors(before.graph);
  const added = missing.map((id) => tensors.get(id)!);
  const inputs = [...graph.inputs, ...added.map((tensor) => ({ path: `x${tensor.id}`, tensor }))];
  const given = added.map((tensor) => [tensor.id, values.get(tensor.id) ?? zeros(tensor)] as const);
  return { graph: { ...graph, inputs }, inputs: new Map([...before.inputs, ...given]) };
}

/** Of loop bodies too. */
function outputsOf(graph: Graph): readonly TensorId[] {
  const inner = allNodes(graph).flatMap((node) => (node.kind === 'loop' ? node.body.outputs : []));
  return [...inner, ...graph.outputs].map(({ tensor }) => tensor);
}

/** Nodes and inputs that nothing reads. */
function* withoutUnread({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  const needed = new Set(graph.outputs.map(({ tensor }) => tensor));
  const nodes: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!results(node).some(({ id }) => needed.has(id))) continue;
    nodes.unshift(node);
    for (const id of readsOf(node)) needed.add(id);
  }
  const read = graph.inputs.filter(({ tensor }) => needed.has(tensor.id));
  const kept = [...inputs].filter(([id]) => needed.has(id));
  yield { graph: { ...graph, inputs: read, nodes }, inputs: new Map(kept) };
}

/** Runs of nodes, half of them first; an output of one that goes is dropped. */
function* withoutNodes(program: RandomProgram): Iterable<RandomProgram> {
  const { graph } = program;
  const values = valuesOf(program);
  const nodes = allNodes(graph);
  for (let length = nodes.length; length >= 1; length = Math.floor(length / 2))
    for (let first = 0; first < nodes.length; first += length) {
      const removed = new Set(nodes.slice(first, first + length));
      const gone = new Set([...removed].flatMap(results).map(({ id }) => id));
      const rest = mapNodes(graph, (node) => (removed.has(node) ? [] : [node]));
      const outputs = graph.outputs.filter(({ tensor }) => !gone.has(tensor));
      yield withMissingAsInputs({ ...rest, outputs }, program, values);
    }
}

function* withoutOutputs({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  for (const output of graph.outputs) yield { graph: { ...graph, outputs: [output] }, inputs };
  for (const output of graph.outputs)
    yield { graph: { ...graph, outputs: graph.outputs.filter((own) => own !== output) }, inputs };
}

/** A loop by its first step, or by its body once; what it collects is then as it was. */
function* withoutLoops(program: RandomProgram): Iterable<RandomProgram> {
  const { graph } = program;
  const loops = allNodes(graph).filter((node) => node.kind === 'loop');
  if (loops.length === 0) return;
  const values = valuesOf(program);
  for (const loop of loops) {
    for (const given of [loop.initial, loop.body.outputs.map(({ tensor }) => tensor)]) {
      const steps = given === loop.initial ? [] : stepOnce(loop);
      const by = new Map(loop.initial.map((_, at) => [loop.results[at]!.id, given[at]!]));
      yield withMissingAsInputs(renamedAll(replaced(graph, loop, steps), loop, by), program, values);
    }
  }
}

function replaced(graph: Graph, old: Node, by: readonly Node[]): Graph {
  return mapNodes(graph, (node) => (node === old ? by : [node]));
}

/** The nodes of the body on the initial states, at step 0. */
function stepOnce({ body, initial, loop }: LoopNode): readonly Node[] {
  const states = new Map(body.inputs.map(({ tensor }, at) => [tensor.id, initial[at]!]));
  return body.nodes.map((node) => {
    const atFirst = mapNodeScalars(node, (root) =>
      mapScalar(root, (part) => (part.op === 'counter' && part.loop === loop ? integer(0) : part)),
    );
    return renameReads(atFirst, (id) => states.get(id) ?? id);
  });
}

/** Reads of a loop's results by what is given for them; given states by what they were at first. */
function renamedAll(graph: Graph, { body, initial }: LoopNode, by: ReadonlyMap<TensorId, TensorId>): Graph {
  const states = new Map(body.inputs.map(({ tensor }, at) => [tensor.id, initial[at]!]));
  const name = (id: TensorId): TensorId => {
    const given = by.get(id) ?? id;
    return states.get(given) ?? given;
  };
  return renamed(graph, name);
}

function renamed(graph: Graph, name: (id: TensorId) => TensorId): Graph {
  const nodes = graph.nodes.map((node) => renameReads(node, name));
  const outputs = graph.outputs.map((output) => ({ ...output, tensor: name(output.tensor) }));
  return { ...graph, nodes, outputs };
}

/** One input for another of its type. */
function* withInputsMerged({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  for (const { tensor } of graph.inputs) {
    const others = graph.inputs.filter((other) => other.tensor !== tensor && isLike(other.tensor, tensor));
    for (const other of others) {
      const merged = renamed(graph, (id) => (id === tensor.id ? other.tensor.id : id));
      const left = merged.inputs.filter((own) => own.tensor !== tensor);
      const kept = [...inputs].filter(([id]) => id !== tensor.id);
      yield { graph: { ...merged, inputs: left }, inputs: new Map(kept) };
    }
  }
}

function isLike(left: Tensor, right: Tensor): boolean {
  return left.dtype === right.dtype && sameShape(left, right);
}

// ── sizes and dtypes ───────────────────────────────────────────────────────────────────────────────────────

function withTensors(graph: Graph, change: (tensor: Tensor) => Tensor): Graph {
  const inputs = graph.inputs.map((input) => ({ ...input, tensor: change(input.tensor) }));
  const nodes = graph.nodes.map((node) => retyped(node, change));
  return { ...graph, inputs, nodes };
}

type Retype = { readonly [K in NodeKind]: (node: Extract<Node, { kind: K }>, change: Change) => Node };
type Change = (tensor: Tensor) => Tensor;

const withResult = <N extends { readonly result: Tensor }>(node: N, change: Change): N => ({
  ...node,
  result: change(node.result),
});

const retypes: Retype = {
  compute: withResult,
  order: withResult,
  prefix: withResult,
  collective: withResult,
  block: withResult,
  exchange: withResult,
  softmaxSum: ({ partial, ...node }, change) => ({
    ...withResult(node, change),
    partial: partial && { ...partial, top: change(partial.top), total: change(partial.total) },
  }),
  route: (node, change) => ({ ...node, order: change(node.order), offsets: change(node.offsets) }),
  loop: (node, change) => ({
    ...node,
    body: withTensors(node.body, change),
    results: node.results.map(change),
  }),
};

function retyped(node: Node, change: Change): Node {
  return (retypes[node.kind] as (node: Node, change: Change) => Node)(node, change);
}

/** One extent wherever it is, and the numbers of the program that are it or the last position in it. */
function* withSmallerSizes({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  const extents = new Set([...allTensors(graph).values()].flatMap(({ shape }) => shape));
  for (const node of allNodes(graph)) for (const extent of extentsOf(node)) extents.add(extent);
  for (const extent of [...extents].sort((left, right) => right - left))
    for (const smaller of new Set([1, 2, Math.floor(extent / 2), extent - 1])) {
      if (smaller >= extent || smaller < 1) continue;
      const size = (own: number): number => (own === extent ? smaller : own);
      const resized = withTensors(graph, (tensor) => ({ ...tensor, shape: tensor.shape.map(size) }));
      const changed = mapNodes(resized, (node) => [withExtents(withNumbers(node, extent, smaller), size)]);
      const cut = changed.inputs.map(
        ({ tensor }) => [tensor.id, cropped(inputs.get(tensor.id)!, tensor)] as const,
      );
      yield { graph: changed, inputs: new Map(cut) };
    }
}

/** Those that are not of its results. */
function extentsOf(node: Node): readonly number[] {
  if (node.kind === 'compute') return node.reduce?.extents ?? [];
  if (node.kind === 'softmaxSum') return [node.extent, ...node.scoreExtents];
  return node.kind === 'loop' ? [node.count] : [];
}

function withExtents(node: Node, size: (extent: number) => number): Node {
  if (node.kind === 'compute' && node.reduce !== undefined)
    return { ...node, reduce: { ...node.reduce, extents: node.reduce.extents.map(size) } };
  if (node.kind === 'softmaxSum')
    return { ...node, extent: size(node.extent), scoreExtents: node.scoreExtents.map(size) };
  return node.kind === 'loop' ? { ...node, count: size(node.count) } : node;
}

function withNumbers(node: Node, extent: number, smaller: number): Node {
  return mapNodeScalars(node, (root) =>
    mapScalar(root, (part) => {
      if (part.op !== 'constant' || part.dtype !== 'i32') return part;
      if (part.value === extent) return integer(smaller);
      return part.value === extent - 1 ? integer(smaller - 1) : part;
    }),
  );
}

/** Its first elements along every axis. */
function cropped({ dtype, shape, data }: TensorValue<number>, to: TensorType): TensorValue<number> {
  const strides = stridesOf(shape);
  const own = stridesOf(to.shape);
  const kept = Float64Array.from({ length: elementCount(to) }, (_, at) => {
    const place = own.reduce(
      (sum, stride, axis) => sum + (Math.floor(at / stride) % to.shape[axis]!) * strides[axis]!,
      0,
    );
    return data[place] as number;
  });
  return { dtype, shape: to.shape, data: kept };
}

/** A narrow dtype by what arithmetic on it is done in, everywhere. */
function* withWiderDtypes({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  const used = new Set([...allTensors(graph).values()].map(({ dtype }) => dtype));
  for (const narrow of dtypes.filter((dtype) => isNarrow(dtype) && used.has(dtype))) {
    const wide = arithmeticOf(narrow);
    const widened = withTensors(graph, (tensor) =>
      tensor.dtype === narrow ? { ...tensor, dtype: wide } : tensor,
    );
    const loading = mapNodes(widened, (node) => [
      mapNodeScalars(node, (root) =>
        mapScalar(root, (part) =>
          part.op === 'load' && part.dtype === narrow ? { ...part, dtype: wide } : part,
        ),
      ),
    ]);
    const values = [...inputs].map(([id, value]) => {
      return [id, value.dtype === narrow ? { ...value, dtype: wide } : value] as const;
    });
    yield { graph: loading, inputs: new Map(values) };
  }
}

// ── what is in a node ──────────────────────────────────────────────────────────────────────────────────────

function* withSimplerNodes({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  for (const node of allNodes(graph))
    for (const simpler of simplerForms(node))
      yield { graph: mapNodes(graph, (own) => [own === node ? simpler : own]), inputs };
}

type Forms = { readonly [K in NodeKind]: (node: Extract<Node, { kind: K }>) => readonly Node[] };

const none = (): readonly Node[] => [];

const forms: Forms = {
  compute: (node) => {
    const { reduce, result } = node;
    if (reduce === undefined) return [];
    const rank = result.shape.length;
    const first = mapScalar(node.body, (part) =>
      part.op === 'iterator' && part.axis >= rank ? integer(0) : part,
    );
    const finished =
      reduce.finish && mapScalar(reduce.finish, (part) => (part.op === 'reduced' ? first : part));
    return [
      { ...node, body: finished ?? first, reduce: undefined, grouped: undefined },
      { ...node, reduce: { ...reduce, finish: undefined } },
      ...reduce.extents.map((_, at): Node => {
        const extents = reduce.extents.with(at, 1);
        return { ...node, reduce: { ...reduce, extents } };
      }),
      { ...node, reduce: { ...reduce, combiner: 'sum' } },
      { ...node, grouped: undefined },
    ];
  },
  softmaxSum: (node) => [
    { ...node, visible: undefined },
    { ...node, extent: 1 },
  ],
  order: (node) => [{ ...node, direction: 'ascending' }],
  prefix: (node) => [{ ...node, combiner: 'sum' }],
  loop: (node) => [
    { ...node, count: 1 },
    { ...node, count: Math.max(0, node.count - 1) },
  ],
  route: none,
  collective: none,
  block: none,
  exchange: none,
};

function simplerForms(node: Node): readonly Node[] {
  return (forms[node.kind] as (node: Node) => readonly Node[])(node);
}

/** An expression by one that it is made of, or by a constant, wherever it occurs in its node. */
function* withSimplerScalars({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  for (const node of allNodes(graph)) {
    const parts = new Set(nodeScalars(node).flatMap(subexpressions));
    for (const part of [...parts].reverse())
      for (const simpler of simplerScalars(part, graph)) {
        const changed = mapNodeScalars(node, (root) =>
          mapScalar(root, (own) => (own === part ? simpler : own)),
        );
        yield { graph: mapNodes(graph, (own) => [own === node ? changed : own]), inputs };
      }
  }
}

function simplerScalars(scalar: Scalar, graph: Graph): readonly Scalar[] {
  const type = scalarType(scalar);
  const constants = [constant(type, 0), constant(type, 1)];
  if (scalar.op === 'constant') return constants;
  const inner = operands(scalar).filter((operand) => scalarType(operand) === type);
  if (scalar.op === 'load') return [...constants, ...inner, ...simplerLoads(scalar.dtype, graph)];
  return [...constants, ...inner, ...(scalar.op === 'apply' ? grandchildren(scalar, type) : [])];
}

/** Of the inputs, at their first element. */
function simplerLoads(dtype: Tensor['dtype'], graph: Graph): readonly Scalar[] {
  return graph.inputs
    .filter(({ tensor }) => arithmeticOf(tensor.dtype) === arithmeticOf(dtype))
    .slice(0, 1)
    .map(({ tensor }) =>
      load(
        tensor,
        tensor.shape.map(() => integer(0)),
      ),
    );
}

/** Beneath an operand of another type. */
function grandchildren(scalar: Scalar, type: Arithmetic): readonly Scalar[] {
  return operands(scalar).flatMap((operand) =>
    scalarType(operand) === type ? [] : operands(operand).filter((inner) => scalarType(inner) === type),
  );
}

// ── values ─────────────────────────────────────────────────────────────────────────────────────────────────

function* withSimplerValues({ graph, inputs }: RandomProgram): Iterable<RandomProgram> {
  for (const [id, value] of inputs) {
    const { length } = value.data;
    const fill = (number: (at: number) => number): RandomProgram => {
      const data = Float64Array.from({ length }, (_, at) => number(at));
      return { graph, inputs: new Map([...inputs, [id, { ...value, data }]]) };
    };
    const own = (at: number): number => value.data[at] as number;
    yield fill(() => 0);
    yield fill(() => 1);
    yield fill((at) => Math.sign(own(at)));
    yield fill((at) => (at < length / 2 ? own(at) : 0));
    yield fill((at) => (at < length / 2 ? 0 : own(at)));
    for (let at = 0; at < Math.min(length, 16); at++)
      if (own(at) !== 0) yield fill((place) => (place === at ? 0 : own(place)));
  }
}
