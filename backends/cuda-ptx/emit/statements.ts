/** Writes the statements of a tile program: one rule for each kind. */
import { bumpVersions } from '../../../compiler/tiles/changes.ts';
import { createDomain, type Domain } from '../../../compiler/tiles/lanes.ts';
import { isOverUnits } from '../../../compiler/tiles/tile-builder.ts';
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { StatementOf, TileStatement, TileStatementKind } from '../../../compiler/tiles/tile-program.ts';
import { enterLoop, leaveBranch, prepareShared } from '../../writing/barriers.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import { emitBoxedStore } from './boxed-stores.ts';
import { emitConsumer, takeGiven } from './consumer.ts';
import { type Emission, tileState } from './emission.ts';
import { emit, linear, placesOf } from './expressions.ts';
import { applyFunction } from './functions.ts';
import { isSameForEight, mayStoreEight, storeEight, storeLanes, storeOne } from './memory.ts';
import { emitMultiplyAccumulate } from './multiply-accumulate.ts';
import { isOfPairs, storePairs } from './paired-stores.ts';
import { emitPipeline } from './pipeline.ts';
import { settle, waitForAll } from './products-in-flight.ts';
import { emitReduce } from './reduce-tiles.ts';
import { defineRegisters, registerPoints, updateRegisters } from './register-tiles.ts';
import { emitRowStore, rowStoreOf } from './row-stores.ts';
import { emitScan } from './scan-tiles.ts';
import { fillShared } from './shared-tiles.ts';
import { boxedStoreOf } from './specialisation.ts';
import { emitUnitProduct } from './unit-products.ts';
import { type Lanes, laneOf, lanesFrom, literal, type Value } from './values.ts';
import { emitWarpgroupProduct, isByWarpgroups } from './warpgroup-products.ts';

type Rules = {
  readonly [K in TileStatementKind]: (emission: Emission, statement: StatementOf<K>) => void;
};

const rules: Rules = {
  define: (emission, { tile, value }) => {
    if (takeGiven(emission, tile)) return;
    if (tile.space === 'shared') fillShared(emission, tile, value);
    else defineRegisters(emission, tile, value);
  },
  update: (emission, { tile, value, isNeeded }) => {
    const state = tileState(emission, tile);
    if (state.tile.space === 'shared') fillShared(emission, state.tile, value);
    else updateRegisters(emission, state, value, isNeeded);
  },
  multiplyAccumulate: (emission, statement) => {
    const isByUnits = tileState(emission, statement.into).tile.axes.some(({ over }) => isOverUnits(over));
    if (!isByUnits) emitMultiplyAccumulate(emission, statement);
    else if (!isByWarpgroups(emission, statement)) emitUnitProduct(emission, statement);
    else emitWarpgroupProduct(emission, statement);
  },
  reduce: emitReduce,
  scan: emitScan,
  loop: emitLoop,
  pipeline: (emission, statement) => {
    const write = (body: readonly TileStatement[]) => emitStatements(emission, body);
    if (emission.specialised?.pipeline === statement) emitConsumer(emission, emission.specialised, write);
    else emitPipeline(emission, statement, () => write(statement.body));
  },
  when: emitWhen,
  store: (emission, statement) => {
    const boxed = boxedStoreOf(emission, statement);
    const rows = boxed === undefined ? rowStoreOf(emission, statement) : undefined;
    if (boxed !== undefined) emitBoxedStore(emission, boxed.store, boxed.map);
    else if (rows !== undefined) emitRowStore(emission, rows);
    else emitStore(emission, statement);
  },
};

/** What a statement is about, for whoever reads the kernel. */
const titles: {
  readonly [K in TileStatementKind]: (statement: StatementOf<K>) => string;
} = {
  define: ({ tile }) => `${tile.space} tile ${tile.name}`,
  update: ({ tile }) => `update ${tile}`,
  multiplyAccumulate: ({ into, left, right }) => `${into} += ${left} * ${right}`,
  reduce: ({ into, combiner, from }) => `${into.join(', ')} = ${combiner} of ${from.join(', ')}`,
  scan: ({ into, combiner, from }) => `${into} = ${combiner} of ${from} so far`,
  loop: ({ variable }) => `for ${variable}`,
  pipeline: ({ variable, stages }) => `for ${variable}, in ${stages} stages`,
  when: () => 'if',
  store: () => 'store',
};

export function emitStatements(emission: Emission, body: readonly TileStatement[]): void {
  for (const statement of body) {
    settle(emission, statement);
    // What is brought by others is waited for stage by stage.
    if (statement !== emission.specialised?.pipeline) prepareShared(emission, statement);
    emitStatement(emission, statement);
  }
}

function emitStatement<K extends TileStatementKind>(emission: Emission, statement: StatementOf<K>): void {
  const title: (statement: StatementOf<K>) => string = titles[statement.kind];
  emission.locate([statement]);
  emission.writer.comment(title(statement));
  const rule: (emission: Emission, statement: StatementOf<K>) => void = rules[statement.kind];
  rule(emission, statement);
}

/** Bounds are the same for all, so they are computed at no point in particular. */
export function uniform(emission: Emission, expression: TileExpression): Value {
  const nowhere: PointOf<Value> = { domain: createDomain([], 1), width: 1, coordinates: [], fragment: [] };
  return emit(emission, expression, nowhere)[0];
}

function emitLoop(emission: Emission, statement: StatementOf<'loop'>): void {
  const [from, to] = [uniform(emission, statement.from), uniform(emission, statement.to)];
  enterLoop(emission, statement.body);
  // It may have no turns.
  const leave = leaveBranch(emission);
  bumpVersions(emission, statement.body);
  emission.scratchVersion++;
  emission.writer.loop(from, to, statement.step, (counter) => {
    emission.variables.set(statement.variable, counter);
    emitStatements(emission, statement.body);
    waitForAll(emission);
  });
  leave();
  bumpVersions(emission, statement.body);
  emission.scratchVersion++;
}

function emitWhen(emission: Emission, statement: StatementOf<'when'>): void {
  const condition = uniform(emission, statement.condition);
  const leave = leaveBranch(emission);
  emission.writer.whenApart(condition, () => {
    const before = emission.flights.length;
    emitStatements(emission, statement.body);
    // Whoever comes from elsewhere has not begun any.
    if (emission.flights.length > before) waitForAll(emission);
  });
  leave();
  bumpVersions(emission, statement.body);
  emission.scratchVersion++;
}

function emitStore(emission: Emission, statement: StatementOf<'store'>): void {
  const { tensor, offset, value, mask } = statement;
  const domain = createDomain(statement.axes);
  if (isOfPairs(emission, statement)) {
    storePairs(emission, statement);
    return;
  }
  const holder = oneHolder(emission, domain);
  const guarded = (masks: Lanes | undefined, lane: number) => {
    const own = masks && laneOf(masks, lane);
    if (holder === undefined || own === undefined) return holder ?? own;
    return applyFunction(emission.writer, 'and', 'bool', [holder, own]);
  };
  const arePaired = mayStoreEight(emission, tensor) && isSameForEight(mask, domain);
  let lower: Lanes | undefined;
  for (const point of registerPoints(emission, domain)) {
    const masks = mask && emit(emission, mask, point);
    const values = emit(emission, value, point);
    if (point.width === 1) {
      storeOne(emission, tensor, linear(emission, offset, point), values[0], guarded(masks, 0));
      continue;
    }
    const places = placesOf(emission, offset, point);
    const half = arePaired && places.kind === 'strided' ? places.half : undefined;
    if (half === 0) lower = values;
    else if (half === 1 && places.kind === 'strided' && lower !== undefined)
      storeEight(emission, tensor, places, [lower, values], guarded(masks, 0));
    else {
      const all = lanesFrom(masks?.length ?? 1, (lane) => guarded(masks, lane) ?? literal(1, 'bool'));
      storeLanes(emission, tensor, places, values, all);
    }
  }
}

/** Of the lanes, and the warps, that have the same rows: the first. */
function firstOfUnitRow({ writer, places }: Emission): Value {
  const others = writer.operation('and.b32', 'u32', [places.columns, literal(~28, 'u32')]);
  return writer.operation('setp.eq.u32', 'bool', [others, literal(0, 'u32')]);
}

/** What picks one of the invocations that all have the same part of a domain. */
function oneHolder(emission: Emission, domain: Domain): Value | undefined {
  const { writer, program, places } = emission;
  const { rows, columns } = program.threads;
  const spreads = new Set(domain.axes.map((axis) => axis.over));
  const isFirst = (place: Value) => writer.operation('setp.eq.s32', 'bool', [place, literal(0, 'i32')]);
  const conditions: Value[] = [];
  if (spreads.has('unitRows')) return spreads.has('unitColumns') ? undefined : firstOfUnitRow(emission);
  if (!spreads.has('threads') && !spreads.has('rows') && rows > 1) conditions.push(isFirst(places.rows));
  if (!spreads.has('threads') && !spreads.has('columns') && columns > 1)
    conditions.push(isFirst(places.columns));
  const [only, other] = conditions;
  return other === undefined ? only : applyFunction(writer, 'and', 'bool', [only!, other]);
}
