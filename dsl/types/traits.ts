/** What is stated of the values of a quantified name beside their type. */
import type { Quantifier, TraitExpression } from '../syntax/tree.ts';
import { rangeOfIntegers } from './dtype.ts';
import { require, showFact } from './obligations.ts';
import type { Problem } from './report.ts';
import { natural, type Size } from './size.ts';
import type { TypeScope } from './type-expressions.ts';
import type { Dim, ElementType, Trait, Type } from './typed.ts';
import { arithmeticOf, hasError, isFloat, showName, showType, type TensorType } from './types.ts';

type Value = Extract<Quantifier, { kind: 'value' }>;

/** A trait as it is written, on a tensor of numbers. */
interface Written {
  readonly name: string;
  readonly type: TensorType;
  readonly expression: TraitExpression;
  /** All of the same value. */
  readonly all: readonly Trait[];
  readonly scope: TypeScope;
}

/** Those that fit the type; what does not is reported. */
export function traitsOf({ name, traits }: Value, type: Type, scope: TypeScope): readonly Trait[] {
  if (hasError(type)) return [];
  const all = traits.map(traitOf);
  return traits.flatMap((expression, position) => {
    const trait = all[position]!;
    const report = (problem: TraitProblem): void => reportTrait(scope, expression, problem);
    if (all.findIndex(({ kind }) => kind === trait.kind) < position) {
      report({ message: `\`${traitText(expression)}\` is stated a second time`, help: 'state it once' });
      return [];
    }
    if (type.kind !== 'tensor' || arithmeticOf(type.element) === 'bool') {
      const message = `\`${wordOf(expression)}\` is of numbers, and ${name.name} is ${showType(type)}`;
      report({ message, help: 'leave it out, or quantify a tensor of numbers' });
      return [];
    }
    const check = checks[trait.kind] as (trait: Trait, written: Written) => TraitProblem | undefined;
    const problem = check(trait, { name: name.name, type, expression, all, scope });
    if (problem !== undefined) report(problem);
    return problem === undefined ? [trait] : [];
  });
}

/** Whether that is how the trait is written. */
export function isStating(expression: TraitExpression, { kind }: Trait): boolean {
  return expression.kind === 'word' ? expression.word === kind : kind === 'range';
}

function traitOf(expression: TraitExpression): Trait {
  return expression.kind === 'word'
    ? { kind: expression.word }
    : { kind: 'range', from: Number(expression.from.text), to: Number(expression.to.text) };
}

// ── what fits ──────────────────────────────────────────────────────────────────────────────────────────────

interface TraitProblem {
  readonly code?: Problem['code'];
  readonly message: string;
  readonly help: string;
}

const checks: {
  readonly [K in Trait['kind']]: (
    trait: Extract<Trait, { kind: K }>,
    written: Written,
  ) => TraitProblem | undefined;
} = {
  permutation: (_, { name, type, scope, expression }) => {
    const { element } = type;
    const last = type.dims.at(-1);
    if (element.kind !== 'ix' || last === undefined)
      return {
        message: `a permutation is of type ix(N)[N], and ${name} is ${showType(type)}`,
        help: 'write ix(N)[N], or ix(N)[B, N] for B of them',
      };
    const fact = { relation: '==', left: element.range, right: last.size } as const;
    require(scope, fact, {
      code: 'E0406',
      message: `a permutation has each index below ${showName(element.range)} once, and this has ${showName(last.size)}`,
      at: expression.span,
    });
    return undefined;
  },
  ascending: (_, written) => needsDimension(written),
  distinct: (_, written) => needsDimension(written) ?? enoughToTell(written),
  positive: (_, { name, type, all }) => {
    if (type.element.kind === 'ix')
      return {
        message: `an index may be 0, and ${name} is ${showType(type)}`,
        help: 'leave it out: the values of an index are those of its type',
      };
    return all.some((trait) => trait.kind === 'range' && trait.to <= 0)
      ? { code: 'E0412', message: 'nothing within this range is positive', help: 'let it reach above 0' }
      : undefined;
  },
  range: ({ from, to }, { name, type }) => {
    const { element } = type;
    if (element.kind === 'ix')
      return {
        message: `the type of ${name} gives its range, ${showType(type)}`,
        help: 'leave the range out, or quantify an integer: i32',
      };
    if (to < from)
      return {
        code: 'E0412',
        message: `nothing is within ${from}..${to}`,
        help: `the lower end comes first: within ${to}..${from}`,
      };
    return isFloat(element) ? undefined : integerEnds(element, from, to);
  },
};

function needsDimension({ name, type, expression }: Written): TraitProblem | undefined {
  return type.dims.length > 0
    ? undefined
    : {
        message: `\`${traitText(expression)}\` is of the numbers along a dimension, and ${name} is one number`,
        help: 'leave it out, or quantify a tensor',
      };
}

/** Along a dimension that is longer than there are values no two could differ. */
function enoughToTell({ type, all, scope, expression }: Written): undefined {
  const values = countOf(type.element, all);
  const last: Dim | undefined = type.dims.at(-1);
  if (values === undefined || last === undefined) return;
  const fact = { relation: '<=', left: last.size, right: values } as const;
  require(scope, fact, {
    code: 'E0406',
    message: `distinct values need ${showFact(fact)}`,
    at: expression.span,
    label: `${showName(last.size)} of ${showName(values)} values`,
  });
}

/** How many values there are, where that is few enough to matter. */
function countOf(element: ElementType, all: readonly Trait[]): Size | undefined {
  if (element.kind === 'ix') return element.range;
  const range = all.find((trait) => trait.kind === 'range');
  const isWhole = range !== undefined && !isFloat(element) && range.from <= range.to;
  return isWhole ? natural(range.to - range.from + 1) : undefined;
}

function integerEnds(element: ElementType, from: number, to: number): TraitProblem | undefined {
  if (element.kind !== 'dtype') return undefined;
  const { dtype } = element;
  const ends = [from, to];
  if (!ends.every(Number.isInteger))
    return {
      message: `the ends of a range of ${dtype} are whole numbers`,
      help: 'write them without a point',
    };
  const { least, most } = rangeOfIntegers(dtype);
  return ends.every((end) => least <= end && end <= most)
    ? undefined
    : {
        code: 'E0316',
        message: `this range goes beyond that of ${dtype}`,
        help: `stay within ${least}..${most}`,
      };
}

// ── what has them ──────────────────────────────────────────────────────────────────────────────────────────

type Row = readonly number[];

const isDistinct = (row: Row): boolean => new Set(row).size === row.length;

const tests: { readonly [K in Trait['kind']]: (row: Row, trait: Extract<Trait, { kind: K }>) => boolean } = {
  permutation: isDistinct,
  distinct: isDistinct,
  ascending: (row) => row.every((value, place) => place === 0 || value >= row[place - 1]!),
  positive: (row) => row.every((value) => value > 0),
  range: (row, { from, to }) => row.every((value) => value >= from && value <= to),
};

/** Whether the numbers along the last dimension have the trait. */
export function hasTrait(row: Row, trait: Trait): boolean {
  return (tests[trait.kind] as (row: Row, trait: Trait) => boolean)(row, trait);
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

function wordOf(expression: TraitExpression): string {
  return expression.kind === 'word' ? expression.word : 'within';
}

export function traitText(expression: TraitExpression): string {
  return expression.kind === 'word'
    ? expression.word
    : `within ${expression.from.text}..${expression.to.text}`;
}

function reportTrait({ report }: TypeScope, { span }: TraitExpression, problem: TraitProblem): void {
  const { code = 'E0320', message, help } = problem;
  report({ code, message, at: span, help: [help] });
}
