import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Algebra, FloatFunction, Storage, TensorValue } from './algebra.ts';
import { type Bounded, type ErrorBound, errorBound } from './error-bound.ts';
import { evaluateGraph } from './evaluate.ts';
import { float64 } from './float64.ts';
import { type ComputeNode, type Node, results, type Scalar, type Tensor, type TensorId } from './graph.ts';
import { printGraph } from './print.ts';
import { type RandomProgram, randomPrograms } from './random-graph.ts';
import { roundTo, spacing } from './rounding.ts';
import { apply, constant, iterator, load } from './scalar.ts';
import { elementCount, isFloat } from './tensor-type.ts';
import { threefry2x32 } from './threefry.ts';

// ── a device that is as bad as it may be ───────────────────────────────────────────────────────────────────

/** A sum that is not yet taken: its terms are added in an order of the device's own. */
type Terms = readonly number[];

interface Conduct {
  readonly rounding: 'up' | 'down' | 'any';
  readonly order: 'as written' | 'largest first' | 'pairs' | 'any';
  readonly seed: number;
}

const bits = new Float32Array(1);
const words = new Int32Array(bits.buffer);

/** The f32 next to one, away from zero or towards it. */
function neighbour(value: number, outwards: boolean): number {
  bits[0] = value;
  words[0]! += outwards ? 1 : -1;
  return bits[0];
}

/** Arithmetic as WGSL allows it at worst. */
function badDevice({ rounding, order, seed }: Conduct): Algebra<Terms> {
  /** In [0, 1): the same of the same number, since a device does the same with the same. */
  const random = (value: number): number => {
    bits[0] = value;
    return threefry2x32(seed, words[0]! >>> 0, 0, 0)[0] / 2 ** 32;
  };
  const rounded = (value: number): number => {
    const nearest = Math.fround(value);
    if (nearest === value || !Number.isFinite(nearest)) return nearest;
    if (Math.abs(nearest) < 2 ** -126) return random(value) < 0.5 ? 0 : nearest;
    const upwards = rounding === 'any' ? random(value) < 0.5 : rounding === 'up';
    if (nearest > value === upwards) return nearest;
    return neighbour(nearest, nearest > 0 === upwards);
  };
  /** Somewhere within `reach`, at an end where that is how it rounds. */
  const within = (value: number, reach: number): number => {
    if (!Number.isFinite(value) || !Number.isFinite(reach)) return Math.fround(value);
    const share = rounding === 'any' ? 2 * random(value) - 1 : rounding === 'up' ? 1 : -1;
    const found = Math.fround(value + share * reach);
    return Math.abs(found - value) <= reach ? found : neighbour(found, Math.abs(found) < Math.abs(value));
  };
  const sum = (terms: Terms): number => {
    const nonzero = terms.filter((term) => term !== 0);
    const own =
      order === 'largest first'
        ? nonzero.toSorted((left, right) => Math.abs(right) - Math.abs(left))
        : order === 'any'
          ? nonzero
              .map((term) => ({ term, key: random(term) }))
              .toSorted((a, b) => a.key - b.key)
              .map(({ term }) => term)
          : nonzero;
    if (own.length === 0) return terms.length === 0 ? 0 : terms.reduce((left, right) => left + right);
    return order === 'pairs' ? inPairs(own) : own.reduce((left, right) => rounded(left + right));
  };
  const inPairs = (terms: Terms): number => {
    if (terms.length === 1) return terms[0]!;
    const half = terms.length >> 1;
    return rounded(inPairs(terms.slice(0, half)) + inPairs(terms.slice(half)));
  };
  const numeric =
    (run: (...numbers: number[]) => number) =>
    (...operands: Terms[]): Terms => [run(...operands.map(sum))];
  const ulps = (count: number, name: FloatFunction) => {
    const exact = float64.functions[name];
    return numeric((...operands) => {
      const value = exact(...operands);
      return within(value, count * spacingOf(value));
    });
  };
  const absolute = (reach: number, name: FloatFunction) =>
    numeric((operand) => within(float64.functions[name](operand), reach));
  const exact = (name: FloatFunction) =>
    numeric((...operands) => Math.fround(float64.functions[name](...operands)));
  return {
    name: 'a bad device',
    createStorage: (length) => new Array<Terms>(length).fill([0]),
    constant: (value) => [Math.fround(value)],
    functions: {
      add: (left, right) => [...left, ...right],
      sub: (left, right) => [...left, ...right.map((term) => -term)],
      neg: (operand) => operand.map((term) => -term),
      mul: numeric((left, right) => rounded(left * right)),
      div: ulps(2.5, 'div'),
      abs: exact('abs'),
      sign: exact('sign'),
      min: exact('min'),
      max: exact('max'),
      floor: exact('floor'),
      ceil: exact('ceil'),
      round: exact('round'),
      exp: numeric((operand) => {
        const value = Math.exp(operand);
        return within(value, (3 + 2 * Math.abs(operand)) * spacingOf(value));
      }),
      log: numeric((operand) => {
        const value = Math.log(operand);
        return within(value, operand >= 0.5 && operand <= 2 ? 2 ** -21 : 3 * spacingOf(value));
      }),
      sqrt: ulps(4.5, 'sqrt'),
      rsqrt: ulps(2, 'rsqrt'),
      sin: absolute(4e-7, 'sin'),
      cos: absolute(4e-7, 'cos'),
      tanh: absolute(9e-6, 'tanh'),
      erf: exact('erf'),
      pow: numeric((base, exponent) => {
        const value = base ** exponent;
        if (exponent === 0 || !(base > 0) || !Number.isFinite(value)) return Math.fround(value);
        const exact = Math.log2(base);
        const reach = base >= 0.5 && base <= 2 ? 2 ** -21 : 3 * spacingOf(exact);
        const power = rounded(exponent * within(exact, reach));
        return within(2 ** power, (3 + 2 * Math.abs(power)) * spacingOf(2 ** power));
      }),
    },
    comparisons: {
      eq: (left, right) => sum(left) === sum(right),
      ne: (left, right) => sum(left) !== sum(right),
      lt: (left, right) => sum(left) < sum(right),
      le: (left, right) => sum(left) <= sum(right),
    },
    round: (dtype, value) => [roundTo(dtype, sum(value))],
    fromInteger: (value) => [Math.fround(value)],
    toNumber: sum,
  };
}

/** Between f32 values of that magnitude; zero is exact. */
function spacingOf(value: number): number {
  const magnitude = Math.abs(Math.fround(value));
  if (magnitude === 0 || !Number.isFinite(magnitude)) return 0;
  return neighbour(magnitude, true) - magnitude;
}

const conducts: readonly Conduct[] = [
  { rounding: 'up', order: 'largest first', seed: 1 },
  { rounding: 'down', order: 'as written', seed: 2 },
  { rounding: 'any', order: 'any', seed: 3 },
  { rounding: 'up', order: 'pairs', seed: 4 },
];

// ── programs on it ─────────────────────────────────────────────────────────────────────────────────────────

function run<V>({ graph, inputs }: RandomProgram, algebra: Algebra<V>): ReadonlyMap<string, TensorValue<V>> {
  const values = [...inputs].map(([id, value]): [TensorId, TensorValue<V>] => {
    const { dtype, shape, data } = value;
    if (!isFloat(value)) return [id, { dtype, shape, data: data as Storage<number> }];
    return [id, { dtype, shape, data: Array.from(data as ArrayLike<number>, algebra.constant) }];
  });
  return evaluateGraph(graph, new Map(values), algebra);
}

interface Finding {
  readonly fault: string | undefined;
  /** Elements with a bound, and of all. */
  readonly bounded: number;
  readonly elements: number;
  /** The greatest share of its bound that an error took. */
  readonly share: number;
}

/** Undefined where the program decides what devices may decide otherwise. */
function compare(
  program: RandomProgram,
  conduct: Conduct,
  bound: ErrorBound = errorBound(),
): Finding | undefined {
  const reference = run(program, bound);
  if (bound.notes.unsure > 0) return undefined;
  const device = run(program, badDevice(conduct));
  let [bounded, elements, share] = [0, 0, 0];
  for (const [path, value] of reference) {
    const found = device.get(path)!;
    if (!isFloat(value)) continue;
    for (let position = 0; position < value.data.length; position++) {
      const { number, error } = value.data[position] as Bounded;
      const [own] = found.data[position] as Terms;
      elements++;
      if (error === Number.POSITIVE_INFINITY) continue;
      bounded++;
      const apart = Object.is(own! + 0, number + 0) ? 0 : Math.abs(own! - number);
      if (apart > 0) share = Math.max(share, apart / error);
      if (!(apart <= error)) {
        const text = `${path}, element ${position}: ${own} instead of ${number} ± ${error}`;
        return { fault: `${text}\n${printGraph(program.graph)}`, bounded, elements, share };
      }
    }
  }
  return { fault: undefined, bounded, elements, share };
}

test('no device leaves the bound, on random programs', () => {
  let [decided, bounded, elements] = [0, 0, 0];
  fc.assert(
    fc.property(randomPrograms(), fc.constantFrom(...conducts), (program, conduct) => {
      const found = compare(program, conduct);
      if (found === undefined) return;
      expect(found.fault).toBeUndefined();
      decided++;
      bounded += found.bounded;
      elements += found.elements;
    }),
    { numRuns: 500, endOnFailure: true },
  );
  expect(decided).toBeGreaterThan(350);
  expect(bounded / elements).toBeGreaterThan(0.8);
});

// ── bounds of the library's shapes ─────────────────────────────────────────────────────────────────────────

let tensors = 0;
function tensor(name: string, dtype: Dtype, shape: readonly number[]): Tensor {
  return { id: tensors++, name, dtype, shape };
}

function compute(result: Tensor, body: Scalar, reduce?: ComputeNode['reduce']): ComputeNode {
  return { kind: 'compute', result, body, reduce, grouped: undefined };
}

const sumOver = (extent: number): ComputeNode['reduce'] => ({
  combiner: 'sum',
  extents: [extent],
  finish: undefined,
});

/** With inputs in [−1, 1). */
function programOf(inputs: readonly Tensor[], nodes: readonly Node[]): RandomProgram {
  const last = results(nodes.at(-1)!)[0]!;
  let state = 7;
  const values = inputs.map(({ id, dtype, shape }): [TensorId, TensorValue<number>] => {
    const data = Array.from({ length: elementCount({ shape }) }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return roundTo(dtype, state / 2 ** 31 - 1);
    });
    return [id, { dtype, shape, data }];
  });
  return {
    graph: {
      name: 'test',
      inputs: inputs.map((own) => ({ path: own.name, tensor: own })),
      nodes,
      outputs: [{ path: 'out', tensor: last.id }],
    },
    inputs: new Map(values),
  };
}

/** out[i] = Σ_d x[i, d] · w[d], stored as it is asked. */
function product(width: number, dtype: Dtype): RandomProgram {
  const [x, w] = [tensor('x', dtype, [8, width]), tensor('w', dtype, [width])];
  const body = apply('mul', load(x, [iterator(0), iterator(1)]), load(w, [iterator(1)]));
  return programOf([x, w], [compute(tensor('y', dtype, [8]), body, sumOver(width))]);
}

/** Softmax of 8 rows of scores, times this, that weighs values. */
function attention(keys: number, dtype: Dtype, scale: number): RandomProgram {
  const [scores, v] = [tensor('scores', dtype, [8, keys]), tensor('v', dtype, [keys])];
  const scaled = apply('mul', load(scores, [iterator(0), iterator(1)]), constant('f32', scale));
  const top = tensor('top', 'f32', [8]);
  const power = tensor('power', 'f32', [8, keys]);
  const total = tensor('total', 'f32', [8]);
  const share = apply('div', load(power, [iterator(0), iterator(1)]), load(total, [iterator(0)]));
  return programOf(
    [scores, v],
    [
      compute(top, scaled, { combiner: 'max', extents: [keys], finish: undefined }),
      compute(power, apply('exp', apply('sub', scaled, load(top, [iterator(0)])))),
      compute(total, load(power, [iterator(0), iterator(1)]), sumOver(keys)),
      compute(tensor('out', dtype, [8]), apply('mul', share, load(v, [iterator(1)])), sumOver(keys)),
    ],
  );
}

const shapes: readonly (readonly [string, RandomProgram, number])[] = [
  ['a product of 64', product(64, 'f32'), 40],
  ['a product of 1024', product(1024, 'f32'), 100],
  ['a product of 64 in bf16', product(64, 'bf16'), 2],
  ['attention to 64', attention(64, 'f32', 1), 80],
  ['attention to 64, peaky', attention(64, 'f32', 32), 40],
  ['attention to 128 in bf16', attention(128, 'bf16', 8), 2],
];

describe.each(shapes)('%s', (_, program, most) => {
  test('stays within its bound, and its bound within sight', () => {
    const found = conducts.map((conduct) => compare(program, conduct)!);
    expect(found.map(({ fault }) => fault)).toEqual(conducts.map(() => undefined));
    const share = Math.max(...found.map((own) => own.share));
    expect(share).toBeGreaterThan(1 / most);
  });
});

// ── bounds that are too small ──────────────────────────────────────────────────────────────────────────────

type Function = (...operands: Bounded[]) => Bounded;

/** A quarter of what the operation itself adds. */
function quartered(run: Function): Function {
  return (...operands) => {
    const exact = run(...operands.map((operand) => ({ ...operand, error: 0, inherited: 0 })));
    const value = run(...operands);
    const error = value.error - exact.error * 0.75;
    return { ...value, error, inherited: Math.min(value.inherited, error) };
  };
}

const small = (name: FloatFunction): ErrorBound => {
  const { dot: _, ...bound } = errorBound();
  return { ...bound, functions: { ...bound.functions, [name]: quartered(bound.functions[name]) } };
};

function unaryProgram(name: FloatFunction): RandomProgram {
  const x = tensor('x', 'f32', [64]);
  const operand = load(x, [iterator(0)]);
  const positive = apply('add', apply('mul', operand, operand), constant('f32', 0.125));
  const isOfPositive = ['log', 'sqrt', 'rsqrt'].includes(name);
  const body =
    name === 'mul' || name === 'div' || name === 'add'
      ? apply(name, operand, name === 'div' ? positive : constant('f32', 0.7))
      : apply(name, isOfPositive ? positive : operand);
  return programOf([x], [compute(tensor('y', 'f32', [64]), body)]);
}

test.each(['add', 'mul', 'div', 'exp', 'log', 'sqrt', 'rsqrt', 'tanh'] as const)(
  'a bound of %s that is four times too small is found out',
  (name) => {
    const program = unaryProgram(name);
    const faults = (bound: () => ErrorBound) =>
      conducts
        .map((conduct) => compare(program, conduct, bound())?.fault)
        .filter((fault) => fault !== undefined);
    expect(faults(() => errorBound())).toEqual([]);
    expect(faults(() => small(name)).length).toBeGreaterThan(0);
  },
);

test('a bound of sums that is four times too small is found out', () => {
  const program = product(64, 'f32');
  const { dot: _, ...bound } = errorBound();
  const add: Function = (left, right) => {
    const value = bound.functions.add(left!, right!);
    return { ...value, error: value.inherited + (value.error - value.inherited) / 4 };
  };
  const adversary: Conduct = { rounding: 'up', order: 'largest first', seed: 1 };
  const alike = programOf(
    program.graph.inputs.map(({ tensor: own }) => own),
    program.graph.nodes,
  );
  const ones = [...alike.inputs].map(([id, value]): [TensorId, TensorValue<number>] => [
    id,
    { ...value, data: Array.from({ length: value.data.length }, (_, at) => 1 + (at % 7) / 2 ** 20) },
  ]);
  const sums: RandomProgram = { ...program, inputs: new Map(ones) };
  expect(compare(sums, adversary)?.fault).toBeUndefined();
  const mutant: ErrorBound = { ...bound, functions: { ...bound.functions, add } };
  expect(compare(sums, adversary, mutant)?.fault).toBeDefined();
});

test.each(['bf16', 'f16', 'f8e4m3'] as const)('a store in %s adds half a unit in the last place', (dtype) => {
  const bound = errorBound();
  const third = bound.functions.div(bound.constant(1), bound.constant(3));
  const stored = bound.round(dtype, third);
  const half = spacing(dtype, 1 / 3) / 2;
  expect(stored.error).toBeGreaterThanOrEqual(half);
  expect(stored.error).toBeLessThan(half + 1e-6);
  expect(Math.abs(roundTo(dtype, 1 / 3) - 1 / 3)).toBeLessThanOrEqual(stored.error);
  expect(Math.abs(roundTo(dtype, 1 / 3) - 1 / 3)).toBeGreaterThan(stored.error / 4);
  expect(bound.round(dtype, bound.constant(1e6)).error).toBe(
    dtype === 'bf16' ? 576 : Number.POSITIVE_INFINITY,
  );
});

// ── what is sure ───────────────────────────────────────────────────────────────────────────────────────────

test('integers below 2^24 are exact, and sums beyond are not', () => {
  const bound = errorBound();
  const { add, mul } = bound.functions;
  const of = bound.constant;
  const total = [of(1000), of(2 ** 23), of(-7)].reduce((left, right) => add(left, mul(right, of(1))));
  expect(total).toMatchObject({ number: 2 ** 23 + 993, error: 0 });
  expect(bound.notes.orderedSums).toBe(0);
  expect(add(total, of(2 ** 23)).error).toBeGreaterThan(0);
  expect(bound.notes.orderedSums).toBe(1);
});

test('comparisons within the bounds are unsure, ties of exact values are not', () => {
  const bound = errorBound();
  const third = bound.functions.div(bound.constant(1), bound.constant(3));
  const one = bound.functions.mul(third, bound.constant(3));
  expect(bound.comparisons.lt(third, one)).toBe(true);
  expect(bound.comparisons.le(bound.constant(1), bound.constant(1))).toBe(true);
  expect(bound.notes.unsure).toBe(0);
  bound.comparisons.lt(one, bound.constant(1));
  expect(bound.notes.unsure).toBe(1);
  bound.truncated?.(one);
  expect(bound.notes.unsure).toBe(2);
  bound.truncated?.(third);
  bound.ordered?.(bound.constant(2), bound.constant(2));
  bound.ordered?.(third, bound.functions.div(bound.constant(1), bound.constant(3)));
  expect(bound.notes.unsure).toBe(2);
});

test('what may overflow, divide by zero or leave the domain has no bound', () => {
  const bound = errorBound();
  const { add, sub, mul, div, exp, sqrt, max } = bound.functions;
  const of = bound.constant;
  const about = (number: number): Bounded => add(mul(div(of(number), of(3)), of(3)), of(0));
  const boundless = [
    mul(of(1e30), of(1e30)),
    exp(of(100)),
    div(of(1), sub(about(1), of(1))),
    sqrt(sub(about(1), of(1))),
  ];
  expect(boundless.map(({ error }) => error)).toEqual(boundless.map(() => Number.POSITIVE_INFINITY));
  // What is rounded to the greatest, and would be infinite if it were a little more.
  expect(bound.round('f16', about(65_519.99)).error).toBe(Number.POSITIVE_INFINITY);
  expect(bound.round('f8e5m2', about(61_439.99)).error).toBe(Number.POSITIVE_INFINITY);
  const infinite = of(Number.NEGATIVE_INFINITY);
  expect(exp(infinite)).toMatchObject({ number: 0, error: 0 });
  expect(max(infinite, about(1))).toEqual(about(1));
  expect(sub(infinite, about(1))).toMatchObject({ number: Number.NEGATIVE_INFINITY, error: 0 });
  const sentinel = of(-1e30);
  expect(exp(sub(sentinel, sentinel)).error).toBeLessThan(1e-6);
});
