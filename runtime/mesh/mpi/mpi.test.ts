/** Jobs of four processes, under each MPI that is installed: MPICH and Open MPI. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isInstalled, jobEnvironment, type Launched, launchers } from './testing.ts';

/** Milliseconds. What hangs fails; a busy machine may take a minute. */
const longest = 200_000;

function runJob({ command, options }: Launched, script: string, argument: string) {
  const path = join(import.meta.dirname, 'test-jobs', script);
  const { status, stdout, stderr } = spawnSync(
    command,
    [...options, '-n', '4', process.execPath, path, argument],
    { encoding: 'utf8', env: jobEnvironment, timeout: longest },
  );
  return { status, stdout, stderr };
}

/**
 * What the ranks themselves said when the job ended; what they said before is that they wait. A library that
 * crashes may have begun the line.
 */
function lastWords(stderr: string): readonly string[] {
  return [...stderr.matchAll(/ricci: .*(?: while rank \d waited in .*|; rank \d stops)$/gm)]
    .map(([line]) => line)
    .toSorted();
}

const sum = String.raw`all_reduce\(sum\) of 1024 f32`;
const atSum = String.raw`${sum} over sp \(step 5\)`;
const rank2 = String.raw`rank 2 \(process \d+ on \S+\)`;

interface Fault {
  /** What rank 2 does, in `test-jobs/faults.mjs`. */
  readonly fault: string;
  /** What is said of it. */
  readonly says: string;
  /** How many say so: rank 2 does not, when it is dead. */
  readonly speakers: 3 | 4;
  /**
   * Calls that do not match meet in MPI, before they are compared. It may let the others through, which then
   * wait in none, and Open MPI may write past the end of a receive that is too short, and so end rank 2.
   */
  readonly meets?: true;
}

const mismatch = (calls: string): Fault['says'] =>
  String.raw`rank \d calls (${sum}, but rank \d calls ${calls}|${calls}, but rank \d calls ${sum}) over sp \(step 5\)`;
const absent = String.raw`rank \d has waited \d+ s in ${atSum} for rank 2 \(last in ${sum} over sp \(step 4\)\)`;

const faults: readonly Fault[] = [
  { fault: 'killed', says: `${rank2} died \\((signal 9|killed, or crashed in native code)\\)`, speakers: 3 },
  { fault: 'throws', says: `${rank2} threw TypeError: nothing to add`, speakers: 3 },
  { fault: 'exits', says: `${rank2} exited with status 3 without closing its communicator`, speakers: 3 },
  { fault: 'gives up', says: `${rank2} gave up: the disk is full`, speakers: 4 },
  {
    fault: 'ends early',
    says: `rank 2 has ended its part, but rank \\d waits for it in ${atSum}`,
    speakers: 4,
  },
  {
    fault: 'other combiner',
    says: mismatch(String.raw`all_reduce\(min\) of 1024 f32`),
    speakers: 4,
    meets: true,
  },
  {
    fault: 'other type',
    says: mismatch(String.raw`all_reduce\(sum\) of 1024 i32`),
    speakers: 4,
    meets: true,
  },
  { fault: 'other verb', says: mismatch('barrier'), speakers: 4, meets: true },
  { fault: 'never comes', says: absent, speakers: 4 },
  { fault: 'never comes, busy', says: absent, speakers: 4 },
];

for (const launched of launchers) {
  const installed = isInstalled(launched);
  if (!installed)
    console.warn(`${launched.name} is not installed (${launched.command}): its tests are skipped`);

  test.runIf(process.env.CI === 'true')(`${launched.name} is installed where CI runs`, () => {
    expect(installed).toBe(true);
  });

  const isFirst = launched === launchers[0];
  describe.skipIf(!installed)(launched.name, () => {
    test('every collective, type and group gives the bits of the in-process communicator', () => {
      const [seed] = fc.sample(fc.integer(), 1);
      const { status, stdout, stderr } = runJob(launched, 'collectives.mjs', String(seed));
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const found = JSON.parse(stdout);
      expect(found.wrong).toEqual(['[]', '[]', '[]', '[]']);
      expect(found.compared).toBe(5 * (9 * 11 + 9));
      expect(found.caught).toEqual([
        'all_gather',
        'all_reduce',
        'all_to_all',
        'broadcast',
        'reduce_scatter',
        'shift',
      ]);
      expect(found.ticks).toBeGreaterThan(0);
    });

    // What the watch says is its own: under the second library that it is told.
    const tried = faults.filter(({ meets, speakers }) => isFirst || meets || speakers === 3);
    test.for(tried)('rank 2: $fault', ({ fault, says, speakers, meets }) => {
      const { status, stderr } = runJob(launched, 'faults.mjs', fault);
      const lines = lastWords(stderr);
      expect(status, stderr).toBeGreaterThan(0);
      expect(meets ? [3, 4] : [speakers], stderr).toContain(lines.length);
      for (const rank of [0, 1, 3]) {
        const place = ` while rank ${rank} waited in ${atSum}${meets ? `|; rank ${rank} stops` : ''}`;
        // Where calls that do not match meet, a library may end a rank before anybody has compared them.
        const how = String.raw`\((signal \d+|killed, or crashed in native code)\)`;
        const died = String.raw`rank 2 \(.*\) died ${how}(; rank ${rank} stops| while rank ${rank} waited in ${atSum})`;
        const words = `${says}(${place})${meets ? `|${died}` : ''}`;
        expect(lines.join('\n')).toMatch(new RegExp(`^ricci: (${words})$`, 'm'));
      }
    });

    test('ranks that disagree about the program', () => {
      const { status, stderr } = runJob(launched, 'faults.mjs', 'other program');
      expect(status).not.toBe(0);
      for (const rank of [0, 1, 2, 3])
        expect(stderr).toContain(`rank ${rank} says: rank 2 has another program than ranks 0, 1 and 3\n`);
    });
  });
}

test('without a launcher it is a job of one rank', () => {
  const world = JSON.stringify(join(import.meta.dirname, '../../../dist/runtime/mesh/mpi/world.js'));
  const script = `
    import { openMpi } from ${world};
    const world = await openMpi();
    const receive = new Uint8Array(2);
    await world.exchange({ verb: 'all_gather', dtype: 'u8' }, Uint8Array.of(7, 8), receive);
    await world.close();
    console.log(world.size, ...receive);`;
  const run = (variables: NodeJS.ProcessEnv) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...jobEnvironment, ...variables },
    });
  if (launchers.some(isInstalled))
    expect(run({})).toMatchObject({ status: 0, stdout: '1 7 8\n', stderr: '' });
  const missing = run({ RICCI_MPI_LIBRARY: 'libnothing.so' });
  expect(missing.status).toBe(1);
  expect(missing.stderr).toMatch(
    /the MPI library chosen by RICCI_MPI_LIBRARY cannot be used: libnothing\.so: /,
  );
});
