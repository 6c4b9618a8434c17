/** Declarations, one layout a kind. */
import { broken, choice, type Doc, hardLine, indent, isHard } from './document.ts';
import { formatData } from './format-data.ts';
import { type Context, formatBinding, formatBlock, formatExpression, guarded } from './format-expressions.ts';
import {
  bareList,
  curly,
  hanging,
  type Item,
  list,
  type Part,
  type PartDoc,
  parts,
  round,
  setIn,
  square,
  statements,
} from './format-layout.ts';
import { formatFacts, formatSize, formatType, nameItem } from './format-types.ts';
import { checkedNeedsParentheses } from './parentheses.ts';
import type {
  Check,
  Condition,
  Declaration,
  Expression,
  FunctionDeclaration,
  Identifier,
  PropertyDeclaration,
  Quantifier,
  SizeExpression,
  TraitExpression,
  TypeExpression,
} from './tree.ts';

type Node<K extends Declaration['kind']> = Extract<Declaration, { kind: K }>;

const layouts: { readonly [K in Declaration['kind']]: (context: Context, declaration: Node<K>) => Doc } = {
  import: ({ comments }, { from, alias, names, span }) => {
    const source = from.kind === 'file' ? `"${from.text}"` : from.text;
    const elements = { items: names.map(nameItem), from: from.span.end, until: span.end };
    return [
      `import ${source}`,
      alias === undefined ? '' : ` as ${alias.name}`,
      names.length === 0 ? '' : [' ', list(comments, round, elements)],
    ];
  },
  mesh: ({ comments }, { axes, span }) => [
    'mesh ',
    list(comments, round, { items: axes.map(nameItem), from: span.start, until: span.end }),
  ],
  record: (context, { name, sizes, fields, exported, span }) => {
    const { comments } = context;
    const until = fields[0]?.name.span.start ?? span.end;
    const parameters = list(comments, round, { items: sizes.map(nameItem), from: name.span.end, until });
    const head = [
      exported ? 'export ' : '',
      `type ${name.name}`,
      sizes.length === 0 ? '' : parameters,
      ' = ',
    ];
    const items = fields.map((field): Item => typedItem(context, field.name, field.type));
    const from = sizes.at(-1)?.span.end ?? name.span.end;
    return [...head, list(comments, curly, { items, from, until: span.end })];
  },
  function: (context, declaration) => formatFunction(context, declaration),
  property: (context, declaration) => formatProperty(context, declaration),
};

export function formatDeclaration(context: Context, declaration: Declaration): Doc {
  return (layouts[declaration.kind] as (context: Context, node: Declaration) => Doc)(context, declaration);
}

/** `x: f32[N]` */
function typedItem({ comments }: Context, name: Identifier, type: TypeExpression): Item {
  return {
    place: { start: name.span.start, end: type.span.end },
    doc: () => [`${name.name}: `, formatType(comments, type)],
  };
}

function formatFunction(context: Context, declaration: FunctionDeclaration): Doc {
  const head = formatSignature(context, declaration);
  const { body, braces, span } = declaration;
  if (braces && body.kind === 'block') return [head, ' ', broken(formatBlock(context, body, span.start))];
  const comments = context.comments.before(body.span.start, span.start);
  const doc = formatExpression(context, body);
  const below: Doc = [head, ' =', indent(hardLine, doc)];
  if (comments.length > 0) return hanging({ head: [head, ' ='], comments, body: doc, hugs: false });
  return isHard(doc) || isHard(head) ? below : choice([head, ' = ', doc], below);
}

/**
 * On one line if it fits; else with the facts on a second line; else with the result there too; else with a
 * line for each parameter.
 */
function formatSignature(context: Context, declaration: FunctionDeclaration): Doc {
  const { comments } = context;
  const { name, exported, auto, sizes, parameters, result, facts } = declaration;
  const start = `${exported ? 'export ' : ''}${auto ? 'auto ' : ''}fn ${name.name}`;
  const untilParameters = parameters[0]?.span.start ?? result.span.start;
  const inBrackets = { items: sizes.map(nameItem), from: name.span.end, until: untilParameters };
  const head: Doc = [start, sizes.length === 0 ? '' : list(comments, square, inBrackets)];
  const items = parameters.map((parameter) => typedItem(context, parameter.name, parameter.type));
  const from = sizes.at(-1)?.span.end ?? name.span.end;
  const inParentheses = list(comments, round, { items, from, until: result.span.start });
  const arrow: Doc = ['-> ', formatType(comments, result)];
  const where = facts.length === 0 ? '' : formatFacts(comments, facts, result.span.end);
  const behind = where === '' ? '' : [' ', where];
  const onOneLine: Doc = [head, inParentheses, ' ', arrow, behind];
  const factsBelow: Doc = [head, inParentheses, ' ', arrow, indent(hardLine, where)];
  const resultBelow: Doc = [head, inParentheses, indent(hardLine, arrow, behind)];
  const spread: Doc = [
    head,
    parameters.length > 0 ? broken(inParentheses) : inParentheses,
    ' ',
    arrow,
    behind,
  ];
  if (isHard(onOneLine)) return spread;
  return choice(onOneLine, ...(where === '' ? [] : [factsBelow]), resultBelow, spread);
}

/** Every clause on a line of its own below the name. */
function formatProperty(context: Context, declaration: PropertyDeclaration): Doc {
  const { comments } = context;
  const { name, quantifiers, facts, bindings, conditions, checks, span } = declaration;
  const clauses: Doc[] = [];
  if (quantifiers.length > 0) {
    const items = quantifiers.map(
      (quantifier): Item => ({ place: quantifier.span, doc: () => formatQuantifier(context, quantifier) }),
    );
    const until = quantifiers.at(-1)!.span.end;
    clauses.push(bareList(comments, 'forall', { items, from: name.span.end, until }));
  }
  if (facts.length > 0) {
    clauses.push(formatFacts(comments, facts, quantifiers.at(-1)?.span.end ?? name.span.end));
  }
  const lets = bindings.map(
    (binding): Item => ({ place: binding.span, doc: () => formatBinding(context, binding, false) }),
  );
  const given = conditions.map(
    (condition): Item => ({ place: condition.span, doc: () => formatCondition(context, condition) }),
  );
  const checked = checks.map((check, position): Item => {
    const { start, end } = check.span;
    // What is behind the last check is behind the property.
    const place = position < checks.length - 1 ? { start, end } : { start, end: start };
    return { place, doc: () => formatCheck(context, check) };
  });
  const items = [...lets, ...given, ...checked];
  clauses.push(statements(comments, { items, from: span.start, until: span.start }));
  return [`property ${name.name}`, indent(...clauses.map((clause) => [hardLine, clause]))];
}

type QuantifierNode<K extends Quantifier['kind']> = Extract<Quantifier, { kind: K }>;

const quantifierLayouts: {
  readonly [K in Quantifier['kind']]: (context: Context, quantifier: QuantifierNode<K>) => Doc;
} = {
  value: ({ comments }, { name, type, traits, given }) => [
    `${name.name}: `,
    formatType(comments, type),
    ...traits.map((trait) => ` ${traitText(trait)}`),
    given === undefined ? '' : [' = ', formatData(comments, given)],
  ],
  size: (_, { name, from, to }) => [`${name.name}: `, formatRange(from, to)],
  mesh: ({ comments }, { axes, span }) => {
    const items = axes.map(
      ({ name, from, to }): Item => ({
        place: { start: name.span.start, end: to.span.end },
        doc: () => [`${name.name}: `, formatRange(from, to)],
      }),
    );
    if (items.length === 0) return 'mesh';
    return ['mesh ', list(comments, curly, { items, from: span.start, until: span.end })];
  },
  target: () => 'target',
};

function formatQuantifier(context: Context, quantifier: Quantifier): Doc {
  const layout = quantifierLayouts[quantifier.kind] as (context: Context, node: Quantifier) => Doc;
  return layout(context, quantifier);
}

function traitText(trait: TraitExpression): string {
  return trait.kind === 'word' ? trait.word : `within ${trait.from.text}..${trait.to.text}`;
}

function formatRange(from: SizeExpression, to: SizeExpression): Doc {
  return [formatSize(from), '..', formatSize(to)];
}

function formatCondition(context: Context, { value, span }: Condition): Doc {
  const doc = (): Doc => formatExpression(context, value);
  return setIn(parts(context.comments, span.start, [{ prefix: 'given ', place: value.span, doc }]));
}

function formatCheck(context: Context, check: Check): Doc {
  const { relation, left, right, label, span } = check;
  const side = (prefix: string, expression: Expression): Part => ({
    prefix,
    place: expression.span,
    doc: () => guarded(context, expression, checkedNeedsParentheses(relation, expression)),
  });
  const sides = [side('check ', left), ...(right === undefined ? [] : [side(`${relation} `, right)])];
  const docs = parts(context.comments, span.start, sides);
  const shown: PartDoc = { doc: `label "${label}"`, trailing: '', isAlone: true };
  return setIn(label === undefined ? docs : [...docs, shown]);
}
