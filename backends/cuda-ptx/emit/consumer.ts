/** Who computes with tiles that others bring: waits for them, and says when their stages are empty. */
import { bumpVersions } from '../../../compiler/tiles/changes.ts';
import { insideOf } from '../../../compiler/tiles/tile-builder.ts';
import type { Tile, TileStatement } from '../../../compiler/tiles/tile-program.ts';
import type { Emission } from './emission.ts';
import { awaitOrder, beginInOrder, endInOrder, letNext } from './group-order.ts';
import { isBelow } from './pipeline.ts';
import { productsAmong } from './products.ts';
import { waitForAll, waitForProducts } from './products-in-flight.ts';
import {
  type Arrival,
  isCarried,
  type Pipeline,
  reads,
  type Specialised,
  type Write,
} from './specialisation.ts';
import { nextTurn, once, stateOf, type Turn, take, tell, waitFor } from './stages.ts';
import { literal, type Value } from './values.ts';

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
  writer.when(isBelow(emission, from, to), true, () => {
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
  for (const turn of new Set(taken.map((each) => each.turn))) nextTurn(emission, turn, stages);
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
    tell(emission, arrival, before, isBelow(emission, begin, counter));
    writer.assign(before, turn.stage);
    nextTurn(emission, turn, stages);
  });
  waitForProducts(emission, 0);
  tell(emission, arrival, before, isBelow(emission, begin, end));
}
