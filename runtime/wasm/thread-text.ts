/**
 * What a thread runs, as JavaScript text: a module of its own would have to be found as a file by programs
 * that are built, bundled or run from source.
 */
import { ofThread } from '../../backends/cuda-ptx/emulator/sign-of-life.ts';
import { control } from './control.ts';

/** Looks for the next kernel before the thread goes to sleep: some tens of microseconds. */
const patience = 4000;

export const threadText = `
const { workerData } = require('node:worker_threads');
const { module, memory, words, kernels, scratch, own } = workerData;
const { exports } = new WebAssembly.Instance(module, { runtime: { memory, scratch } });
const c = ${JSON.stringify(control)};
const o = ${JSON.stringify(ofThread)};
own[o.sign] = require('node:fs').openSync(require('node:os').devNull);
own[o.order] = Atomics.add(words, c.started, 1) + 1;

function takePart() {
  const kernel = exports[kernels[words[c.kernel]]];
  const given = words.slice(c.arguments, c.arguments + words[c.argumentCount]);
  const { [c.end]: end, [c.grain]: grain } = words;
  for (;;) {
    const first = Atomics.add(words, c.next, grain);
    if (first >= end) return;
    kernel(first, Math.min(first + grain, end), ...given);
  }
}

let turn = 0;
for (;;) {
  let now = Atomics.load(words, c.turn);
  for (let look = 0; now === turn && look < ${patience}; look++) now = Atomics.load(words, c.turn);
  if (now === turn) {
    Atomics.wait(words, c.turn, turn);
    continue;
  }
  turn = now;
  Atomics.store(own, o.inside, 1);
  try {
    if (Atomics.load(words, c.open) === 1) takePart();
  } catch {
    Atomics.store(words, c.failed, 1);
  }
  Atomics.store(own, o.inside, 0);
  Atomics.add(words, c.left, 1);
  Atomics.notify(words, c.left);
}
`;
