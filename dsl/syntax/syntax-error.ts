/**
 * What the parser found, in a sentence: what was expected, what stands there, and what may have been meant.
 */
import { EOF, type IRecognitionException, type IToken } from 'chevrotain';
import type { Span } from '../diagnostics/diagnostic.ts';
import { type Problem, problem, tokenSpan } from './problem.ts';
import { identifier, marks, reserved } from './tokens.ts';
import { traitWords } from './tree.ts';

/** The message of the exception is what was expected: see `expectations` in `grammar-base.ts`. */
export function syntaxError(error: IRecognitionException, file: string): Problem {
  const { token, message: expected } = error;
  const span = tokenSpan(token, file);
  if (isReserved(token) && expectsName(expected)) return reservedWord(token, span);
  return problem('E0101', span, `expected ${expected}, found ${found(token)}`, {
    notes: formOf(error.context.ruleStack),
    help: [hintFor(error) ?? `write ${expected} here`],
  });
}

/** How the construct looks in which the parser was, by the rules of the grammar. */
const forms: { readonly [rule: string]: string } = {
  import: 'import attention (causal), import "./block.ricci" as block',
  mesh: 'mesh (dp, tp)',
  record: 'type Ffn(D, F) = { up: f32[D, F], down: f32[F, D] }',
  function: 'fn name[K](x: f32[N]) -> f32[K] where K <= N { … }, or = … instead of the braces',
  facts: 'where K <= E, sp | G, F % 8 == 0',
  data: '1, -0.5, inf, true, [[1, 2], [3, 4]], { up: [1], down: [2] }',
  property: 'property name forall x: f32[N] where N <= 8 let y = value given y > 0 check left ~= right',
  namedType: 'f32, f32[S, D], bf16[S@sp, D], ix(E)[K], Ffn(D, F)[E]',
  binding: 'let name = value, let h[f] = value, let (a, b) = value, let y: f32[D] = value',
  comprehension: 'for i, j: value',
  reduction: 'sum d: value',
  choice: 'if condition then value else value',
  loop: 'fold layer in layers from h = x: value, fold i < N from h = x: value',
  block: '{ let name = value … value }',
  reshard: 'x as [S@sp, D], a placement; a type is converted by a call, f32(x)',
  perDevice: 'per_device sp (q, k, v) { … }',
  ring: 'ring sp (k, v) from acc = value at j { … }',
};

function formOf(rules: readonly string[]): readonly string[] {
  const form = rules.map((rule) => forms[rule]).findLast((each) => each !== undefined);
  return form === undefined ? [] : [`the form is: ${form}`];
}

function found(token: IToken): string {
  return token.tokenType === EOF ? 'the end' : `\`${token.image}\``;
}

const reservedTypes = new Set(Object.values(reserved));

function isReserved(token: IToken): boolean {
  return reservedTypes.has(token.tokenType);
}

function expectsName(expected: string): boolean {
  return /^(a name|the name of|a parameter|a field)/.test(expected);
}

function reservedWord(token: IToken, span: Span): Problem {
  const other = `${token.image}_`;
  return problem('E0112', span, `\`${token.image}\` is a word of the grammar and cannot be a name here`, {
    help: [`name it otherwise, for example \`${other}\``],
    fixes: [{ message: `name it otherwise, for example \`${other}\``, edits: [{ span, text: other }] }],
  });
}

const recordForm = '`type Name(sizes) = { field: type, … }`';

/** How declarations start in other languages. A map, since any name at all is looked up in it. */
const foreignStarts: ReadonlyMap<string, string> = new Map([
  ['def', '`fn`'],
  ['func', '`fn`'],
  ['function', '`fn`'],
  ['fun', '`fn`'],
  ['struct', recordForm],
  ['class', recordForm],
  ['record', recordForm],
  ['const', 'a function without parameters, `fn name() -> type = value`'],
  ['use', '`import`'],
  ['pub', '`export`'],
]);

const traitList = `${traitWords.map((each) => `\`${each}\``).join(', ')} or \`within 0..1\``;

/** Rules within which `=` was meant to compare or to bind. */
const valueRules = new Set(['block', 'choice', 'parenthesized', 'call']);

function hintFor({ name, token, context }: IRecognitionException): string | undefined {
  const start = foreignStarts.get(token.image);
  const rule = context.ruleStack.at(-1) ?? '';
  const { tokenType } = token;
  if (start !== undefined && tokenType === identifier) return `write ${start}`;
  if (tokenType === marks.assign && valueRules.has(rule)) {
    return 'comparing is `==`; a name is bound by `let name = value`';
  }
  if (rule === 'fact' && (tokenType === marks.atLeast || tokenType === marks.greater)) {
    return 'turn it around: `1 <= K`';
  }
  if (rule === 'property' && tokenType === identifier) {
    return `a comma stands between quantified values; behind a type may stand ${traitList}`;
  }
  if (name === 'NotAllInputParsedException') return 'write an operator between the two, or leave this out';
  if (rule === 'property' && tokenType === reserved.let) return 'the `let`s come before `given` and `check`';
  if (tokenType === reserved.let) return 'finish what stands before this `let` first';
  return tokenType === EOF ? 'go on here, or leave out what stands before' : undefined;
}
