/**
 * What may be wrong with a rewrite rule, whatever the rule: each mutation makes wrong rules out of the data
 * of a right one.
 */
import type { Arithmetic, Scalar } from '../../compiler/graph/graph.ts';
import { apply, constant, scalarType } from '../../compiler/graph/scalar.ts';
import { isCommutative, type Pattern, type Rule } from '../../compiler/optimize/rules/rule.ts';

/** undefined: there is nothing of the kind in the rule. */
export type RuleMutation = (rule: Rule) => Rule | undefined;

export const ruleMutationNames = [
  'is off by one',
  'swaps operands',
  'confuses what it bound',
  'takes any operand for a constant',
  'takes different operands for the same',
  'believes what it wants of ranges',
  'is used for other types',
] as const;
export type RuleMutationName = (typeof ruleMutationNames)[number];

export const ruleMutations: { readonly [M in RuleMutationName]: RuleMutation } = {
  'is off by one': (rule) => withResult(rule, offByOne),
  'swaps operands': (rule) => withResult(rule, swapped),
  'confuses what it bound': (rule) => {
    const names = holesOf(rule.from);
    if (names.length < 2) return undefined;
    const turned = names.map((_, at) => names[(at + 1) % names.length]!);
    return {
      ...rule,
      to: (bound, context, type) => {
        const values = turned.map((name) => bound[name]!);
        const isSame = names.every((name, at) => scalarType(bound[name]!) === scalarType(values[at]!));
        if (!isSame) return undefined;
        return rule.to(Object.fromEntries(names.map((name, at) => [name, values[at]!])), context, type);
      },
    };
  },
  'takes any operand for a constant': (rule) => withPattern(rule, anyOperand),
  'takes different operands for the same': (rule) => withPattern(rule, apart()),
  'believes what it wants of ranges': (rule) => ({
    ...rule,
    to: (bound, { interner }, type) => {
      let isAsked = false;
      const range = () => {
        isAsked = true;
        return { low: 0, high: 0 };
      };
      const result = rule.to(bound, { interner, range }, type);
      return isAsked ? result : undefined;
    },
  }),
  'is used for other types': (rule) => {
    const others = arithmetics.filter((type) => !rule.types.includes(type) && fits(rule.from, type));
    return others.length === 0 ? undefined : { ...rule, types: others };
  },
};

const arithmetics: readonly Arithmetic[] = ['f32', 'i32', 'u32', 'bool'];

// ── what takes the place ───────────────────────────────────────────────────────────────────────────────────

function withResult(rule: Rule, change: (scalar: Scalar) => Scalar | undefined): Rule {
  return {
    ...rule,
    to: (bound, context, type) => {
      const result = rule.to(bound, context, type);
      return result && change(result);
    },
  };
}

function offByOne(scalar: Scalar): Scalar {
  const type = scalarType(scalar);
  return type === 'bool' ? apply('not', scalar) : apply('add', scalar, constant(type, 1));
}

/** Of the outermost function to which their order matters. */
function swapped(scalar: Scalar): Scalar | undefined {
  if (scalar.op !== 'apply') return undefined;
  const { operands } = scalar;
  if (scalar.function === 'select') return apply('select', operands[0]!, operands[2]!, operands[1]!);
  if (operands.length === 2 && !isCommutative(scalar.function))
    return apply(scalar.function, operands[1]!, operands[0]!);
  for (const [at, operand] of operands.entries()) {
    const inner = swapped(operand);
    if (inner !== undefined) return apply(scalar.function, ...operands.with(at, inner));
  }
  return undefined;
}

// ── what is matched ────────────────────────────────────────────────────────────────────────────────────────

function withPattern(rule: Rule, change: (pattern: Pattern) => Pattern): Rule | undefined {
  const from = change(rule.from);
  return JSON.stringify(from) === JSON.stringify(rule.from) ? undefined : { ...rule, from };
}

function mapPattern(pattern: Pattern, change: (leaf: Pattern) => Pattern): Pattern {
  if (pattern.match === 'apply')
    return { ...pattern, operands: pattern.operands.map((operand) => mapPattern(operand, change)) };
  if (pattern.match === 'convert' || pattern.match === 'round')
    return { ...pattern, operand: mapPattern(pattern.operand, change) };
  return change(pattern);
}

function anyOperand(pattern: Pattern): Pattern {
  return mapPattern(pattern, (leaf) =>
    leaf.match === 'value' ? { match: 'hole', name: `was ${leaf.value}`, sample: 'expression' } : leaf,
  );
}

/** The second time that a name comes it is another one. */
function apart(): (pattern: Pattern) => Pattern {
  return (pattern) => {
    const seen = new Set<string>();
    return mapPattern(pattern, (leaf) => {
      if (leaf.match !== 'hole' && leaf.match !== 'constant') return leaf;
      if (seen.has(leaf.name)) return { ...leaf, name: `other ${leaf.name}` };
      seen.add(leaf.name);
      return leaf;
    });
  };
}

function holesOf(pattern: Pattern): readonly string[] {
  const names = new Set<string>();
  mapPattern(pattern, (leaf) => {
    if (leaf.match === 'hole' || leaf.match === 'constant') names.add(leaf.name);
    return leaf;
  });
  return [...names];
}

/** Whether the outermost function of the pattern has a meaning for operands of the type. */
function fits(pattern: Pattern, type: Arithmetic): boolean {
  if (pattern.match !== 'apply') return false;
  const inner = pattern.function === 'not' ? pattern.operands[0] : undefined;
  if (inner !== undefined) return inner.match === 'apply' && fits(inner, type);
  return functionTypes[pattern.function]?.includes(type) ?? false;
}

const ofNumbers: readonly Arithmetic[] = ['f32', 'i32', 'u32'];
const functionTypes: { readonly [name: string]: readonly Arithmetic[] } = {
  add: ofNumbers,
  sub: ofNumbers,
  mul: ofNumbers,
  min: ofNumbers,
  max: ofNumbers,
  neg: ['f32', 'i32'],
  div: ['f32'],
  floordiv: ['i32', 'u32'],
  mod: ['i32', 'u32'],
  lt: ofNumbers,
  le: ofNumbers,
  eq: arithmetics,
  ne: arithmetics,
  select: arithmetics,
};
