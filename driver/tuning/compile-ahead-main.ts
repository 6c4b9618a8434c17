/** A process of `compile-ahead.ts`. */
import { openGpu } from '../../runtime/cuda/driver/open.ts';
import { isUserError } from '../../runtime/errors.ts';
import { packagePtx } from '../compile.ts';
import type { AheadAnswer, AheadRequest } from './compile-ahead.ts';
import { programOf } from './program-of.ts';

process.on('disconnect', () => process.exit(0));
// Whoever asks has opened the same, and was told what is wrong with it.
const gpu = await openGpu().catch(() => process.exit(1));

function answerTo({ number, graph, schedule, arch }: AheadRequest): AheadAnswer {
  try {
    const made = packagePtx(...programOf(graph), schedule, arch).package;
    compile(made.module);
    return { number, made };
  } catch {
    // Whoever asks tries again, and is told then.
    return { number, made: undefined };
  }
}

/** For the driver to keep it. */
function compile(module: string): void {
  try {
    gpu.load(module).unload();
  } catch (error) {
    if (!isUserError(error)) throw error;
  }
}

process.on('message', (request: AheadRequest) => {
  // It may be that nobody waits any more.
  process.send!(answerTo(request), () => undefined);
});
