/**
 * How far from right a result computed in f32 may be: the evaluation is repeated with every operation off by
 * as much as a device may be, at random, and the results' spread is seen (J. Vignes, "A stochastic arithmetic
 * for reliable scientific computation", 1993). Where a comparison or a rounding goes one way or the other,
 * results spread far: they are not told.
 */
import type { Algebra, TensorValue } from '../../compiler/graph/algebra.ts';
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import type { Graph, TensorId } from '../../compiler/graph/graph.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';

/** An ulp or so, relative. */
const ofArithmetic = 2 ** -22;
/** What WGSL leaves to devices, and approximations of it: some ulps, and so much about zero. */
const ofFunctions = 2 ** -18;

type Unary = 'exp' | 'log' | 'sqrt' | 'rsqrt' | 'sin' | 'cos' | 'tanh' | 'erf';

interface Shaken extends Algebra<number> {
  /** Whether finite operands gave something that is not, on which devices need not agree. */
  readonly hasOverflowed: () => boolean;
}

function shaken(seed: number): Shaken {
  let state = seed >>> 0;
  let overflowed = false;
  /** In [−1, 1]. */
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const seen = (result: number, operands: readonly number[]): number => {
    if (!Number.isFinite(result) && operands.every(Number.isFinite)) overflowed = true;
    return result;
  };
  const { functions, dot: _, ...rest } = float32;
  const binary = (name: 'add' | 'sub' | 'mul' | 'div') => (left: number, right: number) => {
    const result = functions[name](left, right);
    return seen(Math.fround(result * (1 + ofArithmetic * random())), [left, right]);
  };
  const unary = (name: Unary) => (operand: number) => {
    const result = functions[name](operand);
    const off = ofFunctions * random() * (Math.abs(result) + 1 / 16);
    return seen(Math.fround(result + (Number.isFinite(off) ? off : 0)), [operand]);
  };
  return {
    ...rest,
    name: 'shaken',
    functions: {
      ...functions,
      add: binary('add'),
      sub: binary('sub'),
      mul: binary('mul'),
      div: binary('div'),
      exp: unary('exp'),
      log: unary('log'),
      sqrt: unary('sqrt'),
      rsqrt: unary('rsqrt'),
      sin: unary('sin'),
      cos: unary('cos'),
      tanh: unary('tanh'),
      erf: unary('erf'),
      pow: (left, right) =>
        seen(Math.fround(functions.pow(left, right) * (1 + ofFunctions * random())), [left, right]),
    },
    hasOverflowed: () => overflowed,
  };
}

export interface Expected {
  readonly dtype: TensorValue<number>['dtype'];
  readonly shape: readonly number[];
  readonly values: readonly number[];
  /** Of each element, how far off it may be. */
  readonly errors: readonly number[];
}

const repeats = 4;

/** Outputs by path; undefined where something overflows, on which devices need not agree. */
export function expectedOutputs(
  graph: Graph,
  inputs: ReadonlyMap<TensorId, TensorValue<number>>,
): ReadonlyMap<string, Expected> | undefined {
  const wanted = evaluateGraph(graph, inputs, float32);
  const algebras = Array.from({ length: repeats }, (_, at) => shaken(at + 1));
  const runs = algebras.map((algebra) => evaluateGraph(graph, inputs, algebra));
  if (algebras.some((algebra) => algebra.hasOverflowed())) return undefined;
  const outputs = [...wanted].map(([path, { dtype, shape, data }]): [string, Expected] => {
    const values = Array.from({ length: data.length }, (_, at) => data[at] as number);
    const errors = values.map((value, at) => {
      const spread = runs.map((run) => Math.abs((run.get(path)!.data[at] as number) - value));
      return errorOf(dtype, value, Math.max(...spread));
    });
    return [path, { dtype, shape, values, errors }];
  });
  return new Map(outputs);
}

function errorOf(dtype: Expected['dtype'], value: number, spread: number): number {
  const { class: kind, mantissa } = dtypeFacts[dtype];
  if (kind !== 'float') return spread;
  // An ulp of what it is stored as: it may be rounded the other way.
  const error = 8 * spread + 2 ** -mantissa * Math.abs(value) + 1e-30;
  // What may be rounded to infinity is as far off as can be.
  return Number.isFinite(roundTo(dtype, Math.abs(value) + error)) ? error : Number.NaN;
}

/** The first element that is further off than it may be. */
export function faultOf(
  wanted: ReadonlyMap<string, Expected>,
  found: ReadonlyMap<string, ArrayLike<number>>,
): string | undefined {
  for (const [path, { values, errors }] of wanted) {
    const own = found.get(path)!;
    for (const [at, value] of values.entries()) {
      const isSame = Object.is(own[at], value) || Math.abs(own[at]! - value) <= errors[at]!;
      // Where the evaluations do not agree whether it is a number, nothing is told.
      if (!isSame && !Number.isNaN(errors[at]))
        return `${path}, element ${at}: ${own[at]}, not ${value} ± ${errors[at]}`;
    }
  }
  return undefined;
}
