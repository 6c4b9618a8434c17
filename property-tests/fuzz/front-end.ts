/**
 * Texts that are no programs, or almost: random bytes, and programs with tokens left out, doubled, exchanged
 * or put in. The front end never throws; what it reports has a place, a known code and a way out; and what it
 * accepts the formatter writes as the same program, with its comments, once and for all.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Choose, choicesOf, pick } from '../../compiler/graph/choice-tape.ts';
import { moduleLoader } from '../../driver/module-loader.ts';
import { packageRoot } from '../../driver/package-root.ts';
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import { syntaxCodes } from '../../dsl/syntax/codes.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import type { Module } from '../../dsl/syntax/tree.ts';
import { checkProgram } from '../../dsl/types/check.ts';
import { typeCodes } from '../../dsl/types/type-codes.ts';

// ── what holds of every text ───────────────────────────────────────────────────────────────────────────────

/** What is wrong with what the front end says of the text; undefined when nothing is. */
export function frontEndFault(text: string): string | undefined {
  try {
    const source = { path: 'fuzz.ricci', text };
    const { module, diagnostics } = parse(source);
    const wrong = diagnosticsFault(diagnostics, new Map([[source.path, text]]));
    if (wrong !== undefined) return wrong;
    if (diagnostics.length === 0) {
      const broken = formatFault(module, text);
      if (broken !== undefined) return broken;
    }
    const checked = checkProgram(source, moduleLoader);
    return diagnosticsFault(checked.diagnostics, checked.sources);
  } catch (error) {
    return `thrown: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
}

function diagnosticsFault(
  diagnostics: readonly Diagnostic[],
  sources: ReadonlyMap<string, string>,
): string | undefined {
  for (const { code, help, message, primary, secondary } of diagnostics) {
    if (!(code in syntaxCodes) && !(code in typeCodes)) return `${code} is no known code`;
    if (help.length === 0 || help.some((each) => each.trim() === '')) return `${code} has no way out`;
    if (/\bundefined\b|\bNaN\b|\[object/.test(message)) return `${code} says: ${message}`;
    for (const { span } of [primary, ...secondary]) {
      const length = sources.get(span.file)?.length;
      if (length === undefined) return `${code} is in ${span.file}, which was not read`;
      if (!(span.start >= 0 && span.start <= span.end && span.end <= length))
        return `${code} is at ${span.start} to ${span.end} of ${length} characters`;
    }
  }
  return undefined;
}

function formatFault(module: Module, text: string): string | undefined {
  const once = format(module, text);
  const again = parse({ path: 'fuzz.ricci', text: once });
  if (again.diagnostics.length > 0)
    return `formatted it is no program: ${again.diagnostics[0]!.message}\n${once}`;
  if (meaning(again.module) !== meaning(module)) return `formatted it is another program:\n${once}`;
  if (commentsOf(again.module) !== commentsOf(module)) return `formatted it has other comments:\n${once}`;
  const twice = format(again.module, once);
  return twice === once ? undefined : `formatted twice it is\n${twice}\nand once\n${once}`;
}

/** The tree without what a layout may change. */
function meaning({ declarations, name }: Module): string {
  const leaveOut: ReadonlySet<string> = new Set(['span', 'path']);
  return JSON.stringify({ name, declarations }, (key, value: unknown) =>
    leaveOut.has(key) ? undefined : value,
  );
}

function commentsOf({ comments }: Module): string {
  return comments.map(({ kind, text }) => `${kind}:${text.trimEnd()}`).join('\n');
}

// ── texts ──────────────────────────────────────────────────────────────────────────────────────────────────

const folders = ['stdlib', 'examples', 'property-tests', 'dsl/types/golden'];

let known: readonly string[] | undefined;

/** Programs to begin with. */
export function corpus(): readonly string[] {
  known ??= folders.flatMap((folder) =>
    readdirSync(join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ricci'))
      .sort()
      .map((name) => readFileSync(join(packageRoot, folder, name), 'utf8')),
  );
  return known;
}

const oddities = [
  '\u0000',
  '\uFEFF',
  '\r\n',
  '\r',
  '\u2028',
  '\uD800',
  '\uDC00',
  '\u{1F600}',
  '·',
  '\t',
  '"',
  '//',
  '///',
  '0x',
  '1e',
  '1e999',
  '..',
  '@@',
  "'",
] as const;

const words = [
  'fn',
  'let',
  'for',
  'sum',
  'max',
  'if',
  'then',
  'else',
  'where',
  'fold',
  'scan',
  'from',
  'in',
  'as',
  'property',
  'given',
  'forall',
  'check',
  'at',
  'mesh',
  'import',
  'export',
  'auto',
  'type',
  'module',
  'ring',
  'per_device',
  'within',
  'positive',
  'distinct',
  'permutation',
  'f32',
  'ix(N)',
  'bool',
  'x',
  'N',
  '0',
  '1.5',
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  ',',
  ':',
  '=',
  '==',
  '===',
  '~=',
  '->',
  '<',
  '<=',
  '+',
  '-',
  '*',
  '/',
  '.',
  '@',
  '?',
  '|',
  '%',
  '"a"',
  '// c\n',
  '/// d\n',
  '\n',
  '\n\n',
] as const;

/** Cut so that the pieces together are the text. */
export function piecesOf(text: string): readonly string[] {
  return text.match(/\/\/[^\n]*|"[^"\n]*"|\s+|[A-Za-z_]\w*|[\d.]+|->|[=<>~!]=+|[^\s\w]/gu) ?? [];
}

type Change = (pieces: string[], at: number, choose: Choose) => void;

const changes: readonly Change[] = [
  (pieces, at) => void pieces.splice(at, 1),
  (pieces, at) => void pieces.splice(at, 0, pieces[at]!),
  (pieces, at, choose) => {
    const other = choose(pieces.length);
    [pieces[at], pieces[other]] = [pieces[other]!, pieces[at]!];
  },
  (pieces, at, choose) => void pieces.splice(at, 0, ` ${pick(choose, words)} `),
  (pieces, at, choose) => void pieces.splice(at, 1, pick(choose, words)),
  (pieces, at, choose) => void pieces.splice(at, 0, pick(choose, oddities)),
  (pieces, at, choose) => void pieces.splice(at, choose(12)),
  (pieces, at, choose) => {
    const from = piecesOf(pick(choose, corpus()));
    const start = choose(from.length);
    pieces.splice(at, 0, ...from.slice(start, start + choose(20)));
  },
];

/** Names of one kind for names of another: most such programs parse. */
function renamed(pieces: string[], choose: Choose): void {
  const names = pieces.filter((piece) => /^[a-zA-Z]/.test(piece));
  if (names.length === 0) return;
  const at = pieces.indexOf(pick(choose, names));
  pieces[at] = pick(choose, names);
}

const texts: readonly ((choose: Choose) => string)[] = [
  // Bytes that are mostly no UTF-8.
  (choose) => Buffer.from(Array.from({ length: choose(300) }, () => choose(256))).toString('utf8'),
  (choose) => String.fromCharCode(...Array.from({ length: choose(200) }, () => choose(65536))),
  (choose) =>
    Array.from({ length: choose(80) }, () => pick(choose, choose(12) === 0 ? oddities : words)).join(
      pick(choose, [' ', '', '\r\n']),
    ),
  (choose) => pick(choose, corpus()).replaceAll('\n', pick(choose, ['\r\n', '\r', ' ', '\n\uFEFF'])),
];

/** One text in five is no program at all; the others are programs changed in one to four places. */
export function randomText(choose: Choose): string {
  if (choose(5) === 0) return pick(choose, texts)(choose);
  const pieces = [...piecesOf(pick(choose, corpus()))];
  for (let left = 1 + choose(4); left > 0 && pieces.length > 0; left--) {
    if (choose(4) === 0) renamed(pieces, choose);
    else pick(choose, changes)(pieces, choose(pieces.length), choose);
  }
  return pieces.join('');
}

/** Without pieces that it takes not to be wrong. */
export function smallestText(text: string, isWrong: (text: string) => boolean): string {
  let pieces = [...piecesOf(text)];
  if (!isWrong(pieces.join(''))) return text;
  for (let size = Math.ceil(pieces.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let at = 0; at < pieces.length; ) {
      const fewer = pieces.toSpliced(at, size);
      if (isWrong(fewer.join(''))) pieces = fewer;
      else at += size;
    }
  return pieces.join('');
}

/** Of the text that follows from the seed: what is wrong, with the smallest text that shows it. */
export function randomTextFault(seed: number): string | undefined {
  const text = randomText(choicesOf(seed)('text'));
  if (frontEndFault(text) === undefined) return undefined;
  const smallest = smallestText(text, (smaller) => frontEndFault(smaller) !== undefined);
  return `${frontEndFault(smallest)}\nof ${JSON.stringify(smallest)}`;
}
