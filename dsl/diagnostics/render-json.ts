/** Diagnostics for other programs. The shape is versioned: fields are added to a version, never changed. */
import type { Diagnostic, Span } from './diagnostic.ts';
import type { LineTable } from './source-position.ts';
import { lineTable, rangeOf } from './source-position.ts';

export type JsonDiagnostics = {
  readonly version: 1;
  readonly diagnostics: readonly JsonDiagnostic[];
};

/** Lines and columns count from 1, columns in UTF-16 code units; the end is exclusive. */
export type JsonPlace = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
};

export type JsonDiagnostic = JsonPlace & {
  readonly code: string;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** The remark on the place of the diagnostic itself; may be empty. */
  readonly label: string;
  /** The other places. */
  readonly labels: readonly (JsonPlace & { readonly message: string })[];
  readonly notes: readonly string[];
  readonly help: readonly string[];
  readonly fixes: readonly {
    readonly message: string;
    readonly edits: readonly (JsonPlace & { readonly text: string })[];
  }[];
};

/** `sources` has the text of each file by path; places in a file that is not there are at its start. */
export function diagnosticsToJson(
  diagnostics: readonly Diagnostic[],
  sources: ReadonlyMap<string, string>,
): JsonDiagnostics {
  const tables = new Map<string, LineTable>([...sources].map(([path, text]) => [path, lineTable(text)]));
  const place = (span: Span): JsonPlace => {
    const { start, end } = rangeOf(tables.get(span.file) ?? lineTable(''), span);
    return {
      file: span.file,
      line: start.line,
      column: start.column,
      endLine: end.line,
      endColumn: end.column,
    };
  };
  return { version: 1, diagnostics: diagnostics.map((diagnostic) => toJson(diagnostic, place)) };
}

function toJson(diagnostic: Diagnostic, place: (span: Span) => JsonPlace): JsonDiagnostic {
  return {
    code: diagnostic.code,
    severity: diagnostic.severity,
    message: diagnostic.message,
    ...place(diagnostic.primary.span),
    label: diagnostic.primary.message,
    labels: diagnostic.secondary.map(({ span, message }) => ({ ...place(span), message })),
    notes: diagnostic.notes,
    help: diagnostic.help,
    fixes: diagnostic.fixes.map(({ message, edits }) => ({
      message,
      edits: edits.map(({ span, text }) => ({ ...place(span), text })),
    })),
  };
}
