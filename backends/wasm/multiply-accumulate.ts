/** `into[m, n] += Σ_k left[m, k] · right[k, n]` on registers, unrolled. */
import type { StatementOf } from '../../compiler/tiles/tile-program.ts';
import type { Emission, TileState } from './emission.ts';
import { elementAt, registerValue, setTile, tileState, vectorAt } from './tiles.ts';
import { broadcast, named, transpose, widen } from './values.ts';
import type { Value } from './writer.ts';

export function emitMultiplyAccumulate(
  emission: Emission,
  statement: StatementOf<'multiplyAccumulate'>,
): void {
  const into = tileState(emission, statement.into);
  const left = tileState(emission, statement.left);
  const right = tileState(emission, statement.right);
  const problem: Problem = {
    ...{ into, left, right, rightOrder: statement.rightOrder },
    rows: into.fragment[0]!,
    columns: into.fragment[1]!,
    depth: left.fragment[1]!,
  };
  const totals = into.registers.map((_, at) => registerValue(emission, into, at));
  setTile(
    emission,
    into,
    isLong(problem) ? byRows(emission, problem, totals) : byDepth(emission, problem, totals),
  );
}

interface Problem {
  readonly into: TileState;
  readonly left: TileState;
  readonly right: TileState;
  readonly rightOrder: 'kn' | 'nk';
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

function added(emission: Emission, total: Value, left: Value, right: Value): Value {
  const { writer } = emission;
  const { width } = total;
  if (emission.multiplyAdd && width === 4)
    return writer.instruction('f32x4.relaxed_madd', 'f32', [left, right, total]);
  const product = writer.instruction(named('mul', 'f32', width), 'f32', [left, right]);
  return writer.instruction(named('add', 'f32', width), 'f32', [total, product]);
}

/** Sums that stay in registers beside what is multiplied. */
const mostSums = 8;

/** For each k, a column of `left` times a row of `right`. */
function byDepth(emission: Emission, problem: Problem, before: readonly Value[]): readonly Value[] {
  const { into, left, rows, columns, depth } = problem;
  const { width } = into;
  const totals = [...before];
  const rightOf = rightVectors(emission, problem);
  const across = width * Math.max(1, Math.floor(mostSums / rows));
  for (let start = 0; start < columns; start += across)
    for (let k = 0; k < depth; k++)
      for (let m = 0; m < rows; m++) {
        const factor = leftFactor(emission, left, m, k, width);
        for (let n = start; n < Math.min(columns, start + across); n += width) {
          const at = (m * columns + n) / width;
          totals[at] = added(emission, totals[at]!, factor, rightOf(k, n));
        }
      }
  return totals;
}

function leftFactor(emission: Emission, left: TileState, m: number, k: number, width: 1 | 4): Value {
  if (width === 1) return elementAt(emission, left, [m, k]);
  if (left.width === 1) return widen(emission.writer, elementAt(emission, left, [m, k]), 4);
  return broadcast(emission.writer, vectorAt(emission, left, [m, k]), k % 4);
}

/** `right[k, n …]`, in the width of the result. */
function rightVectors(emission: Emission, problem: Problem): (k: number, n: number) => Value {
  const { into, right, rightOrder } = problem;
  const { writer } = emission;
  if (rightOrder === 'kn')
    return (k, n) =>
      into.width === 1
        ? elementAt(emission, right, [k, n])
        : widen(writer, vectorAt(emission, right, [k, n]), 4);
  if (into.width === 1) return (k, n) => elementAt(emission, right, [n, k]);
  if (right.width === 1)
    throw new Error(`${emission.program.name}: vectors of ${right.tile.name} do not run along its depth`);
  return (k, n) => {
    const block = [0, 1, 2, 3].map((lane) =>
      widen(writer, vectorAt(emission, right, [n + lane, k - (k % 4)]), 4),
    );
    return transpose(writer, block)[k % 4]!;
  };
}

/** Whether vectors along k, with one sum across for all of k, take fewer shuffles than turning `right`. */
function isLong({ into, left, right, rightOrder, rows, depth }: Problem): boolean {
  const hasVectors = into.width === 4 && left.width === 4 && right.width === 4;
  const [acrossShuffles, turningShuffles] = [6 * rows, 2 * depth + rows * depth];
  return rightOrder === 'nk' && hasVectors && acrossShuffles < turningShuffles;
}

/** For each element the scalar product of two rows, four products at a time. */
function byRows(emission: Emission, problem: Problem, before: readonly Value[]): readonly Value[] {
  const { left, right, rows, columns, depth } = problem;
  const { writer } = emission;
  const whole = (state: TileState, row: number, k: number) =>
    widen(writer, vectorAt(emission, state, [row, k]), 4);
  const together = Math.max(1, Math.floor(mostSums / rows));
  const products = new Map<string, Value>();
  for (let start = 0; start < columns; start += together)
    for (let k = 0; k < depth; k += 4)
      for (let n = start; n < Math.min(columns, start + together); n++)
        for (let m = 0; m < rows; m++) {
          const factors = [whole(left, m, k), whole(right, n, k)] as const;
          const sum = products.get(`${m},${n}`);
          const next =
            sum === undefined
              ? writer.instruction('f32x4.mul', 'f32', factors)
              : added(emission, sum, ...factors);
          products.set(`${m},${n}`, next);
        }
  return before.map((total, at) => {
    const m = Math.floor((4 * at) / columns);
    const n = (4 * at) % columns;
    const turned = transpose(
      writer,
      [0, 1, 2, 3].map((lane) => products.get(`${m},${n + lane}`)!),
    );
    return turned.reduce((sum, part) => writer.instruction('f32x4.add', 'f32', [sum, part]), total);
  });
}
