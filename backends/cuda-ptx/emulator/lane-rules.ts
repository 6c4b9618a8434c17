/** The code of every instruction that a lane runs by itself: one table, typed by the instructions. */
import type { Expression } from '../../wasm/code.ts';
import type { OpOfUnit } from '../instructions.ts';
import type { Operand } from '../ptx.ts';
import { type PtxType, ptxTypes } from '../ptx-types.ts';
import {
  both,
  choose,
  floats,
  highWords,
  i32,
  longs,
  lowWords,
  pairwise,
  run,
  type Wide,
  wideMask,
  wideOf,
  words,
} from './code-text.ts';
import { convert } from './lane-convert.ts';
import {
  asFloat32,
  compareFloats,
  type FloatComparison,
  floatRules,
  flushed,
  flushedHalf,
  halfToFloat,
  isFloat,
  packedOf,
} from './lane-floats.ts';
import { bitsOf, type Emit, extended, integerRules, lessLong } from './lane-integers.ts';
import { load, store, windowOf } from './lane-memory.ts';
import type { LaneWriter } from './lane-writer.ts';
import { rankShift, windows } from './layout.ts';
import type { LaneInstruction } from './steps.ts';

// ── comparison and choice ──────────────────────────────────────────────────────────────────────────────────

const unsignedNames: { readonly [name: string]: FloatComparison } = {
  lo: 'lt',
  ls: 'le',
  hi: 'gt',
  hs: 'ge',
};

function floatComparisonOf({ modifiers }: LaneInstruction): {
  readonly name: FloatComparison | 'num' | 'nan';
  /** Whether it holds where an operand is NaN. */
  readonly unordered: boolean;
} {
  const { comparison = 'eq' } = modifiers;
  const unordered = /^(equ|neu|ltu|leu|gtu|geu)$/.test(comparison);
  return {
    name: (unordered ? comparison.slice(0, -1) : comparison) as FloatComparison | 'num' | 'nan',
    unordered,
  };
}

/** The mask of lanes in which a comparison of two operands holds. */
function comparisonOf(writer: LaneWriter, instruction: LaneInstruction, type: PtxType): Expression {
  const [, left, right] = instruction.operands as [Operand, Operand, Operand];
  if (isFloat(type)) {
    const { name, unordered } = floatComparisonOf(instruction);
    if (type === 'f64')
      return narrowMask(
        pairwise(writer.wide(left), writer.wide(right), (a, b) =>
          compareFloats('f64x2', name, unordered, a, b),
        ),
      );
    const [a, b] = [left, right].map((each) => {
      const value = asFloat32(writer, writer.word(each), type);
      if (value === undefined) return writer.unsupported(`comparison of ${type}`);
      if (instruction.modifiers.ftz === undefined) return writer.hold(value);
      return type === 'f16' ? flushedHalf(writer, writer.hold(value)) : flushed(writer, value);
    });
    return compareFloats('f32x4', name, unordered, a!, b!);
  }
  const given = instruction.modifiers.comparison ?? 'eq';
  const isUnsignedName = Object.hasOwn(unsignedNames, given);
  const name = isUnsignedName ? unsignedNames[given]! : (given as FloatComparison);
  const signed = ptxTypes[type].class === 'signed' && !isUnsignedName;
  if (ptxTypes[type].bits === 64) {
    const compare = (a: Expression, b: Expression): Expression => {
      const results: { readonly [C in FloatComparison]: () => Expression } = {
        eq: () => run('i64x2.eq', a, b),
        ne: () => run('i64x2.ne', a, b),
        lt: () => lessLong(a, b, signed),
        gt: () => lessLong(b, a, signed),
        le: () => run('v128.not', lessLong(b, a, signed)),
        ge: () => run('v128.not', lessLong(a, b, signed)),
      };
      return results[name]();
    };
    return narrowMask(pairwise(writer.wide(left), writer.wide(right), compare));
  }
  const [a, b] = [extended(writer, left, type), extended(writer, right, type)];
  if (name === 'eq' || name === 'ne') return run(`i32x4.${name}`, a, b);
  return run(`i32x4.${name}_${signed ? 's' : 'u'}`, a, b);
}

/** A mask of 64-bit lanes as one of 32-bit lanes. */
function narrowMask(mask: Wide): Expression {
  return lowWords(mask);
}

function combined(writer: LaneWriter, instruction: LaneInstruction, mask: Expression): Expression {
  const [, , , other] = instruction.operands;
  const { combine } = instruction.modifiers;
  if (combine === undefined || other === undefined) return mask;
  return run(`v128.${combine as 'and' | 'or' | 'xor'}`, mask, writer.word(other));
}

/** The masks of lanes in which a comparison of the lower and of the upper halves of two operands holds. */
function comparisonsOfHalves(
  writer: LaneWriter,
  instruction: LaneInstruction,
  type: 'f16' | 'bf16',
): readonly [Expression, Expression] {
  const [, left, right] = instruction.operands as [Operand, Operand, Operand];
  const wholes = [left, right].map((each) => writer.hold(writer.word(each)));
  const { name, unordered } = floatComparisonOf(instruction);
  const compare = (part: (whole: Expression) => Expression): Expression => {
    const [a, b] = wholes.map((whole) => {
      const value = halfToFloat(writer, part(whole), type);
      return instruction.modifiers.ftz === undefined ? value : flushedHalf(writer, value);
    });
    return writer.hold(compareFloats('f32x4', name, unordered, a!, b!));
  };
  return [
    compare((whole) => run('v128.and', whole, words(0xffff))),
    compare((whole) => run('i32x4.shr_u', whole, i32(16))),
  ];
}

const setPredicate: Emit = (writer, instruction) => {
  const [to] = instruction.operands as [Operand];
  const half = packedOf[instruction.types[0]!];
  if (half !== undefined) {
    const masks = comparisonsOfHalves(writer, instruction, half).map((mask) =>
      writer.hold(combined(writer, instruction, mask)),
    );
    const [lower, upper]: readonly [Operand, Operand] =
      to.kind === 'pair' ? [to.first, to.second] : [to, { kind: 'sink' }];
    writer.setWord(lower, masks[0]!);
    writer.setWord(upper, masks[1]!);
    return;
  }
  const mask = writer.hold(comparisonOf(writer, instruction, instruction.types[0]!));
  if (to.kind !== 'pair') return writer.setWord(to, combined(writer, instruction, mask));
  const both = [mask, run('v128.not', mask)].map((each) => writer.hold(combined(writer, instruction, each)));
  writer.setWord(to.first, both[0]!);
  writer.setWord(to.second, both[1]!);
};

const setNumber: Emit = (writer, instruction) => {
  const [to] = instruction.operands as [Operand];
  const [target, source] = instruction.types as [PtxType, PtxType];
  const half = packedOf[source];
  if (half !== undefined) {
    const [lower, upper] = comparisonsOfHalves(writer, instruction, half).map((mask) =>
      writer.hold(combined(writer, instruction, mask)),
    ) as [Expression, Expression];
    // All ones, or the number one, in each half.
    const one = packedOf[target] === undefined ? 0xffff : oneOf[target]!;
    const place = (mask: Expression, by: number): Expression => run('v128.and', mask, words(one << by));
    writer.setWord(to, run('v128.or', place(lower, 0), place(upper, 16)));
    return;
  }
  const mask = combined(writer, instruction, writer.hold(comparisonOf(writer, instruction, source)));
  const ones = isFloat(target) ? oneOf[target] : 2 ** ptxTypes[target].bits - 1;
  if (ones === undefined || ptxTypes[target].bits > 32) writer.unsupported(`a result of ${target}`);
  else writer.setWord(to, run('v128.and', mask, words(ones | 0)));
};

/** The bits of the number one, of each half of a packed type. */
const oneOf: { readonly [T in PtxType]?: number } = {
  ...{ f32: 0x3f800000, f16: 0x3c00, bf16: 0x3f80 },
  ...{ f16x2: 0x3c00, bf16x2: 0x3f80 },
};

const select: Emit = (writer, instruction) => {
  const [to, yes, no, by] = instruction.operands as [Operand, Operand, Operand, Operand];
  chooseBy(writer, instruction, to, writer.hold(writer.word(by)), yes, no);
};

function chooseBy(
  writer: LaneWriter,
  instruction: LaneInstruction,
  to: Operand,
  mask: Expression,
  yes: Operand,
  no: Operand,
): void {
  if (bitsOf(instruction) !== 64) {
    writer.setWord(to, choose(mask, writer.word(yes), writer.word(no)));
    return;
  }
  const [a, b, masks] = [writer.wide(yes), writer.wide(no), wideMask(mask)];
  writer.setWide(to, {
    low: choose(masks.low, a.low, b.low),
    high: choose(masks.high, a.high, b.high),
  });
}

const selectBySign: Emit = (writer, instruction) => {
  const [to, yes, no, by] = instruction.operands as [Operand, Operand, Operand, Operand];
  const value = writer.word(by);
  const isFloatSign = instruction.types[1] === 'f32';
  const flush = instruction.modifiers.ftz !== undefined && isFloatSign ? flushed(writer, value) : value;
  const mask = isFloatSign ? run('f32x4.le', floats(0), flush) : run('i32x4.ge_s', value, words(0));
  chooseBy(writer, instruction, to, writer.hold(mask), yes, no);
};

// ── movement ───────────────────────────────────────────────────────────────────────────────────────────────

const move: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const bits = bitsOf(instruction);
  if (to.kind === 'vector') return unpack(writer, instruction, to.elements, from);
  if (from.kind === 'vector') return packInto(writer, instruction, to, from.elements);
  if (instruction.types[0] === 'pred' && from.kind === 'integer')
    return writer.setWord(to, words(from.value === 0n ? 0 : -1));
  if (bits === 64) writer.setWide(to, writer.wide(from));
  else writer.setWord(to, writer.word(from));
};

function packInto(
  writer: LaneWriter,
  instruction: LaneInstruction,
  to: Operand,
  parts: readonly Operand[],
): void {
  const bits = bitsOf(instruction);
  const own = bits / parts.length;
  const wordFrom = (some: readonly Operand[]): Expression =>
    some
      .map((part, at): Expression => {
        const word = writer.word(part);
        const cut = own < 32 ? run('v128.and', word, words(2 ** own - 1)) : word;
        return at === 0 ? cut : run('i32x4.shl', cut, i32(at * own));
      })
      .reduce((all, part) => run('v128.or', all, part));
  if (bits === 64) {
    const middle = parts.length / 2;
    const lower = writer.hold(wordFrom(parts.slice(0, middle)));
    writer.setWide(to, wideOf(lower, writer.hold(wordFrom(parts.slice(middle)))));
  } else if (bits <= 32) writer.setWord(to, wordFrom(parts));
  else writer.unsupported('128 bits');
}

function unpack(
  writer: LaneWriter,
  instruction: LaneInstruction,
  parts: readonly Operand[],
  from: Operand,
): void {
  const bits = bitsOf(instruction);
  if (bits > 64) writer.unsupported('128 bits');
  const own = bits / parts.length;
  const wholes =
    bits === 64
      ? [lowWords(writer.wide(from)), highWords(writer.wide(from))].map((each) => writer.hold(each))
      : [writer.hold(writer.word(from))];
  parts.forEach((part, at) => {
    const place = at * own;
    const whole = wholes[Math.floor(place / 32)]!;
    const shifted = place % 32 === 0 ? whole : run('i32x4.shr_u', whole, i32(place % 32));
    writer.setWord(part, own < 32 ? run('v128.and', shifted, words(2 ** own - 1)) : shifted);
  });
}

const convertAddress: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const window = windowOf(instruction.modifiers.space);
  if (window === undefined) return writer.unsupported('no window');
  const value = bitsOf(instruction) === 64 ? writer.wide(from) : writer.unsupported('32 bits');
  // A global address is the same in its own window, so that a wrong one is found out where it is used.
  if (window === 'global') writer.setWide(to, value);
  else if (instruction.modifiers.to !== undefined)
    writer.setWide(
      to,
      both(value, (half) => run('v128.and', half, longs(0xffffffffn))),
    );
  else
    writer.setWide(
      to,
      both(value, (half) => run('v128.or', half, longs(BigInt(windows[window]) << 32n))),
    );
};

const isInWindow: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const window = windowOf(instruction.modifiers.space);
  if (window === undefined) return writer.unsupported('no window');
  writer.setWord(to, run('i32x4.eq', highWords(writer.wide(from)), words(windows[window])));
};

const mapToRank: Emit = (writer, instruction) => {
  const [to, from, rank] = instruction.operands as [Operand, Operand, Operand];
  const place = run('v128.and', writer.word(from), words(2 ** rankShift - 1));
  const mapped = run('v128.or', place, run('i32x4.shl', writer.word(rank), i32(rankShift)));
  if (bitsOf(instruction) !== 64) return writer.setWord(to, mapped);
  const isGeneric = instruction.modifiers.space === undefined;
  writer.setWide(to, wideOf(writer.hold(mapped), words(isGeneric ? windows.shared : 0)));
};

/** What it says is about speed only: any number does. */
const makePolicy: Emit = (writer, { operands: [to] }) => {
  writer.setWide(to!, { low: words(0), high: words(0) });
};

// ── the table ──────────────────────────────────────────────────────────────────────────────────────────────

/** Instructions that are of integers or of floats by their type. */
function byType(integers: Emit, ofFloats: Emit): Emit {
  return (writer, instruction) => (isFloat(instruction.types[0]!) ? ofFloats : integers)(writer, instruction);
}

export const laneRules: { readonly [O in OpOfUnit<'lane'>]: Emit } = {
  ...integerRules,
  ...floatRules,
  add: byType(integerRules.add, floatRules.add),
  sub: byType(integerRules.sub, floatRules.sub),
  mul: byType(integerRules.mul, floatRules.mul),
  mad: byType(integerRules.mad, floatRules.mad),
  div: byType(integerRules.div, floatRules.div),
  abs: byType(integerRules.abs, floatRules.abs),
  neg: byType(integerRules.neg, floatRules.neg),
  min: byType(integerRules.min, floatRules.min),
  max: byType(integerRules.max, floatRules.max),
  setp: setPredicate,
  set: setNumber,
  selp: select,
  slct: selectBySign,
  mov: move,
  cvta: convertAddress,
  cvt: convert,
  isspacep: isInWindow,
  mapa: mapToRank,
  ld: load,
  ldu: load,
  st: store,
  'createpolicy.fractional': makePolicy,
  'createpolicy.range': makePolicy,
};
