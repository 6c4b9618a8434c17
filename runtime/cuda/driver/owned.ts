/** What was taken and must be given back, whatever happens between. */

export interface Owned {
  /** @returns gives it back now: once, however often it is called */
  readonly take: (giveBack: () => void) => () => void;
  /** Gives back all that is left, the last first. */
  readonly release: () => void;
}

export function newOwned(): Owned {
  const left = new Set<() => void>();
  return {
    take(giveBack) {
      const once = () => {
        if (left.delete(once)) giveBack();
      };
      left.add(once);
      return once;
    },
    release() {
      for (const giveBack of [...left].toReversed()) giveBack();
    },
  };
}
