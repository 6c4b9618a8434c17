/**
 * What users read is true: complete programs check, programs that show an error have it, commands print what
 * is shown, and the error index is that of the tables. `npm run docs` writes the index and what commands
 * print anew.
 *
 * A block ```ricci is a complete program; ```ricci fragment is a part of one, ```ricci error shows an error.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  ...readdirSync(join(packageRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
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
    for (const document of ['README.md', 'docs/tour.md', 'docs/language.md', 'docs/source.md'])
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

const guidePath = join(packageRoot, 'docs/source.md');
const shownOutput = /```sh\nnpx ricci (.*)\n```\s*```text\n([\s\S]*?)```/g;

describe('the guide to the source', () => {
  const guide = textOf('docs/source.md');
  const file = join(folder, 'layer.ricci');
  writeFileSync(file, blocksOf('docs/source.md', 'ricci')[0]?.text ?? '');
  const shown = [...guide.matchAll(shownOutput)].map(([, command = '', output = '']) => ({
    command,
    output,
  }));

  test('shows every stage', () => {
    for (const stage of stages)
      expect(shown.some(({ command }) => command.includes(`--show ${stage}`))).toBe(true);
  });

  test.each(shown)('ricci $command', async ({ command, output }) => {
    const words = command.split(' ').map((word) => (word === 'layer.ricci' ? file : word));
    const { status, stdout, stderr } = await runInProcess(...words);
    expect(status, stderr).toBe(0);
    const printed = shortened(stdout, output);
    if (process.env.UPDATE_DOCS === '1')
      writeFileSync(
        guidePath,
        textOf('docs/source.md').replace(output, () => printed),
      );
    else expect(output).toBe(printed);
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
    if (!path.endsWith('/')) readFileSync(join(packageRoot, path));
    else readdirSync(join(packageRoot, path));
    return true;
  } catch {
    return false;
  }
}

test('an output is shortened where it is shown shortened', () => {
  expect(shortened('a\nb\nc\nd\n', 'x\n…\ny\n')).toBe('a\n…\nd\n');
  expect(shortened('a\nb\n', 'x\n')).toBe('a\nb\n');
});
