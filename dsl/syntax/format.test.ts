/**
 * The laws of the formatter over random trees, random layouts and the shipped sources; each catches a mutant.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { format, pageWidth } from './format.ts';
import { maximumNesting } from './grammar-base.ts';
import { parse } from './parse.ts';
import { randomModules } from './random-tree.ts';
import type { Module } from './tree.ts';

type Formatter = (module: Module, text: string) => string;

function parsed(text: string): Module {
  const { module, diagnostics } = parse({ path: 'test.ricci', text });
  if (diagnostics.length > 0) throw new Error(`${diagnostics[0]?.message}\n${text}`);
  return module;
}

function formatted(text: string, formatter: Formatter = format): string {
  return formatter(parsed(text), text);
}

/** The tree without what a layout may change. */
function meaning({ declarations, name }: Module): unknown {
  const leaveOut = new Set(['span', 'path']);
  return JSON.parse(
    JSON.stringify({ name, declarations }, (key, value) => (leaveOut.has(key) ? undefined : value)),
  );
}

function commentsOf(text: string): string[] {
  return parsed(text).comments.map(({ kind, text }) => `${kind}:${text.trimEnd()}`);
}

// ── laws: each throws where it does not hold
// ─────────────────────────────────────────────────────────────────

function keepsTree(formatter: Formatter, text: string): void {
  expect(meaning(parsed(formatted(text, formatter)))).toEqual(meaning(parsed(text)));
}

function keepsComments(formatter: Formatter, text: string): void {
  expect(commentsOf(formatted(text, formatter))).toEqual(commentsOf(text));
}

function isIdempotent(formatter: Formatter, text: string): void {
  const once = formatted(text, formatter);
  expect(formatted(once, formatter)).toBe(once);
}

/** Only a single token or a comment may reach over the edge of the page. */
function staysOnPage(formatter: Formatter, text: string): void {
  const code = formatted(text, formatter)
    .split('\n')
    .map((line) => line.replace(/(^|\s)\/\/.*$/, '').trimEnd());
  const overlong = code.filter((line) => line.length > pageWidth && /\S\s/.test(line.trim()));
  expect(overlong).toEqual([]);
}

const laws = { keepsTree, keepsComments, isIdempotent, staysOnPage };
type Law = keyof typeof laws;

/** Formatters that each break one law, on any text of some length. */
const mutants: { readonly [L in Law]: Formatter } = {
  keepsTree: (module, text) => format(module, text).replace(/(?<=[*/] )\(([^()]*)\)/, '$1'),
  keepsComments: (module, text) => format({ ...module, comments: module.comments.slice(1) }, text),
  isIdempotent: (module, text) => `${format(module, text)}// formatted\n`,
  staysOnPage: (module, text) => format(module, text).replace(/\n +(?=\S)(?![^\n]*\/\/)/g, ' '),
};

// ── sources
// ──────────────────────────────────────────────────────────────────────────────────────────────────

const root = resolve(import.meta.dirname, '../..');

function sourcesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ricci'))
    .map((name) => join(root, folder, name));
}

const folders = ['stdlib', 'examples', 'property-tests', 'bench', 'dsl/types/golden'];
const sources = folders
  .flatMap(sourcesIn)
  .map((path) => ({ name: relative(root, path), text: readFileSync(path, 'utf8') }))
  .filter(({ text }) => parse({ path: '', text }).diagnostics.length === 0);

/** Cut so that the pieces together are the text. */
function pieces(text: string): string[] {
  return text.match(/\/\/[^\n]*|"[^"\n]*"|\s+|[^\s"/]+|\//g) ?? [];
}

const choices = fc.array(fc.nat(), { minLength: 16, maxLength: 64 });

/** The same tokens with other white space between them, but for blank lines and the lines of comments. */
function relaidOut(text: string, choices: readonly number[]): string {
  const all = pieces(text);
  const spaces = [' ', '\n', '\n        ', '   '];
  return all
    .map((piece, position) => {
      const isFree = /^\s+$/.test(piece) && !/\n\s*\n/.test(piece);
      const isBesideComment = [all[position - 1], all[position + 1]].some((near) => near?.startsWith('//'));
      if (!isFree || isBesideComment || position === all.length - 1) return piece;
      return spaces[choices[position % choices.length]! % spaces.length];
    })
    .join('');
}

/** With comments wherever there is white space, about one in eight. */
function commented(text: string, choices: readonly number[]): string {
  return pieces(text)
    .map((piece, position) => {
      if (!/^\s+$/.test(piece)) return piece;
      const choice = choices[position % choices.length]! % 32;
      const slashes = choice % 4 === 0 ? '///' : '//';
      if (choice < 2) return `${piece}${slashes} ${position}\n`;
      if (choice < 4) return ` ${slashes} ${position}\n${piece}`;
      return piece;
    })
    .join('');
}

const lawNames = Object.keys(laws) as Law[];

function check(text: string): void {
  for (const law of lawNames) laws[law](format, text);
}

function holds(law: Law, formatter: Formatter, text: string): boolean {
  try {
    laws[law](formatter, text);
    return true;
  } catch {
    return false;
  }
}

describe('shipped sources', () => {
  test('are enough to try the laws on', () => expect(sources.length).toBeGreaterThan(40));

  test.each(sources)('$name', ({ text }) => check(text));

  test('have one layout, whatever it was', () => {
    fc.assert(
      fc.property(fc.constantFrom(...sources), choices, ({ text }, choices) => {
        expect(formatted(relaidOut(text, choices))).toBe(formatted(text));
      }),
      { numRuns: 100 },
    );
  });

  test('with comments anywhere', () => {
    fc.assert(
      fc.property(fc.constantFrom(...sources), choices, ({ text }, choices) => {
        check(commented(text, choices));
      }),
      { numRuns: 150 },
    );
  });

  test.each(lawNames)('%s finds its mutant', (law) => {
    expect(sources.filter(({ text }) => !holds(law, mutants[law], text))).not.toEqual([]);
  });
});

describe('random trees', () => {
  test('come back from their text', () => {
    fc.assert(
      fc.property(randomModules, (module) => {
        expect(meaning(parsed(format(module, '')))).toEqual(meaning(module));
      }),
      { numRuns: 500 },
    );
  });

  test('come back wrong from a text without some parentheses', () => {
    const found = fc.check(
      fc.property(randomModules, (module) => {
        expect(meaning(parsed(mutants.keepsTree(module, '')))).toEqual(meaning(module));
      }),
      { numRuns: 500 },
    );
    expect(found.failed).toBe(true);
  });

  test('with comments anywhere', () => {
    fc.assert(
      fc.property(randomModules, choices, (module, choices) => {
        check(commented(format(module, ''), choices));
      }),
      { numRuns: 150 },
    );
  });
});

test('what nests as deeply as may be can be read again, with the parentheses that are put for clarity', () => {
  const repeated = (head: string): string => `fn f() -> f32 = ${head.repeat(maximumNesting - 1)}1\n`;
  for (const head of ['1 + sum i: ', '1 + if a then b else ', 'not for i: ']) {
    keepsTree(format, repeated(head));
    isIdempotent(format, repeated(head));
  }
});
