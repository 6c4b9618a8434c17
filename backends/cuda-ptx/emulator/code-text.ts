/** Short names for making the code of a step: constants, instructions and what is made of a few of them. */
import type { Expression } from '../../wasm/code.ts';
import type { InstructionName } from '../../wasm/instructions.ts';

/** 64 bits of four lanes: those of the first two, and those of the others. */
export interface Wide {
  readonly low: Expression;
  readonly high: Expression;
}

export function run(name: InstructionName, ...operands: readonly Expression[]): Expression {
  return { kind: 'instruction', name, operands };
}

export function laneOf(name: InstructionName, vector: Expression, lane: number): Expression {
  return { kind: 'instruction', name, operands: [vector], lane };
}

export function withLane(
  name: InstructionName,
  vector: Expression,
  lane: number,
  value: Expression,
): Expression {
  return { kind: 'instruction', name, operands: [vector, value], lane };
}

export function i32(value: number): Expression {
  return { kind: 'i32', value };
}

export function f64(value: number): Expression {
  return { kind: 'f64', value };
}

/** The same word in each lane. */
export function words(word: number): Expression {
  return { kind: 'v128', words: [word, word, word, word] };
}

/** The same 64 bits in both lanes. */
export function longs(value: bigint): Expression {
  const low = Number(BigInt.asIntN(32, value));
  const high = Number(BigInt.asIntN(32, value >> 32n));
  return { kind: 'v128', words: [low, high, low, high] };
}

/** The same float in each lane. */
export function floats(value: number): Expression {
  return words(new Int32Array(new Float32Array([value]).buffer)[0]!);
}

export function doubles(value: number): Expression {
  return longs(new BigInt64Array(new Float64Array([value]).buffer)[0]!);
}

export function choose(mask: Expression, yes: Expression, no: Expression): Expression {
  return run('v128.bitselect', yes, no, mask);
}

export function shuffle(
  left: Expression,
  right: Expression,
  lanes: readonly [number, number, number, number],
): Expression {
  return { kind: 'shuffle', lanes, operands: [left, right] };
}

/** The lower 32 bits of each lane. */
export function lowWords({ low, high }: Wide): Expression {
  return shuffle(low, high, [0, 2, 4, 6]);
}

export function highWords({ low, high }: Wide): Expression {
  return shuffle(low, high, [1, 3, 5, 7]);
}

/** Lanes of 64 bits by their two halves. */
export function wideOf(lower: Expression, upper: Expression): Wide {
  return { low: shuffle(lower, upper, [0, 4, 1, 5]), high: shuffle(lower, upper, [2, 6, 3, 7]) };
}

/** A mask of 32-bit lanes as one of 64-bit lanes. */
export function wideMask(mask: Expression): Wide {
  return { low: shuffle(mask, mask, [0, 0, 1, 1]), high: shuffle(mask, mask, [2, 2, 3, 3]) };
}

export function both(wide: Wide, each: (half: Expression) => Expression): Wide {
  return { low: each(wide.low), high: each(wide.high) };
}

export function pairwise(
  left: Wide,
  right: Wide,
  each: (left: Expression, right: Expression) => Expression,
): Wide {
  return { low: each(left.low, right.low), high: each(left.high, right.high) };
}
