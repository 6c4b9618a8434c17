/** Every planted fault of what makes kernels, and of what runs them on a mesh, is noticed. */
import { testNoticing } from './noticing.ts';
import { kernelMutants } from './table.ts';

testNoticing(kernelMutants);
