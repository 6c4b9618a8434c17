/**
 * Loops whose packed tiles are brought ahead. There are as many copies of each tile as there are stages, and
 * a step uses one while later ones are on their way. In a step all invocations wait until its copies have
 * arrived and all have done the step before; then what that step used is free for the step that is
 * `stages` − 1 ahead (the multistage pipelines of CUTLASS for sm_80 are of this form).
 *
 * Products of warpgroups are still under way when the next step begins, if a step is nothing else: the one
 * before them is done then, and what it used is free, so that tiles are brought `stages` − 2 steps ahead.
 */
import { bumpVersions } from '../../../compiler/tiles/changes.ts';
import { allStatements } from '../../../compiler/tiles/tile-builder.ts';
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { StatementOf } from '../../../compiler/tiles/tile-program.ts';
import { enterLoop, leaveBranch } from '../../writing/barriers.ts';
import { linearConstant, linearValue, plus } from '../../writing/linear.ts';
import { bufferOf, type Emission, type TileState } from './emission.ts';
import { beginCopy, type Copy, copyOf, packedValues, putPacked } from './packed-tiles.ts';
import { waitForProducts } from './products-in-flight.ts';
import { bytesOfTile } from './shared-places.ts';
import { sumOf } from './sums.ts';
import { literal, type Value } from './values.ts';
import { isByWarpgroups, showToProducts } from './warpgroup-products.ts';

type Pipeline = StatementOf<'pipeline'>;

interface Fed {
  readonly state: TileState;
  readonly value: TileExpression;
  /** Undefined where it goes through registers. */
  readonly copy: Copy | undefined;
  readonly bytes: number;
  /** How many bytes behind the first stage the one is that is used, and the one that is brought. */
  readonly used: Value;
  readonly brought: Value;
}

/**
 * @param body writes the statements of the body
 */
export function emitPipeline(emission: Emission, statement: Pipeline, body: () => void): void {
  const { writer, barriers, variables } = emission;
  const { step, stages, variable } = statement;
  if (statement.first !== undefined)
    throw new Error(`${emission.program.name} has feeds that lag, and are not brought by an engine`);
  const [from, to] = [statement.from, statement.to].map((bound) => emission.uniform(bound)) as [Value, Value];
  const isByGroups = byWarpgroups(emission, statement);
  const inFlight = isByGroups && stages > 2 && statement.body.length === 1 ? 1 : 0;
  const ahead = stages - 1 - inFlight;
  const feeds = statement.feeds.map((feed): Fed => {
    const bytes = bytesOfTile(feed.tile);
    const used = writer.variable(literal(0, 'u32'));
    const brought = writer.variable(literal(ahead * bytes, 'u32'));
    const state: TileState = {
      ...{ tile: feed.tile, fragment: feed.tile.axes.map(({ extent }) => extent), registers: [] },
      ...{ mutable: true, stage: used, version: 0 },
    };
    emission.tiles.set(feed.tile.name, state);
    // Of what is copied warpgroups would cut the last bits off.
    const isRounded = isByGroups && feed.tile.packed === 'tf32';
    const copy = isRounded ? undefined : copyOf((tensor) => bufferOf(emission, tensor).tensor, feed);
    return { state, value: feed.value, copy, bytes, used, brought };
  });
  const copied = feeds.filter(({ copy }) => copy !== undefined);
  const computed = feeds.filter(({ copy }) => copy === undefined);
  const commit = () => {
    if (copied.length > 0) writer.effect('cp.async.commit_group;');
  };
  /** Reads for a step that is not known to be one stay where it is. */
  const bringFor = (at: Value, bring: () => void) => {
    variables.set(variable, at);
    emission.ahead = variable;
    bring();
    emission.ahead = undefined;
  };
  enterLoop(emission, statement.body);
  const leave = leaveBranch(emission);

  for (let early = 0; early < ahead; early++) {
    const at = sumOf(writer, plus(valueSum(from), linearConstant(early * step)));
    writer.comment(`bring ${variable} + ${early * step}`);
    writer.when(isBelow(emission, at, to), true, () =>
      bringFor(at, () => {
        for (const { state, value, copy, bytes } of feeds) {
          const stage = literal(early * bytes, 'u32');
          if (copy === undefined) putPacked(emission, state, packedValues(emission, state, value), stage);
          else beginCopy(emission, state, copy, stage);
        }
      }),
    );
    commit();
  }

  bumpVersions(emission, statement.body);
  emission.scratchVersion++;
  writer.loop(from, to, step, (counter) => {
    if (copied.length > 0) writer.effect(`cp.async.wait_group ${ahead - 1};`);
    if (isByGroups) showToProducts(emission);
    emission.synchronize();
    const next = writer.operation('add.s32', 'i32', [counter, literal(ahead * step, 'i32')]);
    const isThere = isBelow(emission, next, to);
    if (copied.length > 0) {
      writer.comment(`bring ${variable} + ${ahead * step}`);
      writer.when(isThere, true, () =>
        bringFor(next, () => {
          for (const { state, copy, brought } of copied) beginCopy(emission, state, copy!, brought);
        }),
      );
      commit();
    }
    // Behind the end there is nothing to read: what nobody will use is then read again.
    variables.set(variable, writer.operation('selp.b32', 'i32', [next, counter, isThere]));
    const words = computed.map(({ state, value }) => packedValues(emission, state, value));
    variables.set(variable, counter);
    body();
    if (emission.flights.length > 0) waitForProducts(emission, inFlight);
    emission.flights.length = 0;
    for (const [at, { state, brought }] of computed.entries())
      putPacked(emission, state, words[at]!, brought);
    for (const { bytes, used, brought } of feeds)
      for (const stage of [used, brought]) advance(emission, stage, bytes, stages);
  });
  if (inFlight > 0) waitForProducts(emission, 0);
  leave();
  bumpVersions(emission, statement.body);
  emission.scratchVersion++;
  for (const { state } of feeds) barriers.read.add(state.tile.name);
}

function byWarpgroups(emission: Emission, { body }: Pipeline): boolean {
  return allStatements(body).some(
    (statement) => statement.kind === 'multiplyAccumulate' && isByWarpgroups(emission, statement),
  );
}

function valueSum(value: Value) {
  return value.known === undefined ? linearValue(value) : linearConstant(value.known);
}

export function isBelow({ writer }: Emission, value: Value, to: Value): Value {
  if (value.known !== undefined && to.known !== undefined)
    return literal(Number(value.known < to.known), 'bool');
  return writer.operation('setp.lt.s32', 'bool', [value, to]);
}

/** To the next stage, behind the last of which is the first. */
function advance({ writer }: Emission, stage: Value, bytes: number, stages: number): void {
  const name = stage.text;
  const isLast = writer.operation('setp.eq.u32', 'bool', [stage, literal((stages - 1) * bytes, 'u32')]);
  writer.effect(`add.u32 ${name}, ${name}, ${bytes};`);
  writer.effect(`mov.b32 ${name}, 0;`, isLast);
}
