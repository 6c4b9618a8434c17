import type { Problem } from './problem.ts';

/** For people: `contraction h 512 × 64 over 256`, the extents of the result and of what is reduced. */
export function problemTitle(problem: Problem): string {
  const { kind, node } = problem;
  const { name, shape } = node.result;
  const title = kind === 'softmaxSum' && problem.logits ? 'exponentials' : titles[kind];
  const reduced = reducedOf(node);
  const over = reduced.length === 0 ? '' : ` over ${reduced.join(' × ')}`;
  return `${title} ${name} ${shape.join(' × ') || 'scalar'}${over}`;
}

function reducedOf(node: Problem['node']): readonly number[] {
  if (node.kind === 'softmaxSum') return [node.extent];
  return node.kind === 'order' || node.kind === 'prefix' ? [] : (node.reduce?.extents ?? []);
}

const titles: { readonly [K in Problem['kind']]: string } = {
  map: 'map',
  reduction: 'reduction',
  contraction: 'contraction',
  softmaxSum: 'attention',
  prefix: 'prefixes',
  order: 'order',
  rowCluster: 'rows',
  chain: 'chain',
};
