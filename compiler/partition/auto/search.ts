/**
 * The search for a partition. For one axis of the mesh, with what the others do given, the best choice of
 * roles at all sites is found exactly: a sum of tables over single sites and pairs of them is made least
 * (`least-cost.ts`). Axes take turns until none finds anything better; that is repeated from other orders of
 * the axes, and the best is kept. The time does not depend on how many devices an axis has.
 */
import { type Placement, samePlacement } from '../../../dsl/placement/placement.ts';
import type { Tensor } from '../../graph/graph.ts';
import { isFree } from '../conversion.ts';
import { placementKey } from '../placement-graph.ts';
import { reshardPlanner } from '../reshard.ts';
import { bytesOf, type CostModel } from './cost-model.ts';
import { type CostTable, leastCost } from './least-cost.ts';
import type { Edge, Network, Strategy } from './network.ts';
import { divided } from './node-strategy.ts';
import { paddedShape } from './share.ts';

export interface Solution {
  /** Of each site. */
  readonly strategies: readonly Strategy[];
  /** What the search makes least: seconds, those that memory is worth included. */
  readonly cost: number;
}

/** For each site, which of its roles each axis takes. */
type Choices = readonly (readonly number[])[];

/** Entries of the largest table: some tens of megabytes. */
const tableLimit = 2 ** 21;

/**
 * A search with a memory of what it found legal, and of what movements take.
 * @param secondsPerByte that a byte of memory on a device is worth
 */
export type Searcher = (secondsPerByte: number) => Solution | undefined;

/** The searches give undefined where some site can be computed in no way, whatever is moved. */
export function searcher(network: Network, costs: CostModel): Searcher {
  const strategyOf = rememberedStrategies(network);
  const movement = rememberedMovements(network, costs);
  const first = network.sites.map((_, site) => firstLegal(network, site, strategyOf));
  return (secondsPerByte) =>
    first.includes(undefined)
      ? undefined
      : search(network, first as Choices, strategyOf, weigher(network, movement, secondsPerByte));
}

function search(network: Network, start: Choices, strategyOf: StrategyOf, weigh: Weigher): Solution {
  const { mesh, sites } = network;
  const solutions = ordersOf([...mesh.axes.keys()]).map((order) => descend(start, order));
  return solutions.reduce((best, other) => (other.cost < best.cost ? other : best));

  function descend(from: Choices, order: readonly number[]): Solution {
    let choices = from;
    let cost = costOf(choices);
    for (let better = true; better; ) {
      better = false;
      for (const axis of order) {
        const next = bestOn(axis, choices);
        if (next.cost < cost * (1 - 1e-9)) {
          choices = next.choices;
          cost = next.cost;
          better = true;
        }
      }
    }
    return { strategies: choices.map((choice, site) => strategyOf(site, choice)!), cost };
  }

  function costOf(choices: Choices): number {
    const strategies = choices.map((choice, site) => strategyOf(site, choice)!);
    const own = strategies.reduce((sum, strategy) => sum + weigh.site(strategy), 0);
    return network.edges.reduce((sum, edge) => {
      return sum + weigh.edge(edge, strategies[edge.from.site]!, strategies[edge.to.site]!);
    }, own);
  }

  function bestOn(axis: number, choices: Choices): { readonly choices: Choices; readonly cost: number } {
    const candidates = sites.map((_, site) => candidatesOn(axis, site, choices[site]!));
    const domains = candidates.map((own) => own.length);
    const tables: CostTable[] = candidates.map((own, site) => ({
      variables: [site],
      costs: Float64Array.from(own, ({ strategy }) => weigh.site(strategy)),
    }));
    for (const edge of network.edges) tables.push(tableOf(edge, candidates));
    const start = candidates.map((own, site) => own.findIndex(({ choice }) => choice === choices[site]));
    const found = leastCost(domains, tables, { start, limit: tableLimit });
    return {
      choices: found.values.map((value, site) => candidates[site]![value]!.choice),
      cost: found.cost,
    };
  }

  /** The choice at hand first; of those that come to the same only one. */
  function candidatesOn(axis: number, site: number, choice: readonly number[]): readonly Candidate[] {
    const found = new Map<string, Candidate>();
    const add = (other: readonly number[]): void => {
      const strategy = strategyOf(site, other);
      if (strategy === undefined) return;
      const key = [...strategy.operands, ...strategy.results].map(placementKey).join(';');
      const known = found.get(key);
      if (known === undefined || strategy.seconds < known.strategy.seconds)
        found.set(key, { choice: other, strategy });
    };
    add(choice);
    for (const role of sites[site]!.roles[axis]!.keys())
      if (role !== choice[axis]) add(choice.with(axis, role));
    return [...found.values()];
  }

  function tableOf(edge: Edge, candidates: readonly (readonly Candidate[])[]): CostTable {
    const { from, to } = edge;
    const left = candidates[from.site]!;
    const right = candidates[to.site]!;
    if (from.site === to.site) {
      const costs = Float64Array.from(left, ({ strategy }) => weigh.edge(edge, strategy, strategy));
      return { variables: [from.site], costs };
    }
    const costs = new Float64Array(left.length * right.length);
    for (const [row, { strategy }] of left.entries())
      for (const [column, other] of right.entries())
        costs[row * right.length + column] = weigh.edge(edge, strategy, other.strategy);
    return { variables: [from.site, to.site], costs };
  }
}

interface Candidate {
  readonly choice: readonly number[];
  readonly strategy: Strategy;
}

type StrategyOf = (site: number, choice: readonly number[]) => Strategy | undefined;

function rememberedStrategies({ sites }: Network): StrategyOf {
  const known = sites.map(() => new Map<string, Strategy | undefined>());
  return (site, choice) => {
    const key = choice.join();
    const own = known[site]!;
    if (!own.has(key)) {
      const { roles, strategy } = sites[site]!;
      own.set(key, strategy(choice.map((role, axis) => roles[axis]![role]!)));
    }
    return own.get(key);
  };
}

/** The first combination of roles that the site can be computed in: to do nothing, wherever that is legal. */
function firstLegal({ sites }: Network, site: number, strategyOf: StrategyOf): readonly number[] | undefined {
  const { roles } = sites[site]!;
  const complete = (choice: readonly number[]): readonly number[] | undefined => {
    if (choice.length === roles.length) return strategyOf(site, choice) && choice;
    for (const role of roles[choice.length]!.keys()) {
      const found = complete([...choice, role]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return complete([]);
}

/** Each axis is first once. */
function ordersOf(axes: readonly number[]): readonly (readonly number[])[] {
  if (axes.length === 0) return [[]];
  return axes.map((_, first) => [...axes.slice(first), ...axes.slice(0, first)]);
}

/** What a solution is the sum of. */
export interface Weigher {
  readonly site: (strategy: Strategy) => number;
  readonly edge: (edge: Edge, from: Strategy, to: Strategy) => number;
}

/** Of one time, in seconds; infinite where there is no way. */
type Movement = (tensor: Tensor, from: Placement, to: Placement) => number;

export function rememberedMovements({ mesh }: Network, costs: CostModel): Movement {
  const links = new Map(mesh.axes.map(({ name }) => [name, costs.links.get(name) ?? costs.link]));
  const plan = reshardPlanner(mesh, links);
  const known = new Map<string, number>();
  return (tensor, from, to) => {
    const key = `${tensor.id};${placementKey(from)};${placementKey(to)}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const shape = paddedShape(tensor.shape, [from, to], mesh);
    const found = plan({ from, to, shape, elementBytes: bytesOf({ ...tensor, shape: [] }) });
    const seconds = 'fault' in found ? Infinity : found.seconds;
    known.set(key, seconds);
    return seconds;
  };
}

export function weigher({ mesh }: Network, movement: Movement, secondsPerByte: number): Weigher {
  return {
    site: ({ seconds, bytes }) => seconds + bytes * secondsPerByte,
    edge: ({ tensor, times, from, to }, source, reader) => {
      const own = source.results[from.result]!;
      const wanted = reader.operands[to.operand]!;
      if (samePlacement(own, wanted) || isFree(own, wanted)) return 0;
      const copy = bytesOf(tensor) * divided(tensor, wanted, mesh);
      return times * movement(tensor, own, wanted) + copy * secondsPerByte;
    },
  };
}
