/** The numbers that a property's sizes and mesh axes may be. */
import type { Choose } from '../../compiler/graph/choice-tape.ts';
import { decide } from '../../dsl/types/facts.ts';
import { asNatural, evaluateSize, parameter, type Size, sameSize } from '../../dsl/types/size.ts';
import type { PropertyInfo } from '../../dsl/types/typed.ts';
import { solveSizes } from '../../dsl/types/unify-sizes.ts';

/** One name of a property that stands for a number. */
export interface SizeName {
  readonly name: string;
  readonly isAxis: boolean;
  /** Inclusive, where it is said; may use names before it. */
  readonly range: { readonly from: Size; readonly to: Size } | undefined;
  /** No less is legal, as a fact about the name alone says. */
  readonly least: number;
}

export type Sizes = ReadonlyMap<string, number>;

/**
 * In the order in which they are to be chosen: meshes first, to which sizes then fit, and those without a
 * range before those whose range may speak of them.
 * @param axes of the program, of which a property that names no mesh may be on any
 */
export function sizeNames(property: PropertyInfo, axes: readonly string[]): readonly SizeName[] {
  const named = property.mesh ?? axes.map((axis) => ({ axis, from: undefined, to: undefined }));
  const all = [
    ...named.map(({ axis, from, to }) => ({
      name: axis,
      isAxis: true,
      range: from && { from, to },
      least: 1,
    })),
    ...property.function.sizes
      .filter((name) => !named.some(({ axis }) => axis === name))
      .map((name) => ({
        name,
        isAxis: false,
        range: property.ranges.get(name) ?? fixedRange(property, name),
        least: leastOf(property, name),
      })),
  ];
  return all.toSorted((left, right) => turnOf(left) - turnOf(right));
}

function turnOf({ range, isAxis }: SizeName): number {
  if (range === undefined) return isAxis ? 0 : 1;
  const isConstant = asNatural(range.from) !== undefined && asNatural(range.to) !== undefined;
  return isAxis && isConstant ? 0 : 2;
}

/** Of a size that a fact alone says, as the length of a list that is given does. */
function fixedRange({ function: { facts } }: PropertyInfo, name: string): SizeName['range'] {
  for (const { relation, left, right } of facts) {
    if (relation !== '==') continue;
    for (const [pattern, actual] of [[left, right] as const, [right, left] as const]) {
      const solution = solveSizes([{ pattern, actual }], new Set([name]));
      const size = solution.kind === 'solved' ? solution.values.get(name) : undefined;
      if (size !== undefined && asNatural(size) !== undefined) return { from: size, to: size };
    }
  }
  return undefined;
}

/** As an index that is given says of its range. */
function leastOf({ function: { facts } }: PropertyInfo, name: string): number {
  const bounds = facts.flatMap(({ relation, left, right }) => {
    const bound = asNatural(left);
    if (bound === undefined || !sameSize(right, parameter(name))) return [];
    return relation === '<' ? [bound + 1] : relation === '<=' ? [bound] : [];
  });
  return Math.max(0, ...bounds);
}

/**
 * What is tried where nothing is said, from simple to awkward: small, prime, none at all, of several blocks.
 */
const usualSizes = [2, 1, 3, 4, 0, 5, 6, 8, 7, 12, 16] as const;
const usualDevices = [1, 2, 4, 3, 8] as const;

/** All numbers that the name may be, given those before it. */
export function choicesOf({ range, isAxis, least }: SizeName, before: Sizes): readonly number[] {
  if (range === undefined) return isAxis ? usualDevices : sizesFrom(least);
  const [from, to] = [evaluateSize(range.from, before), evaluateSize(range.to, before)];
  if (from === undefined || to === undefined || to < from) return [];
  return Array.from({ length: to - from + 1 }, (_, position) => from + position);
}

/** The usual ones, beyond the least where they hardly reach it. */
function sizesFrom(least: number): readonly number[] {
  return least <= 8 ? usualSizes : usualSizes.map((size) => least + size);
}

/** Whether all facts of the property hold. */
export function areLegal({ function: { facts } }: PropertyInfo, sizes: Sizes): boolean {
  return facts.every((fact) => decide(fact, sizes) === true);
}

/**
 * All legal choices where every name has a range and there are at most `most`; undefined where there are
 * more, or there is no end to them.
 */
export function allSizes(
  property: PropertyInfo,
  names: readonly SizeName[],
  most: number,
): readonly Sizes[] | undefined {
  if (names.some(({ range }) => range === undefined)) return undefined;
  let found: readonly Sizes[] = [new Map()];
  for (const name of names) {
    const next = found.flatMap((before) =>
      choicesOf(name, before).map((value): Sizes => new Map([...before, [name.name, value]])),
    );
    if (next.length > most * mostRefused) return undefined;
    found = next;
  }
  const legal = found.filter((sizes) => areLegal(property, sizes));
  return legal.length > most ? undefined : legal;
}

/** How many choices are looked at for one that is legal. */
const mostRefused = 64;

/** Choices that are tried for one draw before it is given up. */
const mostTried = 4000;

/**
 * A legal choice, drawn; undefined where none was found.
 * @param isPossible whether the property can be run with these: asked last, of what its facts allow
 */
export function drawSizes(
  property: PropertyInfo,
  names: readonly SizeName[],
  choose: Choose,
  isPossible: (sizes: Sizes) => boolean,
): Sizes | undefined {
  let tried = 0;
  const complete = (sizes: Sizes): Sizes | undefined => {
    if (!mayBeLegal(property, sizes)) return undefined;
    const next = names[sizes.size];
    if (next === undefined) return isPossible(sizes) ? sizes : undefined;
    const left = [...choicesOf(next, sizes)];
    const place = () => choose(left.length);
    while (left.length > 0 && tried++ < mostTried) {
      // The least of three, so that small sizes come more often; meshes of all sizes come as often.
      const [value] = left.splice(next.isAxis ? place() : Math.min(place(), place(), place()), 1);
      const found = complete(new Map([...sizes, [next.name, value!]]));
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return complete(new Map());
}

/** Whether no fact is false of what is chosen already. */
function mayBeLegal({ function: { facts } }: PropertyInfo, sizes: Sizes): boolean {
  return facts.every((fact) => decide(fact, sizes) !== false);
}
