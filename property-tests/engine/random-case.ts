/** Cases of a property for fast-check: drawn, and made simpler one step at a time (`shrink-case.ts`). */
import fc from 'fast-check';
import type { Choose } from '../../compiler/graph/choice-tape.ts';
import { threefry2x32 } from '../../compiler/graph/threefry.ts';
import type { Case } from './case.ts';
import { caseAt, type Domain } from './domain.ts';
import { simplerCases } from './shrink-case.ts';

/** @param domain in which sizes were found before */
export function randomCases(domain: Domain): fc.Arbitrary<Case> {
  return new CaseArbitrary(domain);
}

class CaseArbitrary extends fc.Arbitrary<Case> {
  private readonly domain: Domain;

  constructor(domain: Domain) {
    super();
    this.domain = domain;
  }

  override generate(random: fc.Random): fc.Value<Case> {
    const choose: Choose = (bound) => random.nextInt(0, bound - 1);
    for (let turn = 0; turn < mostTurns; turn++) {
      const sizes = this.domain.drawSizes(choose);
      if (sizes !== undefined) return new fc.Value(caseAt(this.domain, sizes, choose), undefined);
    }
    throw new Error(`${this.domain.property.name} has legal sizes that are not drawn`);
  }

  override canShrinkWithoutContext(value: unknown): value is Case {
    return value !== undefined;
  }

  override shrink(value: Case): fc.Stream<fc.Value<Case>> {
    return new fc.Stream(simplerCases(value, this.domain)).map((simpler) => new fc.Value(simpler, undefined));
  }
}

/** Searches for legal sizes in one draw. */
const mostTurns = 20;

/** The same choices for the same seed. */
export function seededChoices(seed: number): Choose {
  let next = 0;
  return (bound) => (threefry2x32(seed >>> 0, 0, next++, 0)[0] >>> 0) % bound;
}
