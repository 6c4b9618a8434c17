/** Whether something holds of a program. */

/** `not told`: the arithmetic cannot say, or the relation does not speak of such a program. */
export type Verdict = 'holds' | 'not told' | { readonly broken: string };

/** By what is wrong, as a text. */
export function verdict(found: string | undefined): Verdict {
  if (found === undefined) return 'holds';
  return found === 'not exact' ? 'not told' : { broken: found };
}
