import type { Rejected } from '../driver/check.ts';

/** What a stage gave, for programs of our own that have no errors. */
export function accepted<T extends { readonly kind: string }>(outcome: T | Rejected): Exclude<T, Rejected> {
  if (outcome.kind !== 'rejected') return outcome as Exclude<T, Rejected>;
  throw new Error((outcome as Rejected).diagnostics.map(({ message }) => message).join('\n'));
}
