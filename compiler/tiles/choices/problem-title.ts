import type { Problem } from './problem.ts';

/** For people: `contraction h 512 × 64 over 256`, the extents of the result and of what is reduced. */
export function problemTitle(problem: Problem): string {
  const { kind, node } = problem;
  const { name, shape } = node.result;
  const title = kind === 'softmaxSum' && problem.logits ? 'exponentials' : titles[kind];
  const reduced = node.kind === 'softmaxSum' ? [node.extent] : (node.reduce?.extents ?? []);
  const over = reduced.length === 0 ? '' : ` over ${reduced.join(' × ')}`;
  return `${title} ${name} ${shape.join(' × ') || 'scalar'}${over}`;
}

const titles: { readonly [K in Problem['kind']]: string } = {
  map: 'map',
  reduction: 'reduction',
  contraction: 'contraction',
  softmaxSum: 'attention',
  chain: 'chain',
};
