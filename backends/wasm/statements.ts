/** Writes the statements of a tile program: one rule for each kind. */

import { bumpVersions, updatedTiles } from '../../compiler/tiles/changes.ts';
import { createDomain, type Domain } from '../../compiler/tiles/lanes.ts';
import type { StatementOf, TileStatement, TileStatementKind } from '../../compiler/tiles/tile-program.ts';
import type { Point as PointOf } from '../writing/point.ts';
import { type Emission, refuse } from './emission.ts';
import { emit, emitFull, linear, placesOf } from './expressions.ts';
import { sumOf } from './linear.ts';
import { storeFour, storeOne } from './memory.ts';
import { emitMultiplyAccumulate } from './multiply-accumulate.ts';
import { emitReduce } from './reduce-tiles.ts';
import { declareTile, registerPoints, setTile, settled, tileState } from './tiles.ts';
import { knownInteger, literal } from './values.ts';
import type { Value } from './writer.ts';

type Rules = {
  readonly [K in TileStatementKind]: (emission: Emission, statement: StatementOf<K>) => void;
};

const rules: Rules = {
  define: (emission, { tile, value }) => {
    const points = registerPoints(emission, createDomain(tile.axes));
    declareTile(
      emission,
      tile,
      points.map((point) => emit(emission, value, point)),
    );
  },
  update: (emission, { tile, value }) => {
    const state = tileState(emission, tile);
    // All new values are computed from the old ones, so they have to be known before the first changes.
    const points = registerPoints(emission, createDomain(state.tile.axes));
    setTile(
      emission,
      state,
      points.map((point) => emitFull(emission, value, point)),
    );
  },
  multiplyAccumulate: emitMultiplyAccumulate,
  reduce: emitReduce,
  scan: (emission) => {
    throw refuse(emission, 'scans a tile');
  },
  loop: emitLoop,
  pipeline: (emission) => {
    throw refuse(emission, 'brings tiles ahead');
  },
  when: (emission, { condition, body }) => {
    emission.writer.if(emit(emission, condition, uniformPoint()), () => emitStatements(emission, body));
    bumpVersions(emission, body);
  },
  store: emitStore,
};

/** Of a whole program: what no later statement changes is then as constant as any value. */
export function emitProgram(emission: Emission): void {
  const { body } = emission.program;
  for (const [at, statement] of body.entries()) {
    emitStatement(emission, statement);
    const changing = updatedTiles(body.slice(at + 1));
    for (const [name, state] of emission.tiles)
      if (!changing.has(name)) emission.tiles.set(name, settled(emission, state));
  }
}

function emitStatements(emission: Emission, body: readonly TileStatement[]): void {
  for (const statement of body) emitStatement(emission, statement);
}

function emitStatement<K extends TileStatementKind>(emission: Emission, statement: StatementOf<K>): void {
  const rule: (emission: Emission, statement: StatementOf<K>) => void = rules[statement.kind];
  rule(emission, statement);
}

/** Bounds are the same for all, so they are computed at no point in particular. */
function uniformPoint(): PointOf<Value> {
  return { domain: createDomain([], 1), width: 1, coordinates: [], fragment: [] };
}

function emitLoop(emission: Emission, statement: StatementOf<'loop'>): void {
  const { variable, step, body } = statement;
  const from = emit(emission, statement.from, uniformPoint());
  const to = emit(emission, statement.to, uniformPoint());
  bumpVersions(emission, body);
  const { writer } = emission;
  const together = stepsTogether(statement);
  writer.loop(from, to, step * together, (value) => {
    const steps = (done: number): void => {
      const ahead = done * step;
      emission.variables.set(variable, { value: writer.held(value), ahead });
      emitStatements(emission, body);
      if (done + 1 === together) return;
      const next = writer.instruction('i32.add', 'i32', [value, literal(ahead + step, 'i32')]);
      writer.if(writer.instruction('i32.lt_s', 'bool', [next, to]), () => steps(done + 1));
    };
    steps(0);
  });
  bumpVersions(emission, body);
}

/**
 * How many steps of a loop are one turn of it, each but the first if there is one more. Sums of products take
 * so few instructions that counting, and what V8 looks at in every turn, is a good part of them. Without the
 * conditions, which end its basic blocks, V8 would do all loads of the turn first, and have registers for
 * neither them nor the sums.
 */
function stepsTogether({ step, body }: StatementOf<'loop'>): number {
  const isShort = step === 1 && body.every(({ kind }) => kind === 'define' || kind === 'multiplyAccumulate');
  return isShort && body.some(({ kind }) => kind === 'multiplyAccumulate') ? 4 : 1;
}

function emitStore(emission: Emission, statement: StatementOf<'store'>): void {
  const domain = createDomain(statement.axes);
  const body = () => {
    for (const point of registerPoints(emission, domain)) emitStoreAt(emission, statement, point);
  };
  const holder = oneHolder(emission, domain);
  if (holder === undefined) body();
  else emission.writer.if(holder, body);
}

function emitStoreAt(
  emission: Emission,
  { tensor, offset, value, mask }: StatementOf<'store'>,
  point: PointOf<Value>,
): void {
  const condition = mask === undefined ? undefined : emit(emission, mask, point);
  const known = condition && knownInteger(condition);
  if (known === 0) return;
  const guard = known === undefined ? condition : undefined;
  const stored = emitFull(emission, value, point);
  if (point.width === 1) storeOne(emission, tensor, linear(emission, offset, point), stored, guard);
  else storeFour(emission, tensor, placesOf(emission, offset, point), stored, guard);
}

/** A condition that picks one of the invocations that all have the same part of a domain. */
function oneHolder(emission: Emission, domain: Domain): Value | undefined {
  const { writer, program, places } = emission;
  const { rows, columns } = program.threads;
  const spreads = new Set(domain.axes.map((axis) => axis.over));
  const isFirst = (over: 'rows' | 'columns') =>
    writer.instruction('i32.eqz', 'bool', [sumOf(writer, places[over])]);
  const conditions = [
    ...(!spreads.has('threads') && !spreads.has('rows') && rows > 1 ? [isFirst('rows')] : []),
    ...(!spreads.has('threads') && !spreads.has('columns') && columns > 1 ? [isFirst('columns')] : []),
  ];
  if (conditions.length === 0) return undefined;
  return conditions.reduce(
    (left, right) => writer.instruction('i32.and', 'bool', [left, right]),
    literal(1, 'bool'),
  );
}
