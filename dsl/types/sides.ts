/** Whether the two sides of a check can be compared, and what is said when they cannot. */
import type { Fix } from '../diagnostics/diagnostic.ts';
import type { Check } from '../syntax/tree.ts';
import { type Context, factScope } from './context.ts';
import { sameDims, unequalSizes } from './conversions.ts';
import { equalSizes, factFixes, mayHold, stateHelp } from './obligations.ts';
import { replaceFix } from './report.ts';
import type { Type, TypedExpression } from './typed.ts';
import { arithmeticOf, isFloat, isInteger, showElement, showType, type TensorType } from './types.ts';

type Relation = Check['relation'];

/** Types in the same place of both sides that differ. */
interface Difference {
  readonly kind: 'structure' | 'shape' | 'element';
  readonly left: Type;
  readonly right: Type;
}

/**
 * Reports what differs: both sides are of one structure, with equal sizes under the facts, and stored alike;
 * for `~=` floats may be stored in any way.
 */
export function agree(
  context: Context,
  { relation }: Pick<Check, 'relation'>,
  left: TypedExpression,
  right: TypedExpression,
): void {
  const difference = differenceOf(context, relation, left.type, right.type);
  if (difference === undefined) return;
  const isPart = difference.left !== left.type;
  const shown = `${showType(difference.left)} and ${showType(difference.right)}`;
  context.report({
    code: 'E0317',
    message: isPart ? `parts of the two sides are ${shown}` : `the two sides are ${shown}`,
    at: right.span,
    label: `this is ${showType(right.type)}`,
    secondary: [{ span: left.span, message: `this is ${showType(left.type)}` }],
    ...remedies[difference.kind](context, difference, relation, [left, right]),
  });
}

function differenceOf(context: Context, relation: Relation, left: Type, right: Type): Difference | undefined {
  const differ = (kind: Difference['kind']): Difference => ({ kind, left, right });
  if (left.kind === 'tuple' && right.kind === 'tuple') {
    if (left.elements.length !== right.elements.length) return differ('structure');
    const parts = left.elements.map((part, i) => differenceOf(context, relation, part, right.elements[i]!));
    return parts.find((part) => part !== undefined);
  }
  if (left.kind === 'record' && right.kind === 'record') {
    if (left.record !== right.record) return differ('structure');
    const sameSizes = left.sizes.every((size, i) => equalSizes(context.facts, size, right.sizes[i]!));
    return sameSizes && sameDims(context, left.dims, right.dims) ? undefined : differ('shape');
  }
  if (left.kind !== 'tensor' || right.kind !== 'tensor') return differ('structure');
  if (!sameDims(context, left.dims, right.dims)) return differ('shape');
  return storedAlike(relation, left, right) ? undefined : differ('element');
}

function storedAlike(
  relation: Relation,
  { element: left }: TensorType,
  { element: right }: TensorType,
): boolean {
  if (relation === '~=' && isFloat(left) && isFloat(right)) return true;
  if (left.kind === 'dtype' && right.kind === 'dtype') return left.dtype === right.dtype;
  // An index is stored as an i32, whatever its range.
  const isI32 = [left, right].every(
    (element) => element.kind === 'ix' || (element.kind === 'dtype' && element.dtype === 'i32'),
  );
  return isI32 || (left.kind === 'float' && right.kind === 'float');
}

// ── ways out ───────────────────────────────────────────────────────────────────────────────────────────────

interface Remedy {
  readonly help: readonly [string, ...string[]];
  readonly fixes?: readonly Fix[];
}

type Sides = readonly [TypedExpression, TypedExpression];

const remedies: {
  readonly [K in Difference['kind']]: (
    context: Context,
    difference: Difference,
    relation: Relation,
    sides: Sides,
  ) => Remedy;
} = {
  structure: () => ({ help: ['compare values of one structure: take records and tuples apart first'] }),
  shape: (context, { left, right }) => {
    const [fact] = unequalSizes(context, left, right);
    if (fact === undefined || !mayHold(context.facts, fact))
      return { help: ['nothing broadcasts in a check: bring one side to the shape of the other'] };
    return {
      help: [stateHelp(context.signature.declaration, fact)],
      fixes: factFixes(factScope(context), fact),
    };
  },
  element: (context, { left, right }, relation, sides) => {
    if (left.kind !== 'tensor' || right.kind !== 'tensor') return { help: ['compare values of one type'] };
    const whole = left === sides[0].type;
    if (isFloat(left.element) && isFloat(right.element)) {
      const narrow = sides[left.element.kind === 'dtype' && left.element.dtype !== 'f32' ? 0 : 1];
      return {
        help: [
          castHelp('f32'),
          `or compare with \`~=\`: \`${relation}\` is for values that are stored alike`,
        ],
        fixes: whole ? [castFix(context, narrow, 'f32')] : [],
      };
    }
    const target = [left.element, right.element].find(isFloat) ?? left.element;
    const name = isFloat(target) ? 'f32' : showElement(target);
    const side = arithmeticOf(right.element) === arithmeticOf(target) ? sides[0] : sides[1];
    const isNumber = [left, right].every(({ element }) => isFloat(element) || isInteger(element));
    return isNumber
      ? {
          help: [castHelp(name)],
          fixes: whole ? [castFix(context, side, name)] : [],
        }
      : { help: ['compare numbers with numbers, and bools with bools'] };
  },
};

function castHelp(dtype: string): string {
  return `write ${dtype}(…) around the side that is no ${dtype}`;
}

function castFix(context: Context, { span }: TypedExpression, dtype: string): Fix {
  return replaceFix(castHelp(dtype), span, `${dtype}(${context.text(span)})`);
}
