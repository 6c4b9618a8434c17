/**
 * Products by a warpgroup of Hopper (`wgmma`): four warps, which are four thread rows, read packed tiles where
 * they lie in shared memory, 64 rows of results at a time, while their threads go on. The left one may be in
 * registers. Results may be used only when the product was waited for.
 */
import { packedFacts } from '../../../compiler/tiles/packed.ts';
import { tileNamed } from '../../../compiler/tiles/tile-builder.ts';
import type { Tile, TileAxis } from '../../../compiler/tiles/tile-program.ts';
import { type Emission, type TileState, tileState } from './emission.ts';
import { elementBytes, packedLayout, widestRow } from './packed-layout.ts';
import { isCrowded, type Product } from './products.ts';
import { takeOff } from './products-in-flight.ts';
import { sharedStart } from './shared-memory.ts';
import { partsFromRegisters, textsOf } from './unit-parts.ts';
import { unitDepth, unitTypes } from './unit-types.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';

/** Of one instruction; it has up to 256 columns. */
const shape = { rows: 64, mostColumns: 256 };
const warps = 4;
/** What a warpgroup has. */
export const groupRows = shape.rows;
export const groupWarps = warps;

/** Whether a product is one that warpgroups can compute, on a target that has them. */
export function isByWarpgroups(
  { program, target }: Pick<Emission, 'program' | 'target'>,
  { into, left, right, leftOrder, rightOrder }: Product,
): boolean {
  const { rows, columns } = program.threads;
  if (target !== 'sm_90a' || columns !== warpSize || rows % warps !== 0) return false;
  const [sums, a, b] = [into, left, right].map((name) => tileNamed(program, name));
  if (sums === undefined || a === undefined || b === undefined) return false;
  const [high, wide] = sums.axes as [TileAxis, TileAxis];
  // Rows of fewer bytes have another order, in which nothing is behind the end of one.
  const isReadable = (tile: Tile, isAcross: boolean) =>
    tile.packed !== undefined &&
    tile.space === 'shared' &&
    (!isAcross || (packedFacts[tile.packed].isReadAcross && packedLayout(tile).rowBytes === widestRow));
  return (
    high.block === shape.rows / warps &&
    wide.extent <= shape.mostColumns &&
    (isOfRegisters(a) || isReadable(a, leftOrder === 'km')) &&
    isReadable(b, rightOrder === 'kn')
  );
}

/** As results of warpgroups are, which is as they want it. */
function isOfRegisters({ packed, space, axes }: Tile): boolean {
  const [high] = axes;
  return packed !== undefined && space === 'register' && high?.block === shape.rows / warps;
}

/** Begins a product. */
export function emitWarpgroupProduct(emission: Emission, statement: Product): void {
  const { writer, program } = emission;
  const [into, left, right] = [statement.into, statement.left, statement.right].map((name) =>
    tileState(emission, name),
  ) as [TileState, TileState, TileState];
  const groups = program.threads.rows / warps;
  const [rows, columns] = into.tile.axes.map(({ extent }) => extent) as [number, number];
  const isDeep = { left: statement.leftOrder === 'mk', right: statement.rightOrder === 'nk' };
  const depth = right.tile.axes[isDeep.right ? 1 : 0]!.extent;
  const stored = right.tile.packed!;
  const types = [left, right].map(({ tile }) => unitTypes[tile.packed!]).join('.');
  const perStep = unitDepth(stored);
  const perRow = columns / 4;
  const blocks = rows / (shape.rows * groups);
  const steps = Array.from({ length: (blocks * depth) / perStep }, (_, at) => {
    const [block, k] = [Math.floor((at * perStep) / depth), (at * perStep) % depth];
    return { block, k, lefts: leftsOf(emission, left, isDeep.left, block, k) };
  });
  writer.effect('wgmma.fence.sync.aligned;');
  for (const { block, k, lefts } of steps)
    for (const a of lefts) {
      const b = matrixOf(emission, right, isDeep.right, k, 0, undefined);
      const sums = Array.from({ length: columns / 8 }, (_, part) =>
        [0, 1].flatMap((row) =>
          [0, 1].map((column) => into.registers[(2 * block + row) * perRow + 2 * part + column]!.text),
        ),
      ).flat();
      const orders = [...a.orders, ...ordersOf(right.tile, isDeep.right)]
        .map((order) => `, ${order}`)
        .join('');
      writer.effect(
        `wgmma.mma_async.sync.aligned.m64n${columns}k${perStep}.f32.${types} ` +
          `{${sums.join(', ')}}, ${a.matrix}, ${b.text}, 1, 1, 1${orders};`,
      );
    }
  writer.effect('wgmma.commit_group.sync.aligned;');
  takeOff(emission, statement);
  into.version++;
}

interface Left {
  /** A descriptor, or registers. */
  readonly matrix: string;
  /** What is said of its order: nothing of registers. */
  readonly orders: readonly number[];
}

/** What is said of a matrix that may lie either way. */
function ordersOf({ packed }: Tile, isDeep: boolean): readonly number[] {
  return packedFacts[packed!].isReadAcross ? [isDeep ? 0 : 1] : [];
}

/** The steps of an instruction, of a block of 64 rows: of each of its parts. */
function leftsOf(
  emission: Emission,
  left: TileState,
  isDeep: boolean,
  block: number,
  k: number,
): readonly Left[] {
  if (left.tile.space === 'register')
    return partsFromRegisters(emission, left, block, k).map((words) => ({
      matrix: textsOf(words),
      orders: [],
    }));
  const groups = emission.program.threads.rows / warps;
  const matrix = matrixOf(emission, left, isDeep, k, block * groups, warpgroup(emission));
  return [{ matrix: matrix.text, orders: ordersOf(left.tile, isDeep) }];
}

/** What instructions of threads wrote to shared memory is then there for products, after a barrier. */
export function showToProducts({ writer }: Emission): void {
  writer.effect('fence.proxy.async.shared::cta;');
}

/** The number of the invocation's warpgroup: told by its first lane, so that it is known to be the same. */
export function warpgroup({ writer, unit, program }: Emission): Value | undefined {
  if (program.threads.rows === warps) return undefined;
  const own = writer.operation('shr.u32', 'u32', [unit.warpRow, literal(Math.log2(warps), 'u32')]);
  return writer.compute(
    ['u32'],
    [own],
    ([result], [from]) => `shfl.sync.idx.b32 ${result}, ${from}, 0, 31, 0xffffffff;`,
  )[0]!;
}

/** How a matrix says what its order is (PTX ISA, "Matrix descriptor format"), by the bytes of a row. */
const swizzles: { readonly [bytes: number]: number } = { 128: 1, 64: 2, 32: 3 };

/**
 * The descriptor of a packed tile, from a step on.
 * @param isDeep whether neighbours are along what is reduced
 * @param blocks of 64 rows before those that are meant, beside as many as `group`
 */
function matrixOf(
  emission: Emission,
  { tile, stage }: TileState,
  isDeep: boolean,
  k: number,
  blocks: number,
  group: Value | undefined,
): Value {
  const { writer, shared } = emission;
  const { rowBytes, panelBytes } = packedLayout(tile);
  // Of 64 rows along the other dimension: as many rows, or a panel.
  const blockBytes = isDeep ? shape.rows * rowBytes : panelBytes;
  const across = k * elementBytes(tile);
  const along = isDeep ? Math.floor(across / rowBytes) * panelBytes + (across % rowBytes) : k * rowBytes;
  const first = literal(shared.start(tile.name) + blocks * blockBytes, 'u32');
  let address = writer.operation('add.u32', 'u32', [sharedStart(emission), first]);
  if (group !== undefined)
    address = writer.operation('mad.lo.u32', 'u32', [group, literal(blockBytes, 'u32'), address]);
  if (stage !== undefined) address = writer.operation('add.u32', 'u32', [address, stage]);
  const start = writer.operation('bfe.u32', 'u32', [address, literal(4, 'u32'), literal(14, 'u32')]);
  const leading = isDeep ? 16 : panelBytes;
  const fixed = isCrowded(emission.program);
  // Of shared memory no address has more bits than these, so what is behind the first has other low ones.
  const low = writer.compute(
    ['u32'],
    [start, literal(((leading / 16) << 16) + along / 16, 'u32')],
    ([result], [from, by]) => `add.u32 ${[result, from, by].join(', ')};`,
    { fixed },
  )[0]!;
  const high = literal(((8 * rowBytes) / 16) | (swizzles[rowBytes]! << 30), 'u32');
  return writer.compute(['address'], [low, high], ([result], [l, h]) => `mov.b64 ${result}, {${l}, ${h}};`, {
    fixed,
  })[0]!;
}
