/** What the placement of one function's body is found out with. */
import type { Label, Span } from '../../diagnostics/diagnostic.ts';
import type { Facts } from '../facts.ts';
import type { Stating } from '../obligations.ts';
import type { Problem } from '../report.ts';
import { type Size, substituteSizes } from '../size.ts';
import type { IndexId, LocalId, TypedExpression, TypedProgram } from '../typed.ts';
import type { Cut, IndexVariable, PlacedTensor, PlacedValue } from './placed-value.ts';
import type { RememberedCalls } from './remembered-calls.ts';

/** A call in the checked function, within which other functions are gone through. */
export interface CallSite {
  readonly span: Span;
  readonly name: string;
}

export interface PlaceScope {
  readonly locals: Map<LocalId, PlacedValue>;
  readonly indices: Map<IndexId, IndexVariable>;
  /** The sizes of the function being gone through, in terms of those of the checked one. */
  readonly sizes: ReadonlyMap<string, Size>;
  /** undefined in the checked function itself. */
  readonly call: CallSite | undefined;
  /** The axes of the per-device view around, outermost first; undefined in the view of the whole mesh. */
  readonly device: DeviceView | undefined;
}

export interface DeviceView {
  readonly axes: readonly string[];
  /** Values of the view around of which a device has a part only: they must be named to be used. */
  readonly unnamed: ReadonlyMap<LocalId, Cut>;
}

/** A tensor, and the expression that gives it: see `together.ts`. */
export interface UsedTogether {
  readonly tensor: PlacedTensor;
  readonly at: Place;
}

export interface Placing {
  readonly program: TypedProgram;
  /** Of the checked function. */
  readonly facts: Facts;
  readonly report: (problem: Problem) => void;
  readonly text: (span: Span) => string;
  /** Of the checked function: where a `where` clause could be added. */
  readonly declaration: Stating;
  /** To be judged once the axes of all indices are known. */
  readonly together: UsedTogether[];
  /** What was reported of them. */
  readonly judged: Set<string>;
  readonly calls: RememberedCalls;
  /** Whether anything was wrong, also where it is not reported. */
  readonly outcome: { hasFailed: boolean };
  /** Nothing is reported: this tries out where things would live. */
  readonly isTrial: boolean;
  readonly place: (expression: TypedExpression, scope: PlaceScope) => PlacedValue;
  readonly judge: (used: UsedTogether) => void;
  /** The same without reporting or judging anything: for trying out where things would live. */
  readonly quietly: () => Placing;
  /** The same with an outcome, and uses to judge, of its own: for the body of a called function. */
  readonly inCall: () => Placing;
}

export function sizeIn(size: Size, scope: PlaceScope): Size {
  return substituteSizes(size, scope.sizes);
}

export interface Place {
  readonly at: Span;
  readonly inside: readonly Label[];
}

/**
 * Where to point: at the expression, or from inside of a called function at the call, with a remark on the
 * place inside.
 */
export function placeOf(span: Span, remark: string, { call }: PlaceScope): Place {
  return call === undefined
    ? { at: span, inside: [] }
    : { at: call.span, inside: [{ span, message: remark }] };
}

/** The labels that say where axes come from, each once. */
export function origins(...cuts: readonly Cut[]): readonly Label[] {
  const labels = new Map(
    cuts
      .flat()
      .map(({ because }) => [`${because.span.file} ${because.span.start} ${because.message}`, because]),
  );
  return [...labels.values()];
}
