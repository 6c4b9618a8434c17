/**
 * The cheapest choice for many variables at once, where costs are tables over few of them: exact, by
 * eliminating variables one after another (Bertelè and Brioschi, "Nonserial dynamic programming", 1972).
 */

/** What the choices for some variables cost together: row-major over their domains, in order. */
export interface CostTable {
  readonly variables: readonly number[];
  readonly costs: Float64Array;
}

export interface Choice {
  /** For each variable. */
  readonly values: readonly number[];
  readonly cost: number;
}

export interface LeastCostOptions {
  /** The choice to keep for variables that would make a table larger than the limit. */
  readonly start: readonly number[];
  /** Entries of a table that elimination makes. */
  readonly limit: number;
}

/**
 * The least sum of all tables, and the first choice that has it. Exact, unless a table would be larger than
 * the limit: then variables keep the value that they start with until it is not, and what is found costs at
 * most what the start does.
 *
 * @param domains how many values each variable has
 */
export function leastCost(
  domains: readonly number[],
  tables: readonly CostTable[],
  { start, limit }: LeastCostOptions,
): Choice {
  const values = domains.map(() => -1);
  const eliminated: Elimination[] = [];
  let active: readonly CostTable[] = tables;
  const open = new Set(domains.keys());
  const neighboursOf = (variable: number): readonly number[] => {
    const near = active.filter(({ variables }) => variables.includes(variable));
    const others = near.flatMap(({ variables }) => variables).filter((other) => other !== variable);
    return [...new Set(others)].sort((left, right) => left - right);
  };
  const sizeOf = (variables: readonly number[]): number =>
    variables.reduce((size, variable) => size * domains[variable]!, 1);

  while (open.size > 0) {
    const ways = [...open].map((variable) => {
      const neighbours = neighboursOf(variable);
      return { variable, neighbours, size: sizeOf(neighbours) };
    });
    const { variable, neighbours, size } = ways.reduce((best, way) => (way.size < best.size ? way : best));
    if (size > limit) {
      const most = ways.reduce((best, way) => (way.neighbours.length > best.neighbours.length ? way : best));
      values[most.variable] = start[most.variable]!;
      active = active.map((table) => fixed(table, most.variable, start[most.variable]!, domains));
      open.delete(most.variable);
      continue;
    }
    const own = active.filter((table) => table.variables.includes(variable));
    const { table, best } = without(variable, neighbours, own, domains);
    eliminated.push({ variable, neighbours, best });
    active = [...active.filter((other) => !own.includes(other)), table];
    open.delete(variable);
  }
  for (const { variable, neighbours, best } of eliminated.toReversed()) {
    const position = neighbours.reduce((at, other) => at * domains[other]! + values[other]!, 0);
    values[variable] = best[position]!;
  }
  return { values, cost: active.reduce((sum, { costs }) => sum + costs[0]!, 0) };
}

interface Elimination {
  readonly variable: number;
  readonly neighbours: readonly number[];
  /** The best value of the variable for each choice of its neighbours. */
  readonly best: Uint16Array;
}

/** The table of what is left when the variable takes its best value, whatever its neighbours are. */
function without(
  variable: number,
  neighbours: readonly number[],
  tables: readonly CostTable[],
  domains: readonly number[],
): { readonly table: CostTable; readonly best: Uint16Array } {
  const extents = neighbours.map((other) => domains[other]!);
  const size = extents.reduce((product, extent) => product * extent, 1);
  const strides = tables.map((table) => stridesOf(table, domains));
  const own = strides.map((of) => of.get(variable)!);
  const costs = new Float64Array(size);
  const best = new Uint16Array(size);
  const digits = neighbours.map(() => 0);
  const bases = tables.map(() => 0);
  for (let position = 0; position < size; position++) {
    let least = Infinity;
    for (let value = 0; value < domains[variable]!; value++) {
      let cost = 0;
      for (const [at, table] of tables.entries()) cost += table.costs[bases[at]! + value * own[at]!]!;
      if (cost < least) {
        least = cost;
        best[position] = value;
      }
    }
    costs[position] = least;
    advance(digits, extents, (digit, by) => {
      for (const [at, of] of strides.entries()) bases[at]! += by * (of.get(neighbours[digit]!) ?? 0);
    });
  }
  return { table: { variables: neighbours, costs }, best };
}

/** Counts on by one, and says by how much each digit changes. */
function advance(
  digits: number[],
  extents: readonly number[],
  change: (digit: number, by: number) => void,
): void {
  for (let digit = digits.length - 1; digit >= 0; digit--) {
    if (digits[digit]! + 1 < extents[digit]!) {
      digits[digit]!++;
      change(digit, 1);
      return;
    }
    change(digit, -digits[digit]!);
    digits[digit] = 0;
  }
}

function stridesOf({ variables }: CostTable, domains: readonly number[]): ReadonlyMap<number, number> {
  const strides = new Map<number, number>();
  let stride = 1;
  for (const variable of variables.toReversed()) {
    strides.set(variable, stride);
    stride *= domains[variable]!;
  }
  return strides;
}

function fixed(table: CostTable, variable: number, value: number, domains: readonly number[]): CostTable {
  const at = table.variables.indexOf(variable);
  if (at < 0) return table;
  const stride = stridesOf(table, domains).get(variable)!;
  const block = stride * domains[variable]!;
  const costs = new Float64Array(table.costs.length / domains[variable]!);
  for (let position = 0; position < costs.length; position++) {
    const outer = Math.floor(position / stride);
    costs[position] = table.costs[outer * block + value * stride + (position % stride)]!;
  }
  return { variables: table.variables.toSpliced(at, 1), costs };
}
