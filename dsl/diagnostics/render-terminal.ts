/** Diagnostics for people at a terminal: the message, the places in the source, and what to do about it. */
import type { Diagnostic } from './diagnostic.ts';
import { renderSnippet } from './snippet.ts';
import { lineTable, rangeOf } from './source-position.ts';
import type { Paint } from './terminal-style.ts';
import { painter } from './terminal-style.ts';
import { printable } from './terminal-text.ts';

export interface TerminalOptions {
  readonly colour: boolean;
}

/**
 * The diagnostic as lines without a line break at the end. `sources` has the text of each file by path; of a
 * file that is not there, only the name and the remark are shown.
 */
export function renderDiagnostic(
  diagnostic: Diagnostic,
  sources: ReadonlyMap<string, string>,
  options: TerminalOptions,
): string {
  const paint = painter(options.colour);
  const marks = [
    { ...diagnostic.primary, style: diagnostic.severity, underline: '^' } as const,
    ...diagnostic.secondary.map((label) => ({ ...label, style: 'secondary', underline: '-' }) as const),
  ];
  const files = [...new Set(marks.map(({ span }) => span.file))].map((file) => {
    const text = sources.get(file);
    const table = text === undefined ? undefined : lineTable(text);
    const located = marks
      .filter(({ span }) => span.file === file)
      .map((mark) => ({ ...mark, range: table && rangeOf(table, withoutLineBreak(mark.span, table.text)) }));
    return { file, table, located };
  });
  const lastLine = Math.max(
    1,
    ...files.flatMap(({ located }) => located.map(({ range }) => range?.end.line ?? 1)),
  );
  const gutter = ' '.repeat(String(lastLine).length);
  const snippets = files.flatMap(({ file, table, located }) => {
    const start = located[0]!.range?.start;
    const place = start ? `${file}:${start.line}:${start.column}` : file;
    const header = `${gutter} ${paint('gutter', '┌─')} ${printable(place)}`;
    if (table) {
      const ranged = located.flatMap(({ range, ...mark }) => (range ? [{ ...mark, range }] : []));
      return [header, ...renderSnippet(table, ranged, gutter.length, paint)];
    }
    const remarks = located.filter(({ message }) => message !== '');
    return [
      header,
      ...remarks.map(
        ({ message, style }) => `${gutter} ${paint('gutter', '│')} ${paint(style, printable(message))}`,
      ),
    ];
  });
  const fixes = diagnostic.fixes
    .map(({ message }) => message)
    .filter((message) => !diagnostic.help.includes(message));
  const code = paint(diagnostic.severity, `${diagnostic.severity}[${diagnostic.code}]`);
  return [
    `${code}: ${paint('strong', printable(diagnostic.message))}`,
    ...snippets,
    ...diagnostic.notes.map((note) => remark(gutter, 'note', note, paint)),
    ...[...diagnostic.help, ...fixes].map((help) => remark(gutter, 'help', help, paint)),
  ].join('\n');
}

/** A span that ends with a line break is shown to the end of that line, not into the next. */
function withoutLineBreak(span: Diagnostic['primary']['span'], text: string): Diagnostic['primary']['span'] {
  const covered = text.slice(span.start, span.end);
  const shortened = covered.replace(/(?:\r?\n)+$/, '');
  return shortened === '' ? span : { ...span, end: span.start + shortened.length };
}

/** Further lines of a remark are aligned with its first. */
function remark(gutter: string, kind: 'note' | 'help', text: string, paint: Paint): string {
  const [first, ...more] = text.split('\n').map(printable);
  const lead = `${gutter} ${paint('gutter', '=')} ${paint('strong', `${kind}:`)} ${first}`;
  const indent = ' '.repeat(gutter.length + ' = note: '.length);
  return [lead, ...more.map((line) => `${indent}${line}`)].join('\n');
}
