/** Expressions, one layout a kind. */
import {
  broken,
  choice,
  type Doc,
  group,
  hardLine,
  indent,
  isHard,
  join,
  line,
  softLine,
} from './document.ts';
import type { Comments, Place } from './format-comments.ts';
import {
  hanging,
  type Item,
  list,
  type Part,
  parts,
  round,
  setIn,
  singleton,
  square,
  statements,
} from './format-layout.ts';
import {
  axisNames,
  formatDims,
  formatIndices,
  formatPattern,
  formatPending,
  formatSize,
  formatType,
  nameItem,
  sizeItem,
} from './format-types.ts';
import { precedence } from './operators.ts';
import {
  baseNeedsParentheses,
  calleeNeedsParentheses,
  enclosedNeedsParentheses,
  endsInHead,
  leftNeedsParentheses,
  prefixedNeedsParentheses,
  reshardedNeedsParentheses,
  resultNeedsParentheses,
  rightNeedsParentheses,
} from './parentheses.ts';
import type {
  Argument,
  BinaryOperator,
  Binding,
  Expression,
  ExpressionKind,
  Identifier,
  Subscript,
} from './tree.ts';

export interface Context {
  readonly comments: Comments;
  /** What was written, for the parts that the parser could not read. */
  readonly text: string;
}

type Node<K extends ExpressionKind> = Extract<Expression, { kind: K }>;

const layouts: { readonly [K in ExpressionKind]: (context: Context, expression: Node<K>) => Doc } = {
  number: (_, { text }) => text,
  boolean: (_, { value }) => String(value),
  name: (_, { name }) => name,
  unary: (context, { operator, operand }) => [
    operator === 'not' ? 'not ' : operator,
    guarded(context, operand, prefixedNeedsParentheses(operator, operand)),
  ],
  binary: (context, expression) => formatBinary(context, expression),
  field: (context, { base, name }) => [guarded(context, base, baseNeedsParentheses(base)), `.${name.name}`],
  subscript: (context, { base, subscripts, span }) => {
    const head = guarded(context, base, baseNeedsParentheses(base));
    const items = subscripts.map((subscript) => subscriptItem(context, subscript));
    return [head, list(context.comments, square, { items, from: base.span.end, until: span.end })];
  },
  call: (context, { callee, sizes, arguments: given, span }) => {
    const head = guarded(context, callee, calleeNeedsParentheses(callee));
    const { comments } = context;
    const until = given[0]?.span.start ?? span.end;
    const elements = { items: sizes.map(sizeItem), from: callee.span.end, until };
    return [
      head,
      sizes.length === 0 ? '' : list(comments, square, elements),
      formatArguments(context, given, { start: sizes.at(-1)?.span.end ?? callee.span.end, end: span.end }),
    ];
  },
  tuple: (context, { elements, span }) => {
    const items = elements.map((element) => expressionItem(context, element));
    const brackets = elements.length === 1 ? singleton : round;
    return list(context.comments, brackets, { items, from: span.start, until: span.end });
  },
  comprehension: (context, { indices, body, span }) =>
    headed(context, ['for ', formatIndices(indices), ':'], body, span.start),
  reduction: (context, { reduction, indices, body, span }) =>
    headed(context, [`${reduction} `, formatIndices(indices), ':'], body, span.start),
  if: (context, expression) => formatIf(context, expression),
  block: (context, expression) => formatBlock(context, expression, expression.span.start),
  loop: (context, { loop, items, state, initial, body, span }) => {
    const over: Doc =
      items.kind === 'count'
        ? [`${items.index.name} < `, formatSize(items.bound)]
        : [formatPattern(items.pattern), ' in ', enclosed(context, items.sequence)];
    const from: Doc = ['from ', formatPattern(state), ' = ', enclosed(context, initial), ':'];
    return headed(context, group(`${loop} `, over, indent(line, from)), body, span.start);
  },
  reshard: (context, { value, dims, pending, span }) => [
    guarded(context, value, reshardedNeedsParentheses(value)),
    ' as ',
    formatDims(context.comments, dims, pending[0]?.axis.span.start ?? span.end),
    formatPending(pending),
  ],
  perDevice: (context, { axes, captures, body, span }) => [
    `per_device ${axisNames(axes)} `,
    names(context, captures, span.start),
    ' ',
    braced(context, body, span.start),
  ],
  ring: (context, { axis, travelling, state, initial, source, body, span }) => {
    const head: Doc = [`ring ${axis.name} `, names(context, travelling, span.start)];
    const from: Doc = ['from ', formatPattern(state), ' = ', enclosed(context, initial)];
    const at = source === undefined ? '' : ` at ${source.name}`;
    return [group(head, indent(line, from, at)), ' ', braced(context, body, span.start)];
  },
  error: ({ text }, { span }) => text.slice(span.start, span.end),
};

export function formatExpression(context: Context, expression: Expression): Doc {
  return (layouts[expression.kind] as (context: Context, node: Expression) => Doc)(context, expression);
}

export function guarded(context: Context, expression: Expression, parentheses: boolean): Doc {
  const doc = formatExpression(context, expression);
  if (!parentheses) return doc;
  if (hugs(expression) && isHard(doc))
    return choice(['(', doc, ')'], ['(', indent(hardLine, doc), hardLine, ')']);
  return group('(', indent(softLine, doc), softLine, ')');
}

function enclosed(context: Context, expression: Expression): Doc {
  return guarded(context, expression, enclosedNeedsParentheses(expression));
}

function expressionItem(context: Context, expression: Expression): Item {
  return { place: expression.span, doc: () => formatExpression(context, expression) };
}

/** `(q, k, v)` */
function names({ comments }: Context, identifiers: readonly Identifier[], from: number): Doc {
  const until = identifiers.at(-1)?.span.end ?? from;
  return list(comments, round, { items: identifiers.map(nameItem), from, until });
}

function isContinued(operator: BinaryOperator, left: Expression): left is Node<'binary'> {
  return (
    left.kind === 'binary' &&
    precedence[left.operator] === precedence[operator] &&
    !leftNeedsParentheses(operator, left)
  );
}

/** `a + b - c` from left to right, with all operators of one strength in one list. */
function operands(context: Context, expression: Node<'binary'>): Part[] {
  const chain = [expression];
  for (let { operator, left } = expression; isContinued(operator, left); { operator, left } = left) {
    chain.push(left);
  }
  const part = (prefix: string, operand: Expression, parentheses: boolean): Part => ({
    prefix,
    place: operand.span,
    doc: () => guarded(context, operand, parentheses),
  });
  const { operator, left } = chain.at(-1)!;
  return [
    part('', left, leftNeedsParentheses(operator, left)),
    ...chain
      .toReversed()
      .map(({ operator, right }) => part(`${operator} `, right, rightNeedsParentheses(operator, right))),
  ];
}

/**
 * On one line, or an operand a line. A single short operand and a call stay together: `x + f(` and its
 * arguments.
 */
function formatBinary(context: Context, expression: Node<'binary'>): Doc {
  const docs = parts(context.comments, expression.span.start, operands(context, expression));
  if (!endsInBrackets(expression) || !docs.every(({ isAlone }) => isAlone)) return setIn(docs);
  return join(
    ' ',
    docs.map(({ doc }) => doc),
  );
}

function endsInBrackets({ left, right }: Node<'binary'>): boolean {
  const isShort = left.kind === 'name' || left.kind === 'number';
  return isShort && (right.kind === 'call' || enclosedNeedsParentheses(right));
}

/** Ends in a block of several lines, so that its first line may stay where it is. */
function hugs(expression: Expression): boolean {
  return (hugging[expression.kind] as ((node: Expression) => boolean) | undefined)?.(expression) ?? false;
}

const hugging: { readonly [K in ExpressionKind]?: (expression: Node<K>) => boolean } = {
  block: ({ bindings }) => bindings.length > 0,
  comprehension: ({ body }) => hugs(body),
  reduction: ({ body }) => hugs(body),
  loop: ({ body }) => hugs(body),
  if: ({ then, otherwise }) => hugs(then) || hugs(otherwise),
  perDevice: () => true,
  ring: () => true,
  call: ({ arguments: given }) => soleHugging(given) !== undefined,
};

/** The one argument of `f({ … })`, which needs no line of its own. */
function soleHugging([first, ...others]: readonly Argument[]): Expression | undefined {
  if (first === undefined || others.length > 0 || first.kind === 'move' || first.name !== undefined) return;
  return hugs(first.value) ? first.value : undefined;
}

/** `for i: body` and the like, as `head body`. */
function headed(context: Context, head: Doc, body: Expression, from: number): Doc {
  const leading = context.comments.before(body.span.start, from);
  const doc = formatExpression(context, body);
  return hanging({ head, comments: leading, body: doc, hugs: hugs(body) });
}

/**
 * `if c then a else b` on a line; else the branches below the condition, set in; else-ifs one below the
 * other, as cases. Branches that are blocks hang on their words.
 */
function formatIf(context: Context, expression: Node<'if'>): Doc {
  const { comments } = context;
  const { then, otherwise, span } = expression;
  if (hugs(then) || hugs(otherwise)) {
    const head: Doc = ['if ', enclosed(context, expression.condition)];
    const branch: Doc = [' then ', guarded(context, then, then.kind === 'if')];
    return [head, branch, ' else ', formatExpression(context, otherwise)];
  }
  const cases = [expression];
  for (let next = otherwise; next.kind === 'if'; next = next.otherwise) cases.push(next);
  const last: Part = { prefix: 'else ', ...expressionItem(context, cases.at(-1)!.otherwise) };
  const branches = (node: Node<'if'>) => [conditionPart(context, node), thenPart(context, node)];
  if (cases.length === 1) return setIn(parts(comments, span.start, [...branches(expression), last]));
  const docs = parts(comments, span.start, [
    ...cases.map((node, position) => ({
      prefix: position === 0 ? '' : 'else ',
      place: { start: node.span.start, end: node.then.span.end },
      doc: () => setIn(parts(comments, node.span.start, branches(node))),
    })),
    last,
  ]);
  return group(
    ...join(
      line,
      docs.map(({ doc, trailing }) => [doc, trailing]),
    ),
  );
}

function conditionPart(context: Context, { condition }: Node<'if'>): Part {
  return { prefix: 'if ', place: condition.span, doc: () => enclosed(context, condition) };
}

function thenPart(context: Context, { then }: Node<'if'>): Part {
  return { prefix: 'then ', place: then.span, doc: () => guarded(context, then, then.kind === 'if') };
}

function subscriptItem(context: Context, subscript: Subscript): Item {
  if (subscript.kind === 'whole') return { place: subscript.span, doc: () => ':' };
  return { place: subscript.span, doc: () => formatExpression(context, subscript.value) };
}

function formatArguments(context: Context, given: readonly Argument[], { start, end }: Place): Doc {
  const sole = soleHugging(given);
  if (sole !== undefined) return ['(', formatExpression(context, sole), ')'];
  const items = given.map(
    (argument): Item => ({ place: argument.span, doc: () => formatArgument(context, argument, start) }),
  );
  return list(context.comments, round, { items, from: start, until: end });
}

function formatArgument(context: Context, argument: Argument, from: number): Doc {
  if (argument.kind === 'move') return [formatSize(argument.from), ' -> ', formatSize(argument.to)];
  const { name, value } = argument;
  if (name === undefined) return formatExpression(context, value);
  if (staysOnLine(value)) return [`${name.name}: `, formatExpression(context, value)];
  return headed(context, `${name.name}:`, value, from);
}

/** Has a bracket or a colon of its own to break behind, so that its beginning may stay where it is. */
function staysOnLine(expression: Expression): boolean {
  if (expression.kind === 'binary') return endsInBrackets(expression);
  return expression.kind !== 'if' && expression.kind !== 'unary';
}

/** In braces: `{ e }`, or a line for each binding. The comments from `from` on are those of the block. */
export function formatBlock(context: Context, { bindings, result, span }: Node<'block'>, from: number): Doc {
  const items: Item[] = bindings.map((binding, position) => ({
    place: binding.span,
    doc: () => formatBinding(context, binding, position === bindings.length - 1),
  }));
  items.push({
    place: result.span,
    doc: () => guarded(context, result, resultNeedsParentheses(result, bindings.length)),
  });
  const content = statements(context.comments, { items, from, until: span.end });
  const block = group('{', indent(line, content), line, '}');
  return bindings.length > 0 ? broken(block) : block;
}

/** The body of `per_device` and `ring`, whose braces are part of the form. */
function braced(context: Context, body: Expression, from: number): Doc {
  if (body.kind === 'block') return formatBlock(context, body, from);
  return formatBlock(context, { kind: 'block', bindings: [], result: body, span: body.span }, from);
}

/** On one line; or with the whole value on the next; or, as the last resort, with the value broken. */
export function formatBinding(
  context: Context,
  { pattern, type, value, span }: Binding,
  isLast: boolean,
): Doc {
  const { comments } = context;
  const head: Doc = [
    'let ',
    formatPattern(pattern),
    type === undefined ? '' : [': ', formatType(comments, type)],
    ' =',
  ];
  const leading = comments.before(value.span.start, span.start);
  const doc = guarded(context, value, isLast && endsInHead(value));
  if (leading.length > 0 || isHard(doc)) {
    return hanging({ head, comments: leading, body: doc, hugs: hugs(value) || staysOnLine(value) });
  }
  const beside: Doc = [head, ' ', doc];
  const below: Doc = [head, indent(hardLine, doc)];
  if (hugs(value)) return beside;
  return choice(beside, below, staysOnLine(value) ? beside : below);
}
