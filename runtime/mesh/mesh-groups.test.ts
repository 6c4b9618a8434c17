import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deviceCount, type Mesh } from '../../dsl/placement/placement.ts';
import { inProcess } from './in-process.ts';
import { checkMeshFits, coordinatesOf, groupPlace, groupsOf, splitAlong } from './mesh-groups.ts';

const mesh: Mesh = {
  axes: [
    { name: 'dp', size: 2 },
    { name: 'sp', size: 3 },
  ],
};

const meshes = fc
  .array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 })
  .map((extents): Mesh => ({ axes: extents.map((size, place) => ({ name: `a${place}`, size })) }));
const meshAndAxes = meshes.chain((any) =>
  fc.tuple(fc.constant(any), fc.shuffledSubarray(any.axes.map(({ name }) => name))),
);

test('groups of a mesh, by hand', () => {
  expect(coordinatesOf(mesh, 4)).toEqual([1, 1]);
  expect(groupsOf(mesh, ['sp'])).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
  expect(groupsOf(mesh, ['dp'])).toEqual([
    [0, 3],
    [1, 4],
    [2, 5],
  ]);
  // The first axis of the list is the most significant, whatever the mesh's order.
  expect(groupsOf(mesh, ['sp', 'dp'])).toEqual([[0, 3, 1, 4, 2, 5]]);
  expect(groupsOf(mesh, ['ep'])).toEqual([[0], [1], [2], [3], [4], [5]]);
});

/** What must be true of the groups along axes; the second way of counting is from the coordinates. */
function faults(
  any: Mesh,
  axes: readonly string[],
  groups: readonly (readonly number[])[],
): readonly string[] {
  const found: string[] = [];
  if (new Set(groups.flat()).size !== deviceCount(any)) found.push('not every device is in one group');
  for (const [number, ranks] of groups.entries()) {
    for (const [member, rank] of ranks.entries()) {
      const digits = axes.map(
        (axis) => coordinatesOf(any, rank)[any.axes.findIndex(({ name }) => name === axis)]!,
      );
      const read = digits.reduce((total, digit, place) => {
        return total * any.axes.find(({ name }) => name === axes[place])!.size + digit;
      }, 0);
      if (read !== member) found.push('a block is not at its place');
      const place = groupPlace(any, axes, rank);
      if (place.group !== number || place.member !== member) found.push('groupPlace says otherwise');
    }
  }
  return found;
}

test('every device is in one group, at the place that its coordinates write', () => {
  let caught = 0;
  fc.assert(
    fc.property(meshAndAxes, ([any, axes]) => {
      expect(faults(any, axes, groupsOf(any, axes))).toEqual([]);
      // The mutant: minor first.
      if (faults(any, axes, groupsOf(any, axes.toReversed())).length > 0) caught++;
    }),
  );
  expect(caught).toBeGreaterThan(0);
});

test('splitting the world along axes gives these groups', async () => {
  await fc.assert(
    fc.asyncProperty(meshAndAxes, async ([any, axes]) => {
      const world = inProcess(deviceCount(any));
      const parts = await Promise.all(world.map((rank) => splitAlong(rank, any, axes)));
      const gathered = await Promise.all(
        parts.map(async (part, rank) => {
          const members = new Uint8Array(part.size);
          await part.exchange({ verb: 'all_gather', dtype: 'u8' }, Uint8Array.of(rank), members);
          return [...members];
        }),
      );
      for (const members of groupsOf(any, axes))
        for (const rank of members) expect(gathered[rank]).toEqual(members);
    }),
  );
});

test('labels are those of the language', async () => {
  const world = inProcess(6);
  const labels = await Promise.all(
    world.map(async (rank) => (await splitAlong(rank, mesh, ['dp', 'sp'])).label),
  );
  expect(labels[0]).toBe('(dp, sp)');
});

test('a mesh of another size than the job is one error', () => {
  const [rank] = inProcess(4);
  expect(() => checkMeshFits(rank!, mesh)).toThrow(
    'the mesh (dp=2, sp=3) has 6 devices, but there are 4 ranks',
  );
  expect(() => checkMeshFits(inProcess(6)[0]!, mesh)).not.toThrow();
});
