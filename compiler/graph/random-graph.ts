/**
 * Small random graphs for property tests: all kinds of nodes, all kinds of subscripts, sizes from nothing to
 * five. A graph is made from a tape of numbers, each a choice; a shorter tape with smaller numbers makes a
 * simpler graph, which is how counterexamples shrink.
 */
import fc from 'fast-check';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { TensorValue } from './algebra.ts';
import { type Choose, pick, readTape } from './choice-tape.ts';
import type { ComputeNode, Graph, LoopId, Node, Scalar, Tensor, TensorId } from './graph.ts';
import { combiners, results } from './graph.ts';
import { randomScalar, randomSubscripts, type ScalarScope } from './random-scalar.ts';
import { roundTo } from './rounding.ts';
import { apply, arithmeticOf, constant, convert, iterators, load, reduced } from './scalar.ts';
import { elementCount } from './tensor-type.ts';
import { threefry2x32 } from './threefry.ts';
import { readsOf } from './uses.ts';

export interface RandomProgram {
  readonly graph: Graph;
  readonly inputs: ReadonlyMap<TensorId, TensorValue<number>>;
}

/**
 * Well-formed graphs with inputs on which they run without a load out of range. `sizes` go from simple to
 * awkward.
 */
export function randomPrograms(sizes: readonly number[] = smallSizes): fc.Arbitrary<RandomProgram> {
  return programsOf(sizes, [...lowered, ...optimized]);
}

/** Likewise, of the nodes that lowering makes only. */
export function randomLoweredPrograms(sizes: readonly number[] = smallSizes): fc.Arbitrary<RandomProgram> {
  return programsOf(sizes, lowered);
}

function programsOf(sizes: readonly number[], makers: readonly MakeNodes[]): fc.Arbitrary<RandomProgram> {
  const choice = fc.noBias(fc.nat(2 ** 16));
  const tape = fc.array(choice, { minLength: 300, maxLength: 1200, size: 'max' });
  return tape.map((choices) => programFrom(readTape(choices), sizes, makers));
}

const smallSizes = [2, 3, 5, 1, 2, 3, 5, 2, 3, 0] as const;
const inputDtypes = ['f32', 'i32', 'bf16', 'bool', 'f16', 'u8', 'i8', 'u32'] as const;
/** Every graph has something to compute with and something to look up by. */
const firstDtypes = ['f32', 'i32'] as const;
const resultDtypes: { readonly [A in 'f32' | 'i32' | 'u32' | 'bool']: readonly Dtype[] } = {
  f32: ['f32', 'f32', 'bf16', 'f16'],
  i32: ['i32', 'i32', 'i8'],
  u32: ['u32', 'u8'],
  bool: ['bool'],
};

interface Maker {
  readonly choose: Choose;
  readonly sizes: readonly number[];
  readonly makers: readonly MakeNodes[];
  readonly newTensor: (name: string, dtype: Dtype, shape: readonly number[]) => Tensor;
  readonly newLoop: () => LoopId;
}

function programFrom(choose: Choose, sizes: readonly number[], makers: readonly MakeNodes[]): RandomProgram {
  const seed = choose(2 ** 16);
  let tensors = 0;
  let loops = 0;
  const maker: Maker = {
    choose,
    sizes,
    makers,
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
 * Quarters, small and of both signs: sums and products of a few are exact in f32. Not from the tape, which
 * may end.
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
    const make = pick(maker.choose, loops.length === 0 ? [...maker.makers, randomLoop] : maker.makers);
    nodes.push(...make({ maker, tensors, loops }));
  }
  return nodes;
}

type MakeNodes = (around: Surroundings) => readonly Node[];

const lowered: readonly MakeNodes[] = [
  (around) => [randomCompute(around, randomShape(around.maker, 3))],
  (around) => [randomCompute(around, randomShape(around.maker, 3))],
  randomContraction,
  randomOrder,
  randomPrefix,
  randomCollective,
];
const optimized: readonly MakeNodes[] = [randomRoute, randomSoftmaxSum];

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
  const logical = combiner === 'any' || combiner === 'all';
  const positions = combiner === 'argmax' || combiner === 'argmin';
  const extents = [pick(choose, around.maker.sizes), ...randomShape(around.maker, 1)].map((extent) =>
    positions ? Math.max(1, extent) : extent,
  );
  const inner = scopeOf(around, [...shape, ...extents]);
  const bodyType = logical ? 'bool' : type === 'bool' ? 'i32' : type;
  const body = randomScalar(inner, bodyType, 3);
  const reducedType = positions ? 'i32' : bodyType;
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
  const scope = scopeOf(around, [...shape, extent]);
  const floats = around.tensors.filter(({ dtype }) => arithmeticOf(dtype) === 'f32');
  const factor = (): Scalar => {
    const tensor = floats.length === 0 ? undefined : pick(choose, floats);
    const subscripts = tensor && randomSubscripts(scope, tensor, 2);
    return tensor && subscripts ? load(tensor, subscripts) : constant('f32', 2);
  };
  const body = apply('mul', factor(), factor());
  const result = newTensor('y', pick(choose, resultDtypes.f32), shape);
  const reduce = { combiner: 'sum', extents: [extent], finish: undefined } as const;
  const contraction: Node = { kind: 'compute', result, body, reduce, grouped: undefined };
  if (choose(2) === 0) return [contraction];
  const after = apply('tanh', load(result, iterators(shape.length)));
  const mapped = newTensor('mapped', pick(choose, resultDtypes.f32), shape);
  return [
    contraction,
    { kind: 'compute', result: mapped, body: after, reduce: undefined, grouped: undefined },
  ];
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
  const body = apply('mod', randomScalar(scope, 'i32', 2), constant('i32', experts));
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
