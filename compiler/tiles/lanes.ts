/**
 * How integer expressions change along the four neighbours of a vector, and by what they are divisible: what
 * decides whether four loads are one.
 */
import { greatestCommonDivisor } from '../../dsl/types/size.ts';
import { isOverUnits } from './tile-builder.ts';
import { constantValue, operandsOf, type TileExpression } from './tile-expression.ts';
import type { TileAxis } from './tile-program.ts';

/** Vectors run along the last axis where its blocks are of four; over matrix units no four are neighbours. */
export function widthOf(axes: readonly TileAxis[]): 1 | 4 {
  const last = axes.at(-1);
  return last !== undefined && !isOverUnits(last.over) && last.block % 4 === 0 ? 4 : 1;
}

/** Elements along the last axis that are taken together: analysed once for all of a tile. */
export interface Neighbours {
  readonly axes: readonly TileAxis[];
  readonly width: number;
  readonly strides: Map<TileExpression, number | undefined>;
  readonly divisors: Map<TileExpression, number>;
}

/** The elements that a statement computes, four at a time where they are vectors. */
export interface Domain extends Neighbours {
  readonly width: 1 | 4;
}

export function createDomain(axes: readonly TileAxis[], width = widthOf(axes)): Domain {
  return { axes, width, strides: new Map(), divisors: new Map() };
}

export function neighbours(axes: readonly TileAxis[], width: number): Neighbours {
  return { axes, width, strides: new Map(), divisors: new Map() };
}

/**
 * The constant by which an expression grows from each of the neighbours to the next (0: it is the same for
 * all, whatever its type); undefined where it is irregular.
 */
export function laneStride(expression: TileExpression, domain: Neighbours): number | undefined {
  if (domain.width === 1) return 0;
  if (domain.strides.has(expression)) return domain.strides.get(expression);
  const found = findStride(expression, domain);
  domain.strides.set(expression, found);
  return found;
}

function findStride(expression: TileExpression, domain: Neighbours): number | undefined {
  if (expression.op === 'coordinate') return expression.axis === domain.axes.length - 1 ? 1 : 0;
  const operands = operandsOf(expression);
  const strides = operands.map((operand) => laneStride(operand, domain));
  if (strides.every((stride) => stride === 0)) return 0;
  if (expression.op !== 'apply') return undefined;
  const [left, right] = strides;
  const [a, b] = operands;
  if (left === undefined || right === undefined || a === undefined || b === undefined)
    return expression.function === 'neg' && left !== undefined ? -left : undefined;
  switch (expression.function) {
    case 'add':
      return expression.dtype === 'i32' ? left + right : undefined;
    case 'sub':
      return expression.dtype === 'i32' ? left - right : undefined;
    case 'mul':
      return scaled(left, constantValue(b)) ?? scaled(right, constantValue(a));
    case 'floordiv':
      return staysInBlock(a, left, constantValue(b), domain) ? 0 : undefined;
    case 'mod':
      return staysInBlock(a, left, constantValue(b), domain) ? left : undefined;
    case 'lt':
      // x < c is the same for all when no multiple of what divides x and c lies between them.
      return right === 0 && staysInBlock(a, left, divisorOf(b, domain), domain) ? 0 : undefined;
    default:
      return undefined;
  }
}

function scaled(stride: number, factor: number | undefined): number | undefined {
  return factor === undefined ? undefined : stride * factor;
}

/**
 * Whether `x`, growing by `stride`, stays between two multiples of `divisor` along them, the lower one
 * included: what a quotient or remainder of a positive divisor needs.
 */
function staysInBlock(
  x: TileExpression,
  stride: number,
  divisor: number | undefined,
  domain: Neighbours,
): boolean {
  if (divisor === undefined || divisor < 0 || stride < 0) return false;
  const step = greatestCommonDivisor(divisorOf(x, domain), divisor);
  return step === 0 || (domain.width - 1) * stride < step;
}

/** A number that divides the expression for the first of the neighbours; 0 for zero itself. */
export function divisorOf(expression: TileExpression, domain: Neighbours): number {
  const known = domain.divisors.get(expression);
  if (known !== undefined) return known;
  const found = Math.abs(findDivisor(expression, domain));
  domain.divisors.set(expression, found);
  return found;
}

function findDivisor(expression: TileExpression, domain: Neighbours): number {
  switch (expression.op) {
    case 'constant':
      return Number.isInteger(expression.value) ? expression.value : 1;
    case 'variable':
      return expression.multipleOf;
    case 'coordinate': {
      const axis = domain.axes[expression.axis];
      const isLast = expression.axis === domain.axes.length - 1;
      if (axis === undefined || axis.over === 'whole') return isLast ? domain.width : 1;
      return isLast ? greatestCommonDivisor(axis.block, domain.width) : 1;
    }
    case 'apply': {
      const [a, b] = expression.operands;
      if (a === undefined || b === undefined) return a === undefined ? 1 : divisorOf(a, domain);
      const [left, right] = [divisorOf(a, domain), divisorOf(b, domain)];
      switch (expression.function) {
        case 'add':
        case 'sub':
        case 'min':
        case 'max':
          return greatestCommonDivisor(left, right);
        case 'mul':
          return left * right;
        case 'mod':
          return greatestCommonDivisor(left, right);
        case 'floordiv': {
          const divisor = constantValue(b);
          return divisor !== undefined && left % divisor === 0 ? left / divisor : 1;
        }
        default:
          return 1;
      }
    }
    default:
      return 1;
  }
}
