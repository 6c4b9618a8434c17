/** The code of `cvt`: from each class of types to each. */
import type { Expression } from '../../wasm/code.ts';
import type { InstructionName } from '../../wasm/instructions.ts';
import type { Operand } from '../ptx.ts';
import { type PtxType, ptxTypes } from '../ptx-types.ts';
import {
  both,
  choose,
  doubles,
  highWords,
  i32,
  longs,
  lowWords,
  pairwise,
  run,
  shuffle,
  type Wide,
  wideOf,
  words,
} from './code-text.ts';
import {
  asDoubles,
  canonical,
  exactly,
  floatToHalf,
  flushed,
  fromDoubles,
  isFloat,
  oddSum,
  saturated,
  wordAsDoubles,
} from './lane-floats.ts';
import { clampWide, type Emit, extended, extendedWide, setNarrow } from './lane-integers.ts';
import type { LaneWriter } from './lane-writer.ts';
import type { Rounding } from './soft-float.ts';
import type { LaneInstruction } from './steps.ts';

const roundings: { readonly [rounding: string]: 'nearest' | 'trunc' | 'floor' | 'ceil' } = {
  rni: 'nearest',
  rzi: 'trunc',
  rmi: 'floor',
  rpi: 'ceil',
};

/** The least and the largest number of an integer type. */
function rangeOf(type: PtxType): readonly [bigint, bigint] {
  const { bits, class: typeClass } = ptxTypes[type];
  const most = 1n << BigInt(bits);
  return typeClass === 'signed' ? [-most / 2n, most / 2n - 1n] : [0n, most - 1n];
}

const integerToInteger: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const [target, source] = instruction.types as [PtxType, PtxType];
  const { bits } = ptxTypes[target];
  if (instruction.modifiers.sat === undefined) {
    if (bits === 64) writer.setWide(to, extendedWide(writer, from, source));
    else setSigned(writer, to, extended(writer, from, source), target);
    return;
  }
  const [least, most] = rangeOf(target);
  if (bits === 64 || source === 'u64') return writer.unsupported('.sat of 64 bits');
  const value = clampWide(writer, extendedWide(writer, from, source), least, most);
  setSigned(writer, to, lowWords(value), target);
};

/** Into a register that is wider than the type the value is extended as the type is. */
function setSigned(writer: LaneWriter, to: Operand, value: Expression, type: PtxType): void {
  const { bits, class: typeClass } = ptxTypes[type];
  const room = to.kind === 'register' ? ptxTypes[to.register.type].bits : bits;
  if (typeClass !== 'signed' || room <= bits) {
    setNarrow(writer, to, value, bits);
    return;
  }
  const shift = i32(32 - bits);
  const whole = writer.hold(run('i32x4.shr_s', run('i32x4.shl', value, shift), shift));
  if (room === 64) writer.setWide(to, wideOf(whole, writer.hold(run('i32x4.shr_s', whole, i32(31)))));
  else setNarrow(writer, to, whole, room);
}

const integerToFloat: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const [target, source] = instruction.types as [PtxType, PtxType];
  const { bits, class: typeClass } = ptxTypes[source];
  const { rounding = 'rn' } = instruction.modifiers;
  const letter = typeClass === 'signed' ? 's' : 'u';
  if (bits < 64) {
    const word = writer.hold(extended(writer, from, source));
    if (target === 'f32' && rounding === 'rn') {
      writer.setWord(to, run(`f32x4.convert_i32x4_${letter}`, word));
      return;
    }
    const upper = shuffle(word, word, [2, 3, 2, 3]);
    const exact: Wide = {
      low: writer.hold(run(`f64x2.convert_low_i32x4_${letter}`, word)),
      high: writer.hold(run(`f64x2.convert_low_i32x4_${letter}`, upper)),
    };
    if (target === 'f64') writer.setWide(to, exact);
    else writer.setWord(to, fromDoubles(writer, exact, target, instruction.modifiers));
    return;
  }
  const wide = writer.wide(from);
  if (rounding !== 'rn' || (target !== 'f64' && target !== 'f32')) {
    const parts = partsOfLong(writer, wide, letter);
    if (target === 'f64')
      writer.setWide(to, exactly(writer, 'add', 'f64', rounding as Rounding, [parts.upper, parts.lower]));
    else {
      const odd = pairwise(parts.upper, parts.lower, (x, y) => oddSum(writer, x, y));
      writer.setWord(to, fromDoubles(writer, odd, target, instruction.modifiers));
    }
    return;
  }
  if (target === 'f64')
    writer.setWide(
      to,
      eachOf(writer, wide, (x) => run(`f64.convert_i64_${letter}`, x)),
    );
  else
    writer.setWord(
      to,
      eachAsFloat(writer, wide, (x) => run(`f32.convert_i64_${letter}`, x)),
    );
};

/** Two doubles whose sum an integer of 64 bits is. */
function partsOfLong(
  writer: LaneWriter,
  wide: Wide,
  letter: 's' | 'u',
): { readonly upper: Wide; readonly lower: Wide } {
  const converted = (word: Expression, sign: 's' | 'u', scale: number): Wide => {
    const held = writer.hold(word);
    return both({ low: held, high: shuffle(held, held, [2, 3, 2, 3]) }, (half) =>
      writer.hold(run('f64x2.mul', run(`f64x2.convert_low_i32x4_${sign}`, half), doubles(scale))),
    );
  };
  return {
    upper: converted(highWords(wide), letter, 2 ** 32),
    lower: converted(lowWords(wide), 'u', 1),
  };
}

/** Each long as a double. */
function eachOf(writer: LaneWriter, value: Wide, one: (x: Expression) => Expression): Wide {
  return both(value, (half) => {
    let result = words(0);
    for (let lane = 0; lane < 2; lane++)
      result = {
        kind: 'instruction',
        name: 'f64x2.replace_lane',
        operands: [result, one({ kind: 'instruction', name: 'i64x2.extract_lane', operands: [half], lane })],
        lane,
      };
    return writer.hold(result);
  });
}

function eachAsFloat(writer: LaneWriter, value: Wide, one: (x: Expression) => Expression): Expression {
  let result = words(0);
  for (let lane = 0; lane < 4; lane++) {
    const half = lane < 2 ? value.low : value.high;
    const own: Expression = {
      kind: 'instruction',
      name: 'i64x2.extract_lane',
      operands: [half],
      lane: lane % 2,
    };
    result = { kind: 'instruction', name: 'f32x4.replace_lane', operands: [result, one(own)], lane };
  }
  return writer.hold(result);
}

/**
 * Out of range is the nearest number that there is. NaN is 0, or of f64 and to 64 bits the number with the
 * highest bit alone (PTX ISA 8.x, `cvt`).
 */
const floatToInteger: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const [target, source] = instruction.types as [PtxType, PtxType];
  const { bits, class: typeClass } = ptxTypes[target];
  const rounding = roundings[instruction.modifiers.rounding ?? 'rzi'];
  if (rounding === undefined) return writer.unsupported(`.${instruction.modifiers.rounding} to an integer`);
  const letter = typeClass === 'signed' ? 's' : 'u';
  const values =
    source === 'f32' && instruction.modifiers.ftz !== undefined
      ? wordAsDoubles(writer, flushed(writer, writer.word(from)), 'f32')
      : asDoubles(writer, from, source);
  const whole = both(values, (half) => writer.hold(run(`f64x2.${rounding}`, half)));
  const highest = 1n << BigInt(bits - 1);
  const isNumber = (half: Expression): Expression => run('f64x2.eq', half, half);
  if (bits === 64) {
    writer.setWide(
      to,
      both(whole, (half) => {
        let result = words(0);
        for (let lane = 0; lane < 2; lane++) {
          const own: Expression = {
            kind: 'instruction',
            name: 'f64x2.extract_lane',
            operands: [half],
            lane,
          };
          const long = run(`i64.trunc_sat_f64_${letter}`, own);
          result = { kind: 'instruction', name: 'i64x2.replace_lane', operands: [result, long], lane };
        }
        return writer.hold(choose(isNumber(half), result, longs(highest)));
      }),
    );
    return;
  }
  const name: InstructionName = `i32x4.trunc_sat_f64x2_${letter}_zero`;
  let value = writer.hold(shuffle(run(name, whole.low), run(name, whole.high), [0, 1, 4, 5]));
  if (bits < 32) {
    const [least, most] = rangeOf(target).map((bound) => words(Number(bound)));
    value = run(`i32x4.max_${letter}`, run(`i32x4.min_${letter}`, value, most!), least!);
  }
  if (source === 'f64') {
    const areNumbers = lowWords(both(whole, isNumber));
    value = choose(areNumbers, value, words(Number(BigInt.asIntN(32, highest))));
  }
  setSigned(writer, to, writer.hold(value), target);
};

const packedParts: { readonly [T in PtxType]?: PtxType } = {
  f16x2: 'f16',
  bf16x2: 'bf16',
  e4m3x2: 'e4m3',
  e5m2x2: 'e5m2',
};

/** The first operand becomes the upper half, the second the lower; or halves become halves. */
const packs: Emit = (writer, instruction) => {
  const [to, first, second] = instruction.operands as [Operand, Operand, Operand?];
  const [target, source] = instruction.types as [PtxType, PtxType];
  const part = packedParts[target]!;
  const { bits } = ptxTypes[part];
  const pack = (lower: Expression, upper: Expression): void =>
    writer.setWord(to, run('v128.or', lower, run('i32x4.shl', upper, i32(bits))));
  const fromFloat = (operand: Operand): Expression =>
    narrowOf(writer, writer.word(operand), part, instruction);
  const sourcePart = packedParts[source];
  if (sourcePart === undefined) {
    if (second === undefined) return writer.unsupported('one operand');
    pack(fromFloat(second), fromFloat(first));
    return;
  }
  const sourceBits = ptxTypes[sourcePart].bits;
  const word = writer.hold(writer.word(first));
  const lower = run('v128.and', word, words(2 ** sourceBits - 1));
  const upper = run('i32x4.shr_u', word, i32(sourceBits));
  const convert = (bitsOfPart: Expression): Expression =>
    fromDoubles(writer, wordAsDoubles(writer, bitsOfPart, sourcePart), part, instruction.modifiers);
  pack(convert(lower), convert(upper));
};

/** f32 to a narrower format: to the nearest of 16 bits without the host. */
function narrowOf(
  writer: LaneWriter,
  word: Expression,
  type: PtxType,
  { modifiers }: LaneInstruction,
): Expression {
  const { rounding = 'rn', relu, sat } = modifiers;
  const isPlain = rounding === 'rn' && relu === undefined && sat === undefined;
  if (isPlain && (type === 'f16' || type === 'bf16')) return floatToHalf(writer, word, type);
  return fromDoubles(writer, wordAsDoubles(writer, word, 'f32'), type, modifiers);
}

const floatToFloat: Emit = (writer, instruction) => {
  const [to, from] = instruction.operands as [Operand, Operand];
  const [target, source] = instruction.types as [PtxType, PtxType];
  if (packedParts[target] !== undefined) return packs(writer, instruction);
  const { rounding, ftz, sat } = instruction.modifiers;
  const integral = roundings[rounding ?? ''];
  const flushes = ftz !== undefined;
  if (target === 'f64') {
    const value = asDoubles(writer, from, source);
    writer.setWide(
      to,
      both(value, (half) => {
        const whole = integral === undefined ? half : run(`f64x2.${integral}`, half);
        return sat === undefined ? whole : run('f64x2.max', run('f64x2.min', whole, doubles(1)), doubles(0));
      }),
    );
    return;
  }
  if (target === 'f32' && source === 'f32') {
    const word = flushes ? flushed(writer, writer.word(from)) : writer.word(from);
    const value = integral === undefined ? word : run(`f32x4.${integral}`, word);
    writer.setWord(to, sat === 'sat' ? saturated(writer, value) : canonical(writer, value));
    return;
  }
  if (source === 'f32' && integral === undefined && sat !== 'sat') {
    const word = flushes ? flushed(writer, writer.word(from)) : writer.word(from);
    writer.setWord(to, narrowOf(writer, word, target, instruction));
    return;
  }
  let value = asDoubles(writer, from, source);
  if (integral !== undefined) value = both(value, (half) => writer.hold(run(`f64x2.${integral}`, half)));
  if (sat === 'sat')
    value = both(value, (half) =>
      writer.hold(run('f64x2.max', run('f64x2.min', half, doubles(1)), doubles(0))),
    );
  const modifiers =
    integral === undefined ? instruction.modifiers : { ...instruction.modifiers, rounding: 'rn' };
  const bits = fromDoubles(writer, value, target, modifiers);
  writer.setWord(to, target === 'f32' && flushes ? flushed(writer, bits) : bits);
};

export const convert: Emit = (writer, instruction) => {
  const [target, source] = instruction.types as [PtxType, PtxType];
  if (isFloat(target)) (isFloat(source) ? floatToFloat : integerToFloat)(writer, instruction);
  else (isFloat(source) ? floatToInteger : integerToInteger)(writer, instruction);
};
