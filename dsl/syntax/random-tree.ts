/**
 * Random modules, as trees that some text stands for: every kind of node, in every place where the grammar
 * takes it. They mean nothing; names and sizes need not fit together. All spans are empty.
 */
import fc from 'fast-check';
import type { Span } from '../diagnostics/diagnostic.ts';
import { precedence } from './operators.ts';
import { contextualWords } from './tokens.ts';
import {
  type Argument,
  type BinaryOperator,
  type Binding,
  type Check,
  type DataExpression,
  type Declaration,
  type DimExpression,
  type Expression,
  type ExpressionKind,
  type Fact,
  type Identifier,
  type IndexPattern,
  type LetPattern,
  type Module,
  type PendingExpression,
  type PlacementExpression,
  type Quantifier,
  reductionNames,
  type SizeExpression,
  type Subscript,
  type TraitExpression,
  type TypeExpression,
  traitWords,
} from './tree.ts';

const span: Span = { file: 'random.ricci', start: 0, end: 0 };

/** Short names, words with a meaning in one place only, and now and then a name that fills a line. */
const words: fc.Arbitrary<string> = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('x', 'y', 'w', 'score', 'experts', 'attention_norm') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...contextualWords),
  },
  { weight: 1, arbitrary: fc.nat(30).map((length) => `long_${'o'.repeat(length)}`) },
);
/** Names that are never the head of a form, for where a name may follow. */
const plainWords = fc.constantFrom('t', 'd', 'heads', 'sp', 'gpu', 'N');

function named(name: string): Identifier {
  return { name, span };
}
const identifiers = words.map(named);
const plainIdentifiers = plainWords.map(named);

function list<T>(element: fc.Arbitrary<T>, minLength: number, maxLength: number): fc.Arbitrary<T[]> {
  return fc.array(element, { minLength, maxLength });
}

// ── sizes and types
// ──────────────────────────────────────────────────────────────────────────────────────────

const leafSizes: fc.Arbitrary<SizeExpression> = fc.oneof(
  fc.nat(4096).map((value): SizeExpression => ({ kind: 'natural', value, span })),
  fc.constantFrom('S', 'G', 'R', 'A', 'sp').map((name): SizeExpression => ({ kind: 'name', name, span })),
);

const { size: sizes } = fc.letrec<{ size: SizeExpression }>((tie) => ({
  size: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 2, arbitrary: leafSizes },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('binary' as const),
        operator: fc.constantFrom('+', '-', '*', '/'),
        left: tie('size'),
        right: tie('size'),
        span: fc.constant(span),
      }),
    },
  ),
}));

const placements: fc.Arbitrary<PlacementExpression> = fc.oneof(
  fc.constant({ kind: 'none' } as const),
  list(plainIdentifiers, 1, 2).map((axes): PlacementExpression => ({ kind: 'axes', axes })),
  fc.constant({ kind: 'hole', span } as const),
);

const dims: fc.Arbitrary<DimExpression> = fc
  .record({ size: sizes, placement: placements })
  .map((dim) => ({ ...dim, span }));

const pending: fc.Arbitrary<PendingExpression[]> = list(
  fc.record({ reduction: fc.constantFrom('sum', 'max', 'min'), axis: plainIdentifiers }),
  0,
  2,
);

const paths = fc
  .record({ qualifier: fc.option(plainIdentifiers, { nil: undefined }), name: plainIdentifiers })
  .map((path) => ({ ...path, span }));

const { type: types } = fc.letrec<{ type: TypeExpression }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    {
      weight: 4,
      arbitrary: fc
        .record({ path: paths, sizes: list(sizes, 0, 2), dims: list(dims, 0, 3), pending })
        .map((type): TypeExpression => ({ kind: 'named', ...type, span })),
    },
    {
      weight: 1,
      arbitrary: list(tie('type'), 2, 3).map(
        (elements): TypeExpression => ({ kind: 'tuple', elements, span }),
      ),
    },
  ),
}));

// ── patterns
// ─────────────────────────────────────────────────────────────────────────────────────────────────

type SingleIndex = Extract<IndexPattern, { kind: 'index' }>;

const singleIndices: fc.Arbitrary<SingleIndex> = fc
  .record({ name: plainIdentifiers, bound: fc.option(sizes, { nil: undefined }) })
  .map((index) => ({ kind: 'index', ...index, span }));

const indices: fc.Arbitrary<IndexPattern> = fc.oneof(
  { weight: 3, arbitrary: singleIndices },
  {
    weight: 1,
    arbitrary: list(singleIndices, 1, 3).map((parts): IndexPattern => ({ kind: 'tuple', parts, span })),
  },
);

const { pattern: patterns } = fc.letrec<{ pattern: LetPattern }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    { weight: 4, arbitrary: identifiers.map((name): LetPattern => ({ kind: 'name', name, span })) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(identifiers, list(indices, 1, 3))
        .map(([name, indices]): LetPattern => ({ kind: 'element', name, indices, span })),
    },
    {
      weight: 1,
      arbitrary: list(tie('pattern'), 1, 3).map(
        (elements): LetPattern => ({ kind: 'tuple', elements, span }),
      ),
    },
  ),
}));

// ── expressions
// ──────────────────────────────────────────────────────────────────────────────────────────────

type Node<K extends ExpressionKind> = Extract<Expression, { kind: K }>;

const operators = fc.constantFrom(...(Object.keys(precedence) as BinaryOperator[]));
const numbers = fc.constantFrom('0', '1', '2', '0.5', '1e-30', '0.7978845608028654');

/** What the parts of an expression are made of: expressions that are less deep, or not deep at all. */
type Parts = fc.Arbitrary<Expression>;

/** The parser leaves `error` nodes only where it reports something, so no text without errors has one. */
type Written = Exclude<ExpressionKind, 'error'>;

const expressionKinds: { readonly [K in Written]: (parts: Parts) => fc.Arbitrary<Node<K>> } = {
  number: () => numbers.map((text) => ({ kind: 'number', text, span })),
  boolean: () => fc.boolean().map((value) => ({ kind: 'boolean', value, span })),
  name: () => words.map((name) => ({ kind: 'name', name, span })),
  unary: (operand) =>
    fc
      .record({ operator: fc.constantFrom('-' as const, 'not' as const), operand })
      .map((unary) => ({ kind: 'unary', ...unary, span })),
  binary: (operand) =>
    fc
      .record({ operator: operators, left: operand, right: operand })
      .map((binary) => ({ kind: 'binary', ...binary, span })),
  field: (base) => fc.record({ base, name: identifiers }).map((field) => ({ kind: 'field', ...field, span })),
  subscript: (value) =>
    fc
      .record({ base: value, subscripts: list(subscripts(value), 1, 3) })
      .map((subscript) => ({ kind: 'subscript', ...subscript, span })),
  call: (value) =>
    fc
      .record({ callee: callees, sizes: list(sizes, 0, 2), arguments: list(givenArguments(value), 0, 4) })
      .map((call) => ({ kind: 'call', ...call, span })),
  tuple: (element) => list(element, 1, 3).map((elements) => ({ kind: 'tuple', elements, span })),
  comprehension: (body) =>
    fc
      .record({ indices: list(indices, 1, 3), body })
      .map((node) => ({ kind: 'comprehension', ...node, span })),
  reduction: (body) =>
    fc
      .record({ reduction: fc.constantFrom(...reductionNames), indices: list(indices, 1, 2), body })
      .map((node) => ({ kind: 'reduction', ...node, span })),
  if: (part) =>
    fc.tuple(part, part, part).map(
      ([condition, branch, otherwise]): Node<'if'> => ({
        kind: 'if',
        condition,
        // biome-ignore lint/suspicious/noThenProperty: the tree calls the branch so; nothing awaits a tree
        then: branch,
        otherwise,
        span,
      }),
    ),
  block: (value) =>
    fc
      .record({ bindings: list(bindings(value), 0, 3), result: value })
      .map((block) => ({ kind: 'block', ...block, span })),
  loop: (value) =>
    fc
      .record({
        loop: fc.constantFrom('fold' as const, 'scan' as const),
        items: fc.oneof(
          fc.record({ kind: fc.constant('rows' as const), pattern: patterns, sequence: value }),
          fc.record({ kind: fc.constant('count' as const), index: plainIdentifiers, bound: sizes }),
        ),
        state: patterns,
        initial: value,
        body: value,
      })
      .map((node) => ({ kind: 'loop', ...node, span })),
  reshard: (value) =>
    fc.record({ value, dims: list(dims, 1, 3), pending }).map((node) => ({ kind: 'reshard', ...node, span })),
  perDevice: (value) =>
    fc
      .record({
        axes: list(plainIdentifiers, 1, 2),
        captures: list(identifiers, 0, 3),
        body: expressionKinds.block(value),
      })
      .map((node) => ({ kind: 'perDevice', ...node, span })),
  ring: (value) =>
    fc
      .record({
        axis: plainIdentifiers,
        travelling: list(identifiers, 0, 2),
        state: patterns,
        initial: value,
        source: fc.option(plainIdentifiers, { nil: undefined }),
        body: expressionKinds.block(value),
      })
      .map((node) => ({ kind: 'ring', ...node, span })),
};

function subscripts(value: Parts): fc.Arbitrary<Subscript> {
  return fc.oneof(
    fc.constant({ kind: 'whole', span } as const),
    value.map((value): Subscript => ({ kind: 'at', value, span })),
  );
}

function givenArguments(value: Parts): fc.Arbitrary<Argument> {
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .record({ name: fc.option(identifiers, { nil: undefined }), value })
        .map((argument): Argument => ({ kind: 'value', ...argument, span })),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ from: sizes, to: sizes })
        .map((move): Argument => ({ kind: 'move', ...move, span })),
    },
  );
}

function bindings(value: Parts): fc.Arbitrary<Binding> {
  return fc
    .record({ pattern: patterns, type: fc.option(types, { nil: undefined }), value })
    .map((binding) => ({ ...binding, span }));
}

/** `f`, `module.f`, and `grad(f)`, which is called as well. */
const names: fc.Arbitrary<Expression> = words.map((name) => ({ kind: 'name', name, span }));
const callees: fc.Arbitrary<Expression> = fc.oneof(
  { weight: 4, arbitrary: names },
  { weight: 2, arbitrary: fc.tuple(names, identifiers).map(([base, name]) => fieldOf(base, name)) },
  { weight: 1, arbitrary: names.map(gradientOf) },
);

function fieldOf(base: Expression, name: Identifier): Expression {
  return { kind: 'field', base, name, span };
}

function gradientOf(value: Expression): Expression {
  const callee: Expression = { kind: 'name', name: 'grad', span };
  return {
    kind: 'call',
    callee,
    sizes: [],
    arguments: [{ kind: 'value', name: undefined, value, span }],
    span,
  };
}

const leafKinds = ['number', 'boolean', 'name'] as const satisfies readonly Written[];
const innerKinds = (Object.keys(expressionKinds) as Written[]).filter(
  (kind) => !(leafKinds as readonly Written[]).includes(kind),
);

/** Every kind in equal measure, so that every pair of one within another comes up. */
const randomExpressions: fc.Arbitrary<Expression> = fc.letrec<{ expression: Expression }>((tie) => {
  const arbitrary = (kind: Written): fc.Arbitrary<Expression> => expressionKinds[kind](tie('expression'));
  return {
    expression: fc.oneof(
      { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
      ...leafKinds.map((kind) => ({ weight: 3, arbitrary: arbitrary(kind) })),
      ...innerKinds.map((kind) => ({ weight: 1, arbitrary: arbitrary(kind) })),
    ),
  };
}).expression;

// ── declarations
// ─────────────────────────────────────────────────────────────────────────────────────────────

const documentation = fc.option(fc.constantFrom('One row.', 'Two\nlines, `code`.'), { nil: undefined });

const facts: fc.Arbitrary<Fact> = fc
  .record({ relation: fc.constantFrom('<=', '<', '==', '|', '%'), left: sizes, right: sizes })
  .map((fact) => ({ ...fact, span }));

const ranges = fc.record({ from: leafSizes, to: sizes });
const signedNumbers = fc.constantFrom('0', '-1', '2.5', '-1e-3').map((text) => ({ text, span }));
const traits: fc.Arbitrary<TraitExpression> = fc.oneof(
  fc.constantFrom(...traitWords).map((word): TraitExpression => ({ kind: 'word', word, span })),
  fc
    .record({ from: signedNumbers, to: signedNumbers })
    .map((ends): TraitExpression => ({ kind: 'within', ...ends, span })),
);
const { data } = fc.letrec<{ data: DataExpression }>((tie) => ({
  data: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    {
      weight: 4,
      arbitrary: fc
        .constantFrom('0', '-0', '0.5', '-1e-30', '16777216', 'inf', '-inf', 'nan')
        .map((text): DataExpression => ({ kind: 'number', text, span })),
    },
    { weight: 1, arbitrary: fc.boolean().map((value): DataExpression => ({ kind: 'boolean', value, span })) },
    {
      weight: 3,
      arbitrary: list(tie('data'), 0, 3).map(
        (elements): DataExpression => ({ kind: 'list', elements, span }),
      ),
    },
    {
      weight: 1,
      arbitrary: list(tie('data'), 1, 3).map(
        (elements): DataExpression => ({ kind: 'tuple', elements, span }),
      ),
    },
    {
      weight: 1,
      arbitrary: list(
        fc.record({ name: identifiers, value: tie('data') }).map((field) => ({ ...field, span })),
        0,
        3,
      ).map((fields): DataExpression => ({ kind: 'record', fields, span })),
    },
  ),
}));
/** A row that does not fit on a line now and then. */
const givenData: fc.Arbitrary<DataExpression> = fc.oneof(
  { weight: 4, arbitrary: data },
  {
    weight: 1,
    arbitrary: list(fc.integer(), 0, 64).map((numbers): DataExpression => {
      const elements = numbers.map((number) => ({ kind: 'number', text: `${number}`, span }) as const);
      return { kind: 'list', elements, span };
    }),
  },
);

/** A range that begins with a name alone, or with `(`, is told from a type by what stands behind it. */
const quantifiers: fc.Arbitrary<Quantifier> = fc.oneof(
  fc
    .record({
      name: identifiers,
      type: types,
      traits: list(traits, 0, 2),
      given: fc.option(givenData, { nil: undefined }),
    })
    .map((value): Quantifier => ({ kind: 'value', ...value, span })),
  fc
    .record({ name: identifiers, range: ranges })
    .map(({ name, range }): Quantifier => ({ kind: 'size', name, ...range, span })),
  list(
    fc.record({ name: plainIdentifiers, range: ranges }).map(({ name, range }) => ({ name, ...range })),
    0,
    2,
  ).map((axes): Quantifier => ({ kind: 'mesh', axes, span })),
  fc.constant({ kind: 'target', span } as const),
);

const checks: fc.Arbitrary<Check> = fc
  .record({
    relation: fc.constantFrom('===', '==', '~=', 'holds'),
    left: randomExpressions,
    right: randomExpressions,
    label: fc.option(fc.constantFrom('routing', 'the same, twice'), { nil: undefined }),
  })
  .map(({ right, ...check }) => ({ ...check, right: check.relation === 'holds' ? undefined : right, span }));

const declarationKinds: {
  readonly [K in Declaration['kind']]: fc.Arbitrary<Extract<Declaration, { kind: K }>>;
} = {
  import: fc
    .record({
      from: fc.constantFrom(
        { kind: 'name', text: 'attention', span } as const,
        { kind: 'file', text: './block.ricci', span } as const,
      ),
      alias: fc.option(identifiers, { nil: undefined }),
      names: list(identifiers, 0, 3),
    })
    .map((node) => ({ kind: 'import', ...node, span })),
  mesh: list(identifiers, 0, 4).map((axes) => ({ kind: 'mesh', axes, span })),
  record: fc
    .record({
      name: identifiers,
      sizes: list(identifiers, 0, 3),
      fields: list(fc.record({ name: identifiers, type: types }), 0, 4),
      documentation,
      exported: fc.boolean(),
    })
    .map((node) => ({ kind: 'record', ...node, span })),
  function: fc
    .record({
      name: identifiers,
      exported: fc.boolean(),
      auto: fc.boolean(),
      sizes: list(identifiers, 0, 2),
      parameters: list(
        fc.record({ name: identifiers, type: types }).map((parameter) => ({ ...parameter, span })),
        0,
        4,
      ),
      result: types,
      facts: list(facts, 0, 3),
      body: fc.oneof(
        randomExpressions.map((body) => ({ body, braces: false })),
        expressionKinds.block(randomExpressions).map((body) => ({ body, braces: true })),
      ),
      documentation,
    })
    .map(({ body, ...node }) => ({ kind: 'function', ...node, ...body, span })),
  property: fc
    .record({
      name: identifiers,
      quantifiers: list(quantifiers, 0, 3),
      facts: list(facts, 0, 2),
      bindings: list(bindings(randomExpressions), 0, 2),
      conditions: list(
        randomExpressions.map((value) => ({ value, span })),
        0,
        2,
      ),
      checks: list(checks, 1, 2),
      documentation,
    })
    .map((node) => ({ kind: 'property', ...node, span })),
};

export const randomModules: fc.Arbitrary<Module> = fc
  .record({
    name: fc.option(identifiers, { nil: undefined }),
    declarations: list(fc.oneof(...Object.values<fc.Arbitrary<Declaration>>(declarationKinds)), 0, 3),
  })
  .map((module) => ({ path: span.file, ...module, comments: [], span }));
