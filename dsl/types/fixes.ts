/**
 * Candidate fixes are offered only after they were tried: the file is edited, checked again, and must get
 * better.
 */
import { applyFix } from '../diagnostics/apply-fix.ts';
import type { Diagnostic, Fix, Source } from '../diagnostics/diagnostic.ts';

/** Fixes are tried for the first few errors only, so that checking a bad file stays quick. */
const errorsWithFixes = 6;

export function verifyFixes(
  diagnostics: readonly Diagnostic[],
  sources: ReadonlyMap<string, string>,
  recheck: (edited: Source) => readonly Diagnostic[],
): readonly Diagnostic[] {
  const before = diagnostics.length;
  let tried = 0;
  return diagnostics.map((diagnostic) => {
    if (diagnostic.fixes.length === 0) return diagnostic;
    if (tried >= errorsWithFixes) return { ...diagnostic, fixes: [] };
    tried++;
    return { ...diagnostic, fixes: diagnostic.fixes.filter((fix) => helps(fix)) };
  });

  function helps(fix: Fix): boolean {
    const [first] = fix.edits;
    const text = first === undefined ? undefined : sources.get(first.span.file);
    if (first === undefined || text === undefined) return false;
    return recheck({ path: first.span.file, text: applyFix(text, fix) }).length < before;
  }
}
