/** Programs with one expression put in the place of another: mostly ill-typed, and never more than that. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { moduleLoader } from '../../driver/module-loader.ts';
import type { Diagnostic, Span } from '../diagnostics/diagnostic.ts';
import { parse } from '../syntax/parse.ts';
import type { Expression } from '../syntax/tree.ts';
import { checkProgram } from './check.ts';
import { expressionsOf } from './check-property.ts';
import { childExpressions } from './expression-children.ts';
import type { TypedProgram } from './typed.ts';

interface Program {
  readonly path: string;
  readonly text: string;
  readonly expressions: readonly Span[];
}

const folders = [
  '../../stdlib',
  '../../property-tests/programs',
  '../../property-tests/properties',
  'golden',
];
const programs = folders.flatMap((folder) => {
  const full = join(import.meta.dirname, folder);
  return readdirSync(full)
    .filter((file) => file.endsWith('.ricci'))
    .map((file) => program(join(full, file)));
});

function program(path: string): Program {
  const text = readFileSync(path, 'utf8');
  const spans: Span[] = [];
  const visit = (expression: Expression): void => {
    spans.push(expression.span);
    for (const child of childExpressions(expression)) visit(child);
  };
  for (const declaration of parse({ path, text }).module.declarations) {
    if (declaration.kind === 'function') visit(declaration.body);
    if (declaration.kind !== 'property') continue;
    for (const part of expressionsOf(declaration)) visit(part);
  }
  return { path, text, expressions: spans };
}

/** Counts what the mutations come to, so that the test is known to see both kinds. */
const seen = { accepted: 0, rejected: 0 };

function isSound(
  diagnostics: readonly Diagnostic[],
  checked: TypedProgram,
  sources: ReadonlyMap<string, string>,
): void {
  for (const { help, message, primary, secondary } of diagnostics) {
    expect(help.length).toBeGreaterThan(0);
    expect(message).not.toMatch(/undefined|\[object|#/);
    for (const { span } of [primary, ...secondary]) {
      expect(span.start).toBeLessThanOrEqual(span.end);
      expect(span.end).toBeLessThanOrEqual(sources.get(span.file)?.length ?? -1);
    }
  }
  if (diagnostics.length > 0) return;
  const typed = JSON.stringify([...checked.functions.values(), ...checked.properties.values()]);
  expect(typed).not.toContain('"kind":"error"');
  expect(typed).not.toMatch(/"name":"[?#]/);
}

it('an expression in the place of another is accepted or reported', () => {
  const usable = programs.filter(({ expressions }) => expressions.length > 1);
  const place = fc.nat().map((n) => {
    const { path, text, expressions } = usable[n % usable.length]!;
    return { path, text, span: expressions[Math.floor(n / usable.length) % expressions.length]! };
  });
  const mutated = fc.tuple(place, place).map(([hole, piece]) => ({
    path: hole.path,
    text: `${hole.text.slice(0, hole.span.start)}(${piece.text.slice(piece.span.start, piece.span.end)})${hole.text.slice(hole.span.end)}`,
  }));
  fc.assert(
    fc.property(mutated, (source) => {
      const { program: checked, diagnostics, sources } = checkProgram(source, moduleLoader);
      isSound(diagnostics, checked, sources);
      if (diagnostics.length === 0) seen.accepted++;
      else seen.rejected++;
    }),
    { numRuns: 300 },
  );
  expect(seen.accepted).toBeGreaterThan(0);
  expect(seen.rejected).toBeGreaterThan(100);
});
