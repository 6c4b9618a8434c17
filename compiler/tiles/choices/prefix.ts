/** How prefix reductions may be run: by an invocation a row, by a row of threads, or in pieces. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { DeviceProfile } from '../device-profile.ts';
import { ratesOf } from '../device-rates.ts';
import { type PrefixForm, type PrefixProblem, runCount } from '../schedules/prefix-problem.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, powerFor, powersTo } from './choosing.ts';

export const prefixChoices: Choosing<PrefixProblem, ChoiceOf<PrefixForm>> = {
  first: (problem, device) => {
    const way = firstWay(problem, device);
    return firstPieces(problem, way, device) ?? way;
  },
  all: (problem, device) => [
    ...powersTo(powerFor(runCount(problem), walkersOf(device))).map(walkBy),
    ...allScans(problem, device),
    ...allPieces(problem),
  ],
};

/** Rows that are walked along in a workgroup at most. */
function walkersOf({ maxInvocationsPerWorkgroup }: DeviceProfile): number {
  return Math.min(64, maxInvocationsPerWorkgroup);
}

function walkBy(threadColumns: number): ChoiceOf<'walk'> {
  return { form: 'walk', threadColumns };
}

/** Elements of a row up to which an invocation has it to itself: those of others share its cache lines. */
const shortRow = 32;
/** Rows of which there are enough for a GPU so. */
const manyRows = 4096;

function firstWay(problem: PrefixProblem, device: DeviceProfile): ChoiceOf<'walk' | 'scan'> {
  const runs = runCount(problem);
  const isShort = runLength(problem) <= shortRow && runs >= manyRows;
  return device.software || device.core !== undefined || isShort
    ? firstWalk(problem, device)
    : firstScan(problem, device);
}

/** Workgroups of a processor's cores at least, for all to have some. */
const fewestOfCores = 4;

/** So few together that all cores have some. */
function firstWalk(problem: PrefixProblem, device: DeviceProfile): ChoiceOf<'walk'> {
  const runs = runCount(problem);
  const wanted = device.software ? Math.max(Math.min(4, runs), runs / fewestOfCores) : runs;
  return walkBy(powerFor(wanted, walkersOf(device)));
}

function runLength({ length, pieces }: PrefixProblem): number {
  return pieces?.chunk ?? length;
}

// ── by rows of threads ─────────────────────────────────────────────────────────────────────────────────────

/** Neighbours that an invocation takes at once; undefined where elements share words that rows leave open. */
function neighboursOf({ node, length, pieces }: PrefixProblem): number | undefined {
  if (length % 4 === 0 && (pieces?.chunk ?? 0) % 4 === 0) return 4;
  return dtypeFacts[node.result.dtype].bits === 32 ? 1 : undefined;
}

/** Threads of a workgroup, and vectors of each, that keep a GPU's memory busy. */
const [usualThreads, usualVectors] = [256, 4];
/** Rows of fewer threads share a workgroup of at least as many. */
const fewestThreads = 64;

function firstScan(problem: PrefixProblem, device: DeviceProfile): ChoiceOf<'walk' | 'scan'> {
  const vector = neighboursOf(problem);
  if (vector === undefined) return firstWalk(problem, device);
  const pieces = Math.ceil(runLength(problem) / vector);
  const most = Math.min(usualThreads, device.maxInvocationsPerWorkgroup);
  const threadColumns = powerFor(pieces / 2, most);
  const vectors = Math.min(usualVectors, powerFor(pieces / threadColumns, usualVectors));
  const threadRows = powerFor(
    Math.min(runCount(problem), Math.min(fewestThreads, most) / threadColumns),
    most,
  );
  return { form: 'scan', threadRows, threadColumns, vectors, vector };
}

function allScans(problem: PrefixProblem, device: DeviceProfile): readonly ChoiceOf<'scan'>[] {
  const { maxInvocationsPerWorkgroup, maxWorkgroupBytes, core } = device;
  const vector = neighboursOf(problem);
  if (core !== undefined || vector === undefined) return [];
  const pieces = Math.ceil(runLength(problem) / vector);
  return powersTo(powerFor(pieces, maxInvocationsPerWorkgroup)).flatMap((threadColumns) =>
    [1, 64, 256]
      .map((threads) => Math.max(1, Math.min(threads, maxInvocationsPerWorkgroup) / threadColumns))
      .filter((threadRows, at, all) => all.indexOf(threadRows) === at)
      .filter((threadRows) => threadRows === 1 || threadRows < 2 * runCount(problem))
      .flatMap((threadRows) =>
        [1, 2, 4, 8]
          .filter((vectors) => vectors < 2 * Math.ceil(pieces / threadColumns))
          .filter((vectors) => metBytes * vectors * threadRows * threadColumns <= maxWorkgroupBytes)
          .map((vectors) => ({ form: 'scan', threadRows, threadColumns, vectors, vector }) as const),
      ),
  );
}

/** Of workgroup memory in which an invocation tells others what it has of a vector. */
const metBytes = 8;

// ── in pieces ──────────────────────────────────────────────────────────────────────────────────────────────

/** Where that saves at least what the kernels take that are more. */
function firstPieces(
  problem: PrefixProblem,
  way: ChoiceOf<'walk' | 'scan'>,
  device: DeviceProfile,
): ChoiceOf<'pieces'> | undefined {
  const { rows, length, pieces } = problem;
  if (pieces !== undefined || device.core !== undefined) return undefined;
  const { load, arithmetic, kernel } = ratesOf(device);
  const { step, seconds, wanted } =
    way.form === 'walk'
      ? { step: 4, seconds: 4 * (load + arithmetic), wanted: device.software ? walkersOfCores : manyRows }
      : {
          step: way.threadColumns * way.vector * way.vectors,
          seconds: stepOfScan,
          wanted: 2 * way.threadRows * (device.units?.processors ?? fewProcessors),
        };
  const parts = Math.floor(wanted / rows);
  if (parts < 2 || (length / step) * seconds * (1 - 2 / parts) < 2 * kernel) return undefined;
  const chunk = Math.ceil(length / parts / step) * step;
  return chunk < length ? { form: 'pieces', chunk } : undefined;
}

/** Invocations that walk along pieces on the cores of a processor, several in the lanes of a vector. */
const walkersOfCores = 64;
/** Multiprocessors of a GPU of which nothing is known. */
const fewProcessors = 32;
/** Seconds of a step of a workgroup that scans: to memory and back, and twice to the others. */
const stepOfScan = 1.5e-6;

function allPieces({ length, pieces }: PrefixProblem): readonly ChoiceOf<'pieces'>[] {
  if (pieces !== undefined || length < 32) return [];
  const chunks = [4, 16, 64, 256].map((parts) => Math.ceil(length / parts / 4) * 4);
  return [...new Set(chunks)]
    .filter((chunk) => chunk >= 8 && chunk < length)
    .map((chunk) => ({ form: 'pieces', chunk }) as const);
}
