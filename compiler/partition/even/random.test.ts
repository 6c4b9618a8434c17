import fc from 'fast-check';
import { expect, test } from 'vitest';
import { randomPrograms } from '../../graph/random-graph.ts';
import { padding } from '../random-partition.ts';
import { fault, partition, shown, tapes } from '../random-programs.ts';

/** Most of them cannot be cut evenly. */
const sizes = [3, 5, 1, 2, 7, 4, 0];

test('a padded program computes what the whole one does', () => {
  const sampled = fc.sample(fc.tuple(randomPrograms(sizes), tapes), { numRuns: 2500, seed: 22 });
  for (const [i, [program, tape]] of sampled.entries()) {
    const t0 = Date.now();
    process.stderr.write(`${i} `);
      const partitioned = partition(program, tape, padding);
    const t1 = Date.now();
    if (partitioned === undefined) { process.stderr.write(`unplaced ${t1-t0}\n`); continue; }
    const w = partitioned.device.whole!;
    process.stderr.write(`placed ${t1-t0} ${partitioned.device.mesh.axes.map((a)=>a.size)} padded ${w.inputs.size + w.outputs.size}`);
      const found = fault(partitioned);
    process.stderr.write(` run ${Date.now()-t1} ${found}\n`);
    if (found !== undefined && found !== 'not exact') { process.stderr.write(shown(partitioned)+'\n'); break; }
  }
}, 400000);
