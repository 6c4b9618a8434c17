/**
 * For a machine with a GPU that is lent for minutes: checks every small program on its adapter against the
 * reference evaluator, in one process, and prints what fails. `node dist/bench/gpu/main.js && node
 * dist/bench/main.js`.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkFile } from '../../driver/compile.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { instancesOf } from '../../property-tests/instances.ts';
import { distance, runEntry } from '../../property-tests/run-entry.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';

/** One ulp of bf16, which a result may be apart by where it is rounded. */
const tolerance = 2 ** -7;

const opened = await openDevice(await openAdapter({ report: console.log }));
console.log(opened.description);
console.log(JSON.stringify(opened.profile));
const folder = join(packageRoot, 'property-tests/programs');
let passed = 0;
let failed = 0;
let worst = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith('.ricci'))) {
  const checked = checkFile(join(folder, file));
  if (checked.kind === 'rejected') throw new Error(`${file} has errors`);
  for (const { name, exported } of checked.program.entries.values()) {
    if (!exported) continue;
    for (const sizes of instancesOf(checked.program, name)) {
      const outcome = await runEntry(checked, name, sizes, 7, opened).then(
        ({ written, wgsl }) => distance(written, wgsl),
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      if (typeof outcome === 'number' && outcome <= tolerance) {
        passed++;
        worst = Math.max(worst, outcome);
      } else {
        failed++;
        console.log(`${file} ${name} ${JSON.stringify([...sizes])}: ${outcome}`);
      }
    }
  }
}
console.log(`${passed} passed, ${failed} failed; the largest distance of those that passed is ${worst}`);
opened.destroy();
process.exitCode = failed > 0 ? 1 : 0;
