/**
 * Warpgroups that begin the products of a step one after the other, in a ring of named barriers: so one's
 * exponentials are computed while the matrix units are another's (Shah et al., "FlashAttention-3", 2024,
 * "ping-pong scheduling").
 */
import type { Emission } from './emission.ts';
import { warpSize } from './units.ts';
import { literal, type Value } from './values.ts';
import { groupWarps, warpgroup } from './warpgroup-products.ts';

/** Barriers of the first numbers are those of all threads, and of all that compute. */
const firstBarrier = 2;
/** Of two groups: the one that waits and the one that lets it go on. */
const met = 2 * groupWarps * warpSize;

function groupsOf({ program }: Emission): number {
  return program.threads.rows / groupWarps;
}

/** The first group is let go on by the last one, which has begun nothing yet. */
export function beginInOrder(emission: Emission): void {
  const groups = groupsOf(emission);
  if (groups === 1) return;
  const group = warpgroup(emission)!;
  const isLast = emission.writer.operation('setp.eq.u32', 'bool', [group, literal(groups - 1, 'u32')]);
  emission.writer.effect(`bar.arrive ${firstBarrier}, ${met};`, isLast);
}

export function awaitOrder(emission: Emission): void {
  if (groupsOf(emission) === 1) return;
  emission.writer.effect(`bar.sync ${barrierOf(emission, warpgroup(emission)!).text}, ${met};`);
}

export function letNext(emission: Emission): void {
  const groups = groupsOf(emission);
  if (groups === 1) return;
  const { writer } = emission;
  const group = warpgroup(emission)!;
  const isLast = writer.operation('setp.eq.u32', 'bool', [group, literal(groups - 1, 'u32')]);
  const behind = writer.operation('add.u32', 'u32', [group, literal(1, 'u32')]);
  const next = writer.operation('selp.b32', 'u32', [literal(0, 'u32'), behind, isLast]);
  writer.effect(`bar.arrive ${barrierOf(emission, next).text}, ${met};`);
}

/** What the last group let go on behind its last step was nobody. */
export function endInOrder(emission: Emission): void {
  const groups = groupsOf(emission);
  if (groups === 1) return;
  const isFirst = emission.writer.operation('setp.eq.u32', 'bool', [warpgroup(emission)!, literal(0, 'u32')]);
  emission.writer.effect(`bar.sync ${firstBarrier}, ${met};`, isFirst);
}

function barrierOf({ writer }: Emission, group: Value): Value {
  return writer.operation('add.u32', 'u32', [group, literal(firstBarrier, 'u32')]);
}
