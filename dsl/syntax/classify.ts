/**
 * Some tokens mean one thing or another by what stands around them; the grammar needs one token of look-ahead
 * because these have been told apart before it starts: `f(` and `x[` from brackets that open something of
 * their own, `{+tp}` from a block, `sum d:` from a call `sum(…)` or a variable.
 */
import type { IToken, TokenType } from 'chevrotain';
import {
  callParen,
  contextual,
  identifier,
  marks,
  numberLiteral,
  pendingBrace,
  reductionHead,
  reserved,
  ringHead,
  stringLiteral,
  subscriptBracket,
} from './tokens.ts';
import { reductionNames } from './tree.ts';

export function classify(tokens: readonly IToken[]): readonly IToken[] {
  return tokens.map((token, place) => {
    const type = classified(tokens, place);
    return type === undefined ? token : { ...token, tokenType: type, tokenTypeIdx: type.tokenTypeIdx! };
  });
}

/** Whether a token is of a type or of one in that category. */
export function is(token: IToken | undefined, type: TokenType): boolean {
  if (token === undefined) return false;
  return token.tokenType === type || (token.tokenType.CATEGORIES?.includes(type) ?? false);
}

function classified(tokens: readonly IToken[], place: number): TokenType | undefined {
  const token = tokens[place]!;
  const before = tokens[place - 1];
  const isBehind = before !== undefined && before.startOffset + before.image.length === token.startOffset;
  switch (token.tokenType) {
    case marks.leftParen:
      return isBehind && endsOperand(tokens, place - 1) ? callParen : undefined;
    case marks.leftBracket:
      return isBehind && endsOperand(tokens, place - 1) ? subscriptBracket : undefined;
    case marks.leftBrace:
      return isBehind && endsOperand(tokens, place - 1) && opensPending(tokens[place + 1], tokens[place + 2])
        ? pendingBrace
        : undefined;
    case contextual.ring:
      return is(tokens[place + 1], identifier) && before?.tokenType !== marks.dot ? ringHead : undefined;
    default:
      return isReductionHead(tokens, place) ? reductionHead : undefined;
  }
}

function endsOperand(tokens: readonly IToken[], place: number): boolean {
  const token = tokens[place];
  if (is(token, marks.rightParen) || is(token, marks.rightBracket) || is(token, identifier)) return true;
  return is(tokens[place - 1], marks.dot) && reservedTypes.has(token!.tokenType);
}

function opensPending(first: IToken | undefined, second: IToken | undefined): boolean {
  return is(first, marks.plus) || (isExtreme(first) && is(second, identifier));
}

function isExtreme(token: IToken | undefined): boolean {
  return token?.tokenType === contextual.max || token?.tokenType === contextual.min;
}

const reservedTypes = new Set<TokenType>(Object.values(reserved));
const reductionTypes = new Set<TokenType>(reductionNames.map((name) => contextual[name]));

/** Indices stand behind it: `sum d:`, `max (g, r):`. What opens right behind it is a call. */
function isReductionHead(tokens: readonly IToken[], place: number): boolean {
  const token = tokens[place]!;
  if (!reductionTypes.has(token.tokenType) || is(tokens[place - 1], marks.dot)) return false;
  const next = tokens[place + 1];
  if (is(next, marks.leftParen)) {
    return next!.startOffset > token.startOffset + token.image.length && isIndexTuple(tokens, place + 1);
  }
  return is(next, identifier) && mayFollowIndex(tokens, place + 2);
}

/**
 * `(g, r < R)` and then `:` or `,`: a tuple of indices, and not a value that happens to stand on the next
 * line.
 */
function isIndexTuple(tokens: readonly IToken[], open: number): boolean {
  let depth = 0;
  for (let place = open; place < tokens.length; place++) {
    const token = tokens[place];
    if (is(token, marks.leftParen)) depth++;
    if (is(token, marks.rightParen)) depth--;
    if (depth === 0) return is(tokens[place + 1], marks.colon) || is(tokens[place + 1], marks.comma);
  }
  return false;
}

/** After `sum d` comes `:`, `,` or `<`; the start of an operand means that the `:` was forgotten. */
function mayFollowIndex(tokens: readonly IToken[], place: number): boolean {
  const token = tokens[place];
  const previous = tokens[place - 1]!;
  const isApart = token !== undefined && token.startOffset > previous.startOffset + previous.image.length;
  const startsOperand = [identifier, numberLiteral, stringLiteral, marks.leftParen];
  return (
    [marks.colon, marks.comma, marks.less].some((type) => is(token, type)) ||
    (isApart && startsOperand.some((type) => is(token, type)))
  );
}
