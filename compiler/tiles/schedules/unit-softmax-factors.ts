/** What matrix units multiply of a softmax-weighted sum: its scores, and its weights with its values. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Scalar, SoftmaxSumNode } from '../../graph/graph.ts';
import { apply, float, iteratorsOf, mapScalar } from '../../graph/scalar.ts';
import { factorsOf, product } from '../../optimize/contraction.ts';
import type { MatrixUnits } from '../device-profile.ts';
import type { Half } from '../packed.ts';
import { packedFactors } from './unit-factors.ts';

export interface UnitSoftmax {
  /** The factors of a score that vary along what it sums. */
  readonly ofRow: Scalar;
  readonly ofStream: Scalar;
  /** Of the sum of their products, times all other factors. */
  readonly logit: Scalar;
  /** By what a score is multiplied for its logit, where that is a positive number and nothing more. */
  readonly scale: number | undefined;
  /** What queries and keys are packed as, and what weights and values are. */
  readonly scores: Half;
  readonly values: Half;
  readonly parts: WeightParts;
}

/**
 * In how many numbers of 16 bits a weight, which is an f32, is multiplied with a value: the first is the
 * weight rounded, each further one what the others leave.
 */
export type WeightParts = 1 | 2 | 3;

/** Undefined where a score is no sum of products of numbers of 16 bits, or values are none. */
export function unitSoftmax(node: SoftmaxSumNode, units: MatrixUnits): UnitSoftmax | undefined {
  if (node.scoreExtents.length !== 1) return undefined;
  const streamed = node.result.shape.length;
  const along = streamed + 1;
  const factors = factorsOf(node.scoreBody);
  const summed = factors.filter((factor) => iteratorsOf(factor).has(along));
  const others = factors.filter((factor) => !iteratorsOf(factor).has(along));
  const ofRow = summed.filter((factor) => !iteratorsOf(factor).has(streamed));
  const ofStream = summed.filter((factor) => iteratorsOf(factor).has(streamed));
  if (ofRow.length === 0 || ofStream.length === 0) return undefined;
  const [left, right] = [product(ofRow), product(ofStream)];
  const { allowed = [] } = units;
  const scores = packedFactors(left, right, allowed);
  const values = packedFactors(node.value, node.value, allowed);
  if (scores === undefined || values === undefined) return undefined;
  const logit = mapScalar(node.logit, (part) =>
    part.op === 'reduced'
      ? others.reduce((score, factor) => apply('mul', score, factor), part)
      : scaled(part),
  );
  return {
    ...{ ofRow: left, ofStream: right, scores, values, logit },
    scale: node.partial === undefined ? scaleOf(logit) : undefined,
    parts: allowed.includes('rounded-factors') ? 1 : partsOf(node, values),
  };
}

function scaleOf(logit: Scalar): number | undefined {
  if (logit.op === 'reduced') return 1;
  if (logit.op !== 'apply' || logit.function !== 'mul') return undefined;
  const by = logit.operands.find((operand) => operand.op === 'constant');
  const isScale = logit.operands.some((operand) => operand.op === 'reduced') && by !== undefined;
  return isScale && by.value > 0 && Number.isFinite(by.value) ? by.value : undefined;
}

/** Divided by a number as multiplied by one over it: a quotient may be off by more than that is. */
export function scaled(part: Scalar): Scalar {
  if (part.op !== 'apply' || part.function !== 'div') return part;
  const [dividend, divisor] = part.operands as [Scalar, Scalar];
  if (divisor.op !== 'constant') return part;
  const inverse = Math.fround(1 / divisor.value);
  const isNormal = Math.abs(inverse) >= 2 ** -126 && Number.isFinite(inverse);
  return isNormal ? apply('mul', dividend, float(inverse)) : part;
}

/**
 * Of f16, two parts are 22 bits and the sign of the second, which is an f32 but for its last rounding; of
 * bf16, three are 24 bits and more. Two of bf16 leave 2^-18 of a weight. That is a unit in the last
 * place of a logit of 32, or what 33 products that are added in f32 for a score may be off; and where the
 * result is rounded to eight bits, a 2^-9 of it, nobody asks for more.
 */
function partsOf({ result, partial }: SoftmaxSumNode, values: Half): WeightParts {
  if (values === 'f16') return 2;
  return partial === undefined && dtypeFacts[result.dtype].bits === 16 ? 2 : 3;
}
