/** Memory that several threads change, one after the other. */
import type { Operand } from '../ptx.ts';
import { bytesOf, type PtxType, ptxTypes } from '../ptx-types.ts';
import { noteSynchronised } from './global-races.ts';
import { windowOf } from './lane-memory.ts';
import type { Machine } from './machine.ts';
import type { Operation } from './operation.ts';
import { type FloatFormat, narrow, widen } from './soft-float.ts';
import type { WarpInstruction } from './steps.ts';

type Combine = (old: bigint, by: bigint, other: bigint, type: PtxType) => bigint;

function asNumber(bits: bigint, type: PtxType): bigint {
  const { bits: width, class: typeClass } = ptxTypes[type];
  return typeClass === 'signed' ? BigInt.asIntN(width, bits) : BigInt.asUintN(width, bits);
}

const scratch = new DataView(new ArrayBuffer(8));

function asFloat(bits: bigint, type: PtxType): number {
  if (type === 'f64') {
    scratch.setBigUint64(0, bits);
    return scratch.getFloat64(0);
  }
  return widen(Number(bits), type as FloatFormat);
}

/** f32 sums round to the nearest in f64 first, which changes nothing; so do those of 16 bits. */
function asBits(value: number, type: PtxType): bigint {
  return narrow(value, { format: type as FloatFormat, rounding: 'rn', saturates: false, relu: false });
}

const halves: { readonly [T in PtxType]?: PtxType } = { f16x2: 'f16', bf16x2: 'bf16' };

const add: Combine = (old, by, other, type) => {
  const half = halves[type];
  if (half !== undefined) {
    const lower = add(old & 0xffffn, by & 0xffffn, other, half);
    return lower | (add(old >> 16n, by >> 16n, other, half) << 16n);
  }
  return ptxTypes[type].class === 'float' ? asBits(asFloat(old, type) + asFloat(by, type), type) : old + by;
};

const combines: { readonly [operation: string]: Combine } = {
  add,
  and: (old, by) => old & by,
  or: (old, by) => old | by,
  xor: (old, by) => old ^ by,
  exch: (_, by) => by,
  cas: (old, by, other) => (old === by ? other : old),
  inc: (old, by) => (old >= by ? 0n : old + 1n),
  dec: (old, by) => (old === 0n || old > by ? by : old - 1n),
  min: (old, by, _, type) => (asNumber(by, type) < asNumber(old, type) ? by : old),
  max: (old, by, _, type) => (asNumber(by, type) > asNumber(old, type) ? by : old),
};

function readBits(machine: Machine, linear: number, bytes: number): bigint {
  const { view } = machine.memory;
  if (bytes === 8) return view.getBigUint64(linear, true);
  return BigInt(bytes === 4 ? view.getUint32(linear, true) : view.getUint16(linear, true));
}

function writeBits(machine: Machine, linear: number, bytes: number, value: bigint): void {
  const { view } = machine.memory;
  if (bytes === 8) view.setBigUint64(linear, BigInt.asUintN(64, value), true);
  else if (bytes === 4) view.setUint32(linear, Number(BigInt.asUintN(32, value)), true);
  else view.setUint16(linear, Number(BigInt.asUintN(16, value)), true);
}

/** Lanes one after the other, in their order. */
function atomic(givesOld: boolean): Operation {
  return (machine, warp, lanes, instruction) => {
    const [to, place, by, other] = givesOld
      ? (instruction.operands as [Operand, Operand, Operand, Operand?])
      : [undefined, ...(instruction.operands as [Operand, Operand])];
    const [type] = instruction.types as [PtxType];
    const bytes = bytesOf(type);
    const combine = combineOf(machine, instruction);
    const values = by!.kind === 'vector' ? by!.elements : [by!];
    const results = to?.kind === 'vector' ? to.elements : [to];
    const run = (): void => {
      for (let lane = 0; lane < 32; lane++) {
        if (((lanes >>> lane) & 1) === 0) continue;
        const all = bytes * values.length;
        const access = { bytes: all, isWrite: false };
        const linear = machine.locate(warp, lane, place!, instruction.modifiers.space, access, instruction);
        values.forEach((value, at) => {
          const old = readBits(machine, linear + at * bytes, bytes);
          const given = BigInt.asUintN(8 * bytes, machine.long(warp, value, lane));
          const swap = other === undefined ? 0n : BigInt.asUintN(8 * bytes, machine.long(warp, other, lane));
          writeBits(machine, linear + at * bytes, bytes, combine(old, given, swap, type));
          const result = results[at];
          if (result === undefined) return;
          if (bytes === 8) machine.setLong(warp, result, lane, old);
          else machine.setWord(warp, result, lane, Number(BigInt.asIntN(32, old)));
        });
      }
    };
    // Shared memory belongs to the thread that runs the cluster.
    if (windowOf(instruction.modifiers.space) === 'shared') run();
    else {
      machine.alone(run);
      noteSynchronised(machine, warp);
    }
    return 'next';
  };
}

function combineOf(machine: Machine, instruction: WarpInstruction): Combine {
  const combine = combines[instruction.modifiers.operation ?? ''];
  const type = instruction.types[0]!;
  const isFloat = ptxTypes[type].class === 'float' || ptxTypes[type].class === 'packed';
  const { operation } = instruction.modifiers;
  if (combine !== undefined && !(isFloat && operation !== 'add' && operation !== 'exch')) return combine;
  throw machine.unsupported(instruction);
}

export const atomicRules = { atom: atomic(true), red: atomic(false) } as const satisfies Readonly<
  Record<string, Operation>
>;
