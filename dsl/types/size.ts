/**
 * Sizes: integer polynomials over size parameters, compared by normal form.
 * (Interface first; see `normalise`, `prove…` below it.)
 */

/** An atom of a monomial: a size parameter, or an exact quotient that does not simplify. */
export type SizeAtom =
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'quotient'; readonly numerator: Size; readonly denominator: Size };

/** A sum of monomials in normal form: sorted, no zero coefficient, equal sizes have equal `key`. */
export interface Size {
  readonly terms: readonly { readonly coefficient: number; readonly atoms: readonly SizeAtom[] }[];
  /** Canonical text of the normal form: two sizes are equal as polynomials iff their keys are. */
  readonly key: string;
}
