/** Pieces of shared memory: elements of tiles, each in a word, and what invocations meet in. */
import type { Tile } from '../../../compiler/tiles/tile-program.ts';
import { linearConstant, plus, times } from '../../writing/linear.ts';
import type { Emission, Sum, TileState } from './emission.ts';
import { termsOf } from './sums.ts';
import { type Lanes, lanesFrom, literal, type Value, type ValueType } from './values.ts';
import { type Writer, wordBytes } from './writer.ts';

/** The register of an element's address in a piece of shared memory, and what is to be added. */
export function sharedAddress(emission: Emission, name: string, place: Sum): readonly [Value, number] {
  const { writer, shared } = emission;
  const terms = termsOf(writer, times({ ...place, constant: 0 }, wordBytes));
  const start = sharedStart(emission);
  const register = terms === undefined ? start : writer.operation('add.u32', 'u32', [start, terms]);
  return [register, shared.start(name) + place.constant * wordBytes];
}

/** Where an element of a tile is, in words behind its first. */
export function sharedPlace({ axes, padding = 0 }: Tile, subscripts: readonly Sum[]): Sum {
  const last = axes.length - 1;
  return subscripts.reduce<Sum>(
    (total, subscript, axis) =>
      plus(times(total, axes[axis]!.extent + (axis === last ? padding : 0)), subscript),
    linearConstant(0),
  );
}

/** What a module calls the shared memory of its kernels. */
export const sharedSymbol = 'shared_memory';

export function sharedStart({ writer }: Emission): Value {
  return writer.compute(['u32'], [], ([result]) => `mov.u32 ${result}, ${sharedSymbol};`)[0]!;
}

/** A bool takes a word there. */
export function asWord(writer: Writer, dtype: ValueType, value: Value): Value {
  if (dtype !== 'bool') return value;
  if (value.known !== undefined) return literal(value.known, 'u32');
  return writer.operation('selp.b32', 'u32', [literal(1, 'u32'), literal(0, 'u32'), value]);
}

export function fromWord(writer: Writer, dtype: Tile['dtype'], word: Value): Value {
  if (dtype !== 'bool') return { ...word, dtype };
  return writer.operation('setp.ne.u32', 'bool', [word, literal(0, 'u32')]);
}

export function readShared(emission: Emission, { tile, version }: TileState, place: Sum): Value {
  const [word] = readWords(emission, tile.name, place, 1, `@${version}`);
  return fromWord(emission.writer, tile.dtype, word!);
}

export function readSharedLanes(
  emission: Emission,
  state: TileState,
  start: Sum,
  stride: number,
  isAligned: boolean,
): Lanes {
  const { writer } = emission;
  const { tile, version } = state;
  if (stride === 0) return [readShared(emission, state, start)];
  if (!isAligned)
    return lanesFrom(4, (lane) => readShared(emission, state, plus(start, linearConstant(lane * stride))));
  const words = readWords(emission, tile.name, start, 4, `@${version}`);
  return lanesFrom(4, (lane) => fromWord(writer, tile.dtype, words[lane]!));
}

/** Neighbours in shared memory, as they are in a version of it. */
export function readWords(
  emission: Emission,
  name: string,
  place: Sum,
  count: 1 | 4,
  version: string,
): readonly Value[] {
  const [register, displacement] = sharedAddress(emission, name, place);
  return emission.writer.compute(
    Array.from({ length: count }, () => 'u32' as const),
    [register],
    (results, [at]) => {
      const into = count === 1 ? results[0] : `{${results.join(', ')}}`;
      return `ld.shared${count === 4 ? '.v4' : ''}.b32 ${into}, [${at}+${displacement}];`;
    },
    { fixed: true, version: `${name}${version}` },
  );
}
