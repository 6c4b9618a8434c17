/** Functions that kernels call, each on four at a time; a module has those that it uses. */
import {
  errorFunction,
  exponential,
  hyperbolicTangent,
  logarithm,
  power,
  signOf,
  sine,
} from '../formulas/functions.ts';
import { bf16Bits, bitsOfNarrow, f8e4m3, f8e5m2, f16, valueOfNarrow } from '../formulas/narrow-floats.ts';
import type { Operations } from '../formulas/operations.ts';
import { threefry } from '../formulas/threefry.ts';
import type { FunctionCode } from './code.ts';
import { vectorOperations } from './vector-operations.ts';
import type { Value } from './writer.ts';
import { Writer } from './writer.ts';

type Operands = readonly [Value, Value, Value, Value];

interface Helper {
  readonly arity: number;
  readonly write: (operations: Operations<Value, Value>, ...operands: Operands) => Value;
}

const helper = (arity: number, write: Helper['write']): Helper => ({ arity, write });

const table = {
  exp: helper(1, exponential),
  log: helper(1, logarithm),
  tanh: helper(1, hyperbolicTangent),
  sin: helper(1, (o, x) => sine(o, x, 0)),
  cos: helper(1, (o, x) => sine(o, x, 1)),
  erf: helper(1, errorFunction),
  pow: helper(2, power),
  sign: helper(1, signOf),
  threefry0: helper(4, (o, ...operands) => threefry(o, 0, operands)),
  threefry1: helper(4, (o, ...operands) => threefry(o, 1, operands)),
  bf16_bits: helper(1, bf16Bits),
  f16_bits: helper(1, (o, x) => bitsOfNarrow(o, f16, x)),
  f16_value: helper(1, (o, bits) => valueOfNarrow(o, f16, bits)),
  f8e4m3_bits: helper(1, (o, x) => bitsOfNarrow(o, f8e4m3, x)),
  f8e4m3_value: helper(1, (o, bits) => valueOfNarrow(o, f8e4m3, bits)),
  f8e5m2_bits: helper(1, (o, x) => bitsOfNarrow(o, f8e5m2, x)),
  f8e5m2_value: helper(1, (o, bits) => valueOfNarrow(o, f8e5m2, bits)),
} as const satisfies Record<string, Helper>;

export type HelperName = keyof typeof table;
export const helperNames = Object.keys(table) as HelperName[];

export function helperArity(name: HelperName): number {
  return table[name].arity;
}

/** Those that are short and often called: a call keeps nothing in registers. */
const inlined: ReadonlySet<HelperName> = new Set(['exp', 'f16_value', 'f8e4m3_value', 'f8e5m2_value']);

export function isInlined(name: HelperName): boolean {
  return inlined.has(name);
}

/**
 * A helper's result for vectors, written where it is used.
 * @param relaxed whether relaxed SIMD may be used
 */
export function helperValue(
  name: HelperName,
  writer: Writer,
  operands: readonly Value[],
  relaxed: boolean,
): Value {
  const [first] = operands;
  const four = [0, 1, 2, 3].map((at) => operands[at] ?? first!) as unknown as Operands;
  return (table[name] as Helper).write(vectorOperations(writer, relaxed), ...four);
}

/** A helper as a function of vectors. @param relaxed whether relaxed SIMD may be used */
export function helperFunction(name: HelperName, relaxed: boolean): FunctionCode {
  const parameters = Array.from({ length: helperArity(name) }, () => 'v128' as const);
  const writer = new Writer(parameters);
  const operands = parameters.map((_, at) => writer.parameter(at, 'f32'));
  const { locals, body, result } = writer.render(helperValue(name, writer, operands, relaxed));
  return { name, parameters, result, locals, body, exported: false };
}
