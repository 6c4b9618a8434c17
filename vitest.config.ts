import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{dsl,compiler,backends,runtime,cli,property-tests,examples,bench,driver,tests}/**/*.test.ts'],
    // Each fault takes seconds, all of them minutes: `npm run mutants`.
    exclude:
      process.env.MUTANTS === '1'
        ? ['node_modules/**']
        : ['node_modules/**', 'property-tests/mutants/mutants.test.ts'],
    setupFiles: ['tests/random-seed.ts'],
    testTimeout: 300_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
