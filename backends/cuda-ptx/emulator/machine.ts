/** The state of a run: memory, blocks, warps, and access to them as the operations of warps need it. */
import type { Guard, Instruction, Operand, Register, SpecialName, Variable } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';
import { bytesOf, ptxTypes } from '../ptx-types.ts';
import type { LaneStack } from './calls.ts';
import { EmulatorFault, type FaultKind } from './fault.ts';
import type { Buffer, CopyTiming, GridPlan, Region } from './grid-plan.ts';
import type { Kernel } from './kernel.ts';
import { windowOf } from './lane-memory.ts';
import {
  codeWindow,
  control,
  half,
  header,
  lanesOfWarp,
  rankShift,
  shadow,
  type Window,
  windows,
} from './layout.ts';
import type { LinkedSteps, Linker } from './link.ts';
import type { Mbarrier } from './mbarriers.ts';
import type { Memory } from './memory.ts';
import { pieceBytes } from './piece-code.ts';
import { clockRowBytes } from './race-code.ts';
import { clocksIn } from './special-registers.ts';
import { passingWords, Tables } from './tables.ts';
import type { Unit } from './unit.ts';

/** Lanes of a warp that are at the same step. */
export interface Fragment {
  step: number;
  /** A bit for each lane. */
  mask: number;
  /** Waits for other lanes of its warp, or for something to happen. */
  waits: boolean;
}

export interface Warp {
  readonly block: Block;
  readonly number: number;
  /** Where its registers are. */
  readonly base: number;
  fragments: Fragment[];
  /** Lanes that have not left. */
  live: number;
  /** The barrier that it has come to, until the others have. */
  barrier: number | undefined;
  /** Copies that were not committed yet, and those that were, the oldest first. */
  pendingCopies: Copy[];
  copyGroups: Copy[][];
  pendingBulk: BulkCopy[];
  bulkGroups: BulkCopy[][];
  pendingProducts: BulkCopy[];
  productGroups: BulkCopy[][];
  /** Sums of products that nobody has waited for, and of how many. */
  readonly underWay: Map<Sums, number>;
  /** Of lanes that call functions, or allocate. */
  readonly stacks: Map<number, LaneStack>;
  /** The epoch in which it last met with others. */
  metAt: number;
  /** In which phase of the cluster's barrier it arrived last; −1 before it did. */
  clusterPhase: number;
}

/** Registers that sums of a warpgroup's products are in. */
export interface Sums {
  readonly registers: readonly Register[];
  /** Of what tells which lanes wrote them: from where to where in the file of a warp, in words. */
  readonly marks: readonly (readonly [number, number])[];
}

/** Something that happens by itself, once, at any time until it is waited for. */
export interface BulkCopy {
  readonly run: () => void;
  /** Pieces of shared memory that are read until it is waited for. */
  readonly reads?: Int32Array;
}

interface Started extends BulkCopy {
  isDone: boolean;
}

/** What an instruction has on its way to shared memory: of each lane so many bytes. */
export interface Copy {
  /** Of lanes that copy something. */
  readonly from: Int32Array;
  readonly to: Int32Array;
  /** Of which the first come from there, and the others are zero. */
  readonly bytes: number;
  readonly given: Int32Array;
  done: boolean;
}

export interface Barrier {
  arrived: number;
  /** Of threads, as the first to come has said. */
  expected: number | undefined;
  waiting: Warp[];
  /** Warps that arrived without waiting. */
  passed: Warp[];
  /** Of `bar.red`. */
  votes: number;
  agreed: number;
  by: Instruction | undefined;
}

export interface Block {
  readonly index: readonly [number, number, number];
  readonly rank: number;
  readonly warps: Warp[];
  readonly sharedBase: number;
  readonly clocks: number;
  readonly barriers: Map<number, Barrier>;
  readonly threads: number;
}

export interface Access {
  readonly bytes: number;
  readonly isWrite: boolean;
  /** Where it is not that of its bytes. */
  readonly alignment?: number;
  /** Whether what is written is not yet visible to the unit that copies. */
  readonly isUnfenced?: boolean;
  /** Whether nobody need have written it, and it is not written now. */
  readonly anyState?: boolean;
}

/** By a thread of a cluster. */
export interface Printed {
  readonly cluster: number;
  readonly text: string;
}

/** Characters, after which no more is kept of what a kernel prints. */
const mostPrinted = 2 ** 20;

export class Machine {
  readonly plan: GridPlan;
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly checksMemory: boolean;
  readonly checksRaces: boolean;
  readonly timing: CopyTiming;
  readonly steps: LinkedSteps;
  readonly unit: Unit;
  readonly tables: Tables;
  /** Those that are resident, by where their registers are. */
  readonly warps = new Map<number, Warp>();
  /** The blocks of the cluster that runs. */
  blocks: readonly Block[] = [];
  readonly mbarriers = new Map<number, Mbarrier>();
  readonly cluster = { arrived: 0, phase: 0 };
  /** Of the cluster that runs. */
  private number = 0;
  /** What kernels printed. */
  readonly printed: Printed[] = [];
  /** Clocks that the kernel reads. */
  readonly clocks: readonly SpecialName[];
  private printedLength = 0;
  private inFlight: Started[] = [];
  private random = 1;

  constructor(plan: GridPlan, linker: Linker, region: Region) {
    this.plan = plan;
    this.kernel = plan.kernel;
    this.memory = linker.memory;
    this.checksMemory = plan.kernel.options.checksMemory;
    this.checksRaces = plan.kernel.options.checksRaces;
    this.timing = plan.copies;
    this.steps = linker.link(plan.kernel);
    this.clocks = clocksIn(plan.kernel.specials);
    this.unit = linker.unit;
    this.tables = new Tables(linker.memory, region.tables);
  }

  /** Of a cluster, before its first instruction; random times depend on its number alone. */
  begin(blocks: readonly Block[], number: number): void {
    this.blocks = blocks;
    this.number = number;
    this.warps.clear();
    for (const warp of blocks.flatMap(({ warps }) => warps)) this.warps.set(warp.base, warp);
    this.mbarriers.clear();
    this.cluster.arrived = 0;
    this.cluster.phase = 0;
    this.inFlight = [];
    if (typeof this.timing === 'object') this.random = Math.imul(this.timing.seed + number, 0x9e3779b1) | 1;
  }

  /** Marsaglia's xorshift: whether something that may happen at any time happens now. */
  happensNow(): boolean {
    this.random ^= this.random << 13;
    this.random ^= this.random >>> 17;
    this.random ^= this.random << 5;
    return (this.random & 3) === 0;
  }

  /** Whether an earlier cluster ended with a fault, so that nobody asks for this one any more. */
  isAbandoned(): boolean {
    return Atomics.load(this.memory.words, control.fault) < this.number;
  }

  /** What several threads may do with the same bytes, one after the other. */
  alone(work: () => void): void {
    const { words } = this.memory;
    while (Atomics.compareExchange(words, control.lock, 0, 1) !== 0);
    try {
      work();
    } finally {
      Atomics.store(words, control.lock, 0);
    }
  }

  /** A text of the kernel's, in the order of the cluster's threads. */
  print(text: string): void {
    const left = mostPrinted - this.printedLength;
    if (left <= 0) return;
    this.printed.push({ cluster: this.number, text: text.slice(0, left) });
    this.printedLength += text.length;
  }

  // ── what happens by itself ───────────────────────────────────────────────────────────────────────────────

  /** Happens at some time until all threads wait. */
  start(copy: BulkCopy): void {
    const started = { ...copy, isDone: false };
    if (this.happensAtOnce()) this.finish(started);
    else this.inFlight.push(started);
  }

  /** Happens at some time until its group is waited for. */
  startOfGroup(copy: BulkCopy): BulkCopy {
    const started = this.later(copy);
    if (this.happensAtOnce()) this.finish(started);
    return started;
  }

  /** Happens when somebody says so. */
  later(copy: BulkCopy): BulkCopy {
    const started: Started = { ...copy, isDone: false };
    return started;
  }

  happensAtOnce(): boolean {
    return this.timing === 'early' || (this.timing !== 'late' && this.happensNow());
  }

  finish(copy: BulkCopy): void {
    const started = copy as Started;
    if (started.isDone) return;
    started.isDone = true;
    started.run();
  }

  /** Something of what is under way happens, where there is something. */
  letSomethingHappen(): boolean {
    const at = this.timing === 'late' ? 0 : Math.abs(this.random) % Math.max(1, this.inFlight.length);
    const [next] = this.inFlight.splice(at, 1);
    if (next !== undefined) this.finish(next);
    return next !== undefined;
  }

  /** At random times something happens although others could go on. */
  letTimePass(): void {
    if (typeof this.timing === 'object' && this.happensNow()) this.letSomethingHappen();
  }

  // ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────

  /** In whose shared memory a place is. */
  blockOf(linear: number): Block | undefined {
    const { sharedBytes } = this.plan;
    return this.blocks.find(({ sharedBase }) => linear >= sharedBase && linear < sharedBase + sharedBytes);
  }

  warpAt(base: number): Warp {
    return this.warps.get(base)!;
  }

  // ── registers ────────────────────────────────────────────────────────────────────────────────────────────

  /** Where in `memory.words` the register's word of lane 0 is. */
  slot(warp: Warp, register: Register): number {
    return (warp.base + this.kernel.slots.get(register)!) >>> 2;
  }

  word(warp: Warp, operand: Operand, lane: number): number {
    switch (operand.kind) {
      case 'register': {
        const wide = ptxTypes[operand.register.type].bits === 64;
        return this.memory.words[this.slot(warp, operand.register) + (wide ? 2 * lane : lane)]!;
      }
      case 'not':
        return ~this.memory.words[this.slot(warp, operand.register) + lane]!;
      case 'special':
        return this.memory.words[((warp.base + this.kernel.slots.get(operand.name)!) >>> 2) + lane]!;
      case 'integer':
        return Number(BigInt.asIntN(32, operand.value));
      case 'float':
        return Number(BigInt.asIntN(32, operand.bits));
      case 'symbol':
        return this.placeOf(warp, lane, operand.variable, operand.offset);
      default:
        throw new EmulatorFault('wrong operand', `an operand of the kind ${operand.kind}`, undefined);
    }
  }

  /** The upper 32 bits of a 64-bit operand. */
  upperWord(warp: Warp, operand: Operand, lane: number): number {
    switch (operand.kind) {
      case 'register': {
        if (ptxTypes[operand.register.type].bits !== 64) return 0;
        return this.memory.words[this.slot(warp, operand.register) + 2 * lane + 1]!;
      }
      case 'integer':
        return Number(BigInt.asIntN(32, operand.value >> 32n));
      case 'float':
        return Number(BigInt.asIntN(32, operand.bits >> 32n));
      case 'symbol':
        return upperOf(operand.variable);
      default:
        return 0;
    }
  }

  /** In its window; of shared memory with the rank of the block. */
  private placeOf(warp: Warp, lane: number, variable: Variable, offset: number): number {
    const { framed, offsets, codePlaces } = this.kernel.needs;
    if (variable.space === 'code') return (codePlaces.get(variable.name) ?? 0) + offset;
    const frame = framed.has(variable)
      ? this.memory.words[((warp.base + this.kernel.frameSlot) >>> 2) + lane]!
      : 0;
    const place = (offsets.get(variable) ?? 0) + frame + offset;
    if (variable.space === 'global') return this.plan.globals + place;
    return variable.space === 'shared' ? place | (warp.block.rank << rankShift) : place;
  }

  long(warp: Warp, operand: Operand, lane: number): bigint {
    const low = BigInt(this.word(warp, operand, lane) >>> 0);
    return (BigInt(this.upperWord(warp, operand, lane) >>> 0) << 32n) | low;
  }

  setWord(warp: Warp, operand: Operand, lane: number, value: number): void {
    if (operand.kind !== 'register') return;
    const at = this.slot(warp, operand.register);
    const { bits } = ptxTypes[operand.register.type];
    if (bits === 64) {
      this.memory.words[at + 2 * lane] = value;
      this.memory.words[at + 2 * lane + 1] = 0;
    } else this.memory.words[at + lane] = bits === 16 ? value & 0xffff : value;
    this.markLane(warp, operand.register, lane);
  }

  setLong(warp: Warp, operand: Operand, lane: number, value: bigint): void {
    if (operand.kind !== 'register') return;
    const at = this.slot(warp, operand.register) + 2 * lane;
    this.memory.words[at] = Number(BigInt.asIntN(32, value));
    this.memory.words[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
    this.markLane(warp, operand.register, lane);
  }

  setPredicate(warp: Warp, operand: Operand, lane: number, value: boolean): void {
    if (operand.kind === 'register') this.setWord(warp, operand, lane, value ? -1 : 0);
  }

  /** Whether all lanes have written a register, as far as that is watched. */
  isWritten(warp: Warp, register: Register): boolean {
    const written = this.kernel.written.get(register);
    if (written === undefined) return true;
    const at = this.slot(warp, written);
    return this.memory.words.subarray(at, at + 32).every((mask) => mask !== 0);
  }

  /** Of all lanes: that they have written a register, or that something under way will. */
  markRegister(warp: Warp, register: Register, isWritten: boolean): void {
    const written = this.kernel.written.get(register);
    if (written === undefined) return;
    const at = this.slot(warp, written);
    this.memory.words.fill(isWritten ? -1 : 0, at, at + 32);
  }

  private markLane(warp: Warp, register: Register, lane: number): void {
    const written = this.kernel.written.get(register);
    if (written !== undefined) this.memory.words[this.slot(warp, written) + lane] = -1;
  }

  /** The lanes of the mask for which a guard holds. */
  guarded(warp: Warp, mask: number, guard: Guard | undefined): number {
    if (guard === undefined) return mask;
    const at = this.slot(warp, guard.register);
    let holds = 0;
    for (let lane = 0; lane < 32; lane++) if (this.memory.words[at + lane] !== 0) holds |= 1 << lane;
    return mask & (guard.negated ? ~holds : holds);
  }

  /** Where in the file of a warp the words of an operand are, which is a register of at most 32 bits. */
  slotOf(operand: Operand, instruction: Instruction): number {
    if (operand.kind !== 'register' || ptxTypes[operand.register.type].bits === 64)
      throw this.unsupported(instruction);
    return this.kernel.slots.get(operand.register)!;
  }

  // ── memory ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Where an access of a lane is in memory, which is checked to be something that it may access. */
  locate(
    warp: Warp,
    lane: number,
    operand: Operand,
    space: string | undefined,
    access: Access,
    instruction: Instruction,
  ): number {
    if (operand.kind !== 'address')
      throw this.fault('wrong operand', 'this is no address', warp, lane, instruction);
    const { base, offset } = operand;
    let [upper, lower] = [0, 0];
    if (base?.kind === 'register') {
      const at = this.slot(warp, base);
      const isWide = ptxTypes[base.type].bits === 64;
      lower = this.memory.words[isWide ? at + 2 * lane : at + lane]! >>> 0;
      upper = isWide ? this.memory.words[at + 2 * lane + 1]! : 0;
      if (offset !== 0) {
        const sum = lower + offset;
        upper = (upper + Math.floor(sum / 2 ** 32)) | 0;
        lower = sum >>> 0;
      }
    } else if (base === undefined) {
      lower = offset >>> 0;
      upper = Math.floor(offset / 2 ** 32) | 0;
    } else {
      lower = this.placeOf(warp, lane, base, offset) >>> 0;
      upper = upperOf(base);
    }
    return this.locateAt(warp, lane, upper, lower, windowOf(space), access, instruction);
  }

  /** What is at a generic address, which is checked to be something that the lane may read. */
  readGeneric(warp: Warp, lane: number, address: bigint, bytes: 1 | 4 | 8, instruction: Instruction): bigint {
    const [upper, lower] = [Number(address >> 32n) | 0, Number(address & 0xffffffffn)];
    const linear = this.locateAt(warp, lane, upper, lower, undefined, { bytes, isWrite: false }, instruction);
    const { view } = this.memory;
    if (bytes === 8) return view.getBigUint64(linear, true);
    return BigInt(bytes === 4 ? view.getUint32(linear, true) : view.getUint8(linear));
  }

  /** The same for all of these lanes; of others nothing. */
  locateLanes(
    warp: Warp,
    lanes: number,
    operand: Operand,
    space: string | undefined,
    access: Access,
    instruction: Instruction,
  ): Int32Array {
    const places = new Int32Array(lanesOfWarp);
    const window = windowOf(space);
    const base = operand.kind === 'address' ? operand.base : undefined;
    const isPlain =
      operand.kind === 'address' &&
      base?.kind === 'register' &&
      (window === 'shared' || (window === 'global' && ptxTypes[base.type].bits === 64));
    const [at, step] = isPlain ? [this.slot(warp, base), ptxTypes[base.type].bits / 32] : [0, 1];
    const { words } = this.memory;
    for (let lane = 0; lane < lanesOfWarp; lane++) {
      if (((lanes >>> lane) & 1) === 0) continue;
      const lower = isPlain ? words[at + step * lane]! + operand.offset : -1;
      const found =
        window === 'shared'
          ? this.ownShared(warp, lower, access)
          : this.plainGlobal(lower, isPlain ? words[at + 2 * lane + 1]! : 0, access);
      places[lane] = found > 0 ? found : this.locate(warp, lane, operand, space, access, instruction);
    }
    return places;
  }

  /** Where an access of shared memory of the own block is that is as it should be; else not above 0. */
  private ownShared(warp: Warp, lower: number, access: Access): number {
    const { rank, sharedBase } = warp.block;
    const offset = lower - (rank << rankShift);
    if (offset < 0 || offset + access.bytes > this.plan.sharedBytes) return 0;
    return this.isPlainAccess(sharedBase + offset, access) ? sharedBase + offset : 0;
  }

  private plainGlobal(lower: number, upper: number, access: Access): number {
    if (upper !== windows.global || lower < 0 || lower + access.bytes > half) return 0;
    return this.isPlainAccess(lower, access) ? lower : 0;
  }

  /** Whether an access of whole words may be; if so, it has been. */
  private isPlainAccess(linear: number, access: Access): boolean {
    const { bytes, isWrite, alignment = bytes, anyState = false, isUnfenced = false } = access;
    if ((bytes & 3) !== 0 || linear % alignment !== 0 || anyState) return false;
    const { shadowWords } = this.memory;
    const needed = (isWrite || !this.checksMemory ? shadow.allocated : shadow.written) * 0x01010101;
    const after = (isUnfenced ? shadow.written | shadow.unfenced : shadow.written) * 0x01010101;
    const [first, end] = [linear >>> 2, (linear + bytes) >>> 2];
    for (let at = first; at < end; at++) if ((shadowWords[at]! & needed) !== needed) return false;
    if (isWrite) for (let at = first; at < end; at++) shadowWords[at] = after;
    return true;
  }

  /** Whether two lanes name the same. */
  isSameAddress(warp: Warp, operand: Operand, lane: number, other: number): boolean {
    if (operand.kind !== 'address' || operand.base?.kind !== 'register') return true;
    const at = this.slot(warp, operand.base);
    const { words } = this.memory;
    return ptxTypes[operand.base.type].bits === 64
      ? words[at + 2 * lane] === words[at + 2 * other] &&
          words[at + 2 * lane + 1] === words[at + 2 * other + 1]
      : words[at + lane] === words[at + other];
  }

  private locateAt(
    warp: Warp,
    lane: number,
    upper: number,
    lower: number,
    named: Window | undefined,
    access: Access,
    instruction: Instruction,
  ): number {
    const linear = this.linear(warp, lane, upper, lower, named);
    const refuse = (kind: FaultKind, why: string): EmulatorFault => {
      const verb = access.isWrite ? 'writes' : 'reads';
      const found = linear < 0 ? undefined : linear;
      const window = named ?? (found === undefined ? undefined : windowNamed(upper));
      const address = (BigInt(upper >>> 0) << 32n) | BigInt(lower);
      const where = describeAddress(this.plan.buffers, address, window, found);
      return this.fault(kind, `${verb} ${access.bytes} bytes at ${where}${why}`, warp, lane, instruction);
    };
    if (linear < 0) throw refuse('out of bounds', this.sizeOf(named ?? windowNamed(upper)));
    if (linear % (access.alignment ?? access.bytes) !== 0)
      throw refuse('misaligned access', `, which is no multiple of ${access.alignment ?? access.bytes}`);
    const mustBeWritten = this.checksMemory && !access.isWrite && access.anyState !== true;
    const state = this.leastState(linear, access.bytes);
    if ((state & shadow.allocated) === 0)
      throw refuse('out of bounds', this.sizeOf(named ?? windowNamed(upper)));
    if (mustBeWritten && (state & shadow.written) !== shadow.written)
      throw refuse('uninitialised memory', ', which nobody has written');
    const after = access.isUnfenced === true ? shadow.written | shadow.unfenced : shadow.written;
    if (access.isWrite && access.anyState !== true) this.setState(linear, access.bytes, after);
    return linear;
  }

  /** How much of a window there is, for the words of a fault. */
  private sizeOf(window: Window | undefined): string {
    if (window === 'shared') return `, of which there are ${this.plan.sharedBytes} bytes`;
    if (window !== 'local') return '';
    const { staticLocal, localBytes } = this.kernel.needs;
    const isOnStack = localBytes > staticLocal;
    return `, of which there are ${staticLocal} bytes${isOnStack ? ' and those of open calls' : ''}`;
  }

  /** What is so of all these bytes. */
  private leastState(linear: number, bytes: number): number {
    if (linear + bytes > half) return shadow.none;
    let all = -1;
    if (((linear | bytes) & 3) === 0) {
      const { shadowWords } = this.memory;
      for (let at = linear >>> 2; at < (linear + bytes) >>> 2; at++) all &= shadowWords[at]!;
      all &= all >>> 16;
      return all & (all >>> 8);
    }
    for (let at = linear; at < linear + bytes; at++) all &= this.memory.shadow[at]!;
    return all;
  }

  setState(linear: number, bytes: number, state: number): void {
    if (((linear | bytes) & 3) === 0) {
      const { shadowWords } = this.memory;
      const word = state * 0x01010101;
      for (let at = linear >>> 2; at < (linear + bytes) >>> 2; at++) shadowWords[at] = word;
    } else this.memory.shadow.fill(state, linear, linear + bytes);
  }

  /** Of a load or store of lanes, which found that it may not be. */
  accessFault(warp: Warp, lane: number, address: bigint, instruction: Instruction): EmulatorFault {
    const isWrite = instruction.op === 'st';
    const size = bytesOf(instruction.types[0]!);
    const bytes = size * Number(instruction.modifiers.vector?.slice(1) ?? 1);
    const place = instruction.operands[isWrite ? 0 : 1]!;
    const isOwn = place.kind === 'address' && place.base?.kind === 'variable' && place.base.space === 'local';
    const window = isOwn ? 'local' : windowOf(instruction.modifiers.space);
    try {
      const [upper, lower] = [Number(address >> 32n) | 0, Number(address & 0xffffffffn)];
      this.locateAt(warp, lane, upper, lower, window, { bytes, isWrite }, instruction);
    } catch (fault) {
      if (fault instanceof EmulatorFault) return fault;
      throw fault;
    }
    return this.fault('out of bounds', `uses 0x${address.toString(16)}`, warp, lane, instruction);
  }

  /** Where in memory an address is; below zero where it is nowhere. */
  private linear(warp: Warp, lane: number, upper: number, lower: number, named: Window | undefined): number {
    const window = named ?? windowNamed(upper);
    if (window === undefined || (window === 'global' && upper !== windows.global)) return -1;
    const { plan, kernel } = this;
    const within = (base: number, offset: number, bytes: number): number =>
      offset < bytes ? base + offset : -1;
    switch (window) {
      case 'global':
        return within(0, lower, half);
      case 'shared': {
        const block = this.blocks[lower >>> rankShift];
        return block === undefined
          ? -1
          : within(block.sharedBase, lower & (2 ** rankShift - 1), plan.sharedBytes);
      }
      case 'local': {
        const { localBytes } = kernel.needs;
        const first = this.memory.words[(warp.base + header.localBase) >>> 2]!;
        return within(first + lane * localBytes, lower, localBytes);
      }
      case 'const':
        return within(plan.constants, lower, kernel.needs.constBytes);
      case 'param':
        return within(plan.parameters, lower, kernel.needs.paramBytes);
    }
  }

  /** Says of an access of shared memory that it happened, to whom looks for races. */
  note(
    warp: Warp,
    lane: number,
    linear: number,
    bytes: number,
    isWrite: boolean,
    instruction: Instruction,
  ): void {
    if (!this.checksRaces) return;
    if (!this.isOwnShared(warp, linear)) return;
    const number = this.kernel.numbers.get(instruction) ?? -1;
    (isWrite ? this.unit.noteWrite : this.unit.noteRead)(warp.base, lane, linear, bytes, number);
  }

  /** The same of pieces of 16 bytes, by the lane of that number and those after it, or by the one lane. */
  notePieces(
    warp: Warp,
    lane: number,
    step: 0 | 1,
    places: Int32Array,
    isWrite: boolean,
    instruction: Instruction,
  ): void {
    if (!this.checksRaces) return;
    const number = this.kernel.numbers.get(instruction) ?? -1;
    const isOwn = places.every((place) => this.isOwnShared(warp, place));
    if (!isOwn)
      places.forEach((place, at) => {
        this.note(warp, lane + step * at, place, pieceBytes, isWrite, instruction);
      });
    else
      this.overPieces(places, (table, count, first) =>
        (isWrite ? this.unit.noteWrites : this.unit.noteReads)(
          ...([warp.base, lane + step * first, step, table, 0, count, number] as const),
        ),
      );
  }

  private isOwnShared(warp: Warp, linear: number): boolean {
    const { sharedBase } = warp.block;
    return linear >= sharedBase && linear < sharedBase + this.plan.sharedBytes;
  }

  /** Puts places in memory, as many at a time as there is room for. */
  overPieces(places: Int32Array, work: (table: number, count: number, first: number) => void): void {
    const table = this.tables.passing;
    for (let first = 0; first < places.length; first += passingWords) {
      const part = places.subarray(first, first + passingWords);
      this.memory.words.set(part, table >>> 2);
      work(table, part.length, first);
    }
  }

  setPieceStates(places: Int32Array, state: number): void {
    this.overPieces(places, (table, count) => this.unit.setStates(table, 0, count, state * 0x01010101));
  }

  // ── the unit beside ──────────────────────────────────────────────────────────────────────────────────────

  /** What it reads of shared memory must have been written, and fenced if a thread wrote it. */
  checkProxy(warp: Warp, lane: number, linear: number, bytes: number, instruction: Instruction): void {
    if (!this.checksMemory) return;
    for (let at = linear; at < linear + bytes; at++) {
      const state = this.memory.shadow[at]!;
      if (state === shadow.written) continue;
      const offset = at - warp.block.sharedBase;
      if ((state & shadow.written) === shadow.none)
        throw this.fault(
          'out of bounds',
          `has byte ${offset} of shared memory read`,
          warp,
          lane,
          instruction,
        );
      if ((state & shadow.written) !== shadow.written)
        throw this.fault(
          'uninitialised memory',
          `has byte ${offset} of shared memory read, which nobody has written`,
          warp,
          lane,
          instruction,
        );
      throw this.fault(
        'missing fence',
        `has byte ${offset} of shared memory read, which was written with no fence.proxy.async since`,
        warp,
        lane,
        instruction,
      );
    }
  }

  /** The same of pieces of 16 bytes. */
  checkPieces(warp: Warp, lane: number, places: Int32Array, instruction: Instruction): void {
    if (!this.checksMemory) return;
    this.overPieces(places, (table, count, first) => {
      const bad = this.unit.firstUnwritten(table, 0, count, -1);
      if (bad >= 0) this.checkProxy(warp, lane, places[first + bad]!, pieceBytes, instruction);
    });
  }

  /** What the warp wrote to its block's shared memory, or has heard of, is visible from now on. */
  fenceProxy(warp: Warp): void {
    this.unit.fence(warp.base, this.checksRaces ? 1 : 0);
  }

  // ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────

  private clockRow(block: Block, number: number): number {
    return (block.clocks + number * clockRowBytes) >>> 2;
  }

  /** What follows at a warp is later than what it did. */
  advance(warp: Warp): void {
    const at = this.clockRow(warp.block, warp.number) + warp.number;
    this.memory.words[at] = this.memory.words[at]! + 1;
    this.noteMeeting(warp);
  }

  private noteMeeting(warp: Warp): void {
    warp.metAt = this.nextEpoch();
    this.memory.words[(warp.base + header.metAt) >>> 2] = warp.metAt;
  }

  nextEpoch(): number {
    return Atomics.add(this.memory.words, control.epoch, 1) + 1;
  }

  clocksOf(warp: Warp): readonly number[] {
    const row = this.clockRow(warp.block, warp.number);
    return [...this.memory.words.subarray(row, row + warp.block.warps.length)];
  }

  /** What others had done when they said so. */
  hear(warp: Warp, clocks: readonly number[]): void {
    const row = this.clockRow(warp.block, warp.number);
    this.noteMeeting(warp);
    clocks.forEach((clock, at) => {
      if (this.memory.words[row + at]! < clock) this.memory.words[row + at] = clock;
    });
  }

  /** All these warps have heard of all that these did. */
  meet(warps: readonly Warp[], arrived: readonly Warp[]): void {
    const count = arrived[0]?.block.warps.length ?? 0;
    for (let other = 0; other < count; other++) {
      let latest = 0;
      for (const each of arrived) {
        const known = this.memory.words[this.clockRow(each.block, each.number) + other]!;
        if (known > latest) latest = known;
      }
      for (const each of warps) {
        const at = this.clockRow(each.block, each.number) + other;
        if (this.memory.words[at]! < latest) this.memory.words[at] = latest;
      }
    }
    for (const each of new Set([...warps, ...arrived])) this.advance(each);
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────

  unsupported(instruction: Instruction): PtxError {
    return new PtxError(`${instruction.text} is not supported`, instruction.place);
  }

  thread(warp: Warp, lane: number): string {
    return `thread ${warp.number * 32 + lane} of block (${warp.block.index.join(', ')})`;
  }

  fault(
    kind: FaultKind,
    what: string,
    warp: Warp,
    lane: number,
    instruction: Instruction | undefined,
  ): EmulatorFault {
    return new EmulatorFault(kind, `${kind}: ${this.thread(warp, lane)} ${what}`, instruction);
  }
}

/** Of the address of a variable as PTX has it. */
function upperOf({ space }: Variable): number {
  return space === 'global' ? windows.global : space === 'code' ? codeWindow : 0;
}

/** The window of generic addresses with this upper half. */
function windowNamed(upper: number): Window | undefined {
  return windowsByNumber[upper];
}

const windowsByNumber: readonly (Window | undefined)[] = [
  undefined,
  ...(Object.keys(windows) as Window[]).sort((a, b) => windows[a] - windows[b]),
];

export function firstLane(mask: number): number {
  return 31 - Math.clz32(mask & -mask);
}

export function countLanes(mask: number): number {
  // Bits of pairs, of four, of eight, and of all (Warren, "Hacker's Delight", 5-1).
  const pairs = mask - ((mask >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** An address in words: of global memory by the buffer that it is in or nearest to. */
export function describeAddress(
  buffers: readonly Buffer[],
  address: bigint,
  window: Window | undefined,
  linear: number | undefined,
): string {
  const text = `0x${address.toString(16)}`;
  if (window !== undefined && window !== 'global')
    return `0x${BigInt.asUintN(32, address).toString(16)} of ${window} memory`;
  if (address >> 32n !== BigInt(windows.global) && linear === undefined) return `${text}, which is nowhere`;
  const place = linear ?? Number(address & 0xffffffffn);
  let nearest: { readonly distance: number; readonly words: string } | undefined;
  for (const { name, start, bytes } of buffers) {
    const offset = place - start;
    const end = offset - bytes;
    const [distance, words] =
      offset < 0
        ? [-offset, `${-offset} bytes before ${name}`]
        : end >= 0
          ? [end + 1, `${end} bytes past the end of ${name}, which has ${bytes} bytes`]
          : [0, `byte ${offset} of ${name}, which has ${bytes} bytes`];
    if (nearest === undefined || distance < nearest.distance) nearest = { distance, words };
  }
  return nearest?.words ?? text;
}
