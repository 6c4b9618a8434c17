/**
 * A GPU that is none: memory that stays between launches, modules that are loaded once, and kernels that are
 * launched with their arguments as bytes, as the driver of a real one has them (`cuMemAlloc`,
 * `cuModuleLoadData`, `cuLaunchKernel`). One launch is over when the call returns.
 */
import { availableParallelism } from 'node:os';
import type { PtxModule, Variable } from '../ptx.ts';
import { bytesOf } from '../ptx-types.ts';
import { type CompiledModule, compiledModule } from './compiled.ts';
import { hasFusedMultiplyAdd } from './fused.ts';
import { globalRows, mostWarps } from './global-race-code.ts';
import type { GlobalRecords } from './global-races.ts';
import { clearRegion, GridRunner } from './grid.ts';
import {
  type Buffer,
  type CopyTiming,
  clusterCount,
  countOf,
  type Extent,
  type GridPlan,
  regionAlignment,
  regionAt,
  warpsOf,
} from './grid-plan.ts';
import { Heap } from './heap.ts';
import type { CodeOptions, KernelNeeds } from './kernel.ts';
import { alignTo, codeWindow, control, shadow, sink, sinkBytes, windows } from './layout.ts';
import { Linker } from './link.ts';
import { createMemory, type Memory } from './memory.ts';
import { beginGrid, runShare, type Share } from './share-clusters.ts';
import { canStartThreads, LostThread, Threads } from './threads.ts';

export { LostThread };

export interface LaunchShape {
  readonly grid: Extent;
  readonly block: Extent;
  /** Blocks of a cluster, where the kernel does not say so itself. */
  readonly cluster?: Extent;
  /** Bytes of shared memory beyond what the kernel declares. */
  readonly sharedBytes?: number;
}

/** How a launch is watched. */
export interface LaunchOptions {
  /** Whether reads of what nobody wrote and accesses between buffers are looked for; so it is. */
  readonly checksMemory?: boolean;
  /** Whether races in shared memory are looked for; so it is. */
  readonly checksRaces?: boolean;
  /**
   * Whether races in global memory are looked for, of words that threads load and store; it is not so. Four
   * times the memory of the buffers is needed, without which none are.
   */
  readonly checksGlobalRaces?: boolean;
  readonly copies?: CopyTiming;
  /** Is given what kernels print, when the grid is over or ends with a fault. */
  readonly print?: (text: string) => void;
  /** Of the threads of a cluster, after which it counts as one without an end. */
  readonly mostInstructions?: number;
  /** Without it by what the processor has; results are the same. */
  readonly fusedMultiplyAdd?: boolean;
}

export interface LaunchCounts {
  /** Instructions, times the threads that ran them. */
  readonly instructions: number;
}

/** Why a launch cannot be: the kernel does not take what it is given, or there is no room. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError';
}

const mostThreads = 1024;
const mostShared = 227 * 1024;
const mostOfCluster = 16;
/** Of a cooperative launch: a shared address has the number of its block in the upper bits. */
const mostTogether = 128;
/** Of where the blocks of a cooperative launch meet. */
const meetingBytes = 256;
const mostInstructions = 1e12;
/** What it takes to start threads, and to tell those that there are of a grid. */
const startMilliseconds = 100;
const shareMilliseconds = 2;
const skewBytes = 4096 + 64;
/** Of warps and of epochs, before records begin anew. */
const mostNumbers = mostWarps;
/** Behind each buffer, so that who leaves one is not in another. */
const gap = 256;

export class EmulatedDevice {
  readonly memory: Memory = createMemory();
  private readonly heap = new Heap();
  private readonly linker = new Linker(this.memory);
  /** By place. */
  private readonly buffers = new Map<number, Buffer>();

  /** Of races in global memory, and of how many warps they tell. */
  private records = { start: 0, row: 0, warps: 0 };
  /** Threads that have been started, where a grid was large enough. */
  private threads: Threads | undefined;
  private readonly threadCount: number;

  /** @param threads at most, with the one that launches. */
  constructor(threads: number = availableParallelism()) {
    this.threadCount = threads;
    // Lanes that take no part in an access find what they may use.
    this.setState(sink, sinkBytes, shadow.written);
  }

  /**
   * The address of so many bytes, at a multiple of 256, which nobody has written. Something lies behind them
   * that belongs to nobody.
   * @param name that faults give the buffer.
   * @throws LaunchError where there is no room.
   */
  allocate(bytes: number, name = 'a buffer'): bigint {
    const start = demand(this.heap.reserve(bytes + gap, 256), `${name} needs ${bytes} bytes`);
    this.setState(start, bytes, shadow.allocated);
    this.buffers.set(start, { name, start, bytes });
    return addressOf(start);
  }

  /** Whoever uses these bytes from now on is out of bounds. @throws LaunchError where they are no buffer. */
  free(address: bigint): void {
    const start = placeOf(address);
    const buffer = this.buffers.get(start);
    if (buffer === undefined) throw new LaunchError(`0x${address.toString(16)} is no buffer`);
    this.setState(start, buffer.bytes, shadow.none);
    this.buffers.delete(start);
    this.heap.release(start);
  }

  /** From the host: these bytes have been written. */
  write(address: bigint, bytes: Uint8Array): void {
    const start = this.demandRange(address, bytes.byteLength);
    this.memory.bytes.set(bytes, start);
    this.setState(start, bytes.byteLength, shadow.written);
  }

  /**
   * From the host: what is in these bytes is of no use any more.
   * @param mayBeRead whether kernels that read it do nothing wrong
   */
  forget(address: bigint, bytes: number, mayBeRead: boolean): void {
    const start = this.demandRange(address, bytes);
    this.setState(start, bytes, mayBeRead ? shadow.written | shadow.left : shadow.allocated);
  }

  /** Of each byte 1 where nobody has written it since it was allocated or forgotten, else 0. */
  unwritten(address: bigint, bytes: number): Uint8Array {
    const start = this.demandRange(address, bytes);
    const states = this.memory.shadow.slice(start, start + bytes);
    return states.map((state) => ((state & (shadow.written | shadow.left)) === shadow.written ? 0 : 1));
  }

  /** To the host, as they are, whether or not anybody wrote them. */
  read(address: bigint, into: Uint8Array): void {
    const start = this.demandRange(address, into.byteLength);
    into.set(this.memory.bytes.subarray(start, start + into.byteLength));
  }

  /** From one place of the device to another, with what is known of it. */
  copy(from: bigint, to: bigint, bytes: number): void {
    const [source, target] = [this.demandRange(from, bytes), this.demandRange(to, bytes)];
    this.memory.bytes.copyWithin(target, source, source + bytes);
    this.memory.shadow.copyWithin(target, source, source + bytes);
  }

  /** Its variables have what the text gives them. @throws LaunchError where there is no room. */
  load(module: PtxModule): LoadedModule {
    return new LoadedModule(this, compiledModule(module));
  }

  /** @throws LaunchError where no buffer has all of these bytes. */
  private demandRange(address: bigint, bytes: number): number {
    const start = placeOf(address);
    for (const buffer of this.buffers.values())
      if (start >= buffer.start && start + bytes <= buffer.start + buffer.bytes) return start;
    throw new LaunchError(`0x${address.toString(16)} is not the address of ${bytes} bytes of a buffer`);
  }

  private setState(start: number, bytes: number, state: number): void {
    this.memory.shadow.fill(state, start, start + bytes);
  }

  /** For a module: memory of its variables, which are written. */
  reserveVariables(bytes: number, variables: readonly Buffer[]): number {
    const start = demand(this.heap.reserve(bytes, 256), `the variables of a module need ${bytes} bytes`);
    for (const { name, start: offset, bytes: size } of variables) {
      this.buffers.set(start + offset, { name, start: start + offset, bytes: size });
      this.setState(start + offset, size, shadow.written);
      this.memory.bytes.fill(0, start + offset, start + offset + size);
    }
    return start;
  }

  releaseVariables(start: number, bytes: number, variables: readonly Buffer[]): void {
    for (const { start: offset } of variables) this.buffers.delete(start + offset);
    this.setState(start, bytes, shadow.none);
    this.heap.release(start);
  }

  /**
   * @param parameters as the kernel declares them, one behind the other at multiples of their alignment.
   * @throws LaunchError, PtxError, EmulatorFault or LostThread.
   */
  launch(
    loaded: LoadedModule,
    name: string,
    shape: LaunchShape,
    parameters: Uint8Array,
    options: LaunchOptions,
  ): LaunchCounts {
    const code: CodeOptions = {
      fusedMultiplyAdd: options.fusedMultiplyAdd ?? hasFusedMultiplyAdd(),
      checksMemory: options.checksMemory ?? true,
      checksRaces: options.checksRaces ?? true,
      checksGlobalRaces: options.checksGlobalRaces ?? false,
    };
    const kernel = loaded.compiled.kernel(name, code);
    const { needs } = kernel;
    checkShape(shape, needs);
    const isCooperative = kernel.specials.some((each) => each.startsWith('envreg'));
    const cluster = isCooperative ? allTogether(shape, needs) : clusterOf(shape, needs);
    const sharedBytes = alignTo(needs.staticShared + (shape.sharedBytes ?? 0), 16);
    if (sharedBytes > mostShared)
      throw new LaunchError(
        `${sharedBytes} bytes of shared memory are more than the ${mostShared} of a block`,
      );
    if (parameters.byteLength !== needs.paramBytes)
      throw new LaunchError(
        `${name} takes ${needs.paramBytes} bytes of arguments, and ${parameters.byteLength} are given`,
      );
    const meetingPlace = isCooperative
      ? demand(this.heap.reserve(meetingBytes, 256), 'blocks that meet need room')
      : undefined;
    if (meetingPlace !== undefined) {
      this.memory.bytes.fill(0, meetingPlace, meetingPlace + meetingBytes);
      this.setState(meetingPlace, meetingBytes, shadow.written);
    }
    const parameterPlace = demand(this.heap.reserveAtEnd(needs.paramBytes, 256), 'arguments need room');
    const plan: GridPlan = {
      ...{ kernel, grid: shape.grid, block: shape.block, cluster, sharedBytes },
      ...{ meetingPlace, dynamicShared: shape.sharedBytes ?? 0 },
      ...{ parameters: parameterPlace, constants: loaded.constants, globals: loaded.globals },
      buffers: [...this.buffers.values()],
      copies: options.copies ?? 'late',
      globalRecords: undefined,
      mostInstructions: options.mostInstructions ?? mostInstructions,
    };
    this.memory.bytes.set(parameters, parameterPlace);
    this.setState(parameterPlace, needs.paramBytes, shadow.written);
    const records = code.checksGlobalRaces ? this.recordsFor(plan) : undefined;
    try {
      return { instructions: this.run({ ...plan, globalRecords: records }, options.print) };
    } finally {
      if (records !== undefined) this.heap.release(records.blocks);
      if (meetingPlace !== undefined) {
        this.setState(meetingPlace, meetingBytes, shadow.none);
        this.heap.release(meetingPlace);
      }
      this.setState(parameterPlace, needs.paramBytes, shadow.none);
      this.heap.release(parameterPlace);
    }
  }

  /** Beside the one that launches; none before a grid was large enough. */
  get startedThreads(): number {
    return this.threads?.count ?? 0;
  }

  /** Ends the threads that it has started; others can be started. */
  stopThreads(): void {
    this.threads?.stop();
    this.threads = undefined;
  }

  /** Of races in global memory: nothing where there is no room for them. */
  private recordsFor(plan: GridPlan): GlobalRecords | undefined {
    const warps = countOf(plan.grid) * warpsOf(plan);
    const { words } = this.memory;
    const ends = plan.buffers.map(({ start, bytes }) => start + bytes);
    // Rows a power of two apart would all have the same places of a cache.
    const needed = 2 ** Math.ceil(Math.log2(Math.max(65_536, ...ends))) + skewBytes;
    const isWornOut =
      this.records.warps + warps > mostNumbers || Atomics.load(words, control.epoch) > mostNumbers;
    if (needed > this.records.row || isWornOut) {
      if (this.records.row > 0) this.heap.release(this.records.start);
      const start = this.heap.reserveAtEnd(globalRows.count * needed, 65_536);
      this.records = { start: start ?? 0, row: start === undefined ? 0 : needed, warps: 0 };
      if (start === undefined) return undefined;
      words.fill(0, start / 4, start / 4 + globalRows.count * (needed / 4));
      Atomics.store(words, control.epoch, 0);
    }
    const blocks = this.heap.reserveAtEnd(4 * countOf(plan.grid), 16);
    if (blocks === undefined) return undefined;
    words.fill(0, blocks / 4, blocks / 4 + countOf(plan.grid));
    const { start, row } = this.records;
    const warpsBefore = this.records.warps;
    this.records.warps += warps + 1;
    return { start, row, warpsBefore, blocks };
  }

  /** All clusters of a grid. Gives how many instructions their threads ran. */
  private run(plan: GridPlan, print: LaunchOptions['print']): number {
    const regions: number[] = [];
    const reserveRegion = (): number => {
      const place = this.heap.reserveAtEnd(regionAt(plan, 0).end, regionAlignment);
      regions.push(demand(place, 'the registers and shared memory of a block need room'));
      return regions.at(-1)!;
    };
    try {
      const { words } = this.memory;
      beginGrid(words);
      const runner = new GridRunner(plan, this.linker, regionAt(plan, reserveRegion()));
      const started = performance.now();
      const shares = [runShare(runner, words, () => this.needsHelp(plan, performance.now() - started))];
      const isLeft = shares[0]!.fault === undefined && Atomics.load(words, control.next) < clusterCount(plan);
      if (isLeft) {
        this.threads ??= new Threads(this.memory, this.threadCount - 1);
        const others = Array.from({ length: this.threads.count }, reserveRegion);
        this.threads.begin(plan, others);
        shares.push(runShare(runner, words));
        shares.push(...this.sharesOfThreads(this.threads));
      }
      tellPrinted(shares, print);
      const faults = shares.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
      const [first] = faults.sort((a, b) => a.number - b.number);
      if (first !== undefined) throw first.error;
      return shares.reduce((all, { instructions }) => all + instructions, 0);
    } finally {
      for (const region of regions) {
        clearRegion(plan, this.memory, regionAt(plan, region));
        this.heap.release(region);
      }
    }
  }

  /** Where one of them is lost all are started anew. */
  private sharesOfThreads(threads: Threads): readonly Share[] {
    try {
      return threads.end();
    } catch (error) {
      this.stopThreads();
      throw error;
    }
  }

  /** Whether the clusters that are left take longer than telling other threads of them. */
  private needsHelp(plan: GridPlan, milliseconds: number): boolean {
    if (!canStartThreads || this.threadCount < 2) return false;
    const done = Atomics.load(this.memory.words, control.next);
    const left = clusterCount(plan) - done;
    const cost = this.threads === undefined ? startMilliseconds : shareMilliseconds;
    return left > 0 && done > 0 && (milliseconds / done) * left > cost;
  }
}

/** In the order of clusters, up to one that ended with a fault. */
function tellPrinted(shares: readonly Share[], print: LaunchOptions['print']): void {
  const last = Math.min(...shares.map(({ fault }) => fault?.number ?? Number.POSITIVE_INFINITY));
  const all = shares.flatMap(({ printed }) => printed).filter(({ cluster }) => cluster <= last);
  for (const { text } of all.toSorted((a, b) => a.cluster - b.cluster)) print?.(text);
}

/** @throws LaunchError where there is no place. */
function demand(place: number | undefined, what: string): number {
  if (place === undefined) throw new LaunchError(`${what}, and there is no room for it`);
  return place;
}

export class LoadedModule {
  readonly compiled: CompiledModule;
  readonly globals: number;
  readonly constants: number;
  private readonly device: EmulatedDevice;

  constructor(device: EmulatedDevice, compiled: CompiledModule) {
    this.device = device;
    this.compiled = compiled;
    const { variables } = compiled;
    this.globals = device.reserveVariables(variables.globalBytes, this.buffersOf(variables.globals));
    this.constants = device.reserveVariables(variables.constBytes, []);
    const { memory } = device;
    memory.bytes.fill(0, this.constants, this.constants + variables.constBytes);
    memory.shadow.fill(shadow.written, this.constants, this.constants + variables.constBytes);
    for (const variable of variables.globals) this.initialise(variable, this.globals);
    for (const variable of variables.constants) this.initialise(variable, this.constants);
  }

  /** @throws PtxError where there is no such kernel. */
  kernel(name: string): LoadedKernel {
    return { launch: (shape, parameters, options = {}) => this.launch(name, shape, parameters, options) };
  }

  /** Where a variable in global memory is (`cuModuleGetGlobal`), or nothing where there is none. */
  variable(name: string): { readonly address: bigint; readonly bytes: number } | undefined {
    const { globals, offsets } = this.compiled.variables;
    const found = globals.find((each) => each.name === name);
    return found && { address: addressOf(this.globals + offsets.get(found)!), bytes: found.bytes };
  }

  unload(): void {
    const { globals, globalBytes, constBytes } = this.compiled.variables;
    this.device.releaseVariables(this.globals, globalBytes, this.buffersOf(globals));
    this.device.releaseVariables(this.constants, constBytes, []);
  }

  private launch(
    name: string,
    shape: LaunchShape,
    parameters: Uint8Array,
    options: LaunchOptions,
  ): LaunchCounts {
    return this.device.launch(this, name, shape, parameters, options);
  }

  /** With places from the first of them. */
  private buffersOf(variables: readonly Variable[]): readonly Buffer[] {
    const { offsets } = this.compiled.variables;
    return variables.map((each) => ({ name: each.name, start: offsets.get(each)!, bytes: each.bytes }));
  }

  /** Variables begin with what the text gives them, and zeros behind it. */
  private initialise(variable: Variable, base: number): void {
    const size = bytesOf(variable.type);
    const start = base + this.compiled.variables.offsets.get(variable)!;
    variable.initial?.forEach((each, at) => {
      let bits: bigint;
      if ('bits' in each) bits = each.bits;
      else {
        const code = this.compiled.variables.codePlaces.get(each.symbol);
        const target =
          code === undefined
            ? this.variable(each.symbol)
            : { address: (BigInt(codeWindow) << 32n) + BigInt(code) };
        if (target === undefined)
          throw new LaunchError(
            `${variable.name} begins with the address of ${each.symbol}, which is nowhere`,
          );
        bits = target.address + BigInt(each.offset);
      }
      for (let byte = 0; byte < size; byte++)
        this.device.memory.bytes[start + at * size + byte] = Number((bits >> BigInt(8 * byte)) & 255n);
    });
  }
}

export interface LoadedKernel {
  /** @throws LaunchError, PtxError or EmulatorFault. */
  readonly launch: (shape: LaunchShape, parameters: Uint8Array, options?: LaunchOptions) => LaunchCounts;
}

function addressOf(place: number): bigint {
  return (BigInt(windows.global) << 32n) + BigInt(place);
}

/** Of an address of global memory. */
export function placeOf(address: bigint): number {
  return Number(address & 0xffffffffn);
}

function clusterOf({ cluster, grid }: LaunchShape, needs: KernelNeeds): Extent {
  const [x = 1, y = 1, z = 1] = needs.entry.directives.get('reqnctapercluster') ?? cluster ?? [];
  const extents: Extent = [x, y, z];
  if (!extents.every((each) => Number.isInteger(each) && each >= 1) || countOf(extents) > mostOfCluster)
    throw new LaunchError(
      `a cluster of ${extents.join(' by ')} blocks is none: it has 1 to ${mostOfCluster}`,
    );
  if (extents.some((each, axis) => grid[axis]! % each !== 0))
    throw new LaunchError(`a grid of ${grid.join(' by ')} has no clusters of ${extents.join(' by ')}`);
  return extents;
}

/** Blocks of a cooperative launch wait for each other: all of them run together. */
function allTogether({ grid, cluster }: LaunchShape, { entry }: KernelNeeds): Extent {
  if (cluster !== undefined || entry.directives.has('reqnctapercluster'))
    throw new LaunchError('a cooperative launch of clusters is not supported');
  if (countOf(grid) > mostTogether)
    throw new LaunchError(
      `a cooperative launch of ${countOf(grid)} blocks is too large: at most ${mostTogether} run together`,
    );
  return grid;
}

function checkShape({ grid, block, sharedBytes = 0 }: LaunchShape, { entry }: KernelNeeds): void {
  for (const [what, extent] of [
    ['grid', grid],
    ['block', block],
  ] as const)
    if (!extent.every((each) => Number.isInteger(each) && each >= 1 && each < 2 ** 31))
      throw new LaunchError(`a ${what} of ${extent.join(' by ')} is none: each extent is at least 1`);
  const threads = countOf(block);
  if (threads > mostThreads)
    throw new LaunchError(`a block of ${threads} threads is too large: at most ${mostThreads} are possible`);
  if (!Number.isInteger(sharedBytes) || sharedBytes < 0)
    throw new LaunchError(`${sharedBytes} bytes of shared memory cannot be`);
  const wanted = entry.directives.get('reqntid');
  if (wanted !== undefined) {
    const full = [wanted[0] ?? 1, wanted[1] ?? 1, wanted[2] ?? 1];
    if (full.some((each, axis) => each !== block[axis]))
      throw new LaunchError(
        `${entry.name} requires blocks of ${full.join(' by ')}, not ${block.join(' by ')}`,
      );
  }
  const most = entry.directives.get('maxntid');
  if (most !== undefined && threads > most.reduce((all, each) => all * each, 1))
    throw new LaunchError(
      `${entry.name} is for at most ${most.join(' by ')} threads a block, not ${threads}`,
    );
}
