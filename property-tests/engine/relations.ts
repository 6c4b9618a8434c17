/**
 * The relations of a property's two sides, each judged over the algebra that can tell: `===` over finite
 * fields, `==` in f32 bit by bit, `~=` within what rounding may do. A judgement that cannot be made is no
 * pass.
 */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import {
  type Bounded,
  type BoundNotes,
  type ErrorBound,
  errorBound,
  storeUnits,
} from '../../compiler/graph/error-bound.ts';
import {
  type FieldRelation,
  type FieldValue,
  type FiniteField,
  finiteField,
} from '../../compiler/graph/finite-field.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import { isFloat, sameShape } from '../../compiler/graph/tensor-type.ts';
import type { FloatDtype } from '../../dsl/types/dtype.ts';
import { inputsOver, type Run, type Values } from './runs.ts';

export interface Place {
  readonly path: string;
  readonly index: readonly number[];
}

export type Verdict =
  | { readonly kind: 'holds' }
  | {
      readonly kind: 'fails';
      readonly at: Place;
      readonly left: number;
      readonly right: number;
      /** How far apart they may be, where that is what failed. */
      readonly allowed: number | undefined;
      readonly why: string;
    }
  /** Never a pass. */
  | { readonly kind: 'undecided'; readonly why: string };

export type Relation = '===' | '==' | '~=';

/** Where the sides stand among the outputs: each a tensor, or a record of which every part is compared. */
export interface Sides {
  readonly left: string;
  readonly right: string;
}

/** A side may be run in its own way, as on a mesh: each run gives all outputs, and its own side is taken. */
export interface Runs {
  readonly left: Run;
  readonly right: Run;
}

/** One run gives both sides. */
export function sameRun(run: Run): Runs {
  return { left: run, right: run };
}

/**
 * What one case is judged over. Of runs that are judged several times, the outputs over one of these are
 * always the same, so that a run may remember them.
 */
export interface Algebras {
  readonly field: FiniteField;
  readonly bound: ErrorBound;
  /** What narrow types store is known to the bit. */
  readonly stored: ErrorBound;
}

/**
 * @param pair of primes: of two programs that are not the same, one case in some millions does not tell that,
 * and another case, or another pair, does
 */
export function algebrasFor(pair: number): Algebras {
  return { field: finiteField(pair), bound: errorBound(), stored: errorBound('stored') };
}

/** @param inputs numbers that their dtypes can hold */
export function judge(
  relation: Relation,
  runs: Runs,
  sides: Sides,
  inputs: Values<number>,
  algebras: Algebras = algebrasFor(0),
): Verdict {
  return judges[relation](runs, sides, inputs, algebras);
}

type Judge = (runs: Runs, sides: Sides, inputs: Values<number>, algebras: Algebras) => Verdict;

const judges: { readonly [R in Relation]: Judge } = {
  '===': judgeAlgebraic,
  '==': judgeBitwise,
  '~=': judgeNumeric,
};

/** Whether all elements of the bools of one side are true. */
export function judgeTruth(
  run: Run,
  path: string,
  inputs: Values<number>,
  { bound }: Algebras = algebrasFor(0),
): Verdict {
  const outputs = partsOf(run(bound, inputsOver(bound, inputs)), path);
  for (const [part, value] of outputs) {
    const wrong = findElement(value.data.length, (position) => value.data[position] === 0);
    if (wrong === undefined) continue;
    if (bound.notes.unsure > 0) return undecided(unsureInDevices(bound.notes));
    return fails({ path: part, index: indexOf(wrong, value) }, 0, 1, undefined, 'it is false');
  }
  return bound.notes.unsure > 0 ? undecided(unsureInDevices(bound.notes)) : { kind: 'holds' };
}

// ── === ────────────────────────────────────────────────────────────────────────────────────────────────────

function judgeAlgebraic(runs: Runs, sides: Sides, inputs: Values<number>, algebras: Algebras): Verdict {
  const { field } = algebras;
  const pairs = pairsOf(runs, sides, (run) => run(field, inputsOver(field, inputs)));
  const found = new Map<FieldRelation, Verdict & { kind: 'fails' }>();
  for (const { left, right, path } of pairs)
    eachElement(left, (position) => {
      const [one, other] = [left.data[position]!, right.data[position]!];
      const relation = relationOf(field.relation, one, other);
      if (relation === 'equal' || found.has(relation)) return;
      const at = { path, index: indexOf(position, left) };
      found.set(
        relation,
        fails(at, numberOf(one), numberOf(other), undefined, 'they are not the same number'),
      );
    });
  const { unsure } = field.notes;
  if (unsure > 0)
    return undecided(`${unsure} choices between numbers so close that rounding may have made them otherwise`);
  const different = found.get('different');
  if (different !== undefined) return different;
  if (found.has('unlucky'))
    return undecided('a division by a residue that happens to be 0: draw other inputs');
  const opaque = found.get('opaque-different');
  return opaque === undefined ? { kind: 'holds' } : judgeOpaque(opaque, runs, sides, inputs, algebras);
}

function relationOf(
  relation: (left: FieldValue, right: FieldValue) => FieldRelation,
  left: FieldValue | number,
  right: FieldValue | number,
): FieldRelation {
  if (typeof left !== 'number' && typeof right !== 'number') return relation(left, right);
  return left === right ? 'equal' : 'different';
}

function numberOf(value: FieldValue | number): number {
  return typeof value === 'number' ? value : value.number;
}

/**
 * What differs by functions that are unknown over a field may be equal by a law of theirs: only numbers tell
 * that it is not.
 */
function judgeOpaque(
  found: Verdict & { kind: 'fails' },
  runs: Runs,
  sides: Sides,
  inputs: Values<number>,
  algebras: Algebras,
): Verdict {
  const numeric = judgeNumeric(runs, sides, inputs, algebras);
  if (numeric.kind === 'fails') return numeric;
  const place = `${found.at.path}[${found.at.index.join(', ')}]`;
  return undecided(
    `at ${place} the sides differ by functions such as sqrt or sin, of which no laws are known here; as numbers ` +
      `they are ${numeric.kind === 'holds' ? 'equal up to rounding' : 'not told apart either'}`,
  );
}

// ── == ─────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * In f32 as it is written, which says what devices do only where no sum depends on its order: where all that
 * is summed are integers, up to 2^24.
 */
function judgeBitwise(
  runs: Runs,
  sides: Sides,
  inputs: Values<number>,
  { stored: bound }: Algebras,
): Verdict {
  pairsOf(runs, sides, (run) => run(bound, inputsOver(bound, inputs)));
  const { orderedSums, unsure } = bound.notes;
  if (orderedSums > 0)
    return undecided(
      `${orderedSums} sums are rounded as their order is: only integers below 2^24 are summed exactly`,
    );
  if (unsure > 0) return undecided(unsureInDevices(bound.notes));
  return judgeBits(pairsOf(runs, sides, (run) => run(float32, inputs)));
}

/** Whether the two sides are the same bit by bit, where they were computed already. */
export function sameBits(outputs: Values<number>, sides: Sides): Verdict {
  const run: Run = () => {
    throw new Error('this has been run');
  };
  return judgeBits(pairsOf(sameRun(run), sides, () => outputs));
}

function judgeBits(pairs: readonly Pair<number>[]): Verdict {
  for (const { left, right, path } of pairs) {
    const wrong = findElement(
      left.data.length,
      (position) => !Object.is(left.data[position], right.data[position]),
    );
    if (wrong === undefined) continue;
    const at = { path, index: indexOf(wrong, left) };
    return fails(at, left.data[wrong] as number, right.data[wrong] as number, undefined, 'their bits differ');
  }
  return { kind: 'holds' };
}

// ── ~= ─────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Both sides as f32 and narrow storage make them: each element within what rounding may do to the two at
 * worst, and all elements of an output together within what it does as a rule.
 */
function judgeNumeric(runs: Runs, sides: Sides, inputs: Values<number>, { bound }: Algebras): Verdict {
  const bounds = pairsOf(runs, sides, (run) => run(bound, inputsOver(bound, inputs)));
  if (bound.notes.unsure > 0) return undecided(unsureInDevices(bound.notes));
  const numbers = pairsOf(runs, sides, (run) => run(float32, inputs));
  const verdicts = numbers.map((pair, place) => judgePair(pair, bounds[place]!));
  return worst(verdicts);
}

function judgePair(numbers: Pair<number>, bounds: Pair<Bounded>): Verdict {
  const { left, right, path } = numbers;
  let boundless: number | undefined;
  for (let position = 0; position < left.data.length; position++) {
    const [one, other] = [left.data[position] as number, right.data[position] as number];
    const allowed = errorOf(bounds.left.data[position]!) + errorOf(bounds.right.data[position]!);
    if (allowed === Number.POSITIVE_INFINITY) boundless ??= position;
    else if (!Object.is(one, other) && !(Math.abs(one - other) <= allowed)) {
      const at = { path, index: indexOf(position, left) };
      return fails(at, one, other, allowed, 'they are farther apart than rounding explains');
    }
  }
  if (!isFloat(left) || left.data.length === 0) return { kind: 'holds' };
  const normwise = judgeNorm(numbers, bounds);
  if (normwise.kind === 'fails' || boundless === undefined) return normwise;
  return undecided(unbounded({ path, index: indexOf(boundless, left) }));
}

/**
 * The limit of ‖left − right‖ / ‖right‖. One rounding to a narrow type changes an element by at most its unit
 * roundoff u, and all of them by about u/√6 in the norm, so that two sides with a rounding each are about
 * u/√3 apart: u is a limit that they keep, and half a sum of a hundred such roundings does not. With few
 * elements chance has its say (2u/√count), and of k roundings one after the other errors add up as √k; k is
 * that of the side that has fewer, so that no side excuses itself by being careless. f32 has no such rounding
 * as a rule but sums of thousands: its limit lies between those and the best of narrow types.
 */
function normLimit({ left, right }: Pair<Bounded>): number {
  const [one, other] = [storesOf(left), storesOf(right)];
  const unit = Math.max(one.unit, other.unit);
  if (unit === 0) return f32Limit;
  const roundings = Math.max(1, Math.min(one.stores, other.stores));
  return unit * Math.sqrt(roundings) * (1 + 2 / Math.sqrt(left.data.length));
}

const f32Limit = 2 ** -14;

/** The most roundings on the way to an element, and the coarsest of them. */
function storesOf({ dtype, data }: TensorValue<Bounded>): { readonly stores: number; readonly unit: number } {
  let stores = 0;
  let unit = dtype === 'f32' ? 0 : storeUnits[dtype as FloatDtype];
  for (let position = 0; position < data.length; position++) {
    const value = data[position] as Bounded;
    stores = Math.max(stores, value.stores);
    unit = Math.max(unit, value.storeUnit);
  }
  return { stores, unit };
}

/** Of the elements that have a bound on one side at least. */
function judgeNorm({ left, right, path }: Pair<number>, bounds: Pair<Bounded>): Verdict {
  const squares = { apart: 0, size: 0, lostLeft: 0, lostRight: 0 };
  let worstPosition = 0;
  let worstSquare = -1;
  for (let position = 0; position < left.data.length; position++) {
    const [one, other] = [left.data[position] as number, right.data[position] as number];
    const [oneError, otherError] = [
      errorOf(bounds.left.data[position]!),
      errorOf(bounds.right.data[position]!),
    ];
    const isBounded = Math.min(oneError, otherError) < Number.POSITIVE_INFINITY;
    if (!isBounded || !Number.isFinite(one) || !Number.isFinite(other)) continue;
    const square = (one - other) ** 2;
    squares.apart += square;
    squares.size += Math.max(one ** 2, other ** 2);
    squares.lostLeft += oneError ** 2;
    squares.lostRight += otherError ** 2;
    if (square > worstSquare) [worstPosition, worstSquare] = [position, square];
  }
  // Where even the better side may have lost all digits, as in sums that cancel, its norm says nothing.
  if (squares.size <= Math.min(squares.lostLeft, squares.lostRight)) return { kind: 'holds' };
  const relative = Math.sqrt(squares.apart / squares.size);
  const limit = normLimit(bounds);
  if (!(relative > limit)) return { kind: 'holds' };
  const [one, other] = [left.data[worstPosition] as number, right.data[worstPosition] as number];
  const all = `all elements together are ${relative.toPrecision(2)} apart, relative to their norm`;
  return fails(
    { path, index: indexOf(worstPosition, left) },
    one,
    other,
    limit * Math.sqrt(squares.size),
    `${all}; rounding as it is declared explains ${limit.toPrecision(2)}`,
  );
}

/** Whether all elements of the bools of one side are true, where they were computed already. */
export function judgeTruthOf(outputs: Values<number>, path: string): Verdict {
  for (const [part, value] of partsOf(outputs, path)) {
    const wrong = findElement(value.data.length, (position) => value.data[position] === 0);
    if (wrong !== undefined)
      return fails({ path: part, index: indexOf(wrong, value) }, 0, 1, undefined, 'it is false');
  }
  return { kind: 'holds' };
}

// ── what a device gave ─────────────────────────────────────────────────────────────────────────────────────

/** Whether what a device gave lies within the bound of the reference. */
export function withinBound(reference: Values<Bounded>, notes: BoundNotes, device: Values<number>): Verdict {
  if (notes.unsure > 0) return undecided(unsureInDevices(notes));
  const verdicts = [...reference].map(([path, value]): Verdict => {
    const found = device.get(path);
    if (found === undefined || !sameShape(found, value))
      throw new Error(`the device gave no such output: ${path}`);
    for (let position = 0; position < value.data.length; position++) {
      const own = value.data[position]!;
      const [wanted, other] = [typeof own === 'number' ? own : own.number, found.data[position] as number];
      const allowed = errorOf(own);
      const at = (): Place => ({ path, index: indexOf(position, value) });
      if (allowed === Number.POSITIVE_INFINITY) return undecided(unbounded(at()));
      if (!Object.is(wanted, other) && !(Math.abs(wanted - other) <= allowed))
        return fails(at(), wanted, other, allowed, 'the device is farther off than rounding explains');
    }
    return { kind: 'holds' };
  });
  return worst(verdicts);
}

// ── pairs of outputs ───────────────────────────────────────────────────────────────────────────────────────

interface Pair<V> {
  readonly path: string;
  readonly left: TensorValue<V>;
  readonly right: TensorValue<V>;
}

/**
 * The parts of the left side beside those of the right one. Throws (an internal error) where they do not
 * match.
 */
function pairsOf<V>(runs: Runs, sides: Sides, outputsOf: (run: Run) => Values<V>): readonly Pair<V>[] {
  const onLeft = outputsOf(runs.left);
  const onRight = runs.right === runs.left ? onLeft : outputsOf(runs.right);
  const right = partsOf(onRight, sides.right);
  return [...partsOf(onLeft, sides.left)].map(([path, value]) => {
    const other = right.get(sides.right + path.slice(sides.left.length));
    if (other === undefined || !sameShape(value, other))
      throw new Error(`the sides are of different shapes at ${path}`);
    return { path, left: value, right: other };
  });
}

/** The tensors of a side; throws (an internal error) where there is none. */
export function partsOf<V>(outputs: Values<V>, path: string): Values<V> {
  const parts = new Map([...outputs].filter(([own]) => own === path || own.startsWith(`${path}.`)));
  if (parts.size === 0) throw new Error(`there is no output ${path}`);
  return parts;
}

function indexOf(position: number, { shape }: Pick<TensorValue<unknown>, 'shape'>): readonly number[] {
  let rest = position;
  return shape
    .toReversed()
    .map((extent) => {
      const own = rest % extent;
      rest = Math.floor(rest / extent);
      return own;
    })
    .toReversed();
}

function eachElement<V>({ data }: TensorValue<V>, visit: (position: number) => void): void {
  for (let position = 0; position < data.length; position++) visit(position);
}

function findElement(count: number, isWanted: (position: number) => boolean): number | undefined {
  for (let position = 0; position < count; position++) if (isWanted(position)) return position;
  return undefined;
}

/** Of integers, which are exact, 0. */
function errorOf(value: Bounded | number): number {
  return typeof value === 'number' ? 0 : value.error;
}

// ── verdicts ───────────────────────────────────────────────────────────────────────────────────────────────

function fails(
  at: Place,
  left: number,
  right: number,
  allowed: number | undefined,
  why: string,
): Verdict & { kind: 'fails' } {
  return { kind: 'fails', at, left, right, allowed, why };
}

function undecided(why: string): Verdict {
  return { kind: 'undecided', why };
}

function unbounded({ path, index }: Place): string {
  return `nothing bounds what rounding does at ${path}[${index.join(', ')}]`;
}

function unsureInDevices({ unsure }: BoundNotes): string {
  return `${unsure} comparisons, orders or conversions to integers that rounding may turn`;
}

const severity: { readonly [K in Verdict['kind']]: number } = { holds: 0, undecided: 1, fails: 2 };

function worst(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce((one, other) => (severity[other.kind] > severity[one.kind] ? other : one), {
    kind: 'holds',
  });
}
