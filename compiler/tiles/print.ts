/** Tile programs as text, for `--show tiles` and for reading a schedule's work. */
import type { Tensor, TensorId } from '../graph/graph.ts';
import type { TileExpression } from './tile-expression.ts';
import type { Tile, TileAxis, TileProgram, TileStatement, TileStatementKind } from './tile-program.ts';

/** @param tensors names for tensors; without it they are shown by number */
export function printTileProgram(program: TileProgram, tensors?: (id: TensorId) => Tensor): string {
  const nameOf = (id: TensorId) => (tensors === undefined ? `%${id}` : `${tensors(id).name}%${id}`);
  const { rows, columns } = program.threads;
  const grid = program.grid.length === 0 ? 'one workgroup' : `grid ${program.grid.join(' × ')}`;
  const buffers = program.buffers.map(({ tensor, access }) => `${access} ${nameOf(tensor)}`);
  return [
    `kernel ${program.name}: ${grid}, ${rows} × ${columns} invocations`,
    `  ${buffers.join(', ')}`,
    ...(program.counters.length > 0 ? [`  counters of loops ${program.counters.join(', ')}`] : []),
    ...program.body.flatMap((statement) => printStatement(statement, nameOf, '  ')),
    '',
  ].join('\n');
}

type NameOf = (id: TensorId) => string;

type Printers = {
  readonly [K in TileStatementKind]: (
    statement: TileStatement & { readonly kind: K },
    nameOf: NameOf,
    indent: string,
  ) => readonly string[];
};

const printers: Printers = {
  define: ({ tile, value }, nameOf, indent) => [
    `${indent}${printTile(tile)} = ${printExpression(value, nameOf)}`,
  ],
  update: ({ tile, value }, nameOf, indent) => [`${indent}${tile} := ${printExpression(value, nameOf)}`],
  multiplyAccumulate: ({ into, left, right, rightOrder }, _, indent) => [
    `${indent}${into}[m, n] += ${left}[m, k] · ${right}[${rightOrder === 'kn' ? 'k, n' : 'n, k'}]`,
  ],
  reduce: ({ combiner, from, into }, _, indent) => [
    `${indent}${into.join(', ')} = ${combiner} of ${from.join(', ')} along the last axis`,
  ],
  loop: ({ variable, from, to, step, body }, nameOf, indent) => {
    const bounds = `${printExpression(from, nameOf)} … ${printExpression(to, nameOf)} by ${step}`;
    return [`${indent}for ${variable} in ${bounds}`, ...printBody(body, nameOf, indent)];
  },
  when: ({ condition, body }, nameOf, indent) => [
    `${indent}when ${printExpression(condition, nameOf)}`,
    ...printBody(body, nameOf, indent),
  ],
  store: ({ tensor, axes, offset, value, mask }, nameOf, indent) => {
    const place = `${nameOf(tensor)}[${printExpression(offset, nameOf)}]`;
    const condition = mask === undefined ? '' : ` where ${printExpression(mask, nameOf)}`;
    return [`${indent}store ${printAxes(axes)} ${place} = ${printExpression(value, nameOf)}${condition}`];
  },
};

function printStatement<K extends TileStatementKind>(
  statement: TileStatement & { readonly kind: K },
  nameOf: NameOf,
  indent: string,
): readonly string[] {
  const printer: Printers[K] = printers[statement.kind];
  return printer(statement, nameOf, indent);
}

function printBody(body: readonly TileStatement[], nameOf: NameOf, indent: string): readonly string[] {
  return body.flatMap((statement) => printStatement(statement, nameOf, `${indent}  `));
}

function printTile({ name, dtype, space, axes }: Tile): string {
  return `${space} ${name}: ${dtype}${printAxes(axes)}`;
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

function printExpression(expression: TileExpression, nameOf: NameOf): string {
  const print = (inner: TileExpression) => printExpression(inner, nameOf);
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
    case 'element':
      return `${expression.tile}[${expression.subscripts.map(print).join(', ')}]`;
    case 'load':
      return `${nameOf(expression.tensor)}[${print(expression.offset)}]`;
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
