/** The codes of syntax errors, with what the error index says about each. */
import type { CodeEntry } from '../diagnostics/codes.ts';
import type { DiagnosticCode } from '../diagnostics/diagnostic.ts';

export const syntaxCodes = {
  E0101: {
    title: 'Unexpected token',
    explanation:
      'The text at this place does not continue what stands before it. The message names what would; the ' +
      'note shows the form of the construct. Parsing goes on at the next `let` or declaration, so errors ' +
      'after it are their own.',
    example: 'fn f(x: f32[D]) -> f32 = sum d x[d]',
  },
  E0102: {
    title: 'Bracket never closed',
    explanation:
      'A `(`, `[` or `{` has no partner before the declaration ends, or before another bracket closes that ' +
      'was opened earlier.',
    example: 'fn f(x: f32[D]) -> f32[D] {\n  let y = softmax(x\n  let z = y + 1\n  z\n}',
  },
  E0103: {
    title: 'Nested too deeply',
    explanation:
      'Expressions, types and sizes may nest to a fixed depth, so that every later stage can walk them. ' +
      'Name parts with `let`, or move them into functions.',
    example: `fn f() -> f32 = ${'('.repeat(300)}1${')'.repeat(300)}`,
  },
  E0104: {
    title: 'Unknown character',
    explanation:
      'Source is ASCII outside comments and quoted texts: names are made of letters, digits and `_`. Other ' +
      'characters come from copied text (typographic quotes, non-breaking spaces, `·`, `≤`) or from a file ' +
      'that is not source.',
    example: 'fn f(x: f32) -> f32 = x ^ 2',
  },
  E0105: {
    title: 'Malformed number',
    explanation:
      'A number is digits, then optionally `.` and digits, then optionally an exponent: `1`, `1.5`, ' +
      '`1e-5`. It has no suffix, no `_`, and no base but ten.',
    example: 'fn f() -> f32 = 1_000',
  },
  E0106: {
    title: 'Number too large',
    explanation:
      'A whole number must be at most 2^53 − 1, the largest below which all are exact; one with a point or ' +
      'an exponent must be in the range of f32.',
    example: 'fn f() -> f32 = 1e400',
  },
  E0107: {
    title: 'Text never closed',
    explanation: 'A quoted text ends with `"` on the line where it starts.',
    example: 'import "./block.ricci\nfn f() -> f32 = 1',
  },
  E0108: {
    title: 'Comparisons do not chain',
    explanation:
      '`a < b < c` would compare a truth value with `c`. Write `a < b and b < c`, or put parentheses ' +
      'around the comparison that is meant first.',
    example: 'fn f(a: f32, b: f32, c: f32) -> bool = a < b < c',
  },
  E0109: {
    title: 'Not a size',
    explanation:
      'Sizes in the brackets of a call (`top_k[K](x)`) and on the sides of `->` are whole numbers, names, ' +
      'and `+ - * /` of them.',
    example: 'fn f(x: f32[8]) -> f32[2] {\n  let (best, place) = top_k[1.5](x)\n  best\n}',
  },
  E0110: {
    title: 'This cannot be called',
    explanation:
      'What stands before `(` is the name of a function, with or without its module: `f(x)`, ' +
      '`attention.causal(q, k, v)`. Functions are not values. Where two things stand side by side on ' +
      'purpose, put a space or a new line before the `(`.',
    example: 'fn f(x: f32[D]) -> f32 = (sum d: x[d])(2)',
  },
  E0111: {
    title: 'Module name out of place',
    explanation: '`module name` is the first thing in a file, once.',
    example: 'fn f() -> f32 = 1\n\nmodule late',
  },
  E0112: {
    title: 'Reserved word used as a name',
    explanation:
      'Words of the grammar cannot name a function, a parameter, a variable or a size. They may name a ' +
      'field or an argument: `softmax(x, where: m)`.',
    example: 'fn f(in: f32) -> f32 = in',
  },
  E0113: {
    title: 'Block without a result',
    explanation:
      'A block is `let`s and then one expression, its value. There are no statements and no `return`. Line ' +
      'breaks mean nothing: a value that begins with a minus is written in parentheses, or it is ' +
      'subtracted from the `let` before it.',
    example: 'fn f(x: f32) -> f32 {\n  let y = x + 1\n}',
  },
  E0114: {
    title: 'Semicolon',
    explanation:
      'Nothing ends with `;`: a `let` ends where the next begins or where the expression cannot go on.',
    example: 'fn f(x: f32) -> f32 {\n  let y = x + 1;\n  y\n}',
  },
} as const satisfies Record<DiagnosticCode, CodeEntry>;

export type SyntaxCode = keyof typeof syntaxCodes;
