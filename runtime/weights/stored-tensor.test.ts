import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { allCoordinates } from '../../compiler/partition/blocks.ts';
import { packedBytes } from '../../compiler/plan/storage-bytes.ts';
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import { type Dtype, dtypes } from '../../dsl/types/dtype.ts';
import { blockOf, readBlock } from '../mesh/distribute.ts';
import { meshOf } from '../mesh/testing.ts';
import { fileOf, type OpenFile, openDiskFile } from './files.ts';
import { npyBytes, openNpy } from './npy.ts';
import { openSafetensors, writeSafetensors } from './safetensors.ts';
import { inMemory, rounded, type StoredTensor, stacked } from './stored-tensor.ts';
import { type TensorData, tensorFromValues } from './tensor-data.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ricci-stored-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

interface Case {
  readonly mesh: Mesh;
  readonly placement: Placement;
  readonly tensor: TensorData;
}

/** Each axis cuts one of three dimensions, or is pending a sum. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
    lengths: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 }),
    uses: fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
    dtype: fc.constantFrom<Dtype>(...dtypes),
  })
  .map(({ sizes, lengths, uses, dtype }) => {
    const axes = sizes.map((size, at) => ({ name: 'abc'[at]!, size }));
    const of = (use: number) => axes.filter((_, at) => uses[at] === use);
    const shape = lengths.map((length, dim) => of(dim).reduce((extent, { size }) => extent * size, length));
    const dims = lengths.map((_, dim) => of(dim).map(({ name }) => name));
    const pending = new Map(of(3).map(({ name }) => [name, 'sum'] as const));
    const count = shape.reduce((product, extent) => product * extent, 1);
    const values = Array.from({ length: count }, (_, at) => (dtype === 'bool' ? at % 2 : (at % 15) + 1));
    return { mesh: { axes }, placement: { dims, pending }, tensor: tensorFromValues(dtype, shape, values) };
  });

/** What every device reads of it. */
function blocksRead(stored: StoredTensor, { mesh, placement }: Case): readonly TensorData[] {
  return allCoordinates(mesh).map((own) => readBlock('x', stored, placement, mesh, own));
}

function blocksCut({ mesh, placement, tensor }: Case): readonly TensorData[] {
  return allCoordinates(mesh).map((own) => blockOf('x', tensor, placement, mesh, own));
}

describe('a block that is read from a file is the one that is cut from the whole', () => {
  const file = path.join(folder, 'x.safetensors');
  const write = ({ tensor }: Case) =>
    writeSafetensors(
      file,
      new Map([
        ['x', tensor],
        ['w', tensorFromValues('f32', [2], [7, 8])],
      ]),
    );

  test('safetensors', () => {
    fc.assert(
      fc.property(cases, (each) => {
        write(each);
        const stored = openSafetensors(file).tensor('x');
        expect(stored.read()).toEqual(each.tensor);
        expect(blocksRead(stored, each)).toEqual(blocksCut(each));
      }),
      { numRuns: 150 },
    );
  });

  test('npy', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const bytes = npyBytes(each.tensor);
        const stored = rounded(
          openNpy('x.npy', () => fileOf(bytes)),
          each.tensor.dtype,
        );
        expect(blocksRead(stored, each)).toEqual(blocksCut(each));
      }),
    );
  });

  test('stacked tensors', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const { dtype, shape, bytes } = each.tensor;
        const size = packedBytes({ dtype, shape: shape.slice(1) });
        const rows = Array.from({ length: shape[0]! }, (_, row) =>
          inMemory({ dtype, shape: shape.slice(1), bytes: bytes.subarray(row * size, (row + 1) * size) }),
        );
        if (rows.length === 0) return;
        const stored = stacked(rows, [rows.length]);
        expect(stored.read()).toEqual(each.tensor);
        expect(blocksRead(stored, each)).toEqual(blocksCut(each));
      }),
    );
  });

  test('a reader that is one element off is seen', () => {
    const each: Case = {
      mesh: meshOf({ a: 2 }),
      placement: { dims: [[], ['a']], pending: new Map() },
      tensor: tensorFromValues('f32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
    };
    write(each);
    let opens = 0;
    const off: OpenFile = (name) => {
      const opened = openDiskFile(name);
      // The header is read as it is.
      if (opens++ === 0) return opened;
      return { ...opened, readInto: (target, position) => opened.readInto(target, position - 4) };
    };
    expect(blocksRead(openSafetensors(file, off).tensor('x'), each)).not.toEqual(blocksCut(each));
  });
});

describe('no more than a block is read', () => {
  /** Reads of elements: what is before them is the header. */
  function counted() {
    const reads: number[] = [];
    const open: OpenFile = (file) => {
      const opened = openDiskFile(file);
      return {
        ...opened,
        readInto: (target, position) => {
          reads.push(target.byteLength);
          return opened.readInto(target, position);
        },
      };
    };
    return { reads, open };
  }

  test.each<[string, readonly number[], readonly (readonly string[])[], number]>([
    ['the first dimension', [64, 1024], [['a'], []], 1],
    ['the one in the middle', [8, 64, 1024], [[], ['a'], []], 8],
    ['the last one', [16, 16_384], [[], ['a']], 16],
    ['two', [8, 64, 4096], [['b'], ['a'], []], 4],
  ])('of a tensor that is cut in %s', (_, shape, dims, most) => {
    const file = path.join(folder, 'large.safetensors');
    const count = shape.reduce((product, extent) => product * extent, 1);
    const values = Float32Array.from({ length: count }, (__, at) => at);
    const each: Case = {
      mesh: meshOf({ a: 4, b: 2 }),
      placement: { dims, pending: new Map() },
      tensor: tensorFromValues('f32', shape, values),
    };
    writeSafetensors(file, new Map([['x', each.tensor]]));
    const { reads, open } = counted();
    const stored = openSafetensors(file, open).tensor('x');
    for (const own of allCoordinates(each.mesh)) {
      reads.length = 0;
      const block = readBlock('x', stored, each.placement, each.mesh, own);
      const wanted = blockOf('x', each.tensor, each.placement, each.mesh, own);
      expect(block.shape).toEqual(wanted.shape);
      // Megabytes are compared at once.
      expect(Buffer.from(block.bytes).equals(wanted.bytes)).toBe(true);
      expect(reads.reduce((sum, bytes) => sum + bytes, 0)).toBe(block.bytes.byteLength);
      expect(reads.length).toBeLessThanOrEqual(most);
    }
    reads.length = 0;
    stored.read();
    expect(reads).toEqual([count * 4]);
  });

  test('but what lies between pieces that are near each other, in few reads', () => {
    const file = path.join(folder, 'near.npy');
    const tensor = tensorFromValues('f32', [4096, 8], new Float32Array(32_768));
    fs.writeFileSync(file, npyBytes(tensor));
    const { reads, open } = counted();
    const stored = openNpy(file, open);
    reads.length = 0;
    readBlock('x', stored, { dims: [[], ['a']], pending: new Map() }, meshOf({ a: 4 }), [3]);
    expect(reads).toEqual([tensor.bytes.byteLength - 24]);
  });

  test('and nothing where a device holds zeros', () => {
    const file = path.join(folder, 'pending.safetensors');
    writeSafetensors(file, new Map([['x', tensorFromValues('f32', [2], [1, 2])]]));
    const { reads, open } = counted();
    const stored = openSafetensors(file, open).tensor('x');
    reads.length = 0;
    const placement: Placement = { dims: [[]], pending: new Map([['a', 'sum']]) };
    expect([...readBlock('x', stored, placement, meshOf({ a: 2 }), [1]).bytes]).toEqual(Array(8).fill(0));
    expect(reads).toEqual([]);
  });
});

test('a file that changes between is an error', () => {
  const file = path.join(folder, 'changing.safetensors');
  writeSafetensors(file, new Map([['x', tensorFromValues('f32', [2], [1, 2])]]));
  const stored = openSafetensors(file).tensor('x');
  fs.truncateSync(file, fs.statSync(file).size - 4);
  expect(() => stored.read()).toThrow(/changing.safetensors: changed while tensor x was read/);
  fs.rmSync(file);
  expect(() => stored.read()).toThrow(/cannot read .*changing.safetensors/);
});
