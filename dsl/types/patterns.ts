/** `let (a, b) = …`: names for the parts of a value. */
import type { LetPattern } from '../syntax/tree.ts';
import { type Context, newLocal } from './context.ts';
import type { Entry } from './scope.ts';
import type { Type, TypedPattern } from './typed.ts';
import { errorType, showType } from './types.ts';

export interface BoundPattern {
  readonly pattern: TypedPattern;
  readonly entries: readonly (readonly [string, Entry])[];
}

/** Names bound to parts that do not exist are of the error type, so nothing more is said of them. */
export function bindPattern(context: Context, pattern: LetPattern, type: Type): BoundPattern {
  switch (pattern.kind) {
    case 'name': {
      const local = newLocal(context);
      const { name, span } = pattern.name;
      return {
        pattern: { kind: 'local', local, name, type },
        entries: [[name, { kind: 'local', local, type, span }]],
      };
    }
    case 'element':
      context.report({
        code: 'E0309',
        message: 'a tensor is named by its element in a let of its own only',
        at: pattern.span,
        help: [`write ${pattern.name.name} here, and subscript it where it is used`],
      });
      return bindPattern(context, { kind: 'name', name: pattern.name, span: pattern.span }, errorType);
    case 'tuple': {
      const parts = partsOf(context, pattern, type);
      const bound = pattern.elements.map((element, i) =>
        bindPattern(context, element, parts[i] ?? errorType),
      );
      return {
        pattern: { kind: 'tuple', elements: bound.map((part) => part.pattern) },
        entries: bound.flatMap(({ entries }) => entries),
      };
    }
  }
}

function partsOf(
  context: Context,
  pattern: Extract<LetPattern, { kind: 'tuple' }>,
  type: Type,
): readonly Type[] {
  if (type.kind === 'error') return [];
  if (type.kind === 'tuple' && type.elements.length === pattern.elements.length) return type.elements;
  const parts = type.kind === 'tuple' ? `a tuple of ${type.elements.length}` : 'not a tuple';
  context.report({
    code: 'E0309',
    message: `this takes ${pattern.elements.length} parts, and the value is ${parts}`,
    at: pattern.span,
    label: `the value is ${showType(type)}`,
    help: [type.kind === 'tuple' ? 'name each part once' : 'name the value as a whole'],
  });
  return [];
}
