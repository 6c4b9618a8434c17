/** The code of integer arithmetic and of bits. Values of 16 bits are zero-extended to 32. */
import type { Expression } from '../../wasm/code.ts';
import type { InstructionName } from '../../wasm/instructions.ts';
import { carryFlag, type Operand } from '../ptx.ts';
import { type PtxType, ptxTypes } from '../ptx-types.ts';
import {
  both,
  choose,
  highWords,
  i32,
  longs,
  lowWords,
  pairwise,
  run,
  shuffle,
  type Wide,
  wideMask,
  wideOf,
  words,
} from './code-text.ts';
import type { LaneWriter } from './lane-writer.ts';
import type { LaneInstruction } from './steps.ts';
import { takesCarry } from './uses.ts';

export type Emit = (writer: LaneWriter, instruction: LaneInstruction) => void;

export function bitsOf(instruction: LaneInstruction): number {
  return ptxTypes[instruction.types[0]!].bits;
}

export function isSigned(instruction: LaneInstruction): boolean {
  return ptxTypes[instruction.types[0]!].class === 'signed';
}

export function i64(value: bigint): Expression {
  return { kind: 'i64', value };
}

/** An integer as 32 bits: of a narrower type extended as that type is. */
export function extended(writer: LaneWriter, operand: Operand, type: PtxType): Expression {
  const { bits, class: typeClass } = ptxTypes[type];
  const word = writer.word(operand);
  if (bits >= 32) return word;
  const shift = i32(32 - bits);
  return typeClass === 'signed'
    ? writer.hold(run('i32x4.shr_s', run('i32x4.shl', word, shift), shift))
    : writer.hold(run('v128.and', word, words(2 ** bits - 1)));
}

/** An integer as 64 bits, extended as its type is. */
export function extendedWide(writer: LaneWriter, operand: Operand, type: PtxType): Wide {
  if (ptxTypes[type].bits === 64) return writer.wide(operand);
  const word = writer.hold(extended(writer, operand, type));
  return ptxTypes[type].class === 'signed'
    ? {
        low: writer.hold(run('i64x2.extend_low_i32x4_s', word)),
        high: writer.hold(run('i64x2.extend_high_i32x4_s', word)),
      }
    : writer.holdWide(wideOf(word, words(0)));
}

/** Sets a result of at most 32 bits: what is narrower loses what is above. */
export function setNarrow(writer: LaneWriter, operand: Operand, value: Expression, bits: number): void {
  writer.setWord(operand, bits < 32 ? run('v128.and', value, words(2 ** bits - 1)) : value);
}

/** By one instruction for words and one for longs, of operands as their type is extended. */
function binary(narrow: InstructionName, wide: InstructionName): Emit {
  return (writer, instruction) => {
    const [to, left, right] = instruction.operands as [Operand, Operand, Operand];
    if (bitsOf(instruction) === 64)
      writer.setWide(
        to,
        pairwise(writer.wide(left), writer.wide(right), (a, b) => run(wide, a, b)),
      );
    else {
      const [type] = instruction.types;
      const value = run(narrow, extended(writer, left, type!), extended(writer, right, type!));
      setNarrow(writer, to, value, bitsOf(instruction));
    }
  };
}

function unary(narrow: (word: Expression) => Expression, wide: (half: Expression) => Expression): Emit {
  return (writer, instruction) => {
    const [to, from] = instruction.operands as [Operand, Operand];
    if (bitsOf(instruction) === 64) writer.setWide(to, both(writer.wide(from), wide));
    else {
      const [type] = instruction.types;
      // A predicate is all bits or none.
      const word = type === 'pred' ? writer.word(from) : extended(writer, from, type!);
      setNarrow(writer, to, narrow(writer.hold(word)), type === 'pred' ? 32 : bitsOf(instruction));
    }
  };
}

/** Of bits and predicates. */
function bitwise(name: InstructionName): Emit {
  return (writer, instruction) => {
    const [to, left, right] = instruction.operands as [Operand, Operand, Operand];
    if (bitsOf(instruction) === 64)
      writer.setWide(
        to,
        pairwise(writer.wide(left), writer.wide(right), (a, b) => run(name, a, b)),
      );
    else writer.setWord(to, run(name, writer.word(left), writer.word(right)));
  };
}

/** Sums and differences, which may be held to the range of 32 bits. */
function sum(name: 'add' | 'sub'): Emit {
  const plain = binary(`i32x4.${name}`, `i64x2.${name}`);
  return (writer, instruction) => {
    if (instruction.modifiers.carry !== undefined || takesCarry(instruction.op)) {
      const [, left, right] = instruction.operands as [Operand, Operand, Operand];
      sumWithCarry(writer, instruction, name, operandValue(writer, instruction, left), right);
      return;
    }
    if (instruction.modifiers.sat === undefined) return plain(writer, instruction);
    const [to, left, right] = instruction.operands as [Operand, Operand, Operand];
    const [a, b] = [left, right].map((each) => extendedWide(writer, each, 's32')) as [Wide, Wide];
    const exact = pairwise(a, b, (x, y) => writer.hold(run(`i64x2.${name}`, x, y)));
    writer.setWord(to, lowWords(clampWide(writer, exact, -(2n ** 31n), 2n ** 31n - 1n)));
  };
}

export function clampWide(writer: LaneWriter, value: Wide, least: bigint, most: bigint): Wide {
  return both(value, (half) => {
    const raised = writer.hold(choose(run('i64x2.lt_s', half, longs(least)), longs(least), half));
    return writer.hold(choose(run('i64x2.lt_s', longs(most), raised), longs(most), raised));
  });
}

function operandValue(writer: LaneWriter, instruction: LaneInstruction, operand: Operand): Value {
  return bitsOf(instruction) === 64
    ? { width: 64, value: writer.wide(operand) }
    : { width: 32, value: writer.word(operand) };
}

/**
 * A sum with what was carried before, where the instruction takes it, and what it carries itself, where that
 * is kept. A difference is the sum with the complement and one: it carries where nothing is borrowed, as
 * nvcc's division of 128 bits expects, which adds what a `sub.cc` left.
 */
function sumWithCarry(
  writer: LaneWriter,
  instruction: LaneInstruction,
  name: 'add' | 'sub',
  left: Value,
  right: Operand,
): void {
  const [to] = instruction.operands as [Operand];
  const flag: Operand = { kind: 'register', register: carryFlag };
  // All bits, which is −1, where something was carried, or borrowed.
  const known = takesCarry(instruction.op) ? writer.word(flag) : undefined;
  const before =
    known === undefined ? words(0) : name === 'add' ? known : writer.hold(run('v128.not', known));
  const opposite = name === 'add' ? 'sub' : 'add';
  const sums = (
    shape: 'i32x4' | 'i64x2',
    less: (x: Expression, y: Expression) => Expression,
    a: Expression,
    b: Expression,
    mask: Expression,
  ): { readonly sum: Expression; readonly carried: Expression } => {
    const first = writer.hold(run(`${shape}.${name}`, a, b));
    const sum = writer.hold(run(`${shape}.${opposite}`, first, mask));
    const carries = name === 'add' ? [less(first, a), less(sum, first)] : [less(a, b), less(first, sum)];
    return { sum, carried: writer.hold(run('v128.or', ...carries)) };
  };
  let carried: Expression;
  if (left.width === 64) {
    const [a, b, masks] = [writer.holdWide(left.value), writer.wide(right), wideMask(before)];
    const less = (x: Expression, y: Expression): Expression => lessLong(x, y, false);
    const [low, high] = (['low', 'high'] as const).map((half) =>
      sums('i64x2', less, a[half], b[half], masks[half]),
    ) as [ReturnType<typeof sums>, ReturnType<typeof sums>];
    writer.setWide(to, { low: low.sum, high: high.sum });
    carried = lowWords({ low: low.carried, high: high.carried });
  } else {
    const less = (x: Expression, y: Expression): Expression => run('i32x4.lt_u', x, y);
    const found = sums('i32x4', less, writer.hold(left.value), writer.hold(writer.word(right)), before);
    writer.setWord(to, found.sum);
    carried = found.carried;
  }
  if (instruction.modifiers.carry !== undefined)
    writer.setWord(flag, name === 'add' ? carried : run('v128.not', carried));
}

/** The upper 64 bits of products, by four products of halves (Hacker's Delight, 8-2). */
function upperProduct(writer: LaneWriter, a: Expression, b: Expression, signed: boolean): Expression {
  const mask = longs(0xffffffffn);
  const upper = (x: Expression): Expression => run('i64x2.shr_u', x, i32(32));
  const [al, ah] = [writer.hold(run('v128.and', a, mask)), writer.hold(upper(a))];
  const [bl, bh] = [writer.hold(run('v128.and', b, mask)), writer.hold(upper(b))];
  const low = run('i64x2.mul', al, bl);
  const first = writer.hold(run('i64x2.add', run('i64x2.mul', ah, bl), upper(low)));
  const second = writer.hold(run('i64x2.add', run('i64x2.mul', al, bh), run('v128.and', first, mask)));
  const unsigned = run('i64x2.add', run('i64x2.mul', ah, bh), run('i64x2.add', upper(first), upper(second)));
  if (!signed) return writer.hold(unsigned);
  const where = (x: Expression, y: Expression): Expression =>
    run('v128.and', run('i64x2.shr_s', x, i32(63)), y);
  return writer.hold(run('i64x2.sub', run('i64x2.sub', unsigned, where(a, b)), where(b, a)));
}

/** Of 32 bits or of 64. */
type Value =
  | { readonly width: 32; readonly value: Expression }
  | { readonly width: 64; readonly value: Wide };

function productOf(writer: LaneWriter, instruction: LaneInstruction): Value {
  const [, left, right] = instruction.operands as [Operand, Operand, Operand];
  const [type] = instruction.types as [PtxType];
  const signed = isSigned(instruction);
  const bits = bitsOf(instruction);
  const part = instruction.modifiers.part ?? 'lo';
  if (bits === 64) {
    const [a, b] = [writer.wide(left), writer.wide(right)];
    if (part === 'wide') writer.unsupported('a product of 128 bits');
    return part === 'hi'
      ? { width: 64, value: pairwise(a, b, (x, y) => upperProduct(writer, x, y, signed)) }
      : { width: 64, value: pairwise(a, b, (x, y) => run('i64x2.mul', x, y)) };
  }
  const [a, b] = [left, right].map((each) => writer.hold(extended(writer, each, type))) as [
    Expression,
    Expression,
  ];
  if (bits === 16) {
    const whole = run('i32x4.mul', a, b);
    return { width: 32, value: part === 'hi' ? run('i32x4.shr_u', whole, i32(16)) : whole };
  }
  if (part === 'lo') return { width: 32, value: run('i32x4.mul', a, b) };
  const letter = signed ? 's' : 'u';
  const whole: Wide = {
    low: run(`i64x2.extmul_low_i32x4_${letter}`, a, b),
    high: run(`i64x2.extmul_high_i32x4_${letter}`, a, b),
  };
  return part === 'wide' ? { width: 64, value: whole } : { width: 32, value: highWords(whole) };
}

/** The bits of the result: those of the operands, or twice as many. */
function productBits(instruction: LaneInstruction): number {
  const bits = bitsOf(instruction);
  return instruction.modifiers.part === 'wide' ? 2 * bits : bits;
}

const multiply: Emit = (writer, instruction) => {
  const [to] = instruction.operands as [Operand];
  const product = productOf(writer, instruction);
  if (product.width === 64) writer.setWide(to, product.value);
  else setNarrow(writer, to, product.value, productBits(instruction));
};

const multiplyAdd: Emit = (writer, instruction) => {
  const { sat, carry } = instruction.modifiers;
  if (sat !== undefined) writer.unsupported('.sat');
  const [to, , , addend] = instruction.operands as [Operand, Operand, Operand, Operand];
  const product = productOf(writer, instruction);
  if (carry !== undefined || takesCarry(instruction.op)) {
    sumWithCarry(writer, instruction, 'add', product, addend);
    return;
  }
  if (product.width === 64)
    writer.setWide(
      to,
      pairwise(product.value, writer.wide(addend), (a, b) => run('i64x2.add', a, b)),
    );
  else setNarrow(writer, to, run('i32x4.add', product.value, writer.word(addend)), productBits(instruction));
};

/** Of 24 bits: what is above does not count. */
function narrowProduct(adds: boolean): Emit {
  return (writer, instruction) => {
    const [to, left, right, addend] = instruction.operands as [Operand, Operand, Operand, Operand];
    const signed = isSigned(instruction);
    const cut = (operand: Operand): Expression =>
      run(signed ? 'i32x4.shr_s' : 'i32x4.shr_u', run('i32x4.shl', writer.word(operand), i32(8)), i32(8));
    const [a, b] = [writer.hold(cut(left)), writer.hold(cut(right))];
    const letter = signed ? 's' : 'u';
    const whole = writer.holdWide({
      low: run(`i64x2.extmul_low_i32x4_${letter}`, a, b),
      high: run(`i64x2.extmul_high_i32x4_${letter}`, a, b),
    });
    const product =
      instruction.modifiers.part === 'hi'
        ? lowWords(both(whole, (half) => run('i64x2.shr_u', half, i32(16))))
        : lowWords(whole);
    writer.setWord(to, adds ? run('i32x4.add', product, writer.word(addend)) : product);
  };
}

/**
 * Quotients and remainders by lanes, as 64 bits. By zero, of which PTX says nothing, a quotient is all ones
 * and a remainder the dividend, as NVIDIA's GPUs have it.
 */
function division(name: 'div' | 'rem'): Emit {
  return (writer, instruction) => {
    const [to, left, right] = instruction.operands as [Operand, Operand, Operand];
    const [type] = instruction.types as [PtxType];
    const letter = isSigned(instruction) ? 's' : 'u';
    const values = [left, right].map((each) => extendedWide(writer, each, type));
    const result = writer.eachLong(values, (a, b) => {
      const dividend = a!;
      const divisor = b!;
      const isZero = run('i64.eqz', divisor);
      // Division by −1 overflows for the least number: its quotient is the negation, and nothing remains.
      const isMinus = run('i64.eqz', run('i64.add', divisor, i64(1n)));
      const negates = letter === 's' ? isMinus : i32(0);
      const special = writer.hold(run('i32.or', isZero, negates));
      const safe = run('i64.select', i64(1n), divisor, special);
      const plain = run(`i64.${name}_${letter}`, dividend, safe);
      const atMinus = name === 'div' ? run('i64.sub', i64(0n), dividend) : i64(0n);
      const atZero = name === 'div' ? i64(-1n) : dividend;
      const atSpecial = run('i64.select', atZero, atMinus, isZero);
      return run('i64.select', atSpecial, plain, special);
    });
    if (bitsOf(instruction) === 64) writer.setWide(to, result);
    else setNarrow(writer, to, lowWords(result), bitsOf(instruction));
  };
}

function extreme(name: 'min' | 'max'): Emit {
  return (writer, instruction) => {
    const [to, left, right] = instruction.operands as [Operand, Operand, Operand];
    const [type] = instruction.types as [PtxType];
    if (bitsOf(instruction) !== 64) {
      const letter = isSigned(instruction) ? 's' : 'u';
      const value = run(
        `i32x4.${name}_${letter}`,
        extended(writer, left, type),
        extended(writer, right, type),
      );
      setNarrow(writer, to, value, bitsOf(instruction));
      return;
    }
    writer.setWide(
      to,
      pairwise(writer.wide(left), writer.wide(right), (a, b) => {
        const less = lessLong(a, b, isSigned(instruction));
        return name === 'min' ? choose(less, a, b) : choose(less, b, a);
      }),
    );
  };
}

export function lessLong(a: Expression, b: Expression, signed: boolean): Expression {
  if (signed) return run('i64x2.lt_s', a, b);
  const shift = longs(-(2n ** 63n));
  return run('i64x2.lt_s', run('v128.xor', a, shift), run('v128.xor', b, shift));
}

const sumOfDifferences: Emit = (writer, instruction) => {
  const [to, left, right, addend] = instruction.operands as [Operand, Operand, Operand, Operand];
  const [type] = instruction.types as [PtxType];
  if (bitsOf(instruction) === 64) writer.unsupported('64 bits');
  const letter = isSigned(instruction) ? 's' : 'u';
  const [a, b] = [left, right].map((each) => writer.hold(extended(writer, each, type)));
  const difference = run('i32x4.sub', run(`i32x4.max_${letter}`, a!, b!), run(`i32x4.min_${letter}`, a!, b!));
  const value = run('i32x4.add', difference, writer.word(addend));
  setNarrow(writer, to, value, bitsOf(instruction));
};

const exchange: Emit = (writer, instruction) => {
  const [to, a, b, c, table] = instruction.operands as [Operand, Operand, Operand, Operand, Operand];
  if (table.kind !== 'integer') return writer.unsupported('a table that is no number');
  const [x, y, z] = [a, b, c].map((each) => writer.hold(writer.word(each))) as [
    Expression,
    Expression,
    Expression,
  ];
  const bits = Number(table.value) & 255;
  // By x, then y, then z: bit 4x + 2y + z of the table.
  const byLast = (two: number): Expression => {
    if (two === 0) return words(0);
    if (two === 3) return words(-1);
    return two === 2 ? z : run('v128.not', z);
  };
  const byMiddle = (four: number): Expression =>
    four >> 2 === (four & 3) ? byLast(four & 3) : choose(y, byLast(four >> 2), byLast(four & 3));
  const value =
    bits >> 4 === (bits & 15) ? byMiddle(bits & 15) : choose(x, byMiddle(bits >> 4), byMiddle(bits & 15));
  writer.setWord(to, value);
};

/** By a constant for all lanes at once, else lane by lane; by more than there is, what is left. */
function shift(direction: 'left' | 'right'): Emit {
  return (writer, instruction) => {
    const [to, from, by] = instruction.operands as [Operand, Operand, Operand];
    const [type] = instruction.types as [PtxType];
    const bits = bitsOf(instruction);
    const signed = direction === 'right' && isSigned(instruction);
    const suffix = direction === 'left' ? 'shl' : signed ? 'shr_s' : 'shr_u';
    const width = bits === 64 ? 64 : 32;
    if (by.kind === 'integer') {
      const count = Number(BigInt.asUintN(32, by.value));
      const isOver = count >= width;
      const used = i32(isOver ? width - 1 : count);
      const gone = isOver && !signed;
      if (bits === 64)
        writer.setWide(
          to,
          both(writer.wide(from), (half) => (gone ? words(0) : run(`i64x2.${suffix}`, half, used))),
        );
      else {
        const value = extended(writer, from, type);
        setNarrow(writer, to, gone ? words(0) : run(`i32x4.${suffix}`, value, used), bits);
      }
      return;
    }
    if (bits === 64) {
      const counts = extendedWide(writer, by, 'u32');
      const value = writer.eachLong([writer.wide(from), counts], (x, count) => {
        const isOver = writer.hold(run('i32.ge_u', run('i32.wrap_i64', count!), i32(64)));
        return signed
          ? run('i64.shr_s', x!, run('i64.select', i64(63n), count!, isOver))
          : run('i64.select', i64(0n), run(`i64.${suffix}`, x!, count!), isOver);
      });
      writer.setWide(to, value);
      return;
    }
    const value = writer.eachWord([extended(writer, from, type), writer.word(by)], (x, count) => {
      const isOver = writer.hold(run('i32.ge_u', count!, i32(32)));
      return signed
        ? run('i32.shr_s', x!, run('select', i32(31), count!, isOver))
        : run('select', i32(0), run(`i32.${suffix}`, x!, count!), isOver);
    });
    setNarrow(writer, to, value, bits);
  };
}

/** Of the 64 bits b:a, 32. */
const funnel: Emit = (writer, instruction) => {
  const [to, a, b, by] = instruction.operands as [Operand, Operand, Operand, Operand];
  const { side, limit } = instruction.modifiers;
  const whole = writer.holdWide(wideOf(writer.hold(writer.word(a)), writer.hold(writer.word(b))));
  const counts =
    limit === 'wrap'
      ? run('v128.and', writer.word(by), words(31))
      : run('i32x4.min_u', writer.word(by), words(32));
  const wide = writer.holdWide(wideOf(writer.hold(counts), words(0)));
  const result = writer.eachLong([whole, wide], (x, count) =>
    side === 'l' ? run('i64.shr_u', run('i64.shl', x!, count!), i64(32n)) : run('i64.shr_u', x!, count!),
  );
  writer.setWord(to, lowWords(result));
};

function byteOf(writer: LaneWriter, operand: Operand): Wide {
  return writer.holdWide(wideOf(writer.hold(run('v128.and', writer.word(operand), words(255))), words(0)));
}

/** Of a count of at most 255. */
function smaller(writer: LaneWriter, value: Expression, most: bigint): Expression {
  const difference = run('i64.sub', value, i64(most));
  const isOver = run('i64.eqz', run('i64.shr_u', difference, i64(63n)));
  return writer.hold(run('i64.select', i64(most), value, isOver));
}

const extractField: Emit = (writer, instruction) => {
  const [to, from, position, length] = instruction.operands as [Operand, Operand, Operand, Operand];
  const [type] = instruction.types as [PtxType];
  const signed = isSigned(instruction);
  const bits = bitsOf(instruction);
  const values = [extendedWide(writer, from, type), byteOf(writer, position), byteOf(writer, length)];
  const result = writer.eachLong(values, (x, at, count) => {
    const isPast = writer.hold(run('i32.ge_u', run('i32.wrap_i64', at!), i32(bits)));
    // Past the end a signed number goes on with its sign, an unsigned one with zeros.
    const shifted = signed
      ? run('i64.shr_s', x!, smaller(writer, at!, 63n))
      : run('i64.select', i64(0n), run('i64.shr_u', x!, at!), isPast);
    const used = smaller(writer, count!, 64n);
    const unused = writer.hold(run('i64.sub', i64(64n), used));
    const field = run(signed ? 'i64.shr_s' : 'i64.shr_u', run('i64.shl', shifted, unused), unused);
    return run('i64.select', i64(0n), field, run('i64.eqz', used));
  });
  if (bits === 64) writer.setWide(to, result);
  else writer.setWord(to, lowWords(result));
};

const insertField: Emit = (writer, instruction) => {
  const [to, from, into, position, length] = instruction.operands as [
    Operand,
    Operand,
    Operand,
    Operand,
    Operand,
  ];
  const bits = bitsOf(instruction);
  const [type] = instruction.types as [PtxType];
  const inputs = [
    extendedWide(writer, from, type),
    extendedWide(writer, into, type),
    byteOf(writer, position),
    byteOf(writer, length),
  ];
  const result = writer.eachLong(inputs, (a, b, at, count) => {
    const isAll = run('i32.ge_u', run('i32.wrap_i64', count!), i32(64));
    const ones = run('i64.select', i64(-1n), run('i64.sub', run('i64.shl', i64(1n), count!), i64(1n)), isAll);
    const isPast = writer.hold(run('i32.ge_u', run('i32.wrap_i64', at!), i32(bits)));
    const mask = writer.hold(run('i64.select', i64(0n), run('i64.shl', ones, at!), isPast));
    return run(
      'i64.or',
      run('i64.and', b!, run('i64.xor', mask, i64(-1n))),
      run('i64.and', run('i64.shl', a!, at!), mask),
    );
  });
  if (bits === 64) writer.setWide(to, result);
  else writer.setWord(to, lowWords(result));
};

/** Zeros before the highest one, in 32 bits. */
function leadingZeros(writer: LaneWriter, operand: Operand, bits: number): Expression {
  return bits === 64
    ? lowWords(writer.eachLong([writer.wide(operand)], (x) => run('i64.clz', x!)))
    : writer.eachWord([writer.word(operand)], (x) => run('i32.clz', x!));
}

const findHighest: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const bits = bitsOf(instruction);
  const signed = isSigned(instruction);
  const isShift = instruction.modifiers.shiftAmount !== undefined;
  const zeros =
    bits === 64
      ? lowWords(
          writer.eachLong([writer.wide(from)], (x) =>
            run('i64.clz', signed ? run('i64.xor', x!, run('i64.shr_s', x!, i64(63n))) : x!),
          ),
        )
      : writer.eachWord([writer.word(from)], (x) =>
          run('i32.clz', signed ? run('i32.xor', x!, run('i32.shr_s', x!, i32(31))) : x!),
        );
  const place = writer.hold(run('i32x4.sub', words(bits - 1), zeros));
  const nowhere = run('i32x4.eq', place, words(-1));
  const value = isShift ? run('v128.or', run('i32x4.sub', words(bits - 1), place), nowhere) : place;
  writer.setWord(to, value);
};

function reversed(writer: LaneWriter, word: Expression): Expression {
  const steps: readonly (readonly [number, number])[] = [
    [1, 0x55555555],
    [2, 0x33333333],
    [4, 0x0f0f0f0f],
    [8, 0x00ff00ff],
    [16, 0x0000ffff],
  ];
  let value = word;
  for (const [by, mask] of steps) {
    const held = writer.hold(value);
    const upper = run('v128.and', run('i32x4.shr_u', held, i32(by)), words(mask));
    value = run('v128.or', upper, run('i32x4.shl', run('v128.and', held, words(mask)), i32(by)));
  }
  return writer.hold(value);
}

const reverse: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  if (bitsOf(instruction) !== 64) return writer.setWord(to, reversed(writer, writer.word(from)));
  writer.setWide(
    to,
    both(writer.wide(from), (half) => {
      const value = reversed(writer, half);
      return shuffle(value, value, [1, 0, 3, 2]);
    }),
  );
};

const countOnes: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const value =
    bitsOf(instruction) === 64
      ? lowWords(writer.eachLong([writer.wide(from)], (x) => run('i64.popcnt', x!)))
      : writer.eachWord([writer.word(from)], (x) => run('i32.popcnt', x!));
  writer.setWord(to, value);
};

/** What a mode of `prmt` chooses, by the lower two bits of its selector: four bits for each byte. */
const selectors: { readonly [mode: string]: readonly [number, number, number, number] } = {
  f4e: [0x3210, 0x4321, 0x5432, 0x6543],
  b4e: [0x5670, 0x6701, 0x7012, 0x0123],
  rc8: [0x0000, 0x1111, 0x2222, 0x3333],
  ecl: [0x3210, 0x3211, 0x3222, 0x3333],
  ecr: [0x0000, 0x1110, 0x2210, 0x3210],
  rc16: [0x1010, 0x3232, 0x1010, 0x3232],
};

function selectorOf(writer: LaneWriter, mode: string, given: Expression): Expression {
  const known = selectors[mode] ?? writer.unsupported(`.${mode}`);
  const two = writer.hold(run('v128.and', given, words(3)));
  return known.reduce(
    (others, selector, at) => choose(run('i32x4.eq', two, words(at)), words(selector), others),
    words(0),
  );
}

/** Four bytes of the eight of b:a, each chosen by four bits, of which the last repeats the sign. */
const permute: Emit = (writer, instruction) => {
  const [to, a, b, selector] = instruction.operands as [Operand, Operand, Operand, Operand];
  const { mode } = instruction.modifiers;
  const whole = writer.holdWide(wideOf(writer.hold(writer.word(a)), writer.hold(writer.word(b))));
  const given = writer.hold(writer.word(selector));
  const places = mode === undefined ? given : writer.hold(selectorOf(writer, mode, given));
  const chosen = writer.holdWide(wideOf(places, words(0)));
  const result = writer.eachLong([whole, chosen], (x, by) => {
    let value: Expression = i64(0n);
    for (let at = 0; at < 4; at++) {
      const nibble = run('i64.shr_u', by!, i64(BigInt(4 * at)));
      const place = run('i64.shl', run('i64.and', nibble, i64(7n)), i64(3n));
      const byte = writer.hold(run('i64.and', run('i64.shr_u', x!, place), i64(255n)));
      const sign = run('i64.sub', i64(0n), run('i64.shr_u', byte, i64(7n)));
      const isSign = run('i64.eqz', run('i64.and', nibble, i64(8n)));
      const used = run('i64.select', byte, run('i64.and', sign, i64(255n)), isSign);
      value = run('i64.or', value, run('i64.shl', used, i64(BigInt(8 * at))));
    }
    return value;
  });
  writer.setWord(to, lowWords(result));
};

/**
 * Products of the four bytes of two words, or of the halves of one and two bytes of the other, each word's
 * with a sign or without, added to a third.
 */
function partsProduct(leftBits: 8 | 16): Emit {
  return (writer, instruction) => {
    const [to, left, right, addend] = instruction.operands as [Operand, Operand, Operand, Operand];
    const part = (side: 0 | 1, word: Expression, bits: number, at: number): Expression => {
      const shift = instruction.types[side] === 's32' ? 'i32x4.shr_s' : 'i32x4.shr_u';
      return run(shift, run('i32x4.shl', word, i32(32 - bits * (at + 1))), i32(32 - bits));
    };
    const [a, b] = [left, right].map((operand) => writer.hold(writer.word(operand))) as [
      Expression,
      Expression,
    ];
    const first = instruction.modifiers.part === 'hi' ? 2 : 0;
    let sum = writer.word(addend);
    for (let at = 0; at < 32 / leftBits; at++)
      sum = run('i32x4.add', sum, run('i32x4.mul', part(0, a, leftBits, at), part(1, b, 8, first + at)));
    writer.setWord(to, sum);
  };
}

/**
 * Differences without their sign of the parts of two words, each part's in its place, or their sum added to a
 * third.
 */
function differencesOfParts(bits: 8 | 16): Emit {
  return (writer, instruction) => {
    const [to, left, right, addend] = instruction.operands as [Operand, Operand, Operand, Operand];
    const [result, ...types] = instruction.types as [PtxType, PtxType, PtxType];
    const { accumulate, sat } = instruction.modifiers;
    const inputs = [left, right].map((operand) => writer.hold(writer.word(operand)));
    let all = accumulate === undefined ? words(0) : writer.word(addend);
    for (let at = 0; at < 32 / bits; at++) {
      const [a, b] = inputs.map((word, side) =>
        writer.hold(
          run(
            ptxTypes[types[side]!].class === 'signed' ? 'i32x4.shr_s' : 'i32x4.shr_u',
            run('i32x4.shl', word, i32(32 - bits * (at + 1))),
            i32(32 - bits),
          ),
        ),
      ) as [Expression, Expression];
      const difference = run('i32x4.abs', run('i32x4.sub', a, b));
      const most = ptxTypes[result].class === 'signed' ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
      const held = sat === undefined ? difference : run('i32x4.min_u', difference, words(most));
      const own = accumulate === undefined ? run('v128.and', held, words(2 ** bits - 1)) : held;
      all =
        accumulate === undefined
          ? run('v128.or', all, run('i32x4.shl', own, i32(bits * at)))
          : run('i32x4.add', all, own);
    }
    writer.setWord(to, all);
  };
}

/** Ones from a place on, as many as given: of what is too large, what is inside, or the lower five bits. */
const maskOfBits: Emit = (writer, instruction) => {
  const [to, from, count] = instruction.operands as [Operand, Operand, Operand];
  const [place, width] = [from, count].map((each) => withinWord(writer, instruction, each)) as [Wide, Wide];
  const result = writer.eachLong([place, width], (at, wide) =>
    run('i64.shl', run('i64.sub', run('i64.shl', i64(1n), wide!), i64(1n)), at!),
  );
  writer.setWord(to, lowWords(result));
};

/** A count of bits as `.clamp` and `.wrap` have it, in 64 bits. */
function withinWord(writer: LaneWriter, { modifiers }: LaneInstruction, operand: Operand): Wide {
  const word = writer.word(operand);
  const used =
    modifiers.limit === 'wrap' ? run('v128.and', word, words(31)) : run('i32x4.min_u', word, words(32));
  return writer.holdWide(wideOf(writer.hold(used), words(0)));
}

/** The lowest bits of a word, as many as given, extended with their sign or with zeros. */
const extendBits: Emit = (writer, instruction) => {
  const [to, from, count] = instruction.operands as [Operand, Operand, Operand];
  const inputs = [extendedWide(writer, from, 'u32'), withinWord(writer, instruction, count)];
  const result = writer.eachLong(inputs, (x, wide) => {
    const unused = writer.hold(run('i64.sub', i64(64n), wide!));
    const extended = run(
      isSigned(instruction) ? 'i64.shr_s' : 'i64.shr_u',
      run('i64.shl', x!, unused),
      unused,
    );
    return run('i64.select', i64(0n), extended, run('i64.eqz', wide!));
  });
  writer.setWord(to, lowWords(result));
};

/**
 * The place of a one: the nth from a place on, upward or (below zero) downward, or the place itself (0).
 * Downward is upward in the reversed word.
 */
const findNth: Emit = (writer, instruction) => {
  const [to, from, base, nth] = instruction.operands as [Operand, Operand, Operand, Operand];
  const [word, place, offset] = [from, base, nth].map((each) => writer.hold(writer.word(each))) as [
    Expression,
    Expression,
    Expression,
  ];
  const isDown = writer.hold(run('i32x4.lt_s', offset, words(0)));
  const flipped = (value: Expression): Expression => run('i32x4.sub', words(31), value);
  const used = writer.hold(choose(isDown, reversed(writer, word), word));
  const start = writer.hold(choose(isDown, flipped(place), place));
  const fromStart = writer.eachWord([used, start], (x, at) =>
    run('i32.and', x!, run('i32.shl', i32(-1), at!)),
  );
  const count = writer.hold(run('i32x4.abs', offset));
  let left = fromStart;
  for (let gone = 1; gone < 32; gone++) {
    const next = run('v128.and', left, run('i32x4.sub', left, words(1)));
    left = writer.hold(choose(run('i32x4.gt_s', count, words(gone)), next, left));
  }
  const found = writer.eachWord([left], (x) => run('i32.ctz', x!));
  const isNone = run('i32x4.eq', left, words(0));
  const isElsewhere = run('v128.andnot', run('i32x4.eq', offset, words(0)), run('i32x4.eq', found, start));
  const isNowhere = run('v128.or', run('v128.or', isNone, isElsewhere), run('i32x4.gt_u', count, words(32)));
  writer.setWord(to, choose(isNowhere, words(-1), choose(isDown, flipped(found), found)));
};

export const integerRules = {
  add: sum('add'),
  sub: sum('sub'),
  mul: multiply,
  mad: multiplyAdd,
  mul24: narrowProduct(false),
  mad24: narrowProduct(true),
  div: division('div'),
  rem: division('rem'),
  abs: unary(
    (word) => run('i32x4.abs', word),
    (half) => run('i64x2.abs', half),
  ),
  neg: unary(
    (word) => run('i32x4.neg', word),
    (half) => run('i64x2.neg', half),
  ),
  min: extreme('min'),
  max: extreme('max'),
  sad: sumOfDifferences,
  and: bitwise('v128.and'),
  or: bitwise('v128.or'),
  xor: bitwise('v128.xor'),
  not: unary(
    (word) => run('v128.not', word),
    (half) => run('v128.not', half),
  ),
  cnot: unary(
    (word) => run('v128.and', run('i32x4.eq', word, words(0)), words(1)),
    (half) => run('v128.and', run('i64x2.eq', half, words(0)), longs(1n)),
  ),
  lop3: exchange,
  shl: shift('left'),
  shr: shift('right'),
  shf: funnel,
  bfe: extractField,
  bfi: insertField,
  bfind: findHighest,
  brev: reverse,
  clz: (writer, instruction) =>
    writer.setWord(
      instruction.operands[0]!,
      leadingZeros(writer, instruction.operands[1]!, bitsOf(instruction)),
    ),
  popc: countOnes,
  prmt: permute,
  dp4a: partsProduct(8),
  dp2a: partsProduct(16),
  vabsdiff2: differencesOfParts(16),
  vabsdiff4: differencesOfParts(8),
  addc: sum('add'),
  subc: sum('sub'),
  madc: multiplyAdd,
  fns: findNth,
  bmsk: maskOfBits,
  szext: extendBits,
} as const satisfies Readonly<Record<string, Emit>>;
