/** Where the warps of a block meet. */
import type { Operand } from '../ptx.ts';
import { membersHere } from './cross-lane.ts';
import { type Barrier, type Block, countLanes, firstLane, type Machine, type Warp } from './machine.ts';
import type { Operation } from './operation.ts';
import type { WarpInstruction } from './steps.ts';

const barrierCount = 16;

function barrierOf(block: Block, number: number): Barrier {
  const known = block.barriers.get(number) ?? {
    ...{ arrived: 0, expected: undefined, votes: 0, agreed: 0, by: undefined },
    waiting: [],
    passed: [],
  };
  block.barriers.set(number, known);
  return known;
}

/** Threads that have not left, by whole warps. */
function threadsLeft(block: Block): number {
  return 32 * block.warps.filter(({ live }) => live !== 0).length;
}

/**
 * A warp comes to a barrier with all its lanes that are left; those of them that are elsewhere are waited
 * for.
 */
function arrive(
  waits: boolean,
  votesOf?: (machine: Machine, warp: Warp, lanes: number) => number,
): Operation {
  return (machine, warp, lanes, instruction) => {
    if (lanes !== warp.live) return 'wait';
    const lane = firstLane(lanes);
    const [which, count] = operandsOf(instruction);
    const number = machine.word(warp, which, lane);
    if (number < 0 || number >= barrierCount)
      throw machine.fault('barrier mismatch', `comes to barrier ${number} of 16`, warp, lane, instruction);
    const expected = count === undefined ? undefined : machine.word(warp, count, lane);
    if (expected !== undefined && (expected <= 0 || expected % 32 !== 0))
      throw machine.fault(
        'barrier mismatch',
        `comes to a barrier of ${expected} threads, which is no multiple of 32`,
        warp,
        lane,
        instruction,
      );
    const barrier = barrierOf(warp.block, number);
    const isFirst = barrier.waiting.length + barrier.passed.length === 0;
    if (!isFirst && barrier.expected !== expected)
      throw machine.fault(
        'barrier mismatch',
        `comes to barrier ${number} for ${expected ?? 'all'} threads, where others wait for ${barrier.expected ?? 'all'} (line ${barrier.by?.place.line})`,
        warp,
        lane,
        instruction,
      );
    barrier.expected = expected;
    barrier.by = instruction;
    barrier.arrived += 32;
    if (votesOf !== undefined) {
      barrier.agreed += votesOf(machine, warp, lanes);
      barrier.votes += countLanes(lanes);
    }
    if (waits) {
      barrier.waiting.push(warp);
      warp.barrier = number;
    } else barrier.passed.push(warp);
    if (barrier.arrived > (expected ?? threadsLeft(warp.block)))
      throw machine.fault(
        'barrier mismatch',
        `is one too many at barrier ${number}, which is for ${expected} threads`,
        warp,
        lane,
        instruction,
      );
    releaseIfFull(machine, warp.block, number);
    return waits ? 'blocked' : 'next';
  };
}

function isReduction({ op }: WarpInstruction): boolean {
  return op === 'bar.red' || op === 'barrier.red';
}

/** A reduction has its result before, and its predicate behind. */
function operandsOf(instruction: WarpInstruction): readonly [Operand, Operand | undefined] {
  const all = isReduction(instruction) ? instruction.operands.slice(1, -1) : instruction.operands;
  return [all[0]!, all[1]];
}

/** Where all have come, or those that have not have left, the waiting warps go on with the next step. */
export function releaseIfFull(machine: Machine, block: Block, number: number): void {
  const barrier = block.barriers.get(number);
  if (barrier === undefined || barrier.arrived === 0) return;
  const expected = barrier.expected ?? threadsLeft(block);
  if (barrier.arrived < expected) return;
  block.barriers.delete(number);
  machine.meet(barrier.waiting, [...barrier.waiting, ...barrier.passed]);
  for (const warp of barrier.waiting) {
    warp.barrier = undefined;
    for (const fragment of warp.fragments) {
      const step = machine.kernel.needs.steps[fragment.step];
      if (step?.kind === 'warp' && isReduction(step.instruction))
        giveVotes(machine, warp, step.instruction, barrier);
      fragment.step++;
    }
  }
}

function giveVotes(machine: Machine, warp: Warp, instruction: WarpInstruction, barrier: Barrier): void {
  const [to] = instruction.operands as [Operand];
  const { operation } = instruction.modifiers;
  for (let lane = 0; lane < 32; lane++) {
    if (((warp.live >>> lane) & 1) === 0) continue;
    if (operation === 'popc') machine.setWord(warp, to, lane, barrier.agreed);
    else
      machine.setPredicate(
        warp,
        to,
        lane,
        operation === 'or' ? barrier.agreed > 0 : barrier.agreed === barrier.votes,
      );
  }
}

const voted = arrive(true, (machine, warp, lanes) => {
  const fragment = warp.fragments.find(({ mask }) => (mask & lanes) !== 0);
  const step = machine.kernel.needs.steps[fragment?.step ?? -1];
  if (step?.kind !== 'warp') return 0;
  const predicate = step.instruction.operands.at(-1)!;
  let count = 0;
  for (let lane = 0; lane < 32; lane++)
    if (((lanes >>> lane) & 1) === 1 && machine.word(warp, predicate, lane) !== 0) count++;
  return count;
});

const meetWithin: Operation = (machine, warp, lanes, instruction) => {
  if (membersHere(machine, warp, lanes, instruction.operands[0]!, instruction) === 0) return 'wait';
  machine.advance(warp);
  return 'next';
};

export const barrierRules = {
  'bar.sync': arrive(true),
  'bar.arrive': arrive(false),
  'bar.red': voted,
  'barrier.sync': arrive(true),
  'barrier.arrive': arrive(false),
  'barrier.red': voted,
  'bar.warp.sync': meetWithin,
} as const satisfies Readonly<Record<string, Operation>>;
