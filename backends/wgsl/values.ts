/** Operations on values that are written already. */
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import { type Emission, helper } from './emission.ts';
import { functionRules, selectBits } from './functions.ts';
import { components, literal, splat, typeText } from './wgsl-text.ts';
import type { Value } from './writer.ts';

const notANumber = literal(Number.NaN, 'f32').key;

export function widen(emission: Emission, value: Value, width: 1 | 4): Value {
  if (value.width === width) return value;
  return emission.writer.compute(value.dtype, width, [value], ([text]) => splat(text!, value, width));
}

/** A pointwise function of values, the scalar ones extended where there are vectors. */
export function applyFunction(
  emission: Emission,
  name: ScalarFunction,
  dtype: Arithmetic,
  operands: readonly Value[],
): Value {
  const [left, right] = operands;
  if ((name === 'ne' || name === 'eq') && left?.dtype === 'f32' && left.key === right?.key)
    return isNaNOf(emission, left, name === 'ne');
  const isOfBits = name === 'select' && operands.slice(1).some(({ key }) => key === notANumber);
  const rule = isOfBits ? selectBits : functionRules[name];
  const width = operands.some((operand) => operand.width === 4) ? 4 : 1;
  if (rule.scalarOnly && width === 4) {
    const parts = [0, 1, 2, 3].map((lane) =>
      applyFunction(
        emission,
        name,
        dtype,
        operands.map((operand) => component(operand, lane)),
      ),
    );
    return compose(emission, parts);
  }
  const form = { dtype: operands.at(-1)!.dtype, width } as const;
  const called = rule.helper?.(form.dtype);
  if (called !== undefined) helper(emission, called, width);
  return emission.writer.compute(dtype, width, operands, (texts) => {
    const [a = '', b = '', c = '', d = ''] = texts.map((text, at) => splat(text, operands[at]!, width));
    return rule.write(form, a, b, c, d);
  });
}

/** `x != x`, or `x == x`, as a program asks whether it is NaN. */
function isNaNOf(emission: Emission, value: Value, isWanted: boolean): Value {
  const name = helper(emission, 'is_nan', value.width);
  return emission.writer.compute('bool', value.width, [value], ([text]) =>
    isWanted ? `${name}(${text})` : `!${name}(${text})`,
  );
}

/** Between arithmetic types. */
export function convert(emission: Emission, dtype: Arithmetic, value: Value): Value {
  if (value.dtype === dtype) return value;
  const fromFloat = value.dtype === 'f32' && (dtype === 'i32' || dtype === 'u32');
  const name = fromFloat
    ? helper(emission, dtype === 'i32' ? 'to_i32' : 'to_u32', value.width)
    : typeText(dtype, value.width);
  return emission.writer.compute(dtype, value.width, [value], ([text]) => `${name}(${text})`);
}

/** One of four, or the scalar itself. */
export function component(value: Value, lane: number): Value {
  if (value.width === 1) return value;
  const part = `${value.text}.${components[lane]}`;
  const key = `${value.key}.${components[lane]}`;
  return { ...value, text: part, key, width: 1 };
}

/** A vector of four scalars. */
export function compose(emission: Emission, parts: readonly Value[]): Value {
  const dtype = parts[0]!.dtype;
  return emission.writer.compute(
    dtype,
    4,
    parts,
    ([x, y, z, w]) => `${typeText(dtype, 4)}(${x}, ${y}, ${z}, ${w})`,
  );
}

/**
 * A constant that compilers do not evaluate with: 0 / 0 and the like are errors at compile time, NaN at run
 * time.
 */
export function runtimeFloat(emission: Emission, value: number): Value {
  helper(emission, 'float_of_bits', 1);
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0] ?? 0;
  const text = `float_of_bits(0x${bits.toString(16).padStart(8, '0')}u)`;
  return { text, key: text, dtype: 'f32', width: 1, depth: 0 };
}
