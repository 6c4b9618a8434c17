/**
 * Small random graphs for property tests: all kinds of nodes, all kinds of subscripts, all dtypes, sizes from
 * nothing up. What there is of each is a table by name, so that what is new must say how it is drawn.
 */
import type fc from 'fast-check';
import { type Dtype, dtypeFacts, dtypes } from '../../dsl/types/dtype.ts';
import type { TensorValue } from './algebra.ts';
import { type Choose, pick } from './choice-tape.ts';
import type {
  Arithmetic,
  Combiner,
  ComputeNode,
  Graph,
  LoopId,
  Node,
  NodeKind,
  Scalar,
  Tensor,
  TensorId,
} from './graph.ts';
import { combiners, results } from './graph.ts';
import { programArbitrary } from './program-arbitrary.ts';
import { randomScalar, randomSubscripts, type ScalarScope } from './random-scalar.ts';
import { roundTo } from './rounding.ts';
import { apply, arithmeticOf, constant, convert, integer, iterators, load, reduced } from './scalar.ts';
import { elementCount } from './tensor-type.ts';
import { threefry2x32 } from './threefry.ts';
import { readsOf } from './uses.ts';

export interface RandomProgram {
  readonly graph: Graph;
  readonly inputs: ReadonlyMap<TensorId, TensorValue<number>>;
}

/** Whether what only passes of the optimizer make is among the nodes. */
export type Stage = 'lowered' | 'optimized';

/**
 * Well-formed graphs with inputs on which they run without a load out of range. `sizes` go from simple to
 * awkward. They shrink as programs do (`shrink-graph.ts`).
 */
export function randomPrograms(sizes: readonly number[] = smallSizes): fc.Arbitrary<RandomProgram> {
  return programArbitrary((choose) => randomProgram(choose, sizes, 'optimized'));
}

/** Likewise, of the nodes that lowering makes only. */
export function randomLoweredPrograms(sizes: readonly number[] = smallSizes): fc.Arbitrary<RandomProgram> {
  return programArbitrary((choose) => randomProgram(choose, sizes, 'lowered'));
}

const smallSizes = [2, 3, 5, 1, 2, 3, 5, 2, 3, 0] as const;

/** How often an input or a result is of the dtype, among those of one arithmetic type. */
const dtypeWeights: { readonly [D in Dtype]: number } = {
  f32: 5,
  bf16: 2,
  f16: 2,
  f8e4m3: 1,
  f8e5m2: 1,
  i32: 2,
  u32: 1,
  i8: 1,
  u8: 1,
  bool: 1,
};
/** Every graph has something to compute with and something to look up by. */
const firstDtypes = ['f32', 'i32'] as const;
const inputDtypes = dtypes.flatMap((dtype) => new Array<Dtype>(dtypeWeights[dtype]).fill(dtype));
const resultDtypes: { readonly [A in Arithmetic]: readonly Dtype[] } = {
  f32: resultsOf('f32'),
  i32: resultsOf('i32'),
  u32: resultsOf('u32'),
  bool: resultsOf('bool'),
};

function resultsOf(type: Arithmetic): readonly Dtype[] {
  return inputDtypes.filter((dtype) => dtypeFacts[dtype].arithmetic === type);
}

interface Maker {
  readonly choose: Choose;
  readonly sizes: readonly number[];
  readonly makers: readonly MakeNodes[];
  readonly newTensor: (name: string, dtype: Dtype, shape: readonly number[]) => Tensor;
  readonly newLoop: () => LoopId;
}

export function randomProgram(choose: Choose, sizes: readonly number[], stage: Stage): RandomProgram {
  const seed = choose(2 ** 16);
  let tensors = 0;
  let loops = 0;
  const maker: Maker = {
    choose,
    sizes,
    makers: makers[stage],
    newTensor: (name, dtype, shape) => ({ id: tensors++, name, dtype, shape }),
    newLoop: () => loops++,
  };
  const inputs = Array.from({ length: 2 + choose(3) }, (_, position) => {
    const name = `x${position}`;
    const first = firstDtypes[position];
    if (first === undefined) return maker.newTensor(name, pick(choose, inputDtypes), randomShape(maker, 3));
    return maker.newTensor(name, first, [sizes[1]!, sizes[0]!, sizes[2]!].slice(choose(2)));
  });
  const nodes = randomNodes(maker, inputs, [], 1 + choose(5));
  // What nobody reads, and now and then something that is read too.
  const read = new Set(nodes.flatMap((node) => [...readsOf(node)]));
  const given = nodes.flatMap(results).filter(({ id }) => !read.has(id) || choose(4) === 1);
  const graph: Graph = {
    name: 'random',
    inputs: inputs.map((tensor) => ({ path: tensor.name, tensor })),
    nodes,
    outputs: given.map(({ id }, position) => ({ path: `out.${position}`, tensor: id })),
  };
  return {
    graph,
    inputs: new Map(inputs.map((tensor) => [tensor.id, randomValue(seed, tensor)])),
  };
}

function randomShape({ choose, sizes }: Maker, rank: number): readonly number[] {
  return Array.from({ length: (choose(rank + 1) + 1) % (rank + 1) }, () => pick(choose, sizes));
}

/**
 * Quarters, small and of both signs: sums and products of a few are exact in f32.
 */
function randomValue(seed: number, tensor: Tensor): TensorValue<number> {
  const draw = {
    f32: (bits: number) => roundTo(tensor.dtype, ((bits % 33) - 16) / 4),
    i32: (bits: number) => (bits % 9) - 3,
    u32: (bits: number) => bits % 9,
    bool: (bits: number) => bits % 2,
  }[arithmeticOf(tensor.dtype)];
  const data = Float64Array.from({ length: elementCount(tensor) }, (_, position) =>
    draw(threefry2x32(seed, tensor.id, position, 0)[0]),
  );
  return { dtype: tensor.dtype, shape: tensor.shape, data };
}

// ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

interface Surroundings {
  readonly maker: Maker;
  /** What may be read. */
  readonly tensors: readonly Tensor[];
  readonly loops: readonly LoopId[];
}

function randomNodes(
  maker: Maker,
  visible: readonly Tensor[],
  loops: readonly LoopId[],
  count: number,
): readonly Node[] {
  const nodes: Node[] = [];
  for (let position = 0; position < count; position++) {
    const tensors = [...visible, ...nodes.flatMap(results)];
    const make = pick(maker.choose, maker.makers);
    // Loops in loops take long, and show no more.
    if (make !== randomLoop || loops.length === 0) nodes.push(...make({ maker, tensors, loops }));
  }
  return nodes;
}

type MakeNodes = (around: Surroundings) => readonly Node[];

interface NodeGenerator {
  readonly stage: Stage;
  /** How often, relative to others. */
  readonly weight: number;
  readonly make: MakeNodes;
}

const nodeGenerators: { readonly [K in NodeKind]: readonly NodeGenerator[] } = {
  compute: [
    {
      stage: 'lowered',
      weight: 4,
      make: (around) => [randomCompute(around, randomShape(around.maker, 3))],
    },
    { stage: 'lowered', weight: 2, make: randomContraction },
    { stage: 'lowered', weight: 2, make: randomAttention },
    { stage: 'lowered', weight: 1, make: randomExperts },
  ],
  order: [{ stage: 'lowered', weight: 2, make: randomOrder }],
  prefix: [{ stage: 'lowered', weight: 2, make: randomPrefix }],
  collective: [{ stage: 'lowered', weight: 2, make: randomCollective }],
  loop: [{ stage: 'lowered', weight: 2, make: randomLoop }],
  route: [{ stage: 'optimized', weight: 2, make: randomRoute }],
  softmaxSum: [{ stage: 'optimized', weight: 2, make: randomSoftmaxSum }],
  // The border to what devices do on their own means something on a mesh only (`random-detours.ts`).
  block: [],
  // In the program of a device only: what localizing makes of collectives.
  exchange: [],
};

function makersOf(stages: readonly Stage[]): readonly MakeNodes[] {
  return Object.values(nodeGenerators)
    .flat()
    .filter(({ stage }) => stages.includes(stage))
    .flatMap(({ weight, make }) => new Array<MakeNodes>(weight).fill(make));
}

const makers: { readonly [S in Stage]: readonly MakeNodes[] } = {
  lowered: makersOf(['lowered']),
  optimized: makersOf(['lowered', 'optimized']),
};

/** What a reduction combines, and when it needs something to combine. */
interface CombinerFacts {
  readonly takes: (type: Arithmetic) => Arithmetic;
  readonly gives: (taken: Arithmetic) => Arithmetic;
  readonly leastExtent: number;
}

const ofNumbers: CombinerFacts = {
  takes: (type) => (type === 'bool' ? 'i32' : type),
  gives: (taken) => taken,
  leastExtent: 0,
};
const ofBools: CombinerFacts = { takes: () => 'bool', gives: () => 'bool', leastExtent: 0 };
/** There is no position in nothing. */
const ofPositions: CombinerFacts = { ...ofNumbers, gives: () => 'i32', leastExtent: 1 };

const combinerFacts: { readonly [C in Combiner]: CombinerFacts } = {
  sum: ofNumbers,
  prod: ofNumbers,
  max: ofNumbers,
  min: ofNumbers,
  any: ofBools,
  all: ofBools,
  argmax: ofPositions,
  argmin: ofPositions,
};

function scopeOf(around: Surroundings, extents: readonly number[]): ScalarScope {
  const axes = [...extents.entries()].map(([axis, extent]) => ({ axis, extent }));
  return { choose: around.maker.choose, tensors: around.tensors, loops: around.loops, axes, made: [] };
}

/** A map or a reduction. `dtype` is the result's, when it is given. */
function randomCompute(around: Surroundings, shape: readonly number[], dtype?: Dtype): ComputeNode {
  const { choose, newTensor } = around.maker;
  const type = dtype ? arithmeticOf(dtype) : pick(choose, ['f32', 'f32', 'i32', 'bool', 'u32'] as const);
  const result = (): Tensor => newTensor('h', dtype ?? pick(choose, resultDtypes[type]), shape);
  const outer = scopeOf(around, shape);
  if (choose(2) === 0)
    return {
      kind: 'compute',
      result: result(),
      body: randomScalar(outer, type, 4),
      reduce: undefined,
      grouped: undefined,
    };
  const combiner = pick(choose, combiners);
  const { takes, gives, leastExtent } = combinerFacts[combiner];
  const extents = [pick(choose, around.maker.sizes), ...randomShape(around.maker, 1)].map((extent) =>
    Math.max(leastExtent, extent),
  );
  const inner = scopeOf(around, [...shape, ...extents]);
  const bodyType = takes(type);
  const body = randomScalar(inner, bodyType, 3);
  const reducedType = gives(bodyType);
  const finished: Scalar = convert(type, reduced(reducedType));
  const plain = finished.op === 'reduced' && choose(2) === 0;
  const finish = plain ? undefined : choose(2) === 0 ? finished : changed(finished, outer);
  return {
    kind: 'compute',
    result: result(),
    body,
    reduce: { combiner, extents, finish },
    grouped: undefined,
  };
}

/** Something done to a reduced value. */
function changed(value: Scalar, scope: ScalarScope): Scalar {
  const type = value.op === 'convert' || value.op === 'reduced' ? value.dtype : 'f32';
  return apply(type === 'bool' ? 'or' : 'add', value, randomScalar(scope, type, 2));
}

/**
 * The pattern that the compiler looks for: a sum over products of loads, rows looked up now and then, and
 * often a map after it.
 */
function randomContraction(around: Surroundings): readonly Node[] {
  const { choose, newTensor } = around.maker;
  const shape = randomShape(around.maker, 3);
  const extent = pick(choose, around.maker.sizes);
  const factor = factorOf(around);
  const all = [...shape, extent];
  const body = apply('mul', factor(all), factor(all));
  const result = newTensor('y', pick(choose, resultDtypes.f32), shape);
  const contraction = sumOf(result, body, [extent]);
  if (choose(2) === 0) return [contraction];
  const after = apply('tanh', load(result, iterators(shape.length)));
  const mapped = newTensor('mapped', pick(choose, resultDtypes.f32), shape);
  return [
    contraction,
    { kind: 'compute', result: mapped, body: after, reduce: undefined, grouped: undefined },
  ];
}

/**
 * Attention as it is lowered: scores, a softmax over those that are visible, and a sum that it weights.
 * Logits stay where their exponentials differ by little.
 */
function randomAttention(around: Surroundings): readonly Node[] {
  const { choose, newTensor, sizes } = around.maker;
  const rows = randomShape(around.maker, 2);
  const [extent, score] = [pick(choose, sizes), pick(choose, sizes)];
  const rank = rows.length;
  const factor = factorOf(around);
  const sum = newTensor('score', 'f32', [...rows, extent]);
  const scores = sumOf(
    sum,
    apply('mul', factor([...rows, extent, score]), factor([...rows, extent, score])),
    [score],
  );
  const scope = { ...scopeOf(around, [...rows, extent]), made: [] };
  const visible = choose(2) === 0 ? undefined : randomScalar(scope, 'bool', 2);
  const logit = apply('tanh', load(sum, iterators(rank + 1)));
  const shown = (value: Scalar, hidden: number): Scalar =>
    visible === undefined ? value : apply('select', visible, value, constant('f32', hidden));
  const top = newTensor('top', 'f32', rows);
  const total = newTensor('total', 'f32', rows);
  const weights = newTensor('weights', 'f32', [...rows, extent]);
  const weight = apply('exp', apply('sub', logit, load(top, iterators(rank))));
  const share = apply('div', weight, load(total, iterators(rank)));
  const columns = randomShape(around.maker, 1);
  const out = newTensor('o', pick(choose, resultDtypes.f32), [...rows, ...columns]);
  const streamed = { op: 'iterator', axis: rank + columns.length } as const;
  const read = load(weights, [...iterators(rank), streamed]);
  return [
    scores,
    reduction(top, 'max', shown(logit, Number.NEGATIVE_INFINITY), [extent]),
    sumOf(total, shown(weight, 0), [extent]),
    { kind: 'compute', result: weights, body: shown(share, 0), reduce: undefined, grouped: undefined },
    sumOf(out, apply('mul', read, factor([...rows, ...columns, extent])), [extent]),
  ];
}

/** Products with the weights of the experts that each row has chosen, the greatest of its scores. */
function randomExperts(around: Surroundings): readonly Node[] {
  const { choose, newTensor, sizes } = around.maker;
  const [experts, taken] = [2 + choose(3), 1 + choose(2)];
  // With few rows and columns nothing is gained by grouping.
  const large = sizes.toSorted((left, right) => right - left).slice(0, 4);
  const [rows, inner] = [pick(choose, large), pick(choose, sizes)];
  const columns = [pick(choose, large), pick(choose, large)];
  const scores = newTensor('scores', 'f32', [rows, experts]);
  const chosen = newTensor('pick', 'i32', [rows, taken]);
  const weights = newTensor('w', pick(choose, resultDtypes.f32), [experts, inner, ...columns]);
  const out = newTensor('y', pick(choose, resultDtypes.f32), [rows, taken, ...columns]);
  const factor = factorOf(around);
  const [row, slot, first, second, reducedAxis] = iterators(5) as [Scalar, Scalar, Scalar, Scalar, Scalar];
  const own = load(weights, [load(chosen, [row, slot]), reducedAxis, first, second]);
  const map = (result: Tensor): Node => {
    const body = randomScalar(scopeOf(around, result.shape), 'f32', 2);
    return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
  };
  // Rows of what is multiplied do not depend on the columns.
  const x = newTensor('x', 'f32', [rows, inner]);
  const ofRows: Node = {
    kind: 'compute',
    result: x,
    body: factor([rows, inner]),
    reduce: undefined,
    grouped: undefined,
  };
  return [
    map(scores),
    { kind: 'order', source: scores.id, direction: 'descending', result: chosen },
    map(weights),
    ofRows,
    sumOf(out, apply('mul', load(x, [row, reducedAxis]), own), [inner]),
  ];
}

function sumOf(result: Tensor, body: Scalar, extents: readonly number[]): ComputeNode {
  return reduction(result, 'sum', body, extents);
}

function reduction(
  result: Tensor,
  combiner: Combiner,
  body: Scalar,
  extents: readonly number[],
): ComputeNode {
  return {
    kind: 'compute',
    result,
    body,
    reduce: { combiner, extents, finish: undefined },
    grouped: undefined,
  };
}

/** Makes loads of floats, of what axes of the extents reach. */
function factorOf(around: Surroundings): (extents: readonly number[]) => Scalar {
  const { choose } = around.maker;
  const floats = around.tensors.filter(({ dtype }) => arithmeticOf(dtype) === 'f32');
  return (extents) => {
    const tensor = floats.length === 0 ? undefined : pick(choose, floats);
    const subscripts = tensor && randomSubscripts(scopeOf(around, extents), tensor, 2);
    return tensor && subscripts ? load(tensor, subscripts) : constant('f32', 2);
  };
}

function randomOrder(around: Surroundings): readonly Node[] {
  const { choose, newTensor } = around.maker;
  const sources = around.tensors.filter(({ shape }) => shape.length > 0);
  if (sources.length === 0) return [];
  const source = pick(choose, sources);
  const kept = choose(source.shape.at(-1)! + 1);
  const result = newTensor('order', 'i32', [...source.shape.slice(0, -1), kept]);
  return [
    { kind: 'order', source: source.id, direction: choose(2) === 0 ? 'descending' : 'ascending', result },
  ];
}

function randomPrefix(around: Surroundings): readonly Node[] {
  const { choose, newTensor } = around.maker;
  const sources = around.tensors.filter(({ shape, dtype }) => shape.length > 0 && dtype !== 'bool');
  if (sources.length === 0) return [];
  const source = pick(choose, sources);
  const result = newTensor('prefix', arithmeticOf(source.dtype), source.shape);
  return [
    { kind: 'prefix', source: source.id, combiner: pick(choose, ['sum', 'max', 'prod'] as const), result },
  ];
}

function randomRoute(around: Surroundings): readonly Node[] {
  const { choose, newTensor } = around.maker;
  const experts = 1 + choose(4);
  const shape = [pick(choose, around.maker.sizes), ...randomShape(around.maker, 1)];
  const chosen = newTensor('pick', 'i32', shape);
  const scope = scopeOf(around, shape);
  const body = apply('mod', randomScalar(scope, 'i32', 2), integer(experts));
  return [
    { kind: 'compute', result: chosen, body, reduce: undefined, grouped: undefined },
    {
      kind: 'route',
      pick: chosen.id,
      experts,
      order: newTensor('order', 'i32', [elementCount(chosen)]),
      offsets: newTensor('offsets', 'i32', [experts + 1]),
    },
  ];
}

function randomSoftmaxSum(around: Surroundings): readonly Node[] {
  const { choose, newTensor } = around.maker;
  const shape = randomShape(around.maker, 3);
  const rank = shape.length;
  const extent = pick(choose, around.maker.sizes);
  const scoreExtents = [pick(choose, around.maker.sizes)];
  const all = scopeOf(around, [...shape, extent, ...scoreExtents]);
  const valueAxes = [...shape.keys()].filter(() => choose(2) === 1);
  const scored = all.axes.filter(({ axis }) => !valueAxes.includes(axis));
  const streamed = scored.filter(({ axis }) => axis <= rank);
  // Logits stay where their exponentials differ by little.
  const logit = apply('tanh', apply('add', reduced('f32'), randomScalar(fresh(streamed), 'f32', 1)));
  return [
    {
      kind: 'softmaxSum',
      result: newTensor('o', pick(choose, resultDtypes.f32), shape),
      extent,
      scoreExtents,
      scoreBody: randomScalar(fresh(scored), 'f32', 2),
      logit,
      visible: choose(2) === 0 ? undefined : randomScalar(fresh(streamed), 'bool', 2),
      value: randomScalar(fresh(all.axes.filter(({ axis }) => axis <= rank)), 'f32', 2),
      valueAxes,
    },
  ];

  function fresh(axes: ScalarScope['axes']): ScalarScope {
    return { ...all, axes, made: [] };
  }
}

/** Of any tensor: what the mesh axes are does not matter to what is computed. */
function randomCollective(around: Surroundings): readonly Node[] {
  const { choose, newTensor } = around.maker;
  const source = pick(choose, around.tensors);
  const { dtype, shape } = source;
  const kind = pick(choose, ['all_gather', 'all_reduce', 'broadcast'] as const);
  const result = newTensor('moved', dtype, shape);
  return [{ kind: 'collective', source: source.id, result, change: { kind, axes: ['tp'] } }];
}

function randomLoop(around: Surroundings): readonly Node[] {
  const { maker, tensors } = around;
  const { choose, newTensor } = maker;
  const loop = maker.newLoop();
  const count = pick(choose, around.maker.sizes);
  const initial = Array.from({ length: 1 + choose(2) }, () => pick(choose, tensors));
  const states = initial.map(({ dtype, shape }) => newTensor('state', dtype, shape));
  const loops = [...around.loops, loop];
  const first = randomNodes(maker, [...tensors, ...states], loops, choose(3));
  const inside = [...tensors, ...states, ...first.flatMap(results)];
  const next = states.map(({ dtype, shape }) =>
    randomCompute({ maker, tensors: inside, loops }, shape, dtype),
  );
  // A state may also be handed on as it is.
  const changing = next.filter(() => choose(4) !== 3);
  const nodes = [...first, ...changing];
  const given = states.map((state, position) =>
    changing.includes(next[position]!) ? next[position]!.result : state,
  );
  const collected = first.flatMap(results).slice(0, choose(2));
  const outputs = [...given, ...collected];
  return [
    {
      kind: 'loop',
      loop,
      count,
      initial: initial.map(({ id }) => id),
      body: {
        name: 'step',
        inputs: states.map((tensor, position) => ({ path: `state.${position}`, tensor })),
        nodes,
        outputs: outputs.map(({ id }, position) => ({ path: `out.${position}`, tensor: id })),
      },
      results: [
        ...states.map(({ dtype, shape }) => newTensor('final', dtype, shape)),
        ...collected.map(({ dtype, shape }) => newTensor('collected', dtype, [count, ...shape])),
      ],
    },
  ];
}
