/** Matching of patterns against interned expressions. */
import type { Arithmetic, Scalar } from '../../graph/graph.ts';
import { scalarType } from '../../graph/scalar.ts';
import { isCommutative, type Pattern, type Rule, type RuleContext } from './rule.ts';

/** What the rule puts in place of `scalar`, or undefined when it does not apply. `scalar` is interned. */
export function applyRule(rule: Rule, scalar: Scalar, context: RuleContext): Scalar | undefined {
  const bound: Record<string, Scalar> = {};
  if (!matches(rule.from, scalar, bound)) return undefined;
  const type = ruleType(rule.from, scalar);
  if (type === undefined || !rule.types.includes(type)) return undefined;
  return rule.to(bound, context, type);
}

/** The type of what the outermost arithmetic or comparison of the pattern works on. */
function ruleType(pattern: Pattern, scalar: Scalar): Arithmetic | undefined {
  if (pattern.match === 'convert') return pattern.to;
  if (pattern.match !== 'apply' || scalar.op !== 'apply') return scalarType(scalar);
  if (pattern.function === 'not' && pattern.operands[0]!.match === 'apply')
    return ruleType(pattern.operands[0]!, scalar.operands[0]!);
  return scalarType(scalar.operands.at(-1)!);
}

function matches(pattern: Pattern, scalar: Scalar, bound: Record<string, Scalar>): boolean {
  switch (pattern.match) {
    case 'hole':
      return bind(pattern.name, scalar, bound);
    case 'constant':
      return scalar.op === 'constant' && bind(pattern.name, scalar, bound);
    case 'value':
      return scalar.op === 'constant' && scalar.value === pattern.value;
    case 'convert':
      return (
        scalar.op === 'convert' &&
        scalar.dtype === pattern.to &&
        scalarType(scalar.operand) === pattern.from &&
        matches(pattern.operand, scalar.operand, bound)
      );
    case 'round':
      return (
        scalar.op === 'round' &&
        scalar.dtype === pattern.dtype &&
        matches(pattern.operand, scalar.operand, bound)
      );
    case 'apply': {
      if (scalar.op !== 'apply' || scalar.function !== pattern.function) return false;
      const [left, right] = scalar.operands;
      if (matchAll(pattern.operands, scalar.operands, bound)) return true;
      return isCommutative(pattern.function) && matchAll(pattern.operands, [right!, left!], bound);
    }
  }
}

function matchAll(patterns: readonly Pattern[], scalars: readonly Scalar[], bound: Record<string, Scalar>) {
  const trial: Record<string, Scalar> = { ...bound };
  if (!patterns.every((pattern, position) => matches(pattern, scalars[position]!, trial))) return false;
  Object.assign(bound, trial);
  return true;
}

function bind(name: string, scalar: Scalar, bound: Record<string, Scalar>): boolean {
  const earlier = bound[name];
  if (earlier !== undefined) return earlier === scalar;
  bound[name] = scalar;
  return true;
}
