/**
 * Source lines with marks beneath them. A mark within one line underlines it; one over several lines is a
 * bracket in a margin left of the source, one margin each.
 *
 *     3 │   let h = sum d:
 *       │ ╭─────────^
 *     4 │ │   x[d]
 *       │ ╰───────^ the reduction
 */
import type { LineTable, Range } from './source-position.ts';
import { lineText } from './source-position.ts';
import type { Paint, Style } from './terminal-style.ts';
import type { DisplayedLine } from './terminal-text.ts';
import { excerptLine, printable } from './terminal-text.ts';

export interface Mark {
  readonly range: Range;
  readonly message: string;
  readonly style: Style;
  readonly underline: '^' | '-';
}

/** Of a mark over more lines than this, only the first and the last are shown. */
const maximalLinesShown = 5;

interface Canvas {
  readonly table: LineTable;
  readonly brackets: readonly Mark[];
  readonly gutterWidth: number;
  readonly paint: Paint;
}

/** The lines that the marks are on, in ascending order, each with its marks in the order given. */
export function renderSnippet(
  table: LineTable,
  marks: readonly Mark[],
  gutterWidth: number,
  paint: Paint,
): readonly string[] {
  const brackets = marks.filter(({ range }) => range.start.line < range.end.line);
  const canvas: Canvas = { table, brackets, gutterWidth, paint };
  const shown = [...new Set(marks.flatMap(linesShown))].sort((left, right) => left - right);
  return shown.flatMap((line, position) => {
    const previous = shown[position - 1];
    const skipped = previous !== undefined && previous < line - 1;
    return [
      ...(skipped ? [row(canvas, '·', margins(canvas, line, 'source'), '')] : []),
      ...renderLine(canvas, marks, line),
    ];
  });
}

function linesShown({ range }: Mark): readonly number[] {
  const count = range.end.line - range.start.line + 1;
  if (count > maximalLinesShown) return [range.start.line, range.end.line];
  return Array.from({ length: count }, (_, index) => range.start.line + index);
}

function renderLine(canvas: Canvas, marks: readonly Mark[], line: number): readonly string[] {
  const first = marks.find(({ range }) => range.start.line === line || range.end.line === line);
  const around = first?.range[first.range.start.line === line ? 'start' : 'end'].column ?? 1;
  const displayed = excerptLine(lineText(canvas.table, line), around);
  const underlined = marks.filter(({ range }) => range.start.line === line && range.end.line === line);
  const started = canvas.brackets.filter(({ range }) => range.start.line === line);
  const ended = canvas.brackets.filter(({ range }) => range.end.line === line);
  const inside = margins(canvas, line, 'source');
  return [
    row(canvas, String(line), inside, displayed.text),
    ...underlined.flatMap((mark) => underlineRows(canvas, mark, displayed, inside)),
    ...started.map((mark) => bracketRow(canvas, mark, line, 'start', displayed)),
    ...ended.flatMap((mark) => [
      bracketRow(canvas, mark, line, 'end', displayed),
      ...continuationRows(canvas, mark, margins(canvas, line, mark), endColumn(mark, displayed) + 2),
    ]),
  ];
}

function columnOf(displayed: DisplayedLine, column: number): number {
  return displayed.columns[column - 1] ?? displayed.columns.at(-1)!;
}

/** The column of the last character of a mark over several lines. */
function endColumn({ range }: Mark, displayed: DisplayedLine): number {
  return columnOf(displayed, Math.max(1, range.end.column - 1));
}

function underlineRows(
  canvas: Canvas,
  mark: Mark,
  displayed: DisplayedLine,
  margin: string,
): readonly string[] {
  const start = columnOf(displayed, mark.range.start.column);
  const width = Math.max(1, columnOf(displayed, mark.range.end.column) - start);
  const drawn = `${mark.underline.repeat(width)}${firstLine(mark)}`;
  return [
    row(canvas, '', margin, `${' '.repeat(start)}${canvas.paint(mark.style, drawn)}`),
    ...continuationRows(canvas, mark, margin, start + width + 1),
  ];
}

function firstLine({ message }: Mark): string {
  const [first] = message.split('\n');
  return first ? ` ${printable(first)}` : '';
}

/** The lines of a message after the first, aligned with it. */
function continuationRows(canvas: Canvas, mark: Mark, margin: string, indent: number): readonly string[] {
  const lines = mark.message.split('\n').slice(1).map(printable);
  return lines.map((line) =>
    row(canvas, '', margin, `${' '.repeat(indent)}${canvas.paint(mark.style, line)}`),
  );
}

/** The row on which a bracket begins or ends: its corner, then a line to the character it is about. */
function bracketRow(
  canvas: Canvas,
  mark: Mark,
  line: number,
  side: 'start' | 'end',
  displayed: DisplayedLine,
): string {
  const own = canvas.brackets.indexOf(mark);
  const corner = side === 'start' ? '╭' : '╰';
  const left = marginGlyphs(canvas, line, mark).slice(0, own).map(paintGlyph(canvas)).join('');
  const target = side === 'start' ? columnOf(displayed, mark.range.start.column) : endColumn(mark, displayed);
  const reach = '─'.repeat(2 * (canvas.brackets.length - own) - 1 + target);
  const message = side === 'end' ? firstLine(mark) : '';
  const drawn = canvas.paint(mark.style, `${corner}${reach}${mark.underline}${message}`);
  return row(canvas, '', left, drawn);
}

interface Glyph {
  readonly drawn: string;
  readonly style: Style;
}

function paintGlyph(canvas: Canvas): (glyph: Glyph) => string {
  return ({ drawn, style }) => (drawn === ' ' ? '  ' : `${canvas.paint(style, drawn)} `);
}

/**
 * What each margin shows beside a source line (`source`), or beside the rows of a bracket beneath it:
 * brackets drawn before that one have begun or ended by then.
 */
function marginGlyphs(canvas: Canvas, line: number, at: Mark | 'source'): readonly Glyph[] {
  return canvas.brackets.map((bracket) => {
    const { start, end } = bracket.range;
    const drawn = isDrawnBefore(canvas, bracket, at, line);
    const begun = start.line < line || (start.line === line && drawn);
    const over = end.line < line || (end.line === line && drawn);
    return { drawn: begun && !over ? '│' : ' ', style: bracket.style };
  });
}

/** Beneath a line, brackets that begin come before those that end, each in the order of the marks. */
function isDrawnBefore(canvas: Canvas, bracket: Mark, at: Mark | 'source', line: number): boolean {
  if (at === 'source') return false;
  const rank = (mark: Mark): number =>
    (mark.range.end.line === line ? canvas.brackets.length : 0) + canvas.brackets.indexOf(mark);
  return bracket === at || rank(bracket) < rank(at);
}

function margins(canvas: Canvas, line: number, at: Mark | 'source'): string {
  return marginGlyphs(canvas, line, at).map(paintGlyph(canvas)).join('');
}

function row(canvas: Canvas, gutter: string, margin: string, content: string): string {
  const bar = gutter === '·' ? '·' : '│';
  const number = (gutter === '·' ? '' : gutter).padStart(canvas.gutterWidth);
  const body = `${margin}${content}`.trimEnd();
  return `${canvas.paint('gutter', `${number} ${bar}`)}${body === '' ? '' : ` ${body}`}`;
}
