/** What a device cannot do at once is done in parts. */
import { expect, test } from 'vitest';
import type { Scalar } from '../../compiler/graph/graph.ts';
import { apply, iterator, load, reduced } from '../../compiler/graph/scalar.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { graphOf, mapNode, reduceNode, tensor } from './graph-building.ts';
import { compileGraph, expectAgreement, kernelsOf, testDevice } from './testing.ts';

const few = (profile: DeviceProfile): DeviceProfile => ({ ...profile, maxStorageBuffersPerStage: 4 });
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
  const kernels = kernelsOf(compileGraph(graph, few(profile)).steps);
  expect(kernels.length).toBeGreaterThan(2);
  for (const kernel of kernels) expect(kernel.bindings.length).toBeLessThanOrEqual(4);
  await expectAgreement(graph, { profile: few });
});
