/** Sizes, types, facts, and the patterns that name indices and values. */
import { type Doc, group, indent, join, line } from './document.ts';
import type { Comments } from './format-comments.ts';
import { bareList, type Item, list, round, square } from './format-layout.ts';
import { leftSizeNeedsParentheses, rightSizeNeedsParentheses } from './parentheses.ts';
import type {
  DimExpression,
  Fact,
  Identifier,
  IndexPattern,
  LetPattern,
  PendingExpression,
  PlacementExpression,
  SizeExpression,
  TypeExpression,
} from './tree.ts';

function inParentheses(doc: Doc, needed: boolean): Doc {
  return needed ? ['(', doc, ')'] : doc;
}

type SizeOperation = Extract<SizeExpression, { kind: 'binary' }>;

/** `a + b - c` from left to right: the operations that need no parentheses between them. */
function sizeChain(size: SizeOperation): readonly SizeOperation[] {
  const chain = [size];
  for (
    let left = size.left;
    left.kind === 'binary' && !leftSizeNeedsParentheses(chain[0]!.operator, left);
    left = left.left
  ) {
    chain.unshift(left);
  }
  return chain;
}

export function formatSize(size: SizeExpression): Doc {
  if (size.kind === 'natural') return String(size.value);
  if (size.kind === 'name') return size.name;
  const chain = sizeChain(size);
  const { operator, left } = chain[0]!;
  const others = chain.map(({ operator, right }) => {
    const operand = inParentheses(formatSize(right), rightSizeNeedsParentheses(operator, right));
    return [line, `${operator} `, operand];
  });
  return group(inParentheses(formatSize(left), leftSizeNeedsParentheses(operator, left)), indent(...others));
}

export function sizeItem(size: SizeExpression): Item {
  return { place: size.span, doc: () => formatSize(size) };
}

export function nameItem({ name, span }: Identifier): Item {
  return { place: span, doc: () => name };
}

const placements: {
  readonly [K in PlacementExpression['kind']]: (
    placement: Extract<PlacementExpression, { kind: K }>,
  ) => string;
} = {
  none: () => '',
  axes: ({ axes }) => `@${axisNames(axes)}`,
  hole: () => '@?',
};

/** `sp`, `(node, gpu)` */
export function axisNames(axes: readonly Identifier[]): string {
  const names = axes.map(({ name }) => name).join(', ');
  return axes.length === 1 ? names : `(${names})`;
}

function formatDim({ size, placement }: DimExpression): Doc {
  const placed = (placements[placement.kind] as (placement: PlacementExpression) => string)(placement);
  // `G * R@sp` places the product, which only parentheses make plain.
  return [inParentheses(formatSize(size), placed !== '' && size.kind === 'binary'), placed];
}

export function formatDims(comments: Comments, dims: readonly DimExpression[], until: number): Doc {
  const items = dims.map((dim): Item => ({ place: dim.span, doc: () => formatDim(dim) }));
  return list(comments, square, { items, from: dims[0]?.span.start ?? until, until });
}

const pendingWords: { readonly [R in PendingExpression['reduction']]: string } = {
  sum: '+',
  max: 'max ',
  min: 'min ',
};

/** `{+tp, max sp}`, right behind the dimensions. */
export function formatPending(pending: readonly PendingExpression[]): Doc {
  if (pending.length === 0) return '';
  const axes = pending.map(({ reduction, axis }) => `${pendingWords[reduction]}${axis.name}`);
  return group('{', indent(join([',', line], axes)), '}');
}

type Node<K extends TypeExpression['kind']> = Extract<TypeExpression, { kind: K }>;

const types: {
  readonly [K in TypeExpression['kind']]: (comments: Comments, type: Node<K>) => Doc;
} = {
  named: (comments, { path, sizes, dims, pending, span }) => {
    const name = path.qualifier === undefined ? path.name.name : `${path.qualifier.name}.${path.name.name}`;
    const beforePending = pending[0]?.axis.span.start ?? span.end;
    const until = dims[0]?.span.start ?? beforePending;
    const range = { items: sizes.map(sizeItem), from: span.start, until };
    return [
      name,
      sizes.length === 0 ? '' : list(comments, round, range),
      dims.length === 0 ? '' : formatDims(comments, dims, beforePending),
      formatPending(pending),
    ];
  },
  tuple: (comments, { elements, span }) => {
    const items = elements.map((type): Item => ({ place: type.span, doc: () => formatType(comments, type) }));
    return list(comments, round, { items, from: span.start, until: span.end });
  },
};

export function formatType(comments: Comments, type: TypeExpression): Doc {
  return (types[type.kind] as (comments: Comments, type: TypeExpression) => Doc)(comments, type);
}

const factEndings: { readonly [R in Fact['relation']]: string } = {
  '<=': '',
  '<': '',
  '==': '',
  '|': '',
  '%': ' == 0',
};

function formatFact({ relation, left, right }: Fact): Doc {
  // `a + b % 8` takes the remainder of the sum, which only parentheses make plain.
  const side = (size: SizeExpression) =>
    inParentheses(formatSize(size), relation === '%' && size.kind === 'binary');
  return [side(left), ` ${relation} `, side(right), factEndings[relation]];
}

/** `where K <= E, sp | G`; the comments between `from` and `until` are those of the facts. */
export function formatFacts(comments: Comments, facts: readonly Fact[], from: number): Doc {
  const items = facts.map((fact): Item => ({ place: fact.span, doc: () => formatFact(fact) }));
  return bareList(comments, 'where', { items, from, until: facts.at(-1)?.span.end ?? from });
}

type IndexNode = Extract<IndexPattern, { kind: 'index' }>;

function formatIndexName({ name, bound }: IndexNode): Doc {
  return bound === undefined ? name.name : [`${name.name} < `, formatSize(bound)];
}

function formatIndex(index: IndexPattern): Doc {
  if (index.kind === 'index') return formatIndexName(index);
  return group('(', indent(join([',', line], index.parts.map(formatIndexName))), ')');
}

/** `s, (g < G, r)` */
export function formatIndices(indices: readonly IndexPattern[]): Doc {
  return group(indent(join([',', line], indices.map(formatIndex))));
}

const patterns: {
  readonly [K in LetPattern['kind']]: (pattern: Extract<LetPattern, { kind: K }>) => Doc;
} = {
  name: ({ name }) => name.name,
  element: ({ name, indices }) => [name.name, '[', formatIndices(indices), ']'],
  tuple: ({ elements }) => group('(', indent(join([',', line], elements.map(formatPattern))), ')'),
};

export function formatPattern(pattern: LetPattern): Doc {
  return (patterns[pattern.kind] as (pattern: LetPattern) => Doc)(pattern);
}
