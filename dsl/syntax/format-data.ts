/** Values that are written down. Rows of numbers fill lines; all else in a list has a line of its own. */
import type { Doc } from './document.ts';
import type { Comments } from './format-comments.ts';
import { curly, filledList, type Item, list, round, singleton, square } from './format-layout.ts';
import type { DataExpression } from './tree.ts';

type Node<K extends DataExpression['kind']> = Extract<DataExpression, { kind: K }>;

const layouts: { readonly [K in DataExpression['kind']]: (comments: Comments, data: Node<K>) => Doc } = {
  number: (_, { text }) => text,
  boolean: (_, { value }) => `${value}`,
  list: (comments, { elements, span }) => {
    const items = elements.map((element) => dataItem(comments, element));
    const layout = elements.every(isScalar) ? filledList : list;
    return layout(comments, square, { items, from: span.start, until: span.end });
  },
  tuple: (comments, { elements, span }) => {
    const items = elements.map((element) => dataItem(comments, element));
    const brackets = items.length === 1 ? singleton : round;
    return list(comments, brackets, { items, from: span.start, until: span.end });
  },
  record: (comments, { fields, span }) => {
    const items = fields.map(
      (field): Item => ({
        place: field.span,
        doc: () => [`${field.name.name}: `, formatData(comments, field.value)],
      }),
    );
    return list(comments, curly, { items, from: span.start, until: span.end });
  },
};

function isScalar({ kind }: DataExpression): boolean {
  return kind === 'number' || kind === 'boolean';
}

function dataItem(comments: Comments, data: DataExpression): Item {
  return { place: data.span, doc: () => formatData(comments, data) };
}

export function formatData(comments: Comments, data: DataExpression): Doc {
  return (layouts[data.kind] as (comments: Comments, data: DataExpression) => Doc)(comments, data);
}
