/**
 * Products by the matrix units of a warp: `ldmatrix` brings what lies in shared memory into the registers of
 * the lanes as `mma.sync` wants it (PTX ISA, "mma.m16n8k16"), 16 × 8 results of 16 steps at a time; of words,
 * which are multiplied as tf32, of 8.
 */

import { type Packed, packedFacts } from '../../../compiler/tiles/packed.ts';
import { isOverUnits } from '../../../compiler/tiles/tile-builder.ts';
import type { TileAxis, UnitSpread } from '../../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import { type Emission, type Sum, type TileState, tileState } from './emission.ts';
import { elementBytes, packedLayout, packedPlace } from './packed-layout.ts';
import type { Product } from './products.ts';
import { sharedStart } from './shared-memory.ts';
import { sumOf } from './sums.ts';
import { partsFromRegisters, textsOf } from './unit-parts.ts';
import { pieceElements, roundedToTf32, unitDepth, unitTypes } from './unit-types.ts';
import { blockPlace, unitFirst } from './units.ts';
import { literal, type Value } from './values.ts';

type UnitAxis = TileAxis & { readonly over: UnitSpread };

/** Of one instruction. */
const shape = { rows: 16, columns: 8 };

export function emitUnitProduct(emission: Emission, statement: Product): void {
  const { writer } = emission;
  const [into, left, right] = [statement.into, statement.left, statement.right].map((name) =>
    tileState(emission, name),
  ) as [TileState, TileState, TileState];
  const [rows, columns] = into.tile.axes.map((axis) => unitAxis(emission, axis)) as [UnitAxis, UnitAxis];
  const stored = right.tile.packed;
  if (stored === undefined || !packedFacts[stored].isOfWarps)
    throw new Error(`${emission.program.name}: ${right.tile.name} is not packed for warps`);
  const depth = right.tile.axes[statement.rightOrder === 'kn' ? 0 : 1]!.extent;
  const high = into.fragment[0]! / 2;
  const wide = into.fragment[1]! / 2;
  for (let k = 0; k < depth; k += unitDepth(stored)) {
    const rights = Array.from({ length: wide / 2 }, (_, pair) =>
      rightPair(emission, right, statement.rightOrder, columns, pair, k),
    ).flat();
    for (let m = 0; m < high; m++) {
      for (const a of leftOf(emission, left, statement, rows, m, k))
        for (const [n, b] of rights.entries()) {
          const sums = [0, 1].flatMap((row) =>
            [0, 1].map((column) => into.registers[(2 * m + row) * 2 * wide + 2 * n + column]!.text),
          );
          writer.effect(multiply(stored, sums, textsOf(a), textsOf(b)));
        }
    }
  }
  into.version++;
}

function multiply(stored: Packed, sums: readonly string[], a: string, b: string): string {
  const results = `{${sums.join(', ')}}`;
  const type = unitTypes[stored];
  return (
    `mma.sync.aligned.m16n8k${unitDepth(stored)}.row.col.f32.${type}.${type}.f32 ` +
    `${results}, ${a}, ${b}, ${results};`
  );
}

function unitAxis({ program }: Emission, axis: TileAxis): UnitAxis {
  if (!isOverUnits(axis.over)) throw new Error(`${program.name}: a product's axis is not spread over units`);
  return { ...axis, over: axis.over };
}

/** 16 rows and 16 steps of the left factor: of each of its parts. */
function leftOf(
  emission: Emission,
  left: TileState,
  { leftOrder }: Product,
  rows: UnitAxis,
  m: number,
  k: number,
): readonly (readonly Value[])[] {
  if (left.tile.space === 'register') return partsFromRegisters(emission, left, m, k);
  const place = blockPlace(emission, rows.over, rows.block, shape.rows * m);
  const first = unitFirst(emission, rows.over, rows.block);
  const { within, half, upper } = lanePlaces(emission);
  // Its four parts are of the first rows and steps, of the last rows, of the last steps, of both.
  if (leftOrder === 'km' && elementBytes(left.tile) === 4) {
    const words = fourParts((row, step) =>
      loadWord(emission, left, { rows: first, place: place + 8 * row }, { k, further: 4 * step }),
    );
    return [asMultiplied(emission, left, words)];
  }
  const piece = pieceElements(left.tile.packed!);
  const loaded =
    leftOrder === 'mk'
      ? loadMatrices(
          emission,
          left,
          { row: plus(first, plus(within, times(half, 8))), rows: place },
          plus(times(upper, piece), linearConstant(k)),
          false,
        )
      : loadMatrices(
          emission,
          left,
          { row: plus(within, times(upper, 8)), rows: k },
          plus(plus(first, times(half, 8)), linearConstant(place)),
          true,
        );
  return [asMultiplied(emission, left, loaded)];
}

/** 16 steps of the right factor's columns 16 · pair … + 15, eight by eight. */
function rightPair(
  emission: Emission,
  right: TileState,
  order: Product['rightOrder'],
  columns: UnitAxis,
  pair: number,
  k: number,
): readonly (readonly Value[])[] {
  const place = blockPlace(emission, columns.over, columns.block, 2 * shape.columns * pair);
  const first = unitFirst(emission, columns.over, columns.block);
  const { within, half, upper } = lanePlaces(emission);
  const piece = pieceElements(right.tile.packed!);
  const isOfWords = order === 'kn' && elementBytes(right.tile) === 4;
  const loaded = isOfWords
    ? fourParts((step, column) =>
        loadWord(emission, right, { rows: first, place: place + 8 * column }, { k, further: 4 * step }),
      )
    : order === 'nk'
      ? loadMatrices(
          emission,
          right,
          { row: plus(first, plus(within, times(upper, 8))), rows: place },
          plus(times(half, piece), linearConstant(k)),
          false,
        )
      : loadMatrices(
          emission,
          right,
          { row: plus(within, times(half, 8)), rows: k },
          plus(plus(first, times(upper, 8)), linearConstant(place)),
          true,
        );
  const [a, b, c, d] = asMultiplied(emission, right, loaded);
  return [
    [a!, b!],
    [c!, d!],
  ];
}

/** In the order of their registers: the first of a pair, the second of it, and those of the second pair. */
function fourParts(of: (half: number, upper: number) => Value): readonly Value[] {
  return [0, 1].flatMap((upper) => [0, 1].map((half) => of(half, upper)));
}

/** What is copied as it lies is not rounded before. */
function asMultiplied(
  { writer }: Emission,
  { tile: { packed } }: TileState,
  words: readonly Value[],
): readonly Value[] {
  return packed === 'tf32' ? words.map((word) => roundedToTf32(writer, word)) : words;
}

interface LanePlaces {
  /** In eight lanes, each of which gives the address of a row of a part. */
  readonly within: Sum;
  /** Whether the part is the second of a pair, and whether the pair is the second: 0 or 1. */
  readonly half: Sum;
  readonly upper: Sum;
}

function lanePlaces({ writer, unit: { lane } }: Emission): LanePlaces {
  const bits = (value: Value, opcode: string, by: number) =>
    writer.operation(opcode, 'i32', [value, literal(by, 'u32')]);
  const natural = (value: Value) => linearValue(value, { isNatural: true });
  return {
    within: natural(bits(lane, 'and.b32', 7)),
    half: natural(bits(bits(lane, 'shr.u32', 3), 'and.b32', 1)),
    upper: natural(bits(lane, 'shr.u32', 4)),
  };
}

/**
 * A lane's element of eight rows and four steps, of a tile whose neighbours lie along the rows: `ldmatrix`
 * transposes elements of 16 bits alone.
 * @param rows where the warp has its first one, and how far behind that these are
 * @param k the first step of the instruction, and how far behind that these are
 */
function loadWord(
  emission: Emission,
  state: TileState,
  { rows, place }: { readonly rows: Sum; readonly place: number },
  { k, further }: { readonly k: number; readonly further: number },
): Value {
  const { writer, unit, shared } = emission;
  const { tile, stage, version } = state;
  const of = (opcode: string, by: number) =>
    linearValue(writer.operation(opcode, 'i32', [unit.lane, literal(by, 'u32')]), { isNatural: true });
  const step = sumOf(writer, plus(of('and.b32', 3), linearConstant(further)));
  const along = sumOf(writer, plus(plus(rows, of('shr.u32', 2)), linearConstant(place)));
  const start = writer.operation('add.u32', 'u32', [
    sharedStart(emission),
    packedPlace(emission, state, step, along, 1),
  ]);
  const address = stage === undefined ? start : writer.operation('add.u32', 'u32', [start, stage]);
  const displacement = shared.start(tile.name) + k * packedLayout(tile).rowBytes;
  return writer.compute(
    ['u32'],
    [address],
    ([result], [at]) => `ld.shared.b32 ${result}, [${at}+${displacement}];`,
    { fixed: true, version: `@${tile.name}${version}` },
  )[0]!;
}

/**
 * Four 8 × 8 matrices of a packed tile, of words if its elements are.
 * @param place of the row whose address a lane gives, and how many rows, in eights, all are behind that
 * @param isTransposed whether lanes get columns of them instead of rows
 */
function loadMatrices(
  emission: Emission,
  state: TileState,
  place: { readonly row: Sum; readonly rows: number },
  column: Sum,
  isTransposed: boolean,
): readonly Value[] {
  const { writer, shared } = emission;
  const { tile, stage, version } = state;
  const [row, along] = [sumOf(writer, place.row), sumOf(writer, column)];
  const inTile = packedPlace(emission, state, row, along, pieceElements(tile.packed!));
  const start = writer.operation('add.u32', 'u32', [sharedStart(emission), inTile]);
  const address = stage === undefined ? start : writer.operation('add.u32', 'u32', [start, stage]);
  const displacement = shared.start(tile.name) + place.rows * packedLayout(tile).rowBytes;
  return writer.compute(
    ['u32', 'u32', 'u32', 'u32'],
    [address],
    (results, [at]) =>
      `ldmatrix.sync.aligned.m8n8.x4${isTransposed ? '.trans' : ''}.shared.b16 {${results.join(', ')}}, [${at}+${displacement}];`,
    { fixed: true, version: `@${tile.name}${version}` },
  );
}
