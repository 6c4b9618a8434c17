/**
 * Results of warpgroups that leave row by row, as those of experts do, whose rows lie anywhere: a warp puts
 * some columns of its sixteen rows into shared memory, by `stmatrix`, and its lanes store sixteen bytes of a
 * row each, so that neighbours store neighbours and find out where a row is once for eight results. A warp
 * waits for no other.
 */
import { createDomain, divisorOf, laneStride, neighbours } from '../../../compiler/tiles/lanes.ts';
import { type Half, isHalf } from '../../../compiler/tiles/packed.ts';
import { packed, spread } from '../../../compiler/tiles/tile-builder.ts';
import type { StatementOf, Tile } from '../../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import { matrixWords } from './boxed-stores.ts';
import { bufferOf, type Emission, type TileState } from './emission.ts';
import { emit, linear } from './expressions.ts';
import { storeWords } from './memory.ts';
import { packedBytes, packedPlace } from './packed-layout.ts';
import { registerPoints } from './register-tiles.ts';
import { sharedStart } from './shared-memory.ts';
import { packedAlignment } from './shared-places.ts';
import { sumOf } from './sums.ts';
import { textsOf } from './unit-parts.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';
import { groupRows, groupWarps } from './warpgroup-products.ts';

type Store = StatementOf<'store'>;

/** Of a warp in a block of rows of its warpgroup. */
const warpRows = groupRows / groupWarps;
/** Elements that a lane stores at once. */
const together = 8;
/** Elements of a row that a warp puts into shared memory at once. */
const mostColumns = 64;

export interface RowStore {
  readonly statement: Store;
  readonly stored: Half;
  /** Columns at a time. */
  readonly columns: number;
}

/** Undefined where eight neighbours of a row are not stored together, or others have them. */
export function rowStoreOf(emission: Emission, statement: Store): RowStore | undefined {
  const { program, target } = emission;
  const { axes, tensor, offset, mask } = statement;
  const [high, wide] = axes;
  const { dtype: stored } = bufferOf(emission, tensor).tensor;
  const isOfGroups = target === 'sm_90a' && program.threads.columns === warpSize;
  if (!isOfGroups || high?.over !== 'unitRows' || high.block !== warpRows) return undefined;
  if (wide?.over !== 'unitColumns' || !isHalf(stored)) return undefined;
  const eight = neighbours(axes, together);
  const isRun = laneStride(offset, eight) === 1 && divisorOf(offset, eight) % together === 0;
  const isSame = mask === undefined || laneStride(mask, eight) === 0;
  const columns = [mostColumns, 32, 16].find((each) => wide.extent % each === 0);
  return isRun && isSame && columns !== undefined ? { statement, stored, columns } : undefined;
}

export function emitRowStore(emission: Emission, { statement, stored, columns }: RowStore): void {
  const { writer, program, shared, unit } = emission;
  const { rows: warps } = program.threads;
  const [high, wide] = statement.axes.map(({ extent }) => extent) as [number, number];
  const tile = packed('rows_leaving', stored, [spread(warps * warpRows, 'whole'), spread(columns, 'whole')]);
  shared.reserve(tile.name, packedBytes(tile), packedAlignment);
  const points = registerPoints(emission, createDomain(statement.axes));
  const own = times(linearValue(unit.warpRow, { isNatural: true }), warpRows);
  const meet = () => writer.effect('bar.warp.sync 0xffffffff;');
  for (let block = 0; block < high / (warps * warpRows); block++)
    for (let first = 0; first < wide; first += columns) {
      meet();
      for (let column = 0; column < columns; column += 16) {
        const words = matrixWords(emission, statement, stored, points, block, first + column);
        const [row, right] = [bits(emission, 'and.b32', 15), bits(emission, 'shr.u32', 4)];
        const along = plus(linearConstant(column), times(linearValue(right, { isNatural: true }), 8));
        const into = placeIn(emission, tile, plus(own, linearValue(row, { isNatural: true })), along);
        writer.effect(
          `stmatrix.sync.aligned.m8n8.x4.shared::cta.b16 [${into.text}+${shared.start(tile.name)}], ${textsOf(words)};`,
        );
      }
      meet();
      storeRows(emission, { statement, stored, columns }, tile, block, first);
    }
  bufferOf(emission, statement.tensor).version++;
}

/** What a warp has put into shared memory, each lane some pieces of it. */
function storeRows(
  emission: Emission,
  { statement, columns }: RowStore,
  tile: Tile,
  block: number,
  first: number,
): void {
  const { writer, program, shared, unit } = emission;
  const { rows: warps } = program.threads;
  const pieces = columns / together;
  const inRow = times(linearValue(bits(emission, 'and.b32', pieces - 1), { isNatural: true }), together);
  const warp = times(linearValue(unit.warpRow, { isNatural: true }), warpRows);
  const domain = createDomain(statement.axes, 1);
  for (let behind = 0; behind < warpRows; behind += warpSize / pieces) {
    const lane = linearValue(bits(emission, 'shr.u32', Math.log2(pieces)), { isNatural: true });
    const row = plus(plus(warp, lane), linearConstant(behind));
    const from = placeIn(emission, tile, row, inRow);
    const words = writer.compute(
      ['u32', 'u32', 'u32', 'u32'],
      [from],
      (results, [at]) => `ld.shared.v4.b32 {${results.join(', ')}}, [${at}+${shared.start(tile.name)}];`,
      { fixed: true, version: `${tile.name}@${block} ${first}` },
    );
    const point: PointOf<Value> = {
      ...{ domain, width: 1, fragment: undefined },
      coordinates: [plus(row, linearConstant(block * warps * warpRows)), plus(inRow, linearConstant(first))],
    };
    const kept = statement.mask && emit(emission, statement.mask, point)[0];
    const place = linear(emission, statement.offset, point);
    storeWords(emission, bufferOf(emission, statement.tensor), place, words, kept);
  }
}

function bits({ writer, unit }: Emission, opcode: 'and.b32' | 'shr.u32', by: number): Value {
  return writer.operation(opcode, 'i32', [unit.lane, literal(by, 'u32')]);
}

/** The address of eight elements, but for where the tile begins. */
function placeIn(
  emission: Emission,
  tile: Tile,
  row: Parameters<typeof sumOf>[1],
  column: Parameters<typeof sumOf>[1],
): Value {
  const { writer } = emission;
  const state: TileState = { tile, fragment: [], registers: [], mutable: true, version: 0 };
  const place = packedPlace(emission, state, sumOf(writer, row), sumOf(writer, column), together);
  return writer.operation('add.u32', 'u32', [sharedStart(emission), place]);
}
