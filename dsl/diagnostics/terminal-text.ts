/** How text takes up space on a terminal, and what of it is safe to print. */

const tabWidth = 4;

const replaced = /[\p{Cc}\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\p{Cs}]/gu;
const zeroWidth = /^[\p{Mn}\p{Me}\u200b-\u200d]$/u;
const doubleWidth =
  /^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]$/u;

/** Control and direction-changing characters would change the terminal, not show what the file says. */
export function printable(text: string): string {
  return text.replace(replaced, (character) => {
    const code = character.codePointAt(0)!;
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : '\ufffd';
  });
}

export interface DisplayedLine {
  /** With tabs expanded and unprintable characters replaced. */
  readonly text: string;
  /** For each UTF-16 offset of the line, its end included, the terminal column from 0. */
  readonly columns: readonly number[];
}

export function displayLine(line: string): DisplayedLine {
  const columns: number[] = [];
  let text = '';
  let column = 0;
  for (const character of line) {
    for (let unit = 0; unit < character.length; unit += 1) columns.push(column);
    const width = character === '\t' ? tabWidth - (column % tabWidth) : characterWidth(character);
    text += character === '\t' ? ' '.repeat(width) : printable(character);
    column += width;
  }
  return { text, columns: [...columns, column] };
}

/** Lines of generated text may be of any length: of those longer than this, a part is shown. */
const longestShown = 160;

/**
 * The line, or the part of it around an offset with `…` where something is left out; its columns are those of
 * the part.
 */
export function excerptLine(line: string, around: number): DisplayedLine {
  if (line.length <= longestShown) return displayLine(line);
  const start = Math.max(0, Math.min(around - longestShown / 2, line.length - longestShown));
  const end = start + longestShown;
  const [before, after] = [start > 0 ? '…' : '', end < line.length ? '…' : ''];
  const part = displayLine(line.slice(start, end));
  const columns = Array.from({ length: line.length + 1 }, (_, offset) => {
    if (offset < start) return 0;
    return (
      before.length + (part.columns[Math.min(offset, end) - start] ?? 0) + (offset > end ? after.length : 0)
    );
  });
  return { text: `${before}${part.text}${after}`, columns };
}

function characterWidth(character: string): number {
  if (zeroWidth.test(character)) return 0;
  return doubleWidth.test(character) ? 2 : 1;
}
