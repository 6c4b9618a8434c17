/**
 * The program of all sizes up to a bound, found from a few: it is lowered at several sizes, and what differs
 * is a number that grows in step with them. Each extent becomes the number that it is at the capacity, and a
 * number that an expression computes with becomes the size itself.
 *
 * Capacities are chosen so that no extent which depends on a size is equal to any other extent: through the
 * optimizer, which knows nothing of this, an extent tells by itself what it is.
 */
import { type Extent, extentAt, extentScalar, type Sizes, sameExtent, showExtent } from '../graph/extent.ts';
import type { Arithmetic, Graph, Scalar } from '../graph/graph.ts';
import { convert } from '../graph/scalar.ts';
import { Unlike, zipGraphs } from './zip-graphs.ts';

export interface Sample {
  readonly sizes: Sizes;
  readonly graph: Graph;
}

export interface NumberedGraph {
  /** At the capacities, with sizes in its expressions. */
  readonly graph: Graph;
  /** What extents are that depend on a bounded size, by their numbers in `graph`. */
  readonly extents: ReadonlyMap<number, Extent>;
  /** All other extents. */
  readonly fixed: ReadonlySet<number>;
  /** At least the bounds; what tensors have room for. */
  readonly capacities: Sizes;
}

/** So many neighbours are vectors in every dtype, and a row of results for most schedules. */
const granularity = 8;
/** Capacities are looked for among so many. */
const mostTries = 64;

/**
 * @param samples the first at the greatest sizes, and at least one with another value of each bounded size
 * @param admits whether there is a program at these sizes
 * @throws Unlike when the program is another at other sizes
 */
export function numberedGraph(
  samples: readonly Sample[],
  bounds: Sizes,
  admits: (sizes: Sizes) => boolean,
): NumberedGraph {
  const graphs = samples.map(({ graph }) => graph);
  const fitted = fitting(
    samples.map(({ sizes }) => sizes),
    bounds,
  );
  const fixed = new Set<number>();
  const growing: Extent[] = [];
  const note = (extent: Extent): number => {
    if (extent.terms.length === 0) fixed.add(extent.constant);
    else if (!growing.some((other) => sameExtent(other, extent))) growing.push(extent);
    return 0;
  };
  zipGraphs(graphs, { extent: (values) => note(fitted(values)), constant: () => undefined });
  const capacities = capacitiesFor(growing, fixed, { bounds, greatest: samples[0]!.sizes, admits });
  const extents = new Map(growing.map((extent) => [extentAt(extent, capacities), extent]));
  const graph = zipGraphs(graphs, {
    extent: (values) => extentAt(fitted(values), capacities),
    constant: (dtype, values) => constantOf(dtype, fitted(values)),
  });
  return { graph, extents, fixed, capacities };
}

function constantOf(dtype: Arithmetic, extent: Extent): Scalar {
  if (dtype === 'bool') throw new Unlike('a condition depends on the size alone');
  return convert(dtype, extentScalar(extent));
}

/** Finds what numbers are, from what they are at the samples. */
function fitting(samples: readonly Sizes[], bounds: Sizes) {
  const names = [...bounds.keys()];
  return (values: readonly number[]): Extent => {
    const [first] = values as [number];
    const [base] = samples as [Sizes];
    const terms = names.toSorted().flatMap((size) => {
      const other = samples.findIndex((sizes) => differOnlyIn(size, sizes, base, names));
      if (other < 0) throw new Error(`no sample has another ${size}`);
      const factor = (values[other]! - first) / (samples[other]!.get(size)! - base.get(size)!);
      return factor === 0 ? [] : [{ size, most: bounds.get(size)!, factor }];
    });
    const rest = terms.reduce((sum, { size, factor }) => sum - factor * base.get(size)!, first);
    const extent: Extent = { constant: rest, terms };
    const fits = samples.every((sizes, at) => extentAt(extent, sizes) === values[at]);
    const isWhole = [rest, ...terms.map(({ factor }) => factor)].every(Number.isSafeInteger);
    if (!fits || !isWhole)
      throw new Unlike(
        `a number in it does not grow in step with ${names.join(', ')} (${values.join(', ')})`,
      );
    return extent;
  };
}

function differOnlyIn(size: string, sizes: Sizes, base: Sizes, names: readonly string[]): boolean {
  return names.every((name) => (sizes.get(name) !== base.get(name)) === (name === size));
}

interface Wanted {
  readonly bounds: Sizes;
  /** The greatest that there is a program of. */
  readonly greatest: Sizes;
  readonly admits: (sizes: Sizes) => boolean;
}

function capacitiesFor(
  growing: readonly Extent[],
  fixed: ReadonlySet<number>,
  { bounds, greatest, admits }: Wanted,
): Sizes {
  const rounded = (bound: number) => Math.ceil(Math.max(bound, 2) / granularity) * granularity;
  // Sizes that have the same bound get different capacities.
  const candidates = Array.from(
    { length: mostTries },
    (_, turn): Sizes =>
      new Map([...bounds].map(([name, bound], at) => [name, rounded(bound) + granularity * turn * (at + 1)])),
  );
  const found = [...candidates, greatest].find((capacities) => {
    const numbers = growing.map((extent) => extentAt(extent, capacities));
    const isClear = numbers.every((number) => number > 1 && !fixed.has(number));
    return isClear && new Set(numbers).size === numbers.length && admits(capacities);
  });
  if (found !== undefined) return found;
  throw new Unlike(`no capacity tells ${growing.map(showExtent).join(', ')} from all other extents`);
}
