import { describe, expect, it } from 'vitest';
import { moduleLoader } from '../../driver/module-loader.ts';
import { syntaxCodes } from '../syntax/codes.ts';
import { checkProgram, type ModuleLoader } from './check.ts';
import { typeCodes } from './type-codes.ts';

const path = '/self.ricci';

function codesOf(text: string): readonly string[] {
  const source = { path, text };
  const loader: ModuleLoader = {
    ...moduleLoader,
    file: (_, relative) => (relative === './self.ricci' ? source : undefined),
  };
  return checkProgram(source, loader).diagnostics.map(({ code }) => code);
}

const examples = Object.entries({ ...syntaxCodes, ...typeCodes }).map(
  ([code, { example }]) => [code, example] as const,
);

describe('the example of', () => {
  it.each(examples)('%s has that error and no other', (code, example) => {
    expect([...new Set(codesOf(example))]).toEqual([code]);
  });
});

it('calls nested too deeply are an error, once, where the limit is passed', () => {
  const chain = (length: number): string =>
    ['fn f0(x: f32) -> f32 = x']
      .concat(Array.from({ length }, (_, n) => `fn f${n + 1}(x: f32) -> f32 = f${n}(x) + 1`))
      .join('\n');
  expect(codesOf(chain(190))).toEqual([]);
  expect(codesOf(chain(700))).toEqual(['E0212']);
});
