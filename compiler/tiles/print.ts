/** Tile programs as text, for `--show tiles` and for reading a schedule's work. */
import { printChoice } from './choices/choice-text.ts';
import { operandsOf, subexpressionsOf, type TileExpression } from './tile-expression.ts';
import type {
  StatementOf,
  Tile,
  TileAxis,
  TileProgram,
  TileStatement,
  TileStatementKind,
} from './tile-program.ts';

export function printTileProgram(program: TileProgram): string {
  const { rows, columns } = program.threads;
  const grid = program.grid.length === 0 ? 'one workgroup' : `grid ${program.grid.join(' × ')}`;
  const buffers = program.buffers.map(({ tensor, access }) => `${access} %${tensor}`);
  return [
    `kernel ${program.name}: ${grid}, ${rows} × ${columns} invocations`,
    ...(program.cluster === undefined ? [] : [`  in clusters of ${program.cluster}`]),
    ...(program.choice === undefined ? [] : [`  chosen: ${printChoice(program.choice)}`]),
    `  ${[...buffers, ...(program.scratch ?? []).map((tensor) => `own %${tensor}`)].join(', ')}`,
    ...(program.counters.length > 0 ? [`  counters of loops ${program.counters.join(', ')}`] : []),
    ...(program.coordinates.length > 0 ? [`  coordinates along ${program.coordinates.join(', ')}`] : []),
    ...program.body.flatMap((statement) => printStatement(statement, '  ')),
    '',
  ].join('\n');
}

type Printers = {
  readonly [K in TileStatementKind]: (statement: StatementOf<K>, indent: string) => readonly string[];
};

const printers: Printers = {
  define: ({ tile, value }, indent) => [`${indent}${printTile(tile)} = ${printExpression(value)}`],
  update: ({ tile, value }, indent) => [`${indent}${tile} := ${printExpression(value)}`],
  multiplyAccumulate: ({ into, left, right, leftOrder, rightOrder }, indent) => {
    const [a, b] = [leftOrder === 'mk' ? 'm, k' : 'k, m', rightOrder === 'kn' ? 'k, n' : 'n, k'];
    return [`${indent}${into}[m, n] += ${left}[${a}] · ${right}[${b}]`];
  },
  reduce: ({ combiner, from, into, isOwn }, indent) => [
    `${indent}${into.join(', ')} = ${combiner} of ${isOwn ? 'own ' : ''}${from.join(', ')} along the last axis`,
  ],
  scan: ({ combiner, from, into, total }, indent) => [
    `${indent}${into}, ${total} = ${combiner} of ${from} so far, and of all of it`,
  ],
  loop: ({ variable, from, to, step, body }, indent) => {
    const bounds = `${printExpression(from)} … ${printExpression(to)} by ${step}`;
    return [`${indent}for ${variable} in ${bounds}`, ...printBody(body, indent)];
  },
  pipeline: ({ variable, from, to, step, stages, feeds, body, first, last }, indent) => {
    const bounds = `${printExpression(from)} … ${printExpression(to)} by ${step}`;
    return [
      `${indent}for ${variable} in ${bounds}, in ${stages} stages`,
      ...feeds.map(
        ({ tile, value, lags }) =>
          `${indent}  bring ${printTile(tile)} = ${printExpression(value)}${lags ? ', for the next step' : ''}`,
      ),
      ...(first === undefined ? [] : [`${indent}  at first`, ...printBody(first, `${indent}  `)]),
      ...printBody(body, indent),
      ...(last === undefined ? [] : [`${indent}  at last`, ...printBody(last, `${indent}  `)]),
    ];
  },
  when: ({ condition, body }, indent) => [
    `${indent}when ${printExpression(condition)}`,
    ...printBody(body, indent),
  ],
  store: ({ tensor, axes, offset, value, mask, box }, indent) => {
    const place = `%${tensor}[${printExpression(offset)}]`;
    const condition = mask === undefined ? '' : ` where ${printExpression(mask)}`;
    const what = box === undefined ? 'store' : 'store box';
    return [`${indent}${what} ${printAxes(axes)} ${place} = ${printExpression(value)}${condition}`];
  },
};

function printStatement<K extends TileStatementKind>(
  statement: StatementOf<K>,
  indent: string,
): readonly string[] {
  const printer: Printers[K] = printers[statement.kind];
  return printer(statement, indent);
}

function printBody(body: readonly TileStatement[], indent: string): readonly string[] {
  return body.flatMap((statement) => printStatement(statement, `${indent}  `));
}

function printTile({ name, dtype, space, axes, packed, parts = 1 }: Tile): string {
  return packed === undefined
    ? `${space} ${name}: ${dtype}${printAxes(axes)}`
    : `packed ${name}: ${packed}${parts === 1 ? '' : ` × ${parts}`}${printAxes(axes)}`;
}

/** `[64 rows×4, 16]`: 64 in blocks of 4 over thread rows, and 16 whole. */
function printAxes(axes: readonly TileAxis[]): string {
  const texts = axes.map(({ extent, over, block }) => {
    const blocks = block === 1 ? '' : `×${block}`;
    return over === 'whole' ? `${extent}${blocks}` : `${extent} ${over}${blocks}`;
  });
  return `[${texts.join(', ')}]`;
}

const infix: { readonly [name: string]: string } = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  floordiv: '//',
  mod: '%',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  and: 'and',
  or: 'or',
};

/** An expression of more parts than this, if it were written out, has names for those that it has twice. */
const mostWritten = 1000;

function printExpression(root: TileExpression): string {
  const parts = [...subexpressionsOf(root)];
  const named = writtenOut(parts) > mostWritten ? sharedAmong(parts) : [];
  const names = new Map<TileExpression, string>();
  const lets = named.map((part, place) => {
    const text = printParts(part, names);
    names.set(part, `s${place}`);
    return `s${place} = ${text}`;
  });
  const text = names.get(root) ?? printParts(root, names);
  return lets.length === 0 ? text : `${text} with ${lets.join(', ')}`;
}

/** How many parts the last one has, each as often as it is there. */
function writtenOut(parts: readonly TileExpression[]): number {
  const counts = new Map<TileExpression, number>();
  for (const part of parts)
    counts.set(
      part,
      operandsOf(part).reduce((total, operand) => total + counts.get(operand)!, 1),
    );
  return counts.get(parts.at(-1)!)!;
}

function sharedAmong(parts: readonly TileExpression[]): readonly TileExpression[] {
  const uses = new Map<TileExpression, number>();
  for (const part of parts)
    for (const operand of operandsOf(part)) uses.set(operand, (uses.get(operand) ?? 0) + 1);
  return parts.filter((part) => (uses.get(part) ?? 0) > 1 && operandsOf(part).length > 0);
}

function printParts(expression: TileExpression, names: ReadonlyMap<TileExpression, string>): string {
  const print = (part: TileExpression): string => names.get(part) ?? printParts(part, names);
  switch (expression.op) {
    case 'constant':
      return expression.dtype === 'bool' ? String(expression.value !== 0) : String(expression.value);
    case 'grid':
      return `g${expression.axis}`;
    case 'variable':
      return expression.name;
    case 'coordinate':
      return `i${expression.axis}`;
    case 'counter':
      return `step(${expression.loop})`;
    case 'device':
      return `coordinate(${expression.axis})`;
    case 'element':
      return `${expression.tile}[${expression.subscripts.map(print).join(', ')}]`;
    case 'load':
      return `%${expression.tensor}[${print(expression.offset)}]`;
    case 'convert':
    case 'round':
      return `${expression.dtype}(${print(expression.operand)})`;
    case 'apply': {
      const sign = infix[expression.function];
      const operands = expression.operands.map(print);
      if (sign !== undefined) return `(${operands.join(` ${sign} `)})`;
      return `${expression.function}(${operands.join(', ')})`;
    }
  }
}
