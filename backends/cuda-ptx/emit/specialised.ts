/**
 * Kernels whose warps have different work, on Hopper: a warpgroup of its own brings the tiles of a pipeline,
 * and the others only compute. Boxes of tensors one of its threads has the tensor memory accelerator (TMA)
 * copy; what is gathered all of them copy (`cp.async`). They meet at barriers in shared memory (`mbarrier`),
 * two for each stage: that a stage is full, which the engine says by the bytes that it has written and each
 * thread's copies when they are done, and that it is empty, which each computing warp says (the producer and
 * the consumers of CUTLASS's kernels for sm_90; PTX ISA, "mbarrier").
 */

import type { Tensor, TensorId } from '../../../compiler/graph/graph.ts';
import type { PtxMap } from '../../../compiler/plan/plan-ptx-package.ts';
import { bumpVersions } from '../../../compiler/tiles/changes.ts';
import type { PtxTarget } from '../../../compiler/tiles/ptx-target.ts';
import { allStatements, insideOf, tileNamed } from '../../../compiler/tiles/tile-builder.ts';
import type { Box, Feed, Tile, TileProgram, TileStatement } from '../../../compiler/tiles/tile-program.ts';
import { type BoxedStore, boxedStores, reserveLeaving, waitUntilLeft } from './boxed-stores.ts';
import { type Emission, type TileState, tileState } from './emission.ts';
import { applyFunction } from './functions.ts';
import { awaitOrder, beginInOrder, endInOrder, letNext } from './group-order.ts';
import { packedLayout } from './packed-layout.ts';
import { beginCopy, type Copy, copyOf } from './packed-tiles.ts';
import { isKnownToAll, preparationOf } from './preparation.ts';
import { waitForAll, waitForProducts } from './products-in-flight.ts';
import { sharedStart } from './shared-memory.ts';
import { bytesOfTile } from './shared-places.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';
import { isByWarpgroups, showToProducts } from './warpgroup-products.ts';
import type { Writer } from './writer.ts';

type Pipeline = TileStatement & { readonly kind: 'pipeline' };
type Loop = TileStatement & { readonly kind: 'loop' };
type Product = TileStatement & { readonly kind: 'multiplyAccumulate' };
type Boxed = Feed & { readonly box: Box };

/** Writes statements. */
type Write = (statements: readonly TileStatement[]) => void;

/** What all threads that bring copy. */
interface Gathered {
  readonly feed: Feed;
  readonly copy: Copy;
}

/** Feeds that are first read by one product: they arrive together, and have two barriers for each stage. */
interface Arrival {
  readonly name: string;
  readonly boxed: readonly Boxed[];
  readonly gathered: readonly Gathered[];
  readonly tiles: readonly Tile[];
  readonly lags: boolean;
}

export interface Specialised {
  readonly pipeline: Pipeline;
  /** Those around it, outermost first. */
  readonly loops: readonly Loop[];
  /** What stands before it that says what is to be brought: both sides do it. */
  readonly preparation: readonly TileStatement[];
  readonly arrivals: readonly Arrival[];
  /** What is brought once, before all steps. */
  readonly given: readonly Arrival[];
  readonly gathers: boolean;
  /** What leaves through shared memory. */
  readonly stores: readonly BoxedStore[];
  /** Blocks that bring what is common for each other. */
  readonly cluster: number;
  /** Threads that compute; those behind them bring. */
  readonly consumers: number;
  /** Registers of a thread that brings and of one that computes, where they do not share alike. */
  readonly registers: readonly [number, number] | undefined;
}

/** Threads of the warpgroup that brings, one of which does where nothing is gathered. */
export const producers = 128;
/** Registers of a thread that brings and of one that computes, by how many warpgroups compute. */
const registers: { readonly [groups: number]: readonly [number, number] } = { 2: [24, 240], 3: [24, 160] };
/** The same where threads that bring have addresses of their own. */
const registersOfGathering: typeof registers = { 2: [56, 224], 3: [56, 152] };
/** Results that a thread has at least where its share of the registers is not enough. */
const manyResults = 64;

/**
 * The only pipeline of a program, in loops or in none, if what it brings is boxes, and copies, for products
 * of warpgroups.
 */
export function specialisedAs(
  program: TileProgram,
  target: PtxTarget,
  tensors: (id: TensorId) => Tensor,
): Specialised | undefined {
  const { body, threads } = program;
  const groups = threads.rows / 4;
  const pipelines = allStatements(body).filter((statement) => statement.kind === 'pipeline');
  const [pipeline] = pipelines;
  const loops = pipeline && loopsAround(body, pipeline);
  if (pipeline === undefined || loops === undefined || pipelines.length > 1) return undefined;
  if (target !== 'sm_90a' || (groups !== 1 && registers[groups] === undefined)) return undefined;
  const boxed = pipeline.feeds.filter((feed): feed is Boxed => feed.box !== undefined);
  const gathered = pipeline.feeds.flatMap((feed): readonly Gathered[] => {
    const copy = feed.box === undefined ? copyOf(tensors, feed) : undefined;
    return copy === undefined ? [] : [{ feed, copy }];
  });
  if (boxed.length === 0 || boxed.length + gathered.length < pipeline.feeds.length) return undefined;
  const bounds = loops.flatMap(({ from, to }) => [from, to]);
  const told = [...bounds, pipeline.from, pipeline.to, ...boxed.flatMap(({ box }) => box.starts)];
  const beside = loops.at(-1)?.body ?? body;
  const preparation = preparationOf(beside.slice(0, beside.indexOf(pipeline)), [
    ...told,
    ...gathered.map(({ feed }) => feed.value),
  ]);
  if (preparation === undefined || !told.every((each) => isKnownToAll(program, each))) return undefined;
  const products = productsAmong(pipeline.body);
  const isOfProducts =
    products.length === productsAmong(allStatements(pipeline.body)).length &&
    products.every((product) => isByWarpgroups({ program, target }, product));
  const arrivals = isCarried(pipeline) ? [arrivalOf(boxed, gathered)] : arrivalsOf(products, boxed, gathered);
  const isRead = arrivals.flatMap(({ tiles }) => tiles).length === pipeline.feeds.length;
  if (!isOfProducts || arrivals.length === 0 || !isRead) return undefined;
  const consumers = threads.rows * threads.columns;
  const results = [...new Set(products.map(({ into }) => into))]
    .map((name) => tileNamed(program, name)!.axes.reduce((total, { extent }) => total * extent, 1))
    .reduce((total, each) => total + each, 0);
  const isLarge = results / consumers >= manyResults;
  const gathers = gathered.length > 0;
  const shares = (gathers ? registersOfGathering : registers)[groups];
  const own = isLarge ? shares : undefined;
  const [stores, cluster] = [boxedStores(program, tensors), program.cluster ?? 1];
  const given = loops.length === 0 ? body.slice(0, body.indexOf(pipeline)).flatMap(givenBy) : [];
  return {
    ...{ pipeline, loops, preparation, arrivals, given, gathers, stores, cluster, consumers },
    registers: own,
  };
}

function givenBy(statement: TileStatement): readonly Arrival[] {
  if (statement.kind !== 'define' || statement.box === undefined) return [];
  const { tile, value, box } = statement;
  return [arrivalOf([{ tile, value, box }], [])];
}

/** Undefined where a statement is in something else than loops. */
function loopsAround(body: readonly TileStatement[], wanted: TileStatement): readonly Loop[] | undefined {
  if (body.includes(wanted)) return [];
  for (const statement of body) {
    if (statement.kind !== 'loop') continue;
    const inner = loopsAround(statement.body, wanted);
    if (inner !== undefined) return [statement, ...inner];
  }
  return undefined;
}

/** Whether steps are nothing but products, which are then still under way when the next step begins. */
function isCarried({ first, body }: Pipeline): boolean {
  return first === undefined && productsAmong(body).length === body.length;
}

function productsAmong(statements: readonly TileStatement[]): readonly Product[] {
  return statements.filter((statement) => statement.kind === 'multiplyAccumulate');
}

function reads({ left, right }: Product, { name }: Tile): boolean {
  return name === left || name === right;
}

function arrivalsOf(
  products: readonly Product[],
  boxed: readonly Boxed[],
  gathered: readonly Gathered[],
): readonly Arrival[] {
  const first = ({ tile }: Feed) => products.findIndex((product) => reads(product, tile));
  return products
    .map((_, at) =>
      arrivalOf(
        boxed.filter((feed) => first(feed) === at),
        gathered.filter(({ feed }) => first(feed) === at),
      ),
    )
    .filter(({ tiles }) => tiles.length > 0);
}

function arrivalOf(boxed: readonly Boxed[], gathered: readonly Gathered[]): Arrival {
  const feeds = [...boxed, ...gathered.map(({ feed }) => feed)];
  const tiles = feeds.map(({ tile }) => tile);
  const lags = feeds.some((feed) => feed.lags === true);
  return { boxed, gathered, tiles, name: tiles[0]?.name ?? '', lags };
}

/** A map for each box that is brought, once or in steps, in the order of arrivals, then for each stored. */
export function mapsOf(
  { given, arrivals, stores, cluster }: Specialised,
  { buffers }: TileProgram,
): readonly PtxMap[] {
  const boxed = [...given, ...arrivals].flatMap((arrival) => arrival.boxed);
  return [...boxed, ...stores].map(({ tile, box: { tensor, dims, isCommon = false } }) => {
    const { rowBytes } = packedLayout(tile);
    const rows = tile.axes[0]!.extent / (isCommon ? cluster : 1);
    return {
      buffer: buffers.findIndex((buffer) => buffer.tensor === tensor),
      dtype: tile.packed!,
      shape: dims.map(({ extent }) => extent),
      strides: dims.slice(1).map(({ stride }) => stride * elementBytes),
      box: [rowBytes / elementBytes, rows, ...dims.slice(2).map(() => 1)],
      swizzle: rowBytes as PtxMap['swizzle'],
    };
  });
}

const elementBytes = 2;
const barrierBytes = 8;

/** Reserves and prepares the barriers of all stages, and parts those who bring from those who compute. */
export function emitSpecialised(emission: Emission, specialised: Specialised, write: Write): void {
  const { writer, places, program } = emission;
  const { consumers, pipeline, arrivals, given, gathers, stores, cluster } = specialised;
  const kinds = arrivals.flatMap(
    (arrival) =>
      [
        [arrival, 'full', fills(arrival)],
        [arrival, 'empty', (cluster * consumers) / warpSize],
      ] as const,
  );
  for (const [arrival, kind] of kinds)
    emission.shared.reserve(barrierName(arrival, kind), pipeline.stages * barrierBytes);
  for (const arrival of given) emission.shared.reserve(barrierName(arrival, 'full'), barrierBytes);
  for (const store of stores) reserveLeaving(emission, store);
  const isFirst = writer.operation('setp.eq.u32', 'bool', [places.threads, literal(0, 'u32')]);
  writer.when(isFirst, false, () => {
    for (const arrival of given) {
      const at = barrierAt(emission, arrival, 'full', once.stage);
      writer.effect(`mbarrier.init.shared::cta.b64 ${at}, ${fills(arrival)};`);
    }
    for (let stage = 0; stage < pipeline.stages; stage++)
      for (const [arrival, kind, arrivals] of kinds) {
        const at = barrierAt(emission, arrival, kind, literal(stage, 'u32'));
        writer.effect(`mbarrier.init.shared::cta.b64 ${at}, ${arrivals};`);
      }
    writer.effect('fence.mbarrier_init.release.cluster;');
  });
  if (cluster === 1) writer.effect('bar.sync 0;');
  else meetInCluster(writer);
  const brings = writer.operation('setp.ge.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
  const computes = writer.operation('setp.lt.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
  const [few, many] = specialised.registers ?? [];
  writer.whenApart(brings, () => {
    if (few !== undefined) writer.effect(`setmaxnreg.dec.sync.aligned.u32 ${few};`);
    const isOne = writer.operation('setp.eq.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
    if (gathers) emitProducer(emission, specialised, isOne, write);
    else writer.when(isOne, false, () => emitProducer(emission, specialised, undefined, write));
  });
  writer.whenApart(computes, () => {
    if (many !== undefined) writer.effect(`setmaxnreg.inc.sync.aligned.u32 ${many};`);
    emission.taken = arrivals.map((arrival) => ({ arrival, turn: firstTurn(writer) }));
    write(program.body);
    if (stores.length > 0) waitUntilLeft(emission);
  });
  // Nobody leaves while another one may write to its shared memory or arrive at its barriers.
  if (cluster > 1) meetInCluster(writer);
}

/** All threads of all its blocks. */
function meetInCluster(writer: Writer): void {
  writer.effect('barrier.cluster.arrive.release;');
  writer.effect('barrier.cluster.wait.acquire;');
}

/** How many arrivals make a stage full: of who has boxes copied, and of all who gather. */
function fills({ boxed, gathered }: Arrival): number {
  return (boxed.length > 0 ? 1 : 0) + (gathered.length > 0 ? producers : 0);
}

/** Which stage a step uses, and whether it is for the second, fourth … time. */
interface Turn {
  stage: Value;
  parity: Value;
}

/** Of what is brought once. */
const once: Turn = { stage: literal(0, 'u32'), parity: literal(0, 'u32') };

function firstTurn(writer: Writer): Turn {
  return { stage: writer.variable(literal(0, 'u32')), parity: writer.variable(literal(0, 'u32')) };
}

function nextTurn({ writer }: Emission, turn: Turn, stages: number): void {
  const { stage, parity } = turn;
  const isLast = writer.operation('setp.eq.u32', 'bool', [stage, literal(stages - 1, 'u32')]);
  writer.effect(`add.u32 ${stage.text}, ${stage.text}, 1;`);
  writer.effect(`mov.b32 ${stage.text}, 0;`, isLast);
  writer.effect(`xor.b32 ${parity.text}, ${parity.text}, 1;`, isLast);
  // What was computed of them is not so of the next ones.
  const next = (value: Value): Value => ({ ...value, key: `${value.key}'` });
  turn.stage = next(stage);
  turn.parity = next(parity);
}

type BarrierKind = 'full' | 'empty';

function barrierName({ name }: Arrival, kind: BarrierKind): string {
  return `${kind}_${name}`;
}

/** `[address]` of a stage's barrier. */
function barrierAt(emission: Emission, arrival: Arrival, kind: BarrierKind, stage: Value): string {
  const { writer, shared } = emission;
  const start = sharedStart(emission);
  const at = writer.operation('mad.lo.u32', 'u32', [stage, literal(barrierBytes, 'u32'), start]);
  return `[${at.text}+${shared.start(barrierName(arrival, kind))}]`;
}

function waitFor(
  emission: Emission,
  arrival: Arrival,
  kind: BarrierKind,
  { stage }: Turn,
  parity: Value,
): void {
  const at = barrierAt(emission, arrival, kind, stage);
  emission.writer.until((done) => `mbarrier.try_wait.parity.shared::cta.b64 ${done}, ${at}, ${parity.text};`);
  if (kind === 'full' && arrival.gathered.length > 0) showToProducts(emission);
}

// ── who brings ─────────────────────────────────────────────────────────────────────────────────────────────

/**
 * @param one who of all that bring has boxes copied; undefined where there is no other
 * @param write statements that say what is to be brought
 */
function emitProducer(
  emission: Emission,
  specialised: Specialised,
  one: Value | undefined,
  write: Write,
): void {
  const { writer, places, maps } = emission;
  const { pipeline, loops, preparation, arrivals, given, gathers, cluster, consumers } = specialised;
  const turn = firstTurn(writer);
  const own = writer.operation('sub.u32', 'i32', [places.threads, literal(consumers, 'u32')]);
  const boxed = [...given, ...arrivals].flatMap((arrival) => arrival.boxed);
  const bringBoxes = (arrival: Arrival, at: Turn) => {
    if (arrival.boxed.length === 0) return;
    const full = barrierAt(emission, arrival, 'full', at.stage);
    // With those that other blocks of a cluster bring.
    const bytes = arrival.boxed.reduce((total, { tile }) => total + bytesOfTile(tile), 0);
    const begin = () => {
      writer.effect(`mbarrier.arrive.expect_tx.shared::cta.b64 _, ${full}, ${bytes};`);
      for (const feed of arrival.boxed)
        bringBox(emission, feed, at, maps[boxed.indexOf(feed)]!, full, cluster);
    };
    if (one === undefined) begin();
    else writer.when(one, false, begin);
  };
  const bring = () => {
    // Nobody has used a stage for the first time: the phase before the first counts as over.
    const before = writer.operation('xor.b32', 'u32', [turn.parity, literal(1, 'u32')]);
    for (const arrival of arrivals) {
      waitFor(emission, arrival, 'empty', turn, before);
      bringBoxes(arrival, turn);
      take(emission, arrival, turn);
      for (const { feed, copy } of arrival.gathered) {
        const state = tileState(emission, feed.tile.name);
        beginCopy(emission, state, copy, state.stage, { count: producers, place: own });
      }
      if (arrival.gathered.length > 0) {
        const full = barrierAt(emission, arrival, 'full', turn.stage);
        writer.effect(`cp.async.mbarrier.arrive.noinc.shared::cta.b64 ${full};`);
      }
    }
    nextTurn(emission, turn, pipeline.stages);
  };
  for (const arrival of given) bringBoxes(arrival, once);
  inLoops(emission, loops, () => {
    write(preparation);
    inLoops(emission, [pipeline], bring);
  });
  // Who has copies under way does not go.
  if (gathers) writer.effect('cp.async.wait_all;');
}

/** One in the other. */
function inLoops(
  emission: Emission,
  [outer, ...inner]: readonly (Loop | Pipeline)[],
  body: () => void,
): void {
  if (outer === undefined) {
    body();
    return;
  }
  const [from, to] = [outer.from, outer.to].map((bound) => emission.uniform(bound)) as [Value, Value];
  emission.writer.loop(from, to, outer.step, (counter) => {
    emission.variables.set(outer.variable, counter);
    inLoops(emission, inner, body);
  });
}

/** Of what is common a block of a cluster brings a part of the rows, to all blocks. */
function bringBox(
  emission: Emission,
  { tile, box }: Boxed,
  turn: Turn,
  map: Value,
  full: string,
  cluster: number,
): void {
  const { writer, shared } = emission;
  const { rowBytes, panelBytes, panels } = packedLayout(tile);
  const isCommon = cluster > 1 && box.isCommon === true;
  let start = writer.operation('mad.lo.u32', 'u32', [
    turn.stage,
    literal(bytesOfTile(tile), 'u32'),
    sharedStart(emission),
  ]);
  let [inner, outer, ...others] = box.starts.map((each) => emission.uniform(each));
  if (isCommon) {
    const rank = writer.compute(['u32'], [], ([result]) => `mov.u32 ${result}, %cluster_ctarank;`)[0]!;
    const rows = tile.axes[0]!.extent / cluster;
    const behind = (of: Value, by: number) =>
      writer.operation('mad.lo.u32', 'u32', [rank, literal(by, 'u32'), of]);
    [start, outer] = [behind(start, rows * rowBytes), behind(outer!, rows)];
  }
  const mask = writer.compute(['half'], [], ([result]) => `mov.b16 ${result}, ${2 ** cluster - 1};`)[0]!;
  const [cast, to] = isCommon ? ['.multicast::cluster', `, ${mask.text}`] : ['', ''];
  for (let panel = 0; panel < panels; panel++) {
    const across = literal((panel * rowBytes) / elementBytes, 'i32');
    const place = panel === 0 ? inner! : writer.operation('add.s32', 'i32', [inner!, across]);
    const coordinates = [place, outer!, ...others].map(({ text }) => text).join(', ');
    const into = `[${start.text}+${shared.start(tile.name) + panel * panelBytes}]`;
    writer.effect(
      `cp.async.bulk.tensor.${box.starts.length}d.shared::cluster.global.tile.mbarrier::complete_tx::bytes` +
        `${cast} ${into}, [${map.text}, {${coordinates}}], ${full}${to};`,
    );
  }
}

// ── who computes ───────────────────────────────────────────────────────────────────────────────────────────

/** Feeds that are used, and which of their stages is next. */
export interface Taken {
  readonly arrival: Arrival;
  readonly turn: Turn;
}

/** Waits for a tile that is brought once; false if that is not. */
export function takeGiven(emission: Emission, { name }: Tile): boolean {
  const arrival = emission.specialised?.given.find((each) => each.name === name);
  if (arrival === undefined) return false;
  waitFor(emission, arrival, 'full', once, once.parity);
  for (const tile of arrival.tiles) emission.tiles.set(tile.name, stateOf(tile));
  return true;
}

/** Of those who compute. */
export function emitConsumer(emission: Emission, { pipeline, arrivals }: Specialised, write: Write): void {
  const { writer, barriers, taken } = emission;
  bumpVersions(emission, insideOf(pipeline));
  if (isCarried(pipeline)) emitCarried(emission, pipeline, taken[0]!, write);
  else {
    const bounds = [pipeline.from, pipeline.to].map((bound) => emission.uniform(bound)) as [Value, Value];
    if (pipeline.first !== undefined) emitLagging(emission, pipeline, bounds, write);
    else
      writer.loop(...bounds, pipeline.step, (counter) => {
        emission.variables.set(pipeline.variable, counter);
        emitStep(emission, pipeline, pipeline.body, taken, write);
      });
  }
  bumpVersions(emission, insideOf(pipeline));
  emission.scratchVersion++;
  for (const { tiles } of arrivals) for (const { name } of tiles) barriers.read.add(name);
}

/** Steps in each of which some feeds are those of the step before. */
function emitLagging(
  emission: Emission,
  pipeline: Pipeline,
  [from, to]: readonly [Value, Value],
  write: Write,
): void {
  const { writer, variables, taken } = emission;
  const { first = [], body, last = [], variable, step } = pipeline;
  writer.when(isAbove(emission, to, from), true, () => {
    variables.set(variable, from);
    const isPrompt = ({ arrival }: Taken) => !arrival.lags;
    emitStep(emission, pipeline, first, taken.filter(isPrompt), write);
    beginInOrder(emission);
    const second = writer.operation('add.s32', 'i32', [from, literal(step, 'i32')]);
    writer.loop(second, to, step, (counter) => {
      variables.set(variable, counter);
      bumpVersions(emission, body);
      emitStep(emission, pipeline, body, taken, write, true);
    });
    endInOrder(emission);
    bumpVersions(emission, body);
    const lagging = taken.filter((each) => !isPrompt(each));
    emitStep(emission, pipeline, last, lagging, write);
  });
}

function isAbove({ writer }: Emission, value: Value, than: Value): Value {
  if (value.known !== undefined && than.known !== undefined)
    return literal(Number(value.known > than.known), 'bool');
  return writer.operation('setp.gt.s32', 'bool', [value, than]);
}

/**
 * Feeds of the first product are waited for at the beginning, so that what it adds to may be zeroed by it;
 * others when a product is to read them. Their stage is empty when all that do are done.
 * @param isInOrder whether warpgroups begin their products one after the other
 */
function emitStep(
  emission: Emission,
  { stages }: Pipeline,
  statements: readonly TileStatement[],
  taken: readonly Taken[],
  write: Write,
  isInOrder = false,
): void {
  const readers = new Map(
    taken.map(({ arrival }) => [
      arrival,
      productsAmong(statements).filter((product) => arrival.tiles.some((tile) => reads(product, tile))),
    ]),
  );
  for (const { arrival, turn } of taken) take(emission, arrival, turn);
  emission.landed = (flights) => {
    for (const { arrival, turn } of taken)
      if (flights.some(({ product }) => product === readers.get(arrival)!.at(-1)))
        tell(emission, arrival, turn.stage, undefined);
  };
  const products = productsAmong(statements);
  const [earliest] = products;
  for (const [at, statement] of statements.entries()) {
    for (const { arrival, turn } of taken) {
      const [reader] = readers.get(arrival)!;
      if (at === 0 ? reader === earliest : reader === statement && reader !== earliest)
        waitFor(emission, arrival, 'full', turn, turn.parity);
    }
    if (isInOrder && statement === earliest) awaitOrder(emission);
    write([statement]);
    if (isInOrder && statement === products.at(-1)) letNext(emission);
  }
  waitForAll(emission);
  emission.landed = () => {};
  for (const { turn } of taken) nextTurn(emission, turn, stages);
}

/** Steps of nothing but products: they are done, and their stage empty, when those of the next have begun. */
function emitCarried(
  emission: Emission,
  { from, to, step, variable, body, stages }: Pipeline,
  { arrival, turn }: Taken,
  write: Write,
): void {
  const { writer, variables } = emission;
  const [begin, end] = [from, to].map((bound) => emission.uniform(bound)) as [Value, Value];
  const before = writer.variable(literal(0, 'u32'));
  writer.loop(begin, end, step, (counter) => {
    variables.set(variable, counter);
    waitFor(emission, arrival, 'full', turn, turn.parity);
    take(emission, arrival, turn);
    write(body);
    waitForProducts(emission, body.length);
    emission.flights.length = 0;
    tell(emission, arrival, before, isAbove(emission, counter, begin));
    writer.assign(before, turn.stage);
    nextTurn(emission, turn, stages);
  });
  waitForProducts(emission, 0);
  tell(emission, arrival, before, isAbove(emission, end, begin));
}

/** Each warp says once that it needs a stage no longer, a lane of it to each block of a cluster. */
function tell(emission: Emission, arrival: Arrival, stage: Value, isUsed: Value | undefined): void {
  const { writer, unit, specialised } = emission;
  const { cluster } = specialised!;
  const tells = writer.operation('setp.lt.u32', 'bool', [unit.lane, literal(cluster, 'u32')]);
  const guard = isUsed === undefined ? tells : applyFunction(writer, 'and', 'bool', [tells, isUsed]);
  if (cluster === 1) {
    writer.effect(
      `mbarrier.arrive.shared::cta.b64 _, ${barrierAt(emission, arrival, 'empty', stage)};`,
      guard,
    );
    return;
  }
  const block = writer.operation('and.b32', 'u32', [unit.lane, literal(cluster - 1, 'u32')]);
  // Products read, which no order of writes has to wait for: a release to the cluster would cost a fence.
  const at = inBlock(emission, block, arrival, stage);
  writer.effect(`mbarrier.arrive.shared::cluster.b64 _, ${at};`, guard);
}

/** `[address]` of a stage's barrier in a block of the cluster. */
function inBlock(emission: Emission, block: Value, arrival: Arrival, stage: Value): string {
  const { writer, shared } = emission;
  const start = writer.compute(
    ...([['u32'], [sharedStart(emission), block]] as const),
    ([result], [own, rank]) => `mapa.shared::cluster.u32 ${result}, ${own}, ${rank};`,
  )[0]!;
  const at = writer.operation('mad.lo.u32', 'u32', [stage, literal(barrierBytes, 'u32'), start]);
  return `[${at.text}+${shared.start(barrierName(arrival, 'empty'))}]`;
}

/** The tiles of feeds are now those of a stage. */
function take({ writer, tiles }: Emission, arrival: Arrival, { stage }: Turn): void {
  for (const tile of arrival.tiles)
    tiles.set(tile.name, {
      ...stateOf(tile),
      stage: writer.operation('mul.lo.u32', 'u32', [stage, literal(bytesOfTile(tile), 'u32')]),
    });
}

function stateOf(tile: Tile): TileState {
  const fragment = tile.axes.map(({ extent }) => extent);
  return { tile, fragment, registers: [], mutable: true, version: 0 };
}

/** Undefined where a statement stores no box by itself. */
export function boxedStoreOf(
  { specialised, maps }: Emission,
  statement: TileStatement,
): { readonly store: BoxedStore; readonly map: Value } | undefined {
  const at = specialised?.stores.findIndex((store) => store.statement === statement) ?? -1;
  if (specialised === undefined || at < 0) return undefined;
  return { store: specialised.stores[at]!, map: maps.at(at - specialised.stores.length)! };
}
