/**
 * Results of warpgroups that leave as boxes: each warpgroup puts the blocks of 64 rows that it has into
 * shared memory, by `stmatrix`, in the order of packed tiles, and one of its threads has the tensor memory
 * accelerator (TMA) store them, which goes on while the others begin the next tile. Warpgroups do not wait
 * for each other: while one finishes, the units are another's.
 */
import type { Tensor, TensorId } from '../../../compiler/graph/graph.ts';
import { createDomain } from '../../../compiler/tiles/lanes.ts';
import { type Half, isHalf } from '../../../compiler/tiles/packed.ts';
import { allStatements, packed, spread } from '../../../compiler/tiles/tile-builder.ts';
import type { Box, StatementOf, Tile, TileProgram } from '../../../compiler/tiles/tile-program.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import { bufferOf, type Emission } from './emission.ts';
import { emit } from './expressions.ts';
import { packedBytes, packedLayout, packedPlace } from './packed-layout.ts';
import { registerPoints } from './register-tiles.ts';
import { sharedStart } from './shared-memory.ts';
import { packedAlignment } from './shared-places.ts';
import { textsOf } from './unit-parts.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';
import { groupRows, groupWarps, showToProducts, warpgroup } from './warpgroup-products.ts';

export interface BoxedStore {
  readonly statement: StatementOf<'store'>;
  readonly box: Box;
  readonly stored: Half;
  /** A block of rows, as it is in shared memory. */
  readonly tile: Tile;
  /** Those that a warpgroup has, and how many warpgroups there are, which have them in turns. */
  readonly blocks: number;
  readonly groups: number;
}

/** The stores of a program by warpgroups that are boxes of a tensor, each through a place of its own. */
export function boxedStores(
  { body, threads }: TileProgram,
  tensors: (id: TensorId) => Tensor,
): readonly BoxedStore[] {
  const groups = threads.rows / groupWarps;
  if (threads.columns !== warpSize || !Number.isInteger(groups)) return [];
  return allStatements(body).flatMap((statement, at): readonly BoxedStore[] => {
    if (statement.kind !== 'store' || statement.box === undefined) return [];
    const [high, wide] = statement.axes;
    const { dtype: stored } = tensors(statement.tensor);
    const isOfGroups = high?.over === 'unitRows' && high.block === groupRows / groupWarps;
    if (!isOfGroups || wide?.over !== 'unitColumns' || !isHalf(stored)) return [];
    const axes = [groupRows, wide.extent].map((extent) => spread(extent, 'whole'));
    const tile = packed(`leaving${at}`, stored, axes);
    const blocks = high.extent / (groupRows * groups);
    return [{ statement, box: statement.box, stored, tile, blocks, groups }];
  });
}

export function reserveLeaving({ shared }: Emission, { tile, blocks, groups }: BoxedStore): void {
  shared.reserve(tile.name, groups * blocks * packedBytes(tile), packedAlignment);
}

/** @param map of the tensor, by which a block is copied panel by panel */
export function emitBoxedStore(emission: Emission, store: BoxedStore, map: Value): void {
  const { writer, shared } = emission;
  const { statement, stored, tile, box, blocks, groups } = store;
  const { rowBytes, panelBytes, panels } = packedLayout(tile);
  const group = warpgroup(emission) ?? literal(0, 'u32');
  const blockBytes = packedBytes(tile);
  const first = writer.operation('mad.lo.u32', 'u32', [
    group,
    literal(blockBytes, 'u32'),
    sharedStart(emission),
  ]);
  /** Behind `first`, of which the warpgroups have every other block. */
  const placeOf = (block: number, panel: number) =>
    shared.start(tile.name) + block * groups * blockBytes + panel * panelBytes;
  const isLeader = leads(emission);
  const meet = () => {
    const barrier = writer.operation('add.u32', 'u32', [group, literal(firstBarrier, 'u32')]);
    writer.effect(`bar.sync ${barrier.text}, ${groupWarps * warpSize};`);
  };

  writer.effect('cp.async.bulk.wait_group.read 0;', isLeader);
  meet();
  const points = registerPoints(emission, createDomain(statement.axes));
  const rowElements = rowBytes / 2;
  for (let block = 0; block < blocks; block++)
    for (let column = 0; column < tile.axes[1]!.extent; column += 16) {
      const words = matrixWords(emission, statement, stored, points, block, column);
      const into = writer.operation('add.u32', 'u32', [
        first,
        placeInPanel(emission, tile, rowElements, column % rowElements),
      ]);
      const displacement = placeOf(block, Math.floor(column / rowElements));
      writer.effect(
        `stmatrix.sync.aligned.m8n8.x4.shared::cta.b16 [${into.text}+${displacement}], ${textsOf(words)};`,
      );
    }
  showToProducts(emission);
  meet();
  writer.when(isLeader, false, () => {
    const [inner, outer, ...others] = box.starts.map((each) => emission.uniform(each));
    for (let block = 0; block < blocks; block++)
      for (let panel = 0; panel < panels; panel++) {
        const column = writer.operation('add.s32', 'i32', [inner!, literal(panel * rowElements, 'i32')]);
        const from = writer.operation('mad.lo.s32', 'i32', [
          group,
          literal(groupRows, 'i32'),
          literal(block * groups * groupRows, 'i32'),
        ]);
        const row = writer.operation('add.s32', 'i32', [outer!, from]);
        const coordinates = [column, row, ...others].map(({ text }) => text).join(', ');
        writer.effect(
          `cp.async.bulk.tensor.${box.starts.length}d.global.shared::cta.tile.bulk_group ` +
            `[${map.text}, {${coordinates}}], [${first.text}+${placeOf(block, panel)}];`,
        );
      }
    writer.effect('cp.async.bulk.commit_group;');
  });
  bufferOf(emission, statement.tensor).version++;
}

/**
 * What a lane gives `stmatrix` of sixteen columns of a block: four words of two neighbours each, in the order of
 * the matrices, as warpgroups left their results.
 * @param points of the store, row by row
 */
export function matrixWords(
  emission: Emission,
  { axes, value }: BoxedStore['statement'],
  stored: Half,
  points: readonly PointOf<Value>[],
  block: number,
  column: number,
): readonly Value[] {
  const perRow = axes[1]!.extent / 4;
  return [0, 2].flatMap((right) =>
    [0, 1].map((row) => {
      const at = (2 * block + row) * perRow + column / 4 + right;
      const [low, high] = [0, 1].map((next) => emit(emission, value, points[at + next]!)[0]);
      return emission.writer.operation(`cvt.rn.${stored}x2.f32`, 'u32', [high!, low!]);
    }),
  );
}

/** What leaves is read to the end before the shared memory of the block is no more. */
export function waitUntilLeft(emission: Emission): void {
  emission.writer.effect('cp.async.bulk.wait_group.read 0;', leads(emission));
}

/** Of barriers that warpgroups have to themselves: that of all invocations that compute is before it. */
const firstBarrier = 2;

/** The first thread of a warpgroup. */
function leads({ writer, places }: Emission): Value {
  const own = writer.operation('and.b32', 'u32', [places.threads, literal(groupWarps * warpSize - 1, 'u32')]);
  return writer.operation('setp.eq.u32', 'bool', [own, literal(0, 'u32')]);
}

/**
 * Which row of 16 bytes a lane says for `stmatrix`: of four matrices of eight rows and columns, two of rows
 * after each other, then the two beside them.
 */
function placeInPanel(emission: Emission, tile: Tile, rowElements: number, column: number): Value {
  const { writer, unit } = emission;
  const and = (value: Value, bits: number) =>
    writer.operation('and.b32', 'u32', [value, literal(bits, 'u32')]);
  const warp = and(unit.warpRow, groupWarps - 1);
  const row = writer.operation('mad.lo.u32', 'u32', [warp, literal(16, 'u32'), and(unit.lane, 15)]);
  const right = writer.operation('shr.u32', 'u32', [unit.lane, literal(4, 'u32')]);
  const along = writer.operation('mad.lo.u32', 'u32', [right, literal(8, 'u32'), literal(column, 'u32')]);
  const axes = [tile.axes[0]!, spread(rowElements, 'whole')];
  const panel = { ...{ fragment: [], registers: [], mutable: true, version: 0 }, tile: { ...tile, axes } };
  return packedPlace(emission, panel, row, along, 8);
}
