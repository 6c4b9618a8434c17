/**
 * What a problem is, as text that two problems share exactly if every choice makes the same kernel of both:
 * the node, its tensors named in the order in which they are met. By it what was measured of one program is
 * found for another.
 */
import type { Tensor, TensorId } from '../../graph/graph.ts';
import { printNode, printType } from '../../graph/print.ts';
import type { PackedPair } from '../packed.ts';
import { nodesOf, type Problem } from './problem.ts';

export function problemKey(problem: Problem, tensors: (id: TensorId) => Tensor): string {
  const met = new Map<TensorId, string>();
  const name = (id: TensorId): string => {
    const known = met.get(id) ?? `t${met.size}`;
    met.set(id, known);
    return known;
  };
  const texts = nodesOf(problem).map((node) => printNode(node, name));
  const types = [...met].map(([id, own]) => `${own}: ${printType(tensors(id))}`);
  return [
    ...texts,
    ...types,
    ...storedOf(problem, name),
    ...inPieces(problem, name),
    ...byUnits(problem),
  ].join('; ');
}

/** Of nodes along the same rows the results that others read. */
function storedOf(problem: Problem, name: (id: TensorId) => string): readonly string[] {
  if (problem.kind !== 'rowCluster') return [];
  const { nodes, stored } = problem.cluster;
  const names = nodes.flatMap(({ result: { id } }) => (stored.has(id) ? [name(id)] : []));
  return [`stored ${names.join(', ')}`];
}

/** Of rows in pieces, how they are cut. */
function inPieces(problem: Problem, name: (id: TensorId) => string): readonly string[] {
  if (problem.kind !== 'prefix' || problem.pieces === undefined) return [];
  const { chunk, starts } = problem.pieces;
  return [`pieces of ${chunk} from ${name(starts.id)}`];
}

/** What matrix units would multiply: it may be allowed to round factors, or not. */
function byUnits(problem: Problem): readonly string[] {
  if (problem.kind === 'contraction')
    return problem.packed === undefined ? [] : [`units of ${packedNames(problem.packed)}`];
  if (problem.kind === 'chain')
    return problem.outers.map(({ packed, parts }) => `units of ${packed}, in ${parts}`);
  if (problem.kind !== 'softmaxSum' || problem.units === undefined) return [];
  const { scores, values, parts } = problem.units;
  return [`units of ${scores} and ${values}, weights in ${parts}`];
}

function packedNames({ left, right }: PackedPair): string {
  return left === right ? left : `${left} and ${right}`;
}
