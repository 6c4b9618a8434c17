/** Copies to shared memory that go on by themselves until they are waited for (`cp.async`). */
import type { Operand } from '../ptx.ts';
import { shadow } from './layout.ts';
import { type Copy, firstLane, type Machine, type Warp } from './machine.ts';
import type { Operation } from './operation.ts';

/**
 * Until it is waited for, a copy may not have happened: what it writes counts as written by nobody, so that
 * who reads it too early is found out.
 */
const begin: Operation = (machine, warp, lanes, instruction) => {
  const [to, from, size, given] = instruction.operands as [Operand, Operand, Operand, Operand?];
  const bytes = size.kind === 'integer' ? Number(size.value) : 0;
  for (let lane = 0; lane < 32; lane++) {
    if (((lanes >>> lane) & 1) === 0) continue;
    const count = given === undefined ? bytes : machine.word(warp, given, lane) >>> 0;
    if (![4, 8, 16].includes(bytes) || count > bytes)
      throw machine.fault('wrong operand', `copies ${count} of ${bytes} bytes`, warp, lane, instruction);
    const target = machine.locate(warp, lane, to, 'shared', { bytes, isWrite: true }, instruction);
    machine.note(warp, lane, target, bytes, true, instruction);
    const source =
      count === 0
        ? 0
        : machine.locate(
            ...([warp, lane, from, instruction.modifiers.source ?? 'global'] as const),
            { bytes: count, isWrite: false, alignment: bytes },
            instruction,
          );
    const copy: Copy = { from: source, to: target, bytes, given: count, done: false };
    if (machine.checksMemory) machine.setState(target, bytes, shadow.allocated);
    warp.pendingCopies.push(copy);
    if (machine.timing === 'early' || (machine.timing !== 'late' && machine.happensNow()))
      finish(machine, copy);
  }
  return 'next';
};

/** The bytes arrive; whoever reads them before the wait still reads what nobody has written. */
function finish(machine: Machine, copy: Copy): void {
  if (copy.done) return;
  copy.done = true;
  const { bytes } = machine.memory;
  bytes.copyWithin(copy.to, copy.from, copy.from + copy.given);
  bytes.fill(0, copy.to + copy.given, copy.to + copy.bytes);
}

function settle(machine: Machine, group: readonly Copy[]): void {
  for (const copy of group) {
    finish(machine, copy);
    machine.setState(copy.to, copy.bytes, shadow.written);
  }
}

const commit: Operation = (_machine, warp) => {
  warp.copyGroups.push(warp.pendingCopies);
  warp.pendingCopies = [];
  return 'next';
};

/** Those that the warp began and has not waited for. */
export function settleCopiesOf(machine: Machine, warp: Warp): void {
  settleAllBut(machine, warp, 0);
  settle(machine, warp.pendingCopies);
  warp.pendingCopies = [];
}

/** All groups but so many of the last. */
function settleAllBut(machine: Machine, warp: Warp, left: number): void {
  while (warp.copyGroups.length > left) settle(machine, warp.copyGroups.shift()!);
}

const waitForGroups: Operation = (machine, warp, lanes, instruction) => {
  settleAllBut(machine, warp, machine.word(warp, instruction.operands[0]!, firstLane(lanes)));
  return 'next';
};

const waitForAll: Operation = (machine, warp) => {
  settleCopiesOf(machine, warp);
  return 'next';
};

export const copyRules = {
  'cp.async': begin,
  'cp.async.commit_group': commit,
  'cp.async.wait_group': waitForGroups,
  'cp.async.wait_all': waitForAll,
} as const satisfies Readonly<Record<string, Operation>>;
