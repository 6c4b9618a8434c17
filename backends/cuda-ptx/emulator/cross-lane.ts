/** Values that go from lane to lane: shuffles, votes, matches, reductions. */
import type { OpOfUnit } from '../instructions.ts';
import type { Operand } from '../ptx.ts';
import { firstLane, type Machine, type Warp } from './machine.ts';
import type { Operation } from './operation.ts';
import type { WarpInstruction } from './steps.ts';

/** Which operand names the lanes that meet. */
const memberOperands: { readonly [O in OpOfUnit<'warp'>]?: number } = {
  'shfl.sync': 4,
  'vote.sync': 2,
  'match.any.sync': 2,
  'match.all.sync': 2,
  'redux.sync': 2,
  'elect.sync': 1,
  'bar.warp.sync': 0,
};

/**
 * Of lanes that come to an instruction together, those that meet: tiles of a warp name their own lanes each.
 * @throws EmulatorFault where a lane names one that is here and names others.
 */
export function firstToMeet(
  machine: Machine,
  warp: Warp,
  lanes: number,
  instruction: WarpInstruction,
): number {
  const at = memberOperands[instruction.op];
  if (at === undefined) return lanes;
  const mask = instruction.operands[at]!;
  if (mask.kind === 'integer') return lanes;
  const first = firstLane(lanes);
  const named = machine.word(warp, mask, first);
  let same = 0;
  for (let rest = lanes; rest !== 0; rest &= rest - 1) {
    const lane = firstLane(rest);
    const own = machine.word(warp, mask, lane);
    if (own === named) same |= 1 << lane;
    else if (((named >>> lane) & 1) === 1)
      throw machine.fault(
        'lanes apart',
        `names other lanes than lane ${first} does, with which it meets`,
        warp,
        lane,
        instruction,
      );
  }
  return same;
}

/**
 * The lanes that the mask operand names and that have not left; none where not all of them are here yet.
 * @throws EmulatorFault where a lane is here that is not named.
 */
export function membersHere(
  machine: Machine,
  warp: Warp,
  lanes: number,
  mask: Operand,
  instruction: WarpInstruction,
): number {
  const named = machine.word(warp, mask, firstLane(lanes));
  const strangers = lanes & ~named;
  if (strangers !== 0)
    throw machine.fault(
      'lanes apart',
      `is not one of the lanes that it names: 0x${(named >>> 0).toString(16)}`,
      warp,
      firstLane(strangers),
      instruction,
    );
  return (named & warp.live & ~lanes) === 0 ? named & warp.live : 0;
}

const shuffle: Operation = (machine, warp, lanes, instruction) => {
  const [to, from, by, clamp, mask] = instruction.operands as [Operand, Operand, Operand, Operand, Operand];
  if (membersHere(machine, warp, lanes, mask, instruction) === 0) return 'wait';
  const [value, predicate]: readonly [Operand, Operand | undefined] =
    to.kind === 'pair' ? [to.first, to.second] : [to, undefined];
  const results = new Int32Array(32);
  let inRange = 0;
  for (let lane = 0; lane < 32; lane++) {
    if (((lanes >>> lane) & 1) === 0) continue;
    const b = machine.word(warp, by, lane) & 31;
    const c = machine.word(warp, clamp, lane);
    const segment = (c >>> 8) & 31;
    const most = (lane & segment) | (c & 31 & ~segment);
    const least = lane & segment;
    const candidates: { readonly [mode: string]: readonly [number, boolean] } = {
      up: [lane - b, lane - b >= most],
      down: [lane + b, lane + b <= most],
      bfly: [lane ^ b, (lane ^ b) <= most],
      idx: [least | (b & ~segment), (least | (b & ~segment)) <= most],
    };
    const [source, isInside] = candidates[instruction.modifiers.mode ?? 'idx']!;
    const chosen = isInside ? source : lane;
    if (isInside) inRange |= 1 << lane;
    if (((lanes >>> chosen) & 1) === 0)
      throw machine.fault(
        'lanes apart',
        `reads of lane ${chosen}, which is not here`,
        warp,
        lane,
        instruction,
      );
    results[lane] = machine.word(warp, from, chosen);
  }
  for (let lane = 0; lane < 32; lane++) {
    if (((lanes >>> lane) & 1) === 0) continue;
    machine.setWord(warp, value, lane, results[lane]!);
    if (predicate !== undefined) machine.setPredicate(warp, predicate, lane, ((inRange >>> lane) & 1) === 1);
  }
  return 'next';
};

const vote: Operation = (machine, warp, lanes, instruction) => {
  const [to, predicate, mask] = instruction.operands as [Operand, Operand, Operand];
  if (membersHere(machine, warp, lanes, mask, instruction) === 0) return 'wait';
  let holds = 0;
  for (let lane = 0; lane < 32; lane++)
    if (((lanes >>> lane) & 1) === 1 && machine.word(warp, predicate, lane) !== 0) holds |= 1 << lane;
  const { mode } = instruction.modifiers;
  for (let lane = 0; lane < 32; lane++) {
    if (((lanes >>> lane) & 1) === 0) continue;
    if (mode === 'ballot') machine.setWord(warp, to, lane, holds);
    else {
      const all = holds === lanes;
      const value = mode === 'any' ? holds !== 0 : mode === 'all' ? all : all || holds === 0;
      machine.setPredicate(warp, to, lane, value);
    }
  }
  return 'next';
};

function match(kind: 'any' | 'all'): Operation {
  return (machine, warp, lanes, instruction) => {
    const [to, from, mask] = instruction.operands as [Operand, Operand, Operand];
    if (membersHere(machine, warp, lanes, mask, instruction) === 0) return 'wait';
    const [value, predicate]: readonly [Operand, Operand | undefined] =
      to.kind === 'pair' ? [to.first, to.second] : [to, undefined];
    const values = Array.from({ length: 32 }, (_, lane) => machine.long(warp, from, lane));
    const equalTo = (lane: number): number =>
      values.reduce(
        (all, other, place) =>
          ((lanes >>> place) & 1) === 1 && other === values[lane] ? all | (1 << place) : all,
        0,
      );
    for (let lane = 0; lane < 32; lane++) {
      if (((lanes >>> lane) & 1) === 0) continue;
      const equal = equalTo(lane);
      const areAll = equal === lanes;
      machine.setWord(warp, value, lane, kind === 'any' || areAll ? equal : 0);
      if (predicate !== undefined) machine.setPredicate(warp, predicate, lane, areAll);
    }
    return 'next';
  };
}

const reductions: {
  readonly [operation: string]: (a: number, b: number, signed: boolean) => number;
} = {
  add: (a, b) => (a + b) | 0,
  min: (a, b, signed) => (signed ? Math.min(a, b) : Math.min(a >>> 0, b >>> 0)) | 0,
  max: (a, b, signed) => (signed ? Math.max(a, b) : Math.max(a >>> 0, b >>> 0)) | 0,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

const reduce: Operation = (machine, warp, lanes, instruction) => {
  const [to, from, mask] = instruction.operands as [Operand, Operand, Operand];
  if (membersHere(machine, warp, lanes, mask, instruction) === 0) return 'wait';
  const combine = reductions[instruction.modifiers.operation ?? ''];
  if (combine === undefined)
    throw machine.fault('wrong operand', 'has no such reduction', warp, firstLane(lanes), instruction);
  let total: number | undefined;
  for (let lane = 0; lane < 32; lane++) {
    if (((lanes >>> lane) & 1) === 0) continue;
    const own = machine.word(warp, from, lane);
    total = total === undefined ? own : combine(total, own, instruction.types[0] === 's32');
  }
  for (let lane = 0; lane < 32; lane++)
    if (((lanes >>> lane) & 1) === 1) machine.setWord(warp, to, lane, total ?? 0);
  return 'next';
};

const activeMask: Operation = (machine, warp, lanes, instruction) => {
  for (let lane = 0; lane < 32; lane++)
    if (((lanes >>> lane) & 1) === 1) machine.setWord(warp, instruction.operands[0]!, lane, lanes);
  return 'next';
};

const elect: Operation = (machine, warp, lanes, instruction) => {
  const [to, mask] = instruction.operands as [Operand, Operand];
  const members = membersHere(machine, warp, lanes, mask, instruction);
  if (members === 0) return 'wait';
  const leader = firstLane(members);
  const [value, predicate]: readonly [Operand, Operand | undefined] =
    to.kind === 'pair' ? [to.first, to.second] : [to, undefined];
  for (let lane = 0; lane < 32; lane++) {
    if (((lanes >>> lane) & 1) === 0) continue;
    machine.setWord(warp, value, lane, leader);
    if (predicate !== undefined) machine.setPredicate(warp, predicate, lane, lane === leader);
  }
  return 'next';
};

export const crossLaneRules = {
  'shfl.sync': shuffle,
  'vote.sync': vote,
  'match.any.sync': match('any'),
  'match.all.sync': match('all'),
  'redux.sync': reduce,
  activemask: activeMask,
  'elect.sync': elect,
} as const satisfies Readonly<Record<string, Operation>>;
