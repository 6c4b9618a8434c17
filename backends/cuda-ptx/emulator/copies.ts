/** Copies to shared memory that go on by themselves until they are waited for (`cp.async`). */
import type { Operand } from '../ptx.ts';
import { lanesOfWarp, shadow } from './layout.ts';
import { type Copy, firstLane, type Machine, type Warp } from './machine.ts';
import type { Operation } from './operation.ts';
import { pieceBytes } from './piece-code.ts';

/**
 * Until it is waited for, a copy may not have happened: what it writes counts as written by nobody, so that
 * who reads it too early is found out.
 */
const begin: Operation = (machine, warp, lanes, instruction) => {
  const [to, from, size, given] = instruction.operands as [Operand, Operand, Operand, Operand?];
  const bytes = size.kind === 'integer' ? Number(size.value) : 0;
  const taking = lanesOf(lanes);
  const counts = taking.map((lane) => {
    const count = given === undefined ? bytes : machine.word(warp, given, lane) >>> 0;
    if (![4, 8, 16].includes(bytes) || count > bytes)
      throw machine.fault('wrong operand', `copies ${count} of ${bytes} bytes`, warp, lane, instruction);
    return count;
  });
  const targets = machine.locateLanes(warp, lanes, to, 'shared', { bytes, isWrite: true }, instruction);
  const target = Int32Array.from(taking, (lane) => targets[lane]!);
  if (lanes === -1 && bytes === pieceBytes) machine.notePieces(warp, 0, 1, target, true, instruction);
  else for (const lane of taking) machine.note(warp, lane, targets[lane]!, bytes, true, instruction);
  const space = instruction.modifiers.source ?? 'global';
  const whole = { bytes, isWrite: false, alignment: bytes };
  const isWhole = counts.every((count) => count === bytes);
  const sources = isWhole
    ? machine.locateLanes(warp, lanes, from, space, whole, instruction)
    : new Int32Array(lanesOfWarp);
  if (!isWhole)
    for (const [at, lane] of taking.entries())
      if (counts[at]! > 0)
        sources[lane] = machine.locate(
          ...([warp, lane, from, space, { ...whole, bytes: counts[at]! }, instruction] as const),
        );
  const source = Int32Array.from(taking, (lane) => sources[lane]!);
  const copy: Copy = { from: source, to: target, bytes, given: Int32Array.from(counts), done: false };
  if (machine.checksMemory) setStates(machine, copy, shadow.allocated);
  warp.pendingCopies.push(copy);
  if (machine.timing === 'early' || (machine.timing !== 'late' && machine.happensNow()))
    finish(machine, copy);
  return 'next';
};

function lanesOf(mask: number): readonly number[] {
  const lanes: number[] = [];
  for (let lane = 0; lane < lanesOfWarp; lane++) if (((mask >>> lane) & 1) === 1) lanes.push(lane);
  return lanes;
}

function setStates(machine: Machine, { to, bytes }: Copy, state: number): void {
  for (const place of to) machine.setState(place, bytes, state);
}

/** The bytes arrive; whoever reads them before the wait still reads what nobody has written. */
function finish(machine: Machine, copy: Copy): void {
  if (copy.done) return;
  copy.done = true;
  const { bytes, words } = machine.memory;
  for (const [at, to] of copy.to.entries()) {
    const [from, given] = [copy.from[at]!, copy.given[at]!];
    if (given === copy.bytes)
      for (let word = 0; word < given >>> 2; word++) words[(to >>> 2) + word] = words[(from >>> 2) + word]!;
    else {
      bytes.copyWithin(to, from, from + given);
      bytes.fill(0, to + given, to + copy.bytes);
    }
  }
}

function settle(machine: Machine, group: readonly Copy[]): void {
  for (const copy of group) {
    finish(machine, copy);
    // As if the thread had written it: the unit beside does not see it yet (PTX ISA, "Async proxy").
    setStates(machine, copy, shadow.written | shadow.unfenced);
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
