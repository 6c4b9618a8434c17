/**
 * One object for each structure: after interning, two expressions are equal exactly when they are the same object,
 * and a table keyed by object is a table keyed by structure.
 */
import type { Scalar } from '../../graph/graph.ts';
import { operands, subexpressions, withOperands } from '../../graph/scalar.ts';

export interface Interner {
  /** The one object with this structure. */
  readonly intern: (scalar: Scalar) => Scalar;
  /** Number of an interned expression, in order of first appearance: a reproducible order among expressions. */
  readonly number: (scalar: Scalar) => number;
}

export function createInterner(): Interner {
  const numbers = new Map<Scalar, number>();
  const byKey = new Map<string, Scalar>();

  function own(scalar: Scalar): Scalar {
    const key = localKey(scalar, (operand) => numbers.get(operand)!);
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

/** Tells apart all structures whose operands are told apart by `name`. */
function localKey(scalar: Scalar, name: (operand: Scalar) => number): string {
  const inner = operands(scalar).map(name).join(',');
  switch (scalar.op) {
    case 'constant':
      // Negative zero is written apart: `1/x` tells it from zero.
      return `constant ${scalar.dtype} ${Object.is(scalar.value, -0) ? '-0' : scalar.value}`;
    case 'iterator':
      return `iterator ${scalar.axis}`;
    case 'counter':
      return `counter ${scalar.loop}`;
    case 'load':
      return `load ${scalar.tensor} ${scalar.dtype} ${inner}`;
    case 'apply':
      return `${scalar.function} ${scalar.dtype} ${inner}`;
    case 'convert':
    case 'round':
      return `${scalar.op} ${scalar.dtype} ${inner}`;
    case 'reduced':
      return `reduced ${scalar.dtype}`;
  }
}
