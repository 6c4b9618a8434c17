/** Kernels that memory bounds, by the widest reads and writes that a CUDA device has, in the emulator. */
import { expect, test } from 'vitest';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { checkByUnits, preparedByName } from './by-units.ts';

/** With edges that a square does not fill, of each width of elements, and with a batch. */
const turned = [
  'transpose N=40,M=72',
  'transposed_halves N=72,M=24',
  'transposed_bytes N=16,M=72',
  'added_transposed N=40',
  'batched_transposed B=3,N=16,M=24',
  'scaled_across N=24,M=40',
  'transposed_each N=40,M=72',
];

test.each(turned.map((name, at) => ({ name, target: ptxTargets[at % 2]! })))(
  '$name in squares for $target',
  async ({ name, target }) => {
    await checkByUnits('indexing.ricci', name, 'turned', { target, turns: 2 });
  },
);

/** Rows that warps have, that workgroups have, and that are longer than what invocations keep. */
const rows = [
  'reductions.ricci: rows N=3,M=1032',
  'reductions.ricci: rows N=2,M=40004',
  'rows.ricci: narrow_norms B=2,T=3,D=136',
  'rows.ricci: layer_norms T=3,D=2056',
  'softmax.ricci: rows N=3,M=301',
];

test.each(rows.map((name, at) => ({ name, target: ptxTargets[at % 2]! })))(
  '$name for $target',
  async ({ name, target }) => {
    const [file, program] = name.split(': ') as [string, string];
    await checkByUnits(file, program, 'rows', { target, turns: 1 });
  },
);

test.each(ptxTargets)('few rows have many stages for %s', async (target) => {
  await checkByUnits('units.ricci', 'plain M=16,K=640,N=72', 'units', { target, turns: 2 });
});

test('sixteen bytes are read and written at once', () => {
  const { lowered, instance } = preparedByName('indexing.ricci', 'transposed_halves N=72,M=136');
  const { module } = compilePtx(lowered, instance, 'sm_90a');
  expect(module).toContain('ld.global.nc.v4.b32');
  expect(module).toContain('st.global.v4.b32');
});
