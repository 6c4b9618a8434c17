/**
 * Which programs have warps with different work, on Hopper, and who does what in them (`specialised.ts`).
 */
import type { Tensor, TensorId } from '../../../compiler/graph/graph.ts';
import type { PtxMap } from '../../../compiler/plan/plan-ptx-package.ts';
import type { PtxTarget } from '../../../compiler/tiles/ptx-target.ts';
import { allStatements } from '../../../compiler/tiles/tile-builder.ts';
import type {
  Box,
  Feed,
  StatementOf,
  Tile,
  TileProgram,
  TileStatement,
} from '../../../compiler/tiles/tile-program.ts';
import { type BoxedStore, boxedStores } from './boxed-stores.ts';
import type { Emission } from './emission.ts';
import { elementBytes, packedLayout } from './packed-layout.ts';
import { type Copy, copyOf } from './packed-tiles.ts';
import { isKnownToAll, preparationOf } from './preparation.ts';
import { type Product, productsAmong, resultsOfThread } from './products.ts';
import type { Value } from './values.ts';
import { isByWarpgroups } from './warpgroup-products.ts';

export type Pipeline = StatementOf<'pipeline'>;
export type Loop = StatementOf<'loop'>;
export type Boxed = Feed & { readonly box: Box };

/** Writes statements. */
export type Write = (statements: readonly TileStatement[]) => void;

/** What all threads that bring copy. */
export interface Gathered {
  readonly feed: Feed;
  readonly copy: Copy;
}

/** Feeds that are first read by one product: they arrive together, and have two barriers for each stage. */
export interface Arrival {
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
  const isLarge = resultsOfThread(program, products) >= manyResults;
  const gathers = gathered.length > 0;
  const shares = (gathers ? registersOfGathering : registers)[groups];
  const own = isLarge ? shares : undefined;
  const [stores, cluster] = [boxedStores(program, tensors), program.cluster ?? 1];
  const given = body.slice(0, body.indexOf(loops[0] ?? pipeline)).flatMap(givenBy);
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
export function isCarried({ first, body }: Pipeline): boolean {
  return first === undefined && productsAmong(body).length === body.length;
}

export function reads({ left, right }: Product, { name }: Tile): boolean {
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
  return [...boxed, ...stores].map(({ tile, box: { tensor, dims, isCommon = false, rowsOfSecond } }) => {
    const { rowBytes } = packedLayout(tile);
    const bytes = elementBytes(tile);
    const rows = tile.axes[0]!.extent / (isCommon ? cluster : 1);
    const second = rowsOfSecond ?? rows;
    return {
      buffer: buffers.findIndex((buffer) => buffer.tensor === tensor),
      dtype: tile.packed!,
      shape: dims.map(({ extent }) => extent),
      strides: dims.slice(1).map(({ stride }) => stride * bytes),
      box: [rowBytes / bytes, second, ...dims.slice(2).map((_, at) => (at === 0 ? rows / second : 1))],
      swizzle: rowBytes as PtxMap['swizzle'],
    };
  });
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
