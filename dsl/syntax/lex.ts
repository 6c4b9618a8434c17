/**
 * Text to tokens and comments. What is no token is reported and left out; positions are those of the text.
 */
import type { ILexingError, IToken } from 'chevrotain';
import type { Fix, Source, Span } from '../diagnostics/diagnostic.ts';
import { type Problem, problem, problemAt, tokenSpan } from './problem.ts';
import { foreignMark, malformedNumber, theLexer, unterminatedString } from './tokens.ts';
import type { Comment } from './tree.ts';

export interface Lexed {
  readonly tokens: readonly IToken[];
  readonly comments: readonly Comment[];
  readonly problems: readonly Problem[];
}

export function lex({ path, text }: Source): Lexed {
  const { tokens, groups, errors } = theLexer().tokenize(text);
  const malformed = tokens.flatMap((token) => malformedToken(token, path) ?? []);
  return {
    tokens: tokens.filter(({ tokenType }) => tokenType !== foreignMark),
    comments: (groups.comments ?? []).map((token) => commentOf(token, path)),
    problems: [
      ...errors.map((error) => unknownCharacter(error, path, text)),
      ...malformed,
      ...(groups.semicolons ?? []).map((token) => semicolon(token, path)),
    ].sort((left, right) => left.primary.span.start - right.primary.span.start),
  };
}

function commentOf(token: IToken, file: string): Comment {
  const isDocumentation = /^\/\/\/(?!\/)/.test(token.image);
  return {
    kind: isDocumentation ? 'documentation' : 'comment',
    text: token.image.slice(isDocumentation ? 3 : 2),
    span: tokenSpan(token, file),
  };
}

/** What to write for the marks of other languages. */
const replacements: { readonly [mark: string]: string } = { '&&': 'and', '||': 'or', '!': 'not' };
const foreignHelp: { readonly [mark: string]: string } = {
  '^': 'a power is `pow(a, b)`',
  '**': 'a power is `pow(a, b)`',
  '=>': 'the result of a function is written `-> type`, its value `= expression`',
  '#': 'a comment starts with `//`',
  '&': 'for truth values it is `and`',
  "'": 'a text stands between `"`',
};

function malformedToken(token: IToken, file: string): Problem | undefined {
  const { image, tokenType } = token;
  if (tokenType === foreignMark) {
    const word = replacements[image];
    return problemAt('E0104', token, file, `\`${image}\` is no mark of the language`, {
      help: [word === undefined ? (foreignHelp[image] ?? 'leave it out') : `write \`${word}\``],
      fixes: word === undefined ? [] : [replace(token, file, ` ${word} `, `write \`${word}\``)],
    });
  }
  if (tokenType === malformedNumber) {
    return problemAt('E0105', token, file, `\`${image}\` is not a number`, {
      help: ['a number is digits, perhaps with a point and an exponent: `1`, `0.5`, `1e-5`'],
    });
  }
  if (tokenType === unterminatedString) {
    return problemAt('E0107', token, file, 'this text has no closing `"`', {
      help: ['a text ends on the line where it starts'],
    });
  }
  return undefined;
}

function semicolon(token: IToken, file: string): Problem {
  return problemAt('E0114', token, file, 'nothing ends with `;`', {
    help: ['leave it out'],
    fixes: [replace(token, file, '', 'leave it out')],
  });
}

function replace(token: IToken, file: string, text: string, message: string): Fix {
  return { message, edits: [{ span: tokenSpan(token, file), text }] };
}

/** Characters that look like one of the language's, or stand for it in print. */
const lookalikes: { readonly [character: string]: string } = {
  '\u00a0': 'a plain space',
  '\u2018': '`"`',
  '\u2019': '`"`',
  '\u201c': '`"`',
  '\u201d': '`"`',
  '\u2212': '`-`',
  '\u2013': '`-`',
  '\u00b7': '`*`',
  '\u00d7': '`*`',
  '\u2264': '`<=`',
  '\u2265': '`>=`',
  '\u2260': '`!=`',
  '\u2192': '`->`',
  '\u2211': '`sum`',
};

function unknownCharacter({ offset, length }: ILexingError, file: string, text: string): Problem {
  const span: Span = { file, start: offset, end: offset + length };
  const character = String.fromCodePoint(text.codePointAt(offset) ?? 0);
  const shown = /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character) ? `\`${character}\`` : codePoint(character);
  const instead = lookalikes[character];
  return problem('E0104', span, `${shown} is not part of the language`, {
    help: [instead === undefined ? 'names are made of letters a to z, digits and `_`' : `write ${instead}`],
  });
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
