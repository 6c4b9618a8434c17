/** `into[m, n] += Σ_k left[m, k] · right[k, n]` on registers, unrolled. */
import type { StatementOf } from '../../../compiler/tiles/tile-program.ts';
import { type Emission, tileState } from './emission.ts';
import { registerAt } from './tile-elements.ts';

export function emitMultiplyAccumulate(
  emission: Emission,
  statement: StatementOf<'multiplyAccumulate'>,
): void {
  const [into, left, right] = [statement.into, statement.left, statement.right].map((name) =>
    tileState(emission, name),
  );
  const [rows, columns] = into!.fragment as [number, number];
  const depth = right!.fragment[statement.rightOrder === 'kn' ? 0 : 1]!;
  for (let k = 0; k < depth; k++)
    for (let m = 0; m < rows; m++)
      for (let n = 0; n < columns; n++) {
        const sum = into!.registers[m * columns + n]!.text;
        const a = registerAt(left!, [m, k]).text;
        const b = registerAt(right!, statement.rightOrder === 'kn' ? [k, n] : [n, k]).text;
        emission.writer.effect(`fma.rn.f32 ${sum}, ${a}, ${b}, ${sum};`);
      }
  into!.version++;
}
