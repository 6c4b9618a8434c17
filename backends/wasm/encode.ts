/**
 * Modules as bytes (WebAssembly core specification 2.0, chapter 5, with shared memories of the threads
 * proposal).
 */
import type { Expression, FunctionCode, ModuleCode, Statement } from './code.ts';
import { typeOf } from './code.ts';
import { instructions, unsigned, type ValueType } from './instructions.ts';

/** The most that a memory may have, in pages of 64 KiB. */
export const mostPages = 65_536;

const typeCodes: { readonly [T in ValueType]: number } = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
};
const emptyBlock = 0x40;
const codes = {
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  branchIf: 0x0d,
  call: 0x10,
  getLocal: 0x20,
  setLocal: 0x21,
  teeLocal: 0x22,
  getGlobal: 0x23,
  i32: 0x41,
  i64: 0x42,
  f32: 0x43,
  f64: 0x44,
  add: 0x6a,
  lessThan: 0x48,
} as const;
const vectorConstant = [0xfd, 12] as const;
const shuffle = [0xfd, 13] as const;

/** Deterministic: the same module gives the same bytes. */
export function encodeModule({
  imports = [],
  functions,
  hasScratch = false,
}: ModuleCode): Uint8Array<ArrayBuffer> {
  const numbers = new Map([...imports, ...functions].map(({ name }, number) => [name, number]));
  const types = [
    ...imports,
    ...functions.map(({ parameters, result }) => ({ parameters, result: result && typeOf(result) })),
  ].map(({ parameters, result }) => [
    0x60,
    ...list(parameters.map((type) => [typeCodes[type]])),
    ...list(result === undefined ? [] : [[typeCodes[result]]]),
  ]);
  const imported = imports.map(({ name }, number) => [
    ...text('runtime'),
    ...text(name),
    0x00,
    ...unsigned(number),
  ]);
  const memory = [...text('runtime'), ...text('memory'), 0x02, 0x03, ...unsigned(1), ...unsigned(mostPages)];
  const scratch = [...text('runtime'), ...text('scratch'), 0x03, typeCodes.i32, 0x00];
  const exported = functions.flatMap(({ name, exported }, number) =>
    exported ? [[...text(name), 0x00, ...unsigned(imports.length + number)]] : [],
  );
  const out = new ByteWriter();
  out.push([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
  out.section(1, list(types));
  out.section(2, list([memory, ...imported, ...(hasScratch ? [scratch] : [])]));
  out.section(3, list(functions.map((_, number) => unsigned(imports.length + number))));
  out.section(7, list(exported));
  const bodies = new ByteWriter();
  bodies.push(unsigned(functions.length));
  for (const code of functions) bodies.sized(functionBody(code, numbers).bytes());
  out.section(10, bodies.bytes());
  return out.bytes();
}

function functionBody(code: FunctionCode, numbers: ReadonlyMap<string, number>): ByteWriter {
  const out = new ByteWriter();
  out.push(list(code.locals.map((type) => [1, typeCodes[type]])));

  const expression = (value: Expression): void => {
    if (value.kind === 'instruction' || value.kind === 'call' || value.kind === 'shuffle')
      for (const operand of value.operands) expression(operand);
    out.push(ownBytes(value, numbers));
  };

  const statements = (body: readonly Statement[]): void => {
    for (const statement of body) {
      switch (statement.kind) {
        case 'set':
          expression(statement.value);
          out.push([codes.setLocal]);
          out.push(unsigned(statement.local));
          break;
        case 'do':
          expression(statement.expression);
          break;
        case 'run':
          for (const operand of statement.operands) expression(operand);
          out.push([codes.call]);
          out.push(unsigned(numberOf(statement.callee, numbers)));
          break;
        case 'repeat':
          out.push([codes.loop, emptyBlock]);
          statements(statement.body);
          expression(statement.condition);
          out.push([codes.branchIf, 0, codes.end]);
          break;
        case 'if':
          expression(statement.condition);
          out.push([codes.if, emptyBlock]);
          statements(statement.body);
          out.push([codes.end]);
          break;
        case 'loop': {
          const { local, from, to, step, body: inside } = statement;
          const number = unsigned(local);
          expression(from);
          out.push([codes.teeLocal, ...number]);
          expression(to);
          out.push([codes.lessThan, codes.if, emptyBlock, codes.loop, emptyBlock]);
          statements(inside);
          out.push([codes.getLocal, ...number, codes.i32, ...signed(step), codes.add]);
          out.push([codes.teeLocal, ...number]);
          expression(to);
          out.push([codes.lessThan, codes.branchIf, 0, codes.end, codes.end]);
          break;
        }
      }
    }
  };

  statements(code.body);
  if (code.result !== undefined) expression(code.result);
  out.push([codes.end]);
  return out;
}

/** An expression's bytes behind those of its operands. */
function ownBytes(value: Expression, numbers: ReadonlyMap<string, number>): readonly number[] {
  switch (value.kind) {
    case 'i32':
      return [codes.i32, ...signed(value.value)];
    case 'i64':
      return [codes.i64, ...signedLong(value.value)];
    case 'f32':
      return [codes.f32, ...floatBytes(value.value)];
    case 'f64':
      return [codes.f64, ...new Uint8Array(new Float64Array([value.value]).buffer)];
    case 'v128':
      return [...vectorConstant, ...value.words.flatMap(wordBytes)];
    case 'local':
      return [codes.getLocal, ...unsigned(value.local)];
    case 'scratch':
      return [codes.getGlobal, 0];
    case 'shuffle':
      return [...shuffle, ...value.lanes.flatMap((lane) => [0, 1, 2, 3].map((at) => 4 * lane + at))];
    case 'call':
      return [codes.call, ...unsigned(numberOf(value.callee, numbers))];
    case 'instruction': {
      const { opcode, immediate, alignment } = instructions[value.name];
      if (immediate === 'none') return opcode;
      // Elements are at multiples of their size, and vectors nowhere in particular.
      const place = [...unsigned(Math.min(alignment, 2)), ...unsigned(value.offset ?? 0)];
      return [
        ...opcode,
        ...(immediate === 'memory' || immediate === 'memoryLane' ? place : []),
        ...(immediate === 'lane' || immediate === 'memoryLane' ? [value.lane!] : []),
      ];
    }
  }
}

function numberOf(callee: string, numbers: ReadonlyMap<string, number>): number {
  const number = numbers.get(callee);
  if (number === undefined) throw new Error(`the module has no function ${callee}`);
  return number;
}

/** Kernels have hundreds of thousands of bytes: they go where they stay. */
class ByteWriter {
  private buffer = new Uint8Array(256);
  private length = 0;

  push(bytes: readonly number[] | Uint8Array): void {
    const end = this.length + bytes.length;
    if (end > this.buffer.length) {
      const larger = new Uint8Array(2 * end);
      larger.set(this.bytes());
      this.buffer = larger;
    }
    for (let at = 0; at < bytes.length; at++) this.buffer[this.length + at] = bytes[at]!;
    this.length = end;
  }

  sized(contents: readonly number[] | Uint8Array): void {
    this.push(unsigned(contents.length));
    this.push(contents);
  }

  section(id: number, contents: readonly number[] | Uint8Array): void {
    this.push([id]);
    this.sized(contents);
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.buffer.slice(0, this.length);
  }
}

function list(entries: readonly (readonly number[])[]): number[] {
  return [...unsigned(entries.length), ...entries.flat()];
}

function sized(contents: readonly number[]): number[] {
  return unsigned(contents.length).concat(contents);
}

function text(name: string): number[] {
  return sized([...new TextEncoder().encode(name)]);
}

/** LEB128 of an i32. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    const isLast = (rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0);
    bytes.push(isLast ? low : low | 128);
    if (isLast) return bytes;
  }
}

/** LEB128 of an i64. */
function signedLong(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asIntN(64, value);
  for (;;) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    const isLast = (rest === 0n && (low & 64) === 0) || (rest === -1n && (low & 64) !== 0);
    bytes.push(isLast ? low : low | 128);
    if (isLast) return bytes;
  }
}

function wordBytes(word: number): number[] {
  return [0, 8, 16, 24].map((shift) => (word >>> shift) & 255);
}

function floatBytes(value: number): number[] {
  return [...new Uint8Array(new Float32Array([value]).buffer)];
}
