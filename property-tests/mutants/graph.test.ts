/** Every planted fault of what goes from graph to graph is noticed. */
import { testNoticing } from './noticing.ts';
import { graphMutants } from './table.ts';

testNoticing(graphMutants);
