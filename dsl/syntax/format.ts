/**
 * Tree to text, in the one layout that all Ricci is written in: lines of up to 100 columns where possible,
 * two spaces of indentation, and every comment where it was or, if no comment can stand there, at the next
 * place where one can. The author decides where blank lines group bindings and one-line declarations;
 * everything else follows from the tree.
 */
import { type Doc, hardLine, render } from './document.ts';
import { createComments } from './format-comments.ts';
import { formatDeclaration } from './format-declarations.ts';
import type { Context } from './format-expressions.ts';
import { type Item, type Neighbours, statements } from './format-layout.ts';
import type { Comment, Declaration, Module } from './tree.ts';

export const pageWidth = 100;

/**
 * @param module a tree without `error` nodes, that is, parsed without diagnostics, or made by a program; then
 * its spans may
 *   all be empty, and it has documentation instead of comments
 * @param text what it was parsed from
 */
export function format(module: Module, text: string): string {
  const comments = createComments(module.comments, text);
  const context: Context = { comments, text };
  const kinds = new Map<Doc, Declaration['kind']>();
  const items: Item[] = module.declarations.map((declaration) => ({
    place: declaration.span,
    doc: () => {
      const doc = [documentationOf(module, declaration), formatDeclaration(context, declaration)];
      kinds.set(doc, declaration.kind);
      return doc;
    },
  }));
  const { name } = module;
  if (name !== undefined) items.unshift({ place: name.span, doc: () => `module ${name.name}` });
  const documentation = new Set(module.declarations.flatMap((each) => documentationComments(module, each)));
  const isOneLine = (doc: Doc) => !render(doc, pageWidth).includes('\n');
  const doc = statements(comments, {
    items,
    from: 0,
    until: Number.POSITIVE_INFINITY,
    mayTrail: (comment) => !documentation.has(comment),
    isBlankBetween: ({ previous, trailing, leading, next, asWritten }: Neighbours) =>
      asWritten ||
      kinds.get(previous) !== kinds.get(next) ||
      [...trailing, ...leading].some(isDocumentation) ||
      !isOneLine(previous) ||
      !isOneLine(next),
  });
  const result = render(doc, pageWidth);
  return result === '' ? '' : `${result}\n`;
}

function isDocumentation({ kind }: Comment): boolean {
  return kind === 'documentation';
}

/**
 * The comments that are the documentation of a declaration: the last ones before it, as many as it has lines.
 */
function documentationComments({ comments }: Module, declaration: Declaration): readonly Comment[] {
  if (!('documentation' in declaration) || declaration.documentation === undefined) return [];
  const before = comments.filter(({ span }) => span.end <= declaration.span.start);
  return before.slice(-declaration.documentation.split('\n').length);
}

/** Of a tree that was not parsed: there it is no comment. */
function documentationOf({ comments }: Module, declaration: Declaration): Doc {
  if (comments.length > 0 || !('documentation' in declaration)) return '';
  if (declaration.documentation === undefined) return '';
  return declaration.documentation.split('\n').map((line) => [`/// ${line}`, hardLine]);
}
