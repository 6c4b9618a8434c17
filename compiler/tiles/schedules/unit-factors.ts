/**
 * Which factors matrix units can multiply: those that are numbers of 16 bits however they are written, so
 * that nothing is rounded that the program does not round.
 */
import type { Dtype } from '../../../dsl/types/dtype.ts';
import type { Scalar } from '../../graph/graph.ts';
import type { Allowance } from '../allowances.ts';
import { type Half, type PackedPair, packedFacts } from '../packed.ts';
import type { ContractionProblem } from './contraction.ts';

/** `any`: what all of them hold. */
type Held = Half | 'any';

/** What holds every number of a dtype; undefined: nothing does. */
const heldBy: { readonly [D in Dtype]: Held | undefined } = {
  bf16: 'bf16',
  f16: 'f16',
  f8e4m3: 'any',
  f8e5m2: 'any',
  i8: 'any',
  u8: 'any',
  bool: 'any',
  f32: undefined,
  i32: undefined,
  u32: undefined,
};

/**
 * What both factors of a product can be packed as; undefined where one of them is not of 16 bits.
 * @param allowed whether a factor that is not may be rounded to what the other one is
 */
export function packedFactors(
  left: Scalar,
  right: Scalar,
  allowed: readonly Allowance[] = [],
): Half | undefined {
  const [a, b] = [heldIn(left), heldIn(right)];
  const rounds = allowed.includes('rounded-factors');
  const both = rounds && (a === undefined || b === undefined) ? (a ?? b) : common(a, b);
  return both === 'any' ? 'bf16' : both;
}

/**
 * The same where neither need be of 16 bits.
 * @param allowed whether units may take of an f32 what they hold of it
 */
export function packedPair(
  left: Scalar,
  right: Scalar,
  allowed: readonly Allowance[] = [],
): PackedPair | undefined {
  const half = packedFactors(left, right, allowed);
  const both = half ?? (allowed.includes('tf32') ? 'tf32' : undefined);
  return both && { left: both, right: both };
}

/** Bytes of an element that units are fed with, of a product in parts too. */
export function factorBytes({ packed }: Pick<ContractionProblem, 'packed'>): number {
  return packedFacts[packed?.left ?? 'bf16'].bytes;
}

/** One of the two factors of a product. */
export type WideFactor = 'left' | 'right';

/** The factor that is of f32, where bf16 holds the other one. */
export function wideFactor(left: Scalar, right: Scalar): WideFactor | undefined {
  const [a, b] = [heldIn(left), heldIn(right)];
  const isHeld = (held: Held | undefined) => held === 'bf16' || held === 'any';
  if (a === undefined && isHeld(b)) return 'left';
  return b === undefined && isHeld(a) ? 'right' : undefined;
}

function common(left: Held | undefined, right: Held | undefined): Held | undefined {
  if (left === 'any') return right;
  return right === 'any' || left === right ? left : undefined;
}

function heldIn(scalar: Scalar): Held | undefined {
  switch (scalar.op) {
    case 'load':
    case 'round':
      return heldBy[scalar.dtype];
    case 'constant':
      // Eight bits are enough for these.
      return Number.isInteger(scalar.value) && Math.abs(scalar.value) <= 256 ? 'any' : undefined;
    case 'convert':
      return scalar.operand.op === 'load' ? heldIn(scalar.operand) : undefined;
    case 'apply': {
      const [a, b, c] = scalar.operands;
      if (scalar.function === 'select') return common(heldIn(b!), heldIn(c!));
      if (scalar.function === 'neg' || scalar.function === 'abs') return heldIn(a!);
      // One of the two.
      return scalar.function === 'max' || scalar.function === 'min'
        ? common(heldIn(a!), heldIn(b!))
        : undefined;
    }
    case 'iterator':
    case 'counter':
    case 'coordinate':
    case 'size':
    case 'reduced':
      return undefined;
  }
}
