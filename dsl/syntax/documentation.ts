/** Documentation comments belong to the declaration right behind them. */
import type { Comment } from './tree.ts';

/**
 * The `///` lines that end right above `offset`, without slashes; other comments and a blank line end them.
 */
export function documentationBefore(
  comments: readonly Comment[],
  offset: number,
  text: string,
): string | undefined {
  const lines: string[] = [];
  let below = offset;
  for (const { kind, span, text: line } of comments.filter(({ span }) => span.end <= offset).reverse()) {
    const between = text.slice(span.end, below);
    if (kind !== 'documentation' || between.trim() !== '' || /\n[^\n]*\n/.test(between)) break;
    lines.push(line.trim());
    below = span.start;
  }
  return lines.length === 0 ? undefined : lines.reverse().join('\n');
}
