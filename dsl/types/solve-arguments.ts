/** The size parameters of a callee, found from the shapes of the arguments. */
import type { Label, Span } from '../diagnostics/diagnostic.ts';
import type { Expression } from '../syntax/tree.ts';
import type { CallNode } from './arguments.ts';
import { type Context, errorExpression, factScope } from './context.ts';
import { convert, type Wanted } from './conversions.ts';
import { indexGroups, rangesReadOff } from './index-ranges.ts';
import { equalSizes, require, showFact } from './obligations.ts';
import { silent } from './report.ts';
import { parameter, type Size, sizeParameters } from './size.ts';
import type { Type, TypedExpression } from './typed.ts';
import { dimsOf, hasError, showName, showType, substituteType, unknownSize } from './types.ts';
import { solveSizes } from './unify-sizes.ts';

export interface Callable {
  readonly name: string;
  readonly sizes: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly type: Type; readonly span: Span }[];
  /** Sizes given in brackets (firm), or wished for by the expected type (used where nothing else tells). */
  readonly known: readonly { readonly name: string; readonly size: Size; readonly firm: boolean }[];
}

export interface SolvedArguments {
  readonly values: ReadonlyMap<string, Size>;
  /** Not yet converted. */
  readonly arguments: readonly TypedExpression[];
  readonly wanted: (position: number) => Wanted;
}

/** `argument` is undefined for a size that is known beforehand. */
interface Equation {
  readonly pattern: Size;
  readonly actual: Size;
  readonly argument: number | undefined;
  /**
   * Used only if it has an unknown that no firm equation has: index ranges may be smaller than what they
   * index.
   */
  readonly firm: boolean;
}

/**
 * Checks the arguments, those first that say their own shape, and solves for the sizes. Undefined when
 * something was reported that leaves the call without a type.
 */
export function solveArguments(
  context: Context,
  node: CallNode,
  callable: Callable,
  given: readonly (Expression | undefined)[],
): SolvedArguments | undefined {
  const beforehand = callable.known.map(
    ({ name, size, firm }): Equation => ({
      pattern: parameter(name),
      actual: size,
      argument: undefined,
      firm,
    }),
  );
  const typed = given.map((): TypedExpression | undefined => undefined);
  const later = given.map((argument) => argument !== undefined && needsExpectation(context, argument));
  for (const round of [false, true]) {
    const values = partialValues(callable, [...beforehand, ...equationsOf(callable, typed)]);
    given.forEach((argument, i) => {
      if (argument === undefined || later[i] !== round) return;
      const { type } = callable.parameters[i]!;
      typed[i] = context.infer(context, argument, substituteType(type, withUnknowns(callable, values)));
    });
  }
  const values = typed.map((value) => value ?? errorExpression(node.span));
  return finish(context, node, callable, beforehand, values);
}

function withUnknowns(callable: Callable, values: ReadonlyMap<string, Size>): ReadonlyMap<string, Size> {
  return new Map(callable.sizes.map((name) => [name, values.get(name) ?? unknownSize(name)]));
}

/** Whether the argument has indices that only the parameter's type can give a range. */
export function needsExpectation(context: Context, argument: Expression): boolean {
  switch (argument.kind) {
    case 'comprehension': {
      const open = indexGroups(argument.indices)
        .flat()
        .filter(({ bound }) => bound === undefined);
      return (
        rangesReadOff(context, open, argument.body).size < open.length ||
        needsExpectation(context, argument.body)
      );
    }
    case 'unary':
      return needsExpectation(context, argument.operand);
    case 'binary':
      return needsExpectation(context, argument.left) || needsExpectation(context, argument.right);
    case 'if':
      return needsExpectation(context, argument.then) || needsExpectation(context, argument.otherwise);
    case 'tuple':
      return argument.elements.some((element) => needsExpectation(context, element));
    case 'block':
      return needsExpectation(context, argument.result);
    case 'call':
      return argument.arguments.some(
        (inner) => inner.kind === 'value' && needsExpectation(context, inner.value),
      );
    default:
      return false;
  }
}

// ── equations ──────────────────────────────────────────────────────────────────────────────────────────────

function equationsOf(
  callable: Callable,
  typed: readonly (TypedExpression | undefined)[],
): readonly Equation[] {
  return typed.flatMap((value, argument) =>
    value === undefined
      ? []
      : typeEquations(callable.parameters[argument]!.type, value.type).map((equation) => ({
          ...equation,
          argument,
        })),
  );
}

function typeEquations(pattern: Type, actual: Type): readonly Omit<Equation, 'argument'>[] {
  if (pattern.kind === 'tuple' && actual.kind === 'tuple') {
    return pattern.elements.flatMap((element, i) => {
      const part = actual.elements[i];
      return part === undefined ? [] : typeEquations(element, part);
    });
  }
  const dims = dimsOf(pattern);
  const given = dimsOf(actual);
  const shape =
    pattern.kind === actual.kind && dims.length === given.length
      ? dims.map(({ size }, i) => ({ pattern: size, actual: given[i]!.size, firm: true }))
      : [];
  if (pattern.kind === 'record' && actual.kind === 'record' && pattern.record === actual.record) {
    const sizes = pattern.sizes.map((size, i) => ({ pattern: size, actual: actual.sizes[i]!, firm: true }));
    return [...shape, ...sizes];
  }
  if (pattern.kind === 'tensor' && actual.kind === 'tensor') {
    const { element: wanted } = pattern;
    const { element } = actual;
    if (wanted.kind === 'ix' && element.kind === 'ix') {
      return [...shape, { pattern: wanted.range, actual: element.range, firm: false }];
    }
  }
  return shape;
}

/** The firm equations, and of the others those that tell something new. */
function usefulEquations(callable: Callable, equations: readonly Equation[]): readonly Equation[] {
  const unknowns = new Set(callable.sizes);
  const useful = equations.filter(({ firm }) => firm);
  const told = new Set(useful.flatMap(({ pattern }) => [...sizeParameters(pattern)]));
  for (const equation of equations) {
    const names = [...sizeParameters(equation.pattern)].filter((name) => unknowns.has(name));
    if (equation.firm || names.every((name) => told.has(name))) continue;
    useful.push(equation);
    for (const name of names) told.add(name);
  }
  return useful;
}

/** The sizes that can be told from some of the arguments; disagreements wait for the rest. */
function partialValues(callable: Callable, all: readonly Equation[]): ReadonlyMap<string, Size> {
  let equations = usefulEquations(callable, all);
  const unknowns = new Set(callable.sizes);
  for (;;) {
    const solution = solveSizes(equations, mentioned(equations, unknowns));
    if (solution.kind === 'solved') return solution.values;
    if (solution.kind === 'mismatch') {
      equations = equations.filter((_, i) => i !== solution.equation);
      continue;
    }
    const open = new Set(solution.unknowns);
    equations = equations.filter(
      ({ pattern }) => ![...sizeParameters(pattern)].some((name) => open.has(name)),
    );
  }
}

function mentioned(equations: readonly Equation[], unknowns: ReadonlySet<string>): ReadonlySet<string> {
  const names = equations.flatMap(({ pattern }) => [...sizeParameters(pattern)]);
  return new Set(names.filter((name) => unknowns.has(name)));
}

// ── the whole call ─────────────────────────────────────────────────────────────────────────────────────────

function finish(
  context: Context,
  node: CallNode,
  callable: Callable,
  beforehand: readonly Equation[],
  typed: readonly TypedExpression[],
): SolvedArguments | undefined {
  let equations = usefulEquations(callable, [...beforehand, ...equationsOf(callable, typed)]);
  const unknowns = new Set(callable.sizes);
  const doubtful = new Set<number>();
  for (;;) {
    const solution = solveSizes(equations, unknowns);
    if (solution.kind === 'mismatch') {
      const { argument } = equations[solution.equation]!;
      const equal = equalSizes(context.facts, solution.pattern, solution.actual);
      if (!equal && argument !== undefined) doubtful.add(argument);
      equations = equations.filter((equation, i) =>
        equal || argument === undefined ? i !== solution.equation : equation.argument !== argument,
      );
      continue;
    }
    if (solution.kind === 'solved') {
      const values = solution.values;
      const wanted = (i: number): Wanted => wantedArgument(callable, values, typed, i);
      for (const fact of solution.obligations) {
        require(factScope(context), fact, {
          code: 'E0408',
          message: `the sizes of ${callable.name} need ${showFact(fact)}`,
          at: node.span,
        });
      }
      if (!reportDoubtful(context, typed, doubtful, wanted)) return undefined;
      return typed.some(({ type }) => hasError(type)) ? undefined : { values, arguments: typed, wanted };
    }
    const values = withUnknowns(callable, partialValues(callable, equations));
    const wanted = (i: number): Wanted => wantedArgument(callable, values, typed, i);
    const everything = new Set(typed.keys());
    if (reportDoubtful(context, typed, everything, wanted) && !typed.some(({ type }) => hasError(type))) {
      reportUndetermined(context, node, callable, solution.unknowns);
    }
    return undefined;
  }
}

/** Reports the arguments that do not fit; true when all do. */
function reportDoubtful(
  context: Context,
  typed: readonly TypedExpression[],
  doubtful: ReadonlySet<number>,
  wanted: (position: number) => Wanted,
): boolean {
  let fits = true;
  for (const i of doubtful) {
    const value = typed[i]!;
    if (!hasError(value.type) && hasError(convert(context, value, wanted(i)).type)) fits = false;
  }
  return fits;
}

function wantedArgument(
  callable: Callable,
  values: ReadonlyMap<string, Size>,
  typed: readonly TypedExpression[],
  position: number,
): Wanted {
  const { name, type, span } = callable.parameters[position]!;
  return {
    type: substituteType(type, values),
    place: 'argument',
    asker: `${name} of ${callable.name}`,
    because: [
      { span, message: `${name} is declared as ${showType(type)}` },
      ...sizeReasons(callable, values, typed, position),
    ],
    shapeCode: 'E0402',
  };
}

/** For each size in the parameter's type: which other argument gave it its value. */
function sizeReasons(
  callable: Callable,
  values: ReadonlyMap<string, Size>,
  typed: readonly TypedExpression[],
  position: number,
): readonly Label[] {
  const names = new Set(
    dimsOf(callable.parameters[position]!.type).flatMap(({ size }) => [...sizeParameters(size)]),
  );
  return [...names].flatMap((name) => {
    const value = values.get(name);
    const giver = callable.parameters.findIndex(
      ({ type }, i) => i !== position && dimsOf(type).some(({ size }) => size.key === parameter(name).key),
    );
    const argument = typed[giver];
    if (value === undefined || argument === undefined) return [];
    return [{ span: argument.span, message: `${name} is ${showName(value)} because of this argument` }];
  });
}

function reportUndetermined(
  context: Context,
  node: CallNode,
  callable: Callable,
  unknowns: readonly string[],
): void {
  const report = context.trial ? silent : context.report;
  const list = unknowns.join(', ');
  report({
    code: 'E0407',
    message: `the arguments of ${callable.name} do not fix the size ${list}`,
    at: node.span,
    secondary: callable.parameters.map(({ name, type, span }) => ({
      span,
      message: `${name} is ${showType(type)}`,
    })),
    help: [
      `declare it in brackets where ${callable.name} is defined, and give it here: ${callable.name}[${list}](…)`,
    ],
  });
}
