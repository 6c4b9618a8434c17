/**
 * The one shape in which anything that is wrong with a program reaches a person. Every stage that reads
 * source reports `Diagnostic`s; nothing in the front end throws for bad input.
 */

/** A half-open range of UTF-16 code units of one source file. `start === end` marks a point. */
export interface Span {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Stable: the code `E0412` means the same for ever. The meaning of each is in `codes.ts` and
 * `docs/errors.md`.
 */
export type DiagnosticCode = `E${string}`;

/** A place with a short remark on it, e.g. `bf16[T, D], because of line 6`. */
export interface Label {
  readonly span: Span;
  readonly message: string;
}

/** A change of the source text that was itself checked: applying `edits` makes this diagnostic go away. */
export interface Fix {
  readonly message: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  readonly span: Span;
  readonly text: string;
}

export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  readonly code: DiagnosticCode;
  /** One sentence, no full stop, in the user's terms. */
  readonly message: string;
  readonly primary: Label;
  /** Other places that explain the first, in the order in which they should be read. */
  readonly secondary: readonly Label[];
  /** Why the rule is so, or how the compiler arrived here; each is one rendered `= note:` line. */
  readonly notes: readonly string[];
  /** What to do about it; each is one rendered `= help:` line. Never empty: every error has a way out. */
  readonly help: readonly string[];
  readonly fixes: readonly Fix[];
}

/** A named text that spans refer to by `path`. */
export interface Source {
  readonly path: string;
  readonly text: string;
}
