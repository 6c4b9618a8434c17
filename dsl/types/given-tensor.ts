/** The lists that are written for one tensor, read as its elements. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { DataExpression } from '../syntax/tree.ts';
import { type Dtype, greatestFinite, isFloatDtype, rangeOfIntegers } from './dtype.ts';
import { type Facts, withFact } from './facts.ts';
import { mayHold } from './obligations.ts';
import type { Problem } from './report.ts';
import { asNatural, natural, type Size } from './size.ts';
import type { TypeScope } from './type-expressions.ts';
import type { ElementType, Type, TypedFact } from './typed.ts';
import { showElement, showName, showType } from './types.ts';

type Kind<K extends DataExpression['kind']> = Extract<DataExpression, { kind: K }>;

/** What is written for one tensor. */
export interface Leaf {
  readonly path: string;
  readonly data: DataExpression;
  /** As it is shown to people. */
  readonly type: Type;
  readonly element: ElementType;
  readonly dims: readonly Size[];
}

export interface GivenTensor {
  readonly path: string;
  /** Row-major. Bools are 0 and 1, keys their two words. */
  readonly data: readonly number[];
  /** Along the last dimension; undefined where no list says it, or there are no dimensions. */
  readonly rowLength: number | undefined;
}

export interface ReadTensor extends GivenTensor {
  /** What must be true of sizes for the value to be of the type. */
  readonly facts: readonly TypedFact[];
}

/** A number and where it is written. */
interface Placed {
  readonly value: number;
  readonly span: Span;
}

/** Undefined where it is no such tensor; then the first thing that is wrong is reported. */
export function readTensor(leaf: Leaf, scope: TypeScope): ReadTensor | undefined {
  const { path, element, dims } = leaf;
  const elements: Placed[] = [];
  /** The first list at each depth, whose length the others have. */
  const lists: Kind<'list'>[] = [];

  const read = (data: DataExpression, depth: number): boolean => {
    if (depth === dims.length) {
      const value = readElement(data, leaf, scope);
      if (value !== undefined) elements.push({ value, span: data.span });
      return value !== undefined;
    }
    if (data.kind !== 'list') {
      reportKind(leaf, data, depth === 0 ? 'a list' : `a list of ${showName(dims[depth]!)}`, scope);
      return false;
    }
    lists[depth] ??= data;
    const first = lists[depth];
    if (first.elements.length !== data.elements.length) {
      reportRagged(path, first, data, scope);
      return false;
    }
    return data.elements.every((inner) => read(inner, depth + 1));
  };
  if (!read(leaf.data, 0)) return undefined;

  const facts = [
    ...lists.map(
      (list, dim): Stated => ({
        fact: { relation: '==', left: dims[dim]!, right: natural(list.elements.length), span: list.span },
        problem: () => wrongLength(path, list, dims[dim]!),
      }),
    ),
    ...rangeFacts(elements, element),
  ];
  let known = scope.facts;
  for (const { fact, problem } of facts) {
    if (!isPossible(fact, known)) {
      scope.report(problem());
      return undefined;
    }
    known = withFact(known, fact);
  }
  return {
    path,
    data: elements.map(({ value }) => value),
    rowLength: dims.length === 0 ? undefined : lists[dims.length - 1]?.elements.length,
    facts: facts.map(({ fact }) => fact),
  };
}

// ── sizes ──────────────────────────────────────────────────────────────────────────────────────────────────

/** What is said of sizes, and what is wrong where that is never so. */
interface Stated {
  readonly fact: TypedFact;
  readonly problem: () => Problem;
}

function isPossible(fact: TypedFact, facts: Facts): boolean {
  const [left, right] = [asNatural(fact.left), asNatural(fact.right)];
  if (left !== undefined && right !== undefined)
    return fact.relation === '==' ? left === right : left < right;
  return mayHold(facts, fact);
}

/** An index is below its range: the largest one says it for all. */
function rangeFacts(elements: readonly Placed[], element: ElementType): readonly Stated[] {
  const [first] = elements;
  if (element.kind !== 'ix' || first === undefined) return [];
  const { range } = element;
  const largest = elements.reduce((most, each) => (each.value > most.value ? each : most), first);
  const { value, span } = largest;
  return [
    {
      fact: { relation: '<', left: natural(value), right: range, span },
      problem: () => ({
        code: 'E0316',
        message: `${value} is no index below ${showName(range)}`,
        at: span,
        help: [indexHelp(range)],
      }),
    },
  ];
}

function indexHelp(range: Size): string {
  const count = asNatural(range);
  if (count === 0) return 'there is no such index: give an empty list';
  return count === undefined
    ? `the range, the \`where\` and the other values say how large ${showName(range)} is`
    : `stay within 0..${count - 1}`;
}

function wrongLength(path: string, { elements, span }: Kind<'list'>, size: Size): Problem {
  const count = elements.length;
  const wanted = showName(size);
  return {
    code: 'E0414',
    message: `here ${path} has ${wanted} elements along a dimension, and this is a list of ${count}`,
    at: span,
    help: [
      asNatural(size) === undefined
        ? `change the list, or what the ranges, the \`where\` and the values before it say of ${wanted}`
        : `write a list of ${wanted}, or change the type`,
    ],
  };
}

function reportRagged(path: string, first: Kind<'list'>, other: Kind<'list'>, scope: TypeScope): void {
  scope.report({
    code: 'E0414',
    message: `the lists that are given for ${path} are not of the same length`,
    at: other.span,
    label: `${other.elements.length} here`,
    secondary: [{ span: first.span, message: `${first.elements.length} here` }],
    help: ['a tensor has as many elements in each row: make the lists equally long'],
  });
}

// ── elements ───────────────────────────────────────────────────────────────────────────────────────────────

/** Undefined where it is none, which is reported. */
function readElement(data: DataExpression, leaf: Leaf, scope: TypeScope): number | undefined {
  const { element, path } = leaf;
  const isBool = element.kind === 'dtype' && element.dtype === 'bool';
  if (isBool) {
    if (data.kind === 'boolean') return data.value ? 1 : 0;
    return reportKind(leaf, data, '`true` or `false`', scope);
  }
  if (data.kind !== 'number') return reportKind(leaf, data, 'a number', scope);
  const value = numberOf(data.text);
  const problem = element.kind === 'ix' ? asIndex(data.text) : asStored(data.text, dtypeOf(element));
  if (problem === undefined) return value;
  const { message, help } = problem;
  const text = `${data.text} in ${path} ${message}`;
  scope.report({ code: 'E0316', message: text, at: data.span, help: [help] });
  return undefined;
}

const named: ReadonlyMap<string, number> = new Map([
  ['inf', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
  ['nan', Number.NaN],
]);

function numberOf(text: string): number {
  return named.get(text) ?? Number(text);
}

function isWhole(text: string): boolean {
  return /^-?\d+$/.test(text);
}

/** What `float` is where nothing says it otherwise. */
function dtypeOf(element: Exclude<ElementType, { kind: 'ix' }>): Dtype {
  return element.kind === 'float' ? 'f32' : element.dtype;
}

type Wrong = Pick<Problem, 'message'> & { readonly help: string };

function asIndex(text: string): Wrong | undefined {
  if (isWhole(text) && Number(text) >= 0) return undefined;
  return { message: 'is no index', help: 'an index is a whole number from 0' };
}

function asStored(text: string, dtype: Dtype): Wrong | undefined {
  const value = numberOf(text);
  if (isFloatDtype(dtype)) {
    const greatest = greatestFinite[dtype];
    if (Math.abs(value) === Number.POSITIVE_INFINITY && dtype === 'f8e4m3')
      return { message: 'is no number that f8e4m3 has', help: `its largest is ${greatest}` };
    if (!Number.isFinite(value) || Math.abs(value) <= greatest) return undefined;
    return { message: `goes beyond ${dtype}`, help: `its largest is ${greatest}` };
  }
  if (!isWhole(text))
    return {
      message: `is no whole number, as ${dtype} has`,
      help: 'write whole numbers, or change the type',
    };
  const { least, most } = rangeOfIntegers(dtype);
  if (least <= value && value <= most) return undefined;
  return { message: `is out of the range of ${dtype}`, help: `stay within ${least}..${most}` };
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

/** What was written is not of the kind that the type has there. */
export function reportKind(
  { path, type }: Pick<Leaf, 'path' | 'type'>,
  data: DataExpression,
  wanted: string,
  scope: TypeScope,
): undefined {
  scope.report({
    code: 'E0321',
    message: `${path} is ${showType(type)}: here belongs ${wanted}, and this is ${shown(data)}`,
    at: data.span,
    help: [formOf(type)],
  });
  return undefined;
}

const shownKinds: { readonly [K in DataExpression['kind']]: (data: Kind<K>) => string } = {
  number: ({ text }) => (named.has(text) ? text : 'a number'),
  boolean: () => 'a bool',
  list: ({ elements }) => (elements.length === 0 ? 'an empty list' : 'a list'),
  tuple: ({ elements }) => `a tuple of ${elements.length}`,
  record: () => 'a record',
};

function shown(data: DataExpression): string {
  return (shownKinds[data.kind] as (data: DataExpression) => string)(data);
}

/** How values of the type are written. */
function formOf(type: Type): string {
  switch (type.kind) {
    case 'tensor': {
      const rank = type.dims.length;
      if (rank === 0) return `write one value, as ${showElement(type.element)} has`;
      const lists = `${'['.repeat(rank)}…${']'.repeat(rank)}`;
      return `write ${lists}: a list for each dimension`;
    }
    case 'key':
      return `write the two words of a key, [0, 1]; of an array of keys a list of such`;
    case 'record': {
      const fields = type.record.fields.map(({ name }) => `${name}: …`).join(', ');
      return `write { ${fields} }; an array of records is a record of arrays`;
    }
    case 'tuple':
      return `write (${type.elements.map(() => '…').join(', ')})`;
    case 'error':
      return 'write a value of the type';
  }
}
