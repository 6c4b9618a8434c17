/**
 * What a mesh axis may do at a node, as far as the node's form tells: which tensors that it reads would be
 * cut or pending over the axis. These are proposals; whether one is legal, and what becomes of the results,
 * is asked of the rule (`place.ts`).
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { ComputeNode, Node, SoftmaxSumNode, Tensor } from '../../graph/graph.ts';
import { iteratorsOf, type Load, loadsOf } from '../../graph/scalar.ts';
import { nodeScalars } from '../../graph/uses.ts';
import { extentsOf } from '../../optimize/nodes.ts';
import { type Share, sameShare, whole } from './share.ts';

/** For each tensor that a node reads, in the order in which it is asked for. */
export type Role = readonly Share[];

type PlainNode = Exclude<Node, { kind: 'loop' }>;

/** The first is to do nothing. */
export function rolesOf(node: PlainNode, reads: readonly Tensor[]): readonly Role[] {
  const idle = reads.map(() => whole);
  const proposals = (rules[node.kind] as (node: PlainNode, reads: readonly Tensor[]) => readonly Role[])(
    node,
    reads,
  );
  return distinct([idle, ...proposals]);
}

type Rules = {
  readonly [K in PlainNode['kind']]: (
    node: Extract<Node, { kind: K }>,
    reads: readonly Tensor[],
  ) => readonly Role[];
};

const rules: Rules = {
  compute: ofComprehension,
  softmaxSum: ofComprehension,
  route: () => [],
  order: (_node, [source]) => cuts(source!.shape.length - 1),
  prefix: (_node, [source]) => cuts(source!.shape.length - 1),
  collective: (_node, [source]) => [...cuts(source!.shape.length), ...pendings(source!)],
  block: (_node, [source]) => cuts(source!.shape.length),
  exchange: (_node, [source]) => cuts(source!.shape.length),
};

function cuts(dims: number): readonly Role[] {
  return Array.from({ length: dims }, (_, dim): Role => [{ kind: 'cut', dim }]);
}

function pendings({ dtype }: Tensor): readonly Role[] {
  if (dtypeFacts[dtype].arithmetic === 'bool') return [[{ kind: 'pending', combiner: 'max' }]];
  return (['sum', 'max', 'min'] as const).map((combiner): Role => [{ kind: 'pending', combiner }]);
}

// ── comprehensions ─────────────────────────────────────────────────────────────────────────────────────────

function ofComprehension(node: ComputeNode | SoftmaxSumNode, reads: readonly Tensor[]): readonly Role[] {
  const extents = extentsOf(node);
  const loads = nodeScalars(node).flatMap(loadsOf);
  const onIterators = extents.flatMap((extent, axis): readonly Role[] => {
    if (extent < 2) return [];
    const plain = roleOf(reads, loads, (load, dim, tensor) => isPlain(load, dim, axis, extent, tensor));
    const inParts = roleOf(
      reads,
      loads,
      (load, dim, tensor) =>
        isPlain(load, dim, axis, extent, tensor) || isComputedFrom(load.subscripts[dim]!, axis),
    );
    return [plain, inParts];
  });
  const onLookUps = reads.flatMap((tensor, position) =>
    [...tensor.shape.keys()]
      .filter((dim) =>
        loads.some((load) => load.tensor === tensor.id && loadsOf(load.subscripts[dim]!).length > 0),
      )
      .map((dim): Role => reads.map((_, at) => (at === position ? { kind: 'cut', dim } : whole))),
  );
  return [...onIterators, ...onLookUps, ...ofPending(node, reads)];
}

/** What is a sum over the axis goes through where the node is linear in it: in one tensor, or in all. */
function ofPending(node: ComputeNode | SoftmaxSumNode, reads: readonly Tensor[]): readonly Role[] {
  const sum: Share = { kind: 'pending', combiner: 'sum' };
  const isFloat = ({ dtype }: Tensor): boolean => dtypeFacts[dtype].class === 'float';
  const single = reads.flatMap((tensor, position): readonly Role[] =>
    isFloat(tensor) ? [reads.map((_, at) => (at === position ? sum : whole))] : [],
  );
  const isSumOfAll = node.kind === 'compute' && reads.filter(isFloat).length > 1;
  return isSumOfAll ? [...single, reads.map((tensor) => (isFloat(tensor) ? sum : whole))] : single;
}

type Carries = (load: Load, dim: number, tensor: Tensor) => boolean;

/** Each tensor cut where all its loads carry the iterator in the same dimension. */
function roleOf(reads: readonly Tensor[], loads: readonly Load[], carries: Carries): Role {
  return reads.map((tensor): Share => {
    const own = loads.filter((load) => load.tensor === tensor.id);
    const dim = tensor.shape.findIndex((_, at) => own.every((load) => carries(load, at, tensor)));
    return dim < 0 ? whole : { kind: 'cut', dim };
  });
}

function isPlain(load: Load, dim: number, axis: number, extent: number, tensor: Tensor): boolean {
  const subscript = load.subscripts[dim]!;
  return subscript.op === 'iterator' && subscript.axis === axis && tensor.shape[dim] === extent;
}

function isComputedFrom(subscript: Load['subscripts'][number], axis: number): boolean {
  return subscript.op === 'apply' && iteratorsOf(subscript).has(axis) && loadsOf(subscript).length === 0;
}

// ── distinct ───────────────────────────────────────────────────────────────────────────────────────────────

function distinct(roles: readonly Role[]): readonly Role[] {
  const kept: Role[] = [];
  for (const role of roles)
    if (!kept.some((other) => other.every((share, position) => sameShare(share, role[position]!))))
      kept.push(role);
  return kept;
}
