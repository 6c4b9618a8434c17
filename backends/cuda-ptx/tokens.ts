/** The text of PTX as tokens. Comments and white space are between them. */
import { PtxError } from './ptx-error.ts';

export type TokenKind = 'word' | 'dotted' | 'number' | 'string' | 'mark' | 'end';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly line: number;
  readonly column: number;
  /** Whether nothing stands between it and the token before. */
  readonly adjacent: boolean;
}

/** In the order in which they are tried. */
const patterns: readonly (readonly [TokenKind | 'blank', RegExp])[] = [
  ['blank', /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y],
  ['word', /[A-Za-z_$%][\w$]*/y],
  ['dotted', /\.[A-Za-z_0-9]+(?:::[A-Za-z_0-9]+)*/y],
  ['number', /0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|0[xX][0-9a-fA-F]+U?|\d+\.\d*(?:[eE][+-]?\d+)?|\d+U?/y],
  ['string', /"[^"\n]*"/y],
  ['mark', /[,;:{}[\]()<>@!+\-|=*~]/y],
];

/** @throws PtxError at a character that begins no token. */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let [at, line, lineStart, adjacent] = [0, 1, 0, false];
  while (at < text.length) {
    let found: string | undefined;
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = at;
      found = pattern.exec(text)?.[0];
      if (found === undefined) continue;
      if (kind === 'blank') {
        for (let place = text.indexOf('\n', at); place >= 0 && place < at + found.length; ) {
          line++;
          lineStart = place + 1;
          place = text.indexOf('\n', place + 1);
        }
      } else tokens.push({ kind, text: found, line, column: at - lineStart + 1, adjacent });
      adjacent = kind !== 'blank';
      break;
    }
    if (found === undefined)
      throw new PtxError(`${JSON.stringify(text[at])} begins nothing that PTX has`, {
        line,
        column: at - lineStart + 1,
      });
    at += found.length;
  }
  tokens.push({
    kind: 'end',
    text: 'the end of the text',
    line,
    column: at - lineStart + 1,
    adjacent: false,
  });
  return tokens;
}
