/** A picture of a mesh for a terminal: boxes of devices, in at most 80 columns. */
import { abbreviate, leftOut, type Shown } from './abbreviate.ts';
import type { Cell, Grid } from './grid.ts';
import { cellSegments, type Segment, segmentsWidth } from './holders-text.ts';

const terminalWidth = 80;
const mostRows = 12;
/** Between a cell's sides and what is in it. */
const margin = ' ';

/** A device has one colour in all pictures: ECMA-48 foregrounds. Devices further on use them again. */
const colours = [36, 33, 32, 35, 34, 31, 96, 93, 92, 95, 94, 91] as const;

export function drawGrids(grids: readonly Grid[], colour: boolean): string {
  return grids.map((grid) => drawGrid(grid, colour).join('\n')).join('\n\n');
}

function drawGrid(grid: Grid, colour: boolean): readonly string[] {
  const rows = abbreviate(grid.rows.length, mostRows);
  const labels = rows.map((row) => (row === undefined ? '⋮' : grid.rows[row]!));
  const labelWidth = Math.max(...labels.map(({ length }) => length));
  const indent = labelWidth === 0 ? '' : ' '.repeat(labelWidth + 1);
  const cells = (column: number) =>
    rows.flatMap((row) => (row === undefined ? [] : [cellSegments(grid.cells[row]![column]!)]));
  const widths = grid.columns.map((label, column) =>
    Math.max(label.length, ...cells(column).map(segmentsWidth)),
  );
  const columns = fitting(widths, terminalWidth - indent.length);
  const widthOf = (column: Shown) => (column === undefined ? 1 : widths[column]!);

  const border = ([left, middle, right]: readonly [string, string, string]) =>
    `${indent}${left}${columns.map((column) => '─'.repeat(widthOf(column) + 2)).join(middle)}${right}`;
  const line = (label: string, content: (column: Shown) => readonly Segment[]) => {
    const filled = columns.map((column) => {
      const segments = content(column);
      const rest = ' '.repeat(widthOf(column) - segmentsWidth(segments));
      return `${margin}${segments.map((segment) => painted(segment, colour)).join('')}${rest}${margin}`;
    });
    return `${labelWidth === 0 ? '' : `${label.padStart(labelWidth)} `}│${filled.join('│')}│`;
  };
  const ofCell = (cell: Cell | undefined) => cellSegments(cell ?? { holders: [], combined: '' });
  const body = rows.map((row, place) =>
    line(labels[place]!, (column) => {
      if (column === undefined) return [gap(row === undefined ? ' ' : '…')];
      return row === undefined ? [gap('⋮')] : ofCell(grid.cells[row]![column]);
    }),
  );
  const heading = columns
    .map((column) => (column === undefined ? '…' : grid.columns[column]!).padEnd(widthOf(column)))
    .join('   ');
  const missing = [
    leftOut(rows, grid.rows.length, 'rows'),
    leftOut(columns, grid.columns.length, 'columns'),
  ].filter((text) => text !== undefined);
  return [
    grid.title,
    ...grid.notes.map((note) => `  ${note}`),
    ...(heading.trim() === '' ? [] : [`${indent}  ${heading}`.trimEnd()]),
    border(['┌', '┬', '┐']),
    ...body.flatMap((row, place) => (place === 0 ? [row] : [border(['├', '┼', '┤']), row])),
    border(['└', '┴', '┘']),
    ...(missing.length === 0 ? [] : [`  ${missing.join(' and ')} are shown`]),
  ];
}

function gap(text: string): Segment {
  return { text, device: undefined };
}

/** As many columns as there is room for, the last one always. */
function fitting(widths: readonly number[], room: number): readonly Shown[] {
  const taken = (columns: readonly Shown[]) =>
    columns.reduce<number>((sum, column) => sum + 3 + (column === undefined ? 1 : widths[column]!), 1);
  // Each takes 4 characters or more.
  for (let most = Math.min(widths.length, Math.floor(room / 4)); most > 3; most--) {
    const columns = abbreviate(widths.length, most);
    if (taken(columns) <= room) return columns;
  }
  return abbreviate(widths.length, 3);
}

function painted({ text, device }: Segment, colour: boolean): string {
  if (!colour || device === undefined) return text;
  return `\u001b[${colours[device % colours.length]}m${text}\u001b[0m`;
}
