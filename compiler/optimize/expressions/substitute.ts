import type { Scalar } from '../../graph/graph.ts';
import { mapScalar } from '../../graph/scalar.ts';

/** `finish` with an expression in place of the reduced value. */
export function substituteReduced(finish: Scalar, value: Scalar): Scalar {
  return mapScalar(finish, (scalar) => (scalar.op === 'reduced' ? value : scalar));
}
