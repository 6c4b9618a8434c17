/**
 * The algebra in which two programs are the same or are not, with no tolerance: values are residues modulo
 * a prime p, and exponents modulo a prime q that divides p − 1, so that exp(x) = g^x for a g of order q
 * (Mirage, OSDI'25). An identity of sums, products, quotients and exponentials of real numbers holds of the
 * residues too; what is none fails but for one draw of inputs in some millions.
 *
 * Beside its residues a value has a number, that of a run in double precision, and this number alone
 * decides what is decided: comparisons, max, sorting, conversions to integers. Inputs and constants have the
 * residues of the very rational number that the double is, so that what ties in the one ties in the other.
 *
 * What it does not see is rounding: storing in a narrow type changes nothing here, and nothing overflows. So
 * a program is not the same as its like with constants folded in f32.
 *
 * Functions that are no rational ones, nor exponentials, are unknown functions here: fixed, and random. What
 * depends on one is *opaque*: opaque values that are equal are so whatever the function is, and opaque values
 * that differ may be equal by a law of that function which is not known here.
 */
import type { Algebra, Storage, Strided } from './algebra.ts';
import { float64 } from './float64.ts';
import { residuesModulo } from './residues.ts';

export interface FieldElement {
  readonly kind: 'element';
  /** Of the run in double precision; may overflow where the residues do not. No −0. */
  readonly number: number;
  /** How far rounding may have taken `number` from the value. */
  readonly error: number;
  /** In Z_p. */
  readonly image: number;
  /** In Z_q, of a value that is made of sums, products and quotients alone. */
  readonly exponent: number | undefined;
  /**
   * The image of the exponential, where there is no exponent and it is known from those of terms. Without
   * either, the exponential is an unknown function of the image.
   */
  readonly power: number | undefined;
  readonly isOpaque: boolean;
  /** Likewise of the exponential. */
  readonly isPowerOpaque: boolean;
}

/** An infinity or NaN, by the rules of IEEE 754; zeros have no sign. */
export interface SpecialValue {
  readonly kind: 'special';
  readonly number: number;
}

/** Something was divided by a residue 0 that is no zero: other inputs are to be drawn. */
export interface UnluckyValue {
  readonly kind: 'unlucky';
  readonly number: number;
}

export type FieldValue = FieldElement | SpecialValue | UnluckyValue;

/** `opaque-different`: the residues differ, and depend on functions that are unknown here. */
export type FieldRelation = 'equal' | 'different' | 'opaque-different' | 'unlucky';

export interface FiniteField extends Algebra<FieldValue> {
  readonly relation: (left: FieldValue, right: FieldValue) => FieldRelation;
  /** Of all runs so far over this algebra. */
  readonly notes: {
    /** Choices between numbers that rounding may have put in the wrong order. */
    unsure: number;
    /**
     * Products with an infinity or NaN, and quotients of one or by zero: no distributive law holds of them,
     * so that a sum of such products may be NaN where the product with the sum is not.
     */
    singular: number;
  };
}

/**
 * Primes p = 2q + 1 just below 2^26. Both leave 3 when divided by 4, so that roots of squares are powers; 4
 * has order q.
 */
export const primePairs: readonly { readonly p: number; readonly q: number }[] = [
  { p: 67107983, q: 33553991 },
  { p: 67106903, q: 33553451 },
  { p: 67104743, q: 33552371 },
  { p: 67104263, q: 33552131 },
];
const generator = 4;

/** The unit roundoff of doubles, and the least of them. */
const unit = 2 ** -53;
const least = 2 ** -1074;

/** @param pair of `primePairs`; what holds in one may be confirmed in another. */
export function finiteField(pair = 0): FiniteField {
  const { p, q } = primePairs[pair % primePairs.length]!;
  const base = residuesModulo(p);
  const above = residuesModulo(q);
  const notes = { unsure: 0, singular: 0 };
  /** Of what was ordered: numbers that differ by rounding only are one number. */
  const ordered = new Map<number, FieldElement>();

  // ── values ───────────────────────────────────────────────────────────────────────────────────────────────

  function element(parts: Omit<FieldElement, 'kind'>): FieldElement {
    const { number, error, image, exponent, power, isOpaque, isPowerOpaque } = parts;
    const isExactZero = number === 0 && image === 0;
    const own = isExactZero ? 0 : error + Math.abs(number) * unit + least;
    return {
      kind: 'element',
      // Adding 0 takes the sign from −0.
      number: number + 0,
      error: Number.isNaN(own) ? Number.POSITIVE_INFINITY : own,
      image,
      exponent,
      power,
      isOpaque,
      isPowerOpaque,
    };
  }

  function constant(number: number): FieldValue {
    return Number.isFinite(number) ? rational(number) : { kind: 'special', number };
  }

  function rational(number: number): FieldElement {
    return {
      kind: 'element',
      number: number + 0,
      error: 0,
      image: base.ofNumber(number),
      exponent: above.ofNumber(number),
      power: undefined,
      isOpaque: false,
      isPowerOpaque: false,
    };
  }

  const zero = rational(0);
  const one = rational(1);

  function isZero({ number, image }: FieldElement): boolean {
    return number === 0 && image === 0;
  }

  function isOne({ number, image, exponent }: FieldElement): boolean {
    return number === 1 && image === 1 && exponent === 1;
  }

  /** A number that says nothing of the value: it overflowed, or vanished. */
  function isLost({ number, image }: FieldElement): boolean {
    return !Number.isFinite(number) || (number === 0 && image !== 0);
  }

  /** The image of the exponential. */
  function powerOf(value: FieldElement): number {
    if (value.exponent !== undefined) return base.power(generator, value.exponent);
    return value.power ?? unknown('exp', value.image, 0);
  }

  function hasPower({ exponent, power }: FieldElement): boolean {
    return exponent !== undefined || power !== undefined;
  }

  function isPowerUnknown(value: FieldElement): boolean {
    return value.isPowerOpaque || !hasPower(value);
  }

  /** A fixed residue other than 0 for each function and operands. */
  function unknown(name: string, left: number, right: number): number {
    let bits = p;
    for (let place = 0; place < name.length; place++) bits = mixed(bits ^ name.charCodeAt(place));
    return 1 + (mixed(mixed(bits ^ left) ^ right) % (p - 1));
  }

  // ── choices ──────────────────────────────────────────────────────────────────────────────────────────────

  function areTied(left: FieldElement, right: FieldElement): boolean {
    return left.image === right.image && !(Math.abs(left.number - right.number) > left.error + right.error);
  }

  /** Negative, zero or positive as left is below, at or above right; NaN where they have no order. */
  function order(left: FieldValue, right: FieldValue): number {
    if (left.kind !== 'element' || right.kind !== 'element') {
      if (isLostOperand(left) || isLostOperand(right)) notes.unsure++;
      return left.number === right.number ? 0 : left.number - right.number;
    }
    if (areTied(left, right)) return 0;
    const difference = left.number - right.number;
    if (!(Math.abs(difference) > left.error + right.error)) notes.unsure++;
    return difference;
  }

  /** Infinities have their order with what overflowed too; NaN has none. */
  function isLostOperand(value: FieldValue): boolean {
    return value.kind === 'element' && Number.isNaN(value.number);
  }

  /** The number without what rounding did to it, where the value is a multiple of a half. */
  function settled(value: FieldElement): number {
    const { number, error, image } = value;
    if (error === 0) return number;
    const near = Math.round(number * 2) / 2;
    return Math.abs(number - near) <= error && base.ofNumber(near) === image ? near : number;
  }

  /** The number of which the whole part counts, with a note where rounding may have moved it over a step. */
  function onGrid({ number, error, image }: FieldElement, offset: number): number {
    const near = Math.round(number - offset) + offset;
    if (Math.abs(number - near) > error) return number;
    if (Number.isFinite(number) && base.ofNumber(near) === image) return near;
    notes.unsure++;
    return number;
  }

  function toNumber(value: FieldValue): number {
    if (value.kind !== 'element') return value.number;
    const known = ordered.get(value.image);
    if (known !== undefined && areTied(known, value)) return settled(known);
    ordered.set(value.image, value);
    return settled(value);
  }

  // ── functions ────────────────────────────────────────────────────────────────────────────────────────────

  type Functions = FiniteField['functions'];

  /** What IEEE 754 makes of the numbers, where one of them is infinite, NaN or unlucky. */
  function exceptional(run: (...numbers: number[]) => number, operands: readonly FieldValue[]): FieldValue {
    const number = run(...operands.map((operand) => operand.number)) + 0;
    if (operands.some(({ kind }) => kind === 'unlucky')) return { kind: 'unlucky', number };
    if (operands.some((operand) => operand.kind === 'element' && isLost(operand))) notes.unsure++;
    return constant(number);
  }

  function unary(name: keyof Functions, run: (operand: FieldElement) => FieldValue) {
    const concrete = float64.functions[name];
    return (operand: FieldValue): FieldValue =>
      operand.kind === 'element' ? run(operand) : exceptional(concrete, [operand]);
  }

  function binary(name: keyof Functions, run: (left: FieldElement, right: FieldElement) => FieldValue) {
    const concrete = float64.functions[name];
    return (left: FieldValue, right: FieldValue): FieldValue =>
      left.kind === 'element' && right.kind === 'element'
        ? run(left, right)
        : exceptional(concrete, [left, right]);
  }

  /**
   * A sum has the product of exponentials where both have exponents or one has; that of two values without is
   * a value of its own, so that sums of products are the same whatever their order and wherever a factor
   * stands.
   */
  function add(left: FieldElement, right: FieldElement): FieldElement {
    if (isZero(left)) return right;
    if (isZero(right)) return left;
    const isExact = left.exponent !== undefined && right.exponent !== undefined;
    const isProduct = !isExact && (hasPower(left) || hasPower(right));
    return element({
      number: left.number + right.number,
      error: left.error + right.error,
      image: base.add(left.image, right.image),
      exponent: isExact ? above.add(left.exponent, right.exponent) : undefined,
      power: isProduct ? base.mul(powerOf(left), powerOf(right)) : undefined,
      isOpaque: left.isOpaque || right.isOpaque,
      isPowerOpaque: isPowerUnknown(left) || isPowerUnknown(right),
    });
  }

  /** A difference always has the quotient: that is what is done to the logits of a softmax. */
  function sub(left: FieldElement, right: FieldElement): FieldElement {
    if (isZero(right)) return left;
    const isExact = left.exponent !== undefined && right.exponent !== undefined;
    return element({
      number: left.number - right.number,
      error: left.error + right.error,
      image: base.sub(left.image, right.image),
      exponent: isExact ? above.sub(left.exponent, right.exponent) : undefined,
      power: isExact ? undefined : base.mul(powerOf(left), base.inverse(powerOf(right))),
      isOpaque: left.isOpaque || right.isOpaque,
      isPowerOpaque: isPowerUnknown(left) || isPowerUnknown(right),
    });
  }

  function mul(left: FieldElement, right: FieldElement): FieldElement {
    if (isZero(left) || isZero(right)) return zero;
    if (isOne(left)) return right;
    if (isOne(right)) return left;
    const isExact = left.exponent !== undefined && right.exponent !== undefined;
    return element({
      number: left.number * right.number,
      error: Math.abs(left.number) * right.error + (Math.abs(right.number) + right.error) * left.error,
      image: base.mul(left.image, right.image),
      exponent: isExact ? above.mul(left.exponent, right.exponent) : undefined,
      power: undefined,
      isOpaque: left.isOpaque || right.isOpaque,
      isPowerOpaque: left.isPowerOpaque || right.isPowerOpaque,
    });
  }

  function div(left: FieldElement, right: FieldElement): FieldValue {
    const number = left.number / right.number;
    if (isZero(right)) {
      if (isLost(left)) notes.unsure++;
      return constant(left.number / 0);
    }
    if (right.image === 0 || right.exponent === 0) return { kind: 'unlucky', number };
    if (isZero(left)) return zero;
    if (isOne(right)) return left;
    const isExact = left.exponent !== undefined && right.exponent !== undefined;
    const closest = Math.abs(right.number) - right.error;
    return element({
      number,
      error: closest > 0 ? (left.error + Math.abs(number) * right.error) / closest : Number.POSITIVE_INFINITY,
      image: base.mul(left.image, base.inverse(right.image)),
      exponent: isExact ? above.mul(left.exponent, above.inverse(right.exponent)) : undefined,
      power: undefined,
      isOpaque: left.isOpaque || right.isOpaque,
      isPowerOpaque: left.isPowerOpaque || right.isPowerOpaque,
    });
  }

  function neg(operand: FieldElement): FieldElement {
    return sub(zero, operand);
  }

  function larger(left: FieldValue, right: FieldValue): FieldValue {
    const sign = order(left, right);
    if (Number.isNaN(sign)) return Number.isNaN(left.number) ? left : right;
    return sign >= 0 ? left : right;
  }

  function smaller(left: FieldValue, right: FieldValue): FieldValue {
    const sign = order(left, right);
    if (Number.isNaN(sign)) return Number.isNaN(left.number) ? left : right;
    return sign <= 0 ? left : right;
  }

  /** Values of which only the image is known, and whether it is that of the function. */
  function withImage(
    name: keyof Functions,
    operands: readonly FieldElement[],
    image: number,
    isOpaque: boolean,
  ): FieldElement {
    return element({
      ...concreteOf(name, operands),
      image,
      exponent: undefined,
      power: undefined,
      isOpaque,
      isPowerOpaque: false,
    });
  }

  function exp(operand: FieldElement): FieldElement {
    if (isZero(operand)) return one;
    return withImage('exp', [operand], powerOf(operand), isPowerUnknown(operand));
  }

  /** (e^2x − 1) / (e^2x + 1). */
  function tanh(operand: FieldElement): FieldValue {
    if (isZero(operand)) return zero;
    const power = powerOf(operand);
    const square = base.mul(power, power);
    const below = base.add(square, 1);
    if (below === 0) return { kind: 'unlucky', number: Math.tanh(operand.number) };
    const image = base.mul(base.sub(square, 1), base.inverse(below));
    return withImage('tanh', [operand], image, isPowerUnknown(operand));
  }

  /** An unknown function whose exponential is the operand. */
  function log(operand: FieldElement): FieldValue {
    if (isZero(operand)) return constant(Number.NEGATIVE_INFINITY);
    if (isOne(operand)) return zero;
    if (order(operand, zero) < 0) return constant(Number.NaN);
    return element({
      ...concreteOf('log', [operand]),
      image: unknown('log', operand.image, 0),
      exponent: undefined,
      power: operand.image,
      isOpaque: true,
      isPowerOpaque: operand.isOpaque,
    });
  }

  /**
   * Exact of what has a rational root. Else the power that is a root of squares, which is a root of products
   * where it is one of factors.
   */
  function sqrt(operand: FieldElement): FieldValue {
    if (isZero(operand)) return zero;
    if (order(operand, zero) < 0) return constant(Number.NaN);
    const root = Math.sqrt(operand.number);
    if (Number.isFinite(root) && operand.exponent !== undefined) {
      const exact = rational(root);
      const square = mul(exact, exact);
      if (square.image === operand.image && square.exponent === operand.exponent) return exact;
    }
    const { exponent } = operand;
    return element({
      ...concreteOf('sqrt', [operand]),
      image: base.power(operand.image, (p + 1) / 4),
      exponent: exponent === undefined ? undefined : above.power(exponent, (q + 1) / 4),
      power: undefined,
      isOpaque: true,
      isPowerOpaque: true,
    });
  }

  function rsqrt(operand: FieldElement): FieldValue {
    const root = sqrt(operand);
    return root.kind === 'element' ? div(one, root) : exceptional(float64.functions.div, [one, root]);
  }

  /** The unknown function, odd or even as the function is. */
  function opaque(name: 'sin' | 'cos' | 'erf') {
    return (operand: FieldElement): FieldElement => {
      if (isZero(operand)) return rational(float64.functions[name](0));
      const isNegative = operand.number < 0;
      const image = unknown(name, isNegative ? base.sub(0, operand.image) : operand.image, 0);
      const isTurned = isNegative && name !== 'cos';
      return withImage(name, [operand], isTurned ? base.sub(0, image) : image, true);
    };
  }

  function pow(left: FieldElement, right: FieldElement): FieldValue {
    const exponent = right.number;
    const isRational = right.exponent !== undefined && base.ofNumber(finite(exponent)) === right.image;
    if (isRational && Number.isInteger(exponent) && Math.abs(exponent) < 2 ** 31)
      return integerPower(left, right);
    if (isRational && exponent === 0.5) return sqrt(left);
    if (isRational && exponent === -0.5) return rsqrt(left);
    if (isZero(left)) return constant(order(right, zero) > 0 ? 0 : Number.POSITIVE_INFINITY);
    if (isOne(left)) return one;
    if (order(left, zero) < 0) return constant(Number.NaN);
    return withImage('pow', [left, right], unknown('pow', left.image, right.image), true);
  }

  function integerPower(left: FieldElement, right: FieldElement): FieldValue {
    const times = Math.abs(right.number);
    if (right.number < 0) {
      const below = integerPower(left, rational(times));
      return below.kind === 'element' ? div(one, below) : below;
    }
    if (isZero(left)) return times === 0 ? one : zero;
    return element({
      ...concreteOf('pow', [left, right]),
      image: base.power(left.image, times),
      exponent: left.exponent === undefined ? undefined : above.power(left.exponent, times),
      power: undefined,
      isOpaque: left.isOpaque,
      isPowerOpaque: left.isPowerOpaque,
    });
  }

  /** Decided by the number, and so exact. */
  function stepwise(name: 'floor' | 'ceil' | 'round') {
    const offset = name === 'round' ? 0.5 : 0;
    return (operand: FieldElement): FieldValue => {
      if (Math.abs(operand.number) >= 2 ** 52) return operand;
      return constant(float64.functions[name](onGrid(operand, offset)));
    };
  }

  const finiteProduct = binary('mul', mul);
  function product(left: FieldValue, right: FieldValue): FieldValue {
    if (left.kind === 'special' || right.kind === 'special') notes.singular++;
    return finiteProduct(left, right);
  }

  const finiteQuotient = binary('div', div);
  function quotient(left: FieldValue, right: FieldValue): FieldValue {
    const isByZero = right.kind === 'element' && isZero(right);
    if (left.kind === 'special' || isByZero) notes.singular++;
    return finiteQuotient(left, right);
  }

  const functions: Functions = {
    add: binary('add', add),
    sub: binary('sub', sub),
    mul: product,
    div: quotient,
    neg: unary('neg', neg),
    abs: unary('abs', (operand) => (order(operand, zero) < 0 ? neg(operand) : operand)),
    sign: unary('sign', (operand) => constant(Math.sign(order(operand, zero)))),
    min: smaller,
    max: larger,
    exp: unary('exp', exp),
    log: unary('log', log),
    sqrt: unary('sqrt', sqrt),
    rsqrt: unary('rsqrt', rsqrt),
    sin: unary('sin', opaque('sin')),
    cos: unary('cos', opaque('cos')),
    tanh: unary('tanh', tanh),
    erf: unary('erf', opaque('erf')),
    pow: binary('pow', pow),
    floor: unary('floor', stepwise('floor')),
    ceil: unary('ceil', stepwise('ceil')),
    round: unary('round', stepwise('round')),
  };

  /** Without a value for every product. */
  function dot(
    start: FieldValue,
    left: Strided<FieldValue>,
    right: Strided<FieldValue>,
    count: number,
  ): FieldValue {
    if (start.kind !== 'element' || start.exponent === undefined || start.isOpaque)
      return byElement(0, start);
    let { number, error, image, exponent } = start;
    for (let position = 0; position < count; position++) {
      const first = left.data[left.offset + position * left.stride]!;
      const second = right.data[right.offset + position * right.stride]!;
      const isPlain =
        first.kind === 'element' &&
        second.kind === 'element' &&
        first.exponent !== undefined &&
        second.exponent !== undefined &&
        !first.isOpaque &&
        !second.isOpaque;
      if (!isPlain) return byElement(position, { ...zero, number: number + 0, error, image, exponent });
      const product = first.number * second.number;
      number += product;
      error +=
        Math.abs(first.number) * second.error +
        (Math.abs(second.number) + second.error) * first.error +
        (Math.abs(product) + Math.abs(number)) * unit;
      image = base.add(image, base.mul(first.image, second.image));
      exponent = above.add(exponent, above.mul(first.exponent, second.exponent));
    }
    const own = { number, error, image, exponent };
    return element({ ...own, power: undefined, isOpaque: false, isPowerOpaque: false });

    function byElement(from: number, sum: FieldValue): FieldValue {
      let total = sum;
      for (let position = from; position < count; position++) {
        const first = left.data[left.offset + position * left.stride]!;
        const second = right.data[right.offset + position * right.stride]!;
        total = functions.add(total, functions.mul(first, second));
      }
      return total;
    }
  }

  // ── the relation of two values ───────────────────────────────────────────────────────────────────────────

  function relation(left: FieldValue, right: FieldValue): FieldRelation {
    if (left.kind === 'unlucky' || right.kind === 'unlucky') return 'unlucky';
    if (left.kind === 'special' || right.kind === 'special')
      return left.kind === right.kind && Object.is(left.number, right.number) ? 'equal' : 'different';
    const isOpaque = left.isOpaque || right.isOpaque;
    const hasExponents = left.exponent !== undefined && right.exponent !== undefined;
    if (left.image === right.image && (!hasExponents || left.exponent === right.exponent)) return 'equal';
    if (!isOpaque) return 'different';
    // Values are equal where their exponentials are.
    if (hasExponents || isPowerUnknown(left) || isPowerUnknown(right)) return 'opaque-different';
    return powerOf(left) === powerOf(right) ? 'equal' : 'different';
  }

  return {
    name: 'finite field',
    createStorage: (length): Storage<FieldValue> => new Array<FieldValue>(length).fill(zero),
    constant,
    functions,
    comparisons: {
      eq: (left, right) => order(left, right) === 0,
      ne: (left, right) => order(left, right) !== 0,
      lt: (left, right) => order(left, right) < 0,
      le: (left, right) => order(left, right) <= 0,
    },
    round: (_, value) => value,
    fromInteger: rational,
    toNumber,
    ordered: (before, after) => {
      order(before, after);
    },
    truncated: (value) => {
      if (value.kind === 'element') onGrid(value, 0);
    },
    areSame: (left, right) => relation(left, right) === 'equal',
    dot,
    relation,
    notes,
  };
}

/** The number of a function's value and how far it may be off, from the ends of where operands may lie. */
function concreteOf(
  name: keyof Algebra<number>['functions'],
  operands: readonly FieldElement[],
): { readonly number: number; readonly error: number } {
  const run = float64.functions[name];
  const number = run(...operands.map((operand) => operand.number));
  const errors = operands.flatMap((operand, place) =>
    [-operand.error, operand.error].map((shift) => {
      const moved = operands.map((other, at) => (at === place ? other.number + shift : other.number));
      return Math.abs(run(...moved) - number);
    }),
  );
  // Library functions are good to an ulp or two.
  const error = errors.reduce((sum, own) => sum + own, 2 * unit * Math.abs(number));
  return { number, error: Number.isNaN(error) ? Number.POSITIVE_INFINITY : error };
}

/** Of 32 bits, every one of which depends on all (the finalizer of MurmurHash3). */
function mixed(bits: number): number {
  let state = bits + 0x9e3779b9;
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

/** What stands for a number that has no residue. */
function finite(number: number): number {
  return Number.isFinite(number) ? number : 0;
}
