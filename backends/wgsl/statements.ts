/** Writes the statements of a tile program: one rule for each kind. */

import { bumpVersions, updatedTiles } from '../../compiler/tiles/changes.ts';
import { createDomain, type Domain } from '../../compiler/tiles/lanes.ts';
import { subexpressionsOf, type TileExpression } from '../../compiler/tiles/tile-expression.ts';
import type {
  StatementOf,
  Tile,
  TileStatement,
  TileStatementKind,
} from '../../compiler/tiles/tile-program.ts';
import { barrier, enterLoop, leaveBranch, prepareShared, sharedReads } from '../writing/barriers.ts';
import { linearConstant, linearValue, plus, times } from '../writing/linear.ts';
import type { Point as PointOf } from '../writing/point.ts';
import { type Emission, invocationIndex, type TileState } from './emission.ts';
import { emit, emitFull, linear, placesOf } from './expressions.ts';
import { type Linear, sumOf } from './linear.ts';
import { storeFour, storeOne } from './memory.ts';
import { emitMultiplyAccumulate } from './multiply-accumulate.ts';
import { emitReduce } from './reduce-tiles.ts';
import { defineRegisters, registerPoints, settled, updateRegisters } from './register-tiles.ts';
import { emitScan } from './scan-tiles.ts';
import { sharedName, tileState } from './tile-elements.ts';
import type { Value } from './writer.ts';

type Rules = {
  readonly [K in TileStatementKind]: (emission: Emission, statement: StatementOf<K>) => void;
};

const rules: Rules = {
  define: (emission, { tile, value }) =>
    tile.space === 'shared' ? fillShared(emission, tile, value) : defineRegisters(emission, tile, value),
  update: (emission, { tile, value }) => {
    const state = tileState(emission, tile);
    if (state.tile.space === 'shared') fillShared(emission, state.tile, value);
    else updateRegisters(emission, state, value);
  },
  multiplyAccumulate: emitMultiplyAccumulate,
  reduce: emitReduce,
  scan: emitScan,
  loop: emitLoop,
  pipeline: ({ program }) => {
    throw new Error(`${program.name} brings tiles ahead, which kernels in WGSL are not scheduled with`);
  },
  when: emitWhen,
  store: emitStore,
};

/** Of a whole program: what no later statement changes is then as constant as any value. */
export function emitProgram(emission: Emission): void {
  const { body } = emission.program;
  for (const [at, statement] of body.entries()) {
    emitStatements(emission, [statement]);
    const changing = updatedTiles(body.slice(at + 1));
    for (const [name, state] of emission.tiles)
      if (!changing.has(name)) emission.tiles.set(name, settled(state));
  }
}

function emitStatements(emission: Emission, body: readonly TileStatement[]): void {
  for (const statement of body) {
    prepareShared(emission, statement);
    emitStatement(emission, statement);
  }
}

function emitStatement<K extends TileStatementKind>(emission: Emission, statement: StatementOf<K>): void {
  const rule: (emission: Emission, statement: StatementOf<K>) => void = rules[statement.kind];
  rule(emission, statement);
}

// ── shared tiles ───────────────────────────────────────────────────────────────────────────────────────────

/** More units than this an invocation are written as a loop. */
const unrolledUnits = 4;

/** All invocations together compute a shared tile, each every n-th vector of it. */
function fillShared(emission: Emission, tile: Tile, value: TileExpression): void {
  const domain = createDomain(tile.axes);
  const { writer, program } = emission;
  const extents = tile.axes.map((axis) => axis.extent);
  const units = extents.reduce((total, extent) => total * extent, 1) / domain.width;
  const invocations = program.threads.rows * program.threads.columns;
  const rounds = Math.ceil(units / invocations);
  const old = emission.tiles.get(tile.name);
  const state: TileState = old ?? {
    tile,
    fragment: extents,
    width: domain.width,
    registers: [],
    mutable: true,
    version: 0,
  };
  const readsItself = old !== undefined && sharedReads(emission, [value]).has(tile.name);
  emission.tiles.set(tile.name, state);
  if (readsRegisters(emission, value)) {
    for (const point of registerPoints(emission, domain)) {
      const place = point.coordinates.reduce(
        (total, part, axis) => plus(times(total, extents[axis]!), part),
        linearConstant(0),
      );
      writeShared(emission, state, place, emitFull(emission, value, point).text);
    }
    emission.barriers.written.add(tile.name);
    state.version++;
    return;
  }
  if (readsItself && rounds > unrolledUnits)
    throw new Error(
      `${program.name} updates the shared tile ${tile.name} from itself, with too few invocations`,
    );
  const thread = linearValue(invocationIndex(emission, 'threads'));
  if (rounds > unrolledUnits) {
    const name = `unit_${tile.name}`;
    writer.block(`for (var ${name} = thread; ${name} < ${units}; ${name} += ${invocations})`, () => {
      const unit: Value = { text: name, key: name, dtype: 'i32', width: 1, depth: writer.depth() };
      const point = unitPoint(emission, domain, linearValue(unit));
      writeShared(emission, state, linearValue(unit), emitFull(emission, value, point).text);
    });
    emission.barriers.written.add(tile.name);
    state.version++;
    return;
  }
  const list = Array.from({ length: rounds }, (_, round) =>
    plus(thread, linearConstant(round * invocations)),
  );
  const values = list.map((unit) => emitFull(emission, value, unitPoint(emission, domain, unit)));
  if (readsItself) barrier(emission);
  for (const [round, unit] of list.entries()) {
    const write = () => writeShared(emission, state, unit, values[round]!.text);
    if ((round + 1) * invocations <= units) write();
    else writer.block(`if (${sumOf(emission, unit).text} < ${units})`, write);
  }
  emission.barriers.written.add(tile.name);
  state.version++;
}

function readsRegisters({ tiles }: Emission, value: TileExpression): boolean {
  return [...subexpressionsOf(value)].some(
    (each) => each.op === 'element' && tiles.get(each.tile)?.tile.space === 'register',
  );
}

function writeShared(emission: Emission, state: TileState, unit: Linear, text: string): void {
  emission.writer.statement(`${sharedName(state.tile.name)}[${sumOf(emission, unit).text}] = ${text};`);
}

/** The place of the unit-th vector of a shared tile. */
function unitPoint(emission: Emission, domain: Domain, unit: Linear): PointOf<Value> {
  const { writer } = emission;
  const extents = domain.axes.map((axis) => axis.extent);
  const steps = extents.map((extent, axis) => (axis === extents.length - 1 ? extent / domain.width : extent));
  let rest = sumOf(emission, unit);
  const places: Linear[] = [];
  for (let axis = steps.length - 1; axis >= 0; axis--) {
    const extent = steps[axis]!;
    const place = axis === 0 ? rest : writer.compute('i32', 1, [rest], ([text]) => `${text} % ${extent}`);
    places.unshift(times(linearValue(place), axis === steps.length - 1 ? domain.width : 1));
    if (axis > 0) rest = writer.compute('i32', 1, [rest], ([text]) => `${text} / ${extent}`);
  }
  return { domain, width: domain.width, coordinates: places, fragment: undefined };
}

// ── control ────────────────────────────────────────────────────────────────────────────────────────────────

/** Bounds are the same for all, so they are computed at no point in particular. */
function uniformPoint(): PointOf<Value> {
  return { domain: createDomain([], 1), width: 1, coordinates: [], fragment: [] };
}

function emitLoop(emission: Emission, statement: StatementOf<'loop'>): void {
  const { writer } = emission;
  const point = uniformPoint();
  const from = emit(emission, statement.from, point).text;
  const to = emit(emission, statement.to, point).text;
  const name = `i_${statement.variable}`;
  enterLoop(emission, statement.body);
  // It may have no turns.
  const leave = leaveBranch(emission);
  bumpVersions(emission, statement.body);
  writer.block(`for (var ${name} = ${from}; ${name} < ${to}; ${name} += ${statement.step})`, () => {
    emission.loopDepths.set(statement.variable, writer.depth());
    emitStatements(emission, statement.body);
  });
  leave();
  bumpVersions(emission, statement.body);
}

function emitWhen(emission: Emission, statement: StatementOf<'when'>): void {
  const condition = emit(emission, statement.condition, uniformPoint()).text;
  const leave = leaveBranch(emission);
  emission.writer.block(`if (${condition})`, () => emitStatements(emission, statement.body));
  leave();
  bumpVersions(emission, statement.body);
}

function emitStore(emission: Emission, statement: StatementOf<'store'>): void {
  const domain = createDomain(statement.axes);
  const points = registerPoints(emission, domain);
  const body = () => {
    for (const point of points) {
      const mask = statement.mask === undefined ? undefined : emit(emission, statement.mask, point);
      if (mask?.text === 'false') continue;
      const value = emitFull(emission, statement.value, point);
      const condition = mask?.text === 'true' ? undefined : mask;
      if (point.width === 1)
        storeOne(emission, statement.tensor, linear(emission, statement.offset, point), value, condition);
      else
        storeFour(emission, statement.tensor, placesOf(emission, statement.offset, point), value, condition);
    }
  };
  const holder = oneHolder(emission, domain);
  if (holder === undefined) body();
  else emission.writer.block(`if (${holder})`, body);
}

/** A condition that picks one of the invocations that all have the same part of a domain. */
function oneHolder(emission: Emission, domain: Domain): string | undefined {
  const { rows, columns } = emission.program.threads;
  const spreads = new Set(domain.axes.map((axis) => axis.over));
  const conditions: string[] = [];
  if (!spreads.has('threads') && !spreads.has('rows') && rows > 1) conditions.push('row == 0');
  if (!spreads.has('threads') && !spreads.has('columns') && columns > 1) conditions.push('column == 0');
  return conditions.length === 0 ? undefined : conditions.join(' && ');
}
