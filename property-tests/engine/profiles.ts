/**
 * Kinds of values that find faults: each is a way of filling a tensor. Rows are along the last dimension: the
 * logits of a token, the picks of a token, the tokens of a sequence.
 */
import { type Choose, pick } from '../../compiler/graph/choice-tape.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { elementCount } from '../../compiler/graph/tensor-type.ts';
import { type CaseTensor, type Content, givenTensor, type Wanted } from './case.ts';
import { drawnWithTraits } from './traits.ts';

/** Fills one row of so many entries. */
type FillRow = (length: number, choose: Choose) => readonly number[];

interface Profile {
  readonly name: string;
  /** Whether all numbers are small integers: then sums are exact in any order. */
  readonly isExact: boolean;
  readonly row: FillRow;
}

const each =
  (draw: (choose: Choose) => number): FillRow =>
  (length, choose) =>
    Array.from({ length }, () => draw(choose));

/** In [−1, 1), of 16 bits. */
const uniform = (choose: Choose): number => (choose(2 ** 17) - 2 ** 16) / 2 ** 16;
const smallInteger = (choose: Choose): number => choose(9) - 4;

/** One entry apart from the others. */
const onePeak =
  (peak: (choose: Choose) => number, rest: (choose: Choose) => number): FillRow =>
  (length, choose) => {
    const place = length > 0 ? choose(length) : 0;
    return Array.from({ length }, (_, position) => (position === place ? peak(choose) : rest(choose)));
  };

const floats: readonly Profile[] = [
  { name: 'uniform', isExact: false, row: each(uniform) },
  { name: 'small integers', isExact: true, row: each(smallInteger) },
  { name: 'zeros', isExact: true, row: each(() => 0) },
  {
    name: 'one-hot',
    isExact: true,
    row: onePeak(
      () => 1,
      () => 0,
    ),
  },
  { name: 'ties', isExact: true, row: each((choose) => choose(2)) },
  { name: 'flat', isExact: false, row: (length, choose) => new Array<number>(length).fill(uniform(choose)) },
  { name: 'peaky', isExact: false, row: onePeak((choose) => 20 + choose(20), uniform) },
  { name: 'sparse', isExact: true, row: each((choose) => (choose(4) === 0 ? smallInteger(choose) : 0)) },
  { name: 'large', isExact: false, row: each((choose) => uniform(choose) * 2 ** 12) },
  { name: 'subnormal', isExact: false, row: each((choose) => uniform(choose) * 2 ** -127) },
];

/** For a range of so many. */
const indices = (range: number): readonly Profile[] => [
  { name: 'any', isExact: true, row: each((choose) => choose(range)) },
  {
    name: 'all the same',
    isExact: true,
    row: (length, choose) => new Array<number>(length).fill(choose(range)),
  },
  { name: 'first', isExact: true, row: each(() => 0) },
  { name: 'last', isExact: true, row: each(() => range - 1) },
  {
    name: 'skewed',
    isExact: true,
    row: each((choose) => Math.min(choose(range), choose(range), choose(range))),
  },
  { name: 'in turn', isExact: true, row: (length) => Array.from({ length }, (_, place) => place % range) },
];

const bools: readonly Profile[] = [
  { name: 'any', isExact: true, row: each((choose) => choose(2)) },
  { name: 'all true', isExact: true, row: each(() => 1) },
  { name: 'all false', isExact: true, row: each(() => 0) },
  {
    name: 'one true',
    isExact: true,
    row: onePeak(
      () => 1,
      () => 0,
    ),
  },
];

const keys: readonly Profile[] = [
  { name: 'any', isExact: true, row: each((choose) => choose(2 ** 16) * 2 ** 16 + choose(2 ** 16)) },
];

const signed: readonly Profile[] = [
  { name: 'small integers', isExact: true, row: each(smallInteger) },
  { name: 'zeros', isExact: true, row: each(() => 0) },
  { name: 'bytes', isExact: true, row: each((choose) => choose(256) - 128) },
];

const unsigned: readonly Profile[] = [
  { name: 'small integers', isExact: true, row: each((choose) => choose(9)) },
  { name: 'zeros', isExact: true, row: each(() => 0) },
  { name: 'bytes', isExact: true, row: each((choose) => choose(256)) },
];

const profilesOf: {
  readonly [K in Content['kind']]: (content: Extract<Content, { kind: K }>) => readonly Profile[];
} = {
  float: () => floats,
  bool: () => bools,
  index: ({ range }) => indices(range),
  key: () => keys,
  signed: () => signed,
  unsigned: () => unsigned,
};

/** @param exact small integers only, for what is compared bit by bit */
export function drawTensor(wanted: Wanted, exact: boolean, choose: Choose): CaseTensor {
  const { content, dtype, shape, given } = wanted;
  if (given !== undefined) return givenTensor(wanted, given);
  const all = (profilesOf[content.kind] as (content: Content) => readonly Profile[])(content);
  // The first as often as all others together.
  const fitting = all.filter(({ isExact }) => isExact || !exact);
  const profile = choose(2) === 0 ? fitting[0]! : pick(choose, fitting);
  const length = shape.at(-1) ?? 1;
  const data = new Float64Array(elementCount({ shape }));
  for (let start = 0; start < data.length; start += length)
    data.set(
      profile.row(length, choose).map((value) => roundTo(dtype, value)),
      start,
    );
  return drawnWithTraits({ dtype, shape, data, profile: profile.name }, wanted, choose);
}
