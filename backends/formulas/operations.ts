/**
 * What formulas are written in: operations on floats and words of 32 bits, which a back end has instructions
 * for. A value has no type of its own, its bits are read as an operation takes them.
 *
 * @typeParam V a value, or several of them in a vector
 * @typeParam T whether something is so: a mask, or a predicate
 */
export interface Operations<V, T> {
  // floats
  readonly float: (value: number) => V;
  readonly add: (left: V, right: V) => V;
  readonly sub: (left: V, right: V) => V;
  readonly mul: (left: V, right: V) => V;
  /** Rounded to the nearest. */
  readonly div: (left: V, right: V) => V;
  /** a · b + c, rounded once or twice. */
  readonly multiplyAdd: (a: V, b: V, c: V) => V;
  readonly abs: (x: V) => V;
  readonly floor: (x: V) => V;
  /** Ties to even. */
  readonly nearest: (x: V) => V;
  /** NaN of NaN. */
  readonly clamp: (x: V, low: number, high: number) => V;
  readonly less: (left: V, right: V) => T;
  readonly equal: (left: V, right: V) => T;
  readonly isNaN: (x: V) => T;

  // words, modulo 2^32
  readonly word: (value: number) => V;
  readonly addWords: (left: V, right: V) => V;
  readonly subWords: (left: V, right: V) => V;
  readonly and: (left: V, right: V) => V;
  readonly or: (left: V, right: V) => V;
  readonly xor: (left: V, right: V) => V;
  readonly shiftLeft: (word: V, by: number) => V;
  /** Zeros come in. */
  readonly shiftRight: (word: V, by: number) => V;
  /** Copies of the sign come in. */
  readonly shiftRightSigned: (word: V, by: number) => V;
  /** As i32. */
  readonly lessWords: (left: V, right: V) => T;

  // from one to the other
  /** Of an i32. */
  readonly floatOf: (word: V) => V;
  /** To an i32: towards zero, saturating, NaN to 0. */
  readonly wordOf: (x: V) => V;

  // truths
  readonly both: (left: T, right: T) => T;
  readonly either: (left: T, right: T) => T;
  readonly not: (truth: T) => T;
  readonly choose: (truth: T, yes: V, no: V) => V;
}

/** Coefficients of the highest power first. */
export function polynomial<V, T>(o: Operations<V, T>, x: V, [first = 0, ...rest]: readonly number[]): V {
  return rest.reduce((sum, coefficient) => o.multiplyAdd(sum, x, o.float(coefficient)), o.float(first));
}

const signBit = 0x80000000;

/** `magnitude`, which has no sign, with the sign of x. */
export function withSign<V, T>(o: Operations<V, T>, magnitude: V, x: V): V {
  return o.or(magnitude, o.and(x, o.word(signBit)));
}

/** `x`, its sign changed where `isOther`. */
export function signChanged<V, T>(o: Operations<V, T>, x: V, isOther: T): V {
  return o.xor(x, o.choose(isOther, o.word(signBit), o.word(0)));
}
