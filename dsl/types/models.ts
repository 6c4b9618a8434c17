/**
 * Numbers for which all that is assumed holds. What is false of them cannot be proved, which is found out by
 * looking at a few of them much faster than by trying all proofs.
 */
import type { Facts } from './facts.ts';
import { evaluateSize, type Size, sizeParameters } from './size.ts';

type Model = ReadonlyMap<string, number>;

const mostModels = 12;
const tries = 600;
/** Small, and of the kind that divides one another. */
const values = [1, 2, 4, 3, 0] as const;

/**
 * Whether some numbers refute a statement about the sizes: they satisfy the facts, and `isFalse` of the sizes'
 * values for them. Where it gives false, nothing is known.
 */
export function isRefuted(
  facts: Facts,
  sizes: readonly Size[],
  isFalse: (...values: number[]) => boolean,
): boolean {
  const names = new Set(sizes.flatMap((size) => [...sizeParameters(size)]));
  return modelsOf(facts).some((model, place) => {
    const complete = withOthers(model, names, place);
    const found = sizes.map((size) => evaluateSize(size, complete));
    return found.every((value) => value !== undefined) && isFalse(...(found as number[]));
  });
}

const known = new WeakMap<Facts, readonly Model[]>();

function modelsOf(facts: Facts): readonly Model[] {
  const found = known.get(facts) ?? searchModels(facts);
  known.set(facts, found);
  return found;
}

/** Tries assignments, the same ones for the same facts. */
function searchModels(facts: Facts): readonly Model[] {
  const { nonnegative, divisions } = facts;
  const sizes = [...nonnegative, ...divisions.flatMap(({ divisor, dividend }) => [divisor, dividend])];
  const names = [...new Set(sizes.flatMap((size) => [...sizeParameters(size)]))];
  const found: Model[] = [];
  let state = 1;
  for (let turn = 0; turn < tries && found.length < mostModels; turn++) {
    const model = new Map(
      names.map((name) => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        return [name, values[(state >>> 16) % values.length]!] as const;
      }),
    );
    if (satisfies(facts, model)) found.push(model);
  }
  return found;
}

function satisfies({ nonnegative, divisions }: Facts, model: Model): boolean {
  return (
    nonnegative.every((size) => (evaluateSize(size, model) ?? -1) >= 0) &&
    divisions.every(({ divisor, dividend }) => {
      const [by, of] = [evaluateSize(divisor, model), evaluateSize(dividend, model)];
      return by !== undefined && of !== undefined && (by === 0 ? of === 0 : of % by === 0);
    })
  );
}

/** Of which nothing is assumed: any number will do, and most of them differ. */
function withOthers(model: Model, names: ReadonlySet<string>, place: number): Model {
  const others = [...names].filter((name) => !model.has(name));
  return new Map([...model, ...others.map((name) => [name, numberFor(name, place)] as const)]);
}

function numberFor(name: string, place: number): number {
  const hash = [...name].reduce((sum, letter) => Math.imul(sum ^ letter.charCodeAt(0), 16777619), place + 7);
  // Now less than most, now more.
  return (hash >>> 8) % (place % 2 === 0 ? 3 : 97);
}
