/**
 * The placement checker: one function at a time, with the functions that it calls gone through at each call,
 * as their arguments are placed there. Sizes and the numbers of devices stay symbols.
 */
import type { Span } from '../../diagnostics/diagnostic.ts';
import { type Fact, type Facts, noFacts, withFacts } from '../facts.ts';
import { type Report, silent } from '../report.ts';
import type { BodySignature } from '../scope.ts';
import { natural, parameter, parameterProduct } from '../size.ts';
import type { FunctionInfo, TypedProgram } from '../typed.ts';
import { dimsIn } from '../types.ts';
import { placeExpression } from './place-expression.ts';
import type { PlacedValue } from './placed-value.ts';
import type { PlaceScope, Placing } from './placing.ts';
import { noCalls } from './remembered-calls.ts';
import { declaredPlacement, requirePlacement } from './required.ts';
import { judgeTogether } from './together.ts';

export interface PlacementCheck {
  readonly program: TypedProgram;
  readonly report: Report;
  readonly text: (span: Span) => string;
}

type Declared = Pick<BodySignature, 'declaration'>;

/** Reports what is wrong with where the values of a function live. What is left to the partitioner passes. */
export function checkPlacement(info: FunctionInfo, signature: Declared, check: PlacementCheck): void {
  if (info.auto) return;
  const { placing, scope, result } = placeBody(info, signature, check);
  const meeting = { placing, scope, span: resultSpan(info) };
  requirePlacement(meeting, `the result of ${info.name}`, result, info.result, 'whole');
  for (const used of placing.together) placing.judge(used);
}

/** Where the value of a function's body lives, before it is what the function's result is to be. */
export function placeBody(
  info: FunctionInfo,
  { declaration }: Declared,
  { program, report, text }: PlacementCheck,
): { readonly placing: Placing; readonly scope: PlaceScope; readonly result: PlacedValue } {
  const placing = placingOf({
    program,
    facts: factsOf(info, program.axes),
    report,
    text,
    declaration,
    together: [],
    judged: new Set(),
    calls: noCalls(),
    outcome: { hasFailed: false },
    isTrial: false,
  });
  const scope: PlaceScope = {
    locals: new Map(),
    indices: new Map(),
    sizes: new Map(),
    call: undefined,
    device: undefined,
  };
  for (const { name, type, local, span } of info.parameters)
    scope.locals.set(local, declaredPlacement(name, type, span));
  return { placing, scope, result: placing.place(info.body, scope) };
}

function placingOf(parts: Omit<Placing, 'place' | 'judge' | 'quietly' | 'inCall'>): Placing {
  const placing: Placing = {
    ...parts,
    report: (problem) => {
      parts.outcome.hasFailed = true;
      parts.report(problem);
    },
    place: (expression, scope) => placeExpression(expression, scope, placing),
    judge: (used) => void judgeTogether(used, placing),
    quietly: () =>
      placingOf({
        ...parts,
        report: silent,
        together: [],
        judged: new Set(),
        outcome: { hasFailed: false },
        isTrial: true,
      }),
    inCall: () => placingOf({ ...parts, together: [], outcome: { hasFailed: false } }),
  };
  return placing;
}

/** Of a block its last expression, which is what is given. */
function resultSpan(info: FunctionInfo): Span {
  let { body } = info;
  while (body.kind === 'let') body = body.body;
  return body.span;
}

/** A mesh has a device along each axis at least, and divides what the signature says is cut. */
function factsOf(info: FunctionInfo, axes: readonly string[]): Facts {
  const facts: Fact[] = [
    ...axes.map((axis): Fact => ({ relation: '<=', left: natural(1), right: parameter(axis) })),
    ...info.facts,
  ];
  const dims = [...info.parameters.map(({ type }) => type), info.result].flatMap(dimsIn);
  for (const { size, placement } of dims) {
    // The major axes alone divide what all of them divide.
    const list = placement.kind === 'axes' ? placement.axes : [];
    for (let count = 1; count <= list.length; count++)
      facts.push({ relation: '|', left: parameterProduct(list.slice(0, count)), right: size });
  }
  return withFacts(noFacts, facts);
}
