/** The first half of six hundred programs: two files, for two cores. */
import { testPrograms } from './testing.ts';

testPrograms(0);
