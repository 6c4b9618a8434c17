/**
 * Randomness as a function of a key and a counter: threefry2x32 (Salmon et al., SC'11). The first counter
 * word says what the bits are for, so that no two uses of one key see the same bits; the second says which of
 * them.
 */
import type { Scalar } from '../graph/graph.ts';
import { apply, constant, convert, float } from '../graph/scalar.ts';

/** The words of a key. */
export interface KeyWords {
  readonly first: Scalar;
  readonly second: Scalar;
}

/** The first counter word of each use. */
const purposes = { fold: 0, split: 1, uniform: 2, normal: 3, bits: 4 } as const;
type Purpose = keyof typeof purposes;

function threefry(key: KeyWords, purpose: Purpose, counter: Scalar): KeyWords {
  const words = [key.first, key.second, constant('u32', purposes[purpose]), convert('u32', counter)] as const;
  return { first: apply('threefry0', ...words), second: apply('threefry1', ...words) };
}

export function foldIn(key: KeyWords, counter: Scalar): KeyWords {
  return threefry(key, 'fold', counter);
}

/** Half 0 or 1 of a key that is split. */
export function splitHalf(key: KeyWords, half: number): KeyWords {
  return threefry(key, 'split', constant('u32', half));
}

export type Draw = 'uniform' | 'normal' | 'random_bits';

/** The draw at a position of the tensor that is drawn. */
export const draws: { readonly [D in Draw]: (key: KeyWords, position: Scalar) => Scalar } = {
  random_bits: (key, position) => threefry(key, 'bits', position).first,
  /** Multiples of 2^-24 in [0, 1). */
  uniform: (key, position) => fraction(upperBits(threefry(key, 'uniform', position).first)),
  /** Box and Muller 1958, from one number in (0, 1] and one in [0, 1). */
  normal: (key, position) => {
    const { first, second } = threefry(key, 'normal', position);
    const positive = fraction(apply('add', upperBits(first), constant('u32', 1)));
    const radius = apply('sqrt', apply('mul', float(-2), apply('log', positive)));
    const angle = apply('mul', float(Math.fround(2 * Math.PI)), fraction(upperBits(second)));
    return apply('mul', radius, apply('cos', angle));
  },
};

/** The 24 upper bits: as many as an f32 holds exactly. */
function upperBits(word: Scalar): Scalar {
  return apply('floordiv', word, constant('u32', 2 ** 8));
}

function fraction(bits: Scalar): Scalar {
  return apply('mul', convert('f32', bits), float(2 ** -24));
}
