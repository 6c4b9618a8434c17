/** Programs of sizes that are known in a run only, up to bounds: from an entry to its optimized graph. */
import { lowerBounded } from '../compiler/bounded/lower-bounded.ts';
import { withEnds } from '../compiler/bounded/with-ends.ts';
import { Unlike } from '../compiler/bounded/zip-graphs.ts';
import { type Extent, extentAt, leastExtent, type Sizes } from '../compiler/graph/extent.ts';
import type { Graph } from '../compiler/graph/graph.ts';
import { describeEntry, entryOf } from '../compiler/lower/entry.ts';
import { relationText } from '../compiler/lower/entry-problems.ts';
import type { SourceOfTensors } from '../compiler/lower/origin.ts';
import { withoutCollectives } from '../compiler/optimize/collectives.ts';
import { optimize } from '../compiler/optimize/passes.ts';
import type { Condition } from '../compiler/plan/package-bounds.ts';
import type { Diagnostic } from '../dsl/diagnostics/diagnostic.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { evaluateSize, type Size, showSize, sizeParameters } from '../dsl/types/size.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';
import { checkExtents } from './index-limits.ts';
import type { Progress } from './progress.ts';

/** What is bounded in a program, and how far. */
export interface Bounded {
  /** By size: what it is at most, and at least. */
  readonly most: Sizes;
  readonly least: Sizes;
  /** What tensors have room for. */
  readonly capacities: Sizes;
  /** For inputs of type ix(n), by path: n, where it depends on a bounded size. */
  readonly belowEnds: ReadonlyMap<string, Extent>;
  /** What the entry's `where` says of bounded sizes. */
  readonly where: readonly Condition[];
}

export interface BoundedInstance {
  /** Those that are not bounded. */
  readonly sizes: Sizes;
  readonly bounds: Sizes;
  readonly inputDtypes: ReadonlyMap<string, Dtype>;
}

export interface LoweredWithinBounds {
  readonly kind: 'lowered';
  readonly graph: Graph;
  readonly optimized: Graph;
  /** As large as it may be. */
  readonly below: ReadonlyMap<string, number>;
  readonly source: SourceOfTensors;
  readonly bounded: Bounded;
}

/** @throws UserError `wrong-input` when it is not one program for all these sizes, saying why */
export function lowerWithinBounds(
  program: TypedProgram,
  entry: string,
  { sizes, bounds, inputDtypes }: BoundedInstance,
  progress: Progress,
): LoweredWithinBounds | { readonly kind: 'rejected'; readonly diagnostics: readonly Diagnostic[] } {
  const refused = (why: string) => {
    const names = [...bounds.keys()].join(', ');
    return new UserError(
      'wrong-input',
      `${entry} cannot be compiled for all ${names} up to a bound: ${why}`,
      `give a number: --size ${[...bounds].map(([name, bound]) => `${name}=${bound}`).join(',')}`,
    );
  };
  const found = lowerBounded(program, entry, { sizes, inputDtypes }, bounds);
  if (found.kind === 'rejected') return found;
  if (found.kind === 'unlike') throw refused(found.why);
  const { lowering } = found;
  const { capacities, least, extents } = lowering;
  const mayBeEmpty = (extent: number): boolean => {
    const own = extents.get(extent);
    return own !== undefined && leastExtent(own, least) < 1;
  };
  progress('optimizing', 0, 1);
  try {
    const graph = withEnds({ ...lowering, graph: withoutCollectives(lowering.graph) });
    checkExtents(graph);
    const optimized = withEnds({ ...lowering, graph: optimize(lowering.graph, { mayBeEmpty }) });
    progress('optimizing', 1, 1);
    const ranges = describeEntry(program, entry).inputs.flatMap(({ path, element }) =>
      element.kind === 'ix' ? [{ path, range: element.range }] : [],
    );
    const at = (values: Sizes) => new Map([...sizes, ...values]);
    const most = at(bounds);
    const belowEnds = ranges.flatMap(({ path, range }) => {
      const end = extentOf(range, bounds, at);
      return end.terms.length === 0 ? [] : [[path, end] as const];
    });
    const where = entryOf(program, entry).facts.flatMap(({ relation, left, right }): readonly Condition[] => {
      const isOfRuns = [left, right].some((side) =>
        [...sizeParameters(side)].some((name) => bounds.has(name)),
      );
      if (!isOfRuns) return [];
      const text = relationText(relation, showSize(left), showSize(right));
      return [{ relation, text, left: extentOf(left, bounds, at), right: extentOf(right, bounds, at) }];
    });
    return {
      ...{ kind: 'lowered', graph, optimized, source: lowering.source },
      below: new Map(ranges.map(({ path, range }) => [path, evaluateSize(range, most) ?? 0])),
      bounded: { most: bounds, least, capacities, belowEnds: new Map(belowEnds), where },
    };
  } catch (error) {
    if (error instanceof Unlike) throw refused(error.message);
    throw error;
  }
}

/** @throws Unlike when the size does not grow in step with those that are bounded */
function extentOf(size: Size, bounds: Sizes, at: (values: Sizes) => Sizes): Extent {
  const names = [...bounds.keys()].sort();
  const valueAt = (values: Sizes) => evaluateSize(size, at(values)) ?? Number.NaN;
  const most = valueAt(bounds);
  const terms = names.flatMap((name) => {
    const factor = most - valueAt(new Map([...bounds, [name, bounds.get(name)! - 1]]));
    return factor === 0 ? [] : [{ size: name, most: bounds.get(name)!, factor }];
  });
  const constant = terms.reduce((rest, term) => rest - term.factor * bounds.get(term.size)!, most);
  const extent = { constant, terms };
  const half = new Map([...bounds].map(([name, bound]) => [name, Math.floor(bound / 2)]));
  if (extentAt(extent, half) !== valueAt(half))
    throw new Unlike(`${showSize(size)} does not grow in step with it`);
  return extent;
}
