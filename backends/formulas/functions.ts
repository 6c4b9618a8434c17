/**
 * Functions of floats for back ends whose machines have none of them, or none that is exact enough. Their
 * errors are within what `compiler/graph/error-bound.ts` grants.
 */
import { type Operations, polynomial, signChanged, withSign } from './operations.ts';

/**
 * After Cephes (Moshier), `expf`: e^x = 2^n · e^r with |r| ≤ ln 2 / 2, the power in two factors. The nearest
 * n is in the last bits of what has no bits for fractions.
 */
export function exponential<V, T>(o: Operations<V, T>, x: V): V {
  const inside = o.clamp(x, -104, 89);
  const whole = o.float(1.5 * 2 ** 23);
  const shifted = o.multiplyAdd(inside, o.float(Math.LOG2E), whole);
  const n = o.sub(shifted, whole);
  const exponent = o.subWords(shifted, whole);
  const most = o.multiplyAdd(n, o.float(-0.693359375), inside);
  const r = o.multiplyAdd(n, o.float(2.1219444e-4), most);
  const series = polynomial(
    o,
    r,
    [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1],
  );
  const square = o.mul(r, r);
  const value = o.add(o.multiplyAdd(series, square, r), o.float(1));
  const half = o.shiftRightSigned(exponent, 1);
  const scale = (power: V) => o.shiftLeft(o.addWords(power, o.word(127)), 23);
  const partly = o.mul(value, scale(half));
  return o.mul(partly, scale(o.subWords(exponent, half)));
}

/** After Cephes, `logf`: x = 2^e · (1 + m) with 1 + m around 1. */
export function logarithm<V, T>(o: Operations<V, T>, x: V): V {
  const isSmall = o.less(x, o.float(2 ** -126));
  const normal = o.choose(isSmall, o.mul(x, o.float(2 ** 23)), x);
  const bias = o.choose(isSmall, o.word(126 + 23), o.word(126));
  const exponent = o.subWords(o.shiftRight(normal, 23), bias);
  const mantissa = o.or(o.and(normal, o.word(0x007fffff)), o.word(0x3f000000));
  const isLow = o.less(mantissa, o.float(Math.SQRT1_2));
  const e = o.floatOf(o.choose(isLow, o.subWords(exponent, o.word(1)), exponent));
  const doubled = o.choose(isLow, o.add(mantissa, mantissa), mantissa);
  const m = o.sub(doubled, o.float(1));
  const square = o.mul(m, m);
  const series = polynomial(
    o,
    m,
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  const cubic = o.mul(o.mul(series, m), square);
  const low = o.sub(cubic, o.mul(e, o.float(2.1219444e-4)));
  const tail = o.sub(low, o.mul(square, o.float(0.5)));
  const value = o.add(o.add(m, tail), o.mul(e, o.float(0.693359375)));
  const isPositive = o.less(o.float(0), x);
  const isInside = o.both(isPositive, o.less(x, o.float(Number.POSITIVE_INFINITY)));
  const atZero = o.choose(o.equal(x, o.float(0)), o.float(Number.NEGATIVE_INFINITY), o.float(Number.NaN));
  // Infinity and NaN are their own logarithms.
  return o.choose(isInside, value, o.choose(o.either(o.isNaN(x), isPositive), x, atZero));
}

/** After Cephes, `tanhf`: a series up to 0.625; beyond, by the exponential. */
export function hyperbolicTangent<V, T>(o: Operations<V, T>, x: V): V {
  const magnitude = o.abs(x);
  const square = o.mul(x, x);
  const series = polynomial(
    o,
    square,
    [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
  );
  const near = o.add(o.mul(o.mul(series, square), x), x);
  const power = exponential(o, o.add(magnitude, magnitude));
  const rest = o.div(o.float(2), o.add(power, o.float(1)));
  const far = withSign(o, o.sub(o.float(1), rest), x);
  return o.choose(o.less(magnitude, o.float(0.625)), near, far);
}

/**
 * sin(x + ahead · π/2), to about 1e-7 for angles up to some ten million: the angle less the nearest multiple
 * of π/2 in three parts of 11 bits (Cody and Waite, 1980), then Taylor's series. The number of quarter turns
 * is taken in two parts of 12 bits, so that the products are exact: nothing here is a multiply-add. Beyond,
 * the result is at least one of a sine.
 */
export function sine<V, T>(o: Operations<V, T>, x: V, ahead: 0 | 1): V {
  const turns = o.nearest(o.mul(x, o.float(0.63661977236758)));
  const high = o.mul(o.nearest(o.mul(turns, o.float(2 ** -12))), o.float(4096));
  const low = o.sub(turns, high);
  const less = (from: V, by: number) => o.sub(o.sub(from, o.mul(high, o.float(by))), o.mul(low, o.float(by)));
  const some = less(less(x, 1.5703125), 0.0004837512969970703);
  const rest = o.sub(some, o.mul(turns, o.float(7.549790126404332e-8)));
  // Of many turns not all are seen in one product: what is left may be half a turn more.
  const inside = o.clamp(rest, -1.6, 1.6);
  const left = o.nearest(o.mul(inside, o.float(0.63661977236758)));
  const most = o.sub(inside, o.mul(left, o.float(1.5703125)));
  const r = o.sub(most, o.mul(left, o.float(0.0004838267948966)));
  const s = o.mul(r, r);
  const sines = polynomial(o, s, [2.75573e-6, -1.984127e-4, 8.33333333e-3, -1.6666666666e-1]);
  const ofSine = o.add(r, o.mul(o.mul(r, s), sines));
  const ofCosine = polynomial(o, s, [-2.7557e-7, 2.480159e-5, -1.38888889e-3, 4.166666666e-2, -0.5, 1]);
  const quarter = o.addWords(o.addWords(o.wordOf(turns), o.wordOf(left)), o.word(ahead));
  const isEven = o.lessWords(o.and(quarter, o.word(1)), o.word(1));
  const sign = o.shiftLeft(o.and(quarter, o.word(2)), 30);
  return o.xor(o.choose(isEven, ofSine, ofCosine), sign);
}

/**
 * erf to about 1e-7: Taylor's series up to 1; beyond, 1 − t·exp(−x² + P(t)) with t = 1 / (1 + x/2) (Numerical
 * Recipes, 3rd edition, §6.2.2, `erfcc`; relative error below 1.2e-7).
 */
export function errorFunction<V, T>(o: Operations<V, T>, x: V): V {
  const magnitude = o.abs(x);
  const a = o.choose(o.less(o.float(10), magnitude), o.float(10), magnitude);
  const s = o.mul(a, a);
  const series = polynomial(
    o,
    s,
    [
      -1.6366e-7, 1.6462e-6, -1.49256e-5, 1.2055333e-4, -8.548327e-4, 5.2239776e-3, -2.68661706e-2,
      1.128379167e-1, -3.76126389e-1, 1.1283791671,
    ],
  );
  const near = o.mul(x, series);
  const t = o.div(o.float(1), o.add(o.float(1), o.mul(o.float(0.5), a)));
  const power = polynomial(
    o,
    t,
    [
      0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
      1.00002368, -1.26551223,
    ],
  );
  const rest = o.mul(t, exponential(o, o.sub(power, s)));
  const far = withSign(o, o.sub(o.float(1), rest), x);
  return o.choose(o.less(a, o.float(1)), near, far);
}

/** By the logarithm; a negative base has a real power where the exponent is an integer. */
export function power<V, T>(o: Operations<V, T>, x: V, y: V): V {
  const magnitude = exponential(o, o.mul(y, logarithm(o, o.abs(x))));
  const isWhole = o.equal(y, o.floor(y));
  const half = o.mul(y, o.float(0.5));
  const isExact = o.less(o.abs(y), o.float(2 ** 24));
  const isOdd = o.both(o.not(o.equal(half, o.floor(half))), o.both(isWhole, isExact));
  const isNegative = o.less(x, o.float(0));
  const signed = signChanged(o, magnitude, o.both(isOdd, isNegative));
  const real = o.choose(o.both(isNegative, o.not(isWhole)), o.float(Number.NaN), signed);
  const sum = o.add(x, y);
  return o.choose(o.equal(y, o.float(0)), o.float(1), o.choose(o.isNaN(sum), sum, real));
}

/** NaN of NaN. */
export function signOf<V, T>(o: Operations<V, T>, x: V): V {
  const isOwn = o.either(o.isNaN(x), o.equal(x, o.float(0)));
  return o.choose(isOwn, x, withSign(o, o.float(1), x));
}
