/** Simplifies every expression of a graph by the tables of rules, and reductions over one position or none. */
import type { Graph, Node } from '../graph/graph.ts';
import { mapNodeScalars } from '../graph/uses.ts';
import { createInterner } from './expressions/interner.ts';
import { rangeAnalysis } from './expressions/ranges.ts';
import { createRewriter, indexRules } from './expressions/rewriter.ts';
import { boundsOf, inLoopsFirst, loopCounts } from './nodes.ts';
import { simplifyReduction, simplifyStore } from './reductions.ts';
import { arithmeticRules } from './rules/arithmetic.ts';
import { conversionRules } from './rules/conversions.ts';
import { indexRules as rulesOfIndices } from './rules/indices.ts';
import { logicRules } from './rules/logic.ts';

/** Every table of rules, by topic. */
export const ruleTables = {
  arithmetic: arithmeticRules,
  indices: rulesOfIndices,
  logic: logicRules,
  conversions: conversionRules,
};

const rules = indexRules(Object.values(ruleTables).flat());

export function simplify(graph: Graph): Graph {
  const interner = createInterner();
  return inLoopsFirst(graph, (inner, outer) => {
    const loops = loopCounts(outer);
    const nodes = inner.nodes.map((node): Node => {
      const reduced = node.kind === 'compute' ? simplifyReduction(node) : node;
      const rewrite = createRewriter(rules, { interner, range: rangeAnalysis(boundsOf(reduced, loops)) });
      const simpler = mapNodeScalars(reduced, rewrite);
      return simpler.kind === 'compute' ? simplifyStore(simplifyReduction(simpler)) : simpler;
    });
    return { ...inner, nodes };
  });
}
