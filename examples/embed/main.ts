/**
 * Calls a Ricci file from TypeScript: `npm run embed`. `examples/moe/moe.ricci.d.ts`, which `ricci declare`
 * wrote, types the call: another shape than the entry takes is an error in the editor.
 */
import { join } from 'node:path';
import { isUserError, type LoadOptions, load, tensor, valuesOf } from 'ricci';
import type { Entries } from '../moe/moe.ricci.d.ts';

/** From `dist`, where this file is run. */
const file = join(import.meta.dirname, '../../../examples/moe/moe.ricci');

const [tokens, width, hidden, experts] = [4, 8, 16, 6] as const;
const inputs = {
  x: tensor('bf16', [tokens, width], wave(tokens * width, 1)),
  router: tensor('f32', [width, experts], wave(width * experts, 2)),
  experts: {
    gate: tensor('bf16', [experts, width, hidden], wave(experts * width * hidden, 3)),
    up: tensor('bf16', [experts, width, hidden], wave(experts * width * hidden, 4)),
    down: tensor('bf16', [experts, hidden, width], wave(experts * hidden * width, 5)),
  },
};

try {
  const onDevice = await run({});
  const reference = await run({ target: 'reference' });
  const distance = onDevice.reduce(
    (most, value, place) => Math.max(most, Math.abs(value - reference[place]!)),
    0,
  );
  console.log(`each of ${tokens} tokens through the best 2 of ${experts} experts:`);
  for (let token = 0; token < tokens; token++) {
    const row = onDevice.subarray(token * width, (token + 1) * width);
    console.log(`token ${token}  ${[...row].map((value) => value.toFixed(3).padStart(7)).join(' ')}`);
  }
  console.log(`the reference evaluator differs by at most ${distance.toFixed(3)}`);
} catch (error) {
  if (!isUserError(error)) throw error;
  console.error(`error: ${error.message}\n  = help: ${error.help}`);
  process.exitCode = 1;
}

async function run(options: LoadOptions): Promise<Float64Array> {
  const model = await load<Entries>(file, { ...options, report: (line) => console.error(line) });
  try {
    const { out } = await model.layer(inputs, { K: 2 });
    return valuesOf(out);
  } finally {
    model.close();
  }
}

/** Numbers in [−1, 1] that look like none in particular. */
function wave(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, (_, place) =>
    Math.sin(seed + 1.7 * place + 0.3 * place * seed),
  );
}
