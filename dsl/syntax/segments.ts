/**
 * Cuts the tokens of a file where declarations start, so that what is wrong with one says nothing about the
 * next.
 */
import type { IToken, TokenType } from 'chevrotain';
import { is } from './classify.ts';
import { binaryOperator, marks, reserved } from './tokens.ts';

const starts = new Set<TokenType>([
  reserved.import,
  reserved.mesh,
  reserved.type,
  reserved.fn,
  reserved.export,
  reserved.auto,
  reserved.property,
  reserved.module,
]);
/** A declaration goes on with another of these words behind them. */
const modifiers = new Set<TokenType>([reserved.export, reserved.auto]);

/** Every segment but perhaps the first starts with a word that starts a declaration. */
export function segmentsOf(tokens: readonly IToken[], text: string): readonly (readonly IToken[])[] {
  const places = tokens.flatMap((_, place) => (startsDeclaration(tokens, place, text) ? [place] : []));
  const cuts = places[0] === 0 || tokens.length === 0 ? places : [0, ...places];
  return cuts.map((cut, order) => tokens.slice(cut, cuts[order + 1] ?? tokens.length));
}

/**
 * Not a field (`x.type`), an argument (`type: x`), a name that may not be one (`a + type`), or a mesh in a
 * `forall`.
 */
function startsDeclaration(tokens: readonly IToken[], place: number, text: string): boolean {
  const token = tokens[place]!;
  const before = tokens[place - 1];
  const after = tokens[place + 1];
  if (!starts.has(token.tokenType)) return false;
  if (is(before, marks.dot) || is(after, marks.colon)) return false;
  if (before !== undefined && modifiers.has(before.tokenType)) return false;
  if (before !== undefined && wantsMore(before) && isOneLine(before, token, text)) return false;
  return token.tokenType !== reserved.mesh || is(after, marks.leftParen);
}

function wantsMore(token: IToken): boolean {
  return [binaryOperator, marks.assign, marks.comma, marks.leftParen, marks.leftBracket].some((type) =>
    is(token, type),
  );
}

function isOneLine(left: IToken, right: IToken, text: string): boolean {
  return !text.slice(left.startOffset, right.startOffset).includes('\n');
}
