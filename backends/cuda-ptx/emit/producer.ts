/** Who brings the tiles of a pipeline: boxes one thread has the engine copy, what is gathered all copy. */
import { type Emission, tileState } from './emission.ts';
import { elementBytes, packedLayout } from './packed-layout.ts';
import { beginCopy } from './packed-tiles.ts';
import { sharedStart } from './shared-memory.ts';
import { bytesOfTile } from './shared-places.ts';
import {
  type Arrival,
  type Boxed,
  type Loop,
  type Pipeline,
  producers,
  type Specialised,
  type Write,
} from './specialisation.ts';
import { barrierAt, firstTurn, nextTurn, once, type Turn, take, waitFor } from './stages.ts';
import { literal, type Value } from './values.ts';

/**
 * @param one who of all that bring has boxes copied; undefined where there is no other
 * @param write statements that say what is to be brought
 */
export function emitProducer(
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
    const across = literal((panel * rowBytes) / elementBytes(tile), 'i32');
    const place = panel === 0 ? inner! : writer.operation('add.s32', 'i32', [inner!, across]);
    const coordinates = [place, outer!, ...others].map(({ text }) => text).join(', ');
    const into = `[${start.text}+${shared.start(tile.name) + panel * panelBytes}]`;
    writer.effect(
      `cp.async.bulk.tensor.${box.starts.length}d.shared::cluster.global.tile.mbarrier::complete_tx::bytes` +
        `${cast} ${into}, [${map.text}, {${coordinates}}], ${full}${to};`,
    );
  }
}
