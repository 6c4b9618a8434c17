/**
 * Scalar expressions as closures, for the reference evaluator. An expression is compiled once for its node
 * and then run at every point; what occurs several times in it is computed once a point.
 */
import type { Algebra, IntegerType, Storage, Strided } from './algebra.ts';
import type { LoopId, Scalar, Tensor, TensorId } from './graph.ts';
import { convertInteger, integerOperation, truncateFloat } from './integers.ts';
import { printType } from './print.ts';
import { roundTo } from './rounding.ts';
import { iteratorsOf, type Load, operands, scalarType, subexpressions } from './scalar.ts';
import { stridesOf } from './tensor-type.ts';

/** A tensor while the graph runs. Of `floats` and `numbers` one holds the elements, as its dtype says. */
export interface Slot<V> {
  readonly tensor: Tensor;
  floats: Storage<V>;
  numbers: Storage<number>;
}

/** What the expressions of one node read besides tensors. */
export interface Frame<V> {
  /** For messages: `compute h%3`. */
  readonly node: string;
  readonly algebra: Algebra<V>;
  readonly extents: readonly number[];
  /** Current value of each iterator. */
  readonly axes: Int32Array;
  /** Must change whenever an iterator, a counter, `reduced…` or a tensor does. */
  point: number;
  reducedFloat: V;
  reducedNumber: number;
  readonly slot: (tensor: TensorId) => Slot<V>;
  readonly step: (loop: LoopId) => { readonly value: number };
  /** Of the device that runs the node, along an axis of so many devices. */
  readonly coordinate: (axis: string, devices: number) => number;
  /** What a size of a bounded program is in this run. */
  readonly size: (name: string) => number;
}

type NumberCode = () => number;

/** Code for the expressions of a node. Which of the two to use `scalarType` tells. */
export interface ScalarCompiler<V> {
  /** Of type f32. */
  readonly float: (scalar: Scalar) => () => V;
  /** Of type i32, u32 or bool. */
  readonly number: (scalar: Scalar) => NumberCode;
  /**
   * Code that places `strided` on the elements which the load reads as iterator `axis` runs from 0, with the
   * other iterators where they are; undefined when these elements are not evenly spaced or not surely inside
   * the tensor.
   */
  readonly strided: (load: Load, axis: number, strided: Strided<V>) => (() => void) | undefined;
}

/** Throws (an internal error) when an expression is ill-typed. */
export function compileScalars<V>(frame: Frame<V>, roots: readonly Scalar[]): ScalarCompiler<V> {
  const floats = new Map<Scalar, () => V>();
  const numbers = new Map<Scalar, NumberCode>();
  const shared = sharedParts(roots);
  const { algebra, axes } = frame;

  function float(scalar: Scalar): () => V {
    const known = floats.get(scalar);
    if (known !== undefined) return known;
    const code = shared.has(scalar) ? oncePerPoint(frame, floatCode(scalar)) : floatCode(scalar);
    floats.set(scalar, code);
    return code;
  }

  function number(scalar: Scalar): NumberCode {
    const known = numbers.get(scalar);
    if (known !== undefined) return known;
    const code = shared.has(scalar) ? oncePerPoint(frame, numberCode(scalar)) : numberCode(scalar);
    numbers.set(scalar, code);
    return code;
  }

  function floatCode(scalar: Scalar): () => V {
    switch (scalar.op) {
      case 'constant': {
        const value = algebra.constant(scalar.value);
        return () => value;
      }
      case 'load': {
        const slot = frame.slot(scalar.tensor);
        const offset = offsetCode(scalar);
        return () => slot.floats[offset()]!;
      }
      case 'apply':
        return applyFloat(scalar);
      case 'convert': {
        if (scalarType(scalar.operand) === 'f32') return float(scalar.operand);
        const operand = number(scalar.operand);
        return () => algebra.fromInteger(operand());
      }
      case 'round': {
        const operand = float(scalar.operand);
        const { dtype } = scalar;
        return () => algebra.round(dtype, operand());
      }
      case 'reduced':
        return () => frame.reducedFloat;
      default:
        throw ill(scalar);
    }
  }

  function applyFloat(scalar: Extract<Scalar, { op: 'apply' }>): () => V {
    if (scalar.function === 'select') {
      const condition = number(scalar.operands[0]!);
      const then = float(scalar.operands[1]!);
      const otherwise = float(scalar.operands[2]!);
      return () => (condition() !== 0 ? then() : otherwise());
    }
    const functions: { readonly [name: string]: (...operands: V[]) => V } = algebra.functions;
    const apply = functions[scalar.function];
    if (apply === undefined) throw ill(scalar);
    const [first, second] = scalar.operands.map(float);
    if (first === undefined) throw ill(scalar);
    if (second === undefined) return () => apply(first());
    return () => apply(first(), second());
  }

  function numberCode(scalar: Scalar): NumberCode {
    switch (scalar.op) {
      case 'constant': {
        const { value } = scalar;
        return () => value;
      }
      case 'iterator': {
        const { axis } = scalar;
        return () => axes[axis]!;
      }
      case 'counter': {
        const step = frame.step(scalar.loop);
        return () => step.value;
      }
      case 'coordinate': {
        const value = frame.coordinate(scalar.axis, scalar.devices);
        return () => value;
      }
      case 'size': {
        const value = frame.size(scalar.name);
        return () => value;
      }
      case 'load': {
        const slot = frame.slot(scalar.tensor);
        const offset = offsetCode(scalar);
        return () => slot.numbers[offset()]!;
      }
      case 'apply':
        return applyNumber(scalar);
      case 'convert': {
        const type = integerType(scalar);
        if (scalarType(scalar.operand) === 'f32') {
          const operand = float(scalar.operand);
          const { toNumber, truncated } = algebra;
          if (truncated === undefined) return () => truncateFloat(type, toNumber(operand()));
          return () => {
            const value = operand();
            truncated(value);
            return truncateFloat(type, toNumber(value));
          };
        }
        const operand = number(scalar.operand);
        return () => convertInteger(type, operand());
      }
      case 'round': {
        const operand = number(scalar.operand);
        const { dtype } = scalar;
        return () => roundTo(dtype, operand());
      }
      case 'reduced':
        return () => frame.reducedNumber;
    }
  }

  function applyNumber(scalar: Extract<Scalar, { op: 'apply' }>): NumberCode {
    if (scalar.function === 'select') {
      const [condition, then, otherwise] = scalar.operands.map(number);
      return () => (condition!() !== 0 ? then!() : otherwise!());
    }
    const [left, right] = scalar.operands;
    if (left !== undefined && right !== undefined && scalarType(left) === 'f32') {
      const comparisons: { readonly [name: string]: (left: V, right: V) => boolean } = algebra.comparisons;
      const compare = comparisons[scalar.function];
      if (compare === undefined) throw ill(scalar);
      const [first, second] = [float(left), float(right)];
      return () => (compare(first(), second()) ? 1 : 0);
    }
    const apply = integerOperation(scalar.function, integerType(left!));
    const [first, second, third, fourth] = scalar.operands.map(number);
    if (second === undefined) return () => apply(first!(), 0, 0, 0);
    if (third === undefined) return () => apply(first!(), second(), 0, 0);
    return () => apply(first!(), second(), third(), fourth!());
  }

  /** Where in the tensor's storage the load reads; throws when a subscript is out of range. */
  function offsetCode(load: Load): NumberCode {
    const { tensor } = frame.slot(load.tensor);
    const { constant, terms, checked } = addressOf(load, tensor, frame.extents);
    const known = [...terms];
    const [first, second, third] = known;
    let affine: NumberCode;
    if (first === undefined) affine = () => constant;
    else if (second === undefined) {
      const [axis0, stride0] = first;
      affine = () => constant + axes[axis0]! * stride0;
    } else if (third === undefined) {
      const [[axis0, stride0], [axis1, stride1]] = [first, second];
      affine = () => constant + axes[axis0]! * stride0 + axes[axis1]! * stride1;
    } else
      affine = () => {
        let offset = constant;
        for (const [axis, stride] of known) offset += axes[axis]! * stride;
        return offset;
      };
    return checked.reduce((rest, axis) => {
      const subscript = number(load.subscripts[axis]!);
      const extent = tensor.shape[axis]!;
      const stride = stridesOf(tensor.shape)[axis]!;
      return () => {
        const position = subscript();
        if (position < 0 || position >= extent) throw outside(load, tensor);
        return rest() + position * stride;
      };
    }, affine);
  }

  function outside(load: Load, tensor: Tensor): Error {
    const position = load.subscripts.map((subscript) => number(subscript)()).join(', ');
    const point = [...axes].join(', ');
    return new Error(
      `${frame.node}, at (${point}): ${tensor.name}%${tensor.id}[${position}] is outside ${printType(tensor)}`,
    );
  }

  function strided(load: Load, axis: number, place: Strided<V>): (() => void) | undefined {
    const slot = frame.slot(load.tensor);
    const { terms, checked } = addressOf(load, slot.tensor, frame.extents);
    if (checked.some((position) => iteratorsOf(load.subscripts[position]!).has(axis))) return undefined;
    const offset = offsetCode(load);
    const stride = terms.get(axis) ?? 0;
    return () => {
      axes[axis] = 0;
      place.data = slot.floats;
      place.offset = offset();
      place.stride = stride;
    };
  }

  function ill(scalar: Scalar): Error {
    return new Error(
      `${frame.node}: ${scalar.op} of type ${scalarType(scalar)} does not fit where it stands`,
    );
  }

  return { float, number, strided };
}

function integerType(scalar: Scalar): IntegerType {
  const type = scalarType(scalar);
  if (type === 'f32') throw new Error('a float where an integer belongs');
  return type;
}

/** The parts that occur more than once and are worth keeping. */
function sharedParts(roots: readonly Scalar[]): ReadonlySet<Scalar> {
  const occurrences = new Map<Scalar, number>();
  for (const operand of roots.flatMap(subexpressions).flatMap(operands))
    occurrences.set(operand, (occurrences.get(operand) ?? 0) + 1);
  const shared = [...occurrences].filter(([part, count]) => count > 1 && operands(part).length > 0);
  return new Set(shared.map(([part]) => part));
}

function oncePerPoint<V, R>(frame: Frame<V>, code: () => R): () => R {
  let point = -1;
  let value: R;
  return () => {
    if (point !== frame.point) {
      value = code();
      point = frame.point;
    }
    return value;
  };
}

// ── addresses ──────────────────────────────────────────────────────────────────────────────────────────────

interface Address {
  readonly constant: number;
  /** Elements by which a step of an iterator moves. */
  readonly terms: ReadonlyMap<number, number>;
  /** Axes of the tensor whose subscript is not in the sum: it is computed and checked each time. */
  readonly checked: readonly number[];
}

/** Subscripts that are sums of multiples of iterators and surely in range become one sum. */
function addressOf(load: Load, tensor: Tensor, extents: readonly number[]): Address {
  const strides = stridesOf(tensor.shape);
  const terms = new Map<number, number>();
  const checked: number[] = [];
  let constant = 0;
  for (const [position, subscript] of load.subscripts.entries()) {
    const affine = affineOf(subscript);
    if (affine === undefined || !staysBelow(affine, tensor.shape[position]!, extents)) {
      checked.push(position);
      continue;
    }
    const stride = strides[position]!;
    constant += affine.constant * stride;
    for (const [axis, factor] of affine.terms) terms.set(axis, (terms.get(axis) ?? 0) + factor * stride);
  }
  return { constant, terms, checked };
}

interface Affine {
  readonly constant: number;
  readonly terms: ReadonlyMap<number, number>;
}

/**
 * The expression as a constant plus multiples of iterators, in exact integers; undefined if it is not that.
 */
function affineOf(root: Scalar): Affine | undefined {
  const found = new Map<Scalar, Affine | undefined>();
  for (const scalar of subexpressions(root)) {
    const parts = operands(scalar).map((operand) => found.get(operand));
    found.set(scalar, affineStep(scalar, parts[0], parts[1]));
  }
  return found.get(root);
}

function affineStep(scalar: Scalar, left: Affine | undefined, right: Affine | undefined): Affine | undefined {
  if (scalar.op === 'constant') return { constant: scalar.value, terms: new Map() };
  if (scalar.op === 'iterator') return { constant: 0, terms: new Map([[scalar.axis, 1]]) };
  if (scalar.op !== 'apply' || left === undefined) return undefined;
  switch (scalar.function) {
    case 'neg':
      return scaled(left, -1);
    case 'add':
      return right && sum(left, right);
    case 'sub':
      return right && sum(left, scaled(right, -1));
    case 'mul':
      if (right?.terms.size === 0) return scaled(left, right.constant);
      return left.terms.size === 0 ? right && scaled(right, left.constant) : undefined;
    default:
      return undefined;
  }
}

function scaled({ constant, terms }: Affine, factor: number): Affine {
  return {
    constant: constant * factor,
    terms: new Map([...terms].map(([axis, own]) => [axis, own * factor])),
  };
}

function sum(left: Affine, right: Affine): Affine {
  const terms = new Map(left.terms);
  for (const [axis, factor] of right.terms) terms.set(axis, (terms.get(axis) ?? 0) + factor);
  return { constant: left.constant + right.constant, terms };
}

/**
 * Whether it is in [0, bound) at every point. In that range nothing wraps on the way that does not wrap back.
 */
function staysBelow({ constant, terms }: Affine, bound: number, extents: readonly number[]): boolean {
  let low = constant;
  let high = constant;
  for (const [axis, factor] of terms) {
    const reach = factor * Math.max(0, (extents[axis] ?? Number.POSITIVE_INFINITY) - 1);
    if (reach < 0) low += reach;
    else high += reach;
  }
  return low >= 0 && high < bound;
}
