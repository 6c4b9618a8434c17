import { expect, test } from 'vitest';
import { launchedBy } from './launcher.ts';

test('who started the process', () => {
  expect(launchedBy({ PATH: '/bin' })).toBeUndefined();
  expect(launchedBy({ PMI_RANK: '0', PMI_SIZE: '4' })).toMatchObject({ family: 'mpich', ranks: 4 });
  const openMpi = { OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '2', PMIX_RANK: '1' };
  expect(launchedBy(openMpi)).toMatchObject({ family: 'openMpi', ranks: 2 });
  expect(launchedBy({ PMIX_RANK: '1' })).toMatchObject({ family: undefined, ranks: undefined });
});
