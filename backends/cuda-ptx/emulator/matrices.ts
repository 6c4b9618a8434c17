/** Matrices whose elements are dealt out over the lanes of a warp: `ldmatrix`, `stmatrix`, `mma`. */
import type { Instruction, Operand, Register } from '../ptx.ts';
import { type PtxType, ptxTypes } from '../ptx-types.ts';
import { firstLane, type Machine, type Warp } from './machine.ts';
import { bytesOfFactor, type FactorType, isFactorType } from './matrix-code.ts';
import type { Operation } from './operation.ts';
import { PerInstruction } from './per-instruction.ts';
import { pieceBytes } from './piece-code.ts';
import { type FloatFormat, narrow, widen } from './soft-float.ts';
import type { WarpInstruction } from './steps.ts';
import { Table } from './tables.ts';
import { registersIn } from './uses.ts';

export function elementsOf(operand: Operand): readonly Operand[] {
  return operand.kind === 'vector' ? operand.elements : [operand];
}

/** All lanes of the warp take part, or the instruction means nothing. */
export function isTogether(warp: Warp, lanes: number): boolean {
  return lanes === -1 || lanes === warp.live;
}

export function demandWholeWarp(
  machine: Machine,
  warp: Warp,
  lanes: number,
  instruction: WarpInstruction,
): void {
  if (lanes !== -1)
    throw machine.fault(
      'lanes apart',
      'is in a warp that has not all its lanes, which this instruction needs',
      warp,
      firstLane(lanes),
      instruction,
    );
}

/** Where the rows of 16 bytes are that eight lanes each name. */
function rowsOf(
  machine: Machine,
  warp: Warp,
  place: Operand,
  count: number,
  isWrite: boolean,
  instruction: WarpInstruction,
): Int32Array {
  const access = { bytes: pieceBytes, isWrite, isUnfenced: isWrite };
  const lanes = count === 4 ? -1 : 2 ** (8 * count) - 1;
  const rows = machine
    .locateLanes(warp, lanes, place, instruction.modifiers.space, access, instruction)
    .subarray(0, 8 * count);
  machine.notePieces(warp, 0, 1, rows, isWrite, instruction);
  return rows;
}

/** The registers of matrices, in the file of a warp, and those of them that are watched. */
interface MatrixRegisters {
  readonly slots: readonly number[];
  readonly watched: readonly Register[];
}

function registersOf(machine: Machine, operand: Operand, instruction: WarpInstruction): MatrixRegisters {
  const elements = elementsOf(operand);
  return {
    slots: elements.map((each) => machine.slotOf(each, instruction)),
    watched: registersIn(operand).filter((each) => machine.kernel.written.has(each)),
  };
}

const matrices = new PerInstruction<MatrixRegisters>();

function matricesOf(machine: Machine, warp: Warp, operand: Operand, instruction: WarpInstruction) {
  const found = matrices.of(machine.kernel, instruction, () => registersOf(machine, operand, instruction));
  demandCount(machine, warp, instruction, found.slots.length);
  return found;
}

/** A lane has two neighbours of a row; transposed, of a column. */
const loadMatrices: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const [to, place] = instruction.operands as [Operand, Operand];
  const { slots, watched } = matricesOf(machine, warp, to, instruction);
  const rows = rowsOf(machine, warp, place, slots.length, false, instruction);
  const { halves, words } = machine.memory;
  const transposes = instruction.modifiers.trans !== undefined;
  for (const [matrix, slot] of slots.entries()) {
    const target = (warp.base + slot) >>> 2;
    for (let row = 0; row < 8; row++)
      if (transposes) {
        // A row is the column of four lanes in eight.
        const source = rows[8 * matrix + row]! >>> 1;
        for (let column = 0; column < 8; column++)
          halves[2 * (target + 4 * column + (row >> 1)) + (row & 1)] = halves[source + column]!;
      } else {
        const source = rows[8 * matrix + row]! >>> 2;
        for (let word = 0; word < 4; word++) words[target + 4 * row + word] = words[source + word]!;
      }
  }
  for (const register of watched) machine.markRegister(warp, register, true);
  return 'next';
};

const storeMatrices: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const [place, from] = instruction.operands as [Operand, Operand];
  const { slots, watched } = matricesOf(machine, warp, from, instruction);
  demandWritten(machine, warp, watched, instruction);
  const rows = rowsOf(machine, warp, place, slots.length, true, instruction);
  const { halves, words } = machine.memory;
  const transposes = instruction.modifiers.trans !== undefined;
  for (const [matrix, slot] of slots.entries()) {
    const source = (warp.base + slot) >>> 2;
    for (let row = 0; row < 8; row++)
      if (transposes) {
        const target = rows[8 * matrix + row]! >>> 1;
        for (let column = 0; column < 8; column++)
          halves[target + column] = halves[2 * (source + 4 * column + (row >> 1)) + (row & 1)]!;
      } else {
        const target = rows[8 * matrix + row]! >>> 2;
        for (let word = 0; word < 4; word++) words[target + word] = words[source + 4 * row + word]!;
      }
  }
  return 'next';
};

/** @throws EmulatorFault where a register is read that not all lanes have written, or that a product will. */
export function demandWritten(
  machine: Machine,
  warp: Warp,
  watched: readonly Register[],
  instruction: WarpInstruction,
): void {
  for (const register of watched)
    if (!machine.isWritten(warp, register))
      throw machine.fault(
        'uninitialised register',
        `reads ${register.name}, which not all lanes have written, or a product writes that is not over`,
        warp,
        0,
        instruction,
      );
}

function demandCount(machine: Machine, warp: Warp, instruction: WarpInstruction, count: number): void {
  const { shape, count: written } = instruction.modifiers;
  if (shape !== 'm8n8' || written !== `x${count}` || instruction.types[0] !== 'b16')
    throw machine.fault('wrong operand', `has ${count} registers, or another shape`, warp, 0, instruction);
}

// ── products ───────────────────────────────────────────────────────────────────────────────────────────────

/** Values of the elements of a register, of the type. */
function unpack(word: number, upper: number, type: PtxType, into: Float64Array, at: number): void {
  switch (type) {
    case 'f64': {
      scratch.setInt32(0, word, true);
      scratch.setInt32(4, upper, true);
      into[at] = scratch.getFloat64(0, true);
      return;
    }
    case 'f32':
    case 'tf32':
      scratch.setInt32(0, type === 'tf32' ? word & ~0x1fff : word, true);
      into[at] = scratch.getFloat32(0, true);
      return;
    case 's32':
      into[at] = word;
      return;
    case 'bf16':
      scratch.setInt32(0, word << 16, true);
      into[at] = scratch.getFloat32(0, true);
      scratch.setInt32(0, word & 0xffff0000, true);
      into[at + 1] = scratch.getFloat32(0, true);
      return;
    case 'f16':
      into[at] = halves[word & 0xffff]!;
      into[at + 1] = halves[word >>> 16]!;
      return;
    case 's8':
    case 'u8':
      for (let byte = 0; byte < 4; byte++) {
        const bits = (word >>> (8 * byte)) & 255;
        into[at + byte] = type === 's8' ? (bits << 24) >> 24 : bits;
      }
      return;
    default:
      for (let byte = 0; byte < 4; byte++)
        into[at + byte] = widen((word >>> (8 * byte)) & 255, type as FloatFormat);
  }
}

const scratch = new DataView(new ArrayBuffer(8));
/** All numbers of f16. */
const halves = Float32Array.from({ length: 65_536 }, (_, bits) => widen(bits, 'f16'));

interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/**
 * Where the elements of a lane are (PTX ISA, "Matrix fragments for mma.m16n8kK"): with g = lane / 4 and
 * t = lane % 4, a register of A has row g or g + 8 and neighbours along k from those of t on; one of B has
 * column g; C has columns 2t and 2t + 1.
 */
interface Fragments {
  /** Of each lane and element, the place in the matrix, row by row. */
  readonly a: Int32Array;
  readonly b: Int32Array;
  readonly c: Int32Array;
}

const known = new Map<string, Fragments>();

function fragmentsOf({ m, n, k }: Shape, elementBits: number): Fragments {
  const key = `${m} ${n} ${k} ${elementBits}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const packed = elementBits === 64 ? 1 : 32 / elementBits;
  const perLaneA = (m * k) / 32;
  const perLaneB = (k * n) / 32;
  const perLaneC = (m * n) / 32;
  const [a, b, c] = [perLaneA, perLaneB, perLaneC].map((count) => new Int32Array(32 * count)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  for (let lane = 0; lane < 32; lane++) {
    const [g, t] = [lane >> 2, lane & 3];
    for (let at = 0; at < perLaneA; at++) {
      const register = Math.floor(at / packed);
      const row = m === 8 ? g : g + 8 * (register & 1);
      const group = m === 8 ? register : register >> 1;
      a[lane * perLaneA + at] = row * k + packed * t + 4 * packed * group + (at % packed);
    }
    for (let at = 0; at < perLaneB; at++) {
      const row = packed * t + 4 * packed * Math.floor(at / packed) + (at % packed);
      b[lane * perLaneB + at] = row * n + g;
    }
    for (let at = 0; at < perLaneC; at++)
      c[lane * perLaneC + at] = (g + 8 * (at >> 1)) * n + 2 * t + (at & 1);
  }
  const fragments = { a, b, c };
  known.set(key, fragments);
  return fragments;
}

const matrixShape = /^m(\d+)n(\d+)k(\d+)$/;

/** Which shapes there are for the type of the factors. */
const shapesOf: { readonly [T in PtxType]?: readonly string[] } = {
  f16: ['m16n8k8', 'm16n8k16'],
  bf16: ['m16n8k8', 'm16n8k16'],
  tf32: ['m16n8k4', 'm16n8k8'],
  s8: ['m16n8k16', 'm16n8k32'],
  u8: ['m16n8k16', 'm16n8k32'],
  e4m3: ['m16n8k32'],
  e5m2: ['m16n8k32'],
  f64: ['m8n8k4'],
};

/**
 * D = A B + C. Tensor cores add products with a few bits more than f32 has, in an order of their own, and cut
 * what is below: here the sum is exact to f64, and rounded once; of 8-bit floats it is cut to fourteen bits.
 */
const multiply: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const product = products.of(machine.kernel, instruction, () => productOf(machine, instruction));
  demandWritten(machine, warp, product.reads, instruction);
  if (product.fast === undefined) multiplyAnyTypes(machine, warp, instruction, product.shape);
  else {
    const { left, right, addends, results, pieces, type } = product.fast;
    const { unit, tables } = machine;
    const [a, b, c, d] = tables.placesOf(left, right, addends, results);
    const { leftFactor, rightTile } = tables;
    unit.decodeRows[type](a!, warp.base, 16 * pieces, leftFactor);
    unit.multiply[type](
      ...([leftFactor, b!, warp.base, pieces, 1, product.shape.k, rightTile] as const),
      ...([c!, d!, warp.base] as const),
    );
  }
  for (const register of product.writes) machine.markRegister(warp, register, true);
  return 'next';
};

interface WarpProduct {
  readonly shape: Shape;
  /** Registers that are watched. */
  readonly reads: readonly Register[];
  readonly writes: readonly Register[];
  /** Of factors of one type whose sums are f32. */
  readonly fast: FastProduct | undefined;
}

interface FastProduct {
  readonly type: FactorType;
  /** Of a row of A or a column of B. */
  readonly pieces: number;
  readonly left: Table;
  readonly right: Table;
  readonly addends: Table;
  readonly results: Table;
}

const products = new PerInstruction<WarpProduct>();

function productOf(machine: Machine, instruction: WarpInstruction): WarpProduct {
  const [to, left, right, addend] = instruction.operands as [Operand, Operand, Operand, Operand];
  const [resultType, leftType, rightType, addendType] = instruction.types as [
    PtxType,
    PtxType,
    PtxType,
    PtxType,
  ];
  const { shape: name = '', layoutA, layoutB } = instruction.modifiers;
  if (shapesOf[leftType]?.includes(name) !== true || layoutA !== 'row' || layoutB !== 'col')
    throw machine.unsupported(instruction);
  const [m, n, k] = matrixShape.exec(name)!.slice(1).map(Number) as [number, number, number];
  const watched = (operand: Operand): readonly Register[] =>
    registersIn(operand).filter((each) => machine.kernel.written.has(each));
  const isFast =
    isFactorType(leftType) &&
    leftType === rightType &&
    [resultType, addendType].every((each) => each === 'f32') &&
    [to, left, right, addend].every((operand) => elementsOf(operand).every(isPlainRegister));
  const slots = (operand: Operand): readonly number[] =>
    elementsOf(operand).map((each) => machine.slotOf(each, instruction));
  return {
    shape: { m, n, k },
    reads: [left, right, addend].flatMap(watched),
    writes: watched(to),
    fast: isFast
      ? {
          type: leftType,
          pieces: (k * bytesOfFactor[leftType]) / pieceBytes,
          left: new Table(leftPieces(slots(left))),
          right: new Table(rightPieces(slots(right))),
          addends: new Table(slots(addend)),
          results: new Table(slots(to)),
        }
      : undefined,
  };
}

function isPlainRegister(operand: Operand): boolean {
  return operand.kind === 'register' && ptxTypes[operand.register.type].bits <= 32;
}

/** Four lanes have 16 bytes of a row along k: of rows 0 … 7 in one register, of the others in the next. */
export function leftPieces(slots: readonly number[]): readonly number[] {
  return Array.from({ length: 16 }, (_, row) =>
    Array.from(
      { length: slots.length / 2 },
      (_, piece) => slots[2 * piece + (row >> 3)]! + pieceBytes * (row & 7),
    ),
  ).flat();
}

function rightPieces(slots: readonly number[]): readonly number[] {
  return Array.from({ length: 8 }, (_, column) => slots.map((slot) => slot + pieceBytes * column)).flat();
}

/** One element after the other. */
function multiplyAnyTypes(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  { m, n, k }: Shape,
): void {
  const [to, left, right, addend] = instruction.operands as [Operand, Operand, Operand, Operand];
  const [resultType, leftType, rightType, addendType] = instruction.types as [
    PtxType,
    PtxType,
    PtxType,
    PtxType,
  ];
  const fragments = fragmentsOf({ m, n, k }, ptxTypes[leftType].bits);
  const a = collect(machine, warp, left, leftType, fragments.a, m * k);
  const b = collect(machine, warp, right, rightType, fragments.b, k * n);
  const d = collect(machine, warp, addend, addendType, fragments.c, m * n);
  addProduct({ m, n, k }, a, b, d);
  if (leftType === 'e4m3' || leftType === 'e5m2') for (const [at, sum] of d.entries()) d[at] = cutSum(sum);
  deal(machine, warp, to, resultType, fragments.c, d, instruction);
}

/** To the fourteen bits that sums of 8-bit floats keep. */
function cutSum(sum: number): number {
  scratch.setFloat32(0, sum, true);
  scratch.setInt32(0, scratch.getInt32(0, true) & ~0x3ff, true);
  return scratch.getFloat32(0, true);
}

/** D += A B, all row by row. */
function addProduct({ m, n, k }: Shape, a: Float64Array, b: Float64Array, d: Float64Array): void {
  for (let row = 0; row < m; row++)
    for (let inner = 0; inner < k; inner++) {
      const factor = a[row * k + inner]!;
      for (let column = 0; column < n; column++)
        d[row * n + column] = d[row * n + column]! + factor * b[inner * n + column]!;
    }
}

function perRegister(type: PtxType): number {
  return type === 'f64' ? 1 : 32 / ptxTypes[type].bits;
}

/** The matrix of what lanes have of it. */
function collect(
  machine: Machine,
  warp: Warp,
  operand: Operand,
  type: PtxType,
  places: Int32Array,
  size: number,
): Float64Array {
  const registers = elementsOf(operand);
  const matrix = new Float64Array(size);
  const perLane = places.length / 32;
  const values = new Float64Array(perLane + 4);
  const each = perRegister(type);
  for (let lane = 0; lane < 32; lane++) {
    registers.forEach((register, at) => {
      const upper = type === 'f64' ? machine.upperWord(warp, register, lane) : 0;
      unpack(machine.word(warp, register, lane), upper, type, values, at * each);
    });
    for (let at = 0; at < perLane; at++) matrix[places[lane * perLane + at]!] = values[at]!;
  }
  return matrix;
}

function deal(
  machine: Machine,
  warp: Warp,
  operand: Operand,
  type: PtxType,
  places: Int32Array,
  matrix: Float64Array,
  instruction: Instruction,
): void {
  const registers = elementsOf(operand);
  const perLane = places.length / 32;
  const single = { format: 'f16', rounding: 'rn', saturates: false, relu: false } as const;
  for (let lane = 0; lane < 32; lane++)
    registers.forEach((register, at) => {
      const value = (element: number): number => matrix[places[lane * perLane + element]!]!;
      if (type === 'f64') {
        scratch.setFloat64(0, value(at), true);
        machine.setLong(warp, register, lane, scratch.getBigUint64(0, true));
      } else if (type === 'f32') {
        scratch.setFloat32(0, value(at), true);
        machine.setWord(warp, register, lane, scratch.getInt32(0, true));
      } else if (type === 's32') {
        const { sat } = instruction.modifiers;
        const held = sat === undefined ? value(at) : Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), value(at)));
        machine.setWord(warp, register, lane, Number(BigInt.asIntN(32, BigInt(held))));
      } else {
        const [low, high] = [value(2 * at), value(2 * at + 1)].map((each) => Number(narrow(each, single)));
        machine.setWord(warp, register, lane, low! | (high! << 16));
      }
    });
}

// ── wmma ───────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Of a fragment whose layout PTX leaves open: element `place` of the matrix, row by row, is the lane's number
 * place / 32 … in lane place % 32, as many a register as it has room for. Of A and B in f16 there are twice
 * as many registers as elements need, as on Volta: the second half is a copy.
 */
function openFragment(size: number): Int32Array {
  const perLane = size / 32;
  return Int32Array.from({ length: size }, (_, at) => (at % perLane) * 32 + Math.floor(at / perLane));
}

interface OpenMatrix {
  readonly rows: number;
  readonly columns: number;
}

function openMatrix(instruction: WarpInstruction): OpenMatrix {
  const [m, n, k] = matrixShape
    .exec(instruction.modifiers.fragment ?? '')!
    .slice(1)
    .map(Number) as [number, number, number];
  if (instruction.op === 'wmma.load.a') return { rows: m, columns: k };
  return instruction.op === 'wmma.load.b' ? { rows: k, columns: n } : { rows: m, columns: n };
}

const wmmaTypes: readonly PtxType[] = ['f16', 'bf16', 'tf32', 'f32', 'f64', 's8', 'u8', 's32'];

/** Of factors; of sums in each shape there are those that go with them. */
const wmmaShapes: { readonly [T in PtxType]?: readonly string[] } = {
  ...{ f16: ['m16n16k16', 'm32n8k16', 'm8n32k16'], bf16: ['m16n16k16', 'm32n8k16', 'm8n32k16'] },
  ...{ s8: ['m16n16k16', 'm32n8k16', 'm8n32k16'], u8: ['m16n16k16', 'm32n8k16', 'm8n32k16'] },
  ...{ tf32: ['m16n16k8'], f64: ['m8n8k4'] },
};

/** Of an access of a whole matrix: where its elements are, each checked as an access of lane 0. */
function placesInMemory(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  place: Operand,
  stride: Operand | undefined,
  isWrite: boolean,
): readonly number[] {
  const [type] = instruction.types as [PtxType];
  if (!wmmaTypes.includes(type) || place.kind !== 'address') throw machine.unsupported(instruction);
  const { rows, columns } = openMatrix(instruction);
  const isRow = instruction.modifiers.layoutA !== 'col';
  const step = stride === undefined ? (isRow ? columns : rows) : machine.word(warp, stride, 0);
  const bytes = ptxTypes[type].bits / 8;
  return Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const offset = bytes * (isRow ? row * step + column : column * step + row);
    const element = { ...place, offset: place.offset + offset };
    const access = { bytes, isWrite };
    const linear = machine.locate(warp, 0, element, instruction.modifiers.space, access, instruction);
    machine.note(warp, 0, linear, bytes, isWrite, instruction);
    return linear;
  });
}

const loadFragment: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const [to, place, stride] = instruction.operands as [Operand, Operand, Operand?];
  const [type] = instruction.types as [PtxType];
  const places = placesInMemory(machine, warp, instruction, place, stride, false);
  const { view } = machine.memory;
  const registers = elementsOf(to);
  const perLane = places.length / 32;
  const [each, bits] = [perRegister(type), ptxTypes[type].bits];
  for (let lane = 0; lane < 32; lane++) {
    const place = (at: number): number => places[(at % perLane) * 32 + lane]!;
    registers.forEach((register, at) => {
      if (bits === 64) machine.setLong(warp, register, lane, view.getBigUint64(place(at), true));
      else {
        let word = 0;
        for (let part = 0; part < each; part++) {
          const from = place(at * each + part);
          const own =
            bits === 32
              ? view.getInt32(from, true)
              : bits === 16
                ? view.getUint16(from, true)
                : view.getUint8(from);
          word |= own << (bits * part);
        }
        machine.setWord(warp, register, lane, word);
      }
    });
  }
  return 'next';
};

const storeFragment: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const [place, from, stride] = instruction.operands as [Operand, Operand, Operand?];
  const [type] = instruction.types as [PtxType];
  const places = placesInMemory(machine, warp, instruction, place, stride, true);
  const { view } = machine.memory;
  for (let lane = 0; lane < 32; lane++)
    elementsOf(from).forEach((register, at) => {
      const word = machine.word(warp, register, lane);
      if (type === 'f64') {
        const to = places[at * 32 + lane]!;
        view.setInt32(to, word, true);
        view.setInt32(to + 4, machine.upperWord(warp, register, lane), true);
      } else if (ptxTypes[type].bits === 32) view.setInt32(places[at * 32 + lane]!, word, true);
      else {
        view.setUint16(places[2 * at * 32 + lane]!, word & 0xffff, true);
        view.setUint16(places[(2 * at + 1) * 32 + lane]!, word >>> 16, true);
      }
    });
  return 'next';
};

const multiplyFragments: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const [to, left, right, addend] = instruction.operands as [Operand, Operand, Operand, Operand];
  const { types } = instruction;
  // Of f16 factors only the types of the sums are written.
  const [resultType, factorType, addendType] =
    types.length === 2 ? [types[0]!, 'f16' as const, types[1]!] : [types[0]!, types[1]!, types[3]!];
  const shape = instruction.modifiers.fragment ?? '';
  if (wmmaShapes[factorType]?.includes(shape) !== true) throw machine.unsupported(instruction);
  if (![resultType, addendType].every((each) => wmmaTypes.includes(each)))
    throw machine.unsupported(instruction);
  const [m, n, k] = matrixShape.exec(shape)!.slice(1).map(Number) as [number, number, number];
  const used = (operand: Operand, size: number): Operand => ({
    kind: 'vector',
    elements: elementsOf(operand).slice(0, size / 32 / perRegister(factorType)),
  });
  const a = collect(machine, warp, used(left, m * k), factorType, openFragment(m * k), m * k);
  const b = collect(machine, warp, used(right, k * n), factorType, openFragment(k * n), k * n);
  const d = collect(machine, warp, addend, addendType, openFragment(m * n), m * n);
  addProduct({ m, n, k }, a, b, d);
  deal(machine, warp, to, resultType, openFragment(m * n), d, instruction);
  return 'next';
};

export const matrixRules = {
  ldmatrix: loadMatrices,
  stmatrix: storeMatrices,
  mma: multiply,
  'wmma.load.a': loadFragment,
  'wmma.load.b': loadFragment,
  'wmma.load.c': loadFragment,
  'wmma.store.d': storeFragment,
  'wmma.mma': multiplyFragments,
} as const satisfies Readonly<Record<string, Operation>>;
