/**
 * Products of a warpgroup (`wgmma`): each of its four warps has 16 of the 64 rows of the result in registers,
 * and so computes them by itself. A product happens when it is waited for, at once, or at a random time.
 */
import type { Operand, Register } from '../ptx.ts';
import type { PtxType } from '../ptx-types.ts';
import type { Kernel } from './kernel.ts';
import { lanesOfWarp } from './layout.ts';
import { firstLane, type Machine, type Sums, type Warp } from './machine.ts';
import { demandWholeWarp, demandWritten, elementsOf, isTogether, leftPieces } from './matrices.ts';
import { bytesOfFactor, type FactorType, isFactorType } from './matrix-code.ts';
import type { Operation } from './operation.ts';
import { PerInstruction } from './per-instruction.ts';
import { pieceBytes } from './piece-code.ts';
import type { WarpInstruction } from './steps.ts';
import { Table } from './tables.ts';
import { type Swizzle, swizzled } from './tensor-map.ts';
import { registersIn } from './uses.ts';

/** Where a matrix lies in shared memory (PTX ISA, "Matrix descriptor format"), in bytes. */
interface Descriptor {
  readonly start: number;
  readonly leading: number;
  readonly stride: number;
  readonly swizzle: Swizzle;
}

const swizzles: readonly Swizzle[] = ['none', '128B', '64B', '32B'];
const rowBytes: { readonly [S in Swizzle]: number } = { none: 16, '32B': 32, '64B': 64, '128B': 128 };

function descriptorOf(bits: bigint): Descriptor {
  const field = (at: bigint): number => Number((bits >> at) & 0x3fffn) * 16;
  return {
    ...{ start: field(0n), leading: field(16n), stride: field(32n) },
    swizzle: swizzles[Number(bits >> 62n) & 3]!,
  };
}

/**
 * Where 16 bytes are: of a row along k (`line` is the row, `part` which 16 bytes of its 32), or, where the
 * other dimension is dense, of a row along that (`line` is k, `part` which 16 bytes).
 */
function placeOf(
  { start, leading, stride, swizzle }: Descriptor,
  isDenseInK: boolean,
  line: number,
  part: number,
): number {
  const row = rowBytes[swizzle];
  if (isDenseInK) {
    const along = swizzle === 'none' ? part * leading : part * 16;
    return swizzled(start + (line >> 3) * stride + (line & 7) * row + along, swizzle);
  }
  const perRow = row / 16;
  const atom = Math.floor(part / perRow) * leading;
  return swizzled(start + atom + (line >> 3) * stride + (line & 7) * row + (part % perRow) * 16, swizzle);
}

/** Which 16-byte pieces of a matrix a warp reads: those of `lines` from `first` on, of each so many. */
interface Part {
  readonly isDenseInK: boolean;
  readonly first: number;
  readonly lines: number;
  readonly firstPiece: number;
  readonly pieces: number;
}

/** Where they are in shared memory. */
function placesOf(descriptor: Descriptor, part: Part): Int32Array {
  const places = new Int32Array(part.lines * part.pieces);
  for (let line = 0; line < part.lines; line++)
    for (let piece = 0; piece < part.pieces; piece++)
      places[line * part.pieces + piece] = placeOf(
        descriptor,
        part.isDenseInK,
        part.first + line,
        part.firstPiece + piece,
      );
  return places;
}

/** Kernels have few descriptors, which they use again and again. */
const tablesByPart = new Map<string, Map<bigint, Table>>();
const mostTables = 4096;

function tableOf(descriptor: bigint, part: Part): Table {
  const { isDenseInK, first, lines, firstPiece, pieces } = part;
  const key = `${isDenseInK} ${first} ${lines} ${firstPiece} ${pieces}`;
  let tables = tablesByPart.get(key);
  if (tables === undefined || tables.size > mostTables) {
    tables = new Map();
    tablesByPart.set(key, tables);
  }
  let found = tables.get(descriptor);
  if (found === undefined) {
    found = new Table(placesOf(descriptorOf(descriptor), part));
    tables.set(descriptor, found);
  }
  return found;
}

/** A matrix in shared memory, as it was found when the product was issued. */
interface Factor {
  readonly isDenseInK: boolean;
  readonly table: Table;
  /** By whom and when it was written: who writes it while the product is under way is in a race with it. */
  readonly writes: number;
}

function factorOf(machine: Machine, warp: Warp, descriptor: bigint, part: Part): Factor {
  const table = tableOf(descriptor, part);
  return { isDenseInK: part.isDenseInK, table, writes: writesOf(machine, warp, table) };
}

function writesOf(machine: Machine, warp: Warp, table: Table): number {
  if (!machine.checksRaces) return 0;
  const [place] = machine.tables.placesOf(table);
  return machine.unit.writesOf(warp.base, place!, warp.block.sharedBase, table.words.length);
}

/** What the product reads must be there, fenced, and still be what it was. */
function checkFactor(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  { table, writes }: Factor,
): void {
  const { unit, tables } = machine;
  const { sharedBase } = warp.block;
  const { words } = table;
  if (words.some((place) => place + pieceBytes > machine.plan.sharedBytes))
    throw machine.fault(
      'out of bounds',
      'reads a matrix past the end of shared memory',
      warp,
      0,
      instruction,
    );
  if (writesOf(machine, warp, table) !== writes)
    throw machine.fault(
      'race',
      `reads the matrix at byte ${words[0]} of shared memory, which was written while the product was under way`,
      warp,
      0,
      instruction,
    );
  const [place] = tables.placesOf(table);
  if (machine.checksMemory) {
    const bad = unit.firstUnwritten(place!, sharedBase, words.length, -1);
    if (bad >= 0) machine.checkProxy(warp, 0, sharedBase + words[bad]!, pieceBytes, instruction);
  }
  if (machine.checksRaces) {
    const number = machine.kernel.numbers.get(instruction) ?? -1;
    unit.noteReads(warp.base, 0, 0, place!, sharedBase, words.length, number);
  }
}

/** What of a product is the same each time. */
interface Product {
  readonly n: number;
  readonly k: number;
  readonly leftType: FactorType;
  readonly rightType: FactorType;
  /** Where it is in registers. */
  readonly left: Table | undefined;
  readonly leftRegisters: readonly Register[];
  readonly results: Table;
  readonly sums: Sums;
}

const products = new PerInstruction<Product>();
const sumsByRegisters = new WeakMap<Kernel, Map<string, Sums>>();

/** The same for all products that have their sums in the same registers. */
function sumsOf(kernel: Kernel, registers: readonly Register[], key: string): Sums {
  const { slots, written } = kernel;
  const known = sumsByRegisters.get(kernel) ?? new Map<string, Sums>();
  sumsByRegisters.set(kernel, known);
  const found = known.get(key);
  if (found !== undefined) return found;
  const marks: [number, number][] = [];
  for (const register of registers) {
    const mark = written.get(register);
    if (mark === undefined) continue;
    const start = slots.get(mark)! >>> 2;
    const last = marks.at(-1);
    if (last?.[1] === start) last[1] = start + lanesOfWarp;
    else marks.push([start, start + lanesOfWarp]);
  }
  const sums = { registers, marks };
  known.set(key, sums);
  return sums;
}

function productOf(machine: Machine, instruction: WarpInstruction): Product {
  const [resultType, leftType, rightType] = instruction.types as [PtxType, PtxType, PtxType];
  const [, n, k] = /^m64n(\d+)k(\d+)$/.exec(instruction.modifiers.shapeOfGroup ?? '') ?? [];
  if (
    resultType !== 'f32' ||
    !isFactorType(leftType) ||
    !isFactorType(rightType) ||
    bytesOfFactor[leftType] !== bytesOfFactor[rightType] ||
    Number(k) !== 32 / bytesOfFactor[leftType]
  )
    throw machine.unsupported(instruction);
  const [to, left] = instruction.operands as [Operand, Operand];
  const slots = (operand: Operand): readonly number[] =>
    elementsOf(operand).map((each) => machine.slotOf(each, instruction));
  const results = slots(to);
  const sums = sumsOf(machine.kernel, registersIn(to), results.join(' '));
  return {
    ...{ n: Number(n), k: Number(k), leftType, rightType, sums },
    left: left.kind === 'vector' ? new Table(leftPieces(slots(left))) : undefined,
    leftRegisters:
      left.kind === 'vector' ? registersIn(left).filter((each) => machine.kernel.written.has(each)) : [],
    results: new Table(results),
  };
}

/** Zero or one, or a predicate. */
function isOn(machine: Machine, warp: Warp, operand: Operand | undefined, lane: number): boolean {
  return operand === undefined || machine.word(warp, operand, lane) !== 0;
}

/** What is taken when a product is issued; registers of matrices must stay until it is over. */
interface Issued {
  /** Nothing where it is in registers. */
  readonly left: Factor | undefined;
  readonly right: Factor;
  /** Whether it adds to what is in the registers of the result. */
  readonly adds: boolean;
  readonly sign: number;
}

function flagOf(operand: Operand | undefined): number {
  return operand?.kind === 'integer' ? Number(operand.value) : 0;
}

function issuedOf(machine: Machine, warp: Warp, instruction: WarpInstruction, product: Product): Issued {
  const { n, k, leftType, rightType } = product;
  const [, left, right, scale, signA, signB, ...transposes] = instruction.operands as [
    Operand,
    Operand,
    Operand,
    ...(Operand | undefined)[],
  ];
  const isInRegisters = product.left !== undefined;
  const isTransposed = (at: number): boolean => flagOf(transposes[at]) !== 0;
  const factor = (
    operand: Operand,
    type: FactorType,
    first: number,
    count: number,
    turned: boolean,
  ): Factor => {
    const descriptor = machine.long(warp, operand, 0);
    if (!turned)
      return factorOf(machine, warp, descriptor, {
        ...{ isDenseInK: true, first, lines: count, firstPiece: 0, pieces: 2 },
      });
    if (!isHalf(type) || descriptorOf(descriptor).swizzle === 'none') throw machine.unsupported(instruction);
    return factorOf(machine, warp, descriptor, {
      ...{ isDenseInK: false, first: 0, lines: k, firstPiece: first / 8, pieces: count / 8 },
    });
  };
  return {
    left: isInRegisters ? undefined : factor(left, leftType, 16 * (warp.number % 4), 16, isTransposed(0)),
    right: factor(right, rightType, 0, n, isTransposed(isInRegisters ? 0 : 1)),
    adds: isOn(machine, warp, scale, 0),
    sign: (flagOf(signA) === -1 ? -1 : 1) * (flagOf(signB) === -1 ? -1 : 1),
  };
}

function isHalf(type: FactorType): type is 'f16' | 'bf16' {
  return bytesOfFactor[type] === 2;
}

function multiply(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  product: Product,
  issued: Issued,
): void {
  const { k, n, leftType, rightType, results } = product;
  const { unit, tables } = machine;
  const { leftFactor, rightTile } = tables;
  const { sharedBase } = warp.block;
  for (const factor of [issued.left, issued.right])
    if (factor !== undefined) checkFactor(machine, warp, instruction, factor);
  const [a, b, sums] = tables.placesOf(product.left ?? issued.left!.table, issued.right.table, results);
  const base = issued.left === undefined ? warp.base : sharedBase;
  if (issued.left?.isDenseInK === false && isHalf(leftType))
    unit.decodeTurned[leftType](a!, base, k, leftFactor);
  else unit.decodeRows[leftType](a!, base, 16 * 2, leftFactor);
  if (issued.sign < 0) unit.negate(leftFactor, 16 * k);
  const addends = issued.adds ? sums! : 0;
  if (!issued.right.isDenseInK && isHalf(rightType))
    unit.multiplyTurned[rightType](
      ...([leftFactor, b!, sharedBase, n / 8, k, rightTile, addends, sums!, warp.base] as const),
    );
  else
    unit.multiply[rightType](
      ...([leftFactor, b!, sharedBase, 2, n / 8, k, rightTile, addends, sums!, warp.base] as const),
    );
}

function markSums(machine: Machine, warp: Warp, { marks }: Sums, areWritten: boolean): void {
  const first = warp.base >>> 2;
  for (const [start, end] of marks)
    machine.memory.words.fill(areWritten ? -1 : 0, first + start, first + end);
}

function areWritten(machine: Machine, warp: Warp, { marks }: Sums): boolean {
  const first = warp.base >>> 2;
  return marks.every(
    ([start, end]) => !machine.memory.words.subarray(first + start, first + end).includes(0),
  );
}

const issue: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const product = products.of(machine.kernel, instruction, () => productOf(machine, instruction));
  const { sums, leftRegisters } = product;
  const expected = product.n / 2;
  if (sums.registers.length !== expected)
    throw machine.fault('wrong operand', `gives the result not ${expected} registers`, warp, 0, instruction);
  const issued = issuedOf(machine, warp, instruction, product);
  demandWritten(machine, warp, leftRegisters, instruction);
  if (issued.adds && !warp.underWay.has(sums) && !areWritten(machine, warp, sums))
    demandWritten(machine, warp, sums.registers, instruction);
  warp.underWay.set(sums, (warp.underWay.get(sums) ?? 0) + 1);
  markSums(machine, warp, sums, false);
  const finish = (): void => {
    multiply(machine, warp, instruction, product, issued);
    const left = warp.underWay.get(sums)! - 1;
    if (left > 0) {
      warp.underWay.set(sums, left);
      return;
    }
    warp.underWay.delete(sums);
    markSums(machine, warp, sums, true);
    // Some of these registers may be among those of others that are not over.
    for (const other of warp.underWay.keys()) markSums(machine, warp, other, false);
  };
  warp.pendingProducts.push(machine.later({ run: finish }));
  // They are done in their order.
  if (machine.happensAtOnce())
    for (const each of [...warp.productGroups.flat(), ...warp.pendingProducts]) machine.finish(each);
  return 'next';
};

const commit: Operation = (_machine, warp) => {
  warp.productGroups.push(warp.pendingProducts);
  warp.pendingProducts = [];
  return 'next';
};

const wait: Operation = (machine, warp, lanes, instruction) => {
  const left = machine.word(warp, instruction.operands[0]!, firstLane(lanes));
  while (warp.productGroups.length > left)
    for (const product of warp.productGroups.shift()!) machine.finish(product);
  return 'next';
};

/** Of registers, which are in order here anyway. */
const fence: Operation = (_machine, warp, lanes) => (isTogether(warp, lanes) ? 'next' : 'wait');

const setRegisters: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  const count = machine.word(warp, instruction.operands[0]!, firstLane(lanes));
  if (count % 8 !== 0 || count < 24 || count > 256)
    throw machine.fault(
      'wrong operand',
      `wants ${count} registers, which are no multiple of 8 from 24 to 256`,
      warp,
      firstLane(lanes),
      instruction,
    );
  return 'next';
};

export const warpgroupRules = {
  'wgmma.mma_async': issue,
  'wgmma.fence': fence,
  'wgmma.commit_group': commit,
  'wgmma.wait_group': wait,
  setmaxnreg: setRegisters,
} as const satisfies Readonly<Record<string, Operation>>;
