/** Carries out a fix on a text. */
import type { Fix } from './diagnostic.ts';

/**
 * The text of `file` after the edits of `fix` to that file; by default the file of the first edit. Spans
 * refer to the text before any edit; insertions at one point keep their order. Throws a RangeError for edits
 * that overlap or lie outside the text: such a fix is a fault of the compiler.
 */
export function applyFix(text: string, fix: Fix, file: string | undefined = fix.edits[0]?.span.file): string {
  const edits = fix.edits
    .filter(({ span }) => span.file === file)
    .sort((left, right) => left.span.start - right.span.start || left.span.end - right.span.end);
  let result = '';
  let position = 0;
  for (const { span, text: replacement } of edits) {
    if (span.start < position || span.end < span.start || span.end > text.length) {
      throw new RangeError(`the edits of "${fix.message}" overlap or lie outside ${file}`);
    }
    result += text.slice(position, span.start) + replacement;
    position = span.end;
  }
  return result + text.slice(position);
}
