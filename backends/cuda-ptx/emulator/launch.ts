/** Runs a kernel of a PTX module over a grid of blocks, on the processor. */
import type { PtxModule, Register, Variable } from '../ptx.ts';
import { bytesOf, ptxTypes } from '../ptx-types.ts';
import { hasFusedMultiplyAdd } from './fused.ts';
import {
  type CodeOptions,
  compileKernel,
  type Kernel,
  type KernelNeeds,
  needsOf,
  stepName,
} from './kernel.ts';
import { faultKinds } from './lane-writer.ts';
import { alignTo, header, rankShift, shadow, sink, sinkBytes, windows } from './layout.ts';
import {
  type Block,
  type Buffer,
  type CopyTiming,
  firstLane,
  Machine,
  type Memory,
  type RaceCheck,
  type Warp,
} from './machine.ts';
import { clockRowBytes, record } from './race-code.ts';
import { type Counts, runCluster } from './schedule.ts';
import {
  type ExactOperation,
  type FloatFormat,
  narrow,
  operate,
  type Rounding,
  widen,
} from './soft-float.ts';
import { setSpecialRegisters } from './special-registers.ts';
import { mapProblem, type TensorMap } from './tensor-map.ts';
import { usesOf } from './uses.ts';

export type Extent = readonly [number, number, number];

/** What a parameter is given. */
export type Argument =
  /** Of the parameter's own type. */
  | { readonly kind: 'number'; readonly value: number | bigint }
  /** A pointer to these bytes, which hold after the run what the kernel left there. */
  | {
      readonly kind: 'buffer';
      readonly name: string;
      readonly bytes: Uint8Array;
      /** Whether they are there for the kernel to read: else it must write them first. */
      readonly isWritten: boolean;
    }
  /** Of a structure. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** About a buffer that another argument is or that this one brings along. */
  | { readonly kind: 'tensorMap'; readonly name: string; readonly map: TensorMap };

export interface Launch {
  readonly module: PtxModule;
  readonly kernel: string;
  readonly grid: Extent;
  readonly block: Extent;
  /** Blocks of a cluster, where the kernel does not say so itself. */
  readonly cluster?: Extent;
  /** Bytes of shared memory beyond what the kernel declares. */
  readonly sharedBytes?: number;
  /** Two arguments with the same bytes are two pointers to one buffer. */
  readonly arguments: readonly Argument[];
  /** Whether reads of what nobody wrote and accesses between buffers are looked for; so it is. */
  readonly checksMemory?: boolean;
  /** Whether races in shared memory are looked for; so it is. */
  readonly checksRaces?: boolean;
  readonly copies?: CopyTiming;
  /** Of threads, after which a kernel counts as one without an end. */
  readonly mostInstructions?: number;
  /** Without it by what the processor has; results are the same. */
  readonly fusedMultiplyAdd?: boolean;
}

export interface LaunchCounts {
  /** Instructions, times the threads that ran them. */
  readonly instructions: number;
}

/** Why a launch cannot be: the kernel does not take what it is given. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError';
}

const mostThreads = 1024;
const mostShared = 227 * 1024;
const mostBytes = 2 ** 31;

/** @throws PtxError, LaunchError or EmulatorFault. */
export function launch(given: Launch): LaunchCounts {
  const prepared = prepare(given);
  const counts: Counts = { instructions: 0, most: given.mostInstructions ?? 1e12 };
  const [width, height, depth] = given.grid;
  const [across, down, deep] = prepared.cluster;
  for (let z = 0; z < depth; z += deep)
    for (let y = 0; y < height; y += down)
      for (let x = 0; x < width; x += across)
        runCluster(prepared.machine, prepared.clusterAt([x, y, z]), counts);
  prepared.copyBack();
  return { instructions: counts.instructions };
}

interface Prepared {
  readonly machine: Machine;
  readonly cluster: Extent;
  /** Of the cluster whose first block is there, as blocks are at their start. */
  readonly clusterAt: (index: Extent) => readonly Block[];
  readonly copyBack: () => void;
}

function prepare(given: Launch): Prepared {
  const needs = needsOf(given.module, given.kernel);
  const threads = checkExtents(given, needs);
  const warps = Math.ceil(threads / 32);
  const cluster = clusterOf(given, needs);
  const ranks = cluster[0] * cluster[1] * cluster[2];
  const sharedBytes = alignTo(needs.staticShared + (given.sharedBytes ?? 0), 16);
  if (sharedBytes > mostShared)
    throw new LaunchError(`${sharedBytes} bytes of shared memory are more than the ${mostShared} of a block`);

  let end = sinkBytes;
  const reserve = (bytes: number, alignment: number): number => {
    const start = alignTo(end, alignment);
    end = start + bytes;
    return start;
  };
  const paramBase = reserve(needs.paramBytes, 256);
  const constBase = reserve(needs.constBytes, 256);
  const sharedStride = alignTo(sharedBytes, 1024);
  const clusterBase = reserve(sharedStride * ranks, 1024);
  const own = Array.from({ length: ranks }, (_, rank) => ({
    sharedBase: clusterBase + rank * sharedStride,
    localBase: reserve(needs.localBytes * 32 * warps, 256),
    clocks: reserve(clockRowBytes * warps, 256),
    records: reserve(record.bytes * Math.ceil(sharedBytes / 4), 256),
  }));
  // Something lies between buffers, so that who leaves one is not in another.
  const gap = 256;
  const buffers: Buffer[] = [];
  const places = new Map<Uint8Array, number>();
  for (const argument of given.arguments) {
    const content = contentOf(argument);
    if (content === undefined || places.has(content.bytes)) continue;
    const start = reserve(content.bytes.byteLength + gap, 256);
    places.set(content.bytes, start);
    buffers.push({ name: content.name, start, bytes: content.bytes.byteLength });
  }
  const tensorMaps = given.arguments.flatMap((each) => (each.kind === 'tensorMap' ? [each.map] : []));
  // Where they are in memory, for kernels that are given a pointer.
  const mapsBase = reserve(128 * tensorMaps.length, 256);
  const globalPlaces = new Map<Variable, number>();
  for (const variable of needs.globals) {
    const start = reserve(variable.bytes + gap, Math.max(256, variable.alignment));
    globalPlaces.set(variable, start);
    buffers.push({ name: variable.name, start, bytes: variable.bytes });
  }
  // Registers come last: how many there are is known when the code is.
  const filesBase = alignTo(end, 1024);
  const half = alignTo(filesBase + ranks * warps * roomForFile(needs), 65_536);
  if (2 * half > mostBytes * 2 - 65_536)
    throw new LaunchError(`the buffers need ${end} bytes, and there is room for ${mostBytes}`);
  const layout = {
    ...{ half, paramBase, constBase, sharedBytes, sharedStride, clusterBlocks: ranks },
    ...{ paramBytes: needs.paramBytes, constBytes: needs.constBytes, localBytes: needs.localBytes },
  };
  const options: CodeOptions = {
    fusedMultiplyAdd: given.fusedMultiplyAdd ?? hasFusedMultiplyAdd(),
    checksMemory: given.checksMemory ?? true,
    checksRaces: given.checksRaces ?? true,
  };
  const kernel = compileKernel(needs, layout, globalPlaces, options);
  const memory = makeMemory(half);
  const machine = connect(kernel, memory, buffers, options, given.copies ?? 'late', tensorMaps, places);

  // What is in memory at first.
  const { bytes, view } = memory;
  const allocate = (start: number, size: number, state: number): void => {
    bytes.fill(state, half + start, half + start + size);
  };
  allocate(sink, sinkBytes, shadow.written);
  for (const argument of given.arguments)
    if (contentOf(argument) !== undefined) {
      const content = contentOf(argument)!;
      const start = places.get(content.bytes)!;
      bytes.set(content.bytes, start);
      if (argument.kind === 'buffer' || bytes[half + start] === shadow.none)
        allocate(start, content.bytes.byteLength, content.isWritten ? shadow.written : shadow.allocated);
    }
  for (const [variable, start] of globalPlaces) {
    writeInitial(view, variable, start, given.module.variables, globalPlaces);
    allocate(start, variable.bytes, shadow.written);
  }
  for (const variable of needs.constants)
    writeInitial(
      view,
      variable,
      constBase + needs.offsets.get(variable)!,
      given.module.variables,
      globalPlaces,
    );
  allocate(constBase, needs.constBytes, shadow.written);
  allocate(paramBase, needs.paramBytes, shadow.written);
  for (const at of tensorMaps.keys()) view.setInt32(mapsBase + 128 * at, at + 1, true);
  allocate(mapsBase, 128 * tensorMaps.length, shadow.written);
  bindArguments(given, needs, view, paramBase, places, mapsBase);

  const file = kernel.fileBytes;
  const blockAt = (index: Extent, rank: number, clusterIndex: Extent): Block => {
    const { sharedBase, localBase, clocks, records } = own[rank]!;
    const files = filesBase + rank * warps * file;
    allocate(localBase, needs.localBytes * 32 * warps, shadow.allocated);
    allocate(sharedBase, sharedBytes, shadow.allocated);
    bytes.fill(0, files, files + file * warps);
    if (options.checksRaces) bytes.fill(0, clocks, records + record.bytes * Math.ceil(sharedBytes / 4));
    const block: Block = {
      ...{ index, rank, warps: [], sharedBase, clocks, threads },
      barriers: new Map(),
    };
    for (let number = 0; number < warps; number++) {
      const base = files + number * file;
      const inside = Math.min(32, threads - 32 * number);
      const live = inside === 32 ? -1 : 2 ** inside - 1;
      const head = (offset: number, value: number): void => view.setInt32(base + offset, value, true);
      head(header.sharedBase, sharedBase);
      head(header.sharedWindow, block.rank << rankShift);
      head(header.localBase, localBase + number * 32 * needs.localBytes);
      head(header.warpNumber, number);
      head(header.clocks, clocks + number * clockRowBytes);
      head(header.records, records);
      head(header.warpCount, warps);
      head(header.clusterBase, clusterBase);
      view.setInt32(clocks + number * clockRowBytes + 4 * number, 1, true);
      const warp: Warp = {
        ...{ block, number, base, live, barrier: undefined },
        fragments: [{ step: 0, mask: live, waits: false }],
        pendingCopies: [],
        copyGroups: [],
        ...{
          pendingBulk: [],
          bulkGroups: [],
          pendingProducts: [],
          productGroups: [],
          clusterPhase: -1,
          underWay: new Map(),
        },
      };
      setSpecialRegisters(kernel, memory, warp, {
        ...{ grid: given.grid, block: given.block },
        clusterIndex,
        cluster,
        dynamicShared: given.sharedBytes ?? 0,
      });
      block.warps.push(warp);
      machine.warps.set(base, warp);
    }
    return block;
  };
  const clusterAt = (first: Extent): readonly Block[] => {
    machine.warps.clear();
    machine.mbarriers.clear();
    machine.cluster.arrived = 0;
    machine.cluster.phase = 0;
    const blocks = Array.from({ length: ranks }, (_, rank) => {
      const [x, y] = [rank % cluster[0], Math.floor(rank / cluster[0]) % cluster[1]];
      const z = Math.floor(rank / (cluster[0] * cluster[1]));
      return blockAt([first[0] + x, first[1] + y, first[2] + z], rank, [x, y, z]);
    });
    machine.blocks = blocks;
    return blocks;
  };
  const copyBack = (): void => {
    for (const [target, start] of places) target.set(bytes.subarray(start, start + target.byteLength));
  };
  return { machine, cluster, clusterAt, copyBack };
}

/** The buffer that an argument is, or is about. */
function contentOf(
  argument: Argument,
): { readonly name: string; readonly bytes: Uint8Array; readonly isWritten: boolean } | undefined {
  if (argument.kind === 'buffer') return argument;
  if (argument.kind !== 'tensorMap') return undefined;
  return { name: argument.name, bytes: argument.map.buffer, isWritten: true };
}

const mostOfCluster = 16;

function clusterOf({ cluster, grid }: Launch, needs: KernelNeeds): Extent {
  const [x = 1, y = 1, z = 1] = needs.entry.directives.get('reqnctapercluster') ?? cluster ?? [];
  const extents: Extent = [x, y, z];
  if (!extents.every((each) => Number.isInteger(each) && each >= 1) || x * y * z > mostOfCluster)
    throw new LaunchError(
      `a cluster of ${extents.join(' by ')} blocks is none: it has 1 to ${mostOfCluster}`,
    );
  if (extents.some((each, axis) => grid[axis]! % each !== 0))
    throw new LaunchError(`a grid of ${grid.join(' by ')} has no clusters of ${extents.join(' by ')}`);
  return extents;
}

function checkExtents({ grid, block, sharedBytes = 0 }: Launch, needs: KernelNeeds): number {
  for (const [what, extent] of [
    ['grid', grid],
    ['block', block],
  ] as const)
    if (!extent.every((each) => Number.isInteger(each) && each >= 1 && each < 2 ** 31))
      throw new LaunchError(`a ${what} of ${extent.join(' by ')} is none: each extent is at least 1`);
  const threads = block[0] * block[1] * block[2];
  if (threads > mostThreads)
    throw new LaunchError(`a block of ${threads} threads is too large: at most ${mostThreads} are possible`);
  if (!Number.isInteger(sharedBytes) || sharedBytes < 0)
    throw new LaunchError(`${sharedBytes} bytes of shared memory cannot be`);
  const wanted = needs.entry.directives.get('reqntid');
  if (wanted !== undefined) {
    const full = [wanted[0] ?? 1, wanted[1] ?? 1, wanted[2] ?? 1];
    if (full.some((each, axis) => each !== block[axis]))
      throw new LaunchError(
        `${needs.entry.name} requires blocks of ${full.join(' by ')}, not ${block.join(' by ')}`,
      );
  }
  const most = needs.entry.directives.get('maxntid');
  if (most !== undefined && threads > most.reduce((all, each) => all * each, 1))
    throw new LaunchError(
      `${needs.entry.name} is for at most ${most.join(' by ')} threads a block, not ${threads}`,
    );
  return threads;
}

/** At most: every register that is used, each with one that tells who wrote it, and all special registers. */
function roomForFile({ steps }: KernelNeeds): number {
  const registers = new Set<Register>();
  for (const step of steps) {
    const instructions = step.kind === 'warp' ? [step.instruction] : step.instructions;
    for (const instruction of instructions) {
      const { reads, writes } = usesOf(instruction);
      for (const register of [...reads, ...writes]) registers.add(register);
    }
    if (step.kind === 'lanes' && step.last?.guard !== undefined) registers.add(step.last.guard.register);
  }
  return header.bytes + registers.size * (256 + 128) + 64 * 256;
}

function makeMemory(half: number): Memory {
  const pages = (2 * half) / 65_536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const buffer = memory.buffer as unknown as SharedArrayBuffer;
  return {
    memory,
    bytes: new Uint8Array(buffer),
    words: new Int32Array(buffer),
    view: new DataView(buffer),
  };
}

/** Variables begin with what the text gives them, and zeros behind it. */
function writeInitial(
  view: DataView,
  variable: Variable,
  start: number,
  all: readonly Variable[],
  globalPlaces: ReadonlyMap<Variable, number>,
): void {
  const size = bytesOf(variable.type);
  variable.initial?.forEach((each, at) => {
    let bits: bigint;
    if ('bits' in each) bits = each.bits;
    else {
      const target = all.find(({ name }) => name === each.symbol);
      const place = target && globalPlaces.get(target);
      if (place === undefined)
        throw new LaunchError(`${variable.name} begins with the address of ${each.symbol}, which is nowhere`);
      bits = (BigInt(windows.global) << 32n) + BigInt(place + each.offset);
    }
    writeBits(view, start + at * size, size, bits);
  });
}

function writeBits(view: DataView, start: number, size: number, bits: bigint): void {
  for (let byte = 0; byte < size; byte++)
    view.setUint8(start + byte, Number((bits >> BigInt(8 * byte)) & 255n));
}

function bindArguments(
  given: Launch,
  { entry, offsets }: KernelNeeds,
  view: DataView,
  paramBase: number,
  places: ReadonlyMap<Uint8Array, number>,
  mapsBase: number,
): void {
  let maps = 0;
  const { parameters } = entry;
  if (parameters.length !== given.arguments.length)
    throw new LaunchError(
      `${entry.name} takes ${parameters.length} arguments, and ${given.arguments.length} are given`,
    );
  for (const [at, argument] of given.arguments.entries()) {
    const parameter = parameters[at]!;
    const start = paramBase + offsets.get(parameter)!;
    const refuse = (what: string): LaunchError =>
      new LaunchError(`argument ${at + 1} of ${entry.name} ${what}`);
    switch (argument.kind) {
      case 'buffer': {
        if (parameter.bytes !== 8) throw refuse(`has ${parameter.bytes} bytes, and a pointer 8`);
        const place = places.get(argument.bytes)!;
        writeBits(view, start, 8, (BigInt(windows.global) << 32n) + BigInt(place));
        break;
      }
      case 'tensorMap': {
        const problem = mapProblem(argument.map, bytesOf(argument.map.type));
        if (problem !== undefined) throw refuse(`is a tensor map that cannot be: ${problem}`);
        const place = mapsBase + 128 * maps++;
        if (parameter.bytes === 8) writeBits(view, start, 8, (BigInt(windows.global) << 32n) + BigInt(place));
        else if (parameter.bytes === 128) view.setInt32(start, maps, true);
        else throw refuse(`has ${parameter.bytes} bytes, and a tensor map 128, or 8 as a pointer`);
        break;
      }
      case 'bytes':
        if (argument.bytes.byteLength !== parameter.bytes)
          throw refuse(`has ${parameter.bytes} bytes, not ${argument.bytes.byteLength}`);
        new Uint8Array(view.buffer, start, parameter.bytes).set(argument.bytes);
        break;
      case 'number': {
        const bits = bitsOfNumber(argument.value, parameter);
        if (bits === undefined) throw refuse(`is .${parameter.type}, which has no value ${argument.value}`);
        writeBits(view, start, parameter.bytes, bits);
      }
    }
  }
}

function bitsOfNumber(value: number | bigint, { type, bytes }: Variable): bigint | undefined {
  if (ptxTypes[type].class === 'float') {
    if (type === 'f16' || type === 'bf16' || type === 'f32' || type === 'f64')
      return narrow(Number(value), { format: type, rounding: 'rn', saturates: false, relu: false });
    return undefined;
  }
  if (bytes > 8 || (typeof value === 'number' && !Number.isInteger(value))) return undefined;
  const whole = BigInt(value);
  const bits = BigInt(8 * bytes);
  return whole < -(1n << (bits - 1n)) || whole >= 1n << bits ? undefined : BigInt.asUintN(8 * bytes, whole);
}

// ── what the code calls ────────────────────────────────────────────────────────────────────────────────────

function connect(
  kernel: Kernel,
  memory: Memory,
  buffers: readonly Buffer[],
  options: CodeOptions,
  timing: CopyTiming,
  tensorMaps: readonly TensorMap[],
  places: ReadonlyMap<Uint8Array, number>,
): Machine {
  const roundings = kernel.roundings.map((text) => text.split(' '));
  const operations = roundings.map(
    ([operation, format, rounding]) =>
      (a: number, b: number, c: number): number =>
        operate(operation as ExactOperation, format as 'f32' | 'f64', rounding as Rounding, a, b, c),
  );
  const narrowings = roundings.map(([, format, rounding, saturates, relu]) => ({
    format: format as FloatFormat,
    rounding: rounding as Rounding,
    saturates: saturates === 'true',
    relu: relu === 'true',
  }));
  const runtime = {
    memory: memory.memory,
    ...reporter(kernel, (base) => ({ machine, warp: machine.warpAt(base) })),
    operate: (number: number, a: number, b: number, c: number) => operations[number]!(a, b, c),
    narrow: (number: number, value: number) => Number(narrow(value, narrowings[number]!)),
    widen: (number: number, bits: number) => widen(bits, narrowings[number]!.format),
    log2: Math.log2,
    sin: Math.sin,
    cos: Math.cos,
    tanh: Math.tanh,
  };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(kernel.code), { runtime });
  const functions = kernel.needs.steps.map(
    (_, place) => exports[stepName(place)] as (base: number, mask: number) => number,
  );
  const machine: Machine = new Machine({
    ...{ kernel, memory, buffers, timing, functions, tensorMaps, places },
    checksMemory: options.checksMemory,
    checksRaces: options.checksRaces,
    noteRead: exports.noteRead as RaceCheck,
    noteWrite: exports.noteWrite as RaceCheck,
  });
  return machine;
}

/** Turns what the code found wrong into faults with words. */
function reporter(
  kernel: Kernel,
  warpAt: (base: number) => { readonly machine: Machine; readonly warp: Warp },
) {
  return {
    fault: (kind: number, number: number, base: number, lanes: number): void => {
      const { machine, warp } = warpAt(base);
      const instruction = kernel.instructions[number]!;
      const lane = firstLane(lanes);
      if (faultKinds[kind] === 'register')
        throw machine.fault(
          'uninitialised register',
          'reads a register that it has not written, or that a product writes which it has not waited for',
          warp,
          lane,
          instruction,
        );
      const address = machine.memory.view.getBigUint64(base + header.badAddress + 8 * (lane % 4), true);
      throw machine.accessFault(warp, lane, address, instruction);
    },
    raceFault: (base: number, lane: number, address: number, number: number, other: number): void => {
      const { machine, warp } = warpAt(base);
      const offset = address - warp.block.sharedBase;
      const what = `and warp ${other} use byte ${offset} of shared memory, one to write it, with no barrier between`;
      throw machine.fault('race', what, warp, lane, kernel.instructions[number]);
    },
  };
}
