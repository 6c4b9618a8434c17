/**
 * Which expressions are as well evaluated again as stored and read back. All others are stored where they are
 * named, passed or returned, so that nothing is computed twice; fusion later undoes what does not pay.
 */
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Scalar } from '../graph/graph.ts';
import { scalarType, subexpressions } from '../graph/scalar.ts';

/** Operations of an index, a mask or a constant expression. */
const mostParts = 24;

const costly: ReadonlySet<ScalarFunction> = new Set([
  'exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'erf', 'pow', 'threefry0', 'threefry1',
] as const); // biome-ignore format: one topic a line

/**
 * A load (converted or rounded), so that views and look-ups stay views; expressions of indices and constants;
 * short integer and bool expressions, so that masks and subscripts stay in place.
 */
export function isCheap(scalar: Scalar): boolean {
  if (scalar.op === 'convert' || scalar.op === 'round') return isCheap(scalar.operand);
  if (scalar.op === 'load') return scalar.subscripts.every(isCheap);
  const parts = subexpressions(scalar);
  if (parts.length > mostParts) return false;
  if (parts.some((part) => part.op === 'apply' && costly.has(part.function))) return false;
  const type = scalarType(scalar);
  return type === 'i32' || type === 'bool' || !parts.some((part) => part.op === 'load');
}
