/**
 * What an entry takes, gives and costs at given sizes, as plain data: exact counts from the graph, before
 * scheduling.
 */
import type { Cost, NodeCost } from '../compiler/graph/cost.ts';
import { graphCost, peakLiveBytes, tensorBytes } from '../compiler/graph/cost.ts';
import {
  type ComputeNode,
  type ExchangeVerb,
  type Graph,
  type Node,
  results,
  type Tensor,
} from '../compiler/graph/graph.ts';
import { printChange } from '../compiler/graph/print.ts';
import { allTensors } from '../compiler/graph/uses.ts';
import { entryOf } from '../compiler/lower/entry.ts';
import { contractionOf } from '../compiler/optimize/contraction.ts';
import { exchangeOf, sentBytes } from '../compiler/plan/expand-exchange.ts';
import type { AnyManifest } from '../compiler/plan/package.ts';
import { typeText } from '../compiler/plan/storage-bytes.ts';
import { launchCount } from '../compiler/plan/walk-steps.ts';
import { deviceCount, type Mesh, showList } from '../dsl/placement/placement.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { isUserError } from '../runtime/errors.ts';
import type { Checked } from './check.ts';
import type { Instance, Lowered } from './lower.ts';
import { showGraph } from './show.ts';
import { showInstance, showSignature } from './signature.ts';

export interface Explanation {
  readonly entry: string;
  /** As declared, and with numbers for its sizes. */
  readonly signature: string;
  readonly instance: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly inputs: readonly ExplainedTensor[];
  readonly outputs: readonly ExplainedTensor[];
  readonly nodes: readonly ExplainedNode[];
  readonly totals: Cost;
  /** The most bytes of tensors alive at once, inputs and outputs included, on any device. */
  readonly peakLiveBytes: number;
  /** All else is then of one device of a mesh. */
  readonly mesh: ExplainedMesh | undefined;
  /** Of what the compiler placed: the program with all placements and movements written out. */
  readonly written: WrittenOut | undefined;
}

/** Ricci source that checks by itself and computes the same, or why there is none. */
export type WrittenOut = { readonly source: string } | { readonly missing: string };

export interface ExplainedMesh {
  readonly axes: Mesh['axes'];
  readonly devices: number;
  /** By the device that sends most, in a run. */
  readonly sentBytes: number;
  readonly exchanges: readonly ExplainedExchange[];
}

/** Exchanges of one kind between the same groups. */
export interface ExplainedExchange {
  readonly verb: ExchangeVerb;
  readonly axes: readonly string[];
  /** How often in a run. */
  readonly times: number;
  readonly sentBytes: number;
}

export interface ExplainedTensor {
  readonly path: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface ExplainedNode extends Cost {
  /** In the words of the field: `contraction`, `attention`, `top 2 of 8`. */
  readonly what: string;
  readonly result: string;
  /** `f32[16, 8]`; several for a loop of several states. */
  readonly type: string;
  /** Of a loop: the nodes of one step, with the cost of one. */
  readonly step: readonly ExplainedNode[];
}

/** What the plan for one device adds. */
export interface ExplainedPlan {
  readonly device: string;
  readonly kernels: number;
  readonly launches: number;
  readonly peakBytes: number;
}

export function explain(checked: Checked, instance: Instance, lowered: Lowered): Explanation {
  const { optimized, device } = lowered;
  const info = entryOf(checked.program, instance.entry);
  const tensors = allTensors(optimized);
  const explained = (path: string, tensor: Tensor): ExplainedTensor => {
    const { dtype, shape } = tensor;
    return { path, dtype, shape, bytes: tensorBytes(tensor) };
  };
  const { nodes, ...totals } = graphCost(optimized);
  return {
    entry: instance.entry,
    signature: showSignature(info),
    instance: showInstance(info, instance.sizes),
    sizes: Object.fromEntries(instance.sizes),
    inputs: optimized.inputs.map(({ path, tensor }) => explained(path, tensor)),
    outputs: optimized.outputs.map(({ path, tensor }) => explained(path, tensors.get(tensor)!)),
    nodes: nodes.map(explainNode),
    totals,
    peakLiveBytes: peakLiveBytes(optimized),
    mesh: device === undefined ? undefined : explainMesh(device.mesh, optimized),
    written: device !== undefined && (instance.auto || info.auto) ? writtenOut(lowered) : undefined,
  };
}

function writtenOut(lowered: Lowered): WrittenOut {
  try {
    return { source: showGraph.source(lowered) };
  } catch (error) {
    if (isUserError(error)) return { missing: error.message };
    throw error;
  }
}

function explainMesh(mesh: Mesh, graph: Graph): ExplainedMesh {
  const found = new Map<string, ExplainedExchange>();
  const visit = ({ nodes }: Graph, times: number): void => {
    for (const node of nodes) {
      if (node.kind === 'loop') visit(node.body, times * node.count);
      if (node.kind !== 'exchange') continue;
      const { verb, axes } = node;
      const key = `${verb} ${axes}`;
      const before = found.get(key) ?? { times: 0, sentBytes: 0 };
      const bytes = times * sentBytes(exchangeOf(node), 0);
      found.set(key, { verb, axes, times: before.times + times, sentBytes: before.sentBytes + bytes });
    }
  };
  visit(graph, 1);
  const exchanges = [...found.values()];
  return {
    axes: mesh.axes,
    devices: deviceCount(mesh),
    sentBytes: exchanges.reduce((sum, each) => sum + each.sentBytes, 0),
    exchanges,
  };
}

/** @param device where it would run, in a line */
export function explainPlan({ kernels, steps, peakBytes }: AnyManifest, device: string): ExplainedPlan {
  return { device, kernels: kernels.length, launches: launchCount(steps), peakBytes };
}

function explainNode({ node, step, ...cost }: NodeCost): ExplainedNode {
  return {
    what: describe(node),
    result: results(node)
      .map(({ name }) => name)
      .join(', '),
    type: results(node).map(typeText).join(', '),
    ...cost,
    step: step.map(explainNode),
  };
}

const descriptions: { readonly [K in Node['kind']]: (node: Extract<Node, { kind: K }>) => string } = {
  compute: describeCompute,
  softmaxSum: ({ extent }) => `attention over ${extent}`,
  route: ({ experts }) => `route to ${experts} experts`,
  order: ({ direction, result }) => (direction === 'ascending' ? 'sort' : `top ${result.shape.at(-1) ?? 1}`),
  prefix: ({ combiner }) => `prefix ${combiner}`,
  loop: ({ count }) => `loop of ${count} steps`,
  collective: ({ change }) => printChange(change),
  block: ({ direction }) => `${direction} blocks`,
  exchange: ({ verb, axes }) => `${verb} ${showList(axes)}`,
};

function describe(node: Node): string {
  return (descriptions[node.kind] as (node: Node) => string)(node);
}

function describeCompute(node: ComputeNode): string {
  if (node.reduce === undefined) return 'map';
  const over = node.reduce.extents.join(' × ');
  if (node.grouped !== undefined)
    return `contraction over ${over}, grouped by ${node.grouped.experts} experts`;
  return `${contractionOf(node) === undefined ? node.reduce.combiner : 'contraction'} over ${over}`;
}
