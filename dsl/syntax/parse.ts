/**
 * Text to tree. The tokens are cut where declarations start, brackets are balanced, and each declaration is
 * parsed by itself; inside a block parsing goes on at the next `let`. So one file gives several errors, and
 * none that follows from another.
 */
import type { IToken } from 'chevrotain';
import type { Diagnostic, Source } from '../diagnostics/diagnostic.ts';
import { balance } from './balance.ts';
import { classify, is } from './classify.ts';
import { documentationBefore } from './documentation.ts';
import { Grammar, type ModuleName } from './grammar.ts';
import { NestingError } from './grammar-base.ts';
import { lex } from './lex.ts';
import { type Problem, problem, problemAt } from './problem.ts';
import { segmentsOf } from './segments.ts';
import { syntaxError } from './syntax-error.ts';
import { reserved } from './tokens.ts';
import type { Declaration, Module } from './tree.ts';

export interface Parsed {
  readonly module: Module;
  readonly diagnostics: readonly Diagnostic[];
}

/** Of a file that is imported, properties are no matter: they are for whoever checks that file. */
export type Extent = 'all' | 'without properties';

/**
 * Never throws for any text. Declarations that could not be read are left out; those read in part have
 * `error` nodes.
 */
export function parse(source: Source, extent: Extent = 'all'): Parsed {
  const { path, text } = source;
  const lexed = lex(source);
  const problems: Problem[] = [...lexed.problems];
  const declarations: Declaration[] = [];
  let name: ModuleName | undefined;
  for (const [order, segment] of segmentsOf(classify(lexed.tokens), text).entries()) {
    if (extent === 'without properties' && is(segment[0], reserved.property)) continue;
    const documentation = documentationBefore(lexed.comments, segment[0]?.startOffset ?? 0, text);
    const parsed = parseSegment(path, segment, documentation, lexed.problems);
    problems.push(...parsed.problems);
    const { declaration } = parsed;
    if (declaration?.kind !== 'module')
      declarations.push(...(declaration === undefined ? [] : [declaration]));
    else if (order === 0) name = declaration;
    else problems.push(misplaced(declaration));
  }
  problems.sort((left, right) => left.primary.span.start - right.primary.span.start);
  const span = { file: path, start: 0, end: text.length };
  return {
    module: { path, name: name?.name, declarations, comments: lexed.comments, span },
    diagnostics: problems,
  };
}

interface ParsedSegment {
  readonly declaration: Declaration | ModuleName | undefined;
  readonly problems: readonly Problem[];
}

function parseSegment(
  file: string,
  segment: readonly IToken[],
  documentation: string | undefined,
  lexical: readonly Problem[],
): ParsedSegment {
  const { tokens, problems: unbalanced, doubtfulFrom } = balance(segment, file);
  const grammar = theGrammar();
  const trusted = Math.min(firstWithin(segment, lexical), doubtfulFrom);
  try {
    const declaration = grammar.parseDeclaration(file, tokens, documentation);
    const found = [
      ...grammar.problems,
      ...grammar.errors
        .filter(({ token }) => token.isInsertedInRecovery !== true)
        .filter(({ name }, order) => order === 0 || name !== 'NotAllInputParsedException')
        .map((error) => syntaxError(error, file)),
    ];
    const own = found.filter(({ primary }) => primary.span.start < trusted);
    // Where a bracket that opens is missing, the parser stops first and its partner closes nothing.
    const unexplained = unbalanced.filter(
      ({ code, primary }) =>
        code === 'E0102' || own.every((each) => each.primary.span.start > primary.span.start),
    );
    // Half an import would be looked for, and not be found.
    const isHalfImport = declaration?.kind === 'import' && trusted < declaration.span.end;
    return {
      declaration: isHalfImport ? undefined : declaration,
      problems: [...unexplained, ...own],
    };
  } catch (error) {
    if (!(error instanceof NestingError)) throw error;
    return { declaration: undefined, problems: [...unbalanced, tooDeep(error, file)] };
  }
}

let grammar: Grammar | undefined;

/** Built when first asked for: the analysis of its rules takes some milliseconds. */
function theGrammar(): Grammar {
  grammar ??= new Grammar();
  return grammar;
}

/**
 * Where the first of these problems within the segment is; what the parser says from there on may follow from
 * it.
 */
function firstWithin(segment: readonly IToken[], lexical: readonly Problem[]): number {
  const start = segment[0]?.startOffset ?? 0;
  const within = lexical.find(({ primary }) => primary.span.start >= start);
  return within?.primary.span.start ?? Number.POSITIVE_INFINITY;
}

function misplaced({ span }: ModuleName): Problem {
  const remedy = 'move it to the first line, or leave it out';
  return problem('E0111', span, 'the name of the module comes first in its file, once', {
    help: [remedy],
    fixes: [{ message: remedy, edits: [{ span, text: '' }] }],
  });
}

function tooDeep({ token, message }: NestingError, file: string): Problem {
  return problemAt('E0103', token, file, message, {
    help: ['give parts of it names with `let`, or move them into functions'],
  });
}
