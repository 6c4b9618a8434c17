/**
 * Simplifies every expression of a graph by the tables of rules, and reductions over one position or none.
 */
import type { Graph, Node } from '../graph/graph.ts';
import { mapNodeScalars } from '../graph/uses.ts';
import { createInterner, type Interner } from './expressions/interner.ts';
import { type Bounds, rangeAnalysis } from './expressions/ranges.ts';
import { createRewriter, indexRules, type Rewriter } from './expressions/rewriter.ts';
import { boundsOf, inLoopsFirst, loopCounts } from './nodes.ts';
import { type MayBeEmpty, simplifyReduction, simplifyStore } from './reductions.ts';
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

/** Brings expressions over one node's axes into a normal form in which equal ones are the same object. */
export type Simplifier = Rewriter;

export function simplifierOf(bounds: Bounds, interner: Interner): Simplifier {
  return createRewriter(rules, { interner, range: rangeAnalysis(bounds) });
}

export interface SimplifyOptions {
  /** None is if not given. */
  readonly mayBeEmpty?: MayBeEmpty;
}

export function simplify(graph: Graph, { mayBeEmpty = () => false }: SimplifyOptions = {}): Graph {
  const interner = createInterner();
  return inLoopsFirst(graph, (inner, outer) => {
    const loops = loopCounts(outer);
    const nodes = inner.nodes.map((node): Node => {
      const reduced = node.kind === 'compute' ? simplifyReduction(node, mayBeEmpty) : node;
      const rewrite = simplifierOf(boundsOf(reduced, loops), interner);
      const simpler = mapNodeScalars(reduced, rewrite);
      return simpler.kind === 'compute' ? simplifyStore(simplifyReduction(simpler, mayBeEmpty)) : simpler;
    });
    return { ...inner, nodes };
  });
}
