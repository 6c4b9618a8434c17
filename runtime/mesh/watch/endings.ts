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

const sigterm = 15;

/**
 * Launchers end the other ranks, with SIGTERM, as soon as one has died: of several that end at about the same
 * time, those are not the cause.
 */
export function isConsequence(ending: Ending): boolean {
  return ending.by === 'signal' && ending.signal === sigterm;
}
