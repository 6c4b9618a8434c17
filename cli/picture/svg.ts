/**
 * A picture of a mesh as SVG: a box for each block, and in it a chip for each device that holds it, of the
 * device's colour. Self-contained, without scripts, readable on white and on black, and the same bytes for
 * the same picture.
 */
import { abbreviate, leftOut, type Shown } from './abbreviate.ts';
import type { Cell, Grid } from './grid.ts';

/** Rows and columns. */
const most = 32;
/** Devices of one block; of more, the first ones are drawn and the others counted. */
const mostChips = 32;
const chipsPerLine = 8;

/** In pixels; of a character of the fixed-width font, an upper estimate. */
const character = 8;
const chip = { height: 20, gap: 4 };
const padding = 8;
const lineHeight = 20;
const outside = 16;

/** Fills on which dark text can be read, neighbours far apart; devices further on use them again. */
const fills = [
  '#9ecae9',
  '#ffbf79',
  '#a8dda0',
  '#f5a9a3',
  '#d5b8e8',
  '#f2d675',
  '#8fd8d2',
  '#f4b6d2',
  '#c4d79b',
  '#b7c3f3',
  '#e3c19f',
  '#cfd4d9',
] as const;

/** A drawing and the room that it takes. */
interface Drawing {
  readonly lines: readonly string[];
  readonly width: number;
  readonly height: number;
}

export function svgOf(grids: readonly Grid[]): string {
  let y = outside;
  const drawings = grids.map((grid) => {
    const drawing = drawGrid(grid, outside, y);
    y += drawing.height + outside;
    return drawing;
  });
  const width = Math.max(...drawings.map((drawing) => drawing.width)) + 2 * outside;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">`,
    `  <title>${escaped(grids.map(({ title }) => title).join('; '))}</title>`,
    '  <style>',
    '    /* A grey that is readable on white and on black. */',
    '    text { font: 13px ui-monospace, monospace; fill: #757d86; white-space: pre; }',
    '    text.title { font-weight: bold; }',
    '    text.device { fill: #24292f; text-anchor: middle; }',
    '    rect.block { fill: none; stroke: #757d86; stroke-width: 1.5; }',
    '    rect.parts { fill: none; stroke: #757d86; stroke-dasharray: 4 3; }',
    '  </style>',
    ...drawings.flatMap(({ lines }) => lines.map((line) => `  ${line}`)),
    '</svg>',
    '',
  ].join('\n');
}

function drawGrid(grid: Grid, left: number, top: number): Drawing {
  const [rows, columns] = [abbreviate(grid.rows.length, most), abbreviate(grid.columns.length, most)];
  const missing = [
    leftOut(rows, grid.rows.length, 'rows'),
    leftOut(columns, grid.columns.length, 'columns'),
  ].filter((text) => text !== undefined);
  const heading = [...grid.notes, ...(missing.length === 0 ? [] : [`${missing.join(' and ')} are shown`])];
  const lines = [
    text(grid.title, left, top + 14, 'title'),
    ...heading.map((note, place) => text(note, left, top + 14 + (place + 1) * lineHeight)),
  ];
  const labels = rows.map((row) => (row === undefined ? '⋮' : grid.rows[row]!));
  const cellAt = (row: Shown, column: Shown): Cell | undefined =>
    row === undefined || column === undefined ? undefined : grid.cells[row]![column];
  const sizes = rows.map((row) => columns.map((column) => cellSize(cellAt(row, column))));
  const widths = columns.map((column, place) =>
    Math.max(
      column === undefined ? 0 : textWidth(grid.columns[column]!) + padding,
      ...sizes.map((row) => row[place]!.width),
    ),
  );
  const heights = sizes.map((row) => Math.max(...row.map(({ height }) => height)));

  const gridLeft = left + Math.max(...labels.map(textWidth)) + (labels.some((label) => label !== '') ? 8 : 0);
  let y = top + (heading.length + 1) * lineHeight + 4;
  if (grid.columns.some((label) => label !== '')) {
    let x = gridLeft;
    for (const [place, column] of columns.entries()) {
      lines.push(text(column === undefined ? '…' : grid.columns[column]!, x + 4, y + 14));
      x += widths[place]!;
    }
    y += lineHeight;
  }
  let right = gridLeft;
  for (const [at, row] of rows.entries()) {
    const height = heights[at]!;
    if (labels[at] !== '') lines.push(text(labels[at]!, left, y + height / 2 + 5));
    let x = gridLeft;
    for (const [place, column] of columns.entries()) {
      const cell = cellAt(row, column);
      if (cell === undefined) lines.push(text(column === undefined ? '…' : '⋮', x + 8, y + height / 2 + 5));
      else lines.push(...drawCell(cell, { x, y, width: widths[place]!, height }));
      x += widths[place]!;
    }
    right = x;
    y += height;
  }
  const texts = [grid.title, ...heading].map(textWidth);
  return { lines, width: Math.max(right - left, ...texts), height: y - top };
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A line of chips of one holder, or of holders that are one device each. */
interface ChipLine {
  readonly before: string;
  readonly devices: readonly number[];
  readonly after: string;
}

function chipLines({ holders, combined }: Cell): readonly ChipLine[] {
  const groups = combined === '' ? [holders.flat()] : holders;
  const drawn: ChipLine[] = [];
  let room = mostChips;
  for (const group of groups) {
    const devices = group.slice(0, room);
    room -= devices.length;
    for (let begin = 0; begin < devices.length; begin += chipsPerLine)
      drawn.push({
        before: begin === 0 ? combined : '',
        devices: devices.slice(begin, begin + chipsPerLine),
        after: '',
      });
  }
  const left = groups.flat().length - (mostChips - room);
  return left === 0 ? drawn : [...drawn, { before: '', devices: [], after: `and ${left} more` }];
}

function chipWidth(device: number): number {
  return Math.max(3, `${device}`.length + 1) * character;
}

function lineWidth({ before, devices, after }: ChipLine): number {
  const chips = devices.reduce((sum, device) => sum + chipWidth(device) + chip.gap, 0);
  return textWidth(before) + (before === '' ? 0 : chip.gap) + chips + textWidth(after);
}

function cellSize(cell: Cell | undefined): Pick<Box, 'width' | 'height'> {
  if (cell === undefined) return { width: 3 * character, height: chip.height + 2 * padding };
  const lines = chipLines(cell);
  return {
    width: Math.max(...lines.map(lineWidth)) - chip.gap + 2 * padding,
    height: lines.length * (chip.height + chip.gap) - chip.gap + 2 * padding,
  };
}

function drawCell(cell: Cell, { x, y, width, height }: Box): readonly string[] {
  const drawn = [`<rect class="block" x="${x}" y="${y}" width="${width}" height="${height}" />`];
  for (const [place, line] of chipLines(cell).entries()) {
    const top = y + padding + place * (chip.height + chip.gap);
    let left = x + padding;
    if (line.before !== '') {
      drawn.push(text(line.before, left, top + 14));
      left += textWidth(line.before) + chip.gap;
    }
    if (cell.combined !== '' && line.devices.length > 0) {
      const inside = lineWidth({ ...line, before: '', after: '' }) - chip.gap;
      drawn.push(
        `<rect class="parts" x="${left - 2}" y="${top - 2}" width="${inside + 4}" height="${chip.height + 4}" rx="5" />`,
      );
    }
    for (const device of line.devices) {
      const fill = fills[device % fills.length]!;
      const own = chipWidth(device);
      drawn.push(
        `<rect fill="${fill}" x="${left}" y="${top}" width="${own}" height="${chip.height}" rx="4" />`,
        text(`${device}`, left + own / 2, top + 14, 'device'),
      );
      left += own + chip.gap;
    }
    if (line.after !== '') drawn.push(text(line.after, left, top + 14));
  }
  return drawn;
}

function text(content: string, x: number, y: number, kind?: 'title' | 'device'): string {
  const named = kind === undefined ? '' : ` class="${kind}"`;
  return `<text${named} x="${x}" y="${y}">${escaped(content)}</text>`;
}

function textWidth(content: string): number {
  return content.length * character;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
