/**
 * Products of warpgroups that are under way. A statement is written behind a wait for those whose results it
 * uses or changes, and for those that still read registers which it changes; all others go on.
 */
import { allStatements, tilesOf, tilesUsedBy } from '../../../compiler/tiles/tile-builder.ts';
import type { TileStatement } from '../../../compiler/tiles/tile-program.ts';
import type { Emission } from './emission.ts';
import type { Product } from './products.ts';

export interface Flight {
  readonly product: Product;
}

/** To be called when a product was begun. */
export function takeOff({ flights }: Emission, product: Product): void {
  flights.push({ product });
}

/** Waits until no more than so many products are under way: the ones that were begun last. */
export function waitForProducts(emission: Emission, inFlight: number): void {
  emission.writer.effect(`wgmma.wait_group.sync.aligned ${inFlight};`);
  const { flights } = emission;
  const landed = flights.splice(0, Math.max(0, flights.length - inFlight));
  emission.landed(landed);
}

export function waitForAll(emission: Emission): void {
  if (emission.flights.length > 0) waitForProducts(emission, 0);
}

/** Waits for what a statement must not meet under way. */
export function settle(emission: Emission, statement: TileStatement): void {
  const { flights } = emission;
  // What is under way at the end of a turn would be at its beginning.
  if (statement.kind === 'loop' || statement.kind === 'pipeline') waitForAll(emission);
  const last = flights.findLastIndex((flight) => meets(flight, statement));
  if (last >= 0) waitForProducts(emission, flights.length - 1 - last);
}

function meets({ product: { into, left, right } }: Flight, statement: TileStatement): boolean {
  return allStatements([statement]).some((each) => {
    const changed = each.kind === 'update' ? [each.tile] : tilesOf(each).map(({ name }) => name);
    // Products into the same tile follow each other.
    const used = [...tilesUsedBy(each)].filter(
      (name) => each.kind !== 'multiplyAccumulate' || name !== each.into,
    );
    return [...used, ...changed].includes(into) || changed.includes(left) || changed.includes(right);
  });
}
