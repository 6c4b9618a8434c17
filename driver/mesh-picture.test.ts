import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Mesh, type Placement, wholePlacement } from '../dsl/placement/placement.ts';
import { distribute } from '../runtime/mesh/distribute.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { type TensorPicture, tensorPicture } from './mesh-picture.ts';

const names = ['a', 'b', 'c'] as const;

interface Case {
  readonly mesh: Mesh;
  readonly placement: Placement;
  readonly tensor: TensorData;
}

/** Each axis cuts one of the dimensions, is pending, or does nothing. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
    lengths: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 3 }),
    uses: fc.array(fc.nat(4), { minLength: 3, maxLength: 3 }),
    minorFirst: fc.boolean(),
  })
  .map(({ sizes, lengths, uses, minorFirst }) => {
    const axes = sizes.map((size, at) => ({ name: names[at]!, size }));
    const of = (use: number) => axes.filter((_, at) => uses[at] === use);
    const dims = lengths.map((_, dim) => {
      const list = of(dim).map(({ name }) => name);
      return minorFirst ? list.reverse() : list;
    });
    const pending = new Map(of(3).map(({ name }) => [name, 'sum'] as const));
    const shape = lengths.map((length, dim) => of(dim).reduce((extent, { size }) => extent * size, length));
    const count = shape.reduce((product, extent) => product * extent, 1);
    const values = Array.from({ length: count }, (_, at) => at + 1);
    return { mesh: { axes }, placement: { dims, pending }, tensor: tensorFromValues('f32', shape, values) };
  });

function pictureOf({ mesh, placement, tensor }: Case): TensorPicture {
  return tensorPicture({ role: 'input', name: 'x', tensor, dimNames: [], placement }, mesh);
}

/** The elements of a block, by its number. */
function elementsOf({ dims }: TensorPicture, block: number, { shape, bytes, dtype }: TensorData): number[] {
  const values = tensorValues({ shape, bytes, dtype });
  let rest = block;
  const ranges = dims
    .toReversed()
    .map(({ blocks }) => {
      const range = blocks[rest % blocks.length]!;
      rest = Math.floor(rest / blocks.length);
      return range;
    })
    .toReversed();
  const positions = ranges.reduce<readonly number[]>(
    (flat, { begin, end }, dim) =>
      flat.flatMap((at) => Array.from({ length: end - begin }, (_, i) => at * shape[dim]! + begin + i)),
    [0],
  );
  return positions.map((at) => values[at]!);
}

/** What is wrong with a picture of what the devices hold. */
function wrongIn(picture: TensorPicture, { mesh, placement, tensor }: Case): readonly string[] {
  const held = distribute('x', tensor, placement, mesh).map((block) => [...tensorValues(block)]);
  const drawn = picture.blocks.flatMap(({ holders }) => holders.flat()).toSorted((a, b) => a - b);
  const missing = `${drawn}` === `${held.map((_, device) => device)}` ? [] : ['each device is drawn once'];
  const blocks = picture.blocks.flatMap(({ holders }, block) =>
    holders.flatMap((devices) => {
      const elements = elementsOf(picture, block, tensor);
      const sums = elements.map((_, at) => devices.reduce((sum, device) => sum + held[device]![at]!, 0));
      return `${sums}` === `${elements}` ? [] : [`${devices} hold block ${block}`];
    }),
  );
  return [...missing, ...blocks];
}

test('each holder of a block has, in sum, what the block is', () => {
  fc.assert(
    fc.property(cases, (each) => {
      expect(wrongIn(pictureOf(each), each)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test('a picture with two blocks changed about, or a sum taken for copies, is wrong', () => {
  const mesh = { axes: [...names].map((name) => ({ name, size: 2 })) };
  const tensor = tensorFromValues('f32', [2, 2], [1, 2, 3, 4]);
  const each: Case = { mesh, placement: { dims: [['a'], ['b']], pending: new Map([['c', 'sum']]) }, tensor };
  const picture = pictureOf(each);
  expect(wrongIn(picture, each)).toEqual([]);
  const [first, second, ...rest] = picture.blocks;
  expect(wrongIn({ ...picture, blocks: [second!, first!, ...rest] }, each)).not.toEqual([]);
  const apart = picture.blocks.map(({ holders }) => ({ holders: holders.flat().map((device) => [device]) }));
  expect(wrongIn({ ...picture, blocks: apart }, each)).not.toEqual([]);
});

test('what is whole is one block that all hold', () => {
  const mesh = { axes: [{ name: 'a', size: 3 }] };
  const tensor = tensorFromValues('f32', [], [1]);
  const { blocks, dims, blockBytes } = pictureOf({ mesh, placement: wholePlacement(0), tensor });
  expect({ blocks, dims, blockBytes }).toEqual({
    blocks: [{ holders: [[0], [1], [2]] }],
    dims: [],
    blockBytes: 4,
  });
});
