/** What each code of an entry's sizes and inputs means: E06xx. A code keeps its meaning for ever. */

import type { CodeEntry } from '../../dsl/diagnostics/codes.ts';

export const lowerCodes = {
  E0601: {
    title: 'No such size',
    explanation: 'A size that is given is one that the entry has, or a mesh axis of the program.',
    example: 'export fn f(x: f32[N]) -> f32[N] = x',
    options: '--size M=3 --random 1',
  },
  E0602: {
    title: 'Size not given',
    explanation:
      'A graph is made for sizes that are numbers. The shapes of the inputs give most of them; the others ' +
      'are given with `--size NAME=NUMBER`.',
    example: 'export fn f(x: f32[N]) -> f32[N] = x',
    options: '--random 1',
  },
  E0603: {
    title: 'Sizes break a fact',
    explanation: 'At an entry, what the `where` clause states is decided on the numbers that its sizes have.',
    example: 'export fn f[K](x: f32[N]) -> f32[K] where K <= N = for k < K: x[k]',
    options: '--size N=3,K=4 --random 1',
  },
  E0604: {
    title: 'Size has no value',
    explanation: 'A size is a natural number: divisions leave no remainder, differences are not negative.',
    example: 'export fn f(x: f32[N * N * N * N]) -> f32 = sum i: x[i]',
    options: '--size N=100000 --random 1',
  },
  E0605: {
    title: 'Input of another shape',
    explanation:
      'The shapes of the inputs fit the types of the parameters, one number for each size parameter.',
    example: 'export fn f(x: f32[N]) -> f32[N] = x',
    options: '--input x=3',
  },
} as const satisfies { readonly [code: `E06${string}`]: CodeEntry & { readonly options: string } };

export type LowerCode = keyof typeof lowerCodes;
