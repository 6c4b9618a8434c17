/** How the parser makes its diagnostics. */
import type { IToken } from 'chevrotain';
import type { Diagnostic, Fix, Label, Span } from '../diagnostics/diagnostic.ts';
import type { SyntaxCode } from './codes.ts';

/** A diagnostic of the parser: always with a code of `syntaxCodes`. */
export type Problem = Diagnostic & { readonly code: SyntaxCode };

export interface ProblemDetails {
  /** The remark under the place itself. */
  readonly label?: string;
  readonly secondary?: readonly Label[];
  readonly notes?: readonly string[];
  /** At least one: every error has a way out. */
  readonly help: readonly [string, ...string[]];
  readonly fixes?: readonly Fix[];
}

export function problem(code: SyntaxCode, span: Span, message: string, details: ProblemDetails): Problem {
  return {
    severity: 'error',
    code,
    message,
    primary: { span, message: details.label ?? '' },
    secondary: details.secondary ?? [],
    notes: details.notes ?? [],
    help: details.help,
    fixes: details.fixes ?? [],
  };
}

export function problemAt(
  code: SyntaxCode,
  token: IToken,
  file: string,
  message: string,
  details: ProblemDetails,
): Problem {
  return problem(code, tokenSpan(token, file), message, details);
}

export function tokenSpan(token: IToken, file: string): Span {
  return { file, start: token.startOffset, end: token.startOffset + token.image.length };
}
