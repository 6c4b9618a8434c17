/** The graph's scalar expressions as expressions of tile programs. */
import type { Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { type Load, scalarKey } from '../graph/scalar.ts';
import {
  apply,
  arithmeticOf,
  constant,
  device,
  difference,
  flatten,
  intervalOf,
  load,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from './tile-expression.ts';

/** What the leaves of a scalar stand for in a kernel. */
export interface Bindings {
  readonly tensors: (id: TensorId) => Tensor;
  /** By axis. */
  readonly iterators: readonly TileExpression[];
  /** In `finish` (and a softmax sum's logit): the reduced value. */
  readonly reduced?: TileExpression;
  /** What the kernel has in registers of what is loaded. All else is read from memory. */
  readonly kept?: (load: Load, subscripts: readonly TileExpression[]) => TileExpression | undefined;
}

export function lowerScalar(scalar: Scalar, bindings: Bindings): TileExpression {
  const lowered = new Map<Scalar, TileExpression>();
  const lower = (at: Scalar): TileExpression => {
    const known = lowered.get(at);
    if (known !== undefined) return known;
    const found = lowerOne(at, bindings, lower);
    lowered.set(at, found);
    return found;
  };
  return lower(scalar);
}

function lowerOne(
  scalar: Scalar,
  bindings: Bindings,
  lower: (scalar: Scalar) => TileExpression,
): TileExpression {
  switch (scalar.op) {
    case 'constant':
      return constant(scalar.value, scalar.dtype);
    case 'iterator': {
      const iterator = bindings.iterators[scalar.axis];
      if (iterator === undefined) throw new Error(`iterator ${scalar.axis} is not bound here`);
      return iterator;
    }
    case 'counter':
      return { op: 'counter', loop: scalar.loop };
    case 'coordinate':
      return device(scalar.axis, scalar.devices);
    case 'size':
      return device(scalar.name, scalar.most + 1);
    case 'load': {
      const kept = bindings.kept?.(scalar, scalar.subscripts.map(lower));
      if (kept !== undefined) return kept;
      const { shape } = bindings.tensors(scalar.tensor);
      const place = withoutSplits(scalar.subscripts, shape);
      return load(scalar.tensor, scalar.dtype, flatten(place.subscripts.map(lower), place.shape));
    }
    case 'apply':
      return lowerApply(scalar, scalar.operands.map(lower));
    case 'convert':
      return { op: 'convert', dtype: scalar.dtype, operand: lower(scalar.operand) };
    case 'round':
      return { op: 'round', dtype: scalar.dtype, operand: lower(scalar.operand) };
    case 'reduced':
      if (bindings.reduced === undefined) throw new Error('there is no reduced value here');
      return bindings.reduced;
  }
}

/** Where in a tensor, seen as of a shape that has its elements in the same order. */
interface Place {
  readonly subscripts: readonly Scalar[];
  readonly shape: readonly number[];
}

/**
 * Neighbouring subscripts `x // n` and `x % n` of a dimension of n are x of both dimensions together: so is read
 * what was split, or gathered block by block.
 */
function withoutSplits(subscripts: readonly Scalar[], shape: readonly number[]): Place {
  return subscripts.reduce<Place>(
    (place, subscript, axis) => {
      const extent = shape[axis]!;
      const before = place.subscripts.at(-1);
      const whole = before === undefined ? undefined : wholeOf(before, subscript, extent);
      if (whole === undefined)
        return { subscripts: [...place.subscripts, subscript], shape: [...place.shape, extent] };
      return {
        subscripts: [...place.subscripts.slice(0, -1), whole],
        shape: [...place.shape.slice(0, -1), place.shape.at(-1)! * extent],
      };
    },
    { subscripts: [], shape: [] },
  );
}

/** x, where `upper` is `x // extent` and `lower` is `x % extent`. */
function wholeOf(upper: Scalar, lower: Scalar, extent: number): Scalar | undefined {
  const divided = dividedBy(upper, 'floordiv', extent);
  const rest = dividedBy(lower, 'mod', extent);
  if (divided === undefined || rest === undefined) return undefined;
  return divided === rest || scalarKey(divided) === scalarKey(rest) ? divided : undefined;
}

function dividedBy(scalar: Scalar, name: 'floordiv' | 'mod', divisor: number): Scalar | undefined {
  if (scalar.op !== 'apply' || scalar.function !== name) return undefined;
  const [dividend, by] = scalar.operands;
  return by?.op === 'constant' && by.value === divisor ? dividend : undefined;
}

/**
 * Some bits of a word, which begin where `amount` says: with those above shifted out and those below after
 * them. The first shift is a product to vectors that cannot shift by different amounts.
 */
function bitField(word: TileExpression, amount: TileExpression, bits: number): TileExpression | undefined {
  const below = amount.op === 'convert' && amount.dtype === 'u32' ? amount.operand : undefined;
  if (below === undefined || arithmeticOf(below) !== 'i32') return undefined;
  const most = 32 - bits;
  const { low, high } = intervalOf(below);
  if (low < 0 || high > most) return undefined;
  const above: TileExpression = { op: 'convert', dtype: 'u32', operand: difference(constant(most), below) };
  return apply('shift_right', 'u32', apply('shift_left', 'u32', word, above), constant(most, 'u32'));
}

/** Integer arithmetic goes through the constructors that simplify. */
function lowerApply(
  scalar: Scalar & { readonly op: 'apply' },
  operands: readonly TileExpression[],
): TileExpression {
  const [left, right] = operands;
  if (scalar.dtype === 'u32' && scalar.function === 'mod' && right?.op === 'constant') {
    const bits = Math.log2(right.value);
    const isField = left?.op === 'apply' && left.function === 'shift_right';
    const isWhole = Number.isInteger(bits) && bits > 0;
    const field = isField && isWhole ? bitField(left.operands[0]!, left.operands[1]!, bits) : undefined;
    if (field !== undefined) return field;
  }
  if (scalar.dtype === 'i32' && left !== undefined && right !== undefined)
    switch (scalar.function) {
      case 'add':
        return sum(left, right);
      case 'sub':
        return difference(left, right);
      case 'mul':
        return product(left, right);
      case 'floordiv':
        if (right.op === 'constant' && right.value > 0) return quotient(left, right.value);
        break;
      case 'mod':
        if (right.op === 'constant' && right.value > 0) return remainder(left, right.value);
        break;
    }
  return apply(scalar.function, scalar.dtype, ...operands);
}
