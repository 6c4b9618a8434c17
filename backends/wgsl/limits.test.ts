/** What a device cannot do at once is done in parts. */
import { expect, test } from 'vitest';
import type { Scalar } from '../../compiler/graph/graph.ts';
import { apply, iterator, load, reduced } from '../../compiler/graph/scalar.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { graphOf, mapNode, reduceNode, tensor } from './graph-building.ts';
import { compileGraph, expectAgreement, kernelsOf, testDevice } from './testing.ts';

const few =
  (most: number) =>
  (profile: DeviceProfile): DeviceProfile => ({ ...profile, maxStorageBuffersPerStage: most });
const [i, j] = [iterator(0), iterator(1)];

test('a node of more tensors than a kernel can have is split', async () => {
  const rows = Array.from({ length: 7 }, (_, at) => tensor(at, `row${at}`, 'f32', [12]));
  const table = tensor(7, 'table', 'f32', [6, 12]);
  const sum = rows.reduce<Scalar>((total, row) => apply('add', total, load(row, [j])), load(table, [i, j]));
  const weighted = apply('mul', sum, load(rows[0]!, [j]));
  const graph = graphOf(
    'many',
    [...rows, table],
    [
      mapNode(tensor(8, 'map', 'f32', [6, 12]), sum),
      reduceNode(
        tensor(9, 'total', 'f32', [6]),
        'sum',
        [12],
        weighted,
        apply('mul', reduced('f32'), load(tensor(8, 'map', 'f32', [6, 12]), [i, i])),
      ),
    ],
  );
  const { profile } = await testDevice();
  const kernels = kernelsOf(compileGraph(graph, few(4)(profile)).steps);
  expect(kernels.length).toBeGreaterThan(2);
  for (const kernel of kernels) expect(kernel.bindings.length).toBeLessThanOrEqual(4);
  await expectAgreement(graph, { profile: few(4) });
});

test('a load through many index tensors is stored before it is used with others', async () => {
  const table = tensor(0, 'table', 'f32', [3, 4, 5]);
  const places = [3, 4, 5].map((extent, at) => ({
    extent,
    tensor: tensor(1 + at, `place${at}`, 'i32', [10]),
  }));
  const scale = tensor(4, 'scale', 'f32', [10]);
  const element = load(
    table,
    places.map((place) => load(place.tensor, [i])),
  );
  const graph = graphOf(
    'looked_up',
    [table, ...places.map((place) => place.tensor), scale],
    [mapNode(tensor(5, 'out', 'f32', [10]), apply('mul', element, load(scale, [i])))],
  );
  const { profile } = await testDevice();
  const kernels = kernelsOf(compileGraph(graph, few(5)(profile)).steps);
  expect(kernels.map((kernel) => kernel.bindings.length)).toEqual([5, 3]);
  const values = ({ name }: { readonly name: string }) => {
    const place = places.find((each) => each.tensor.name === name);
    return place && Array.from({ length: 10 }, (_, at) => (7 * at) % place.extent);
  };
  await expectAgreement(graph, { profile: few(5), values });
});
