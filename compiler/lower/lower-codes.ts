/** What each code of an entry's sizes and inputs means: E06xx. A code keeps its meaning for ever. */

export const lowerCodes = {
  E0601: {
    title: 'No such size',
    explanation: 'A size that is given is one that the entry has, or a mesh axis of the program.',
  },
  E0602: {
    title: 'Size not given',
    explanation:
      'A graph is made for sizes that are numbers. The shapes of the inputs give most of them; the others are given ' +
      'with `--size NAME=NUMBER`.',
  },
  E0603: {
    title: 'Sizes break a fact',
    explanation: 'At an entry, what the `where` clause states is decided on the numbers that its sizes have.',
  },
  E0604: {
    title: 'Size has no value',
    explanation: 'A size is a natural number: divisions leave no remainder, differences are not negative.',
  },
  E0605: {
    title: 'Input of another shape',
    explanation:
      'The shapes of the inputs fit the types of the parameters, one number for each size parameter.',
  },
} as const satisfies {
  readonly [code: `E06${string}`]: { readonly title: string; readonly explanation: string };
};

export type LowerCode = keyof typeof lowerCodes;
