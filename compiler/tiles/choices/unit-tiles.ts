/** How contractions may be run by matrix units. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { DeviceProfile, MatrixUnits } from '../device-profile.ts';
import { packedFacts } from '../packed.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import { fedBytes, resultPadding, stepRows } from '../schedules/unit-contraction.ts';
import { factorBytes } from '../schedules/unit-factors.ts';
import type { ChoiceOf } from './choice.ts';

type UnitsChoice = ChoiceOf<'units'>;
type Shape = Pick<UnitsChoice, 'warpRows' | 'warpColumns' | 'rows' | 'columns'>;

/** Below this many rows and columns, most of what the units do is for nothing. */
const fewest = { rows: 4, columns: 8, depth: 8 };

/**
 * Of a product in parts: the fewest multiply-adds that are worth a kernel more, and rows and columns that are
 * worth what is written and read more; parts are whole steps.
 */
const leastInParts = { work: 2 ** 28, side: 64, depth: 64 };

export function isWorthUnits(problem: ContractionProblem, { units }: DeviceProfile): boolean {
  const { packed, rows, columns, reduced } = problem;
  return (
    units !== undefined &&
    (packed !== undefined || isWorthParts(problem)) &&
    rows.extent >= fewest.rows &&
    columns.extent >= fewest.columns &&
    reduced.extent >= fewest.depth
  );
}

function isWorthParts({ wide, batch, rows, columns, reduced }: ContractionProblem): boolean {
  const { work, side, depth } = leastInParts;
  return (
    wide !== undefined &&
    Math.min(rows.extent, columns.extent) >= side &&
    reduced.extent % depth === 0 &&
    batch.extent * rows.extent * columns.extent * reduced.extent >= work
  );
}

interface Rated {
  readonly shape: Shape;
  /** Of what the units can do at most: smaller tiles read more for each product. */
  readonly rate: number;
}

/** The tiles that are tried, by the share of an A100's or H100's peak that tiles of such sizes reach. */
const rated: readonly Rated[] = [
  { shape: { warpRows: 2, warpColumns: 4, rows: 64, columns: 64 }, rate: 1 },
  { shape: { warpRows: 2, warpColumns: 2, rows: 64, columns: 64 }, rate: 0.95 },
  { shape: { warpRows: 2, warpColumns: 2, rows: 32, columns: 64 }, rate: 0.8 },
  { shape: { warpRows: 2, warpColumns: 2, rows: 64, columns: 32 }, rate: 0.8 },
  { shape: { warpRows: 2, warpColumns: 2, rows: 32, columns: 32 }, rate: 0.6 },
  { shape: { warpRows: 1, warpColumns: 4, rows: 32, columns: 32 }, rate: 0.5 },
  { shape: { warpRows: 1, warpColumns: 4, rows: 16, columns: 32 }, rate: 0.35 },
  { shape: { warpRows: 1, warpColumns: 4, rows: 16, columns: 16 }, rate: 0.25 },
  { shape: { warpRows: 1, warpColumns: 2, rows: 16, columns: 16 }, rate: 0.15 },
];

/** The same of warpgroups, by what those of an H100 reach. */
const ratedOfGroups: readonly Rated[] = [
  { shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 256 }, rate: 1.6 },
  { shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 128 }, rate: 1.4 },
  { shape: { warpRows: 4, warpColumns: 1, rows: 16, columns: 256 }, rate: 1.3 },
  { shape: { warpRows: 4, warpColumns: 1, rows: 16, columns: 128 }, rate: 1.1 },
  { shape: { warpRows: 4, warpColumns: 1, rows: 16, columns: 64 }, rate: 0.8 },
  { shape: { warpRows: 4, warpColumns: 1, rows: 16, columns: 16 }, rate: 0.3 },
];

/**
 * Columns of a warpgroup that are no power of two, so that a tile more or less is not half of a wave: by what
 * they bring for each product, between those above. What is stored in boxes is so of 64 columns each; rows of
 * experts leave one by one.
 */
const ratedBetween: { readonly [R in 'boxes' | 'rows']: readonly Rated[] } = {
  boxes: [{ shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 192 }, rate: 1.53 }],
  rows: [
    { shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 224 }, rate: 1.57 },
    { shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 208 }, rate: 1.55 },
    { shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 192 }, rate: 1.53 },
    { shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 176 }, rate: 1.51 },
    { shape: { warpRows: 8, warpColumns: 1, rows: 16, columns: 160 }, rate: 1.48 },
  ],
};

function ratedBetweenOf({ node, eights }: ContractionProblem): readonly Rated[] {
  if (eights !== undefined) return [];
  return ratedBetween[node.grouped === undefined ? 'boxes' : 'rows'];
}

/** Of sums of steps, which leave room for half as many columns: more rows have to make up for that. */
const ratedOfEights: readonly Rated[] = [
  { shape: { warpRows: 8, warpColumns: 1, rows: 32, columns: 128 }, rate: 1.9 },
  ...ratedOfGroups,
];

/** The tile that is done first, workgroups running together in turns. */
export function firstUnits(
  problem: ContractionProblem,
  device: DeviceProfile,
  mostRows = Number.POSITIVE_INFINITY,
): UnitsChoice | undefined {
  const { units } = device;
  if (units === undefined) return undefined;
  const ofGroups = [
    ...(problem.eights === undefined ? ratedOfGroups : ratedOfEights),
    ...ratedBetweenOf(problem),
  ];
  const groups = areForGroups(problem, units) ? ofGroups.filter(({ shape }) => shape.rows <= mostRows) : [];
  const timed = [...groups, ...(areForWarps(problem) ? rated : [])].flatMap(({ shape, rate }) => {
    const choice = deepened(problem, shape, units);
    return choice === undefined ? [] : [{ choice, time: timeOf(problem, shape, rate, units) }];
  });
  const least = Math.min(...timed.map(({ time }) => time));
  return timed.find(({ time }) => time === least)?.choice;
}

function timeOf(
  { node, batch, rows, columns }: ContractionProblem,
  shape: Shape,
  rate: number,
  { processors }: MatrixUnits,
): number {
  const [high, wide] = [shape.warpRows * shape.rows, shape.warpColumns * shape.columns];
  // Each expert has a tile that is not full.
  const tall = Math.ceil(rows.extent / high) + (node.grouped?.experts ?? 0) / 2;
  const tiles = batch.extent * tall * Math.ceil(columns.extent / wide);
  return (Math.ceil(tiles / processors) * high * wide) / rate;
}

/** Whether warpgroups make it a product: of some types they read a factor along what is reduced only. */
function areForGroups(problem: ContractionProblem, { warpgroups }: MatrixUnits): boolean {
  const { packed, eights, leftOrder, rightOrder } = problem;
  const { isReadAcross } = packedFacts[packed?.left ?? 'bf16'];
  const isAlong = eights !== undefined || (leftOrder === 'mk' && rightOrder === 'nk');
  return warpgroups && (isReadAcross || isAlong);
}

function areForWarps({ packed }: ContractionProblem): boolean {
  return packedFacts[packed?.left ?? 'bf16'].isOfWarps;
}

/** Whether it is one of who multiplies the factors: sums of a few products take as many registers again. */
export function isShapeFor(problem: ContractionProblem, units: MatrixUnits, shape: Shape): boolean {
  const { warpRows, warpColumns, rows, columns } = shape;
  const isOfGroups = areForGroups(problem, units) && warpColumns === 1 && warpRows % 4 === 0;
  if (problem.eights === undefined)
    return (areForWarps(problem) || (isOfGroups && rows === 16)) && rows * columns <= mostSums;
  const { columnRun } = problem.eights;
  const scales = columnRun === Infinity || columnRun % columns === 0 ? 1 : columns / lanesOfRow;
  const kept = ((rows + stepRows) * columns) / 32 + scales;
  // Who gathers has registers of the others.
  const most = problem.node.grouped === undefined ? 2 * stepRows : stepRows;
  return isOfGroups && rows <= most && kept <= mostWithSteps;
}

/** Steps along what is reduced: of rows of 32, 64 and 128 bytes, or as many as are added up. */
function depthsOf({ packed, eights }: ContractionProblem): readonly number[] {
  const elementBytes = factorBytes({ packed });
  return eights === undefined ? [32, 64, 128].map((bytes) => bytes / elementBytes) : [eights.step];
}

/** With steps of 128 bytes where two stages of those fit, since rows of so many are copied best. */
function deepened(problem: ContractionProblem, shape: Shape, units: MatrixUnits): UnitsChoice | undefined {
  const { node, reduced } = problem;
  const { workgroupBytes, warpgroups } = units;
  if (!isShapeFor(problem, units, shape)) return undefined;
  const elementBytes = factorBytes(problem);
  const depths = depthsOf(problem).toReversed();
  const [deepest] = depths;
  const areMany = warpgroups && shape.warpColumns === 1 && shape.warpRows === 8;
  const fitting = depths.flatMap((depth, at) => {
    // A step of a narrower tile is sooner done: more of them are brought ahead.
    const most = depth !== deepest ? 4 : areMany ? 6 : 4;
    const fewest = at === 0 && depths.length > 1 ? 3 : 2;
    const stages = at === 2 ? [2] : [6, 5, 4, 3, 2].filter((each) => each <= most && each >= fewest);
    return stages.map((each) => [depth, each] as const);
  });
  // Results of warpgroups leave through memory of their own, so that the next factors come at the same time.
  const areGroups = warpgroups && shape.warpColumns === 1 && shape.warpRows % 4 === 0;
  const leave = areGroups && node.grouped === undefined && dtypeFacts[node.result.dtype].bits === 16;
  for (const [depth, stages] of fitting) {
    const isTooDeep = depth > depths.at(-1)! && reduced.extent <= depth / 2;
    const choice: UnitsChoice = { form: 'units', ...shape, depth, stages, cluster: 1 };
    const leaving = leave ? fedBytes(choice, { elementBytes, products: 1, leave }) : 0;
    const bytes = Math.max(bytesOfUnits(choice, elementBytes), leaving);
    if (!isTooDeep && bytes <= workgroupBytes) return choice;
  }
  return undefined;
}

/** Of workgroup memory: the factors of all stages, or in their place the results. */
export function bytesOfUnits(
  { warpRows, warpColumns, rows, columns, depth, stages }: UnitsChoice,
  elementBytes: number,
): number {
  const [high, wide] = [warpRows * rows, warpColumns * columns];
  return Math.max(elementBytes * stages * depth * (high + wide), 4 * high * (wide + resultPadding));
}

/** Whether clusters are tried: of kernels that have a processor to themselves, in the steps that are best. */
function mayPair(
  problem: ContractionProblem,
  { warpgroups }: MatrixUnits,
  { warpRows, warpColumns, depth }: Pick<UnitsChoice, 'warpRows' | 'warpColumns' | 'depth'>,
): boolean {
  return warpgroups && warpRows === 8 && warpColumns === 1 && depth === depthsOf(problem).at(-1);
}

/** Results of a warp: 128 registers of each lane. */
const mostSums = 64 * 64;
/** Registers of a lane that have sums, those of a step, and what these are multiplied with. */
const mostWithSteps = 200;
/** Who have the columns of a row between them. */
const lanesOfRow = 4;

/** What is brought by others may be brought further ahead. */
function stagesOf(isByOthers: boolean): readonly number[] {
  return isByOthers ? [2, 3, 4, 5, 6] : [2, 3, 4];
}

/** Tiles that fit into registers and shared memory. */
export function allUnits(problem: ContractionProblem, device: DeviceProfile): readonly UnitsChoice[] {
  const { units } = device;
  const { packed, wide, rows, columns, reduced } = problem;
  if (units === undefined || (packed ?? wide) === undefined || reduced.extent === 0) return [];
  const upTo = (counts: readonly number[], per: number, extent: number) =>
    counts.filter((count, place) => place === 0 || count * per < 2 * extent);
  const widths = units.warpgroups ? [16, 32, 64, 128, 256] : [16, 32, 64];
  const between = units.warpgroups ? ratedBetweenOf(problem).map(({ shape }) => shape.columns) : [];
  return upTo([16, 32, 64], 1, rows.extent).flatMap((high) =>
    upTo([...widths, ...between], 1, columns.extent).flatMap((wide) =>
      upTo(units.warpgroups ? [1, 2, 4, 8] : [1, 2, 4], high, rows.extent).flatMap((warpRows) =>
        upTo([1, 2, 4], wide, columns.extent).flatMap((warpColumns) =>
          depthsOf(problem).flatMap((depth) => {
            const isByOthers = mayPair(problem, units, { warpRows, warpColumns, depth });
            return stagesOf(isByOthers).flatMap((stages): readonly UnitsChoice[] => {
              const shape = { warpRows, warpColumns, rows: high, columns: wide };
              const choice: UnitsChoice = { form: 'units', ...shape, depth, stages, cluster: 1 };
              if (bytesOfUnits(choice, factorBytes(problem)) > units.workgroupBytes) return [];
              if (!isShapeFor(problem, units, shape)) return [];
              if (between.includes(wide) && !(isByOthers && high === 16)) return [];
              return isByOthers ? [choice, { ...choice, cluster: 2 }] : [choice];
            });
          }),
        ),
      ),
    ),
  );
}
