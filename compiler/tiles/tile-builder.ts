/**
 * What schedules write tile programs with: statements as function calls, and the buffers of a program found
 * from them.
 */
import type { Arithmetic, Combiner, LoopId, Tensor, TensorId } from '../graph/graph.ts';
import type { Choice } from './choices/choice.ts';
import { type Interval, operandsOf, type TileExpression } from './tile-expression.ts';
import type {
  Spread,
  ThreadShape,
  Tile,
  TileAxis,
  TileBuffer,
  TileProgram,
  TileStatement,
} from './tile-program.ts';

export function spread(extent: number, over: Spread, block = 1): TileAxis {
  return { extent, over, block };
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

export function define(tile: Tile, value: TileExpression): TileStatement {
  return { kind: 'define', tile, value };
}

export function update(tile: string, value: TileExpression): TileStatement {
  return { kind: 'update', tile, value };
}

export function multiplyAccumulate(
  into: string,
  left: string,
  right: string,
  rightOrder: 'kn' | 'nk',
): TileStatement {
  return { kind: 'multiplyAccumulate', into, left, right, rightOrder };
}

export function reduceTiles(
  combiner: Combiner,
  from: readonly string[],
  into: readonly string[],
): TileStatement {
  return { kind: 'reduce', combiner, from, into };
}

export function when(condition: TileExpression, body: readonly TileStatement[]): TileStatement {
  return { kind: 'when', condition, body };
}

/**
 * A loop whose variable has the range `range` (for index arithmetic); it counts from a multiple of
 * `multipleOf`.
 */
export function loop(
  name: string,
  bounds: { from: TileExpression; to: TileExpression; step: number; range: Interval; multipleOf?: number },
  body: (variable: TileExpression) => readonly TileStatement[],
): TileStatement {
  const { from, to, step, range, multipleOf = 1 } = bounds;
  return {
    kind: 'loop',
    variable: name,
    from,
    to,
    step,
    body: body({ op: 'variable', name, range, multipleOf }),
  };
}

export function store(
  tensor: Tensor,
  axes: readonly TileAxis[],
  offset: TileExpression,
  value: TileExpression,
  mask?: TileExpression,
): TileStatement {
  return { kind: 'store', tensor: tensor.id, axes, offset, value, mask };
}

export interface ProgramParts {
  readonly name: string;
  readonly grid: readonly number[];
  readonly gridEnds?: TileProgram['gridEnds'];
  readonly threads: ThreadShape;
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
  const { name, grid, gridEnds = [], threads, body } = parts;
  return {
    name,
    buffers,
    ...(scratch.length === 0 ? {} : { scratch }),
    counters: parts.enclosing.filter((id) => uses.counters.has(id)),
    coordinates: [...uses.coordinates].sort(),
    grid,
    ...(gridEnds.every((end) => end === undefined) ? {} : { gridEnds }),
    threads,
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

/** A body's statements with those inside loops and conditions, in order. */
export function allStatements(body: readonly TileStatement[]): TileStatement[] {
  return body.flatMap((statement) =>
    statement.kind === 'loop' || statement.kind === 'when'
      ? [statement, ...allStatements(statement.body)]
      : [statement],
  );
}

/** The expressions that a statement itself holds. */
export function expressionsOf(statement: TileStatement): readonly TileExpression[] {
  switch (statement.kind) {
    case 'define':
    case 'update':
      return [statement.value];
    case 'loop':
      return [statement.from, statement.to];
    case 'when':
      return [statement.condition];
    case 'store':
      return [statement.offset, statement.value, ...(statement.mask === undefined ? [] : [statement.mask])];
    case 'multiplyAccumulate':
    case 'reduce':
      return [];
  }
}
