/**
 * Products of a warpgroup (`wgmma`): each of its four warps has 16 of the 64 rows of the result in registers,
 * and so computes them by itself. A product happens when it is waited for, at once, or at a random time.
 */
import type { Operand } from '../ptx.ts';
import { bytesOf, type PtxType } from '../ptx-types.ts';
import { firstLane, type Machine, type Warp } from './machine.ts';
import { collect, demandWholeWarp, elementsOf, fragmentsOf, isTogether, unpackWord } from './matrices.ts';
import type { Operation } from './operation.ts';
import type { WarpInstruction } from './steps.ts';
import { type Swizzle, swizzled } from './tensor-map.ts';

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
  readonly descriptor: Descriptor;
  readonly type: PtxType;
  readonly isDenseInK: boolean;
  readonly first: number;
  readonly lines: number;
  readonly firstPiece: number;
  readonly pieces: number;
}

/** Where they are in memory. */
function placesOf(warp: Warp, part: Part): Int32Array {
  const places = new Int32Array(part.lines * part.pieces);
  for (let line = 0; line < part.lines; line++)
    for (let piece = 0; piece < part.pieces; piece++)
      places[line * part.pieces + piece] =
        warp.block.sharedBase +
        placeOf(part.descriptor, part.isDenseInK, part.first + line, part.firstPiece + piece);
  return places;
}

/** A matrix in shared memory, as it was found when the product was issued. */
interface Factor {
  readonly part: Part;
  readonly places: Int32Array;
  /** Who had written each piece last: who writes it while the product is under way is in a race with it. */
  readonly writers: Int32Array;
}

function factorOf(machine: Machine, warp: Warp, part: Part): Factor {
  const places = placesOf(warp, part);
  return { part, places, writers: machine.lastWrites(warp, places) };
}

/** The numbers of the pieces, one after the other. */
function readPieces(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  { part, places, writers }: Factor,
): Float64Array {
  const perPiece = 16 / bytesOf(part.type);
  const values = new Float64Array(places.length * perPiece + 4);
  const { words } = machine.memory;
  const now = machine.lastWrites(warp, places);
  places.forEach((place, at) => {
    if (now[at] !== writers[at])
      throw machine.fault(
        'race',
        `reads byte ${place - warp.block.sharedBase} of shared memory, which was written while the product was under way`,
        warp,
        0,
        instruction,
      );
    machine.checkAsyncRead(warp, place, 16, instruction);
    machine.note(warp, 0, place, 16, false, instruction);
    for (let word = 0; word < 4; word++)
      unpackWord(words[(place >>> 2) + word]!, part.type, values, at * perPiece + (word * perPiece) / 4);
  });
  return values;
}

interface Product {
  readonly n: number;
  readonly k: number;
  readonly resultType: PtxType;
  readonly leftType: PtxType;
  readonly rightType: PtxType;
}

const resultTypes: readonly PtxType[] = ['f32'];
const factorTypes: readonly PtxType[] = ['f16', 'bf16', 'tf32', 'e4m3', 'e5m2'];

function productOf(machine: Machine, instruction: WarpInstruction): Product {
  const [resultType, leftType, rightType] = instruction.types as [PtxType, PtxType, PtxType];
  const [, n, k] = /^m64n(\d+)k(\d+)$/.exec(instruction.modifiers.shapeOfGroup ?? '') ?? [];
  const isKnown =
    resultTypes.includes(resultType) &&
    factorTypes.includes(leftType) &&
    bytesOf(leftType) === bytesOf(rightType) &&
    Number(k) === 32 / bytesOf(leftType);
  if (!isKnown) throw machine.unsupported(instruction);
  return { n: Number(n), k: Number(k), resultType, leftType, rightType };
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
  const isInRegisters = left.kind === 'vector';
  const isTransposed = (at: number): boolean => flagOf(transposes[at]) !== 0;
  const factor = (operand: Operand, type: PtxType, first: number, count: number, turned: boolean): Factor => {
    const descriptor = descriptorOf(machine.long(warp, operand, 0));
    if (!turned)
      return factorOf(machine, warp, {
        ...{ descriptor, type, isDenseInK: true, first, lines: count, firstPiece: 0, pieces: 2 },
      });
    if (bytesOf(type) !== 2 || descriptor.swizzle === 'none') throw machine.unsupported(instruction);
    return factorOf(machine, warp, {
      ...{ descriptor, type, isDenseInK: false, first: 0, lines: k },
      ...{ firstPiece: first / 8, pieces: count / 8 },
    });
  };
  return {
    left: isInRegisters ? undefined : factor(left, leftType, 16 * (warp.number % 4), 16, isTransposed(0)),
    right: factor(right, rightType, 0, n, isTransposed(isInRegisters ? 0 : 1)),
    adds: isOn(machine, warp, scale, 0),
    sign: (flagOf(signA) === -1 ? -1 : 1) * (flagOf(signB) === -1 ? -1 : 1),
  };
}

function multiply(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  { k, leftType }: Product,
  issued: Issued,
): void {
  const [to, left] = instruction.operands as [Operand, Operand];
  const places = fragmentsOf({ m: 16, n: 8, k }, 8 * bytesOf(leftType)).a;
  const a =
    issued.left === undefined
      ? collect(machine, warp, left, leftType, places, 16 * k)
      : rowsOf(readPieces(machine, warp, instruction, issued.left), issued.left.part, k);
  const b = rowsOf(readPieces(machine, warp, instruction, issued.right), issued.right.part, k);
  const slots = elementsOf(to).map((register) =>
    register.kind === 'register' ? machine.slot(warp, register.register) : -1,
  );
  const { floats } = machine.memory;
  for (let lane = 0; lane < 32; lane++) {
    const [g, t] = [lane >> 2, lane & 3];
    for (let at = 0; at < slots.length; at++) {
      const row = (g + 8 * ((at >> 1) & 1)) * k;
      const column = (8 * (at >> 2) + 2 * t + (at & 1)) * k;
      let sum = 0;
      for (let inner = 0; inner < k; inner++) sum += a[row + inner]! * b[column + inner]!;
      const place = slots[at]! + lane;
      floats[place] = (issued.adds ? floats[place]! : 0) + issued.sign * sum;
    }
  }
}

/** The matrix with k inmost, however it lies in memory. */
function rowsOf(values: Float64Array, part: Part, k: number): Float64Array {
  if (part.isDenseInK) return values;
  const count = part.pieces * 8;
  const rows = new Float64Array(count * k);
  for (let inner = 0; inner < k; inner++)
    for (let row = 0; row < count; row++) rows[row * k + inner] = values[inner * count + row]!;
  return rows;
}

const issue: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const product = productOf(machine, instruction);
  const expected = product.n / 2;
  if (elementsOf(instruction.operands[0]!).length !== expected)
    throw machine.fault('wrong operand', `gives the result not ${expected} registers`, warp, 0, instruction);
  const issued = issuedOf(machine, warp, instruction, product);
  const results = elementsOf(instruction.operands[0]!).map((result) => {
    if (result.kind !== 'register') throw machine.unsupported(instruction);
    return result.register;
  });
  for (const register of results) {
    if (issued.adds && !warp.underWay.has(register) && !machine.isWritten(warp, register))
      throw machine.fault(
        'uninitialised register',
        `adds to ${register.name}, which nobody has written`,
        ...([warp, firstLane(lanes), instruction] as const),
      );
    warp.underWay.set(register, (warp.underWay.get(register) ?? 0) + 1);
    machine.markRegister(warp, register, false);
  }
  const finish = (): void => {
    multiply(machine, warp, instruction, product, issued);
    for (const register of results) {
      const left = warp.underWay.get(register)! - 1;
      if (left > 0) warp.underWay.set(register, left);
      else {
        warp.underWay.delete(register);
        machine.markRegister(warp, register, true);
      }
    }
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
