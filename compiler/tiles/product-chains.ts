/**
 * Products that only other products read, as factors, or in the finishes of such: each of their readers makes
 * them itself, block by block, where it is cheaper to multiply once more than to store a matrix that is much
 * larger than what it is made of. So the gradient of attention stores no scores. The graph stays as it is: a
 * chain is how its nodes are run, for devices with matrix units. Chains that go through the same axes with
 * the same inner products are one, which makes these once, where a thread has registers for the sums of all.
 */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ComputeNode, Graph, Node, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { loadsOf } from '../graph/scalar.ts';
import { elementCount } from '../graph/tensor-type.ts';
import { readsOf } from '../graph/uses.ts';
import { contractionOf } from '../optimize/contraction.ts';
import { firstUnitChain, type UnitChainChoice } from './choices/unit-chain.ts';
import type { MatrixUnits } from './device-profile.ts';
import {
  type ChainProblem,
  chainedTogether,
  chainProblem,
  type InnerNodes,
  mayBeInner,
} from './schedules/chain-problem.ts';
import type { ScheduleContext } from './schedules/context.ts';
import type { ReductionNode } from './schedules/reduction.ts';
import { unitComponents, unitExtent } from './schedules/unit-stream.ts';

export interface ProductChains {
  /** By the outer product at whose place they are run: the last one. */
  readonly chains: ReadonlyMap<Node, ChainProblem>;
  /** What is made where it is used, and other outer products. */
  readonly within: ReadonlySet<Node>;
}

/** What units reach on an H200, a second (600 TFLOP/s of all), and bytes that its memory moves. */
const device = { operations: 600e12, bytes: 4.5e12, launch: 3e-6 } as const;

/** Those of one list of nodes. */
export function productChains(
  nodes: readonly Node[],
  outputs: Graph['outputs'],
  context: ScheduleContext,
): ProductChains {
  const { units } = context.device;
  if (units === undefined) return { chains: new Map(), within: new Set() };
  const given = new Set(outputs.map(({ tensor }) => tensor));
  const inner = new Map<TensorId, ReductionNode>();
  for (const node of nodes.filter(isReduction))
    if (!given.has(node.result.id) && mayBeInner(node) && contractionOf(node) && grows(node, context))
      inner.set(node.result.id, node);
  for (;;) {
    const chains = chainsOf(nodes, inner, context);
    const made = [...inner.values()].filter((node) => isMade(node, nodes, { inner, chains, units }));
    if (made.length === inner.size) return joined(chains, made, nodes, context);
    inner.clear();
    for (const node of made) inner.set(node.result.id, node);
  }
}

/** Chains of the same links that need nothing of each other are one. */
function joined(
  chains: ReadonlyMap<Node, ChainProblem>,
  made: readonly ReductionNode[],
  nodes: readonly Node[],
  context: ScheduleContext,
): ProductChains {
  const within = new Set<Node>(made);
  const found = new Map<Node, ChainProblem>();
  for (const [node, chain] of chains) {
    const [partner] = [...found].flatMap(([before, own]) => {
      const both = mayWait(before, node, chain, nodes) ? chainedTogether(own, chain, context) : undefined;
      return both !== undefined && isRunTogether(both, [own, chain], context) ? [{ before, both }] : [];
    });
    if (partner !== undefined) {
      found.delete(partner.before);
      within.add(partner.before);
    }
    found.set(node, partner?.both ?? chain);
  }
  return { chains: found, within };
}

/** Whether nothing up to a later chain reads what an outer product gives. */
function mayWait(before: Node, node: Node, chain: ChainProblem, nodes: readonly Node[]): boolean {
  const between = nodes.slice(nodes.indexOf(before) + 1, nodes.indexOf(node) + 1);
  const given = results(before).map(({ id }) => id);
  return ![...between, ...chain.links.map((link) => link.node)].some((each) =>
    given.some((id) => readsOf(each).has(id)),
  );
}

/**
 * Whether a workgroup has registers for all of them. Warpgroups read both factors of inner products from
 * shared memory, and of shorter blocks what they read with them takes longer than what is then made once;
 * warps do with half as long ones.
 */
function isRunTogether(
  both: ChainProblem,
  apart: readonly ChainProblem[],
  { device: profile }: ScheduleContext,
): boolean {
  const units = profile.units!;
  const blockOf = (chain: ChainProblem) => firstUnitChain(chain, profile)?.block;
  const areWhole = both.outers.every(
    ({ values: { extent } }) => unitExtent(extent) <= unitComponents(extent, units),
  );
  const block = areWhole ? blockOf(both) : undefined;
  if (block === undefined) return false;
  const most = units.warpgroups ? block : 2 * block;
  return apart.every((chain) => blockOf(chain)! <= most);
}

function isReduction(node: Node): node is ReductionNode {
  return node.kind === 'compute' && node.reduce !== undefined;
}

/** Whether it is no smaller than what it is made of. */
function grows({ result, body }: ComputeNode, { tensors }: ScheduleContext): boolean {
  const factors = new Set(loadsOf(body).map(({ tensor }) => tensor));
  const read = [...factors].reduce((total, id) => total + bytesOf(tensors(id)), 0);
  return bytesOf(result) >= read;
}

function bytesOf(tensor: Tensor): number {
  return (elementCount(tensor) * dtypeFacts[tensor.dtype].bits) / 8;
}

function chainsOf(
  nodes: readonly Node[],
  inner: InnerNodes,
  context: ScheduleContext,
): ReadonlyMap<Node, ChainProblem> {
  if (inner.size === 0) return new Map();
  return new Map(
    nodes.filter(isReduction).flatMap((node) => {
      const isOuter = !inner.has(node.result.id) && elementCount(node.result) > 0;
      const chain = isOuter ? chainProblem(node, inner, context) : undefined;
      const choice = chain && firstUnitChain(chain, context.device);
      const isRun = choice !== undefined && isSpread(chain!, choice, context.device.units!);
      return isRun ? [[node, chain!] as const] : [];
    }),
  );
}

/**
 * Whether there are workgroups enough: what it takes longer where a part of the device has nothing to do must
 * not be more than its inner products would take to be launched, stored and read.
 */
function isSpread(
  { links, batch, rows, outers, node }: ChainProblem,
  choice: UnitChainChoice,
  { processors }: MatrixUnits,
): boolean {
  const workgroups = batch.extent * Math.ceil(rows.extent / (choice.warps * choice.rows));
  const busy = Math.min(1, workgroups / processors);
  const reduced = node.reduce.extents.reduce((total, extent) => total * extent, 1);
  const wide = outers.reduce((total, { values }) => total + values.extent, 0);
  const depth = links.reduce((total, link) => total + link.depth, wide);
  const operations = 2 * batch.extent * rows.extent * reduced * depth;
  const stored = links.reduce((total, link) => total + 2 * bytesOf(link.node.result), 0);
  const lost = (operations / device.operations) * (1 / busy - 1);
  return lost <= stored / device.bytes + device.launch;
}

interface Found {
  readonly inner: InnerNodes;
  readonly chains: ReadonlyMap<Node, ChainProblem>;
  readonly units: MatrixUnits;
}

/** Whether all that read it make it themselves, and should. */
function isMade(node: ReductionNode, nodes: readonly Node[], { inner, chains, units }: Found): boolean {
  const { id } = node.result;
  const readers = nodes.filter((each) => readsOf(each).has(id));
  const own = [...chains.values()].filter(({ links }) => links.some((link) => link.node === node));
  const isAsked = (scalar: Scalar | undefined) =>
    scalar !== undefined && loadsOf(scalar).some(({ tensor }) => tensor === id);
  const isMadeBy = (reader: Node): boolean => {
    const chain = chains.get(reader);
    if (chain !== undefined)
      return own.includes(chain) && !isAsked(chain.outers[0]!.factor) && !isAsked(chain.node.reduce.finish);
    // Whoever reads it in a finish is a link, of a chain that has both.
    return isReduction(reader) && inner.has(reader.result.id) && !isAsked(reader.body);
  };
  if (own.length === 0 || !readers.every(isMadeBy)) return false;
  const times = own
    .flatMap(({ outers }) => outers)
    .reduce((total, { values: { extent } }) => total + Math.ceil(extent / unitComponents(extent, units)), 0);
  const again = 2 * elementCount(node.result) * node.reduce.extents[0]! * (times - 1);
  const moved = bytesOf(node.result) * (1 + readers.length);
  return again / device.operations <= moved / device.bytes;
}
