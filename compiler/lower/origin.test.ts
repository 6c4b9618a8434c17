import { expect, test } from 'vitest';
import { allTensors } from '../graph/uses.ts';
import { lowerEntry } from './lower-entry.ts';
import { checkText } from './testing.ts';

const text = `fn scaled(x: f32[N], by: f32) -> f32[N] {
  let total = sum i: x[i]
  for i: x[i] * by / total
}

export fn f(x: f32[N]) -> f32[N] where 1 <= N {
  let y = scaled(x, 2)
  let z[i] = exp(y[i])
  let first = z[0]
  for i: z[i] - first
}
`;

test('each tensor has the expression that made it, the calls that led there, and its name', () => {
  const lowered = lowerEntry(checkText(text), 'f', { sizes: new Map([['N', 3]]), inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error('the program has no errors');
  const { graph, source } = lowered;
  const textAt = ({ start, end }: { readonly start: number; readonly end: number }) => text.slice(start, end);
  const described = [...allTensors(graph).values()].map(({ id, name }) => {
    const origin = source.origins.get(id);
    return [
      name,
      source.names.get(id),
      origin && textAt(origin.span).split('\n')[0],
      origin?.calls.map(textAt),
    ];
  });
  expect(described).toEqual([
    ['x', undefined, undefined, undefined],
    ['sum', 'total', 'sum i: x[i]', ['scaled(x, 2)']],
    ['scaled', 'y', 'scaled(x, 2)', []],
    ['z', 'z', 'z[i]', []],
    ['out', undefined, '{', []],
  ]);
});
