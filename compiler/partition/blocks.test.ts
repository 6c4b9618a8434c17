import { expect, test } from 'vitest';
import { allCoordinates, blockNumber, movedAxes, permutationSources } from './blocks.ts';
import { applyChange, isFault } from './change.ts';
import { allPlacements, meshOf, placed } from './testing.ts';

test('devices are numbered row-major, and blocks by digits, the first axis most significant', () => {
  const mesh = meshOf({ a: 2, b: 3 });
  const devices = allCoordinates(mesh);
  expect(devices).toEqual([
    [0, 0],
    [0, 1],
    [0, 2],
    [1, 0],
    [1, 1],
    [1, 2],
  ]);
  const blocks = (list: readonly string[]): readonly number[] =>
    devices.map((coordinates) => blockNumber(list, coordinates, mesh));
  expect(blocks(['a', 'b'])).toEqual([0, 1, 2, 3, 4, 5]);
  expect(blocks(['b', 'a'])).toEqual([0, 2, 4, 1, 3, 5]);
  expect(blocks(['b'])).toEqual([0, 1, 2, 0, 1, 2]);
  expect(blocks([])).toEqual([0, 0, 0, 0, 0, 0]);
});

test('the axes that move', () => {
  const mesh = meshOf({ a: 2, b: 2, c: 4, u: 1 });
  expect(movedAxes(placed(['a b']), placed(['b a']), mesh)).toEqual(['a', 'b']);
  expect(movedAxes(placed(['c a b']), placed(['c b a']), mesh)).toEqual(['a', 'b']);
  expect(movedAxes(placed(['c', '']), placed(['a b', '']), mesh)).toEqual(['a', 'b', 'c']);
  expect(movedAxes(placed(['a c', 'b']), placed(['b c', 'a']), mesh)).toEqual(['a', 'b']);
  expect(movedAxes(placed(['u a']), placed(['a u']), mesh)).toEqual([]);
});

test('in a permutation every device sends once, along the axes that move, what the other one needs', () => {
  for (const sizes of [
    { a: 2, b: 2, c: 2 },
    { a: 4, b: 2, c: 2 },
    { a: 2, b: 3, c: 1 },
  ]) {
    const mesh = meshOf(sizes);
    const devices = allCoordinates(mesh);
    const all = allPlacements(2, ['a', 'b', 'c']).filter(({ pending }) => pending.size === 0);
    let tried = 0;
    for (const from of all)
      for (const to of all) {
        if (isFault(applyChange(from, { kind: 'permute', to }, mesh))) continue;
        tried += 1;
        const moved = movedAxes(from, to, mesh);
        const sources = permutationSources(from, to, mesh);
        expect(new Set(sources).size).toBe(devices.length);
        const isWrong = sources.some((source, device) => {
          const [sender, receiver] = [devices[source]!, devices[device]!];
          const holds = from.dims.map((list) => blockNumber(list, sender, mesh)).join();
          const needs = to.dims.map((list) => blockNumber(list, receiver, mesh)).join();
          const strays = mesh.axes.some(
            ({ name }, place) => !moved.includes(name) && sender[place] !== receiver[place],
          );
          return holds !== needs || strays;
        });
        expect(isWrong).toBe(false);
        const messages = sources.filter((source, device) => source !== device).length;
        expect(messages > 0).toBe(moved.length > 0);
      }
    expect(tried).toBeGreaterThan(all.length);
  }
});
