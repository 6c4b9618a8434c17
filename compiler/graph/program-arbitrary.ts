/** Random programs for fast-check, which shrink as programs do and not as the choices they were made of. */
import fc from 'fast-check';
import type { Choose } from './choice-tape.ts';
import type { RandomProgram } from './random-graph.ts';
import { smallerPrograms } from './shrink-graph.ts';

/** Of a counterexample at most so many smaller programs are tried, so that a failing test ends soon. */
const mostTries = 1500;

/** How many may still be tried; shared by all that one value shrinks to. */
interface Budget {
  tries: number;
}

class ProgramArbitrary extends fc.Arbitrary<RandomProgram> {
  readonly make: (choose: Choose) => RandomProgram;

  constructor(make: (choose: Choose) => RandomProgram) {
    super();
    this.make = make;
  }

  generate(random: fc.Random): fc.Value<RandomProgram> {
    const program = this.make((bound) => random.nextInt(0, bound - 1));
    return new fc.Value(program, { tries: mostTries } satisfies Budget);
  }

  canShrinkWithoutContext(_: unknown): _ is RandomProgram {
    return false;
  }

  shrink(program: RandomProgram, context: unknown): fc.Stream<fc.Value<RandomProgram>> {
    return new fc.Stream(smaller(program, context as Budget));
  }
}

function* smaller(program: RandomProgram, budget: Budget): IterableIterator<fc.Value<RandomProgram>> {
  for (const candidate of smallerPrograms(program)) {
    if (budget.tries-- <= 0) return;
    yield new fc.Value(candidate, budget);
  }
}

export function programArbitrary(make: (choose: Choose) => RandomProgram): fc.Arbitrary<RandomProgram> {
  return new ProgramArbitrary(make);
}
