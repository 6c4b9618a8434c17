/** The first half of a thousand programs: two files, for two cores. */
import { testPrograms } from './testing.ts';

testPrograms(0);
