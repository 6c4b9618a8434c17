/**
 * Lowers an entry for all values of some sizes up to bounds. The lowering knows numbers only, so it is run at
 * a few: at the bounds, at the least sizes that give a program of the same form, and between them. What it
 * decides by comparing numbers that grow in step with a size, it decides between two sizes as at both ends.
 */

import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import type { TypedProgram } from '../../dsl/types/typed.ts';
import type { Sizes } from '../graph/extent.ts';
import { solveEntrySizes } from '../lower/entry.ts';
import { type LowerOptions, lowerEntry } from '../lower/lower-entry.ts';
import type { SourceOfTensors } from '../lower/origin.ts';
import { type NumberedGraph, numberedGraph, type Sample } from './bounded-numbers.ts';
import { Unlike } from './zip-graphs.ts';

export interface BoundedLowering extends NumberedGraph {
  /** By bounded size, what it must be at least. */
  readonly least: Sizes;
  /** Of the tensors of the graph. */
  readonly source: SourceOfTensors;
}

export type BoundedResult =
  | { readonly kind: 'bounded'; readonly lowering: BoundedLowering }
  | { readonly kind: 'rejected'; readonly diagnostics: readonly Diagnostic[] }
  /** The program is not one program for all these sizes: why. */
  | { readonly kind: 'unlike'; readonly why: string };

/** Values that are looked at for one that the entry admits. */
const mostLooked = 64;

/** @param options `sizes` has the others */
export function lowerBounded(
  program: TypedProgram,
  entry: string,
  options: LowerOptions,
  bounds: Sizes,
): BoundedResult {
  const admits = (sizes: Sizes) => solveEntrySizes(program, entry, new Map(), sizes).kind === 'sizes';
  const at = (values: Sizes): Sizes => new Map([...options.sizes, ...values]);
  const sampleAt = (values: Sizes): Sample & { readonly source: SourceOfTensors } => {
    const lowered = lowerEntry(program, entry, { ...options, sizes: at(values) });
    if ('diagnostics' in lowered) throw new Error('the entry refuses sizes that it admits');
    return { sizes: values, graph: lowered.graph, source: lowered.source };
  };

  const greatest = downFrom(bounds).find((values) => admits(at(values)));
  if (greatest === undefined) {
    const solved = solveEntrySizes(program, entry, new Map(), at(bounds));
    return solved.kind === 'rejected' ? solved : { kind: 'unlike', why: 'no size is admitted' };
  }
  try {
    const base = sampleAt(greatest);
    const least = new Map<string, number>();
    const samples: Sample[] = [base];
    for (const [size, high] of greatest) {
      const withSize = (value: number): Sizes => new Map([...greatest, [size, value]]);
      const admitted = (value: number) => admits(at(withSize(value)));
      const low = leastLike(base, bounds, size, high, admitted, (value) => sampleAt(withSize(value)));
      least.set(size, low.sizes.get(size)!);
      samples.push(low);
      const middle = between(low.sizes.get(size)!, high).find(admitted);
      if (middle !== undefined) samples.push(sampleAt(withSize(middle)));
    }
    if (least.size > 1 && admits(at(least))) samples.push(sampleAt(least));
    return {
      kind: 'bounded',
      lowering: {
        ...numberedGraph(samples, bounds, (sizes) => admits(at(sizes))),
        least,
        source: base.source,
      },
    };
  } catch (error) {
    if (error instanceof Unlike) return { kind: 'unlike', why: error.message };
    throw error;
  }
}

/** The bounds, then all of them one less, and so on. */
function downFrom(bounds: Sizes): readonly Sizes[] {
  return Array.from(
    { length: mostLooked },
    (_, less) => new Map([...bounds].map(([name, bound]) => [name, bound - less])),
  ).filter((sizes) => [...sizes.values()].every((value) => value > 0));
}

/** The sample of the least value that gives a program of the same form. @throws Unlike when none does */
function leastLike(
  base: Sample,
  bounds: Sizes,
  size: string,
  high: number,
  admitted: (value: number) => boolean,
  sampleAt: (value: number) => Sample,
): Sample {
  const values = Array.from({ length: Math.min(high, mostLooked) }, (_, value) => value).filter(admitted);
  let why = `${size} has one value`;
  for (const value of values) {
    const sample = sampleAt(value);
    try {
      numberedGraph([base, sample], new Map([[size, bounds.get(size)!]]), () => true);
      return sample;
    } catch (error) {
      if (!(error instanceof Unlike)) throw error;
      why = error.message;
    }
  }
  throw new Unlike(why);
}

/** What lies between, the middle first. */
function between(low: number, high: number): readonly number[] {
  const middle = Math.floor((low + high) / 2);
  return Array.from(
    { length: mostLooked },
    (_, at) => middle + (at % 2 === 0 ? at / 2 : -(at + 1) / 2),
  ).filter((value) => value > low && value < high);
}
