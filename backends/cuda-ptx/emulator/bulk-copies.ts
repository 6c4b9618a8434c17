/**
 * What the unit beside the processor copies (TMA): boxes of tensors and runs of bytes, between global and
 * shared memory. A copy happens as late as it may, at once, or at a random time.
 */
import type { Operand } from '../ptx.ts';
import { bytesOf, type PtxType, ptxTypes } from '../ptx-types.ts';
import { shadow } from './layout.ts';
import { type BulkCopy, firstLane, type Machine, type Warp } from './machine.ts';
import { barrierAt, completeBytes, demandThere, type Mbarrier } from './mbarriers.ts';
import type { Operation } from './operation.ts';
import { pieceBytes } from './piece-code.ts';
import { type FloatFormat, narrow, widen } from './soft-float.ts';
import type { WarpInstruction } from './steps.ts';
import { decodeTensorMap, type PlacedMap, swizzled, tensorMapBytes } from './tensor-map.ts';

/** Elements at the edge of a tensor; outside of it there is nothing, which reads as zeros. */
interface Piece {
  readonly global: number | undefined;
  readonly shared: number;
  readonly bytes: number;
}

/** What is copied: whole pieces of 16 bytes, which is what swizzling moves, and what is not whole. */
interface Pieces {
  readonly global: Int32Array;
  readonly shared: Int32Array;
  readonly rest: readonly Piece[];
  /** Whether words are rounded to tf32 on the way. */
  readonly rounds: boolean;
  readonly bytes: number;
}

function piecesOfBox(map: PlacedMap, first: readonly number[], sharedOffset: number): Pieces {
  const size = bytesOf(map.type);
  const rowBytes = map.box[0]! * size;
  const rows = map.box.slice(1).reduce((all, extent) => all * extent, 1);
  const [global, shared] = [0, 1].map(() => new Int32Array((rows * rowBytes) / pieceBytes)) as [
    Int32Array,
    Int32Array,
  ];
  const rest: Piece[] = [];
  let whole = 0;
  const edge = map.dims[0]! * size;
  for (let row = 0; row < rows; row++) {
    let [left, place, isInside] = [row, map.start, true];
    for (let axis = 1; axis < map.dims.length; axis++) {
      const at = first[axis]! + (left % map.box[axis]!);
      left = Math.floor(left / map.box[axis]!);
      if (at < 0 || at >= map.dims[axis]!) isInside = false;
      place += at * map.strides[axis - 1]!;
    }
    for (let byte = 0; byte < rowBytes; byte += pieceBytes) {
      const target = swizzled(sharedOffset + row * rowBytes + byte, map.swizzle);
      const begin = first[0]! * size + byte;
      if (isInside && begin >= 0 && begin + pieceBytes <= edge) {
        global[whole] = place + begin;
        shared[whole++] = target;
        continue;
      }
      // By elements, as the edge of the tensor may be in the middle of a piece.
      for (let part = 0; part < pieceBytes; part += size) {
        const at = begin + part;
        const source = isInside && at >= 0 && at < edge ? place + at : undefined;
        rest.push({ global: source, shared: target + part, bytes: size });
      }
    }
  }
  const bytes = rows * rowBytes;
  return {
    global: global.subarray(0, whole),
    shared: shared.subarray(0, whole),
    rest,
    bytes,
    rounds: map.type === 'tf32',
  };
}

const eachLane = (lanes: number, work: (lane: number) => void): void => {
  for (let rest = lanes; rest !== 0; rest &= rest - 1) work(firstLane(rest));
};

function mapAt(
  machine: Machine,
  warp: Warp,
  lane: number,
  operand: Operand,
  instruction: WarpInstruction,
): { readonly map: PlacedMap; readonly first: readonly number[] } {
  const place = machine.locate(
    ...([warp, lane, operand, undefined] as const),
    { bytes: tensorMapBytes, isWrite: false, alignment: 64 },
    instruction,
  );
  const map = decodeTensorMap(machine.memory.view, place);
  if (map === undefined)
    throw machine.fault('wrong operand', 'gives what is no tensor map', warp, lane, instruction);
  const coordinates = operand.kind === 'address' ? operand.coordinates : [];
  if (coordinates.length !== map.dims.length || instruction.modifiers.dimension !== `${map.dims.length}d`)
    throw machine.fault(
      'wrong operand',
      `gives ${coordinates.length} coordinates of a tensor of ${map.dims.length} dimensions`,
      warp,
      lane,
      instruction,
    );
  return { map, first: coordinates.map((each) => machine.word(warp, each, lane)) };
}

/** Into the shared memory of the block, or of those of its cluster that a mask names. */
function begin(
  machine: Machine,
  warp: Warp,
  lane: number,
  instruction: WarpInstruction,
  parts: {
    readonly pieces: Pieces;
    readonly barrier: Operand;
    readonly mask: Operand | undefined;
    readonly place: Operand;
  },
): void {
  const { pieces, barrier: barrierOperand, place, mask } = parts;
  const own = barrierAt(machine, warp, lane, barrierOperand, sharedBarrier(instruction));
  const barrierPlace = machine.locate(
    ...([warp, lane, barrierOperand, 'shared'] as const),
    { bytes: 8, isWrite: false },
    instruction,
  );
  const target = machine.blockOf(
    machine.locate(...([warp, lane, place, 'shared'] as const), { bytes: 1, isWrite: true }, instruction),
  );
  const named = mask === undefined ? undefined : machine.word(warp, mask, lane);
  const blocks = machine.blocks.filter((block) =>
    named === undefined ? block === target : ((named >>> block.rank) & 1) === 1,
  );
  const clocks = machine.clocksOf(warp);
  for (const block of blocks) {
    demandThere(machine, warp, lane, block, instruction);
    // The barrier at the same place of each block.
    const offset = barrierPlace - own.block.sharedBase;
    const barrier = machine.mbarriers.get(block.sharedBase + offset);
    if (barrier === undefined)
      throw machine.fault(
        'barrier mismatch',
        'uses an mbarrier that nobody initialised',
        warp,
        lane,
        instruction,
      );
    const { sharedBytes } = machine.plan;
    const isOutside = (offset: number, size: number): boolean => offset + size > sharedBytes;
    if (
      pieces.shared.some((offset) => isOutside(offset, pieceBytes)) ||
      pieces.rest.some((each) => isOutside(each.shared, each.bytes))
    )
      throw machine.fault('out of bounds', 'copies past the end of shared memory', warp, lane, instruction);
    const places = pieces.shared.map((offset) => block.sharedBase + offset);
    if (block === warp.block) machine.notePieces(warp, lane, 0, places, true, instruction);
    // Nobody may count on what is there until it has come.
    machine.setPieceStates(places, shadow.allocated);
    for (const piece of pieces.rest) {
      const linear = block.sharedBase + piece.shared;
      if (block === warp.block) machine.note(warp, lane, linear, piece.bytes, true, instruction);
      machine.setState(linear, piece.bytes, shadow.allocated);
    }
    machine.start({
      run: () =>
        arrived(machine, pieces, places, block.sharedBase, barrier, block === warp.block ? clocks : []),
    });
  }
  machine.advance(warp);
}

function sharedBarrier(instruction: WarpInstruction): WarpInstruction {
  return { ...instruction, modifiers: { ...instruction.modifiers, space: 'shared' } };
}

function arrived(
  machine: Machine,
  pieces: Pieces,
  places: Int32Array,
  base: number,
  barrier: Mbarrier,
  clocks: readonly number[],
): void {
  const { bytes } = machine.memory;
  copyPieces(machine, pieces.global, places);
  machine.setPieceStates(places, shadow.written);
  for (const { global, shared, bytes: count } of pieces.rest) {
    const to = base + shared;
    if (global === undefined) bytes.fill(0, to, to + count);
    else bytes.copyWithin(to, global, global + count);
    machine.setState(to, count, shadow.written);
  }
  if (pieces.rounds) {
    const rest = pieces.rest.map((piece) => base + piece.shared);
    roundToTf32(
      machine,
      [...places].flatMap((place) => [0, 4, 8, 12].map((word) => place + word)),
    );
    roundToTf32(machine, rest);
  }
  completeBytes(barrier, pieces.bytes, clocks);
}

/**
 * Words of f32 to eleven bits, to the nearest of them, as `cvt.rna` does: it is not said how the unit rounds, but
 * that it does (CUTLASS has it do so for products of f32).
 */
function roundToTf32({ memory: { words } }: Machine, places: readonly number[]): void {
  for (const place of places) {
    const word = words[place >>> 2]!;
    const isNumber = (word & 0x7f800000) !== 0x7f800000;
    if (isNumber) words[place >>> 2] = (word + 0x1000) & ~0x1fff;
  }
}

function copyPieces({ memory: { words } }: Machine, from: Int32Array, to: Int32Array): void {
  for (let at = 0; at < from.length; at++) {
    const [source, target] = [from[at]! >>> 2, to[at]! >>> 2];
    for (let word = 0; word < pieceBytes / 4; word++) words[target + word] = words[source + word]!;
  }
}

/** Out of shared memory: what was written there must have been made visible to the unit by a fence. */
function leave(
  machine: Machine,
  warp: Warp,
  lane: number,
  instruction: WarpInstruction,
  pieces: Pieces,
  combine: ((global: number, shared: number, bytes: number) => void) | undefined,
): void {
  const { sharedBase } = warp.block;
  const places = pieces.shared.map((offset) => sharedBase + offset);
  machine.checkPieces(warp, lane, places, instruction);
  for (const piece of pieces.rest)
    machine.checkProxy(warp, lane, sharedBase + piece.shared, piece.bytes, instruction);
  machine.notePieces(warp, lane, 0, places, false, instruction);
  const copy: BulkCopy = {
    reads: places,
    run: () => {
      if (combine === undefined) copyPieces(machine, places, pieces.global);
      else
        machine.alone(() => {
          for (const [at, global] of pieces.global.entries()) combine(global, places[at]!, pieceBytes);
        });
      machine.setPieceStates(pieces.global, shadow.written);
      for (const { global, shared, bytes } of pieces.rest) {
        if (global === undefined) continue;
        const from = sharedBase + shared;
        if (combine !== undefined) machine.alone(() => combine(global, from, bytes));
        else machine.memory.bytes.copyWithin(global, from, from + bytes);
        machine.setState(global, bytes, shadow.written);
      }
    },
  };
  warp.pendingBulk.push(machine.startOfGroup(copy));
}

function sharedOffset(
  machine: Machine,
  warp: Warp,
  lane: number,
  place: Operand,
  instruction: WarpInstruction,
  alignment: number,
): number {
  const linear = machine.locate(
    ...([warp, lane, place, 'shared'] as const),
    { bytes: 16, isWrite: false, alignment, anyState: true },
    instruction,
  );
  return linear - (machine.blockOf(linear) ?? warp.block).sharedBase;
}

const copyTensor: Operation = (machine, warp, lanes, instruction) => {
  const [to, from, barrier, fourth] = instruction.operands as [Operand, Operand, Operand?, Operand?];
  const isLoad = instruction.modifiers.space !== 'global';
  eachLane(lanes, (lane) => {
    const { map, first } = mapAt(machine, warp, lane, isLoad ? from : to, instruction);
    const alignment = map.swizzle === 'none' ? 16 : 128;
    const offset = sharedOffset(machine, warp, lane, isLoad ? to : from, instruction, alignment);
    const pieces = piecesOfBox(map, first, offset);
    if (!isLoad) leave(machine, warp, lane, instruction, pieces, undefined);
    else {
      const mask = instruction.modifiers.multicast === undefined ? undefined : fourth;
      begin(machine, warp, lane, instruction, { pieces, barrier: barrier!, mask, place: to });
    }
  });
  return 'next';
};

const reduceTensor: Operation = (machine, warp, lanes, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  if (instruction.modifiers.operation !== 'add') throw machine.unsupported(instruction);
  eachLane(lanes, (lane) => {
    const { map, first } = mapAt(machine, warp, lane, to, instruction);
    const offset = sharedOffset(machine, warp, lane, from, instruction, map.swizzle === 'none' ? 16 : 128);
    const pieces = piecesOfBox(map, first, offset);
    leave(machine, warp, lane, instruction, pieces, adder(machine, map.type));
  });
  return 'next';
};

/** Runs of bytes. */
function piecesOfRun(global: number, shared: number, bytes: number): Pieces {
  const from = (start: number): Int32Array =>
    Int32Array.from({ length: bytes / pieceBytes }, (_, at) => start + pieceBytes * at);
  return { global: from(global), shared: from(shared), rest: [], bytes, rounds: false };
}

function copyRun(reduces: boolean): Operation {
  return (machine, warp, lanes, instruction) => {
    const [to, from, size, barrier] = instruction.operands as [Operand, Operand, Operand, Operand?];
    const isLoad = instruction.modifiers.space !== 'global';
    if (instruction.modifiers.source?.startsWith('shared') === isLoad) throw machine.unsupported(instruction);
    eachLane(lanes, (lane) => {
      const bytes = machine.word(warp, size, lane);
      if (bytes <= 0 || bytes % 16 !== 0)
        throw machine.fault(
          'misaligned access',
          `copies ${bytes} bytes, no multiple of 16`,
          warp,
          lane,
          instruction,
        );
      const access = { bytes, isWrite: !isLoad, alignment: 16, anyState: !isLoad };
      const global = machine.locate(warp, lane, isLoad ? from : to, 'global', access, instruction);
      const offset = sharedOffset(machine, warp, lane, isLoad ? to : from, instruction, 16);
      const pieces = piecesOfRun(global, offset, bytes);
      const combine = reduces ? adder(machine, instruction.types[0]!) : undefined;
      if (!isLoad) leave(machine, warp, lane, instruction, pieces, combine);
      else if (barrier?.kind !== 'address' || instruction.modifiers.multicast !== undefined)
        throw machine.unsupported(instruction);
      else begin(machine, warp, lane, instruction, { pieces, barrier, mask: undefined, place: to });
    });
    return 'next';
  };
}

/** Adds elements of the type, each rounded once. */
function adder(machine: Machine, type: PtxType): (global: number, shared: number, bytes: number) => void {
  const { view } = machine.memory;
  const size = bytesOf(type);
  const isFloat = ptxTypes[type].class === 'float';
  const format = type as FloatFormat;
  return (global, shared, bytes) => {
    for (let at = 0; at < bytes; at += size) {
      if (type === 'f32')
        view.setFloat32(
          global + at,
          view.getFloat32(global + at, true) + view.getFloat32(shared + at, true),
          true,
        );
      else if (size === 4)
        view.setInt32(global + at, view.getInt32(global + at, true) + view.getInt32(shared + at, true), true);
      else if (size === 2 && isFloat) {
        const sum =
          widen(view.getUint16(global + at, true), format) + widen(view.getUint16(shared + at, true), format);
        view.setUint16(
          global + at,
          Number(narrow(sum, { format, rounding: 'rn', saturates: false, relu: false })),
          true,
        );
      } else throw new Error(`sums of ${type} are not made`);
    }
  };
}

const commit: Operation = (_machine, warp) => {
  warp.bulkGroups.push(warp.pendingBulk);
  warp.pendingBulk = [];
  return 'next';
};

/** `.read`: the source may be written again, which here is the same. */
const wait: Operation = (machine, warp, lanes, instruction) => {
  const lane = firstLane(lanes);
  const left = machine.word(warp, instruction.operands[0]!, lane);
  while (warp.bulkGroups.length > left)
    for (const copy of warp.bulkGroups.shift()!) {
      machine.finish(copy);
      // It may have read until now: who writes there must have heard of the wait.
      if (copy.reads !== undefined) machine.notePieces(warp, lane, 0, copy.reads, false, instruction);
    }
  return 'next';
};

/** What the warp wrote to shared memory is there for the unit beside, too. */
const fenceProxy: Operation = (machine, warp) => {
  machine.fenceProxy(warp);
  return 'next';
};

export const bulkRules = {
  'cp.async.bulk': copyRun(false),
  'cp.reduce.async.bulk': copyRun(true),
  'cp.async.bulk.tensor': copyTensor,
  'cp.reduce.async.bulk.tensor': reduceTensor,
  'cp.async.bulk.commit_group': commit,
  'cp.async.bulk.wait_group': wait,
  'fence.proxy': fenceProxy,
} as const satisfies Readonly<Record<string, Operation>>;
