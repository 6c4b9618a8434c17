/**
 * The search for a partition. For one axis of the mesh, with what the others do given, the best choice of
 * roles at all sites is found exactly: a sum of tables over single sites and pairs of them is made least
 * (`least-cost.ts`). Axes take turns until none finds anything better; that is repeated from other orders of
 * the axes, and the best is kept. The time does not depend on how many devices an axis has.
 */
import type { Placement } from '../../../dsl/placement/placement.ts';
import { tensorBytes } from '../../graph/cost.ts';
import type { Tensor, TensorId } from '../../graph/graph.ts';
import { isFree } from '../conversion.ts';
import { placementKey } from '../placement-graph.ts';
import { type CostTable, leastCost } from './least-cost.ts';
import type { MovementSeconds } from './movement-seconds.ts';
import type { Edge, Network, Strategy } from './network.ts';
import { heldPart } from './node-strategy.ts';

export interface Solution {
  /** Of each site. */
  readonly strategies: readonly Strategy[];
  /** That a run takes. */
  readonly seconds: number;
  /** What the search makes least: the seconds, and those that memory is worth. */
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
export function searcher(network: Network, secondsFor: MovementSeconds): Searcher {
  const all = placements();
  const strategyOf = rememberedStrategies(network, all);
  const movements = rememberedMovements(network, secondsFor, all);
  const first = network.sites.map((_, site) => firstLegal(network, site, strategyOf));
  return (secondsPerByte) =>
    first.includes(undefined)
      ? undefined
      : search(network, first as Choices, strategyOf, {
          priced: weigher(movements, secondsPerByte),
          plain: weigher(movements, 0),
        });
}

function search(
  network: Network,
  start: Choices,
  strategyOf: StrategyOf,
  { priced: weigh, plain }: { readonly priced: Weigher; readonly plain: Weigher },
): Solution {
  const { mesh, sites } = network;
  const solutions = ordersOf([...mesh.axes.keys()]).map((order) => descend(start, order));
  return solutions.reduce((best, other) => (other.cost < best.cost ? other : best));

  function descend(from: Choices, order: readonly number[]): Solution {
    let choices = from;
    let cost = costOf(choices, weigh);
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
    return {
      strategies: choices.map((choice, site) => strategyOf(site, choice)!.strategy),
      seconds: costOf(choices, plain),
      cost,
    };
  }

  function costOf(choices: Choices, by: Weigher): number {
    const strategies = choices.map((choice, site) => strategyOf(site, choice)!);
    const own = strategies.reduce((sum, strategy) => sum + by.site(strategy), 0);
    return network.edges.reduce((sum, edge) => {
      return sum + by.edge(edge, strategies[edge.from.site]!, strategies[edge.to.site]!);
    }, own);
  }

  function bestOn(axis: number, choices: Choices): { readonly choices: Choices; readonly cost: number } {
    const candidates = sites.map((_, site) => candidatesOn(axis, site, choices[site]!));
    const domains = candidates.map((own) => own.length);
    const tables: CostTable[] = candidates.map((own, site) => ({
      variables: [site],
      costs: Float64Array.from(own, ({ numbered }) => weigh.site(numbered)),
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
      const known = found.get(strategy.key);
      if (known === undefined || strategy.strategy.seconds < known.numbered.strategy.seconds)
        found.set(strategy.key, { choice: other, numbered: strategy });
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
      const costs = Float64Array.from(left, ({ numbered }) => weigh.edge(edge, numbered, numbered));
      return { variables: [from.site], costs };
    }
    const costs = new Float64Array(left.length * right.length);
    for (const [row, { numbered }] of left.entries())
      for (const [column, other] of right.entries())
        costs[row * right.length + column] = weigh.edge(edge, numbered, other.numbered);
    return { variables: [from.site, to.site], costs };
  }
}

interface Candidate {
  readonly choice: readonly number[];
  readonly numbered: Numbered;
}

/** A strategy with the numbers of its placements. */
export interface Numbered {
  readonly strategy: Strategy;
  readonly operands: readonly number[];
  readonly results: readonly number[];
  /** The same for strategies that want and leave everything in the same places. */
  readonly key: string;
}

type StrategyOf = (site: number, choice: readonly number[]) => Numbered | undefined;

function rememberedStrategies({ sites }: Network, { numberOf }: Placements): StrategyOf {
  const known = sites.map(() => new Map<string, Numbered | undefined>());
  return (site, choice) => {
    const key = choice.join();
    const own = known[site]!;
    if (!own.has(key)) {
      const { roles, strategy } = sites[site]!;
      const found = strategy(choice.map((role, axis) => roles[axis]![role]!));
      own.set(key, found && numbered(found, numberOf));
    }
    return own.get(key);
  };
}

export function numbered(strategy: Strategy, numberOf: Placements['numberOf']): Numbered {
  const operands = strategy.operands.map(numberOf);
  const results = strategy.results.map(numberOf);
  return { strategy, operands, results, key: `${operands};${results}` };
}

/** Every placement has one number. */
export interface Placements {
  readonly numberOf: (placement: Placement) => number;
  readonly numbered: readonly Placement[];
}

export function placements(): Placements {
  const numbers = new Map<string, number>();
  const numbered: Placement[] = [];
  return {
    numbered,
    numberOf: (placement) => {
      const key = placementKey(placement);
      const known = numbers.get(key);
      if (known !== undefined) return known;
      numbers.set(key, numbered.length);
      return numbered.push(placement) - 1;
    },
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
  readonly site: (strategy: Numbered) => number;
  readonly edge: (edge: Edge, from: Numbered, to: Numbered) => number;
}

/** What it takes to have a tensor elsewhere too. */
interface Movement {
  /** Each time; infinite where there is no way. */
  readonly seconds: number;
  /** Of the copy, on a device. */
  readonly bytes: number;
}

const noMovement: Movement = { seconds: 0, bytes: 0 };

/** Along an edge, from the placement of one number to that of the other. */
export type Movements = (edge: Edge, from: number, to: number) => Movement;

export function rememberedMovements(
  { mesh }: Network,
  secondsFor: MovementSeconds,
  all: Placements,
): Movements {
  const known = new Map<TensorId, Map<number, Movement>>();
  const find = (tensor: Tensor, from: Placement, to: Placement): Movement => {
    if (isFree(from, to)) return noMovement;
    const bytes = tensorBytes(tensor);
    return { seconds: secondsFor(bytes, from, to), bytes: bytes * heldPart(tensor, to, mesh) };
  };
  return ({ tensor }, from, to) => {
    if (from === to) return noMovement;
    const own = known.get(tensor.id) ?? new Map<number, Movement>();
    known.set(tensor.id, own);
    const key = from * 2 ** 24 + to;
    const before = own.get(key);
    if (before !== undefined) return before;
    const found = find(tensor, all.numbered[from]!, all.numbered[to]!);
    own.set(key, found);
    return found;
  };
}

export function weigher(movements: Movements, secondsPerByte: number): Weigher {
  return {
    site: ({ strategy: { seconds, bytes } }) => seconds + bytes * secondsPerByte,
    edge: (edge, source, reader) => {
      const { from, to, times } = edge;
      const { seconds, bytes } = movements(edge, source.results[from.result]!, reader.operands[to.operand]!);
      return times * seconds + bytes * secondsPerByte;
    },
  };
}
