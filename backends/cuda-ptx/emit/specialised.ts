/**
 * Kernels whose warps have different work, on Hopper: a thread of a warpgroup of its own has the tensor
 * memory accelerator (TMA) bring the tiles of a pipeline, and the others only compute. They meet at
 * barriers in shared memory (`mbarrier`), two for each stage: that a stage is full, which the engine says by
 * the bytes that it has written, and that it is empty, which each computing warp says (the producer and the
 * consumers of CUTLASS's kernels for sm_90; PTX ISA, "mbarrier").
 */

import type { PtxMap } from '../../../compiler/plan/plan-ptx-package.ts';
import { bumpVersions } from '../../../compiler/tiles/changes.ts';
import type { PtxTarget } from '../../../compiler/tiles/ptx-target.ts';
import { allStatements, tileNamed } from '../../../compiler/tiles/tile-builder.ts';
import { operandsOf, type TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Box, Tile, TileProgram, TileStatement } from '../../../compiler/tiles/tile-program.ts';
import type { Emission, TileState } from './emission.ts';
import { packedLayout } from './packed-layout.ts';
import { sharedStart } from './shared-memory.ts';
import { bytesOfTile } from './shared-places.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';
import { isByWarpgroups, waitForProducts } from './warpgroup-products.ts';
import type { Writer } from './writer.ts';

type Pipeline = TileStatement & { readonly kind: 'pipeline' };
type Boxed = Pipeline['feeds'][number] & { readonly box: Box };

export interface Specialised {
  readonly pipeline: Pipeline;
  readonly feeds: readonly Boxed[];
  /** Threads that compute; those behind them bring. */
  readonly consumers: number;
  /** Registers of a thread that brings and of one that computes, where they do not share alike. */
  readonly registers: readonly [number, number] | undefined;
}

/** Threads of the warpgroup that brings, one of which does. */
export const producers = 128;
/** Registers of a thread that brings and of one that computes, by how many warpgroups compute. */
const registers: { readonly [groups: number]: readonly [number, number] } = { 2: [40, 232], 3: [24, 160] };
/** Results that a thread has at least where its share of the registers is not enough. */
const manyResults = 64;

/** The only pipeline of a program, if it is one of boxes and products alone. */
export function specialisedAs(program: TileProgram, target: PtxTarget): Specialised | undefined {
  const { body, threads } = program;
  const groups = threads.rows / 4;
  const pipelines = allStatements(body).filter((statement) => statement.kind === 'pipeline');
  const [pipeline] = pipelines;
  if (pipeline === undefined || pipelines.length > 1 || !body.includes(pipeline)) return undefined;
  if (target !== 'sm_90a' || (groups !== 1 && registers[groups] === undefined)) return undefined;
  const feeds = pipeline.feeds.filter((feed): feed is Boxed => feed.box !== undefined);
  const [product] = pipeline.body;
  const isOfProducts =
    pipeline.body.length === 1 &&
    product?.kind === 'multiplyAccumulate' &&
    isByWarpgroups({ program, target }, product);
  const told = [pipeline.from, pipeline.to, ...feeds.flatMap(({ box }) => box.starts)];
  if (!isOfProducts || feeds.length < pipeline.feeds.length || !told.every(isKnownToAll)) return undefined;
  const consumers = threads.rows * threads.columns;
  const results = tileNamed(program, product.into)!.axes.reduce((total, { extent }) => total * extent, 1);
  const isLarge = results / consumers >= manyResults;
  return { pipeline, feeds, consumers, registers: isLarge ? registers[groups] : undefined };
}

/** Of numbers that are the same in all threads of a block, and that no statement computes. */
function isKnownToAll(expression: TileExpression): boolean {
  if (expression.op === 'element' || expression.op === 'load' || expression.op === 'coordinate') return false;
  return operandsOf(expression).every(isKnownToAll);
}

/** A map for each feed. @param buffers in binding order */
export function mapsOf({ feeds }: Specialised, { buffers }: TileProgram): readonly PtxMap[] {
  return feeds.map(({ tile, box: { tensor, dims } }) => {
    const { rowBytes } = packedLayout(tile);
    const across = rowBytes / elementBytes;
    return {
      buffer: buffers.findIndex((buffer) => buffer.tensor === tensor),
      dtype: tile.packed!,
      shape: dims.map(({ extent }) => extent),
      strides: dims.slice(1).map(({ stride }) => stride * elementBytes),
      box: [across, tile.axes[0]!.extent, ...dims.slice(2).map(() => 1)],
      swizzle: rowBytes as PtxMap['swizzle'],
    };
  });
}

const elementBytes = 2;
const barrierBytes = 8;

/** Reserves and prepares the barriers of all stages, and parts those who bring from those who compute. */
export function emitSpecialised(
  emission: Emission,
  specialised: Specialised,
  maps: readonly Value[],
  statements: () => void,
): void {
  const { writer, places } = emission;
  const { consumers, pipeline } = specialised;
  for (const kind of ['full', 'empty'] as const)
    emission.shared.reserve(kind, pipeline.stages * barrierBytes);
  const isFirst = writer.operation('setp.eq.u32', 'bool', [places.threads, literal(0, 'u32')]);
  writer.when(isFirst, false, () => {
    for (let stage = 0; stage < pipeline.stages; stage++)
      for (const [kind, arrivals] of [
        ['full', 1],
        ['empty', consumers / warpSize],
      ] as const) {
        const at = barrierAt(emission, kind, literal(stage, 'u32'));
        writer.effect(`mbarrier.init.shared::cta.b64 ${at}, ${arrivals};`);
      }
    writer.effect('fence.mbarrier_init.release.cluster;');
  });
  writer.effect('bar.sync 0;');
  const brings = writer.operation('setp.ge.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
  const computes = writer.operation('setp.lt.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
  const [few, many] = specialised.registers ?? [];
  writer.when(brings, true, () => {
    if (few !== undefined) writer.effect(`setmaxnreg.dec.sync.aligned.u32 ${few};`);
    const isOne = writer.operation('setp.eq.u32', 'bool', [places.threads, literal(consumers, 'u32')]);
    writer.when(isOne, false, () => emitProducer(emission, specialised, maps));
  });
  writer.when(computes, true, () => {
    if (many !== undefined) writer.effect(`setmaxnreg.inc.sync.aligned.u32 ${many};`);
    statements();
  });
}

/** Which stage a step uses, and whether it is for the second, fourth … time. */
interface Turn {
  readonly stage: Value;
  readonly parity: Value;
}

function firstTurn(writer: Writer): Turn {
  return { stage: writer.variable(literal(0, 'u32')), parity: writer.variable(literal(0, 'u32')) };
}

function nextTurn({ writer }: Emission, { stage, parity }: Turn, stages: number): void {
  const isLast = writer.operation('setp.eq.u32', 'bool', [stage, literal(stages - 1, 'u32')]);
  writer.effect(`add.u32 ${stage.text}, ${stage.text}, 1;`);
  writer.effect(`mov.b32 ${stage.text}, 0;`, isLast);
  writer.effect(`xor.b32 ${parity.text}, ${parity.text}, 1;`, isLast);
}

/** `[address]` of a stage's barrier. */
function barrierAt(emission: Emission, kind: 'full' | 'empty', stage: Value): string {
  const { writer, shared } = emission;
  const start = sharedStart(emission);
  const at = writer.operation('mad.lo.u32', 'u32', [stage, literal(barrierBytes, 'u32'), start]);
  return `[${at.text}+${shared.start(kind)}]`;
}

function waitFor(emission: Emission, kind: 'full' | 'empty', stage: Value, parity: Value): void {
  const at = barrierAt(emission, kind, stage);
  emission.writer.until((done) => `mbarrier.try_wait.parity.shared::cta.b64 ${done}, ${at}, ${parity.text};`);
}

function emitProducer(emission: Emission, { pipeline, feeds }: Specialised, maps: readonly Value[]): void {
  const { writer, shared, variables } = emission;
  const [from, to] = [pipeline.from, pipeline.to].map((bound) => emission.uniform(bound)) as [Value, Value];
  const turn = firstTurn(writer);
  const bytes = feeds.reduce((total, { tile }) => total + bytesOfTile(tile), 0);
  writer.loop(from, to, pipeline.step, (counter) => {
    variables.set(pipeline.variable, counter);
    // Nobody has used a stage for the first time: the phase before the first counts as over.
    const before = writer.operation('xor.b32', 'u32', [turn.parity, literal(1, 'u32')]);
    waitFor(emission, 'empty', turn.stage, before);
    const full = barrierAt(emission, 'full', turn.stage);
    writer.effect(`mbarrier.arrive.expect_tx.shared::cta.b64 _, ${full}, ${bytes};`);
    for (const [at, { tile, box }] of feeds.entries()) {
      const { rowBytes, panelBytes, panels } = packedLayout(tile);
      const start = writer.operation('mad.lo.u32', 'u32', [
        turn.stage,
        literal(bytesOfTile(tile), 'u32'),
        sharedStart(emission),
      ]);
      const [inner, ...others] = box.starts.map((each) => emission.uniform(each));
      for (let panel = 0; panel < panels; panel++) {
        const across = literal((panel * rowBytes) / elementBytes, 'i32');
        const place = panel === 0 ? inner! : writer.operation('add.s32', 'i32', [inner!, across]);
        const coordinates = [place, ...others].map(({ text }) => text).join(', ');
        const into = `[${start.text}+${shared.start(tile.name) + panel * panelBytes}]`;
        writer.effect(
          `cp.async.bulk.tensor.${box.starts.length}d.shared::cluster.global.tile.mbarrier::complete_tx::bytes ` +
            `${into}, [${maps[at]!.text}, {${coordinates}}], ${full};`,
        );
      }
    }
    nextTurn(emission, turn, pipeline.stages);
  });
}

/** Of those who compute. A step is done, and its stage empty, when the product after it has begun. */
export function emitConsumer(emission: Emission, { pipeline, feeds }: Specialised, body: () => void): void {
  const { writer, barriers, unit, tiles, variables } = emission;
  const [from, to] = [pipeline.from, pipeline.to].map((bound) => emission.uniform(bound)) as [Value, Value];
  const turn = firstTurn(writer);
  const before = writer.variable(literal(0, 'u32'));
  const isLeader = writer.operation('setp.eq.u32', 'bool', [unit.lane, literal(0, 'u32')]);
  bumpVersions(emission, pipeline.body);
  writer.loop(from, to, pipeline.step, (counter) => {
    variables.set(pipeline.variable, counter);
    waitFor(emission, 'full', turn.stage, turn.parity);
    for (const { tile } of feeds) tiles.set(tile.name, fedState(emission, tile, turn));
    emission.productsInFlight = 1;
    body();
    emission.productsInFlight = 0;
    const isLater = writer.operation('setp.gt.s32', 'bool', [counter, from]);
    const tells = writer.operation('and.pred', 'bool', [isLeader, isLater]);
    writer.effect(`mbarrier.arrive.shared::cta.b64 _, ${barrierAt(emission, 'empty', before)};`, tells);
    writer.assign(before, turn.stage);
    nextTurn(emission, turn, pipeline.stages);
  });
  waitForProducts(emission, 0);
  bumpVersions(emission, pipeline.body);
  emission.scratchVersion++;
  for (const { tile } of feeds) barriers.read.add(tile.name);
}

function fedState({ writer }: Emission, tile: Tile, { stage }: Turn): TileState {
  return {
    ...{ tile, fragment: tile.axes.map(({ extent }) => extent), registers: [], mutable: true, version: 0 },
    stage: writer.operation('mul.lo.u32', 'u32', [stage, literal(bytesOfTile(tile), 'u32')]),
  };
}
