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
  const open = new Set(domains.keys());
  const near = domains.map((): Set<CostTable> => new Set());
  const neighbours = domains.map((): Set<number> => new Set());
  let constant = 0;
  const add = (table: CostTable): void => {
    if (table.variables.length === 0) constant += table.costs[0]!;
    for (const variable of table.variables) {
      near[variable]!.add(table);
      for (const other of table.variables) if (other !== variable) neighbours[variable]!.add(other);
    }
  };
  const remove = (table: CostTable): void => {
    for (const variable of table.variables) near[variable]!.delete(table);
  };
  const close = (variable: number): void => {
    open.delete(variable);
    for (const other of neighbours[variable]!) neighbours[other]!.delete(variable);
  };
  const sizeWithout = (variable: number): number => {
    let size = 1;
    for (const other of neighbours[variable]!) size *= domains[other]!;
    return size;
  };
  for (const table of tables) add(table);

  while (open.size > 0) {
    const variable = leastBy(open, sizeWithout);
    if (sizeWithout(variable) > limit) {
      const most = leastBy(open, (other) => -neighbours[other]!.size);
      values[most] = start[most]!;
      const own = [...near[most]!];
      close(most);
      for (const table of own) {
        remove(table);
        add(fixed(table, most, start[most]!, domains));
      }
      continue;
    }
    const others = [...neighbours[variable]!].sort((left, right) => left - right);
    const own = [...near[variable]!];
    const { table, best } = without(variable, others, own, domains);
    eliminated.push({ variable, neighbours: others, best });
    close(variable);
    for (const each of own) remove(each);
    add(table);
  }
  for (const { variable, neighbours: others, best } of eliminated.toReversed()) {
    const position = others.reduce((at, other) => at * domains[other]! + values[other]!, 0);
    values[variable] = best[position]!;
  }
  return { values, cost: constant };
}

/** The first of the least. */
function leastBy(variables: ReadonlySet<number>, measure: (variable: number) => number): number {
  let best = -1;
  let least = Infinity;
  for (const variable of variables) {
    const size = measure(variable);
    if (best >= 0 && size >= least) continue;
    best = variable;
    least = size;
  }
  return best;
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
