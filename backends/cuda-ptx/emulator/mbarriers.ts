/** Barriers in shared memory (`mbarrier`): a phase is over when so many have arrived and all bytes have. */
import type { Operand } from '../ptx.ts';
import { settleCopiesOf } from './copies.ts';
import { type Block, firstLane, type Machine, type Warp } from './machine.ts';
import type { Operation } from './operation.ts';
import type { WarpInstruction } from './steps.ts';

export interface Mbarrier {
  /** Arrivals of a phase. */
  count: number;
  pending: number;
  /** Bytes that are expected and have not come; below zero where they came before they were expected. */
  bytes: number;
  phase: number;
  /** What warps of the block had done before they arrived: in this phase, and in all that are over. */
  arriving: number[];
  known: number[];
}

/** @throws EmulatorFault where there is no barrier: nobody has initialised it. */
export function barrierAt(
  machine: Machine,
  warp: Warp,
  lane: number,
  place: Operand,
  instruction: WarpInstruction,
): { readonly barrier: Mbarrier; readonly block: Block } {
  const linear = machine.locate(
    ...([warp, lane, place, instruction.modifiers.space ?? 'shared'] as const),
    { bytes: 8, isWrite: false },
    instruction,
  );
  const barrier = machine.mbarriers.get(linear);
  if (barrier === undefined)
    throw machine.fault(
      'barrier mismatch',
      'uses an mbarrier that nobody initialised',
      warp,
      lane,
      instruction,
    );
  const block = machine.blockOf(linear) ?? warp.block;
  demandThere(machine, warp, lane, block, instruction);
  return { barrier, block };
}

/** @throws EmulatorFault where all threads of the block have left, so that its shared memory is no more. */
export function demandThere(
  machine: Machine,
  warp: Warp,
  lane: number,
  block: Block,
  instruction: WarpInstruction,
): void {
  if (block !== warp.block && block.warps.every(({ live }) => live === 0))
    throw machine.fault(
      'out of bounds',
      `uses the shared memory of block (${block.index.join(', ')}), whose threads have all left`,
      warp,
      lane,
      instruction,
    );
}

function eachLane(lanes: number, work: (lane: number) => void): void {
  for (let rest = lanes; rest !== 0; rest &= rest - 1) work(firstLane(rest));
}

const initialise: Operation = (machine, warp, lanes, instruction) => {
  const [place, count] = instruction.operands as [Operand, Operand];
  eachLane(lanes, (lane) => {
    const linear = machine.locate(
      ...([warp, lane, place, instruction.modifiers.space ?? 'shared'] as const),
      { bytes: 8, isWrite: true },
      instruction,
    );
    const arrivals = machine.word(warp, count, lane);
    if (arrivals < 1 || arrivals >= 2 ** 20)
      throw machine.fault(
        'wrong operand',
        `begins an mbarrier of ${arrivals} arrivals`,
        warp,
        lane,
        instruction,
      );
    machine.mbarriers.set(linear, {
      ...{ count: arrivals, pending: arrivals, bytes: 0, phase: 0 },
      ...{ arriving: [], known: [] },
    });
  });
  return 'next';
};

const invalidate: Operation = (machine, warp, lanes, instruction) => {
  eachLane(lanes, (lane) => {
    barrierAt(machine, warp, lane, instruction.operands[0]!, instruction);
    const linear = machine.locate(
      ...([warp, lane, instruction.operands[0]!, 'shared'] as const),
      { bytes: 8, isWrite: true },
      instruction,
    );
    machine.mbarriers.delete(linear);
  });
  return 'next';
};

function join(into: number[], clocks: readonly number[]): void {
  clocks.forEach((clock, at) => {
    into[at] = Math.max(into[at] ?? 0, clock);
  });
}

/** What has arrived may have been the last of the phase. */
export function settlePhase(barrier: Mbarrier): void {
  if (barrier.pending > 0 || barrier.bytes !== 0) return;
  barrier.phase++;
  barrier.pending = barrier.count;
  join(barrier.known, barrier.arriving);
  barrier.arriving = [];
}

/** Bytes have come, by a copy that a warp began when its clocks were these. */
export function completeBytes(barrier: Mbarrier, bytes: number, clocks: readonly number[]): void {
  barrier.bytes -= bytes;
  join(barrier.arriving, clocks);
  settlePhase(barrier);
}

function arriveAt(machine: Machine, warp: Warp, barrier: Mbarrier, block: Block, count: number): boolean {
  if (count > barrier.pending) return false;
  // Of other blocks' warps nothing is known here.
  if (block === warp.block) join(barrier.arriving, machine.clocksOf(warp));
  barrier.pending -= count;
  settlePhase(barrier);
  return true;
}

function arrive(drops: boolean): Operation {
  return (machine, warp, lanes, instruction) => {
    const [state, place, given] = instruction.operands as [Operand, Operand, Operand?];
    const { expectTx, noComplete } = instruction.modifiers;
    eachLane(lanes, (lane) => {
      const { barrier, block } = barrierAt(machine, warp, lane, place, instruction);
      machine.setLong(warp, state, lane, BigInt(barrier.phase));
      const amount = given === undefined ? 1 : machine.word(warp, given, lane);
      if (expectTx !== undefined) barrier.bytes += amount;
      const count = expectTx === undefined ? amount : 1;
      if (noComplete !== undefined && count >= barrier.pending)
        throw machine.fault('barrier mismatch', 'ends a phase by .noComplete', warp, lane, instruction);
      if (drops) barrier.count -= count;
      if (!arriveAt(machine, warp, barrier, block, count))
        throw machine.fault(
          'barrier mismatch',
          `arrives ${count} times at an mbarrier that awaits ${barrier.pending}`,
          warp,
          lane,
          instruction,
        );
    });
    machine.advance(warp);
    return 'next';
  };
}

function changeBytes(sign: 1 | -1): Operation {
  return (machine, warp, lanes, instruction) => {
    const [place, amount] = instruction.operands as [Operand, Operand];
    eachLane(lanes, (lane) => {
      const { barrier } = barrierAt(machine, warp, lane, place, instruction);
      barrier.bytes += sign * machine.word(warp, amount, lane);
      if (sign < 0) settlePhase(barrier);
    });
    return 'next';
  };
}

/** `.parity` asks for the phase before one of the other parity; else a state says which phase. */
function isOver(
  machine: Machine,
  warp: Warp,
  lane: number,
  barrier: Mbarrier,
  instruction: WarpInstruction,
): boolean {
  const asked = machine.word(warp, instruction.operands[2]!, lane);
  return instruction.modifiers.parity === undefined
    ? barrier.phase !== asked
    : (barrier.phase & 1) !== (asked & 1);
}

/** `try_wait` may take its time: the lanes wait until the phase is over, or all others wait as well. */
function testPhase(waits: boolean): Operation {
  return (machine, warp, lanes, instruction) => {
    const [result, place] = instruction.operands as [Operand, Operand];
    const found: Mbarrier[] = [];
    let areOver = true;
    eachLane(lanes, (lane) => {
      const first = firstLane(lanes);
      // Mostly all lanes wait for the same.
      const barrier =
        lane !== first && machine.isSameAddress(warp, place, first, lane)
          ? found[first]!
          : barrierAt(machine, warp, lane, place, instruction).barrier;
      found[lane] = barrier;
      if (!isOver(machine, warp, lane, barrier, instruction)) areOver = false;
    });
    if (waits && !areOver) return 'wait';
    const heard = new Set<Mbarrier>();
    eachLane(lanes, (lane) => {
      const barrier = found[lane]!;
      const over = isOver(machine, warp, lane, barrier, instruction);
      machine.setPredicate(warp, result, lane, over);
      if (!over || heard.has(barrier)) return;
      heard.add(barrier);
      machine.hear(warp, barrier.known);
    });
    return 'next';
  };
}

/** When the lane's copies of before have come, it arrives: at once here, with the copies done. */
const arriveWithCopies: Operation = (machine, warp, lanes, instruction) => {
  settleCopiesOf(machine, warp);
  eachLane(lanes, (lane) => {
    const { barrier, block } = barrierAt(machine, warp, lane, instruction.operands[0]!, instruction);
    // Without .noinc its own arrival is added to those that are awaited.
    if (instruction.modifiers.noInc === undefined) barrier.pending++;
    if (!arriveAt(machine, warp, barrier, block, 1))
      throw machine.fault(
        'barrier mismatch',
        'arrives once too often at an mbarrier',
        warp,
        lane,
        instruction,
      );
  });
  machine.advance(warp);
  return 'next';
};

export const mbarrierRules = {
  'mbarrier.init': initialise,
  'mbarrier.inval': invalidate,
  'mbarrier.expect_tx': changeBytes(1),
  'mbarrier.complete_tx': changeBytes(-1),
  'mbarrier.arrive': arrive(false),
  'mbarrier.arrive_drop': arrive(true),
  'mbarrier.test_wait': testPhase(false),
  'mbarrier.try_wait': testPhase(true),
  'cp.async.mbarrier.arrive': arriveWithCopies,
} as const satisfies Readonly<Record<string, Operation>>;
