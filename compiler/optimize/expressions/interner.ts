/**
 * One object for each structure: after interning, two expressions are equal exactly when they are the same
 * object, and a table keyed by object is a table keyed by structure.
 */
import type { Scalar } from '../../graph/graph.ts';
import { operands, partKey, subexpressions, withOperands } from '../../graph/scalar.ts';

export interface Interner {
  /** The one object with this structure. */
  readonly intern: (scalar: Scalar) => Scalar;
  /**
   * Number of an interned expression, in order of first appearance: a reproducible order among expressions.
   */
  readonly number: (scalar: Scalar) => number;
}

export function createInterner(): Interner {
  const numbers = new Map<Scalar, number>();
  const byKey = new Map<string, Scalar>();

  function own(scalar: Scalar): Scalar {
    const inner = operands(scalar).map((operand) => numbers.get(operand)!);
    const key = partKey(scalar, inner.join(','));
    const known = byKey.get(key);
    if (known !== undefined) return known;
    byKey.set(key, scalar);
    numbers.set(scalar, numbers.size);
    return scalar;
  }

  function intern(root: Scalar): Scalar {
    if (numbers.has(root)) return root;
    if (operands(root).every((operand) => numbers.has(operand))) return own(root);
    const done = new Map<Scalar, Scalar>();
    for (const scalar of subexpressions(root)) {
      const inner = operands(scalar).map((operand) => done.get(operand)!);
      done.set(scalar, own(withOperands(scalar, inner)));
    }
    return done.get(root)!;
  }

  return { intern, number: (scalar) => numbers.get(intern(scalar))! };
}
