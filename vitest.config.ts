import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Puts other modules in the place of those of the compiler. */
const breaksModules = ['compiler/partition/soundness-mutants.test.ts'];

export default defineConfig({
  test: {
    setupFiles: ['tests/random-seed.ts'],
    testTimeout: 300_000,
    // What was measured on this machine is not what is tested, nor is its GPU: PTX runs in the emulator.
    env: { RICCI_CACHE: join(tmpdir(), 'ricci-tests-without-cache'), RICCI_CUDA_LIBRARY: 'none' },
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      // These change nothing that is global, so that modules are loaded once for all of them.
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['{dsl,compiler}/**/*.test.ts'],
          exclude: breaksModules,
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'apart',
          include: [
            '{backends,runtime,cli,property-tests,examples,bench,driver,tests}/**/*.test.ts',
            ...breaksModules,
          ],
        },
      },
    ],
  },
});
