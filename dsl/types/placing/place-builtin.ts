/** Built-in functions: those that go along a dimension need the whole of it. */
import type { PendingCombiner } from '../../placement/placement.ts';
import type { Builtin } from '../typed.ts';
import { dimsOf, showName } from '../types.ts';
import { joinTensors, type Meeting, requireFinal } from './joins.ts';
import type { Role } from './linearity.ts';
import { placeTensors, type Typed } from './operands.ts';
import { type PlacedTensor, type PlacedValue, unknownValue, wholeTensor } from './placed-value.ts';
import { type PlaceScope, type Placing, sizeIn } from './placing.ts';
import { needsWhole } from './problems.ts';

interface Call {
  readonly name: Builtin;
  readonly meeting: Meeting;
  readonly expression: Typed<'builtin'>;
  readonly operands: readonly PlacedTensor[];
}

type Rule = (call: Call) => PlacedValue;

/**
 * Along the first dimension of each operand, which has one only.
 * @param parts what may be pending in them, of which the parts are as good as the whole
 */
function alongWhole(results: 1 | 2, parts?: PendingCombiner): Rule {
  return (call) => {
    const { meeting, name, operands } = call;
    const isFinal = (operand: PlacedTensor): boolean =>
      [...operand.pending.values()].every(({ combiner }) => combiner === parts) ||
      requireFinal(meeting, name, operand);
    if (!operands.every(isFinal)) return unknownValue;
    if (!operands.every((operand, i) => requireWhole(call, operand, i))) return unknownValue;
    const joined = joinTensors(meeting, name, parts === undefined ? 'final' : roleOf[parts], operands);
    if (joined === undefined) return unknownValue;
    return results === 1 ? joined : { kind: 'tuple', elements: [joined, joined] };
  };
}

/** How a prefix takes what is pending so. */
const roleOf: { readonly [C in PendingCombiner]: Role } = { sum: 'sum', max: 'greatest', min: 'least' };

function requireWhole({ expression, meeting, name }: Call, operand: PlacedTensor, position: number): boolean {
  const [cut = []] = operand.cuts;
  if (cut.length === 0) return true;
  const { placing, scope, span } = meeting;
  const size = dimsOf(expression.arguments[position]!.type)[0]?.size;
  const dimension = size === undefined ? 'its dimension' : `the dimension ${showName(sizeIn(size, scope))}`;
  needsWhole(placing, scope, name, span, cut, dimension);
  return false;
}

/** The result is of its own shape, and the same on every device that has the same operands. */
const drawn: Rule = ({ meeting, name, expression, operands }) => {
  if (!operands.every((operand) => requireFinal(meeting, name, operand))) return unknownValue;
  const joined = joinTensors(meeting, name, 'final', operands);
  if (joined === undefined) return unknownValue;
  const { type } = expression;
  const one = { ...wholeTensor(dimsOf(type).length), indices: joined.indices, varies: joined.varies };
  return type.kind === 'tuple' ? { kind: 'tuple', elements: type.elements.map(() => one) } : one;
};

const rules: { readonly [B in Builtin]: Rule } = {
  softmax: alongWhole(1),
  top_k: alongWhole(2),
  sort: alongWhole(2),
  cumsum: alongWhole(1, 'sum'),
  cumprod: alongWhole(1),
  cummax: alongWhole(1, 'max'),
  concat: (call) => {
    const { meeting, name, operands } = call;
    if (!operands.every((operand, i) => requireWhole(call, operand, i))) return unknownValue;
    return joinTensors(meeting, name, 'sum', operands) ?? unknownValue;
  },
  split_key: drawn,
  fold_in: drawn,
  uniform: drawn,
  normal: drawn,
  random_bits: drawn,
  clamp_index: drawn,
};

export function placeBuiltin(expression: Typed<'builtin'>, scope: PlaceScope, placing: Placing): PlacedValue {
  const operands = placeTensors(expression.arguments, scope, placing);
  if (operands === undefined) return unknownValue;
  const meeting = { placing, scope, span: expression.span };
  const { builtin: name } = expression;
  return rules[name]({ name, meeting, expression, operands });
}
