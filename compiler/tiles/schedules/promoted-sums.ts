/**
 * Sums that units keep in few bits, added up with all bits in registers, step by step ("promotion" in
 * DeepGEMM's kernels of 8-bit floats), each multiplied with what the numbers of its step have as a scale.
 */
import { define, multiplyAccumulate, register, update } from '../tile-builder.ts';
import { apply, constant, coordinate, element, type TileExpression } from '../tile-expression.ts';
import type { Tile, TileAxis, TileStatement } from '../tile-program.ts';

/** Rows of a tile that are multiplied together, and the names of what there is of them. */
export interface RowBlock {
  readonly lefts: string;
  readonly sum: string;
  /** Behind other names. */
  readonly suffix: string;
  /** How many rows behind the tile's first it begins. */
  readonly first: number;
}

/** So many of as many rows each. */
export function rowBlocks(count: number, rows: number): readonly RowBlock[] {
  return Array.from({ length: count }, (_, at) => {
    const suffix = count === 1 ? '' : `${at}`;
    return { lefts: `lefts${suffix}`, sum: `sum${suffix}`, suffix, first: at * rows };
  });
}

/** In a step: of rows, at coordinate 0 of a tile of them, and of columns; undefined: one. */
export interface StepScales {
  readonly ofRows: (block: RowBlock) => TileExpression | undefined;
  readonly ofColumns: TileExpression | undefined;
}

/** What is done in a step. @param orders of the factors */
export function addedUp(
  blocks: readonly RowBlock[],
  axes: readonly [TileAxis, TileAxis],
  scales: StepScales,
  ...orders: readonly [rightOrder: 'kn' | 'nk', leftOrder: 'mk' | 'km']
): readonly TileStatement[] {
  const [row, column] = axes.map(({ extent }, axis) => coordinate(axis, extent)) as [
    TileExpression,
    TileExpression,
  ];
  const columns = scaleOf('column_scale', axes[1], scales.ofColumns);
  const read = blocks.map((block) => ({
    ...block,
    rows: scaleOf(`row_scale${block.suffix}`, axes[0], scales.ofRows(block)),
  }));
  // They are read before products are waited for.
  const known = [...read.map(({ rows }) => rows), columns].filter((scale) => scale !== undefined);
  const steps = read.flatMap(({ rows, lefts, sum, suffix }): readonly TileStatement[] => {
    const part = `part${suffix}`;
    const scale = [
      ...(rows === undefined ? [] : [element(rows.tile.name, 'f32', [row])]),
      ...(columns === undefined ? [] : [element(columns.tile.name, 'f32', [column])]),
    ].reduce<TileExpression | undefined>(
      (all, each) => (all ? apply('mul', 'f32', all, each) : each),
      undefined,
    );
    const own = element(part, 'f32', [row, column]);
    const scaled = scale === undefined ? own : apply('mul', 'f32', own, scale);
    return [
      define(register(part, 'f32', axes), constant(0, 'f32')),
      multiplyAccumulate(part, lefts, 'rights', ...orders),
      update(sum, apply('add', 'f32', element(sum, 'f32', [row, column]), scaled)),
    ];
  });
  return [...known.map(({ tile, value }) => define(tile, value)), ...steps];
}

interface Scale {
  readonly tile: Tile;
  readonly value: TileExpression;
}

function scaleOf(name: string, axis: TileAxis, value: TileExpression | undefined): Scale | undefined {
  return value && { tile: register(name, 'f32', [axis]), value };
}
