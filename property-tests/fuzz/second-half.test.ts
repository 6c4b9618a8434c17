/** The second half of six hundred programs: two files, for two cores. */
import { testPrograms } from './testing.ts';

testPrograms(300);
