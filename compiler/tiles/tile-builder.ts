/**
 * What schedules write tile programs with: statements as function calls, and the buffers of a program found
 * from them.
 */

import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Arithmetic, Combiner, LoopId, Tensor, TensorId } from '../graph/graph.ts';
import type { Choice } from './choices/choice.ts';
import type { Packed } from './packed.ts';
import {
  arithmeticOfDtype,
  type Interval,
  operandsOf,
  subexpressionsOf,
  type TileExpression,
} from './tile-expression.ts';
import type {
  Box,
  ScanCombiner,
  Spread,
  StatementOf,
  ThreadShape,
  Tile,
  TileAxis,
  TileBuffer,
  TileProgram,
  TileStatement,
  UnitSpread,
} from './tile-program.ts';

export function spread(extent: number, over: Spread, block = 1): TileAxis {
  return { extent, over, block };
}

export function isOverUnits(over: Spread): over is UnitSpread {
  return over === 'unitRows' || over === 'unitColumns';
}

/** Among how many invocations an axis is dealt out; `lanes` is how many a subgroup has. */
export function sharersOf(over: Spread, { rows, columns }: ThreadShape, lanes = 1): number {
  // Eight rows of four lanes are a warp.
  const [unitRows, unitColumns] = [8 * rows, columns / 8];
  return { whole: 1, rows, columns, threads: rows * columns, lanes, unitRows, unitColumns }[over];
}

/** An axis that every invocation has whole; `vector` of 4 neighbours where the extent allows it. */
export function whole(extent: number): TileAxis {
  return { extent, over: 'whole', block: extent % 4 === 0 ? 4 : 1 };
}

export function register(name: string, dtype: Arithmetic, axes: readonly TileAxis[]): Tile {
  return { name, dtype, space: 'register', axes };
}

export function shared(name: string, dtype: Arithmetic, axes: readonly TileAxis[]): Tile {
  return { name, dtype, space: 'shared', axes };
}

/** A shared tile that matrix units read. */
export function packed(name: string, stored: Packed, axes: readonly TileAxis[]): Tile {
  return { name, dtype: 'f32', space: 'shared', axes, packed: stored };
}

/** A shared tile of such elements that is filled along its last axis and read along the other. */
export function turned(name: string, stored: Dtype, axes: readonly TileAxis[]): Tile {
  return { name, dtype: arithmeticOfDtype(stored), space: 'shared', axes, turned: stored };
}

export function define(tile: Tile, value: TileExpression, box?: Box): TileStatement {
  return { kind: 'define', tile, value, ...(box && { box }) };
}

export function update(tile: string, value: TileExpression, isNeeded?: TileExpression): TileStatement {
  return { kind: 'update', tile, value, ...(isNeeded && { isNeeded }) };
}

export function multiplyAccumulate(
  into: string,
  left: string,
  right: string,
  rightOrder: 'kn' | 'nk',
  leftOrder: 'mk' | 'km' = 'mk',
): TileStatement {
  return { kind: 'multiplyAccumulate', into, left, right, leftOrder, rightOrder };
}

export function reduceTiles(
  combiner: Combiner,
  from: readonly string[],
  into: readonly string[],
): TileStatement {
  return { kind: 'reduce', combiner, from, into };
}

export function scan(combiner: ScanCombiner, from: string, into: string, total: string): TileStatement {
  return { kind: 'scan', combiner, from, into, total };
}

/** Of what each invocation has. */
export function reduceOwn(
  combiner: Combiner,
  from: readonly string[],
  into: readonly string[],
): TileStatement {
  return { kind: 'reduce', combiner, from, into, isOwn: true };
}

export function when(condition: TileExpression, body: readonly TileStatement[]): TileStatement {
  return { kind: 'when', condition, body };
}

interface Bounds {
  readonly from: TileExpression;
  readonly to: TileExpression;
  readonly step: number;
  readonly range: Interval;
  readonly multipleOf?: number;
}

/**
 * A loop whose variable has the range `range` (for index arithmetic); it counts from a multiple of
 * `multipleOf`.
 */
export function loop(
  name: string,
  { from, to, step, ...known }: Bounds,
  body: (variable: TileExpression) => readonly TileStatement[],
): TileStatement {
  return { kind: 'loop', variable: name, from, to, step, body: body(variable(name, known)) };
}

/** The same with tiles that are brought ahead. */
export function pipeline(
  name: string,
  { from, to, step, stages, ...known }: Bounds & { readonly stages: number },
  parts: (variable: TileExpression) => Pick<StatementOf<'pipeline'>, 'feeds' | 'body' | 'first' | 'last'>,
): TileStatement {
  return { kind: 'pipeline', variable: name, from, to, step, stages, ...parts(variable(name, known)) };
}

function variable(
  name: string,
  { range, multipleOf = 1 }: Pick<Bounds, 'range' | 'multipleOf'>,
): TileExpression {
  return { op: 'variable', name, range, multipleOf };
}

export function store(
  tensor: Tensor,
  axes: readonly TileAxis[],
  offset: TileExpression,
  value: TileExpression,
  mask?: TileExpression,
  box?: Box,
): TileStatement {
  return { kind: 'store', tensor: tensor.id, axes, offset, value, mask, ...(box && { box }) };
}

export interface ProgramParts {
  readonly name: string;
  readonly grid: readonly number[];
  readonly gridEnds?: TileProgram['gridEnds'];
  readonly threads: ThreadShape;
  readonly cluster?: number;
  readonly isAlone?: boolean;
  readonly body: readonly TileStatement[];
  /** Loops around the kernel, outermost first. */
  readonly enclosing: readonly LoopId[];
  /** Tensors that a workgroup has to itself. */
  readonly scratch?: readonly TensorId[];
  readonly choice?: Choice | undefined;
}

/** Reads come first, in the order in which the body meets them, then writes. */
export function program(parts: ProgramParts): TileProgram {
  const uses = usesOf(parts.body);
  const { scratch = [] } = parts;
  for (const tensor of scratch) for (const list of [uses.reads, uses.writes]) list.delete(tensor);
  const buffers: TileBuffer[] = [
    ...[...uses.reads]
      .filter((tensor) => !uses.writes.has(tensor))
      .map((tensor) => ({ tensor, access: 'read' }) as const),
    ...[...uses.writes].map(
      (tensor) => ({ tensor, access: uses.reads.has(tensor) ? 'readwrite' : 'write' }) as const,
    ),
  ];
  const { name, grid, gridEnds = [], threads, cluster, isAlone = false, body } = parts;
  return {
    name,
    buffers,
    ...(scratch.length === 0 ? {} : { scratch }),
    counters: parts.enclosing.filter((id) => uses.counters.has(id)),
    coordinates: [...uses.coordinates].sort(),
    grid,
    ...(gridEnds.every((end) => end === undefined) ? {} : { gridEnds }),
    threads,
    ...(cluster === undefined ? {} : { cluster }),
    ...(isAlone && { isAlone }),
    body,
    choice: parts.choice,
  };
}

interface Uses {
  readonly reads: Set<TensorId>;
  readonly writes: Set<TensorId>;
  readonly counters: Set<LoopId>;
  readonly coordinates: Set<string>;
}

function usesOf(body: readonly TileStatement[]): Uses {
  const uses: Uses = { reads: new Set(), writes: new Set(), counters: new Set(), coordinates: new Set() };
  const seen = new Set<TileExpression>();
  const visit = (expression: TileExpression): void => {
    if (seen.has(expression)) return;
    seen.add(expression);
    for (const operand of operandsOf(expression)) visit(operand);
    if (expression.op === 'load') uses.reads.add(expression.tensor);
    if (expression.op === 'counter') uses.counters.add(expression.loop);
    if (expression.op === 'device') uses.coordinates.add(expression.axis);
  };
  for (const statement of allStatements(body)) {
    for (const expression of expressionsOf(statement)) visit(expression);
    if (statement.kind === 'store') uses.writes.add(statement.tensor);
  }
  return uses;
}

/** The statements inside a loop or a condition, in the order in which they are done first. */
export function insideOf(statement: TileStatement): readonly TileStatement[] {
  if (statement.kind === 'pipeline')
    return [...(statement.first ?? []), ...statement.body, ...(statement.last ?? [])];
  return 'body' in statement ? statement.body : [];
}

/** A body's statements with those inside loops and conditions, in order. */
export function allStatements(body: readonly TileStatement[]): TileStatement[] {
  return body.flatMap((statement) => [statement, ...allStatements(insideOf(statement))]);
}

/** The tiles that a statement itself brings into being, but for those of reductions and scans. */
export function tilesOf(statement: TileStatement): readonly Tile[] {
  if (statement.kind === 'define') return [statement.tile];
  return statement.kind === 'pipeline' ? statement.feeds.map(({ tile }) => tile) : [];
}

/** A tile of a program that is no reduction's and no scan's. */
export function tileNamed({ body }: Pick<TileProgram, 'body'>, name: string): Tile | undefined {
  return allStatements(body)
    .flatMap(tilesOf)
    .find((tile) => tile.name === name);
}

/** Kernels are put together where expressions have no more parts then; the optimizer inlines fewer. */
const mostParts = 600;

/** Whether writers, who go down through all parts of its expressions, come back from there. */
export function isShort(statement: TileStatement): boolean {
  return expressionsOf(statement).every((expression) => subexpressionsOf(expression).size <= mostParts);
}

/** The tiles that a statement itself, but for those in it, uses by name. */
export function tilesUsedBy(statement: TileStatement): ReadonlySet<string> {
  const names = new Set<string>();
  for (const expression of expressionsOf(statement))
    for (const part of subexpressionsOf(expression)) if (part.op === 'element') names.add(part.tile);
  if (statement.kind === 'update') names.add(statement.tile);
  if (statement.kind === 'scan') names.add(statement.from);
  if (statement.kind === 'reduce') for (const name of statement.from) names.add(name);
  if (statement.kind === 'multiplyAccumulate')
    for (const name of [statement.into, statement.left, statement.right]) names.add(name);
  return names;
}

/** The expressions that a statement itself holds. */
export function expressionsOf(statement: TileStatement): readonly TileExpression[] {
  switch (statement.kind) {
    case 'define':
      return [statement.value];
    case 'update':
      return [statement.value, ...(statement.isNeeded === undefined ? [] : [statement.isNeeded])];
    case 'loop':
      return [statement.from, statement.to];
    case 'pipeline':
      return [statement.from, statement.to, ...statement.feeds.map(({ value }) => value)];
    case 'when':
      return [statement.condition];
    case 'store':
      return [statement.offset, statement.value, ...(statement.mask === undefined ? [] : [statement.mask])];
    case 'multiplyAccumulate':
    case 'reduce':
    case 'scan':
      return [];
  }
}
