import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{dsl,compiler,backends,runtime,cli,property-tests,examples,bench,driver,tests}/**/*.test.ts'],
    setupFiles: ['tests/random-seed.ts'],
    testTimeout: 300_000,
    // What was measured on this machine is not what is tested.
    env: { RICCI_CACHE: join(tmpdir(), 'ricci-tests-without-cache') },
    pool: 'forks',
    maxWorkers: 2,
  },
});
