/** How the checker says that something is wrong. */
import type { Diagnostic, Fix, Label, Span } from '../diagnostics/diagnostic.ts';
import type { TypeCode } from './type-codes.ts';

export interface Problem {
  readonly code: TypeCode;
  readonly message: string;
  readonly at: Span;
  readonly label?: string;
  readonly secondary?: readonly Label[];
  readonly notes?: readonly string[];
  readonly help: readonly [string, ...string[]];
  /** Candidates: those that do not stand up to a re-check are dropped before anyone sees them. */
  readonly fixes?: readonly Fix[];
}

export type Report = (problem: Problem) => void;

export const silent: Report = () => {};

export function diagnosticOf(problem: Problem): Diagnostic {
  return {
    severity: 'error',
    code: problem.code,
    message: problem.message,
    primary: { span: problem.at, message: problem.label ?? '' },
    secondary: problem.secondary ?? [],
    notes: problem.notes ?? [],
    help: problem.help,
    fixes: problem.fixes ?? [],
  };
}

export function replaceFix(message: string, span: Span, text: string): Fix {
  return { message, edits: [{ span, text }] };
}

export function insertFix(message: string, file: string, position: number, text: string): Fix {
  return { message, edits: [{ span: { file, start: position, end: position }, text }] };
}
