/** The front end on what is no program, or almost: it says so, at a place, and never throws. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { choicesOf } from '../../compiler/graph/choice-tape.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import { checkProgram } from '../../dsl/types/check.ts';
import { corpus, frontEndFault, piecesOf, randomText, randomTextFault, smallestText } from './front-end.ts';

const series = fc.readConfigureGlobal().seed ?? 0;
const count = 100;

test('random texts and changed programs are reported, or formatted as what they are', () => {
  const faults = Array.from({ length: count }, (_, at) => randomTextFault(series * count + at));
  expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
});

test('of the texts enough parse, and enough do not', () => {
  const drawn = Array.from({ length: 300 }, (_, at) => randomText(choicesOf(at)('text')));
  const parsing = drawn.filter((text) => parse({ path: 'a.ricci', text }).diagnostics.length === 0);
  expect(parsing.length).toBeGreaterThan(25);
  expect(parsing.length).toBeLessThan(260);
  expect(parsing.filter((text) => text.includes('property')).length).toBeGreaterThan(0);
  expect(corpus().length).toBeGreaterThan(60);
});

test('a text that is wrong gets smaller', () => {
  const isWrong = (text: string) => /\bsum\b/.test(text) && text.includes('@');
  const text = corpus().find((each) => piecesOf(each).includes('sum') && piecesOf(each).includes('@'))!;
  expect(smallestText(text, isWrong).length).toBeLessThan(12);
});

const deep = 10_000;
const large = 2 ** 20;
const nested = (open: string, inner: string, close: string) => open.repeat(deep) + inner + close.repeat(deep);

const extremes: { readonly [what: string]: string } = {
  parentheses: `fn f() -> f32 = ${nested('(', '1', ')')}`,
  'parentheses that are not closed': `fn f() -> f32 = ${'('.repeat(deep)}`,
  'parentheses that are not opened': `fn f() -> f32 = 1${')'.repeat(deep)}`,
  'brackets in subscripts': `fn f(x: ix(N)[N]) -> f32 = ${nested('x[', '0', ']')}`,
  'brackets of all kinds': `fn f() -> f32 = ${nested('([{', '1', '}])')}`,
  blocks: `fn f() -> f32 = ${nested('{ ', '1', ' }')}`,
  conditions: `fn f(x: bool) -> f32 = ${'if x then 1 else '.repeat(deep)}1`,
  'conditions in conditions': `fn f(x: bool) -> f32 = ${'if '.repeat(deep)}x${' then 1 else 2'.repeat(deep)}`,
  comprehensions: `fn f() -> f32 = ${'for i < 2: '.repeat(deep)}1`,
  sums: `fn f() -> f32 = ${'sum i < 2: '.repeat(deep)}1`,
  folds: `fn f() -> f32 = ${'fold l < 2 from h = 1: '.repeat(deep)}1`,
  negations: `fn f(x: bool) -> bool = ${'not '.repeat(deep)}x`,
  'a chain of additions': `fn f() -> f32 = 1${' + 1'.repeat(deep)}`,
  'a chain of powers of ten': `fn f() -> f32 = 1${' * 10'.repeat(deep)}`,
  'sizes in sizes': `fn f(x: f32[${nested('(', 'N', ')')}]) -> f32 = 1`,
  'a product of sizes': `fn f(x: f32[N${' * 2'.repeat(deep)}]) -> f32 = 1`,
  'a sum of as many sizes as may be': `fn f(x: f32[N${' + M'.repeat(999)}]) -> f32 = 1`,
  'a sum of sizes': `fn f(x: f32[N${' + 1'.repeat(deep)}]) -> f32 = 1`,
  'types in types': `fn f(x: ${nested('(', 'f32', ')')}) -> f32 = 1`,
  'tuples of types': `fn f(x: ${nested('(f32, ', 'f32', ')')}) -> f32 = 1`,
  'a type with many dimensions': `fn f(x: f32${'[N]'.repeat(deep)}) -> f32 = 1`,
  'many parameters': `fn f(${Array.from({ length: deep }, (_, at) => `x${at}: f32`).join(', ')}) -> f32 = 1`,
  'many lets': `fn f() -> f32 {\n${Array.from({ length: 3000 }, (_, at) => `  let x${at} = 1.0\n`).join('')}  1\n}`,
  'lets on lets': `fn f() -> f32 {\n  let x0 = 1.0\n${Array.from({ length: 3000 }, (_, at) => `  let x${at + 1} = x${at} + 1\n`).join('')}  x3000\n}`,
  'many functions': Array.from({ length: 3000 }, (_, at) => `fn f${at}() -> f32 = 1`).join('\n'),
  'functions on functions': `fn f0() -> f32 = 1\n${Array.from({ length: 3000 }, (_, at) => `fn f${at + 1}() -> f32 = f${at}()`).join('\n')}`,
  'functions that call the next': `${Array.from({ length: 3000 }, (_, at) => `fn f${at}() -> f32 = f${at + 1}()`).join('\n')}\nfn f3000() -> f32 = 1`,
  'many conditions on sizes': `fn f(x: f32[N]) -> f32 where ${Array.from({ length: 500 }, (_, at) => `${at} <= N`).join(', ')} = 1`,
  'a long name': `fn ${'a'.repeat(large)}() -> f32 = 1`,
  'a long name that is not known': `fn f() -> f32 = ${'a'.repeat(large)}`,
  'a long number': `fn f() -> f32 = ${'1'.repeat(large)}`,
  'a long fraction': `fn f() -> f32 = 0.${'1'.repeat(large)}`,
  'a long size': `fn f(x: f32[${'9'.repeat(large)}]) -> f32 = 1`,
  'a long text': `import "./${'a'.repeat(large)}"`,
  'a text that is not closed': `import "${'a'.repeat(large)}`,
  'a long comment': `//${'a'.repeat(large)}\nfn f() -> f32 = 1`,
  'long documentation': `///${' a'.repeat(large / 2)}\nfn f() -> f32 = 1`,
  'many comments': `${'// a\n'.repeat(large / 16)}fn f() -> f32 = 1`,
  'long white space': `fn f()${' '.repeat(large)}-> f32 = 1`,
  'many empty lines': `fn f() -> f32 =${'\n'.repeat(large)}1`,
  'many unknown characters': '\u0000'.repeat(large / 16),
  'many marks': '@'.repeat(large / 64),
  'many lone surrogates': '\uD800'.repeat(large / 16),
  'a byte order mark': '\uFEFFfn f() -> f32 = 1',
  nothing: '',
};

describe('at the ends of what fits', () => {
  test.each(Object.entries(extremes))('%s', (_, text) => {
    expect(frontEndFault(text)).toBeUndefined();
  });
});

test('a byte order mark and line ends of any kind are white space', () => {
  const text = 'fn f(x: f32) -> f32 {\n  let y = x // why\n  y\n}\n';
  for (const own of [`\uFEFF${text}`, text.replaceAll('\n', '\r\n')])
    expect(
      checkProgram(
        { path: 'a.ricci', text: own },
        { standardNames: [], standard: () => undefined, file: () => undefined },
      ).diagnostics,
    ).toEqual([]);
});
