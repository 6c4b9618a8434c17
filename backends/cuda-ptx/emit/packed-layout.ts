/**
 * The order of a packed tile in shared memory. Rows of up to 128 bytes lie one behind the other, wider tiles
 * in panels of 128 bytes a row, or 64 or 32 where those do not divide theirs; and where the sixteen-byte
 * pieces of a row lie depends on the row, so that the eight rows that a matrix unit asks for at once lie in
 * different banks. It is the order that TMA writes and wgmma reads (PTX ISA, "Swizzling modes"): bits 4 to 6
 * of a place, as far as rows are wide, are those written plus bits 7 to 9, without carry.
 */
import { packedFacts } from '../../../compiler/tiles/packed.ts';
import type { Tile } from '../../../compiler/tiles/tile-program.ts';
import type { Emission, TileState } from './emission.ts';
import { literal, type Value } from './values.ts';

export const widestRow = 128;
const rowsOfPanels = [widestRow, 64, 32];

/** Of a packed tile. */
export function elementBytes({ name, packed }: Tile): number {
  if (packed === undefined) throw new Error(`${name} is not packed`);
  return packedFacts[packed].bytes;
}

export interface PackedLayout {
  /** Of a row in a panel: 32, 64 or 128. */
  readonly rowBytes: number;
  readonly panelBytes: number;
  readonly panels: number;
}

export function packedLayout(tile: Tile): PackedLayout {
  const { name, axes } = tile;
  const [rows, columns] = axes.map(({ extent }) => extent) as [number, number];
  const bytes = columns * elementBytes(tile);
  const rowBytes = rowsOfPanels.find((each) => bytes % each === 0);
  if (rowBytes === undefined || rows % 8 !== 0)
    throw new Error(`packed tile ${name} is of ${rows} × ${columns}`);
  return { rowBytes, panelBytes: rows * rowBytes, panels: bytes / rowBytes };
}

export function packedBytes(tile: Tile): number {
  const { panelBytes, panels } = packedLayout(tile);
  return panels * panelBytes;
}

/**
 * How many bytes behind a packed tile's first an element is, but for whole eights of rows: those are
 * `rowBytes` each, which is the same in any order.
 * @param width elements from there that are needed, of which the first is a multiple
 */
export function packedPlace(
  { writer }: Emission,
  { tile }: TileState,
  row: Value,
  column: Value,
  width: number,
): Value {
  const { rowBytes, panelBytes, panels } = packedLayout(tile);
  const bytes = elementBytes(tile);
  const perPiece = 16 / bytes;
  const bits = (opcode: string, value: Value, by: number) =>
    writer.operation(opcode, 'u32', [value, literal(by, 'u32')]);
  const pieces = rowBytes / 16;
  const turn = bits(
    'and.b32',
    rowBytes === widestRow ? row : bits('shr.u32', row, Math.log2(widestRow / rowBytes)),
    pieces - 1,
  );
  const piece = bits('and.b32', bits('shr.u32', column, Math.log2(perPiece)), pieces - 1);
  let place = bits('shl.b32', writer.operation('xor.b32', 'u32', [piece, turn]), 4);
  place = writer.operation('mad.lo.u32', 'u32', [row, literal(rowBytes, 'u32'), place]);
  if (panels > 1) {
    const panel = bits('shr.u32', column, Math.log2(rowBytes / bytes));
    place = writer.operation('mad.lo.u32', 'u32', [panel, literal(panelBytes, 'u32'), place]);
  }
  if (width % perPiece === 0) return place;
  return writer.operation('mad.lo.u32', 'u32', [
    bits('and.b32', column, perPiece - 1),
    literal(bytes, 'u32'),
    place,
  ]);
}
