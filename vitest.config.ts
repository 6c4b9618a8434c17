import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{dsl,compiler,backends,runtime,cli,property-tests,examples,bench,driver,tests}/**/*.test.ts'],
    setupFiles: ['tests/random-seed.ts'],
    testTimeout: 300_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
