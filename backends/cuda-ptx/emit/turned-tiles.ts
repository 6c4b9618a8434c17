/** Filling turned tiles, whose layout is in `turned-layout.ts`. */
import { createDomain } from '../../../compiler/tiles/lanes.ts';
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Tile } from '../../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import type { Emission } from './emission.ts';
import { emit } from './expressions.ts';
import { packedWords } from './narrow.ts';
import { sumOf } from './sums.ts';
import { squareOf, turnedAddress } from './turned-layout.ts';
import { laneOf, literal, type Value } from './values.ts';

/** Neighbours that are computed at once. */
const vector = 4;

/** By all invocations together, each some runs of elements. */
export function fillTurned(emission: Emission, tile: Tile, value: TileExpression): void {
  const { writer, program, places, shared } = emission;
  const square = squareOf(tile);
  const { side, together, inPiece } = square;
  const inRow = side / together;
  const invocations = program.threads.rows * program.threads.columns;
  const rounds = (side * inRow) / invocations;
  if (!Number.isInteger(rounds)) throw new Error(`${program.name}: ${tile.name} is not filled evenly`);
  const domain = createDomain(tile.axes);

  const run = (round: number) => {
    const threads = linearValue(places.threads, { isNatural: true });
    const number = sumOf(writer, plus(threads, linearConstant(round * invocations)));
    const row = writer.operation('shr.u32', 'i32', [number, literal(Math.log2(inRow), 'u32')]);
    const place = writer.operation('and.b32', 'i32', [number, literal(inRow - 1, 'u32')]);
    const column = times(linearValue(place, { isNatural: true }), together);
    const fours = Array.from({ length: together / vector }, (_, at) => {
      const behind = at * vector;
      const point: PointOf<Value> = {
        ...{ domain, width: vector, fragment: [0, behind] },
        coordinates: [linearValue(row, { isNatural: true }), plus(column, linearConstant(behind))],
      };
      const lanes = emit(emission, value, point);
      const four = [0, 1, 2, 3].map((lane) => laneOf(lanes, lane));
      return packedWords(writer, square.stored, four);
    });
    return { row, column, fours };
  };

  // All is read before the first is written, so that all reads are under way together.
  const runs = Array.from({ length: rounds }, (_, round) => run(round));
  for (const { row, column, fours } of runs)
    for (let begin = 0; begin < together; begin += inPiece) {
      const at = sumOf(writer, plus(column, linearConstant(begin)));
      const address = turnedAddress(emission, square, row, at);
      const words = fours.slice(begin / vector, (begin + inPiece) / vector).flat();
      const texts = words.map(({ text }) => text);
      const [type, from] =
        texts.length === 1 ? ['', texts[0]] : [`.v${texts.length}`, `{${texts.join(', ')}}`];
      writer.effect(`st.shared${type}.b32 [${address.text}+${shared.start(tile.name)}], ${from};`);
    }
}
