import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { dtypes } from '../../dsl/types/dtype.ts';
import { UserError } from '../errors.ts';
import { writeWhole } from './files.ts';
import { npyBytes, parseNpy } from './npy.ts';
import { openSafetensors, writeSafetensors } from './safetensors.ts';
import { type TensorData, tensorFromValues, tensorValues } from './tensor-data.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ricci-weights-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const fileIn = (name: string) => path.join(folder, name);

const tensors = fc
  .tuple(
    fc.constantFrom(...dtypes),
    fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
    fc.infiniteStream(fc.nat(255)),
  )
  .map(([dtype, shape, stream]): TensorData => {
    const bytes = Uint8Array.from({ length: packedBytes({ dtype, shape }) }, () => stream.next().value ?? 0);
    return { dtype, shape, bytes: dtype === 'bool' ? bytes.map((byte) => byte & 1) : bytes };
  });
const named = fc.dictionary(fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' }), tensors, {
  maxKeys: 5,
});

function readAll(file: string): Map<string, TensorData> {
  const source = openSafetensors(file);
  return new Map(source.names.map((name) => [name, source.tensor(name).read()]));
}

/** Whether `read` refuses: with an error for the user, never another. */
function refuses(read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.message).not.toBe('');
    return true;
  }
}

function fileWith(header: unknown, dataBytes: number): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  const file = fileIn('made.safetensors');
  fs.writeFileSync(file, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
  return file;
}

describe('a file is replaced whole', () => {
  const bytes = (text: string) => [Buffer.from(text)];

  test('what a link points to, and the link stays', () => {
    fs.writeFileSync(fileIn('target'), 'old', { mode: 0o640 });
    fs.symlinkSync('target', fileIn('link'));
    writeWhole(fileIn('link'), bytes('new'));
    expect(fs.lstatSync(fileIn('link')).isSymbolicLink()).toBe(true);
    expect(fs.readFileSync(fileIn('target'), 'utf8')).toBe('new');
    expect(fs.statSync(fileIn('target')).mode & 0o777).toBe(0o640);
  });

  test.skipIf(process.platform === 'win32')('but a pipe is written to, and stays a pipe', () => {
    execFileSync('mkfifo', [fileIn('pipe')]);
    const reader = fs.openSync(fileIn('pipe'), 'r+');
    writeWhole(fileIn('pipe'), bytes('through'));
    const read = Buffer.alloc(7);
    const isPipe = fs.statSync(fileIn('pipe')).isFIFO();
    if (isPipe) fs.readSync(reader, read, 0, 7, null);
    fs.closeSync(reader);
    expect(isPipe).toBe(true);
    expect(read.toString()).toBe('through');
  });

  test('and stays as it was when writing fails', () => {
    fs.writeFileSync(fileIn('kept'), 'old');
    const broken = (function* () {
      yield Buffer.from('half');
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    })();
    expect(() => writeWhole(fileIn('kept'), broken)).toThrow(/cannot write .*kept: the disk is full/);
    expect(fs.readFileSync(fileIn('kept'), 'utf8')).toBe('old');
    expect(fs.readdirSync(folder).filter((name) => name.startsWith('kept'))).toEqual(['kept']);
  });
});

describe('safetensors', () => {
  test('are read as they were written, and written the same again', () => {
    fc.assert(
      fc.property(named, fc.string(), (entries, note) => {
        const written = new Map(Object.entries(entries).filter(([name]) => name !== '__metadata__'));
        const file = fileIn('round.safetensors');
        writeSafetensors(file, written, new Map([['note', note]]));
        const first = fs.readFileSync(file);
        const read = readAll(file);
        expect(new Map([...read].sort())).toEqual(new Map([...written].sort()));
        const source = openSafetensors(file);
        expect(source.metadata.get('note')).toBe(note);
        writeSafetensors(file, new Map([...read].reverse()), new Map([['note', note]]));
        expect(fs.readFileSync(file).equals(first)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('with any byte changed or cut off are read or refused', () => {
    const file = fileIn('whole.safetensors');
    writeSafetensors(
      file,
      new Map([
        ['x', tensorFromValues('f32', [2, 3], [1, 2, 3, 4, 5, 6])],
        ['index', tensorFromValues('i8', [3], [1, 2, 3])],
      ]),
      new Map([['format', 'pt']]),
    );
    const whole = fs.readFileSync(file);
    const changed = fileIn('changed.safetensors');
    let refused = 0;
    for (let at = 0; at < whole.byteLength; at++) {
      fs.writeFileSync(changed, whole.subarray(0, at));
      expect(refuses(() => readAll(changed))).toBe(true);
      for (const flip of [0x01, 0x80]) {
        const copy = Buffer.from(whole);
        copy[at]! ^= flip;
        fs.writeFileSync(changed, copy);
        if (refuses(() => readAll(changed))) refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  const x = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  test.each<[string, unknown, number, RegExp]>([
    ['overlap', { x, y: { ...x, data_offsets: [4, 12] } }, 12, /tensor y: overlaps/],
    ['leave a gap', { x, y: { ...x, data_offsets: [12, 20] } }, 20, /4 unused bytes before tensor y/],
    ['end early', { x }, 4, /truncated/],
    ['go on', { x }, 12, /4 unused bytes after/],
    ['are of another size', { x: { ...x, shape: [3] } }, 8, /F32 \[3\] takes 12 bytes, data_offsets says 8/],
    ['are of no known type', { x: { ...x, dtype: 'Q4' } }, 8, /unknown dtype Q4/],
    ['occur twice', '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{}}', 0, /has x twice/],
    ['have negative sizes', { x: { ...x, shape: [-2] } }, 8, /not a list of sizes/],
    ['are too large', { x: { ...x, shape: [2 ** 40, 2 ** 40] } }, 8, /too large/],
    ['are no object', '[1]', 0, /not a JSON object/],
  ])('that %s are refused', (_, header, dataBytes, message) => {
    expect(() => readAll(fileWith(header, dataBytes))).toThrow(message);
  });

  test('of wider types are read when their values fit', () => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigInt64LE(-7n, 0);
    bytes.writeBigInt64LE(2n ** 31n, 8);
    const header = (shape: number[]) => ({ ids: { dtype: 'I64', shape, data_offsets: [0, shape[0]! * 8] } });
    const write = (count: number) => {
      const file = fileWith(header([count]), 0);
      fs.appendFileSync(file, bytes.subarray(0, count * 8));
      return file;
    };
    expect([...tensorValues(readAll(write(1)).get('ids')!)]).toEqual([-7]);
    expect(() => readAll(write(2))).toThrow('2147483648 does not fit in i32');
  });

  test('in several files are found through their index, which names no other folder', () => {
    const part = (value: number) => tensorFromValues('f32', [1], [value]);
    writeSafetensors(fileIn('a.safetensors'), new Map([['first', part(1)]]));
    writeSafetensors(fileIn('b.safetensors'), new Map([['second', part(2)]]));
    const index = fileIn('model.safetensors.index.json');
    const write = (map: unknown) => fs.writeFileSync(index, JSON.stringify({ weight_map: map }));
    write({ second: 'b.safetensors', first: 'a.safetensors' });
    expect([...readAll(folder)].map(([name, tensor]) => [name, ...tensorValues(tensor)])).toEqual([
      ['first', 1],
      ['second', 2],
    ]);
    write({ third: 'a.safetensors' });
    expect(() => readAll(index)).toThrow('a.safetensors has no tensor third');
    write({ first: '../a.safetensors' });
    expect(() => readAll(index)).toThrow('is not the name of a file');
  });

  test('that are not there, and tensors that are not in them, are named', () => {
    expect(() => openSafetensors(fileIn('nowhere'))).toThrow(/cannot read .*nowhere/);
    const source = openSafetensors(fileIn('a.safetensors'));
    expect(() => source.tensor('gate')).toThrow(/has no tensor gate/);
  });

  test('leave the old file whole when they cannot be written', () => {
    expect(() => writeSafetensors(path.join(folder, 'no', 'such.safetensors'), new Map())).toThrow(UserError);
    expect(fs.readdirSync(folder).filter((name) => name.includes('such'))).toEqual([]);
  });
});

/** A .npy file as another program writes it. */
function numpyFile(
  descr: string,
  fortran: boolean,
  shape: string,
  data: Uint8Array,
  version = 1,
): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${shape}, }\n`;
  const start = Buffer.alloc(version === 1 ? 10 : 12);
  start.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  if (version === 1) start.writeUInt16LE(header.length, 8);
  else start.writeUInt32LE(header.length, 8);
  return Buffer.concat([start, Buffer.from(header), data]);
}

describe('npy', () => {
  test('is read as it was written, wherever NumPy has the type', () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        const read = parseNpy(npyBytes(tensor), 'x.npy');
        expect(read.shape).toEqual(tensor.shape);
        if (tensor.dtype.startsWith('f8') || tensor.dtype === 'bf16') expect(read.dtype).toBe('f32');
        else expect(read).toEqual(tensor);
        expect(tensorValues(read)).toEqual(tensorValues(tensor));
      }),
    );
  });

  test('in Fortran order and big-endian is turned around', () => {
    const data = Buffer.alloc(24);
    // The matrix [[0, 1, 2], [3, 4, 5]], column by column.
    for (const [index, value] of [0, 3, 1, 4, 2, 5].entries()) data.writeFloatBE(value, index * 4);
    for (const version of [1, 2, 3]) {
      const tensor = parseNpy(numpyFile('>f4', true, '(2, 3)', data, version), 'x.npy');
      expect(tensor).toMatchObject({ dtype: 'f32', shape: [2, 3] });
      expect([...tensorValues(tensor)]).toEqual([0, 1, 2, 3, 4, 5]);
    }
  });

  test('of 64 bits is read as 32 bits where it fits', () => {
    const ids = Buffer.alloc(8);
    ids.writeBigInt64LE(-5n);
    expect([...tensorValues(parseNpy(numpyFile('<i8', false, '()', ids), 'x.npy'))]).toEqual([-5]);
    ids.writeBigInt64LE(2n ** 40n);
    expect(() => parseNpy(numpyFile('<i8', false, '()', ids), 'x.npy')).toThrow('does not fit in i32');
    const weight = Buffer.alloc(8);
    weight.writeDoubleLE(0.1);
    expect([...tensorValues(parseNpy(numpyFile('<f8', false, '(1,)', weight), 'x.npy'))]).toEqual([
      Math.fround(0.1),
    ]);
  });

  test('of other types is refused with those that can be read', () => {
    expect(() => parseNpy(numpyFile('<c8', false, '(1,)', Buffer.alloc(8)), 'x.npy')).toThrow(
      'x.npy: its elements are c8; those that can be read: f2, f4',
    );
  });

  test('with any byte changed or cut off is read or refused', () => {
    const whole = npyBytes(tensorFromValues('i32', [2, 2], [1, 2, 3, 4]));
    for (let at = 0; at < whole.byteLength; at++) {
      expect(refuses(() => parseNpy(whole.subarray(0, at), 'x.npy'))).toBe(true);
      for (let flip = 1; flip < 256; flip += 7) {
        const copy = Uint8Array.from(whole);
        copy[at]! ^= flip;
        refuses(() => parseNpy(copy, 'x.npy'));
      }
    }
  });
});
