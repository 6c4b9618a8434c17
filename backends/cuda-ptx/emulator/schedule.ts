/**
 * Runs the warps of a block in turns. Lanes of a warp that are at the same step go on together; those that
 * diverged take turns, the ones furthest behind first, so that they meet again where paths join (Diamos and
 * others, "SIMD re-convergence at thread frontiers", MICRO 2011). A warp that waits gives way to others, and
 * lanes that spin give way to other lanes, as threads of Volta and later do.
 */
import type { Instruction } from '../ptx.ts';
import { releaseIfFull } from './barriers.ts';
import { branchByNumber, call, comeBack, leaveStacks } from './calls.ts';
import { settleCluster } from './clusters.ts';
import { firstToMeet } from './cross-lane.ts';
import { EmulatorFault } from './fault.ts';
import { header } from './layout.ts';
import { type Block, countLanes, type Fragment, firstLane, type Machine, type Warp } from './machine.ts';
import { operations } from './operations.ts';
import { setClocks } from './special-registers.ts';
import { instructionAt, type Step } from './steps.ts';

/** Steps after which another warp, or other lanes, have a turn. */
const stepsOfTurn = 20_000;

export interface Counts {
  /** Instructions, times the lanes that ran them. */
  instructions: number;
  readonly most: number;
}

/** @throws EmulatorFault where a thread does what it may not, or all wait for ever. */
export function runCluster(machine: Machine, blocks: readonly Block[], counts: Counts): void {
  for (;;) {
    let [anyMoved, anyLeft] = [false, false];
    machine.letTimePass();
    for (const warp of blocks.flatMap(({ warps }) => warps)) {
      if (warp.live === 0) continue;
      if (warp.barrier === undefined && runWarp(machine, warp, counts)) anyMoved = true;
      if (warp.live === 0) {
        // Who has left is waited for no longer.
        for (const number of [...warp.block.barriers.keys()]) releaseIfFull(machine, warp.block, number);
        settleCluster(machine);
        anyMoved = true;
      } else anyLeft = true;
    }
    if (!anyLeft) break;
    if (machine.isAbandoned()) return;
    if (!anyMoved && !machine.letSomethingHappen()) throw stuck(machine, blocks);
    if (counts.instructions > counts.most)
      throw new EmulatorFault(
        'no end',
        `no end: in block (${blocks[0]!.index.join(', ')}) it goes on after ${counts.most} instructions of threads`,
        positionOf(machine, blocks.flatMap(({ warps }) => warps).find(({ live }) => live !== 0)!),
      );
  }
  finishAll(machine, blocks);
}

/** What nobody waited for happens in the end. */
function finishAll(machine: Machine, blocks: readonly Block[]): void {
  while (machine.letSomethingHappen());
  for (const { warps } of blocks)
    for (const { bulkGroups, pendingBulk } of warps)
      for (const copy of [...bulkGroups.flat(), ...pendingBulk]) machine.finish(copy);
}

/** Whether it came forward. */
function runWarp(machine: Machine, warp: Warp, counts: Counts): boolean {
  const { steps } = machine.kernel.needs;
  let moved = false;
  for (const fragment of warp.fragments) fragment.waits = false;
  for (let turn = 0; turn < stepsOfTurn; ) {
    const fragment = nextFragment(warp);
    if (fragment === undefined) return moved;
    const step = steps[fragment.step]!;
    if (step.kind === 'lanes') turn += runLanes(machine, warp, fragment, step, counts);
    else if (step.kind !== 'warp') {
      turn++;
      transfer(machine, warp, fragment, step, counts);
    } else {
      turn++;
      const lanes = machine.guarded(warp, fragment.mask, step.instruction.guard);
      const others = lanes === 0 ? 0 : lanes & ~firstToMeet(machine, warp, lanes, step.instruction);
      if (others !== 0) {
        // They come to this step by themselves.
        fragment.mask &= ~others;
        warp.fragments.push({ step: fragment.step, mask: others, waits: false });
        continue;
      }
      counts.instructions += countLanes(fragment.mask);
      if (lanes === 0) fragment.step++;
      else {
        const outcome = operations[step.instruction.op](machine, warp, lanes, step.instruction);
        if (outcome === 'wait') {
          fragment.waits = true;
          continue;
        }
        moved = true;
        // A barrier that was full at once has let its warps go on already.
        if (outcome === 'blocked') {
          if (warp.barrier !== undefined) return true;
        } else fragment.step++;
      }
    }
    moved = true;
    // Whoever waited may be met by these.
    if (warp.fragments.length > 1) {
      merge(warp);
      for (const each of warp.fragments) each.waits = false;
    }
    if (warp.live === 0) return true;
  }
  // Lanes that spin, perhaps on what others of their warp do, come last now.
  rotate(warp);
  return moved;
}

/** The furthest behind of those that do not wait. */
function nextFragment(warp: Warp): Fragment | undefined {
  const [only] = warp.fragments;
  if (warp.fragments.length === 1) return only!.waits ? undefined : only;
  let found: Fragment | undefined;
  for (const fragment of warp.fragments)
    if (!fragment.waits && (found === undefined || fragment.step < found.step)) found = fragment;
  return found;
}

function rotate(warp: Warp): void {
  const [first] = warp.fragments;
  if (warp.fragments.length > 1 && first !== undefined) {
    const behind = nextFragment(warp) ?? first;
    behind.waits = true;
  }
}

function merge(warp: Warp): void {
  const byStep = new Map<number, Fragment>();
  for (const fragment of warp.fragments) {
    const other = byStep.get(fragment.step);
    if (other === undefined) byStep.set(fragment.step, fragment);
    else other.mask |= fragment.mask;
  }
  if (byStep.size < warp.fragments.length) warp.fragments = [...byStep.values()];
}

/** Gives how many times the step was run: more than once where it leads to itself. */
function runLanes(
  machine: Machine,
  warp: Warp,
  fragment: Fragment,
  step: Extract<Step, { kind: 'lanes' }>,
  counts: Counts,
): number {
  const { end } = step;
  const place = fragment.step;
  if (machine.clocks.length > 0)
    setClocks(machine.kernel.slots, machine.clocks, machine.memory, warp, counts.instructions);
  const taken = machine.steps[place]!(warp.base, fragment.mask);
  const isLoop = end.kind === 'branch' && end.target === place;
  const rounds = isLoop ? machine.memory.words[(warp.base + header.rounds) >>> 2]! : 1;
  counts.instructions += step.count * rounds * countLanes(fragment.mask);
  const others = fragment.mask & ~taken;
  switch (end.kind) {
    case 'next':
      fragment.step++;
      break;
    case 'branch':
      if (others === 0) fragment.step = end.target;
      else if (taken === 0) fragment.step++;
      else {
        fragment.mask = others;
        fragment.step++;
        warp.fragments.push({ step: end.target, mask: taken, waits: false });
      }
      break;
    case 'exit':
      if (end.isTrap && taken !== 0)
        throw machine.fault('trap', 'comes to a trap', warp, firstLane(taken), step.last);
      warp.live &= ~taken;
      if (warp.stacks.size > 0) leaveStacks(machine, warp, taken);
      if (warp.live === 0) demandRead(machine, warp, firstLane(taken), step.last);
      fragment.mask = others;
      fragment.step++;
      if (others === 0) warp.fragments = warp.fragments.filter((each) => each !== fragment);
  }
  return rounds;
}

/** Calls, returns and branches by a number: each lane goes where it goes. */
function transfer(
  machine: Machine,
  warp: Warp,
  fragment: Fragment,
  step: Exclude<Step, { kind: 'lanes' | 'warp' }>,
  counts: Counts,
): void {
  const { step: at, mask } = fragment;
  if (step.instruction !== undefined) counts.instructions += countLanes(mask);
  const lanes = machine.guarded(warp, mask, step.instruction?.guard);
  const destinations =
    step.kind === 'call'
      ? call(machine, warp, lanes, step, at)
      : step.kind === 'return'
        ? comeBack(machine, warp, lanes)
        : branchByNumber(machine, warp, lanes, step);
  fragment.mask = mask & ~lanes;
  fragment.step = at + 1;
  if (fragment.mask === 0) warp.fragments = warp.fragments.filter((each) => each !== fragment);
  for (const [to, own] of destinations) warp.fragments.push({ step: to, mask: own, waits: false });
}

/** Shared memory is no more when all have left: what leaves from there must have been read. */
function demandRead(machine: Machine, warp: Warp, lane: number, last: Instruction | undefined): void {
  if (warp.pendingBulk.length > 0 || warp.bulkGroups.length > 0)
    throw machine.fault(
      ...(['missing wait', 'leaves before what it copies from shared memory was read'] as const),
      ...([warp, lane, last] as const),
    );
}

/** Whether lanes wait there for something that happens, and not for each other. */
function waitsForEvents(machine: Machine, place: number): boolean {
  const step = machine.kernel.needs.steps[place];
  const op = step?.kind === 'warp' ? step.instruction.op : undefined;
  return op === 'mbarrier.try_wait' || op === 'barrier.cluster.wait';
}

function positionOf(machine: Machine, warp: Warp): Instruction | undefined {
  const step = machine.kernel.needs.steps[nextStep(warp)];
  return step?.kind === 'lanes' ? (step.instructions[0] ?? step.last) : instructionAt(step);
}

function nextStep(warp: Warp): number {
  return Math.min(...warp.fragments.map(({ step }) => step));
}

/** Of blocks whose warps all wait: which wait where. */
function stuck(machine: Machine, blocks: readonly Block[]): EmulatorFault {
  const waiting = blocks.flatMap(({ warps }) => warps).filter(({ live }) => live !== 0);
  const divided = waiting.find(
    ({ barrier, fragments }) =>
      barrier === undefined && fragments.some(({ step }) => !waitsForEvents(machine, step)),
  );
  const lines = waiting.map((warp) => {
    const where = warp.fragments.map(({ step, mask }) => {
      const instruction = instructionAt(machine.kernel.needs.steps[step]);
      return `${countLanes(mask)} lanes at line ${instruction?.place.line} (${instruction?.text})`;
    });
    const block = blocks.length === 1 ? '' : ` of block ${warp.block.rank}`;
    return `warp ${warp.number}${block}: ${where.join(', ')}`;
  });
  const shown = lines.length > 8 ? [...lines.slice(0, 8), `and ${lines.length - 8} more`] : lines;
  const isDivergence = divided !== undefined && divided.barrier === undefined;
  const kind = isDivergence ? 'barrier divergence' : 'deadlock';
  const what = isDivergence ? 'lanes of a warp wait for others that do not come' : 'all threads wait';
  return new EmulatorFault(
    kind,
    `${kind}: in block (${waiting[0]!.block.index.join(', ')}) ${what}; ${shown.join('; ')}`,
    positionOf(machine, divided ?? waiting[0]!),
  );
}
