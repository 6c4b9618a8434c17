/** Data on standard output, progress and diagnostics on standard error, `--json` and `NO_COLOR` respected. */
import type { Diagnostic } from '../dsl/diagnostics/diagnostic.ts';
import { diagnosticsToJson } from '../dsl/diagnostics/render-json.ts';
import { renderDiagnostic } from '../dsl/diagnostics/render-terminal.ts';

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly help: string;
}

export interface Output {
  readonly json: boolean;
  /** A result, as text for people or, with `--json`, as its object. */
  data(text: string, object: Readonly<Record<string, unknown>>): void;
  diagnostics(diagnostics: readonly Diagnostic[], sources: ReadonlyMap<string, string>): void;
  failure(failure: Failure): void;
  /** What is going on; never on standard output, and quiet under `--json`. */
  progress(line: string): void;
}

/** The version of every `--json` answer's shape. */
const jsonVersion = 1;

export function createOutput(json: boolean): Output {
  const colour = !json && process.stderr.isTTY === true && !process.env.NO_COLOR;
  const print = (object: Readonly<Record<string, unknown>>) =>
    process.stdout.write(`${JSON.stringify({ version: jsonVersion, ...object })}\n`);
  return {
    json,
    data: (text, object) => {
      if (json) print(object);
      else process.stdout.write(text.endsWith('\n') || text === '' ? text : `${text}\n`);
    },
    diagnostics: (diagnostics, sources) => {
      if (json) print(diagnosticsToJson(diagnostics, sources));
      else {
        for (const diagnostic of diagnostics) {
          process.stderr.write(`${renderDiagnostic(diagnostic, sources, { colour })}\n`);
        }
      }
    },
    failure: ({ code, message, help }) => {
      if (json) print({ error: { code, message, help } });
      else process.stderr.write(`error: ${message}\n  = help: ${help}\n`);
    },
    progress: (line) => {
      if (!json) process.stderr.write(`${line}\n`);
    },
  };
}
