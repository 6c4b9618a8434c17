/**
 * Random tests draw the same values in every run, so that a change alone can make one fail. `npm run fuzz:tests` draws
 * others each time; what fails then prints the seed that shows it again: `FUZZ_SEED=… npm run fuzz:tests`.
 */
import fc from 'fast-check';

const { FUZZ_SEED } = process.env;
const seed = FUZZ_SEED === 'random' ? Date.now() % 2 ** 31 : Number(FUZZ_SEED ?? 2026);

fc.configureGlobal({ seed });
