/** Small programs that are placed by hand (`file: entry T=6,tp=2`), and lack one of their collectives. */
import { loweredOnMesh } from '../../named-program.ts';
import { faultWithoutCollective } from '../../without-collective.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: (name) => faultWithoutCollective(loweredOnMesh(name)),
};
