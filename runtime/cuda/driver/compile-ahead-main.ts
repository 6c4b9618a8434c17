/** A process of `compile-ahead.ts`: loads modules, for the driver to compile and keep them, and drops them. */
import { isUserError } from '../../errors.ts';
import type { AheadRequest } from './compile-ahead.ts';
import { openGpu } from './open.ts';

process.on('disconnect', () => process.exit(0));
// Whoever asked has opened the same, and was told what is wrong with it.
const gpu = await openGpu().catch(() => process.exit(1));
process.on('message', ({ number, ptx }: AheadRequest) => {
  try {
    gpu.load(ptx).unload();
  } catch (error) {
    // Who asked loads it too, and is told then.
    if (!isUserError(error)) throw error;
  }
  process.send!(number);
});
