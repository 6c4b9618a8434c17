/** The error index, `docs/errors.md`, from every stage's table of codes. */
import { lowerCodes } from '../compiler/lower/lower-codes.ts';
import { type CodeSection, renderErrorIndex } from '../dsl/diagnostics/codes.ts';
import { syntaxCodes } from '../dsl/syntax/codes.ts';
import { typeCodes } from '../dsl/types/type-codes.ts';

/** The checker's codes by their hundreds. */
function typeSection(title: string, prefix: string): CodeSection {
  const codes = Object.entries(typeCodes).filter(([code]) => code.startsWith(prefix));
  return { title, codes: Object.fromEntries(codes) };
}

const codeSections: readonly CodeSection[] = [
  { title: 'Syntax', codes: syntaxCodes },
  typeSection('Names and modules', 'E02'),
  typeSection('Types and arguments', 'E03'),
  typeSection('Sizes, shapes, ranges and facts', 'E04'),
  typeSection('Placements', 'E05'),
  { title: 'Sizes and inputs of an entry', codes: lowerCodes },
];

export function errorIndex(): string {
  return renderErrorIndex(codeSections);
}
