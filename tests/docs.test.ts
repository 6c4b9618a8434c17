/**
 * What users read is true: complete programs check, programs that show an error have it, commands print what
 * is shown, and the error index is that of the tables. `npm run docs` writes the index and what commands
 * print anew.
 *
 * A block ```ricci is a complete program; ```ricci fragment is a part of one, ```ricci error shows an error.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runInProcess } from '../cli/testing.ts';
import { lowerCodes } from '../compiler/lower/lower-codes.ts';
import { errorIndex } from '../driver/error-index.ts';
import { moduleLoader } from '../driver/module-loader.ts';
import { packageRoot } from '../driver/package-root.ts';
import { stages } from '../driver/stages.ts';
import { format } from '../dsl/syntax/format.ts';
import { parse } from '../dsl/syntax/parse.ts';
import { checkProgram } from '../dsl/types/check.ts';

const documents = [
  'README.md',
  'stdlib/README.md',
  ...readdirSync(join(packageRoot, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .toSorted()
    .map((name) => `docs/${name}`),
];
const textOf = (document: string): string => readFileSync(join(packageRoot, document), 'utf8');

const folder = mkdtempSync(join(tmpdir(), 'ricci-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Block {
  readonly document: string;
  readonly line: number;
  readonly text: string;
}

function blocksOf(document: string, language: string): readonly Block[] {
  const text = textOf(document);
  return [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
    .filter(([, info]) => info === language)
    .map((match) => ({
      document,
      line: text.slice(0, match.index).split('\n').length,
      text: match[2] ?? '',
    }));
}

const complete = documents.flatMap((document) => blocksOf(document, 'ricci'));

describe('complete programs', () => {
  test('there are some in each of the documents that teach the language', () => {
    const with_ = new Set(complete.map(({ document }) => document));
    for (const document of [
      'README.md',
      'docs/tour.md',
      'docs/language.md',
      'docs/source.md',
      'docs/placement.md',
    ])
      expect(with_).toContain(document);
  });

  test.each(complete)('$document, line $line', ({ text }) => {
    const source = { path: 'block.ricci', text };
    const { diagnostics } = checkProgram(source, moduleLoader);
    expect(diagnostics.map(({ code, message }) => `${code} ${message}`)).toEqual([]);
    expect(format(parse(source).module, text)).toBe(text);
  });
});

test('other blocks of Ricci say what they are', () => {
  const infos = documents.flatMap((document) =>
    [...textOf(document).matchAll(/^```(ricci.*)$/gm)].map(([, info]) => info),
  );
  expect(new Set(infos)).toEqual(new Set(['ricci', 'ricci fragment', 'ricci error']));
});

test('the error index is that of the tables', () => {
  if (process.env.UPDATE_DOCS === '1') writeFileSync(join(packageRoot, 'docs/errors.md'), errorIndex());
  expect(textOf('docs/errors.md')).toBe(errorIndex());
});

test.each(Object.entries(lowerCodes))('the example of %s has that error', async (code, entry) => {
  const file = join(folder, `${code}.ricci`);
  writeFileSync(file, entry.example);
  const { status, stderr } = await runInProcess(
    'run',
    file,
    '--target',
    'reference',
    ...entry.options.split(' '),
  );
  expect(status).toBe(1);
  expect([...new Set([...stderr.matchAll(/^error\[(E\d+)\]/gm)].map(([, found]) => found))]).toEqual([code]);
});

const shownCommand = /```sh\nnpx ricci (.*)\n```\s*```text\n([\s\S]*?)```/g;
const shownError = /```ricci error\n([\s\S]*?)```\s*```text\n([\s\S]*?)```/g;

interface Shown {
  readonly document: string;
  readonly line: number;
  /** In the words of the page; what follows `| grep` is kept of what is printed. */
  readonly command: string;
  readonly output: string;
}

const shown: readonly Shown[] = documents.flatMap((document) => {
  const text = textOf(document);
  return [...text.matchAll(shownCommand)].map((match) => ({
    document,
    line: text.slice(0, match.index).split('\n').length,
    command: match[1] ?? '',
    output: match[2] ?? '',
  }));
});

/** The complete program that stands before the page's first command on this file. */
function programNamed(document: string, name: string): string {
  const line = textOf(document)
    .split('\n')
    .findIndex((text) => text.startsWith('npx ricci ') && text.includes(` ${name} `));
  const before = blocksOf(document, 'ricci').filter((block) => block.line < line);
  const program = before.at(-1);
  if (program === undefined) throw new Error(`${document} has no program for ${name}`);
  return program.text;
}

/** What is printed to be compared with `shown`, or to take its place in the page under `npm run docs`. */
function expectShown(document: string, shown: string, printed: string): void {
  if (process.env.UPDATE_DOCS !== '1') expect(shown).toBe(printed);
  else {
    const path = join(packageRoot, document);
    writeFileSync(
      path,
      textOf(document).replace(`\`\`\`text\n${shown}\`\`\``, () => `\`\`\`text\n${printed}\`\`\``),
    );
  }
}

test.each(shown)('$document, line $line: ricci $command', async ({ document, command, output }) => {
  const [call = '', kept = ''] = command.split(' | grep ');
  const words = call.split(' ').map((word) => {
    if (!/^[\w-]+\.ricci$/.test(word)) return word;
    const file = join(folder, word);
    writeFileSync(file, programNamed(document, word));
    return file;
  });
  const { status, stdout, stderr } = await runInProcess(...words);
  // A page on properties shows what is said of those that fail; how far it has come depends on the machine.
  const isTest = words[0] === 'test';
  const said = isTest ? stderr.replaceAll(`${folder}/`, '').replace(/^\w+: \d+ of \d+\n/gm, '') : '';
  expect(status, stderr).toBe(said === '' ? 0 : 1);
  const lines = (said + stdout.replaceAll(`${folder}/`, ''))
    .split('\n')
    .filter((line) => line.includes(kept));
  expectShown(document, output, shortened(lines.join('\n'), output));
});

const shownErrors = documents.flatMap((document) =>
  [...textOf(document).matchAll(shownError)].map(([, text = '', output = '']) => ({
    document,
    text,
    output,
  })),
);

test('a page shows what the checker says', () => expect(shownErrors.length).toBeGreaterThan(0));

test.each(shownErrors)('what the checker says in $document', async ({ document, text, output }) => {
  const file = join(folder, 'wrong.ricci');
  writeFileSync(file, text);
  const { status, stderr } = await runInProcess('check', file);
  expect(status).toBe(1);
  expectShown(document, output, `${stderr.replaceAll(`${folder}/`, '').trimEnd()}\n`);
});

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');
}

test('links lead to pages and pictures that there are', () => {
  const broken = documents.flatMap((document) =>
    [...withoutCode(textOf(document)).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
      .map(([, target = '']) => join(dirname(document), target))
      .filter((target) => !exists(target))
      .map((target) => `${document}: ${target}`),
  );
  expect(broken).toEqual([]);
});

describe('the guide to the source', () => {
  const guide = textOf('docs/source.md');

  test('shows every stage', () => {
    const commands = shown.filter(({ document }) => document === 'docs/source.md');
    for (const stage of stages)
      expect(commands.some(({ command }) => command.includes(`--show ${stage}`))).toBe(true);
  });

  test('names files that there are', () => {
    const paths = [...guide.matchAll(/`((?:dsl|compiler|backends|runtime|driver|cli|tests)\/[\w./-]*)`/g)];
    const missing = paths.filter(([, path = '']) => !exists(path)).map(([, path]) => path);
    expect(paths.length).toBeGreaterThan(20);
    expect(missing).toEqual([]);
  });
});

/**
 * What was printed, as it is shown: where a line `…` stands for the middle, with as many lines before and
 * after it.
 */
function shortened(printed: string, shown: string): string {
  const lines = printed.trimEnd().split('\n');
  const like = shown.trimEnd().split('\n');
  const gap = like.indexOf('…');
  const kept =
    gap < 0 ? lines : [...lines.slice(0, gap), '…', ...lines.slice(lines.length - (like.length - gap - 1))];
  return `${kept.join('\n')}\n`;
}

function exists(path: string): boolean {
  try {
    return statSync(join(packageRoot, path)).isDirectory() || !path.endsWith('/');
  } catch {
    return false;
  }
}

test('an output is shortened where it is shown shortened', () => {
  expect(shortened('a\nb\nc\nd\n', 'x\n…\ny\n')).toBe('a\n…\nd\n');
  expect(shortened('a\nb\n', 'x\n')).toBe('a\nb\n');
});
