/** How rows may be put in order: by counting, or in the memory of workgroups. */
import type { DeviceProfile } from '../device-profile.ts';
import { isTournament, type OrderForm, type OrderProblem } from '../schedules/order-problem.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, powerFor, powersTo } from './choosing.ts';

export const orderChoices: Choosing<OrderProblem, ChoiceOf<OrderForm>> = {
  first: (problem, device) => {
    if (problem.length <= mostCounted(device)) return counting;
    return firstSort(problem, device) ?? mergeBy(problem, device, mergers);
  },
  all: (problem, device) => [counting, ...allSorts(problem, device), ...allMerges(problem, device)],
};

const counting: ChoiceOf<'count'> = { form: 'count' };

/**
 * Entries of a row whose comparisons with all others take less than to sort them: a core makes sixteen at
 * once.
 */
function mostCounted({ software, core }: DeviceProfile): number {
  if (core !== undefined) return 512;
  return software ? 64 : 32;
}

/** Of an entry in workgroup memory, its key and its place. */
const entryBytes = 8;
/** Entries that an invocation has at most. */
const mostOwn = 8;
/** Invocations that go through the rounds of a sort together. */
const usualThreads = 512;
/** Rows of fewer entries share a workgroup. */
const fewestThreads = 64;

function mostEntries({ maxWorkgroupBytes, maxInvocationsPerWorkgroup }: DeviceProfile): number {
  return (
    2 ** Math.floor(Math.log2(Math.min(maxWorkgroupBytes / entryBytes, mostOwn * maxInvocationsPerWorkgroup)))
  );
}

/**
 * As many entries together as there is memory for, since each merge behind them is a kernel; but of a
 * tournament fewer, for more workgroups: it takes as many rounds. Undefined on a processor, which waits long
 * at barriers.
 */
function firstSort(problem: OrderProblem, device: DeviceProfile): ChoiceOf<'sort'> | undefined {
  const most = mostEntries(device);
  if (device.software || device.core !== undefined || most < 2) return undefined;
  const few = Math.min(most, tournamentEntries);
  const isOfFew = isTournament(problem, few) && problem.length > few;
  const entries = powerFor(problem.length, isOfFew ? few : most);
  const threads = Math.min(usualThreads, device.maxInvocationsPerWorkgroup);
  const threadColumns = powerFor(entries / 4, threads);
  const threadRows = sharing(problem, entries, threadColumns, fewestThreads, device);
  return { form: 'sort', threadRows, threadColumns, entries };
}

/** Of which the best of a row's tiles are found. */
const tournamentEntries = 1024;

/** Rows that go together in a workgroup of so many threads. */
function sharing(
  { rows, length }: OrderProblem,
  entries: number,
  threadColumns: number,
  threads: number,
  device: DeviceProfile,
): number {
  if (length > entries) return 1;
  const together = Math.min(threads, device.maxInvocationsPerWorkgroup);
  const most = Math.floor(device.maxWorkgroupBytes / entryBytes / entries);
  return Math.max(
    1,
    Math.min(powerFor(rows, 64), together / threadColumns, 2 ** Math.floor(Math.log2(most))),
  );
}

function allSorts(problem: OrderProblem, device: DeviceProfile): readonly ChoiceOf<'sort'>[] {
  const { core, maxInvocationsPerWorkgroup } = device;
  const most = mostEntries(device);
  if (core !== undefined || most < 2) return [];
  return powersTo(powerFor(problem.length, most))
    .slice(1)
    .slice(-4)
    .flatMap((entries) =>
      powersTo(Math.min(entries, maxInvocationsPerWorkgroup))
        .filter((threadColumns) => entries / threadColumns <= mostOwn)
        .flatMap((threadColumns) =>
          [1, 64, 256]
            .map((threads) => sharing(problem, entries, threadColumns, threads, device))
            .filter((threadRows, at, list) => list.indexOf(threadRows) === at)
            .map((threadRows) => ({ form: 'sort', threadRows, threadColumns, entries }) as const),
        ),
    );
}

/** Invocations of a workgroup that merge. */
const mergers = 64;

function mergeBy(
  { rows, length }: OrderProblem,
  { maxInvocationsPerWorkgroup }: DeviceProfile,
  most: number,
): ChoiceOf<'merge'> {
  const threadColumns = powerFor(rows * length, Math.min(most, maxInvocationsPerWorkgroup));
  return { form: 'merge', threadColumns };
}

function allMerges(problem: OrderProblem, device: DeviceProfile): readonly ChoiceOf<'merge'>[] {
  return problem.length < 2 ? [] : [4, 16, mergers].map((most) => mergeBy(problem, device, most));
}
