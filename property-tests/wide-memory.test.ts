/** Kernels that memory bounds, by the widest reads and writes that a CUDA device has, in the emulator. */
import { expect, test } from 'vitest';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { checkByUnits, preparedByName } from './by-units.ts';

/** With edges that a square does not fill, of each width of elements, and with a batch. */
const turned = [
  'transpose N=40,M=72',
  'transposed_halves N=72,M=136',
  'transposed_bytes N=80,M=24',
  'added_transposed N=72',
  'batched_transposed B=3,N=16,M=24',
  'scaled_across N=24,M=40',
];

test.each(turned.map((name, at) => ({ name, target: ptxTargets[at % 2]! })))(
  '$name in squares for $target',
  async ({ name, target }) => {
    await checkByUnits('indexing.ricci', name, 'turned', { target, turns: 2 });
  },
);

test('sixteen bytes are read and written at once', () => {
  const { lowered, instance } = preparedByName('indexing.ricci', 'transposed_halves N=72,M=136');
  const { module } = compilePtx(lowered, instance, 'sm_90a');
  expect(module).toContain('ld.global.nc.v4.b32');
  expect(module).toContain('st.global.v4.b32');
});
