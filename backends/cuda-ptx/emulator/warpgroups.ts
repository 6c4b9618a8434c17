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

/** Lines of 16-byte pieces as numbers: those of `lines` from `first` on, each of so many pieces. */
function readLines(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  descriptor: Descriptor,
  type: PtxType,
  shape: {
    readonly isDenseInK: boolean;
    readonly first: number;
    readonly lines: number;
    readonly parts: number;
    readonly firstPart: number;
  },
): Float64Array {
  const perPart = 16 / bytesOf(type);
  const values = new Float64Array(shape.lines * shape.parts * perPart + 4);
  const { sharedBase } = warp.block;
  const { words } = machine.memory;
  const perWord = perPart / 4;
  for (let line = 0; line < shape.lines; line++)
    for (let part = 0; part < shape.parts; part++) {
      const place =
        sharedBase + placeOf(descriptor, shape.isDenseInK, shape.first + line, shape.firstPart + part);
      machine.checkAsyncRead(warp, place, 16, instruction);
      const at = (line * shape.parts + part) * perPart;
      for (let word = 0; word < 4; word++)
        unpackWord(words[(place >>> 2) + word]!, type, values, at + Math.ceil(word * perWord));
    }
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

/** What of its operands is taken when a product is issued; registers of matrices stay until it is over. */
interface Issued {
  readonly left: Descriptor | undefined;
  readonly right: Descriptor;
  /** Whether it adds to what is in the registers of the result. */
  readonly adds: boolean;
}

function multiply(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  product: Product,
  issued: Issued,
): void {
  const { n, k, leftType, rightType } = product;
  const [to, left, , , signA, signB, ...transposes] = instruction.operands as [
    Operand,
    Operand,
    Operand,
    ...(Operand | undefined)[],
  ];
  const flag = (operand: Operand | undefined): number =>
    operand?.kind === 'integer' ? Number(operand.value) : 0;
  const isLeftInRegisters = issued.left === undefined;
  const [denseLeft, denseRight] = isLeftInRegisters
    ? [true, flag(transposes[0]) === 0]
    : [flag(transposes[0]) === 0, flag(transposes[1]) === 0];
  const firstRow = 16 * (warp.number % 4);
  const a =
    issued.left === undefined
      ? collect(
          machine,
          warp,
          left,
          leftType,
          fragmentsOf({ m: 16, n: 8, k }, 8 * bytesOf(leftType)).a,
          16 * k,
        )
      : readMatrix(machine, warp, instruction, issued.left, leftType, k, denseLeft, firstRow, 16);
  const b = readMatrix(machine, warp, instruction, issued.right, rightType, k, denseRight, 0, n);
  const sign = (flag(signA) === -1 ? -1 : 1) * (flag(signB) === -1 ? -1 : 1);
  const registers = elementsOf(to);
  const slots = registers.map((register) =>
    register.kind === 'register' ? machine.slot(warp, register.register) : -1,
  );
  const floats = machine.floats;
  // By columns of B, of which those of a lane are neighbours: both matrices have k inmost.
  for (let lane = 0; lane < 32; lane++) {
    const [g, t] = [lane >> 2, lane & 3];
    for (let at = 0; at < slots.length; at++) {
      const row = g + 8 * ((at >> 1) & 1);
      const column = 8 * (at >> 2) + 2 * t + (at & 1);
      let sum = 0;
      for (let inner = 0; inner < k; inner++) sum += a[row * k + inner]! * b[column * k + inner]!;
      const place = slots[at]! + lane;
      floats[place] = (issued.adds ? floats[place]! : 0) + sign * sum;
    }
  }
}

/** Rows of the matrix with k inmost, however it lies in memory. */
function readMatrix(
  machine: Machine,
  warp: Warp,
  instruction: WarpInstruction,
  descriptor: Descriptor,
  type: PtxType,
  k: number,
  isDenseInK: boolean,
  first: number,
  count: number,
): Float64Array {
  if (isDenseInK)
    return readLines(machine, warp, instruction, descriptor, type, {
      ...{ isDenseInK, first, lines: count, parts: 2, firstPart: 0 },
    });
  if (bytesOf(type) !== 2 || descriptor.swizzle === 'none') throw machine.unsupported(instruction);
  const lines = readLines(machine, warp, instruction, descriptor, type, {
    ...{ isDenseInK, first: 0, lines: k, parts: count / 8, firstPart: first / 8 },
  });
  const rows = new Float64Array(count * k);
  for (let inner = 0; inner < k; inner++)
    for (let row = 0; row < count; row++) rows[row * k + inner] = lines[inner * count + row]!;
  return rows;
}

const issue: Operation = (machine, warp, lanes, instruction) => {
  if (!isTogether(warp, lanes)) return 'wait';
  demandWholeWarp(machine, warp, lanes, instruction);
  const product = productOf(machine, instruction);
  const expected = product.n / 2;
  if (elementsOf(instruction.operands[0]!).length !== expected)
    throw machine.fault('wrong operand', `gives the result not ${expected} registers`, warp, 0, instruction);
  const [, left, right, scale] = instruction.operands as [Operand, Operand, Operand, Operand?];
  const lane = firstLane(lanes);
  const issued: Issued = {
    left: left.kind === 'vector' ? undefined : descriptorOf(machine.long(warp, left, lane)),
    right: descriptorOf(machine.long(warp, right, lane)),
    adds: isOn(machine, warp, scale, lane),
  };
  for (const result of elementsOf(instruction.operands[0]!)) {
    if (result.kind !== 'register') throw machine.unsupported(instruction);
    if (issued.adds && !machine.isWritten(warp, result.register))
      throw machine.fault(
        'uninitialised register',
        `adds to ${result.register.name}, which nobody has written`,
        warp,
        lane,
        instruction,
      );
    for (let each = 0; each < 32; each++) machine.markRegister(warp, result.register, each);
  }
  warp.pendingProducts.push(
    machine.later({ run: () => multiply(machine, warp, instruction, product, issued) }),
  );
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
