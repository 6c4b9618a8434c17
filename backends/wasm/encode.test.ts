import { setFlagsFromString } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Expression, FunctionCode } from './code.ts';
import { encodeModule, signed } from './encode.ts';
import { type InstructionName, instructions, unsigned, type ValueType } from './instructions.ts';
import { printModule } from './print.ts';
import { Writer } from './writer.ts';

const names = Object.keys(instructions) as InstructionName[];

/** A function that runs one instruction on its parameters. */
function functionOf(name: InstructionName): FunctionCode {
  const { operands, result, immediate } = instructions[name];
  const expression: Expression = {
    kind: 'instruction',
    name,
    operands: operands.map((type, local) => ({ kind: 'local', local, type })),
    ...(immediate === 'lane' || immediate === 'memoryLane' ? { lane: 0 } : {}),
    ...(immediate === 'memory' ? { offset: 300 } : {}),
  };
  return {
    name: 'one',
    parameters: operands,
    result: result === undefined ? undefined : expression,
    locals: [],
    body: result === undefined ? [{ kind: 'do', expression }] : [],
    exported: true,
  };
}

/** With the text that `text` gives, or as it is. */
function isValid(code: FunctionCode): boolean {
  return WebAssembly.validate(encodeModule({ functions: [code] }));
}

// Node 20 has relaxed SIMD behind a flag.
setFlagsFromString('--experimental-wasm-relaxed-simd');

describe('every instruction', () => {
  test.each(names)('%s has the types of the table', (name) => {
    expect(isValid(functionOf(name))).toBe(true);
  });

  test('and no others: a wrong type is not valid', () => {
    const other: { readonly [T in ValueType]: ValueType } = {
      i32: 'i64',
      i64: 'f32',
      f32: 'f64',
      f64: 'v128',
      v128: 'i32',
    };
    for (const name of names) {
      const code = functionOf(name);
      const [first, ...rest] = code.parameters;
      expect(isValid({ ...code, parameters: [other[first!], ...rest] }), name).toBe(false);
    }
  });
});

/** The value of a module's only function, for i32 operands. */
function run(code: FunctionCode, ...given: number[]): unknown {
  const module = new WebAssembly.Module(encodeModule({ functions: [code] }));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { exports } = new WebAssembly.Instance(module, { runtime: { memory } });
  return (exports[code.name] as (...given: number[]) => unknown)(...given);
}

function constantFunction(result: Expression): FunctionCode {
  return { name: 'constant', parameters: [], result, locals: [], body: [], exported: true };
}

test('integers come out as they went in', () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      expect(run(constantFunction({ kind: 'i32', value }))).toBe(value);
    }),
  );
  for (const value of [0, 63, 64, -64, -65, 2 ** 31 - 1, -(2 ** 31)])
    expect(run(constantFunction({ kind: 'i32', value }))).toBe(value);
});

test('floats come out as they went in', () => {
  fc.assert(
    fc.property(fc.float(), (value) => {
      expect(run(constantFunction({ kind: 'f32', value }))).toBe(value);
    }),
  );
});

test('numbers of any size are written in groups of seven bits', () => {
  expect(unsigned(0)).toEqual([0]);
  expect(unsigned(624_485)).toEqual([0xe5, 0x8e, 0x26]);
  expect(signed(-123_456)).toEqual([0xc0, 0xbb, 0x78]);
});

/** The sum of from, from + step, … below to. */
function sumOfLoop(): FunctionCode {
  const writer = new Writer(['i32', 'i32']);
  const total = writer.variable('i32');
  const [from, to] = [writer.parameter(0, 'i32'), writer.parameter(1, 'i32')];
  writer.loop(from, to, 3, (place) => {
    const before = writer.current(total, 'i32', 0);
    writer.set(total, writer.instruction('i32.add', 'i32', [before, place]));
  });
  const { locals, body, result } = writer.render(writer.current(total, 'i32', 1));
  return { name: 'sum', parameters: ['i32', 'i32'], result, locals, body, exported: true };
}

test('a loop counts from its first number to before its last', () => {
  const code = sumOfLoop();
  fc.assert(
    fc.property(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -50, max: 50 }), (from, to) => {
      let expected = 0;
      for (let place = from; place < to; place += 3) expected += place;
      expect(run(code, from, to)).toBe(expected);
    }),
  );
});

test('equal values are computed once, and what is not used not at all', () => {
  const writer = new Writer(['i32']);
  const given = writer.parameter(0, 'i32');
  const double = () => writer.instruction('i32.add', 'i32', [given, given]);
  writer.instruction('i32.xor', 'i32', [double(), given]);
  const square = writer.instruction('i32.mul', 'i32', [double(), double()]);
  const { locals, body, result } = writer.render(square);
  const code: FunctionCode = { name: 'f', parameters: ['i32'], result, locals, body, exported: true };
  expect(printModule({ functions: [code] })).toBe(
    [
      '(func $f (param i32)',
      '  ;; 1 locals',
      '  (local.set 1 (i32.add (local.get 0) (local.get 0)))',
      '  (i32.mul (local.get 1) (local.get 1))',
      ')',
      '',
    ].join('\n'),
  );
  expect(run(code, 3)).toBe(36);
});
