/** The codes of syntax errors, with what the error index says about each. */
import type { DiagnosticCode } from '../diagnostics/diagnostic.ts';

export interface CodeFacts {
  readonly title: string;
  readonly explanation: string;
}

export const syntaxCodes = {
  E0101: {
    title: 'unexpected token',
    explanation:
      'The text at this place does not continue what stands before it. The message names what would; the note shows the ' +
      'form of the construct. Parsing goes on at the next `let` or declaration, so errors after it are their own.',
  },
  E0102: {
    title: 'bracket never closed',
    explanation:
      'A `(`, `[` or `{` has no partner before the declaration ends, or before another bracket closes that was opened earlier.',
  },
  E0103: {
    title: 'nested too deeply',
    explanation:
      'Expressions, types and sizes may nest to a fixed depth, so that every later stage can walk them. Name parts with `let`, or ' +
      'move them into functions.',
  },
  E0104: {
    title: 'unknown character',
    explanation:
      'Source is ASCII outside comments and quoted texts: names are made of letters, digits and `_`. Other characters come from copied ' +
      'text (typographic quotes, non-breaking spaces, `·`, `≤`) or from a file that is not source.',
  },
  E0105: {
    title: 'malformed number',
    explanation:
      'A number is digits, then optionally `.` and digits, then optionally an exponent: `1`, `1.5`, `1e-5`. It has no suffix, no `_`, ' +
      'and no base but ten.',
  },
  E0106: {
    title: 'number too large',
    explanation:
      'A whole number must be at most 2^53 − 1, the largest below which all are exact; one with a point or an exponent must be in the range of f32.',
  },
  E0107: {
    title: 'text never closed',
    explanation: 'A quoted text ends with `"` on the line where it starts.',
  },
  E0108: {
    title: 'comparisons do not chain',
    explanation:
      '`a < b < c` would compare a truth value with `c`. Write `a < b and b < c`, or put parentheses around the comparison that is meant first.',
  },
  E0109: {
    title: 'not a size',
    explanation:
      'Sizes in the brackets of a call (`top_k[K](x)`) and on the sides of `->` are whole numbers, names, and `+ - * /` of them.',
  },
  E0110: {
    title: 'this cannot be called',
    explanation:
      'What stands before `(` is the name of a function, with or without its module: `f(x)`, `attention.causal(q, k, v)`. Functions are not values. ' +
      'Where two things stand side by side on purpose, put a space or a new line before the `(`.',
  },
  E0111: {
    title: 'module name out of place',
    explanation: '`module name` is the first thing in a file, once.',
  },
  E0112: {
    title: 'reserved word used as a name',
    explanation:
      'Words of the grammar cannot name a function, a parameter, a variable or a size. They may name a field or an argument: `softmax(x, where: m)`.',
  },
  E0113: {
    title: 'block without a result',
    explanation:
      'A block is `let`s and then one expression, its value. There are no statements and no `return`. Line breaks mean nothing: a value that begins with a minus is written in parentheses, or it is subtracted from the `let` before it.',
  },
  E0114: {
    title: 'semicolon',
    explanation:
      'Nothing ends with `;`: a `let` ends where the next begins or where the expression cannot go on.',
  },
} as const satisfies Record<DiagnosticCode, CodeFacts>;

export type SyntaxCode = keyof typeof syntaxCodes;
