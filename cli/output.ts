/** Data on standard output, progress and diagnostics on standard error, `--json` and `NO_COLOR` respected. */
import type { Diagnostic } from '../dsl/diagnostics/diagnostic.ts';
import { diagnosticsToJson } from '../dsl/diagnostics/render-json.ts';
import { renderDiagnostic } from '../dsl/diagnostics/render-terminal.ts';
import { painter } from '../dsl/diagnostics/terminal-style.ts';
import { createProgress, type ProgressLine } from './progress.ts';
import type { Streams } from './streams.ts';

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly help: string;
  /** Where an internal error arose: for the report of a fault, and in JSON only. */
  readonly stack?: string;
}

export interface Output {
  readonly json: boolean;
  /** A result, as text for people or, with `--json`, as its object. */
  data(text: string, object: Readonly<Record<string, unknown>>): void;
  diagnostics(diagnostics: readonly Diagnostic[], sources: ReadonlyMap<string, string>): void;
  failure(failure: Failure): void;
  /** Something worth knowing, in a line; never on standard output, and quiet under `--json`. */
  progress(line: string): void;
  /** How far a stage of long work has come; quiet under `--json`. */
  readonly advance: ProgressLine['advance'];
}

/** The version of every `--json` answer's shape. */
const jsonVersion = 1;

export function createOutput(json: boolean, streams: Streams): Output {
  const { out, err } = streams;
  const paint = painter(streams.colour);
  const line = createProgress(err, () => performance.now());
  const print = (object: Readonly<Record<string, unknown>>) =>
    out.write(`${JSON.stringify({ version: jsonVersion, ...object })}\n`);
  const say = (text: string) => {
    line.clear();
    err.write(`${text}\n`);
  };
  return {
    json,
    data: (text, object) => {
      line.clear();
      if (json) print(object);
      else out.write(text.endsWith('\n') || text === '' ? text : `${text}\n`);
    },
    diagnostics: (diagnostics, sources) => {
      if (json) print(diagnosticsToJson(diagnostics, sources));
      else for (const each of diagnostics) say(renderDiagnostic(each, sources, { colour: streams.colour }));
    },
    failure: (failure) => {
      if (json) print({ error: failure });
      else say(`${paint('error', 'error')}: ${failure.message}\n  = help: ${failure.help}`);
    },
    progress: (text) => {
      if (!json) say(text);
    },
    advance: (stage, done, total) => {
      if (!json) line.advance(stage, done, total);
    },
  };
}
