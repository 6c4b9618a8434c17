/** How chains of products may be streamed by matrix units. */
import { loadsOf } from '../../graph/scalar.ts';
import type { DeviceProfile, MatrixUnits } from '../device-profile.ts';
import { type ChainProblem, columnLoads, mayBeOfLanes } from '../schedules/chain-problem.ts';
import { besides, mostResults, resultPadding, unitComponents, unitExtent } from '../schedules/unit-stream.ts';
import type { ChoiceOf } from './choice.ts';
import type { Choosing } from './choosing.ts';

export type UnitChainChoice = ChoiceOf<'unitChain'>;

/** Below this, most of what the units do is for nothing. */
const fewest = { rows: 4, depth: 8, components: 8, streamed: 16 };

export const chainChoices: Choosing<ChainProblem, UnitChainChoice> = {
  // Only what has one becomes a chain.
  first: (problem, device) => firstUnitChain(problem, device)!,
  all: (problem, device) =>
    [1, 2, 4, 8].flatMap((warps) =>
      [16, 32].flatMap((rows) =>
        [16, 32, 48, 64, 80, 96, 128].flatMap((block) =>
          [2, 3, 4].flatMap((stages) =>
            columnsOf(problem, block)
              .map(
                (columns): UnitChainChoice => ({
                  ...{ form: 'unitChain', warps, rows, block, stages, columns },
                }),
              )
              .filter((choice) => isFitting(problem, choice) && fits(problem, choice, device)),
          ),
        ),
      ),
    ),
};

/** Positions of a block, the first that fit. */
const blocks = [64, 48, 32, 16];
/** Of a warp, as units multiply them. */
const rows = 16;

/** What is done first; undefined where matrix units cannot, or would have little to do. */
export function firstUnitChain(problem: ChainProblem, device: DeviceProfile): UnitChainChoice | undefined {
  const { units } = device;
  if (units === undefined || !isWorthUnits(problem)) return undefined;
  return warpsFor(problem, device)
    .flatMap((warps) =>
      blocks.flatMap((block) =>
        stagesOf(warps).flatMap((stages) =>
          columnsOf(problem, block).map((columns) => ({ warps, block, stages, columns })),
        ),
      ),
    )
    .map((shape): UnitChainChoice => ({ form: 'unitChain', rows, ...shape }))
    .find((choice) => isFitting(problem, choice) && fits(problem, choice, device));
}

/** Where two warpgroups have a processor to themselves, one may be a step behind the other. */
function stagesOf(warps: number): readonly number[] {
  return warps > 4 ? [3, 2] : [2];
}

/** Whose what differs along a block alone may be. */
function columnsOf(problem: ChainProblem, block: number): readonly UnitChainChoice['columns'][] {
  return columnLoads(problem).some((load) => mayBeOfLanes(load, block)) ? ['own', 'lanes'] : ['own'];
}

function isWorthUnits({ rows: { extent }, outers, streamed, links }: ChainProblem): boolean {
  return (
    extent >= fewest.rows &&
    outers.every(({ values }) => values.extent >= fewest.components) &&
    streamed.extent >= fewest.streamed &&
    links.every(({ depth }) => depth >= fewest.depth)
  );
}

/**
 * Two warpgroups where there are workgroups enough, since both meet the streamed factors that are brought
 * once.
 */
function warpsFor({ batch, rows: { extent } }: ChainProblem, { units }: DeviceProfile): readonly number[] {
  const { warpgroups, processors } = units!;
  const areEnough = batch.extent * Math.floor(extent / (8 * rows)) >= processors;
  const fewer = [4, 2, 1].filter((count) => count === 1 || rows * count < 2 * extent);
  return warpgroups && areEnough ? [8, ...fewer] : fewer;
}

/** Whether no tile is all or half behind the end. */
function isFitting(problem: ChainProblem, { warps, rows: perWarp, block }: UnitChainChoice): boolean {
  const together = warps * perWarp;
  const isOfRows = together === 16 || together < 2 * problem.rows.extent;
  return isOfRows && (block === 16 || block < 2 * problem.streamed.extent);
}

/**
 * Of the 255 that an invocation may have, or of two warpgroups the 240 that those who bring leave them, or
 * what three workgroups beside each other have.
 */
const mostRegisters = { few: 215, many: 214, ofThree: 149 } as const;
/** Descriptors that are found again where there are more. */
const mostDescriptors = 60;

/**
 * Those that an invocation has something in for long: sums; inner products with what differs along the block
 * alone, and of several outer ones the factors of those under way, or after them what is made of one of
 * those, in parts; and where factors are, which of warpgroups are descriptors of each step of the rows', of
 * warps what they read of the other factor.
 */
function registersOf(
  problem: ChainProblem,
  { warps, rows: perWarp, block, columns }: UnitChainChoice,
  wide: readonly number[],
  { warpgroups }: MatrixUnits,
): number {
  const { links, outers, turns, streamed } = problem;
  const ofTile = (columns: number) => (perWarp * columns) / 32;
  const sums = ofTile(wide.reduce((total, each) => total + each, 0));
  const ofColumns = columnLoads(problem).map((load) =>
    columns === 'lanes' && mayBeOfLanes(load, block) ? block / 32 : block / 4,
  );
  const products = links.length * ofTile(block) + ofColumns.reduce((total, each) => total + each, 0);
  const parts = Math.max(...outers.map((outer) => outer.parts));
  const packed = (ofTile(block) * parts) / 2;
  const isOfGroups = warpgroups && warps % 4 === 0;
  // A warp has multiplied with a factor when it goes on.
  const underWay = isOfGroups && outers.length > 1 ? packed : 0;
  const results = sums + links.length * ofTile(block);
  const depth = links.reduce((total, link) => total + unitExtent(link.depth), 0);
  const descriptors = results > mostResults ? 0 : Math.min(mostDescriptors, depth / 8);
  // Beside what every chain counts with: which head it is, and what a mask has read of the rows.
  const isRead = streamed.visible !== undefined && loadsOf(streamed.visible).length > 0;
  const places = (turns.extent > 1 ? 2 : 0) + (isRead ? 2 : 0);
  const factors = isOfGroups ? descriptors : Math.max(block, ...wide) / 4;
  return sums + Math.max(products + underWay, ofTile(block) + packed) + factors + places;
}

/** Whether its tiles are in registers and shared memory. */
function fits(problem: ChainProblem, choice: UnitChainChoice, { units }: DeviceProfile): boolean {
  const { links, outers } = problem;
  const { warps, rows: perWarp, block, stages } = choice;
  if (units === undefined) return false;
  const wide = outers.map(({ values }) => unitComponents(values.extent, units));
  const together = warps * perWarp;
  const depth = links.reduce((total, link) => total + unitExtent(link.depth), 0);
  const others = wide.filter((_, at) => outers[at]!.twin === undefined);
  const streamed = others.reduce((total, each) => total + each, depth);
  const factors = 2 * (together * depth + stages * block * streamed);
  const results = 4 * together * (Math.max(...wide) + resultPadding);
  const bytes = Math.max(factors, results) + barrierBytes;
  const isOfThree = !units.warpgroups && warps === 4 && bytes < besides.bytes;
  const most = mostRegisters[isOfThree ? 'ofThree' : warps > 4 ? 'many' : 'few'];
  return registersOf(problem, choice, wide, units) <= most && bytes <= units.workgroupBytes;
}

/** What meeting takes at most. */
const barrierBytes = 1024;
