/** What can be wrong with the sizes of an entry, as diagnostics. */
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import { decide } from '../../dsl/types/facts.ts';
import { evaluateSize, showSize, sizeParameters } from '../../dsl/types/size.ts';
import type { FunctionInfo, TypedFact, TypedProgram } from '../../dsl/types/typed.ts';
import { describeFunction, type EntryTensor } from './describe-entry.ts';
import type { LowerCode } from './lower-codes.ts';

export function problem(code: LowerCode, info: FunctionInfo, message: string, help: string): Diagnostic {
  return {
    severity: 'error',
    code,
    message,
    primary: { span: info.span, message: `entry ${info.name}` },
    secondary: [],
    notes: [],
    help: [help],
    fixes: [],
  };
}

export function unknownEntry(program: TypedProgram, entry: string): Diagnostic {
  const names = [...program.entries.keys()];
  return {
    severity: 'error',
    code: 'E0601',
    message: `there is no entry ${entry}`,
    primary: { span: { file: '', start: 0, end: 0 }, message: '' },
    secondary: [],
    notes: [],
    help: [names.length === 0 ? 'write an export fn' : `the entries are ${names.join(', ')}`],
    fixes: [],
  };
}

export function missingSizes(info: FunctionInfo, names: readonly string[]): Diagnostic[] {
  return names.map((name) =>
    problem('E0602', info, `the size ${name} of ${info.name} is not known`, `give it: --size ${name}=…`),
  );
}

/** Everything that the numbers break: facts, and sizes of inputs and outputs that are no natural numbers. */
export function brokenSizes(info: FunctionInfo, sizes: ReadonlyMap<string, number>): Diagnostic[] {
  const { inputs, outputs } = describeFunction(info);
  return [
    ...info.facts.flatMap((fact) => (decide(fact, sizes) ? [] : [brokenFact(info, fact, sizes)])),
    ...[...inputs, ...outputs].flatMap((tensor) => unnaturalDims(info, tensor, sizes)),
  ];
}

const relationTexts: { readonly [R in TypedFact['relation']]: (left: string, right: string) => string } = {
  '<=': (left, right) => `${left} <= ${right}`,
  '<': (left, right) => `${left} < ${right}`,
  '==': (left, right) => `${left} == ${right}`,
  '|': (left, right) => `${left} | ${right}`,
  '%': (left, right) => `${left} % ${right} == 0`,
};

function brokenFact(info: FunctionInfo, fact: TypedFact, sizes: ReadonlyMap<string, number>): Diagnostic {
  const text = relationTexts[fact.relation](showSize(fact.left), showSize(fact.right));
  const names = new Set([...sizeParameters(fact.left), ...sizeParameters(fact.right)]);
  const found = problem(
    'E0603',
    info,
    `${text} does not hold for ${given(names, sizes)}`,
    'choose other sizes',
  );
  return {
    ...found,
    primary: { span: fact.span, message: 'asked for here' },
    secondary: [{ span: info.span, message: `entry ${info.name}` }],
  };
}

function unnaturalDims(
  info: FunctionInfo,
  { path, dims }: EntryTensor,
  sizes: ReadonlyMap<string, number>,
): Diagnostic[] {
  const wrong = dims.filter((dim) => !((evaluateSize(dim, sizes) ?? -1) >= 0));
  return wrong.map((dim) => {
    const what = `the size ${showSize(dim)} of ${path} is not a natural number for ${given(sizeParameters(dim), sizes)}`;
    return problem('E0604', info, what, 'choose sizes for which it is one');
  });
}

/** `S=3, D=4` */
function given(names: Iterable<string>, sizes: ReadonlyMap<string, number>): string {
  return [...names].map((name) => `${name}=${sizes.get(name) ?? '?'}`).join(', ');
}
