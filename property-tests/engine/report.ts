/** What came of testing a property. */
import type { Span } from '../../dsl/diagnostics/diagnostic.ts';
import type { Case } from './case.ts';

export interface PropertyReport {
  readonly name: string;
  readonly span: Span;
  readonly outcome: Outcome;
  readonly coverage: Coverage;
  readonly milliseconds: number;
}

export type Outcome =
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly counterexample: Counterexample }
  /** Equal as far as anyone can see, but that is not shown. */
  | { readonly kind: 'undecided'; readonly counterexample: Counterexample }
  /** There was no case to test. */
  | { readonly kind: 'vacuous'; readonly why: string };

export interface Counterexample {
  readonly case: Case;
  /** Which of the property's checks, and in which way it ran; undefined where it did not run to its end. */
  readonly check: number | undefined;
  readonly way: Way;
  readonly why: string;
  /** What draws it again. */
  readonly seed: number;
  readonly path: string;
  /** Cases that were found simpler on the way to it. */
  readonly shrinks: number;
}

/** One way to run a program. */
export interface Way {
  readonly target: Target;
  /** Partitioned over the case's mesh. */
  readonly onMesh: boolean;
}

/** What is fast first. */
export const targets = ['reference', 'wasm', 'wgsl', 'ptx'] as const;
export type Target = (typeof targets)[number];

export function wayText({ target, onMesh }: Way): string {
  return onMesh ? `${target} on a mesh` : target;
}

/** What was tried. */
export interface Coverage {
  readonly cases: number;
  /** `cases`: there are no others. `sizes`: all sizes, with values drawn. */
  readonly exhausted: 'cases' | 'sizes' | undefined;
  /** Beside these, cases that were not as the property is given them. */
  readonly excluded: number;
  /** Cases that the program could not be run on, as on a mesh that does not fit it. */
  readonly refused: number;
  /** Cases of which nothing could be said. */
  readonly undecided: number;
  /** How often what: by kind (`way`, `mesh`, `S`, `x`), then by value. */
  readonly counts: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

export interface Tally {
  readonly add: (kind: string, value: string) => void;
  readonly counts: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

export function createTally(): Tally {
  const counts = new Map<string, Map<string, number>>();
  return {
    counts,
    add: (kind, value) => {
      const own = counts.get(kind) ?? new Map<string, number>();
      counts.set(kind, own.set(value, (own.get(value) ?? 0) + 1));
    },
  };
}

/** `sp = 2, S = 4`; empty for none. */
export function sizesText(sizes: ReadonlyMap<string, number>): string {
  return [...sizes].map(([name, size]) => `${name} = ${size}`).join(', ');
}
