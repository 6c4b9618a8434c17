/**
 * The algebra of numbers with a bound on how far from them any device may come: what a program says, in
 * double precision, unrounded; and beside it the most that f32 arithmetic, in any order of summation, with or
 * without fused multiply-adds, and storage in narrow types may change it. Functions are as good as WGSL asks
 * of a device (W3C, WebGPU Shading Language, §15.7.4, "Accuracy of Concrete Floating Point Expressions"), or
 * as what `backends/wgsl` writes for them.
 *
 * Sums are bounded as a whole: n terms, added in whatever order, are off by no more than (n − 1)·u·Σ|term|
 * and what the terms are off themselves (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
 * §4.2). So a value that is a sum remembers how many terms it has, and their mass Σ|term|.
 */
import type { Dtype, FloatDtype } from '../../dsl/types/dtype.ts';
import type { Algebra, FloatFunction, Storage, Strided } from './algebra.ts';
import { float64 } from './float64.ts';
import { roundTo, spacing } from './rounding.ts';

export interface Bounded {
  /** In double precision. Infinite or NaN with an error of 0: surely so on a device. */
  readonly number: number;
  /** What a device has is at most this far from it; infinite: it may have anything. */
  readonly error: number;
  /** Terms that were added, zeros apart. */
  readonly terms: number;
  /** The sum of the largest magnitudes that the terms may have. */
  readonly mass: number;
  /** The part of `error` that the terms brought with them. */
  readonly inherited: number;
  /** Whether all terms are exact integers. */
  readonly isWhole: boolean;
  /** Roundings to narrow types one after the other on the longest way here. */
  readonly stores: number;
  /** The greatest relative error of one of them. */
  readonly storeUnit: number;
}

export interface BoundNotes {
  /** Comparisons, orders and conversions to integers that devices may make another way. */
  unsure: number;
  /** Sums of more than two terms whose rounding depends on the order. */
  orderedSums: number;
}

export interface ErrorBound extends Algebra<Bounded> {
  /** Of all runs so far over this algebra. */
  readonly notes: BoundNotes;
}

/** WGSL lets a device round to either neighbour: a whole unit in the last place. */
const unit = 2 ** -23;
/** What is smaller may be flushed to zero. */
const leastNormal = 2 ** -126;
const greatest = (2 - 2 ** -23) * 2 ** 127;
/** Up to here every integer is an f32. */
const greatestWhole = 2 ** 24;

type Stored = Pick<Bounded, 'stores' | 'storeUnit'>;

/** Of one step of f32 that is no sum of many: `error` is all that it may be off. */
function single(number: number, error: number, from: Stored): Bounded {
  const own = settledError(number, error);
  const { stores, storeUnit } = from;
  return {
    number,
    error: own,
    terms: number === 0 && own === 0 ? 0 : 1,
    mass: Math.abs(number) + own,
    inherited: own,
    isWhole: own === 0 && Number.isInteger(number),
    stores,
    storeUnit,
  };
}

/** With what overflow and flushing to zero may add; NaN, where bounds are infinite, becomes infinite. */
function settledError(number: number, error: number): number {
  if (Number.isNaN(error)) return Number.POSITIVE_INFINITY;
  if (!Number.isFinite(number)) return error === 0 ? 0 : Number.POSITIVE_INFINITY;
  const magnitude = Math.abs(number);
  if (!(magnitude + error <= greatest)) return Number.POSITIVE_INFINITY;
  return number !== 0 && magnitude - error < leastNormal ? error + leastNormal : error;
}

const unstored: Stored = { stores: 0, storeUnit: 0 };

function constant(value: number): Bounded {
  return single(Math.fround(value), 0, unstored);
}

const zero = constant(0);

function storesOf(left: Stored, right: Stored): Stored {
  return {
    stores: Math.max(left.stores, right.stores),
    storeUnit: Math.max(left.storeUnit, right.storeUnit),
  };
}

function isZero({ number, error }: Bounded): boolean {
  return number === 0 && error === 0;
}

// ── what a device's functions are off by ───────────────────────────────────────────────────────────────────

type UnaryFunction = Exclude<FloatFunction, 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'pow'>;

/**
 * How far the device's function may be off where its operand is exact: `operand` and `result` are the largest
 * magnitudes that they may have.
 */
type OwnError = (operand: number, result: number) => number;

interface UnaryRule {
  /** Between the ends of an interval a monotone function is between its values there; a Lipschitz one
   * changes by no more than its operand. */
  readonly kind: 'monotone' | 'lipschitz';
  readonly own: OwnError;
}

const ulps =
  (count: number): OwnError =>
  (_, result) =>
    count * unit * result;
const exactly: OwnError = () => 0;
/** Angles beyond this have neighbours in f32 that are a radian apart. */
const greatestAngle = 1e7;
const sine: UnaryRule = { kind: 'lipschitz', own: (operand) => (operand < greatestAngle ? 2 ** -21 : 2) };

const unaryRules: { readonly [F in UnaryFunction]: UnaryRule } = {
  neg: { kind: 'lipschitz', own: exactly },
  abs: { kind: 'lipschitz', own: exactly },
  sign: { kind: 'monotone', own: exactly },
  floor: { kind: 'monotone', own: exactly },
  ceil: { kind: 'monotone', own: exactly },
  round: { kind: 'monotone', own: exactly },
  exp: { kind: 'monotone', own: (operand, result) => (3 + 2 * operand) * unit * result },
  // An absolute error between 1/2 and 2, elsewhere a relative one.
  log: { kind: 'monotone', own: (_, result) => 2 ** -21 + 3 * unit * result },
  // One over `inverseSqrt`: 2 ulps, and 2.5 of the division.
  sqrt: { kind: 'monotone', own: ulps(5) },
  rsqrt: { kind: 'monotone', own: ulps(2) },
  // Reduced and summed by the back end.
  sin: sine,
  cos: sine,
  tanh: { kind: 'lipschitz', own: () => 1e-5 },
  // Two polynomials in the back end, and an exponential.
  erf: { kind: 'monotone', own: (operand) => 2 ** -20 * Math.min(1, 2 * operand) },
};

function unary(name: UnaryFunction): (operand: Bounded) => Bounded {
  const run = float64.functions[name];
  const { kind, own } = unaryRules[name];
  return (operand) => {
    const number = run(operand.number);
    if (!Number.isFinite(operand.number)) {
      // tanh ∞ is about 1 on a device, e^−∞ is 0.
      const atInfinity = exceptional(run, [operand]);
      const isOff = Number.isFinite(number) && number !== 0;
      return isOff
        ? single(number, atInfinity.error + own(Number.POSITIVE_INFINITY, Math.abs(number)), operand)
        : atInfinity;
    }
    // Of what is exact the value may be infinite or NaN too: log 0, sqrt(−1).
    if (operand.error === 0 && !Number.isFinite(number)) return single(number, 0, operand);
    const [low, high] = [run(operand.number - operand.error), run(operand.number + operand.error)];
    const spread =
      kind === 'lipschitz' ? operand.error : Math.max(Math.abs(high - number), Math.abs(number - low));
    const farthest = Math.abs(operand.number) + operand.error;
    const largest = Math.max(Math.abs(low), Math.abs(number), Math.abs(high));
    // Where the operand may leave the domain there is a NaN at an end.
    return single(number, spread + own(farthest, largest), operand);
  };
}

/**
 * Of operands some of which are infinite or NaN: sure where it is the same at all ends of where the others
 * may be.
 */
function exceptional(run: (...numbers: number[]) => number, operands: readonly Bounded[]): Bounded {
  const number = run(...operands.map((operand) => operand.number));
  const ends = operands.reduce<readonly (readonly number[])[]>(
    (found, own) =>
      found.flatMap((before) =>
        [own.number - own.error, own.number, own.number + own.error].map((end) => [...before, end]),
      ),
    [[]],
  );
  const isSure = ends.every((end) => Object.is(run(...end) + 0, number + 0));
  const stored = operands.reduce<Stored>(storesOf, unstored);
  return single(number, isSure ? 0 : Number.POSITIVE_INFINITY, stored);
}

/**
 * The notes of all runs are in one object.
 *
 * @param narrowing whether `number` follows what is stored in a narrow type where that is sure, or keeps to
 * the unrounded value
 */
export function errorBound(narrowing: 'unrounded' | 'stored' = 'unrounded'): ErrorBound {
  const notes: BoundNotes = { unsure: 0, orderedSums: 0 };

  /** Of terms in any order. */
  function sum(
    parts: Pick<Bounded, 'number' | 'terms' | 'mass' | 'inherited' | 'isWhole'>,
    from: Stored,
  ): Bounded {
    const { number, terms, mass, inherited, isWhole } = parts;
    const isExact = isWhole && mass <= greatestWhole;
    // What two numbers are rounded to depends on their sum alone.
    const rounding =
      isExact || terms < 2 ? 0 : terms === 2 ? unit * (Math.abs(number) + inherited) : ofMany();
    return {
      ...parts,
      ...from,
      error: settledError(number, inherited + rounding),
    };

    function ofMany(): number {
      notes.orderedSums++;
      const growth = (terms - 1) * unit;
      return growth < 1 ? (growth / (1 - growth)) * mass + terms * leastNormal : Number.POSITIVE_INFINITY;
    }
  }

  function add(left: Bounded, right: Bounded): Bounded {
    const number = left.number + right.number;
    if (!Number.isFinite(number)) return exceptional(float64.functions.add, [left, right]);
    return sum(
      {
        number,
        terms: left.terms + right.terms,
        mass: left.mass + right.mass,
        inherited: left.inherited + right.inherited,
        isWhole: left.isWhole && right.isWhole,
      },
      storesOf(left, right),
    );
  }

  function neg(operand: Bounded): Bounded {
    return { ...operand, number: -operand.number };
  }

  function mul(left: Bounded, right: Bounded): Bounded {
    const number = left.number * right.number;
    if (!Number.isFinite(left.number) || !Number.isFinite(right.number))
      return exceptional(float64.functions.mul, [left, right]);
    const isExact = left.isWhole && right.isWhole && Math.abs(number) <= greatestWhole;
    const error = productError(left, right);
    return single(
      number,
      isExact && left.error === 0 && right.error === 0 ? 0 : error,
      storesOf(left, right),
    );
  }

  function div(left: Bounded, right: Bounded): Bounded {
    const number = left.number / right.number;
    const stored = storesOf(left, right);
    if (![left.number, right.number].every(Number.isFinite))
      return exceptional(float64.functions.div, [left, right]);
    if (isZero(left) && isZero(right)) return single(Number.NaN, 0, stored);
    const closest = Math.abs(right.number) - right.error;
    const farthest = Math.abs(right.number) + right.error;
    // WGSL promises nothing of larger divisors; and a zero may have either sign.
    if (!(closest > 0) || !(farthest <= 2 ** 126)) return single(number, Number.POSITIVE_INFINITY, stored);
    if (isZero(left)) return zero;
    const spread = (left.error + Math.abs(number) * right.error) / closest;
    // 2.5 ulps, also where the divisor is 1; or 3, of a product with a reciprocal.
    const own = 3.5 * unit * (Math.abs(number) + spread);
    return single(number, spread + own, stored);
  }

  /** exp2(y · log2(x)), by the accuracies of its parts. */
  function pow(left: Bounded, right: Bounded): Bounded {
    const run = float64.functions.pow;
    const number = run(left.number, right.number);
    if (isZero(right)) return constant(1);
    if (![left.number, right.number, number].every(Number.isFinite)) return exceptional(run, [left, right]);
    const ends = [-left.error, left.error].flatMap((x) =>
      [-right.error, right.error].map((y) => run(left.number + x, right.number + y)),
    );
    const spread = ends.reduce((worst, end) => Math.max(worst, Math.abs(end - number)), 0);
    if (isZero(left)) return single(number, spread, storesOf(left, right));
    const exponent = Math.abs(right.number) + right.error;
    const logarithm = Math.abs(Math.log2(Math.abs(left.number)));
    const product = exponent * logarithm;
    const inExponent = exponent * (2 ** -21 + 3 * unit * logarithm) + unit * product;
    const own = (3 + 2 * (product + inExponent)) * unit;
    const relative = (1 + own) * Math.expm1(Math.LN2 * inExponent) + own;
    const error = spread + relative * (Math.abs(number) + spread);
    return single(number, error, storesOf(left, right));
  }

  /** Whether one is surely above the other. */
  function areApart(left: Bounded, right: Bounded): boolean {
    return Math.abs(left.number - right.number) > left.error + right.error;
  }

  function extreme(name: 'min' | 'max') {
    const run = float64.functions[name];
    return (left: Bounded, right: Bounded): Bounded => {
      const number = run(left.number, right.number);
      if (Number.isNaN(number) || left.error + right.error === Number.POSITIVE_INFINITY)
        return exceptional(run, [left, right]);
      const chosen = left.number === number ? left : right;
      if (areApart(left, right) || left.error + right.error === 0) return chosen;
      return single(number, Math.max(left.error, right.error), storesOf(left, right));
    };
  }

  function compared(name: keyof typeof float64.comparisons): (left: Bounded, right: Bounded) => boolean {
    const run = float64.comparisons[name];
    return (left, right) => {
      decide(left, right);
      return run(left.number, right.number);
    };
  }

  /** Notes what a device may see the other way. */
  function decide(left: Bounded, right: Bounded): void {
    const isSure = left.error + right.error === 0 || areApart(left, right) || areAlike(left, right);
    if (!isSure) notes.unsure++;
  }

  /**
   * A device makes the same number of the same operations on the same numbers: the logits of two experts with
   * equal rows tie. That two values came by the same operations is told by all that is known of them.
   */
  function areAlike(left: Bounded, right: Bounded): boolean {
    return (
      left.number === right.number &&
      left.error === right.error &&
      left.terms === right.terms &&
      left.mass === right.mass &&
      left.inherited === right.inherited
    );
  }

  function round(dtype: Dtype, value: Bounded): Bounded {
    if (dtype === 'f32') return value;
    const { number, error } = value;
    const stored = roundTo(dtype, number);
    if (error === 0 && Object.is(stored, number)) return value;
    const from = {
      stores: value.stores + 1,
      storeUnit: Math.max(value.storeUnit, storeUnits[dtype as FloatDtype]),
    };
    if (error > 0) {
      const farthest = Math.abs(number) + error;
      const isStorable = Number.isFinite(roundTo(dtype, farthest));
      const half = isStorable ? spacing(dtype as FloatDtype, farthest) / 2 : Number.POSITIVE_INFINITY;
      return single(number, error + half, from);
    }
    const isFollowed = narrowing === 'stored' || !Number.isFinite(number);
    return isFollowed ? single(stored, 0, from) : single(number, Math.abs(stored - number), from);
  }

  function dot(start: Bounded, left: Strided<Bounded>, right: Strided<Bounded>, count: number): Bounded {
    let { number, terms, mass, inherited, isWhole, stores, storeUnit } = start;
    for (let position = 0; position < count; position++) {
      const first = left.data[left.offset + position * left.stride]!;
      const second = right.data[right.offset + position * right.stride]!;
      const product = first.number * second.number;
      if (!Number.isFinite(number + product)) return byElement();
      const isProductWhole = first.isWhole && second.isWhole && Math.abs(product) <= greatestWhole;
      const isExact = isProductWhole && first.error === 0 && second.error === 0;
      const error = isExact ? 0 : settledError(product, productError(first, second));
      number += product;
      terms += product === 0 && error === 0 ? 0 : 1;
      mass += Math.abs(product) + error;
      inherited += error;
      isWhole &&= isExact;
      stores = Math.max(stores, first.stores, second.stores);
      storeUnit = Math.max(storeUnit, first.storeUnit, second.storeUnit);
    }
    return sum({ number, terms, mass, inherited, isWhole }, { stores, storeUnit });

    /** From the beginning: what infinities do is told of whole values. */
    function byElement(): Bounded {
      let total = start;
      for (let position = 0; position < count; position++) {
        const first = left.data[left.offset + position * left.stride]!;
        const second = right.data[right.offset + position * right.stride]!;
        total = add(total, mul(first, second));
      }
      return total;
    }
  }

  return {
    name: 'error bound',
    createStorage: (length): Storage<Bounded> => new Array<Bounded>(length).fill(zero),
    constant,
    functions: {
      add,
      sub: (left, right) => add(left, neg(right)),
      mul,
      div,
      min: extreme('min'),
      max: extreme('max'),
      pow,
      neg,
      abs: unary('abs'),
      sign: unary('sign'),
      floor: unary('floor'),
      ceil: unary('ceil'),
      round: unary('round'),
      exp: unary('exp'),
      log: unary('log'),
      sqrt: unary('sqrt'),
      rsqrt: unary('rsqrt'),
      sin: unary('sin'),
      cos: unary('cos'),
      tanh: unary('tanh'),
      erf: unary('erf'),
    },
    comparisons: { eq: compared('eq'), ne: compared('ne'), lt: compared('lt'), le: compared('le') },
    round,
    fromInteger: constant,
    toNumber: (value) => value.number,
    ordered: decide,
    truncated: ({ number, error }) => {
      if (error > 0 && !(Math.trunc(number - error) === Math.trunc(number + error))) notes.unsure++;
    },
    areSame: (left, right) => Object.is(left.number, right.number) && left.error === right.error,
    dot,
    notes,
  };
}

/** Half a unit in the last place of 1. */
export const storeUnits: { readonly [D in FloatDtype]: number } = {
  f32: 2 ** -24,
  bf16: 2 ** -8,
  f16: 2 ** -11,
  f8e4m3: 2 ** -4,
  f8e5m2: 2 ** -3,
};

function isOne({ number, error }: Bounded): boolean {
  return number === 1 && error === 0;
}

/** Of the product of two finite numbers, rounded; NaN where there is no bound. */
function productError(left: Bounded, right: Bounded): number {
  const [first, second] = [Math.abs(left.number), Math.abs(right.number)];
  const spread = first * right.error + second * left.error + left.error * right.error;
  return isOne(left) || isOne(right) ? spread : spread + unit * (first * second + spread);
}
