/** Arithmetic modulo a prime below 2^26: products of residues are exact in doubles. */

/** Residues are integers in [0, modulus). */
export interface Residues {
  readonly modulus: number;
  readonly add: (left: number, right: number) => number;
  readonly sub: (left: number, right: number) => number;
  readonly mul: (left: number, right: number) => number;
  /** `exponent` is a natural number. */
  readonly power: (base: number, exponent: number) => number;
  /** Of a residue that is not 0; of 0 it gives 0. */
  readonly inverse: (residue: number) => number;
  /** The residue of the rational number that a finite double is. */
  readonly ofNumber: (value: number) => number;
}

/** @param modulus an odd prime below 2^26 */
export function residuesModulo(modulus: number): Residues {
  const reciprocal = 1 / modulus;

  /** The quotient may be one off, and the rest is exact all the same. */
  const mul = (left: number, right: number): number => {
    const product = left * right;
    const rest = product - Math.floor(product * reciprocal) * modulus;
    if (rest < 0) return rest + modulus;
    return rest >= modulus ? rest - modulus : rest;
  };

  const power = (base: number, exponent: number): number => {
    let result = 1;
    let square = base;
    for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) result = mul(result, square);
      square = mul(square, square);
    }
    return result;
  };

  /** Fermat's little theorem. */
  const inverse = (residue: number): number => power(residue, modulus - 2);
  const half = inverse(2);

  const ofNumber = (value: number): number => {
    let integer = Math.abs(value);
    let twos = 0;
    // Scaling by powers of two is exact here: what is divided is so large that it stays normal.
    for (; integer >= 2 ** 53; twos++) integer /= 2;
    for (; !Number.isInteger(integer); twos--) integer *= 2;
    const magnitude = mul(integer % modulus, power(twos < 0 ? half : 2, Math.abs(twos)));
    return value < 0 && magnitude !== 0 ? modulus - magnitude : magnitude;
  };

  return {
    modulus,
    add: (left, right) => {
      const sum = left + right;
      return sum >= modulus ? sum - modulus : sum;
    },
    sub: (left, right) => (left < right ? left - right + modulus : left - right),
    mul,
    power,
    inverse,
    ofNumber,
  };
}
