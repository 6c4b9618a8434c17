/**
 * What a product by matrix units takes, estimated without making its kernel: there are more than a thousand
 * choices for one, of which the tuner measures those first that promise most.
 *
 * The figures are of one H200 (TFLOP/s of 8192³: two warpgroups of 128 × 256 678, of 128 × 128 with three
 * stages 488, one of 64 × 128 458, `mma.sync` of 64 × 64 a warp 358). On others the order is much the same.
 */
import type { MatrixUnits } from '../device-profile.ts';
import { packedFacts } from '../packed.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import { factorBytes } from '../schedules/unit-factors.ts';
import type { ChoiceOf } from './choice.ts';

type UnitsChoice = ChoiceOf<'units'>;

/** Of one multiprocessor. */
const peak = 680e12 / 132;
const cacheBytesPerSecond = 10.7e12 / 132;
/** Threads, and registers of a thread, of all workgroups that it runs together. */
const mostThreads = 2048;
const registers = 65_536;
/** That a thread needs beside its sums. */
const otherRegisters = 64;
/** From the start of a copy until what it brings is there. */
const latency = 1e-6;
/** Of all of them. */
const memoryBytesPerSecond = 4.3e12;
const launch = 3e-6;

/** Seconds. */
export function unitsCost(problem: ContractionProblem, choice: UnitsChoice, units: MatrixUnits): number {
  const { node, batch, rows, columns, reduced } = problem;
  const { depth, stages } = choice;
  const elementBytes = factorBytes(problem);
  const [high, wide] = [choice.warpRows * choice.rows, choice.warpColumns * choice.columns];
  const { rate } = packedFacts[problem.packed?.left ?? 'bf16'];
  // Each expert has a tile that is not full.
  const down = Math.ceil(rows.extent / high) + (node.grouped?.experts ?? 0) / 2;
  const tiles = batch.extent * down * Math.ceil(columns.extent / wide);
  const most = togetherOn(choice, elementBytes, units);
  const turns = Math.ceil(tiles / (units.processors * most));
  const together = Math.min(most, Math.ceil(tiles / units.processors));
  const steps = depth * Math.ceil(reduced.extent / depth);
  // Workgroups of a cluster bring the right factor for each other.
  const each = elementBytes * (high + wide / choice.cluster);
  const brought = each * steps;
  const ahead = each * (stages - 1) * depth * together;
  const bringing = (together * brought) / Math.min(cacheBytesPerSecond, ahead / latency);
  const multiplying = (together * 2 * high * wide * steps) / (peak * rate * shareOf(choice, units));
  const read = elementBytes * batch.extent * reduced.extent * (rows.extent + columns.extent);
  const written = 4 * batch.extent * rows.extent * columns.extent;
  const filling = latency * Math.min(stages, 2);
  const computed = turns * (Math.max(bringing, multiplying) + filling);
  return launch + Math.max(computed, (read + written) / memoryBytesPerSecond);
}

/** Workgroups that a multiprocessor runs at a time. */
function togetherOn(choice: UnitsChoice, elementBytes: number, { workgroupBytes }: MatrixUnits): number {
  const [high, wide] = [choice.warpRows * choice.rows, choice.warpColumns * choice.columns];
  const bytes = Math.max(elementBytes * choice.stages * choice.depth * (high + wide), 4 * high * (wide + 8));
  const threads = 32 * choice.warpRows * choice.warpColumns;
  const ofThread = (choice.rows * choice.columns) / 32 + otherRegisters;
  const fitting = [workgroupBytes / bytes, mostThreads / threads, registers / (threads * ofThread)];
  return Math.max(1, Math.floor(Math.min(...fitting)));
}

/** Of the peak, that products of such a shape reach where factors are always there. */
function shareOf({ warpRows, warpColumns, rows, columns }: UnitsChoice, { warpgroups }: MatrixUnits): number {
  // A warpgroup reads both factors from shared memory, 64 rows for all columns.
  if (warpgroups && warpColumns === 1 && warpRows % 4 === 0 && rows === 16)
    return Math.min(1, 0.6 + columns / 512 + (warpRows > 4 ? 0.15 : 0));
  // A warp reads its rows and columns for each of its products.
  return Math.min(0.55, (0.55 * 2 * rows * columns) / (64 * (rows + columns)));
}
