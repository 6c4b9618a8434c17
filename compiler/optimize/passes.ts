/** The passes of the optimizer, in the order in which they run. */
import type { Graph } from '../graph/graph.ts';
import { assertWellFormed } from '../graph/well-formed.ts';
import { withoutCollectives } from './collectives.ts';
import { commonSubexpressions } from './cse.ts';
import { deadCode } from './dead-code.ts';
import { fuseEpilogues, fuseMoreEpilogues } from './epilogue.ts';
import { fuse, inlineViews } from './inline.ts';
import { joinSoftmax } from './join-softmax.ts';
import { recoverAttention } from './recover-attention.ts';
import { recoverExperts } from './recover-experts.ts';
import { recoverLogSums } from './recover-log-sums.ts';
import { recoverPartialAttention } from './recover-partial-attention.ts';
import { type SimplifyOptions, simplify } from './simplify.ts';

export interface Pass {
  readonly name: string;
  /** Keeps the meaning and the paths and types of inputs and outputs. */
  readonly run: (graph: Graph, options: SimplifyOptions) => Graph;
}

export const passes = [
  { name: 'single-device', run: withoutCollectives },
  { name: 'simplify', run: simplify },
  { name: 'inline-views', run: inlineViews },
  { name: 'simplify-views', run: simplify },
  { name: 'common-subexpressions', run: commonSubexpressions },
  { name: 'dead-code', run: deadCode },
  { name: 'fuse-epilogues', run: fuseEpilogues },
  { name: 'recover-attention', run: recoverAttention },
  { name: 'recover-partial-attention', run: recoverPartialAttention },
  { name: 'recover-log-sums', run: recoverLogSums },
  { name: 'dead-code-recovered', run: deadCode },
  { name: 'join-softmax', run: (graph) => joinSoftmax(graph) },
  { name: 'recover-experts', run: recoverExperts },
  { name: 'fuse', run: fuse },
  { name: 'dead-code-fused', run: deadCode },
  { name: 'fuse-more-epilogues', run: fuseMoreEpilogues },
  { name: 'simplify-fused', run: simplify },
  { name: 'common-subexpressions-again', run: commonSubexpressions },
  { name: 'dead-code-again', run: deadCode },
] as const satisfies readonly Pass[];

export type PassName = (typeof passes)[number]['name'];

export interface OptimizeOptions extends SimplifyOptions {
  /** Names of passes to leave out. */
  readonly skip?: ReadonlySet<string>;
  /** Sees the graph after each pass. */
  readonly onPass?: (name: string, graph: Graph) => void;
}

/** Runs the passes; the graph is checked for well-formedness after each, and a fault is an internal error. */
export function optimize(graph: Graph, options: OptimizeOptions = {}): Graph {
  let current = graph;
  for (const pass of passes) {
    if (options.skip?.has(pass.name)) continue;
    current = pass.run(current, options);
    assertWellFormed(current, pass.name);
    options.onPass?.(pass.name, current);
  }
  return current;
}
