/** Columns that line up, and counts for people. */

export type Alignment = 'left' | 'right';

/**
 * Rows of cells as lines: each column as wide as its widest cell, two spaces between, nothing behind the
 * last.
 */
export function alignColumns(
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[],
): readonly string[] {
  const widths = alignments.map((_, column) => Math.max(0, ...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return alignments[column] === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** `1.05 M`: three significant digits and a decimal prefix. */
export function countText(count: number): string {
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
  if (count < 1000) return `${count}`;
  // Rounded first: 999 700 is 1.00 M, not 1000 k.
  const rounded = Number(count.toPrecision(3));
  const exponent = Math.min(prefixes.length - 1, Math.floor(Math.log10(rounded) / 3));
  return `${(rounded / 1000 ** exponent).toPrecision(3)} ${prefixes[exponent]}`;
}

/** `1 kernel`, `2 kernels`; of nouns that take an s, or the ending given. */
export function counted(count: number, noun: string, ending: string = 's'): string {
  return `${count} ${noun}${count === 1 ? '' : ending}`;
}
