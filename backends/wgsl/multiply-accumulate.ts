/** `into[m, n] += Σ_k left[m, k] · right[k, n]` on registers, unrolled. */
import type { StatementOf } from '../../compiler/tiles/tile-program.ts';
import type { Emission, TileState } from './emission.ts';
import { registerAt, tileState } from './tile-elements.ts';
import { component } from './values.ts';
import { splat, typeText } from './wgsl-text.ts';
import type { Value } from './writer.ts';

export function emitMultiplyAccumulate(
  emission: Emission,
  statement: StatementOf<'multiplyAccumulate'>,
): void {
  const into = tileState(emission, statement.into);
  const left = tileState(emission, statement.left);
  const right = tileState(emission, statement.right);
  if (statement.rightOrder === 'kn') outerProducts(emission, into, left, right);
  else innerProducts(emission, into, left, right);
  into.version++;
}

/** For each k, a column of `left` times a row of `right`, whose vectors run along n as the result's do. */
function outerProducts(emission: Emission, into: TileState, left: TileState, right: TileState): void {
  const [rows, columns] = into.fragment as [number, number];
  const depth = extentAlong(right, 0);
  for (let k = 0; k < depth; k++)
    for (let m = 0; m < rows; m++) {
      const factor = registerAt(emission, left, [m, k], k);
      for (let n = 0; n < columns; n += into.width) {
        const row = rightVector(emission, right, k, n, into.width);
        accumulate(emission, into, m, n, factor, row);
      }
    }
}

function rightVector(emission: Emission, right: TileState, k: number, n: number, width: 1 | 4): Value {
  if (width === 1) return registerAt(emission, right, [k, n], n);
  if (right.width !== 4)
    throw new Error(`${emission.program.name}: vectors of ${right.tile.name} do not run as the result's`);
  return registerAt(emission, right, [k, n], undefined);
}

function accumulate(
  emission: Emission,
  into: TileState,
  m: number,
  n: number,
  factor: Value,
  row: Value,
): void {
  const target = into.registers[Math.floor((m * into.fragment[1]! + n) / into.width)]!;
  const a = splat(factor.text, factor, into.width);
  const b = splat(row.text, row, into.width);
  emission.writer.statement(`${target.text} = fma(${a}, ${b}, ${target.text});`);
}

/**
 * For each element, the scalar product of a row of `left` and a row of `right`, both with vectors along k.
 */
function innerProducts(emission: Emission, into: TileState, left: TileState, right: TileState): void {
  const [rows, columns] = into.fragment as [number, number];
  const depth = extentAlong(right, 1);
  const { width } = into;
  for (let k = 0; k < depth; k += left.width)
    for (let m = 0; m < rows; m++) {
      const a = vectorAt(emission, left, m, k);
      for (let n = 0; n < columns; n += width) {
        const products = Array.from({ length: width }, (_, lane) => {
          const b = vectorAt(emission, right, n + lane, k);
          if (left.width === 1 && right.width === 1) return `${a.text} * ${b.text}`;
          return `dot(${splat(a.text, a, 4)}, ${splat(b.text, b, 4)})`;
        });
        const target = into.registers[Math.floor((m * columns + n) / width)]!;
        const added = width === 1 ? products[0]! : `${typeText('f32', 4)}(${products.join(', ')})`;
        emission.writer.statement(`${target.text} += ${added};`);
      }
    }
}

function vectorAt(emission: Emission, state: TileState, row: number, k: number): Value {
  return state.width === 4
    ? registerAt(emission, state, [row, k], undefined)
    : component(registerAt(emission, state, [row, k], k), 0);
}

/** The extent of an axis that every invocation has whole (or reads from all lanes). */
function extentAlong(state: TileState, axis: number): number {
  return state.tile.axes[axis]!.extent;
}
