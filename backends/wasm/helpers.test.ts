/** Helpers over the whole of f32: within what the error bounds grant them, and a planted fault is seen. */
import { setFlagsFromString } from 'node:v8';
import { describe, expect, test } from 'vitest';
import { errorBound } from '../../compiler/graph/error-bound.ts';
import { float64 } from '../../compiler/graph/float64.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { threefry2x32 } from '../../compiler/graph/threefry.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { FunctionCode } from './code.ts';
import { encodeModule } from './encode.ts';
import { type HelperName, helperArity, helperFunction, helperNames } from './helpers.ts';
import { literal } from './values.ts';
import { Writer } from './writer.ts';

// Node 20 has relaxed SIMD behind a flag.
setFlagsFromString('--experimental-wasm-relaxed-simd');

/** Calls a helper on vectors in memory: `count` at once, operands and results side by side. */
function driver(name: HelperName): FunctionCode {
  const arity = helperArity(name);
  const writer = new Writer(['i32', 'i32']);
  const [bytes, end] = [writer.parameter(0, 'i32'), writer.parameter(1, 'i32')];
  writer.loop(literal(0, 'i32'), end, 16, (place) => {
    const at = (array: number) =>
      writer.instruction('i32.add', 'i32', [
        place,
        writer.instruction('i32.mul', 'i32', [bytes, literal(array, 'i32')]),
      ]);
    const operands = Array.from({ length: arity }, (_, array) =>
      writer.instruction('v128.load', 'f32', [at(array)]),
    );
    writer.do('v128.store', [at(arity), writer.call(name, 'f32', 'v128', operands)]);
  });
  const { locals, body } = writer.render();
  return { name: 'drive', parameters: ['i32', 'i32'], result: undefined, locals, body, exported: true };
}

type Change = (code: FunctionCode) => FunctionCode;
const unchanged: Change = (code) => code;

/** The helper's results as words. */
function results(
  name: HelperName,
  operands: readonly Uint32Array[],
  change = unchanged,
  relaxed = false,
): Uint32Array {
  const count = Math.ceil(operands[0]!.length / 4) * 4;
  const module = new WebAssembly.Module(
    encodeModule({ functions: [change(helperFunction(name, relaxed)), driver(name)] }),
  );
  const pages = Math.ceil((4 * count * (operands.length + 1)) / 65_536) + 1;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const words = new Uint32Array(memory.buffer);
  for (const [array, given] of operands.entries()) words.set(given, array * count);
  const { exports } = new WebAssembly.Instance(module, { runtime: { memory } });
  (exports.drive as (bytes: number, end: number) => void)(4 * count, 4 * count);
  return words.slice(operands.length * count, operands.length * count + operands[0]!.length);
}

function floatsOf(words: Uint32Array): Float32Array {
  return new Float32Array(words.buffer);
}

function wordsOf(values: readonly number[]): Uint32Array {
  return new Uint32Array(Float32Array.from(values).buffer);
}

/** Every exponent and sign, mantissas all over; and the numbers that are special. */
const samples: readonly number[] = (() => {
  const words = Array.from({ length: 2 ** 16 }, (_, at) => (at << 16) | ((at * 40_503) & 0xffff));
  const special = [0, -0, 1, -1, 0.5, 88.7, 88.8, -87.4, -103, -104, -200, 1e7, 10, -10];
  return [...floatsOf(Uint32Array.from(words)), ...special.map(Math.fround)];
})();

type Unary = 'exp' | 'log' | 'tanh' | 'sin' | 'cos' | 'erf' | 'sign';
const unaries: readonly Unary[] = ['exp', 'log', 'tanh', 'sin', 'cos', 'erf', 'sign'];

/** A value of which what is granted is not kept; undefined: there is none. */
function faultOf(name: Unary, change = unchanged, relaxed = false): string | undefined {
  const found = floatsOf(results(name, [wordsOf(samples)], change, relaxed));
  const bound = errorBound();
  for (const [place, x] of samples.entries()) {
    const wanted = float64.functions[name](x);
    const got = found[place]!;
    // A sine of what is beyond all angles is one of some angle; and who asks for that of no number gets none.
    const { error } = bound.functions[name](bound.constant(x));
    const isNumber = !Number.isNaN(wanted);
    const isKept =
      Object.is(got, wanted) ||
      got === wanted ||
      (isNumber
        ? Math.abs(got - Math.fround(wanted)) <= error || Math.fround(wanted) === got
        : Number.isNaN(got));
    if (!isKept) return `${name}(${x}) is ${wanted}, and was ${got}, off by more than ${error}`;
  }
  return undefined;
}

/** The constants of a function that are not integers, each made larger by its thousandth. */
const shaken: Change = (code) =>
  JSON.parse(JSON.stringify(code), (_, value: unknown) => {
    const isVector = typeof value === 'object' && value !== null && 'words' in value;
    if (!isVector) return value;
    const words = (value as { readonly words: readonly number[] }).words;
    const float = floatsOf(Uint32Array.from(words, (word) => word >>> 0))[0]!;
    const isCoefficient = Math.abs(float) > 1e-3 && Math.abs(float) < 2 && !Number.isInteger(float);
    if (!isCoefficient) return value;
    return { ...value, words: [...new Int32Array(Float32Array.from(words, () => float * 1.001).buffer)] };
  }) as FunctionCode;

test.each(unaries)('%s is as exact as granted', (name) => {
  expect(faultOf(name)).toBeUndefined();
  expect(faultOf(name, unchanged, true)).toBeUndefined();
});

test.each(unaries.filter((name) => name !== 'sign'))('%s with wrong coefficients is seen', (name) => {
  expect(faultOf(name, shaken)).toBeDefined();
});

test('powers are as exact as granted', () => {
  const exponents = [
    0,
    1,
    -1,
    2,
    3,
    -3,
    0.5,
    2.5,
    -0.25,
    7,
    16_777_216,
    Number.POSITIVE_INFINITY,
    Number.NaN,
  ];
  const bases = [
    0,
    -0,
    1,
    -1,
    2,
    -2,
    0.1,
    -0.1,
    3.7,
    -3.7,
    1e-30,
    1e30,
    Number.POSITIVE_INFINITY,
    Number.NaN,
  ];
  const pairs = bases.flatMap((base) => exponents.map((exponent) => [Math.fround(base), exponent] as const));
  const bound = errorBound();
  const fault = (change?: Change, relaxed = false) => {
    const operands = [0, 1].map((at) => wordsOf(pairs.map((pair) => pair[at as 0 | 1])));
    const found = floatsOf(results('pow', operands, change, relaxed));
    return pairs.find(([base, exponent], place) => {
      const wanted = float64.functions.pow(base, exponent);
      const got = found[place]!;
      const { error } = bound.functions.pow(bound.constant(base), bound.constant(exponent));
      if (Number.isNaN(wanted)) return !Number.isNaN(got);
      // Beyond f32 there is infinity.
      return got !== Math.fround(wanted) && !(Math.abs(got - wanted) <= error);
    });
  };
  expect(fault()).toBeUndefined();
  expect(fault(unchanged, true)).toBeUndefined();
  expect(fault(shaken)).toBeDefined();
});

describe('random numbers', () => {
  const keys = Uint32Array.from({ length: 64 }, (_, at) => at * 0x9e3779b9);
  const others = Uint32Array.from({ length: 64 }, (_, at) => at * 0x85ebca6b + 7);
  test.each([0, 1] as const)('word %i is threefry', (word) => {
    const found = results(`threefry${word}`, [keys, others, others, keys]);
    const wanted = keys.map((key, at) => threefry2x32(key, others[at]!, others[at]!, key)[word]);
    expect(found).toEqual(wanted);
    const swapped = results(`threefry${word}`, [others, keys, others, keys]);
    expect(swapped).not.toEqual(wanted);
  });
});

const narrow = ['f16', 'f8e4m3', 'f8e5m2'] as const;

test.each(narrow)('what %s holds comes out as it went in, and all else as rounded', (dtype) => {
  const bits = Uint32Array.from({ length: dtype === 'f16' ? 65_536 : 256 }, (_, at) => at);
  const values = results(`${dtype}_value`, [bits]);
  const back = results(`${dtype}_bits`, [values]);
  const numbers = floatsOf(values);
  for (const [at, word] of bits.entries())
    if (!Number.isNaN(numbers[at]!)) expect(back[at], `${word}`).toBe(word);
  const given = [...samples, ...betweenNeighbours(numbers)];
  const through = (change?: Change) =>
    floatsOf(results(`${dtype}_value`, [results(`${dtype}_bits`, [wordsOf(given)], change)]));
  expect(firstUnlike(dtype, given, through())).toBeUndefined();
  expect(firstUnlike(dtype, given, through(unrounded))).toBeDefined();
});

/** What is as far from one as from the other. */
function betweenNeighbours(numbers: Float32Array): number[] {
  const finite = [...numbers].filter(Number.isFinite).sort((left, right) => left - right);
  return finite.slice(1).map((number, at) => (number + finite[at]!) / 2);
}

/** Takes off what was to be added for rounding. */
const unrounded: Change = (code) =>
  JSON.parse(JSON.stringify(code).replaceAll('"name":"i32x4.add"', '"name":"i32x4.sub"')) as FunctionCode;

test('bf16 is the upper half, rounded to even', () => {
  const found = results('bf16_bits', [wordsOf(samples)]).map((half) => half << 16);
  expect(firstUnlike('bf16', samples, floatsOf(found))).toBeUndefined();
  const wrong = results('bf16_bits', [wordsOf(samples)], unrounded).map((half) => half << 16);
  expect(firstUnlike('bf16', samples, floatsOf(wrong))).toBeDefined();
});

function firstUnlike(dtype: Dtype, given: readonly number[], found: Float32Array): number | undefined {
  return given.find((value, place) => !Object.is(found[place]! + 0, Math.fround(roundTo(dtype, value)) + 0));
}

test('every helper has a test here', () => {
  const tested = [
    ...unaries,
    'pow',
    'threefry0',
    'threefry1',
    'bf16_bits',
    ...narrow.flatMap((dtype) => [`${dtype}_bits`, `${dtype}_value`]),
  ];
  expect([...helperNames].sort()).toEqual(tested.sort());
});
