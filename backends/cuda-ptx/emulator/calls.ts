/**
 * Calls of functions that are not in place of the call: each lane has a stack in its local memory, with a
 * frame for each call that is open. What registers the caller needs afterwards is kept beside, as the
 * function may lead to the same instructions again.
 */
import type { Operand, Variable } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';
import { builtins } from './builtins.ts';
import { type CallParts, callOf } from './inline.ts';
import type { CalledFunction } from './kernel.ts';
import { alignTo, codeWindow, header, shadow } from './layout.ts';
import { firstLane, type Machine, type Warp } from './machine.ts';
import type { Operation } from './operation.ts';
import type { Step } from './steps.ts';

export type CallStep = Extract<Step, { kind: 'call' }>;

/** A call that is open in a lane. */
interface Frame {
  readonly step: number;
  readonly call: CallParts;
  readonly callee: CalledFunction;
  /** Offsets in the lane's local memory: of its variables and of those of the caller. */
  readonly base: number;
  readonly callerBase: number;
  /** What the caller's registers had, word after word. */
  readonly saved: Int32Array;
}

export interface LaneStack {
  /** Where the next frame begins. */
  top: number;
  readonly frames: Frame[];
}

/** Which lanes go on at which step. */
export type Destinations = ReadonlyMap<number, number>;

function stackOf({ kernel }: Machine, warp: Warp, lane: number): LaneStack {
  const known = warp.stacks.get(lane) ?? { top: kernel.needs.staticLocal, frames: [] };
  warp.stacks.set(lane, known);
  return known;
}

function localPlace({ kernel, memory }: Machine, warp: Warp, lane: number, offset: number): number {
  const first = memory.words[(warp.base + header.localBase) >>> 2]!;
  return first + lane * kernel.needs.localBytes + offset;
}

/** Where a variable of the caller or of the function is in the lane's local memory. */
function placeOf(machine: Machine, warp: Warp, lane: number, variable: Variable, base: number): number {
  const { framed, offsets } = machine.kernel.needs;
  return localPlace(machine, warp, lane, offsets.get(variable)! + (framed.has(variable) ? base : 0));
}

function setState({ memory }: Machine, place: number, bytes: number, state: number): void {
  memory.shadow.fill(state, place, place + bytes);
}

function frameBase(machine: Machine, warp: Warp, lane: number): number {
  return machine.memory.words[((warp.base + machine.kernel.frameSlot) >>> 2) + lane]!;
}

function setFrameBase(machine: Machine, warp: Warp, lane: number, base: number): void {
  machine.memory.words[((warp.base + machine.kernel.frameSlot) >>> 2) + lane] = base;
}

/** The variables of one are given to the other, with what is known of their bytes. */
function copyVariables(
  machine: Machine,
  warp: Warp,
  lane: number,
  from: { readonly variables: readonly Variable[]; readonly base: number },
  to: { readonly variables: readonly Variable[]; readonly base: number },
): void {
  const { memory } = machine;
  for (const [at, variable] of from.variables.entries()) {
    const target = to.variables[at]!;
    const source = placeOf(machine, warp, lane, variable, from.base);
    const place = placeOf(machine, warp, lane, target, to.base);
    const bytes = Math.min(variable.bytes, target.bytes);
    memory.bytes.copyWithin(place, source, source + bytes);
    memory.shadow.copyWithin(place, source, source + bytes);
  }
}

/** @throws EmulatorFault or PtxError where a lane calls what is no function, or cannot be run. */
export function call(machine: Machine, warp: Warp, lanes: number, step: CallStep, at: number): Destinations {
  const parts = callOf(step.instruction);
  const destinations = new Map<number, number>();
  for (let rest = lanes; rest !== 0; rest &= rest - 1) {
    const lane = firstLane(rest);
    const callee = calleeOf(machine, warp, lane, step, parts);
    const to = callee === undefined ? at + 1 : enter(machine, warp, lane, step, at, parts, callee);
    destinations.set(to, (destinations.get(to) ?? 0) | (1 << lane));
  }
  return destinations;
}

/** Nothing: what was called has been done. */
function calleeOf(
  machine: Machine,
  warp: Warp,
  lane: number,
  { instruction }: CallStep,
  { name, target, parameters, results }: CallParts,
): CalledFunction | undefined {
  const { functions } = machine.kernel.needs;
  if (name === undefined) {
    const upper = machine.upperWord(warp, target!, lane);
    const lower = machine.word(warp, target!, lane);
    const found = [...functions.values()].find((each) => each.place === lower);
    if (upper === codeWindow && found !== undefined) return found;
    const address = machine.long(warp, target!, lane).toString(16);
    const what = `calls 0x${address}, where no function is`;
    throw machine.fault('wrong operand', what, warp, lane, instruction);
  }
  const callee = functions.get(name);
  if (callee !== undefined) return callee;
  const builtin = builtins[name];
  if (builtin === undefined)
    throw new PtxError(`${name} is declared only, and nothing here can run it`, instruction.place);
  const base = functions.size === 0 ? 0 : frameBase(machine, warp, lane);
  const placesOf = (variables: readonly Variable[]): readonly number[] =>
    variables.map((each) => placeOf(machine, warp, lane, each, base));
  const given = placesOf(parameters).map((place) => machine.memory.view.getBigUint64(place, true));
  const result = builtin(machine, warp, lane, given, instruction);
  for (const [which, place] of placesOf(results).entries()) {
    const { bytes } = results[which]!;
    for (let byte = 0; byte < bytes; byte++)
      machine.memory.bytes[place + byte] = Number((result >> BigInt(8 * byte)) & 255n);
    setState(machine, place, bytes, shadow.written);
  }
  return undefined;
}

/** Gives the first step of the function. */
function enter(
  machine: Machine,
  warp: Warp,
  lane: number,
  { instruction }: CallStep,
  at: number,
  parts: CallParts,
  callee: CalledFunction,
): number {
  if (callee.problem !== undefined) throw new PtxError(callee.problem.message, callee.problem.place);
  const { localBytes, staticLocal } = machine.kernel.needs;
  for (const [what, given, own] of [
    ['parameters', parts.parameters, callee.parameters],
    ['results', parts.results, callee.results],
  ] as const)
    if (given.length !== own.length || given.some(({ bytes }, each) => bytes !== own[each]!.bytes))
      throw machine.fault(
        'wrong operand',
        `calls ${callee.name} with other ${what} than it has`,
        warp,
        lane,
        instruction,
      );
  const stack = stackOf(machine, warp, lane);
  const base = alignTo(stack.top, 16);
  if (base + callee.frameBytes > localBytes)
    throw machine.fault(
      'stack overflow',
      `calls ${callee.name} with ${stack.frames.length} calls open, and no room is left in its stack of ${localBytes - staticLocal} bytes`,
      warp,
      lane,
      instruction,
    );
  const callerBase = frameBase(machine, warp, lane);
  setState(machine, localPlace(machine, warp, lane, base), callee.frameBytes, shadow.allocated);
  copyVariables(
    machine,
    warp,
    lane,
    { variables: parts.parameters, base: callerBase },
    { variables: callee.parameters, base },
  );
  const slots = machine.kernel.savedAt.get(at) ?? [];
  const saved = Int32Array.from(slots, (slot) => machine.memory.words[wordOf(warp, slot, lane)]!);
  stack.frames.push({ step: at, call: parts, callee, base, callerBase, saved });
  stack.top = base + callee.frameBytes;
  setFrameBase(machine, warp, lane, base);
  return callee.start;
}

/** A word of a lane's register: of one of 64 bits there are two. */
export interface SavedWord {
  readonly slot: number;
  readonly stride: 1 | 2;
  readonly half: 0 | 1;
}

function wordOf(warp: Warp, { slot, stride, half }: SavedWord, lane: number): number {
  return ((warp.base + slot) >>> 2) + stride * lane + half;
}

/** From a function to behind the call. What was in its frame is no more. */
export function comeBack(machine: Machine, warp: Warp, lanes: number): Destinations {
  const destinations = new Map<number, number>();
  for (let rest = lanes; rest !== 0; rest &= rest - 1) {
    const lane = firstLane(rest);
    const stack = stackOf(machine, warp, lane);
    const { step, call: parts, callee, base, callerBase, saved } = stack.frames.pop()!;
    copyVariables(
      machine,
      warp,
      lane,
      { variables: callee.results, base },
      { variables: parts.results, base: callerBase },
    );
    setState(machine, localPlace(machine, warp, lane, base), stack.top - base, shadow.none);
    stack.top = base;
    const slots = machine.kernel.savedAt.get(step) ?? [];
    for (const [at, slot] of slots.entries()) machine.memory.words[wordOf(warp, slot, lane)] = saved[at]!;
    setFrameBase(machine, warp, lane, callerBase);
    destinations.set(step + 1, (destinations.get(step + 1) ?? 0) | (1 << lane));
  }
  return destinations;
}

/** Lanes end that may be in functions. */
export function leaveStacks(machine: Machine, warp: Warp, lanes: number): void {
  const { staticLocal } = machine.kernel.needs;
  for (const [lane, stack] of warp.stacks) {
    if (((lanes >>> lane) & 1) === 0) continue;
    const start = localPlace(machine, warp, lane, staticLocal);
    setState(machine, start, stack.top - staticLocal, shadow.none);
    warp.stacks.delete(lane);
  }
}

/** By a number: a step of the table, or behind it none. */
export function branchByNumber(
  machine: Machine,
  warp: Warp,
  lanes: number,
  { instruction, targets }: Extract<Step, { kind: 'switch' }>,
): Destinations {
  const destinations = new Map<number, number>();
  for (let rest = lanes; rest !== 0; rest &= rest - 1) {
    const lane = firstLane(rest);
    const number = machine.word(warp, instruction.operands[0]!, lane) >>> 0;
    const to = targets[number];
    if (to === undefined)
      throw machine.fault(
        'wrong operand',
        `branches to target ${number} of ${targets.length}`,
        warp,
        lane,
        instruction,
      );
    destinations.set(to, (destinations.get(to) ?? 0) | (1 << lane));
  }
  return destinations;
}

/** Bytes for each lane on its stack, until its function returns. Gives where, as local memory has it. */
const allocate: Operation = (machine, warp, lanes, instruction) => {
  const [to, size, alignment] = instruction.operands as [Operand, Operand, Operand?];
  const { localBytes, staticLocal } = machine.kernel.needs;
  for (let rest = lanes; rest !== 0; rest &= rest - 1) {
    const lane = firstLane(rest);
    const stack = stackOf(machine, warp, lane);
    const bytes = Number(machine.long(warp, size, lane));
    const start = alignTo(
      stack.top,
      Math.max(16, alignment?.kind === 'integer' ? Number(alignment.value) : 1),
    );
    if (start + bytes > localBytes)
      throw machine.fault(
        'stack overflow',
        `wants ${bytes} bytes, and no room is left for them in its stack of ${localBytes - staticLocal} bytes`,
        warp,
        lane,
        instruction,
      );
    setState(machine, localPlace(machine, warp, lane, start), bytes, shadow.allocated);
    stack.top = start + bytes;
    machine.setLong(warp, to, lane, BigInt(start));
  }
  return 'next';
};

const saveTop: Operation = (machine, warp, lanes, instruction) => {
  for (let rest = lanes; rest !== 0; rest &= rest - 1) {
    const lane = firstLane(rest);
    machine.setLong(warp, instruction.operands[0]!, lane, BigInt(stackOf(machine, warp, lane).top));
  }
  return 'next';
};

/** What was allocated since is no more. */
const restoreTop: Operation = (machine, warp, lanes, instruction) => {
  for (let rest = lanes; rest !== 0; rest &= rest - 1) {
    const lane = firstLane(rest);
    const stack = stackOf(machine, warp, lane);
    const top = Number(machine.long(warp, instruction.operands[0]!, lane));
    const least = stack.frames.at(-1)?.base ?? machine.kernel.needs.staticLocal;
    if (top < least || top > stack.top)
      throw machine.fault('wrong operand', `gives back the stack to ${top}`, warp, lane, instruction);
    setState(machine, localPlace(machine, warp, lane, top), stack.top - top, shadow.none);
    stack.top = top;
  }
  return 'next';
};

export const stackRules = {
  alloca: allocate,
  stacksave: saveTop,
  stackrestore: restoreTop,
} as const satisfies Readonly<Record<string, Operation>>;
