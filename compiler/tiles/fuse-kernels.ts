/**
 * A kernel goes into the one that reads what it stores, where both do the same for each element: the products
 * with the gate's and the other weights of a gated network go over the same rows and columns, and the second
 * multiplies by the first. The statements of both are put side by side, those that are alike once, so that
 * what they share (the rows of the left factor, which expert they are of) is read once; and what the first
 * would store stays in registers.
 */
import type { LoopId, TensorId } from '../graph/graph.ts';
import type { DeviceProfile } from './device-profile.ts';
import { type ExpressionKey, expressionKeys } from './expression-keys.ts';
import { expressionMapper, mapStatement } from './map-expression.ts';
import { mostUniforms, uniformsOf } from './merge-kernels.ts';
import type { ScheduledStep } from './scheduled.ts';
import { allStatements, isShort, program } from './tile-builder.ts';
import type { TileExpression } from './tile-expression.ts';
import type { Feed, StatementOf, Tile, TileProgram, TileStatement } from './tile-program.ts';

type Store = StatementOf<'store'>;

/**
 * The steps of one list. `isRead` tells of a tensor that something other than the kernels of the list reads
 * it; `enclosing` are the loops around it.
 */
export function fuseKernels(
  steps: readonly ScheduledStep[],
  device: DeviceProfile,
  enclosing: readonly LoopId[],
  isRead: (tensor: TensorId) => boolean,
): readonly ScheduledStep[] {
  // Its registers hold the sums of one product.
  if (device.core !== undefined) return steps;
  const readers = new Map<TensorId, number>();
  for (const step of steps)
    for (const tensor of readsOf(step)) readers.set(tensor, (readers.get(tensor) ?? 0) + 1);
  const isOnlyRead = (tensor: TensorId) => readers.get(tensor) === 1 && !isRead(tensor);
  const fused: ScheduledStep[] = [];
  for (const step of steps) {
    if (step.kind !== 'kernel') {
      fused.push(step);
      continue;
    }
    const reads = readsOf(step);
    const place = fused.findLastIndex((before) => {
      const only = before.kind === 'kernel' ? storedBy(before.program) : undefined;
      return only !== undefined && reads.has(only) && isOnlyRead(only);
    });
    const before = fused[place];
    const [first, second] = [before && withRoom(before), withRoom(step)];
    const both = first && second && side(first, second, device, enclosing);
    if (both) fused.splice(place, 1);
    fused.push(both ? { kind: 'kernel', program: both } : step);
  }
  return fused;
}

/** As it may be put beside another one: a kernel whose tiles are brought ahead says how. */
function withRoom(step: ScheduledStep): TileProgram | undefined {
  if (step.kind !== 'kernel') return undefined;
  if (step.beside !== undefined) return step.beside();
  return allStatements(step.program.body).some(({ kind }) => kind === 'pipeline') ? undefined : step.program;
}

/** What a loop reads is among what others read. */
function readsOf(step: ScheduledStep): ReadonlySet<TensorId> {
  if (step.kind === 'loop') return new Set();
  if (step.kind === 'exchange') return new Set([step.node.source]);
  const read = step.program.buffers.filter(({ access }) => access !== 'write');
  return new Set(read.map(({ tensor }) => tensor));
}

/** The one tensor that a kernel stores, in its last statement, which may be that of a loop. */
function storedBy({ buffers, body }: TileProgram): TensorId | undefined {
  const written = buffers.filter(({ access }) => access !== 'read');
  return written.length === 1 ? lastStore(body)?.tensor : undefined;
}

function lastStore(body: readonly TileStatement[]): Store | undefined {
  const last = body.at(-1);
  if (last?.kind === 'loop') return lastStore(last.body);
  return last?.kind === 'store' ? last : undefined;
}

/** Both as one, or undefined where they are not alike. */
function side(
  first: TileProgram,
  second: TileProgram,
  device: DeviceProfile,
  enclosing: readonly LoopId[],
): TileProgram | undefined {
  const isAlike =
    `${first.grid}` === `${second.grid}` &&
    JSON.stringify(first.gridEnds) === JSON.stringify(second.gridEnds) &&
    first.threads.rows === second.threads.rows &&
    first.threads.columns === second.threads.columns &&
    first.cluster === second.cluster;
  if (!isAlike || storedBy(second) === undefined) return undefined;
  const body = sideBySide(first, second);
  if (body === undefined) return undefined;
  const { name, grid, gridEnds = [], threads, cluster, isAlone = false } = second;
  const fused = program({
    ...{ name, grid, gridEnds, threads, isAlone, body, enclosing },
    ...(cluster === undefined ? {} : { cluster }),
  });
  const between = storedBy(first);
  const fits =
    // Nothing but the last statement may read it.
    fused.buffers.every(({ tensor }) => tensor !== between) &&
    uniformsOf([first, second]) <= mostUniforms &&
    fused.buffers.length <= device.maxStorageBuffersPerStage &&
    sharedBytes(body) <= device.maxWorkgroupBytes &&
    allStatements(body).every(isShort);
  return fits ? fused : undefined;
}

/**
 * Tiles that begin alike are taken to be one until a statement does something else with each: then all is
 * done again with two of them.
 */
function sideBySide(first: TileProgram, second: TileProgram): readonly TileStatement[] | undefined {
  const prefix = freePrefix(second.body);
  const apart = new Set<string>();
  for (;;) {
    const paired = pairedBodies(first.body, second.body, createPairing(prefix, apart));
    if (paired === 'unlike') return undefined;
    if (paired !== 'again') return paired;
  }
}

// ── statements ─────────────────────────────────────────────────────────────────────────────────────────────

interface Pairing {
  /** What tiles and loops of the first kernel are called in both. */
  readonly names: Map<string, string>;
  /** Before the names of the first kernel's own. */
  readonly prefix: string;
  /** Tiles of the first kernel that are not the second's, though they begin alike. */
  readonly apart: Set<string>;
  readonly keyOf: ExpressionKey;
  /** To be asked only of what names tiles and loops that `names` has. */
  readonly inBoth: (expression: TileExpression) => TileExpression;
  readonly renamed: <S extends TileStatement>(statement: S) => S;
}

function createPairing(prefix: string, apart: Set<string>): Pairing {
  const names = new Map<string, string>();
  const rename = (name: string) => names.get(name) ?? name;
  const map = expressionMapper((expression) => {
    if (expression.op === 'element') return { ...expression, tile: rename(expression.tile) };
    return expression.op === 'variable' ? { ...expression, name: rename(expression.name) } : expression;
  });
  return {
    ...{ names, prefix, apart, keyOf: expressionKeys(), inBoth: map },
    renamed: (statement) => mapStatement(statement, map, rename) as typeof statement,
  };
}

/** A prefix that no name has, also where one of the two was fused before. */
function freePrefix(body: readonly TileStatement[]): string {
  const names = allStatements(body).flatMap((statement) => {
    if (statement.kind === 'define') return [statement.tile.name];
    if (statement.kind === 'reduce') return statement.into;
    if (statement.kind === 'scan') return [statement.into, statement.total];
    if (statement.kind === 'pipeline')
      return [statement.variable, ...statement.feeds.map(({ tile }) => tile.name)];
    return statement.kind === 'loop' ? [statement.variable] : [];
  });
  let prefix = 'with_';
  while (names.some((name) => name.startsWith(prefix))) prefix = `with_${prefix}`;
  return prefix;
}

/** `unlike`: the kernels are not alike; `again`: a tile was found to be two. */
type Paired = readonly TileStatement[] | 'unlike' | 'again';

function pairedBodies(
  first: readonly TileStatement[],
  second: readonly TileStatement[],
  pairing: Pairing,
): Paired {
  if (first.length !== second.length) return 'unlike';
  const statements: TileStatement[] = [];
  for (const [at, own] of first.entries()) {
    const pair = pairOf(own, second[at]!, pairing);
    if (typeof pair === 'string') return pair;
    statements.push(...pair);
  }
  return statements;
}

/** Two statements as one where they are alike, and one after the other where they do the same with others. */
function pairOf(first: TileStatement, second: TileStatement, pairing: Pairing): Paired {
  const { names, prefix, apart, keyOf, renamed } = pairing;
  if (first.kind === 'define' && second.kind === 'define') {
    const [{ name }, other] = [first.tile, second.tile];
    if (layoutOf(first.tile) !== layoutOf(other)) return 'unlike';
    const isOne = keyOf(renamed(first).value) === keyOf(second.value) && !apart.has(name);
    names.set(name, isOne ? other.name : `${prefix}${name}`);
    return isOne ? [second] : [renamed(first), second];
  }
  if (first.kind === 'loop' && second.kind === 'loop') {
    if (!areAlike(first, second, pairing)) return 'unlike';
    names.set(first.variable, second.variable);
    const body = pairedBodies(first.body, second.body, pairing);
    return typeof body === 'string' ? body : [{ ...second, body }];
  }
  if (first.kind === 'pipeline' && second.kind === 'pipeline') {
    if (!areAlike(first, second, pairing) || first.stages !== second.stages) return 'unlike';
    names.set(first.variable, second.variable);
    const feeds = pairedFeeds(first, second, pairing);
    if (feeds === undefined) return 'unlike';
    const body = pairedBodies(first.body, second.body, pairing);
    return typeof body === 'string' ? body : [{ ...second, feeds, body }];
  }
  if (first.kind === 'store' && second.kind === 'store') {
    const store = withValue(renamed(first), second, keyOf);
    return store === undefined ? 'unlike' : [store];
  }
  if (first.kind === 'reduce' && second.kind === 'reduce') {
    const [{ from, combiner, isOwn = false }, other] = [renamed(first), second];
    if (combiner !== other.combiner || isOwn !== (other.isOwn ?? false)) return 'unlike';
    const isOne = `${from}` === `${other.from}`;
    for (const [place, name] of first.into.entries())
      names.set(name, isOne ? other.into[place]! : `${prefix}${name}`);
    return isOne ? [second] : [renamed(first), second];
  }
  if (first.kind === 'update' && second.kind === 'update')
    return changes(first, second, first.tile, pairing, ({ tile, value }) => `${tile} ${keyOf(value)}`);
  if (first.kind === 'multiplyAccumulate' && second.kind === 'multiplyAccumulate')
    return changes(
      ...([first, second, first.into, pairing] as const),
      ({ into, left, right, rightOrder }) => `${into} ${left} ${right} ${rightOrder}`,
    );
  return 'unlike';
}

interface Bounds {
  readonly from: TileExpression;
  readonly to: TileExpression;
  readonly step: number;
}

function areAlike(first: Bounds, second: Bounds, { keyOf, inBoth }: Pairing): boolean {
  const isSame = (of: 'from' | 'to') => keyOf(inBoth(first[of])) === keyOf(second[of]);
  return isSame('from') && isSame('to') && first.step === second.step;
}

type Pipeline = StatementOf<'pipeline'>;

/** Those of both, what is alike in them once; undefined where they do not go together. */
function pairedFeeds(first: Pipeline, second: Pipeline, pairing: Pairing): readonly Feed[] | undefined {
  const { names, prefix, keyOf, inBoth } = pairing;
  if (first.feeds.length !== second.feeds.length) return undefined;
  const feeds: Feed[] = [];
  for (const [at, { tile, value, box }] of first.feeds.entries()) {
    const other = second.feeds[at]!;
    if (layoutOf(tile) !== layoutOf(other.tile)) return undefined;
    const own = inBoth(value);
    const isOne = keyOf(own) === keyOf(other.value);
    const name = isOne ? other.tile.name : `${prefix}${tile.name}`;
    names.set(tile.name, name);
    const moved = box && { ...box, starts: box.starts.map(inBoth) };
    if (!isOne) feeds.push({ tile: { ...tile, name }, value: own, ...(moved && { box: moved }) });
    feeds.push(other);
  }
  return feeds;
}

/** Both change a tile: the same one in the same way, or each its own. */
function changes<S extends TileStatement>(
  first: S,
  second: S,
  tile: string,
  { names, prefix, apart, renamed }: Pairing,
  textOf: (statement: S) => string,
): Paired {
  const own = renamed(first);
  if (textOf(own) === textOf(second)) return [second];
  if (names.get(tile) === `${prefix}${tile}`) return [own, second];
  apart.add(tile);
  return 'again';
}

function layoutOf({ dtype, space, axes, packed }: Tile): string {
  return JSON.stringify([dtype, space, axes, packed]);
}

/** The second store with the first one's value in place of what it reads of that; undefined: it cannot. */
function withValue(given: Store, taken: Store, keyOf: ExpressionKey): Store | undefined {
  const isAlike =
    layoutsOf(given) === layoutsOf(taken) &&
    (given.mask === undefined || (taken.mask !== undefined && keyOf(given.mask) === keyOf(taken.mask)));
  if (!isAlike) return undefined;
  let isOwn = true;
  const map = expressionMapper((expression) => {
    if (expression.op !== 'load' || expression.tensor !== given.tensor) return expression;
    isOwn &&= keyOf(expression.offset) === keyOf(given.offset) && expression.dtype === 'f32';
    return given.value;
  });
  const store = mapStatement(taken, map, (name) => name) as Store;
  return isOwn ? store : undefined;
}

function layoutsOf({ axes }: Store): string {
  return JSON.stringify(axes);
}

function sharedBytes(body: readonly TileStatement[]): number {
  const bytesOf = ({ axes }: Tile) => 4 * axes.reduce((total, { extent }) => total * extent, 1);
  return allStatements(body).reduce(
    (total, statement) =>
      statement.kind === 'define' && statement.tile.space === 'shared'
        ? total + bytesOf(statement.tile)
        : total,
    0,
  );
}
