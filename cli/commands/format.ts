import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { requireSource, textOf } from '../../driver/module-loader.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import type { Diagnostic, Source } from '../../dsl/diagnostics/diagnostic.ts';
import { diagnosticsToJson } from '../../dsl/diagnostics/render-json.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import { UserError } from '../../runtime/errors.ts';
import { Ended, exitStatus } from '../exit.ts';
import { createOutput } from '../output.ts';
import type { Streams } from '../streams.ts';

interface FormatOptions {
  readonly check?: boolean;
  readonly json?: boolean;
}

/** A file in its one layout, or what keeps it from having one. */
interface Formatted {
  readonly source: Source;
  readonly diagnostics: readonly Diagnostic[];
  /** The same as the source's where there are diagnostics. */
  readonly text: string;
}

export function addFormat(command: Command, streams: Streams): void {
  command
    .command('fmt')
    .description('format files in place')
    .argument('<file...>', 'Ricci source files, folders of them, or - for standard input to standard output')
    .option('--check', 'change nothing; exit 1 if a file is not formatted')
    .option('--json', 'the result as JSON on standard output')
    .action((paths: readonly string[], options: FormatOptions) => {
      if (paths.includes('-')) formatInput(paths, options, streams);
      else formatFiles(paths.flatMap(sourcesAt), options, streams);
    });
}

function formatFiles(files: readonly string[], options: FormatOptions, streams: Streams): void {
  const all = files.map((path) => formatted(requireSource(path)));
  const changed = all.filter(({ source, text }) => text !== source.text);
  if (!options.check) for (const { source, text } of changed) writeFileBeside(source.path, text);
  const verb = options.check ? 'is not formatted' : 'formatted';
  const lines = changed.map(({ source }) => `${source.path}: ${verb}`);
  report(all, lines.join('\n'), { changed: changed.map(({ source }) => source.path) }, options, streams);
  if (options.check && changed.length > 0) throw new Ended(exitStatus.diagnostic);
}

function formatInput(paths: readonly string[], options: FormatOptions, streams: Streams): void {
  if (paths.length > 1) {
    throw new UserError('wrong-input', '`-` and files together', 'give `-` alone, or the paths of files');
  }
  const result = formatted({ path: '-', text: textOf(readFileSync(process.stdin.fd), 'standard input') });
  const { source, text } = result;
  const isChanged = text !== source.text;
  const shown = options.check ? (isChanged ? 'standard input is not formatted' : '') : text;
  report([result], shown, { changed: isChanged ? ['-'] : [], text }, options, streams);
  if (options.check && isChanged) throw new Ended(exitStatus.diagnostic);
}

/** One answer for all files. What cannot be parsed is left as it is, and ends the command. */
function report(
  all: readonly Formatted[],
  text: string,
  object: Readonly<Record<string, unknown>>,
  options: FormatOptions,
  streams: Streams,
): void {
  const output = createOutput(options.json === true, streams);
  const diagnostics = all.flatMap((each) => each.diagnostics);
  const sources = new Map(all.map(({ source }) => [source.path, source.text]));
  const isRejected = diagnostics.length > 0;
  // A reader of standard output must not take a text that has errors for a formatted one.
  const shown = isRejected && 'text' in object ? '' : text;
  output.data(shown, {
    ...object,
    ...(isRejected ? { diagnostics: diagnosticsToJson(diagnostics, sources).diagnostics } : {}),
  });
  if (isRejected && !output.json) output.diagnostics(diagnostics, sources);
  if (isRejected) throw new Ended(exitStatus.diagnostic);
}

function formatted(source: Source): Formatted {
  const { module, diagnostics } = parse(source);
  return { source, diagnostics, text: diagnostics.length > 0 ? source.text : format(module, source.text) };
}

/** The path itself, or the Ricci files in the folder and in its folders. */
function sourcesAt(path: string): readonly string[] {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ricci'))
    .sort()
    .map((name) => join(path, name));
}
