/** Values of a kernel that is being written, each in a register of its own or known as it is written. */
import type { Arithmetic } from '../../../compiler/graph/graph.ts';

/** What a register has: a value of a tile program, 16 bits, or an address. */
export type ValueType = Arithmetic | 'half' | 'address';

export interface Value {
  /** PTX for it: a register or a literal. */
  readonly text: string;
  /** Equal keys mean equal values: the text, with its version where it is a variable. */
  readonly key: string;
  readonly dtype: ValueType;
  /** The block, counted from 0 for the kernel, in which it is known. */
  readonly depth: number;
  /** A variable as it is now: what is computed from it stays where it is. */
  readonly mutable?: true;
  /** Of a literal; of bools 0 and 1. */
  readonly known?: number;
}

/** One value for all of four neighbours, or one for each. */
export type Lanes = readonly [Value] | readonly [Value, Value, Value, Value];

export function laneOf(lanes: Lanes, lane: number): Value {
  return lanes[lane] ?? lanes[0];
}

/** All four, or the one that there is. */
export function lanesFrom(width: 1 | 4, of: (lane: number) => Value): Lanes {
  return width === 1 ? [of(0)] : [of(0), of(1), of(2), of(3)];
}

export function floatBits(value: number): number {
  return new Uint32Array(new Float32Array([value]).buffer)[0] ?? 0;
}

const texts: { readonly [D in Arithmetic]: (value: number) => string } = {
  f32: (value) => `0f${floatBits(value).toString(16).toUpperCase().padStart(8, '0')}`,
  i32: (value) => `${value | 0}`,
  u32: (value) => `${value >>> 0}`,
  bool: (value) => `${Number(value !== 0)}`,
};

export function literal(value: number, dtype: Arithmetic): Value {
  const text = texts[dtype](value);
  const known = dtype === 'bool' ? Number(value !== 0) : value;
  return { text, key: `${dtype} ${text}`, dtype, depth: 0, known };
}
