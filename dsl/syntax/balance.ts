/**
 * Brackets of one declaration. Each that is never closed gets its partner where that must have been meant at
 * the latest: before a bracket that closes an earlier one, before a `let` inside parentheses, at the end.
 * What closes nothing is left out.
 */
import { createTokenInstance, type IToken, type TokenType } from 'chevrotain';
import { is } from './classify.ts';
import { type Problem, problemAt, tokenSpan } from './problem.ts';
import { marks, pendingBrace, reserved } from './tokens.ts';

export interface Balanced {
  readonly tokens: readonly IToken[];
  /** For each place where something had to be done, one. */
  readonly problems: readonly Problem[];
  /** From this offset on, what the parser finds wrong may come of a bracket that is missing or too many. */
  readonly doubtfulFrom: number;
}

const pairs: readonly (readonly [TokenType, TokenType])[] = [
  [marks.leftParen, marks.rightParen],
  [marks.leftBracket, marks.rightBracket],
  [marks.leftBrace, marks.rightBrace],
  [pendingBrace, marks.rightBrace],
];

interface Open {
  readonly token: IToken;
  readonly close: TokenType;
}

export function balance(tokens: readonly IToken[], file: string): Balanced {
  const result: IToken[] = [];
  const problems: Problem[] = [];
  const open: Open[] = [];
  let doubtfulFrom = Number.POSITIVE_INFINITY;

  /** Closes what was opened after the first `keep`; the innermost is reported. */
  const closeTo = (keep: number): void => {
    const last = result.at(-1);
    const offset = last === undefined ? 0 : last.startOffset + last.image.length;
    const unclosed = open.splice(keep).reverse();
    for (const { token, close } of unclosed) {
      // Inside an open parenthesis anything may have been meant; a block goes on as blocks do.
      const doubtful = close === marks.rightBrace ? offset : token.startOffset;
      doubtfulFrom = Math.min(doubtfulFrom, doubtful);
      result.push(inserted(close, offset));
    }
    const [innermost] = unclosed;
    if (innermost !== undefined) problems.push(neverClosed(innermost, offset, file));
  };

  for (const [place, token] of tokens.entries()) {
    const pair = pairs.find(([opening]) => is(token, opening));
    if (pair !== undefined) open.push({ token, close: pair[1] });
    else if (pairs.some(([, closing]) => is(token, closing))) {
      const partner = open.findLastIndex(({ close }) => close === token.tokenType);
      if (partner < 0) {
        if (token.startOffset < doubtfulFrom) problems.push(closesNothing(token, open.at(-1), file));
        doubtfulFrom = Math.min(doubtfulFrom, token.startOffset);
        continue;
      }
      closeTo(partner + 1);
      open.pop();
    } else if (startsBinding(tokens, place)) {
      closeTo(open.findLastIndex(({ close }) => close === marks.rightBrace) + 1);
    }
    result.push(token);
  }
  closeTo(0);
  return { tokens: result, problems, doubtfulFrom };
}

function startsBinding(tokens: readonly IToken[], place: number): boolean {
  return (
    tokens[place]?.tokenType === reserved.let &&
    !is(tokens[place - 1], marks.dot) &&
    !is(tokens[place + 1], marks.colon)
  );
}

/** Takes no room in the text; the parser reports nothing at it. */
function inserted(type: TokenType, offset: number): IToken {
  const token = createTokenInstance(type, '', offset, offset, Number.NaN, Number.NaN, Number.NaN, Number.NaN);
  return { ...token, isInsertedInRecovery: true };
}

function neverClosed({ token, close }: Open, offset: number, file: string): Problem {
  const partner = String(close.PATTERN);
  const closeIt = `close it with \`${partner}\``;
  return problemAt('E0102', token, file, `this \`${token.image}\` is never closed`, {
    secondary: [
      { span: { file, start: offset, end: offset }, message: `\`${partner}\` is missing here at the latest` },
    ],
    help: [closeIt],
    fixes: [{ message: closeIt, edits: [{ span: { file, start: offset, end: offset }, text: partner }] }],
  });
}

function closesNothing(token: IToken, innermost: Open | undefined, file: string): Problem {
  const leaveOut = 'leave it out';
  return problemAt('E0101', token, file, `this \`${token.image}\` closes nothing`, {
    secondary:
      innermost === undefined
        ? []
        : [{ span: tokenSpan(innermost.token, file), message: 'this is open and closed otherwise' }],
    help: [leaveOut],
    fixes: [{ message: leaveOut, edits: [{ span: tokenSpan(token, file), text: '' }] }],
  });
}
