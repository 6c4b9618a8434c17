/**
 * A program as decisions and what they cost one another. A *site* is where something is decided: how a node
 * is divided, where an input, an output or the state of a loop lives. An *edge* leads from the site that
 * defines a tensor to one that reads it; where the two want it in different places, it is moved there. What
 * several sites read goes through a *relay* of its own, so that a movement that they share is paid once.
 */
import {
  type AxisList,
  type Mesh,
  type Placement,
  sameList,
  type Wish,
} from '../../../dsl/placement/placement.ts';
import { tensorBytes } from '../../graph/cost.ts';
import type { Graph, LoopId, LoopNode, Node, Tensor, TensorId } from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { allTensors, readsOf } from '../../graph/uses.ts';
import { optimize } from '../../optimize/passes.ts';
import { divides } from '../change.ts';
import { type CostModel, flopsOf } from './cost-model.ts';
import { deviceViews } from './device-views.ts';
import { exchangeSeconds } from './exchange-seconds.ts';
import {
  heldPart,
  isTooFine,
  type NodeStrategy,
  type NodeStrategyOf,
  nodeStrategy,
} from './node-strategy.ts';
import { type Role, rolesOf } from './roles.ts';
import { placementOf, type Share, shareOf, whole } from './share.ts';

/** What a site does, all axes together. */
export interface Strategy {
  /** Where it wants what it reads. */
  readonly operands: readonly Placement[];
  /** Where it leaves what it defines. */
  readonly results: readonly Placement[];
  /** Each time that it runs, on one device. */
  readonly seconds: number;
  /** That a device holds because of it. */
  readonly bytes: number;
}

export interface Site {
  /** For people. */
  readonly name: string;
  /** What each axis of the mesh may do here; the first is nothing, where that is legal. */
  readonly roles: readonly (readonly Role[])[];
  /** undefined where the roles, one for each axis of the mesh, do not go together. */
  readonly strategy: (roles: readonly Role[]) => Strategy | undefined;
}

export interface Edge {
  readonly tensor: Tensor;
  /** How often in a run it is moved, if it is. */
  readonly times: number;
  readonly from: { readonly site: number; readonly result: number };
  readonly to: { readonly site: number; readonly operand: number };
  readonly reader: Reader;
}

/** Who reads, as `readerOf` writes it. */
export type Reader = string;

export const readerOf = {
  node: (node: Node): Reader => `node ${results(node)[0]!.id}`,
  /** The initial value of a state, by the tensor that the body reads it as. */
  initial: (state: TensorId): Reader => `initial ${state}`,
  /** What a step gives as the next state, or to be collected, by the result of the loop that it becomes. */
  next: (result: TensorId): Reader => `next ${result}`,
  output: (path: string): Reader => `output ${path}`,
  relay: (tensor: TensorId): Reader => `relay ${tensor}`,
};

export interface Network {
  readonly mesh: Mesh;
  readonly sites: readonly Site[];
  readonly edges: readonly Edge[];
  /** What defines each tensor. */
  readonly origins: ReadonlyMap<TensorId, Origin>;
  /** The site of each output, by path. */
  readonly outputs: ReadonlyMap<string, number>;
}

export interface NetworkOptions {
  readonly mesh: Mesh;
  readonly costs: CostModel;
  /** Whether what the mesh does not divide may be padded. */
  readonly uneven: boolean;
  /** By path; those that are not named may live anywhere. */
  readonly inputs: ReadonlyMap<string, Wish>;
  readonly outputs: ReadonlyMap<string, Wish>;
  /**
   * The tensors that are not for the search to place. Where they are read by what makes others of them,
   * nothing is decided and nothing moves.
   */
  readonly byHand: ReadonlyMap<TensorId, Placement>;
  /** With a memory, where there is one. */
  readonly nodeStrategyOf?: NodeStrategyOf;
}

/** Where a tensor comes from, and how often in a run. */
export interface Origin {
  readonly tensor: Tensor;
  readonly site: number;
  readonly result: number;
  readonly times: number;
}

export function networkOf(graph: Graph, options: NetworkOptions): Network {
  const { mesh, costs, uneven, inputs, outputs, byHand, nodeStrategyOf = nodeStrategy } = options;
  const sites: Site[] = [];
  const edges: Edge[] = [];
  const origins = new Map<TensorId, Origin>();
  const tensors = allTensors(graph);
  const flops = flopsOf(graph);
  const stored = storedTensors(graph);
  const views = deviceViews(graph);
  const held = (tensor: Tensor, placement: Placement): number =>
    stored.has(tensor.id) ? tensorBytes(tensor) * heldPart(tensor, placement, mesh) : 0;

  const takenFor = ({ id }: Tensor): ReadonlySet<string> => views.get(id) ?? new Set();
  const isLegal = (tensor: Tensor, placement: Placement): boolean =>
    divides(tensor.shape, placement, mesh) || (uneven && !isTooFine(tensor, placement, mesh));
  const addSite = (site: Site): number => sites.push(site) - 1;
  const define = (tensor: Tensor, site: number, result: number, times: number): void => {
    origins.set(tensor.id, { tensor, site, result, times });
  };
  const read = (id: TensorId, site: number, operand: number, reader: Reader): void => {
    const { tensor, times, ...from } = origins.get(id)!;
    edges.push({ tensor, times, from, to: { site, operand }, reader });
  };

  for (const { path, tensor } of graph.inputs)
    define(tensor, addSite(wishSite(path, tensor, inputs.get(path), 'results')), 0, 1);
  visit(graph, 1, new Map());
  const outputSites = new Map<string, number>();
  for (const { path, tensor } of graph.outputs) {
    const site = addSite(wishSite(path, tensors.get(tensor)!, outputs.get(path), 'operands'));
    outputSites.set(path, site);
    if (!byHand.has(tensor)) read(tensor, site, 0, readerOf.output(path));
  }
  return { mesh, sites, edges: withRelays(), origins, outputs: outputSites };

  function visit({ nodes }: Graph, times: number, loops: ReadonlyMap<LoopId, number>): void {
    for (const node of nodes) {
      if (node.kind === 'loop') {
        visitLoop(node, times, loops);
        continue;
      }
      const reads = [...readsOf(node)].map((id) => tensors.get(id)!);
      const isByHand = byHand.has(results(node)[0]!.id);
      const site = addSite((isByHand ? handSite : nodeSite)(node, reads, times, loops));
      for (const [operand, { id }] of reads.entries())
        if (!isByHand || !byHand.has(id)) read(id, site, operand, readerOf.node(node));
      for (const [result, tensor] of results(node).entries()) define(tensor, site, result, times);
    }
  }

  function visitLoop(node: LoopNode, times: number, loops: ReadonlyMap<LoopId, number>): void {
    const { body, initial, count } = node;
    const inside = new Map([...loops, [node.loop, count]]);
    if (node.results.some(({ id }) => byHand.has(id))) {
      const defineByHand = (tensor: Tensor, often: number): void =>
        define(tensor, addSite(placedSite(tensor.name, [], [byHand.get(tensor.id)!])), 0, often);
      for (const { tensor } of body.inputs) defineByHand(tensor, times * count);
      visit(body, times * count, inside);
      for (const tensor of node.results) defineByHand(tensor, times);
      return;
    }
    const states = body.inputs.map(({ tensor }, position) => {
      const site = addSite(stateSite(tensor));
      read(initial[position]!, site, 0, readerOf.initial(tensor.id));
      define(tensor, site, 0, times * count);
      return site;
    });
    visit(body, times * count, inside);
    for (const [position, { tensor }] of body.outputs.entries()) {
      const result = node.results[position]!;
      const site = states[position] ?? addSite(collectedSite(tensors.get(tensor)!));
      const operand = position < states.length ? 1 : 0;
      read(tensor, site, operand, readerOf.next(result.id));
      define(result, site, position < states.length ? 1 : 0, times);
    }
  }

  function nodeSite(
    node: Exclude<Node, LoopNode>,
    reads: readonly Tensor[],
    times: number,
    loops: ReadonlyMap<LoopId, number>,
  ): Site {
    const all = rolesOf(node, reads);
    // What enters a per-device block is cut by its axes; inside they divide nothing.
    const taken = node.kind === 'block' ? new Set() : takenFor(results(node)[0]!);
    const strategyOf = (placements: readonly Placement[]): NodeStrategy | undefined =>
      reads.every((tensor, at) => isLegal(tensor, placements[at]!))
        ? nodeStrategyOf(node, reads, placements, { mesh, loops, uneven })
        : undefined;
    return {
      name: results(node)[0]!.name,
      roles: mesh.axes.map(({ name }) => (taken.has(name) ? all.slice(0, 1) : all)),
      strategy: (roles) => {
        const operands = reads.map((tensor, at) => joint(tensor, roles, at));
        const found = strategyOf(operands);
        return found && weighed(node, reads, operands, found, times);
      },
    };
  }

  function weighed(
    node: Exclude<Node, LoopNode>,
    reads: readonly Tensor[],
    operands: readonly Placement[],
    found: NodeStrategy,
    times: number,
  ): Strategy {
    const moved = reads.reduce((sum, tensor, at) => sum + held(tensor, operands[at]!), 0);
    const busy = ((flops.get(node) ?? 0) * found.work) / costs.flopsPerSecond;
    const sent =
      node.kind === 'exchange' ? exchangeSeconds(node, reads[0]!, operands[0]!, { mesh, costs }) : 0;
    return {
      operands,
      results: found.results,
      seconds: times * (sent + Math.max(busy, moved / costs.bytesPerSecond)),
      bytes: results(node).reduce((sum, tensor, at) => sum + held(tensor, found.results[at]!), 0),
    };
  }

  /** What the search is to place and comes out of it is brought to where the result is. */
  function handSite(
    node: Exclude<Node, LoopNode>,
    reads: readonly Tensor[],
    times: number,
    loops: ReadonlyMap<LoopId, number>,
  ): Site {
    const left = results(node).map(({ id }) => byHand.get(id)!);
    const operands = reads.map(({ id }) => byHand.get(id) ?? left[0]!);
    const found = nodeStrategyOf(node, reads, operands, { mesh, loops, uneven: false });
    const site = placedSite(results(node)[0]!.name, operands, left);
    return found === undefined
      ? site
      : { ...site, strategy: () => weighed(node, reads, operands, { ...found, results: left }, times) };
  }

  /** Where there is nothing to decide. */
  function placedSite(name: string, operands: readonly Placement[], left: readonly Placement[]): Site {
    const strategy: Strategy = { operands, results: left, seconds: 0, bytes: 0 };
    return { name, roles: mesh.axes.map(() => [[]]), strategy: () => strategy };
  }

  function joint({ shape }: Tensor, roles: readonly Role[], operand: number): Placement {
    return placementOf(
      shape.length,
      roles.map((role) => role[operand]!),
      mesh,
    );
  }

  /** A state lives in one place: where it starts, is read, and comes out of a step. */
  function stateSite(tensor: Tensor): Site {
    return sameEverywhere(tensor, tensor.name, 2, 2, sharesOf(tensor));
  }

  /** What is collected is the tensor of a step with a dimension before the others. */
  function collectedSite(tensor: Tensor): Site {
    const site = sameEverywhere(tensor, tensor.name, 1, 1, sharesOf(tensor));
    return {
      ...site,
      strategy: (roles) => {
        const found = site.strategy(roles);
        return (
          found && {
            ...found,
            results: found.results.map(({ dims, pending }) => ({ dims: [[], ...dims], pending })),
          }
        );
      },
    };
  }

  function relaySite(tensor: Tensor): Site {
    const shares: readonly Share[] = [...sharesOf(tensor), { kind: 'pending', combiner: 'sum' }];
    return sameEverywhere(tensor, `${tensor.name}, for all`, 1, 1, shares);
  }

  function sameEverywhere(
    tensor: Tensor,
    name: string,
    operands: number,
    results: number,
    shares: readonly Share[],
  ): Site {
    const roles = shares.map((share): Role => [share]);
    return {
      name,
      roles: mesh.axes.map((axis) => (takenFor(tensor).has(axis.name) ? [[whole]] : roles)),
      strategy: (chosen) => {
        const placement = joint(tensor, chosen, 0);
        if (!isLegal(tensor, placement)) return undefined;
        return {
          operands: Array.from({ length: operands }, () => placement),
          results: Array.from({ length: results }, () => placement),
          seconds: 0,
          bytes: held(tensor, placement),
        };
      },
    };
  }

  /** An input or output: where it is declared, and elsewhere as is best. */
  function wishSite(
    path: string,
    tensor: Tensor,
    wish: Wish | undefined,
    side: 'operands' | 'results',
  ): Site {
    const declared: Placement = {
      dims: tensor.shape.map((_, dim) =>
        wish === undefined || wish.dims[dim] === 'any' ? [] : (wish.dims[dim] as AxisList),
      ),
      pending: wish?.pending ?? new Map(),
    };
    const free = [...tensor.shape.keys()].filter((dim) => wish === undefined || wish.dims[dim] === 'any');
    const roles = mesh.axes.map(({ name }): readonly Role[] => {
      const fixed = shareOf(declared, name);
      if (fixed.kind !== 'whole') return [[fixed]];
      return [[whole], ...free.map((dim): Role => [{ kind: 'cut', dim }])];
    });
    return {
      name: path,
      roles,
      strategy: (chosen) => {
        const any = joint(tensor, chosen, 0);
        const dims = any.dims.map((list, dim) => (free.includes(dim) ? list : declared.dims[dim]!));
        const placement = { dims, pending: declared.pending };
        if (!isLegal(tensor, placement) && !isDeclared(placement, declared)) return undefined;
        const bytes = tensorBytes(tensor) * heldPart(tensor, placement, mesh);
        const none: readonly Placement[] = [];
        return { operands: none, results: none, [side]: [placement], seconds: 0, bytes };
      },
    };
  }

  /** Between an origin and its readers, where there are several. */
  function withRelays(): readonly Edge[] {
    return [...origins.values()].flatMap(({ tensor, times, site, result }) => {
      const own = edges.filter((edge) => edge.tensor.id === tensor.id);
      const from = { site, result };
      if (new Set(own.map(({ to }) => to.site)).size < 2 || tensor.shape.length === 0) return own;
      const relay = addSite(relaySite(tensor));
      const into: Edge = {
        tensor,
        times,
        from,
        to: { site: relay, operand: 0 },
        reader: readerOf.relay(tensor.id),
      };
      return [into, ...own.map((edge) => ({ ...edge, from: { site: relay, result: 0 } }))];
    });
  }
}

/** Whether a dimension is cut as it is declared, and no further. */
function isDeclared({ dims }: Placement, declared: Placement): boolean {
  return dims.every((list, dim) => sameList(list, declared.dims[dim]!));
}

function sharesOf({ shape }: Tensor): readonly Share[] {
  return [whole, ...[...shape.keys()].map((dim): Share => ({ kind: 'cut', dim }))];
}

/** What stays a tensor of its own once the program is optimized, and so takes memory. */
function storedTensors(graph: Graph): ReadonlySet<TensorId> {
  const kept = new Set(allTensors(optimize(graph)).keys());
  return new Set([...allTensors(graph).keys()].filter((id) => kept.has(id)));
}
