/**
 * What was measured of devices in use, and ships with the compiler: the choices by which everybody compiles
 * for such a device who does not say otherwise.
 */
import { join } from 'node:path';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import { packageRoot } from '../package-root.ts';
import { type Identity, readTuning, type Tuning } from './tuning-file.ts';

/** `bench/gpu/tune.ts` measures them. H100 and H200 have the same processor, and other memory. */
const tables: { readonly [T in PtxTarget]: string | undefined } = {
  sm_80: undefined,
  sm_90a: 'h200.json',
};

type Problems = Tuning['problems'];

const none: Problems = new Map();
const known = new Map<string, Problems>();

/** Of the target of the kernels that a device runs, or a package is for. */
export function shippedProblems({ target, arch }: Identity): Problems {
  const table = target === 'ptx' ? tables[arch as PtxTarget] : undefined;
  if (table === undefined) return none;
  const problems =
    known.get(table) ?? readTuning(join(packageRoot, 'backends/cuda-ptx/tuned', table)).problems;
  known.set(table, problems);
  return problems;
}
