/** Where a command writes: the process's own streams, or those of a test. */

export interface TextStream {
  readonly write: (text: string) => unknown;
  /** Whether a person looks at it: what is written may be overwritten again. */
  readonly isTTY?: boolean;
}

export interface Streams {
  readonly out: TextStream;
  readonly err: TextStream;
  /** On `err`. */
  readonly colour: boolean;
  /** On `out`, where pictures are. */
  readonly outColour: boolean;
}

/**
 * Streams that keep what is written to them until it is released, for a rank that may not be the one to say
 * it.
 */
export function heldBack(streams: Streams): { readonly streams: Streams; readonly release: () => void } {
  const said: (() => void)[] = [];
  const hold = (stream: TextStream): TextStream => ({
    write: (text) => said.push(() => stream.write(text)),
  });
  return {
    streams: { ...streams, out: hold(streams.out), err: hold(streams.err) },
    release: () => {
      for (const say of said) say();
    },
  };
}

/** https://no-color.org: any value but the empty one turns colours off. */
export const processStreams: Streams = {
  out: process.stdout,
  err: process.stderr,
  colour: process.stderr.isTTY === true && !process.env.NO_COLOR,
  outColour: process.stdout.isTTY === true && !process.env.NO_COLOR,
};
