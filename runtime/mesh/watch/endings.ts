/** How a rank can end before its time. */

export type Ending =
  | { readonly by: 'exception'; readonly message: string }
  | { readonly by: 'exit'; readonly status: number }
  | { readonly by: 'signal'; readonly signal: number }
  /** Its process is gone, and nobody saw how. */
  | { readonly by: 'death' }
  /** Nothing is heard from its host. */
  | { readonly by: 'silence' };

type Verbs = { readonly [B in Ending['by']]: (ending: Extract<Ending, { readonly by: B }>) => string };

const verbs: Verbs = {
  exception: ({ message }) => `threw ${message}`,
  exit: ({ status }) => `exited with status ${status} without closing its communicator`,
  signal: ({ signal }) => `died (signal ${signal})`,
  death: () => 'died (killed, or crashed in native code)',
  silence: () => 'is lost: its host does not answer, or its watch was killed',
};

/** The verb of a sentence about the rank. */
export function showEnding(ending: Ending): string {
  return (verbs[ending.by] as (ending: Ending) => string)(ending);
}

const [sigint, sigabrt, sigkill, sigterm] = [2, 6, 9, 15];

/**
 * Of several ranks that end at about the same time, those with the least number include the cause. Once one
 * has died, launchers end the others with SIGTERM or SIGKILL, and transports abort that miss it.
 */
export function consequenceTier(ending: Ending): number {
  if (ending.by === 'exception' || ending.by === 'exit') return 0;
  if (ending.by !== 'signal') return 1;
  if (ending.signal === sigterm) return 2;
  return ending.signal === sigkill || ending.signal === sigabrt ? 1 : 0;
}

/** Ctrl-C. */
export function isByUser(ending: Ending): boolean {
  return ending.by === 'signal' && ending.signal === sigint;
}
