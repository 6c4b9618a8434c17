/** Operations on values that are there already: literals, four of one, one of four. */
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import type { Expression } from './code.ts';
import type { InstructionName } from './instructions.ts';
import type { Value, Writer } from './writer.ts';

export function floatBits(value: number): number {
  return new Int32Array(new Float32Array([value]).buffer)[0] ?? 0;
}

export function literal(value: number, dtype: Arithmetic): Value {
  if (dtype === 'f32') {
    const code: Expression = { kind: 'f32', value: Math.fround(value) };
    return { key: `f${floatBits(value)}`, dtype, width: 1, depth: 0, code };
  }
  const whole = dtype === 'bool' ? Number(value !== 0) : value | 0;
  return { key: `#${whole}`, dtype, width: 1, depth: 0, code: { kind: 'i32', value: whole } };
}

/** Four times one word. */
export function vectorLiteral(word: number, dtype: Arithmetic): Value {
  const bits = word | 0;
  const code: Expression = { kind: 'v128', words: [bits, bits, bits, bits] };
  return { key: `w${bits}`, dtype, width: 4, depth: 0, code };
}

/** The number that a value always is, of integers and bools; of four, where they are the same. */
export function knownInteger({ code }: Value): number | undefined {
  if (code.kind !== 'v128') return code.kind === 'i32' ? code.value : undefined;
  const [word] = code.words;
  return code.words.every((other) => other === word) ? word : undefined;
}

/** What adds and compares values of a type: f32, or whole words. */
export function lanesOf(dtype: Arithmetic): 'f32' | 'i32' {
  return dtype === 'f32' ? 'f32' : 'i32';
}

/** `f32x4.add` of add, by the type and the width. */
export function named(operation: string, dtype: Arithmetic, width: 1 | 4): InstructionName {
  return `${lanesOf(dtype)}${width === 4 ? 'x4' : ''}.${operation}` as InstructionName;
}

export function widen(writer: Writer, value: Value, width: 1 | 4): Value {
  if (value.width === width) return value;
  const { dtype, code, source } = value;
  if (code.kind === 'f32') return vectorLiteral(floatBits(code.value), dtype);
  if (code.kind === 'i32') return vectorLiteral(dtype === 'bool' ? -code.value : code.value, dtype);
  if (source !== undefined && !source.fixed && (source.name === 'f32.load' || source.name === 'i32.load'))
    return writer.instruction('v128.load32_splat', dtype, source.operands, { offset: source.offset });
  if (dtype === 'bool') {
    const mask = writer.instruction('i32.sub', 'bool', [literal(0, 'i32'), value]);
    return writer.instruction('i32x4.splat', 'bool', [mask]);
  }
  return writer.instruction(named('splat', dtype, 4), dtype, [value]);
}

/** One of four, or the scalar itself. */
export function component(writer: Writer, value: Value, lane: number): Value {
  if (value.width === 1) return value;
  const { dtype, code } = value;
  if (code.kind === 'v128') {
    const word = code.words[lane]!;
    if (dtype === 'f32') return literal(new Float32Array(new Int32Array([word]).buffer)[0] ?? 0, dtype);
    return literal(word, dtype);
  }
  const one = writer.instruction(named('extract_lane', dtype, 4), dtype, [value], { lane });
  return dtype === 'bool' ? writer.instruction('i32.and', 'bool', [one, literal(1, 'i32')]) : one;
}

/** A lane of a vector in all four places. */
export function broadcast(writer: Writer, value: Value, lane: number): Value {
  if (value.width === 1) return widen(writer, value, 4);
  return writer.shuffle(value, value, [lane, lane, lane, lane]);
}

/** A vector of four scalars. */
export function compose(writer: Writer, parts: readonly Value[]): Value {
  const [first, ...rest] = parts;
  const dtype = first!.dtype;
  if (parts.every((part) => part.key === first!.key)) return widen(writer, first!, 4);
  const inMemory = composeLoads(writer, parts);
  if (inMemory !== undefined) return inMemory;
  const words = dtype === 'bool' ? 'i32' : dtype;
  const start = widen(writer, { ...first!, dtype: words }, 4);
  const whole = rest.reduce(
    (vector, part, at) =>
      writer.instruction(named('replace_lane', words, 4), words, [vector, { ...part, dtype: words }], {
        lane: at + 1,
      }),
    start,
  );
  return dtype === 'bool' ? writer.instruction('i32x4.ne', 'bool', [whole, vectorLiteral(0, 'i32')]) : whole;
}

/** Four words from anywhere in memory, without a detour over scalars. */
function composeLoads(writer: Writer, parts: readonly Value[]): Value | undefined {
  const sources = parts.flatMap(({ source, dtype }) =>
    source !== undefined &&
    !source.fixed &&
    dtype !== 'bool' &&
    (source.name === 'f32.load' || source.name === 'i32.load')
      ? [source]
      : [],
  );
  if (sources.length < parts.length) return undefined;
  const { dtype } = parts[0]!;
  const [first, ...rest] = sources;
  const start = writer.instruction('v128.load32_zero', dtype, first!.operands, { offset: first!.offset });
  return rest.reduce(
    (vector, { operands, offset }, at) =>
      writer.instruction('v128.load32_lane', dtype, [operands[0]!, vector], { offset, lane: at + 1 }),
    start,
  );
}

/** The i-th results have the i-th elements of all four. */
export function transpose(writer: Writer, four: readonly Value[]): [Value, Value, Value, Value] {
  const [a, b, c, d] = four as [Value, Value, Value, Value];
  const [low, high] = [writer.shuffle(a, b, [0, 4, 1, 5]), writer.shuffle(a, b, [2, 6, 3, 7])];
  const [lower, higher] = [writer.shuffle(c, d, [0, 4, 1, 5]), writer.shuffle(c, d, [2, 6, 3, 7])];
  return [
    writer.shuffle(low, lower, [0, 1, 4, 5]),
    writer.shuffle(low, lower, [2, 3, 6, 7]),
    writer.shuffle(high, higher, [0, 1, 4, 5]),
    writer.shuffle(high, higher, [2, 3, 6, 7]),
  ];
}
