/**
 * The stages of pipelines whose warps have different work: which is whose next one, and the barriers at which
 * they meet, two for each stage: that it is full, which the engine says by the bytes that it has written and
 * each thread's copies when they are done, and that it is empty, which each computing warp says.
 */
import type { Tile } from '../../../compiler/tiles/tile-program.ts';
import type { Emission, TileState } from './emission.ts';
import { applyFunction } from './functions.ts';
import { sharedStart } from './shared-memory.ts';
import { bytesOfTile } from './shared-places.ts';
import { type Arrival, producers, type Specialised } from './specialisation.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';
import { showToProducts } from './warpgroup-products.ts';
import type { Writer } from './writer.ts';

const barrierBytes = 8;

/** Reserves and prepares the barriers of all stages. */
export function prepareStages(emission: Emission, specialised: Specialised): void {
  const { writer, places } = emission;
  const { consumers, pipeline, arrivals, given, cluster } = specialised;
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
}

/** All threads of all its blocks. */
export function meetInCluster(writer: Writer): void {
  writer.effect('barrier.cluster.arrive.release;');
  writer.effect('barrier.cluster.wait.acquire;');
}

/** How many arrivals make a stage full: of who has boxes copied, and of all who gather. */
function fills({ boxed, gathered }: Arrival): number {
  return (boxed.length > 0 ? 1 : 0) + (gathered.length > 0 ? producers : 0);
}

/** Which stage a step uses, and whether it is for the second, fourth … time. */
export interface Turn {
  stage: Value;
  parity: Value;
}

/** Of what is brought once. */
export const once: Turn = { stage: literal(0, 'u32'), parity: literal(0, 'u32') };

export function firstTurn(writer: Writer): Turn {
  return { stage: writer.variable(literal(0, 'u32')), parity: writer.variable(literal(0, 'u32')) };
}

export function nextTurn({ writer }: Emission, turn: Turn, stages: number): void {
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
export function barrierAt(emission: Emission, arrival: Arrival, kind: BarrierKind, stage: Value): string {
  const { writer, shared } = emission;
  const start = sharedStart(emission);
  const at = writer.operation('mad.lo.u32', 'u32', [stage, literal(barrierBytes, 'u32'), start]);
  return `[${at.text}+${shared.start(barrierName(arrival, kind))}]`;
}

export function waitFor(
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

/** Each warp says once that it needs a stage no longer, a lane of it to each block of a cluster. */
export function tell(emission: Emission, arrival: Arrival, stage: Value, isUsed: Value | undefined): void {
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
export function take({ writer, tiles }: Emission, arrival: Arrival, { stage }: Turn): void {
  for (const tile of arrival.tiles)
    tiles.set(tile.name, {
      ...stateOf(tile),
      stage: writer.operation('mul.lo.u32', 'u32', [stage, literal(bytesOfTile(tile), 'u32')]),
    });
}

export function stateOf(tile: Tile): TileState {
  const fragment = tile.axes.map(({ extent }) => extent);
  return { tile, fragment, registers: [], mutable: true, version: 0 };
}
