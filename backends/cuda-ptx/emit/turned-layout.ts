/**
 * Where elements of turned tiles lie in shared memory: squares, narrow as in global memory, that are filled
 * along rows and read down columns. Where the sixteen-byte pieces of a row lie depends on the row, so that
 * neither meets a bank twice: invocations that fill have neighbouring pieces of a row; those that read have
 * runs of rows each, as long as the tile's block, and neighbours among them the same columns.
 */
import { divisorOf, laneStride, neighbours } from '../../../compiler/tiles/lanes.ts';
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Tile } from '../../../compiler/tiles/tile-program.ts';
import type { Dtype } from '../../../dsl/types/dtype.ts';
import { linearConstant, plus } from '../../writing/linear.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import type { Emission, Sum, TileState } from './emission.ts';
import { bytesOf, decoded } from './narrow.ts';
import { sharedStart } from './shared-memory.ts';
import { sumOf } from './sums.ts';
import { type Lanes, lanesFrom, literal, type Value } from './values.ts';

/** Of a row, the longest that is written at once. */
const pieceBytes = 16;

export interface Square {
  readonly stored: Dtype;
  readonly side: number;
  /** Elements that are filled, and read, at once. */
  readonly together: number;
  /** Of those the ones that lie in one piece. */
  readonly inPiece: number;
  readonly rowBytes: number;
}

export function squareOf({ name, axes, turned: stored }: Tile): Square {
  const [rows, columns] = axes;
  if (stored === undefined || rows === undefined || rows.extent !== columns?.extent)
    throw new Error(`${name} is no square to be turned`);
  const { extent: side, block: together } = columns;
  const inPiece = Math.min(together, pieceBytes / bytesOf(stored));
  return { stored, side, together, inPiece, rowBytes: side * bytesOf(stored) };
}

export function turnedBytes(tile: Tile): number {
  const { side, rowBytes } = squareOf(tile);
  return side * rowBytes;
}

/** The address of an element, but for where the tile begins. */
export function turnedAddress(emission: Emission, square: Square, row: Value, column: Value): Value {
  const { writer } = emission;
  const { stored, together, rowBytes } = square;
  const bits = (opcode: string, value: Value, by: number) =>
    writer.operation(opcode, 'u32', [value, literal(by, 'u32')]);
  const shift = Math.log2(pieceBytes / bytesOf(stored));
  const turn = bits('and.b32', bits('shr.u32', row, Math.log2(together)), rowBytes / pieceBytes - 1);
  const piece = writer.operation('xor.b32', 'u32', [bits('shr.u32', column, shift), turn]);
  const within = bits('shl.b32', bits('and.b32', column, 2 ** shift - 1), Math.log2(bytesOf(stored)));
  const inRow = writer.operation('add.u32', 'u32', [bits('shl.b32', piece, Math.log2(pieceBytes)), within]);
  const inTile = writer.operation('mad.lo.u32', 'u32', [row, literal(rowBytes, 'u32'), inRow]);
  return writer.operation('add.u32', 'u32', [sharedStart(emission), inTile]);
}

/**
 * How far behind the first of an invocation's run of rows a point is.
 * @throws where it has no such run
 */
export function behindRun(
  { name, axes }: Tile,
  [row, column]: readonly TileExpression[],
  { domain, fragment }: PointOf<Value>,
): number {
  const together = axes.at(-1)!.block;
  const run = neighbours(domain.axes, together);
  const isRun = laneStride(row!, run) === 1 && divisorOf(row!, run) % together === 0;
  if (!isRun || laneStride(column!, run) !== 0 || fragment === undefined)
    throw new Error(`${name} is read other than in runs of ${together}`);
  return fragment.at(-1)! % together;
}

/** Four neighbours of a column, the first of them `behind` the first of a run. */
export function readTurned(
  emission: Emission,
  { tile, version }: TileState,
  [row, column]: readonly [Sum, Sum],
  behind: number,
): Lanes {
  const { writer, shared } = emission;
  const square = squareOf(tile);
  const start = sumOf(writer, plus(row, linearConstant(-behind)));
  const address = turnedAddress(emission, square, start, sumOf(writer, column));
  const type = types[bytesOf(square.stored)];
  return lanesFrom(4, (lane) => {
    const displacement = shared.start(tile.name) + (behind + lane) * square.rowBytes;
    const [bits] = writer.compute(
      ['u32'],
      [address],
      ([result], [at]) => `ld.shared.${type} ${result}, [${at}+${displacement}];`,
      { fixed: true, version: `${tile.name}@${version}` },
    );
    return decoded(writer, square.stored, bits!);
  });
}

const types = { 1: 'u8', 2: 'u16', 4: 'b32' } as const;
