/** Rough work of evaluating an expression once: what decides whether it may be evaluated again elsewhere. */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Scalar } from '../graph/graph.ts';
import { operands, subexpressions } from '../graph/scalar.ts';

export interface Work {
  /** Functions that a GPU computes in its special-function unit, or by many instructions. */
  readonly transcendental: number;
  /** Other arithmetic on floats; choices and conversions are not counted. */
  readonly arithmetic: number;
  /** Distinct loads of floats. */
  readonly floatLoads: number;
  /** Distinct loads of integers and bools outside subscripts. */
  readonly integerLoads: number;
  /** Distinct subexpressions: how long the code is. */
  readonly size: number;
}

const transcendental: ReadonlySet<ScalarFunction> = new Set([
  'div', 'exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'erf', 'pow', 'threefry0', 'threefry1',
]); // biome-ignore format: one topic a line

export function workOf(scalar: Scalar): Work {
  const parts = subexpressions(scalar);
  const subscripts = new Set(
    parts.flatMap((part) => (part.op === 'load' ? part.subscripts.flatMap(subexpressions) : [])),
  );
  const count = (test: (part: Scalar) => boolean) => parts.filter(test).length;
  const isFloatArithmetic = (part: Scalar) =>
    part.op === 'apply' && operands(part).some(isFloatValue) && part.function !== 'select';
  return {
    transcendental: count((part) => part.op === 'apply' && transcendental.has(part.function)),
    arithmetic: count(
      (part) => isFloatArithmetic(part) && part.op === 'apply' && !transcendental.has(part.function),
    ),
    floatLoads: count((part) => part.op === 'load' && dtypeFacts[part.dtype].class === 'float'),
    integerLoads: count(
      (part) => part.op === 'load' && dtypeFacts[part.dtype].class !== 'float' && !subscripts.has(part),
    ),
    size: parts.length,
  };
}

function isFloatValue(scalar: Scalar): boolean {
  return 'dtype' in scalar && dtypeFacts[scalar.dtype].class === 'float';
}
