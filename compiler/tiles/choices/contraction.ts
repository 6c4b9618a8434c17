/**
 * How contractions may be run: in tiles, as thin products, or as the reductions that they are; and in two,
 * what is reduced cut into chunks, each of which is a contraction with a choice of its own.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { GroupedLookup, Scalar } from '../../graph/graph.ts';
import type { DeviceProfile } from '../device-profile.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import { canPanel } from '../schedules/panels.ts';
import { splitAxis } from '../schedules/split-reduction.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, fewestWorkgroups, powerFor, powersTo } from './choosing.ts';
import { fewRowsUnits, withEnoughStages } from './few-rows.ts';
import { chunkWithinPages, secondCacheBytes } from './pages.ts';
import { chunkFor, type ReductionForm, reductionChoices } from './reduction.ts';
import { allUnits, firstUnits, isWorthUnits } from './unit-tiles.ts';

export type ContractionForm = 'tiles' | 'units' | 'thin' | ReductionForm;

export const contractionChoices: Choosing<ContractionProblem, ChoiceOf<ContractionForm>> = {
  first: (problem, device) => {
    const whole = firstWhole(problem, device);
    if (whole === undefined) return reductionChoices.first(problem.reduction, device);
    const chunks = device.core === undefined || isThin(problem, device) ? undefined : coreChunks(problem);
    return chunks ?? worthwhileSplit(problem, whole, device) ?? whole;
  },
  all: (problem, device) => [
    ...allTiles(problem, device),
    ...allUnits(problem, device),
    ...fewRowsUnits(problem, device),
    ...allThin(problem, device),
    ...reductionChoices.all(problem.reduction, device),
  ],
};

/** Undefined where it is best a reduction like any other. */
function firstWhole(problem: ContractionProblem, device: DeviceProfile): WholeChoice | undefined {
  if (isThin(problem, device))
    return isFolded(problem, device) ? softwareTiles(problem, device) : firstThin(problem, device);
  if (!isWorthTiling(problem, device)) return undefined;
  const units = isWorthUnits(problem, device) ? firstUnits(problem, device) : undefined;
  return units === undefined ? firstTiles(problem, device) : withEnoughStages(units, problem, device);
}

/** Of the whole product in one kernel. */
type WholeChoice = ChoiceOf<'thin' | 'units'> | TilesChoice;

// ── in two ─────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Of a long reduced axis and so few results that most of the device would have nothing to do. Where the axis
 * ends is known in a run only, so that it is not cut then.
 */
function worthwhileSplit(
  problem: ContractionProblem,
  whole: WholeChoice,
  device: DeviceProfile,
): ChoiceOf<'split'> | undefined {
  const { node, batch, rows, columns, reduced } = problem;
  const axis = splitAxis(node);
  if (axis === undefined || node.grouped !== undefined || reduced.end !== undefined) return undefined;
  const { workgroups, shortest, leastWork, fewestParts } = gains[kindOf(device)];
  const parts = Math.floor(Math.min(workgroups / workgroupsOf(problem, whole), reduced.extent / shortest));
  const work = batch.extent * rows.extent * columns.extent * reduced.extent;
  const extent = node.reduce.extents[axis]!;
  if (parts < fewestParts || extent < 16 * parts || work < leastWork) return undefined;
  return { form: 'split', chunk: chunkFor(extent, parts) };
}

/**
 * What there must be to gain by another kernel: workgroups that the device is busy with (of a core and a
 * software adapter, as measured with two cores: shorter chunks also stay in a cache), steps that are worth a
 * workgroup, and multiply-adds that are worth a launch. A third of a GPU's processors read nearly as fast as
 * all of them, so that of fewer parts nothing would be left.
 */
const gains = {
  core: { workgroups: 8, shortest: 1024, leastWork: 2 ** 21, fewestParts: 2 },
  software: { workgroups: 4, shortest: 1024, leastWork: 2 ** 21, fewestParts: 2 },
  hardware: { workgroups: 128, shortest: 512, leastWork: 2 ** 19, fewestParts: 2 },
  withUnits: { workgroups: 128, shortest: 512, leastWork: 2 ** 19, fewestParts: 3 },
};

function kindOf({ core, software, units }: DeviceProfile): keyof typeof gains {
  if (core !== undefined) return 'core';
  if (units !== undefined) return 'withUnits';
  return software ? 'software' : 'hardware';
}

function workgroupsOf({ batch, rows, columns }: ContractionProblem, choice: WholeChoice): number {
  const [high, wide] = tileOf(choice, rows.extent);
  return batch.extent * Math.ceil(rows.extent / high) * Math.ceil(columns.extent / wide);
}

/** Rows and columns of a workgroup, of so many rows in all. */
function tileOf(choice: WholeChoice, rows: number): readonly [number, number] {
  switch (choice.form) {
    case 'thin':
      // Its columns of threads share what is reduced.
      return [rows, choice.threadRows * choice.columns];
    case 'tiles':
      return [choice.threadRows * choice.rows, choice.threadColumns * choice.columns];
    case 'units':
      return [choice.warpRows * choice.rows, choice.warpColumns * choice.columns];
  }
}

// ── thin products ──────────────────────────────────────────────────────────────────────────────────────────

/** More rows than this are worth tiles of their own. */
const mostThinRows = 3;
/**
 * What matrix units do not multiply, where they do the rest: an invocation has registers for so many, and of
 * a tile of few rows too few invocations wait for memory (4 × 64 over 64, a tile: 16 µs on an H200).
 */
const mostThinRowsBesideUnits = 8;

function hasThinRows({ rows, packed }: ContractionProblem, { units }: DeviceProfile): boolean {
  const isBesideUnits = units !== undefined && packed === undefined;
  return rows.extent <= (isBesideUnits ? mostThinRowsBesideUnits : mostThinRows);
}

function isThin(problem: ContractionProblem, device: DeviceProfile): boolean {
  const { node, columns, reduced, rightOrder } = problem;
  return (
    node.grouped === undefined &&
    rightOrder === 'nk' &&
    hasThinRows(problem, device) &&
    columns.extent >= 4 &&
    reduced.extent >= 16
  );
}

/**
 * Whether a software adapter computes weights before it multiplies with them, as those of few bits are: lanes
 * that read neighbours do that one by one, where columns of a tile share it.
 */
function isFolded(
  { contraction: { right } }: ContractionProblem,
  { core, software }: DeviceProfile,
): boolean {
  return software && core === undefined && right.op !== 'load';
}

function firstThin(problem: ContractionProblem, device: DeviceProfile): ChoiceOf<'thin'> {
  const plain = { form: 'thin', vector: 4 } as const;
  if (device.software)
    return { ...plain, threadRows: 1, threadColumns: device.subgroupSize ?? 1, columns: 8 };
  if (device.keptElements !== undefined) return keptThin(problem);
  const threadColumns = Math.min(64, 2 ** Math.floor(Math.log2(problem.reduced.extent / 4)));
  const threadRows = Math.max(1, Math.min(256, device.maxInvocationsPerWorkgroup) / threadColumns);
  return { ...plain, threadRows, threadColumns, columns: 4 };
}

/** Threads that, with four columns each, have enough reads under way to keep the memory of a GPU busy. */
const busyThreads = 2 ** 13;

/**
 * A warp has four columns, so that its lanes meet in registers; of few columns more warps share what is
 * reduced. Sixteen bytes are read at once where that leaves registers.
 */
function keptThin({ rows, columns, reduced, contraction }: ContractionProblem): ChoiceOf<'thin'> {
  const isNarrow = [contraction.left, contraction.right].every((factor) => bitsOf(factor) <= 16);
  const vector = isNarrow && rows.extent <= 2 ? 8 : 4;
  const sharing = Math.max(32, powerFor((4 * busyThreads) / columns.extent, 256));
  const threadColumns = powerFor(reduced.extent / vector, sharing);
  const threadRows = powerFor(columns.extent / 4, Math.max(1, 128 / threadColumns));
  return { form: 'thin', threadRows, threadColumns, columns: 4, vector };
}

/** Of what is stored, where a factor is no more than that. */
function bitsOf(factor: Scalar): number {
  return factor.op === 'load' ? dtypeFacts[factor.dtype].bits : 32;
}

function allThin(problem: ContractionProblem, device: DeviceProfile): readonly ChoiceOf<'thin'>[] {
  const { node, reduced } = problem;
  const { maxInvocationsPerWorkgroup, maxWorkgroupBytes, subgroupSize, keptElements } = device;
  if (node.grouped !== undefined || !hasThinRows(problem, device)) return [];
  /** Those that share what is reduced meet in workgroup memory, if they are not one subgroup. */
  const together = Math.min(maxInvocationsPerWorkgroup, Math.floor(maxWorkgroupBytes / 4));
  const [vectors, most] = keptElements === undefined ? ([[4], 64] as const) : ([[4, 8], 256] as const);
  return vectors.flatMap((vector) =>
    powersTo(powerFor(reduced.extent / vector, most)).flatMap((threadColumns) =>
      [1, 4, 16, 64]
        .filter((threadRows) => {
          const threads = threadRows * threadColumns;
          if (threadColumns === 1) return threads <= maxInvocationsPerWorkgroup;
          return threads <= together || (threadRows === 1 && threads === subgroupSize);
        })
        .flatMap((threadRows) =>
          [4, 8].map((columns) => ({ form: 'thin', threadRows, threadColumns, columns, vector }) as const),
        ),
    ),
  );
}

// ── tiles ──────────────────────────────────────────────────────────────────────────────────────────────────

type TilesChoice = ChoiceOf<'tiles'>;
/** The results of one invocation. */
type Block = Pick<TilesChoice, 'rows' | 'columns'>;

/** Of few rows there is nothing to share, but four steps at a time are better than one. */
function isWorthTiling(
  { node, rows, columns, reduced, rightOrder }: ContractionProblem,
  device: DeviceProfile,
): boolean {
  if (node.grouped !== undefined) return reduced.extent > 0 && columns.extent >= 4;
  const isWide = columns.extent >= 4 && reduced.extent >= (device.software ? 2 : 4);
  return isWide && (rows.extent >= 4 || (device.software && rightOrder === 'kn' && columns.extent >= 64));
}

/** For few rows, columns of a large factor are not worth copying, and are walked down in pieces. */
function coreChunks(problem: ContractionProblem): ChoiceOf<'split'> | undefined {
  const { node, rows, columns, reduced, rightOrder, reduction } = problem;
  if (rightOrder !== 'kn' || rows.extent >= fewestPanelRows) return undefined;
  if (node.grouped !== undefined || reduced.end !== undefined) return undefined;
  const chunk = chunkWithinPages(columns.extent, reduced.extent);
  const isCut = chunk !== undefined && splitAxis(reduction.node) !== undefined;
  return isCut ? { form: 'split', chunk } : undefined;
}

/**
 * How often a workgroup of a core takes rows, which read the same columns: often, but neither many that are
 * none nor so many that some cores have nothing to do in the end.
 */
function coreRounds({ batch, rows, columns }: ContractionProblem, block: Block): number {
  const blocks = Math.ceil(rows.extent / block.rows);
  const others = batch.extent * Math.ceil(columns.extent / block.columns);
  const fits = (rounds: number) => {
    const groups = Math.ceil(blocks / rounds);
    return groups * rounds <= blocks * (1 + mostWaste) && groups * others >= fewestWorkgroups;
  };
  return [16, 8, 4, 2].find(fits) ?? 1;
}

/** Of the work of a kernel. */
const mostWaste = 1 / 16;

/**
 * How often a workgroup of a core takes blocks of its expert: of rows all that most have, so that what it
 * copies of the weights is copied once, but no more than leave workgroups for all cores; and of columns some,
 * so that a row is met often while it is near, and what is copied lies together.
 */
function groupedRounds(
  { rows, columns }: ContractionProblem,
  { experts }: GroupedLookup,
  block: Block,
): Pick<TilesChoice, 'threadRows' | 'threadColumns'> {
  const threadColumns = powerFor(columns.extent / block.columns, 4);
  const across = Math.ceil(columns.extent / (block.columns * threadColumns));
  const usual = powerFor((1.5 * rows.extent) / experts, mostGroupedRows);
  const leaving = powerFor((rows.extent * across) / fewestWorkgroups, mostGroupedRows);
  return { threadRows: Math.max(1, Math.min(usual, leaving) / block.rows), threadColumns };
}

/** Rows of an expert that a workgroup of a core has at most. */
const mostGroupedRows = 256;

export function firstTiles(problem: ContractionProblem, device: DeviceProfile): TilesChoice {
  if (device.core !== undefined) return coreTiles(problem, device);
  return device.software ? softwareTiles(problem, device) : workgroupTiles(problem, device);
}

/** The block of a core, in registers, and how often a workgroup takes one. */
function coreTiles(problem: ContractionProblem, device: DeviceProfile): TilesChoice {
  const { rows, node } = problem;
  const core = device.core!;
  const isNear =
    problem.hasVectors && 4 * problem.columns.extent * problem.reduced.extent <= secondCacheBytes;
  const fewest = isNear && node.grouped === undefined ? fewestRowsOfVectors : fewestPanelRows;
  const panels =
    canHavePanels(problem, core.columns, device) && rows.extent / (node.grouped?.experts ?? 1) >= fewest;
  // Along the depth, four steps of a column are a vector, and columns that share a row save nothing.
  const shape = panels || problem.rightOrder === 'kn' ? core : core.streamed;
  const block: Block = { rows: powerFor(rows.extent, shape.rows), columns: shape.columns };
  return {
    form: 'tiles',
    staging: 'registers',
    ...(node.grouped === undefined
      ? { threadRows: coreRounds(problem, block), threadColumns: 1 }
      : groupedRounds(problem, node.grouped, block)),
    ...block,
    // V8 moves all loads of a basic block to its front, and what is loaded for more steps takes the registers
    // that the sums are in. Vectors along the depth are of four steps.
    depth: panels || problem.rightOrder === 'kn' ? 1 : 4,
    panels,
  };
}

/** Rows that an element is to be multiplied with at least, or copying takes longer than it saves. */
const fewestPanelRows = 16;

/**
 * The same where vectors of the factor lie in memory as they are needed, and the second cache holds it: what
 * is read there is read fast enough, up to as many rows. What is larger is slow to read by columns: at a
 * stride of a page, four times as slow.
 */
const fewestRowsOfVectors = 256;

function canHavePanels(
  { node, batch, columns, reduced }: ContractionProblem,
  width: number,
  device: DeviceProfile,
): boolean {
  const batches = node.grouped === undefined ? batch.extent : 1;
  return canPanel({ batches, columns: columns.extent, depth: reduced.extent, width }, device.core);
}

/**
 * The block of results that one invocation of a software adapter accumulates. Larger ones load less for each
 * multiply-add, but 32 × 8 of subgroups of four take half as long again as 16 × 8, since they spill, and much
 * longer to compile. Of few rows they may be wider, and what is dear to read more rows should share.
 */
function softwareBlock(problem: ContractionProblem, lanes: number): Block {
  const { batch, rows, columns, reduced, isDear } = problem;
  const results = batch.extent * rows.extent * columns.extent;
  if (results < 2 ** 12 && rows.extent > 4) return { rows: 8, columns: 4 };
  // Where the depth is no whole vectors, its elements are asked for one by one, which larger tiles spill for.
  const isWhole = reduced.extent % 4 === 0 && reduced.end === undefined;
  const wide = rows.extent <= 4 || (lanes <= 4 && isWhole) ? 8 : 4;
  return { rows: (lanes > 4 || isDear) && results >= 2 ** 18 ? 32 : 16, columns: wide };
}

/** Of rows that are found by expert, whose tiles spill sooner: larger ones take half as long again. */
const groupedBlock = { rows: 16, columns: 4 };

function softwareTiles(problem: ContractionProblem, { subgroupSize }: DeviceProfile): TilesChoice {
  const { rows, columns, reduced, node } = problem;
  const { grouped } = node;
  const lanes = subgroupSize ?? 1;
  const block = grouped === undefined ? softwareBlock(problem, lanes) : groupedBlock;
  // Rows of one tile are of one expert, which may have few.
  const together = rows.extent / (grouped?.experts ?? 1);
  const own = rows.extent < lanes ? rows.extent : Math.max(lanes, powerFor(together, block.rows));
  const wide = rows.extent < lanes && reduced.extent < 4 ? 16 : block.columns;
  const perColumn = columns.extent >= 64 ? wide : 4;
  return {
    form: 'tiles',
    staging: subgroupSize !== undefined && own % subgroupSize === 0 ? 'lanes' : 'registers',
    threadRows: 1,
    threadColumns: neighboursFor(columns.extent / perColumn, lanes),
    rows: own,
    columns: perColumn,
    depth: reduced.extent < 4 ? 1 : 4,
    panels: false,
  };
}

/** As many neighbours as a workgroup of a software adapter has at most, if few of them are in vain. */
function neighboursFor(wanted: number, lanes: number): number {
  const fits = (threads: number) => Math.ceil(wanted / threads) * threads <= wanted * (1 + mostWaste);
  return [16, 8, 4].find((threads) => threads % lanes === 0 && fits(threads)) ?? lanes;
}

function workgroupTiles(
  { rows, columns }: ContractionProblem,
  { maxInvocationsPerWorkgroup }: DeviceProfile,
): TilesChoice {
  const threadColumns = powerFor(columns.extent / 4, 16);
  return {
    form: 'tiles',
    staging: 'shared',
    threadRows: powerFor(rows.extent / 4, Math.min(16, maxInvocationsPerWorkgroup / threadColumns)),
    threadColumns,
    rows: 4,
    columns: 4,
    depth: 16,
    panels: false,
  };
}

/** Results that an invocation keeps in registers at most: more take seconds to compile. */
const mostResults = 256;

export function allTiles(problem: ContractionProblem, device: DeviceProfile): readonly TilesChoice[] {
  const { node, reduced } = problem;
  if (node.grouped !== undefined && reduced.extent === 0) return [];
  if (node.grouped !== undefined && device.core !== undefined) return tilesOfExperts(problem, device);
  return [
    ...tilesInRegisters(problem, device),
    ...tilesOverLanes(problem, device),
    ...tilesInWorkgroupMemory(problem, device),
  ].filter(({ rows, columns }) => rows * columns <= mostResults);
}

function tilesInRegisters(problem: ContractionProblem, device: DeviceProfile): readonly TilesChoice[] {
  const { rows, columns } = problem;
  const { maxInvocationsPerWorkgroup } = device;
  const blocks = [1, 2, 4, 8, 16].filter((own) => own === 1 || own < 2 * rows.extent);
  return blocks.flatMap((own) =>
    [4, 8, 16].flatMap((wide) =>
      [1, 4, 16].flatMap((threadRows) =>
        [1, 4, 16]
          .filter((threadColumns) => threadRows * threadColumns <= maxInvocationsPerWorkgroup)
          .filter((threadColumns) => threadColumns === 1 || threadColumns * wide < 2 * columns.extent)
          .filter(() => threadRows === 1 || threadRows * own < 2 * rows.extent)
          .flatMap((threadColumns) => {
            const mayPanel = threadColumns === 1 && canHavePanels(problem, wide, device);
            return (mayPanel ? [false, true] : [false]).flatMap((panels) =>
              depthsOf(problem, panels).map(
                (depth): TilesChoice => ({
                  ...{ form: 'tiles', staging: 'registers', threadRows, threadColumns },
                  ...{ rows: own, columns: wide, depth, panels },
                }),
              ),
            );
          }),
      ),
    ),
  );
}

/** Of a core, which takes all rows of an expert if they are so many, and some blocks of columns for each. */
function tilesOfExperts(problem: ContractionProblem, device: DeviceProfile): readonly TilesChoice[] {
  const { rows, columns } = problem;
  const upTo = (counts: readonly number[], per: number, extent: number) =>
    counts.filter((count) => count === 1 || count * per < 2 * extent);
  return upTo([1, 2, 4], 1, rows.extent).flatMap((own) =>
    [8, 16].flatMap((wide) =>
      upTo([1, 4, 16, 64, 128], own, rows.extent).flatMap((threadRows) =>
        upTo([1, 2, 4], wide, columns.extent).flatMap((threadColumns) =>
          (canHavePanels(problem, wide, device) ? [false, true] : [false]).flatMap((panels) =>
            depthsOf(problem, panels).map(
              (depth): TilesChoice => ({
                ...{ form: 'tiles', staging: 'registers', threadRows, threadColumns },
                ...{ rows: own, columns: wide, depth, panels },
              }),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Steps that are loaded together. */
function depthsOf({ rightOrder }: ContractionProblem, panels: boolean): readonly number[] {
  return panels || rightOrder === 'kn' ? [1, 4] : [4];
}

/** Of a workgroup that is whole subgroups, each lane of which has a part of the rows. */
function tilesOverLanes(
  { rows, columns }: ContractionProblem,
  { subgroupSize: lanes, maxInvocationsPerWorkgroup }: DeviceProfile,
): readonly TilesChoice[] {
  if (lanes === undefined) return [];
  return [4, 8, 16, 32, 64]
    .filter((own) => own % lanes === 0 && (own === lanes || own < 2 * rows.extent))
    .flatMap((own) =>
      [4, 8].flatMap((wide) =>
        [1, 2, 4]
          .map((subgroups) => subgroups * lanes)
          .filter((threads) => threads <= maxInvocationsPerWorkgroup)
          .filter((threads) => threads === lanes || threads * wide < 2 * columns.extent)
          .map(
            (threadColumns): TilesChoice => ({
              ...{ form: 'tiles', staging: 'lanes', threadRows: 1, threadColumns },
              ...{ rows: own, columns: wide, depth: 4, panels: false },
            }),
          ),
      ),
    );
}

function tilesInWorkgroupMemory(
  { rows, columns }: ContractionProblem,
  { maxInvocationsPerWorkgroup, maxWorkgroupBytes }: DeviceProfile,
): readonly TilesChoice[] {
  return [4, 8].flatMap((own) =>
    [4, 8].flatMap((wide) =>
      [4, 8, 16].flatMap((threadRows) =>
        [4, 8, 16]
          .filter((threadColumns) => threadRows * threadColumns <= maxInvocationsPerWorkgroup)
          .filter((threadColumns) => threadColumns === 4 || threadColumns * wide < 2 * columns.extent)
          .filter(() => threadRows === 4 || threadRows * own < 2 * rows.extent)
          .flatMap((threadColumns) =>
            [8, 16, 32]
              .filter((depth) => 4 * depth * (threadRows * own + threadColumns * wide) <= maxWorkgroupBytes)
              .map(
                (depth): TilesChoice => ({
                  ...{ form: 'tiles', staging: 'shared', threadRows, threadColumns },
                  ...{ rows: own, columns: wide, depth, panels: false },
                }),
              ),
          ),
      ),
    ),
  );
}
