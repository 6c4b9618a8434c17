/**
 * Reductions of a tile along its last axis: within an invocation, then over the invocations that share the
 * axis.
 */
import type { Arithmetic } from '../../../compiler/graph/graph.ts';
import type { Tile, TileStatement } from '../../../compiler/tiles/tile-program.ts';
import { barrier } from '../../writing/barriers.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import { type Entry, inTree, merges, placesIn } from '../../writing/reduction.ts';
import { type Emission, type Sum, sharers, tileState } from './emission.ts';
import { applyFunction } from './functions.ts';
import { declareRegisters } from './register-tiles.ts';
import { asWord, fromWord, readWords, sharedStart } from './shared-memory.ts';
import { registerAt } from './tile-elements.ts';
import { literal, type Value } from './values.ts';
import { wordBytes } from './writer.ts';

interface Own extends Value {
  readonly dtype: Arithmetic;
}

type Merge = (left: Entry<Own>, right: Entry<Own>) => Entry<Own>;

export function emitReduce(emission: Emission, statement: TileStatement & { readonly kind: 'reduce' }): void {
  const states = statement.from.map((name) => tileState(emission, name));
  const [source] = states;
  if (source === undefined) throw new Error(`${emission.program.name} reduces nothing`);
  const merge: Merge = (left, right) =>
    merges[statement.combiner](
      (name, dtype, operands) => ({ ...applyFunction(emission.writer, name, dtype, operands), dtype }),
      left,
      right,
    );
  const axes = source.tile.axes.slice(0, -1);
  const { over } = source.tile.axes.at(-1)!;
  const extent = source.fragment.at(-1)!;
  const results = placesIn(source.fragment.slice(0, -1)).map((indices) => {
    const entries = Array.from({ length: extent }, (_, at) =>
      states.map((state): Own => ({ ...registerAt(state, [...indices, at]), dtype: state.tile.dtype })),
    );
    const own = inTree<Entry<Own>>(entries, merge);
    if (over === 'whole' || over === 'lanes' || sharers(emission, over) === 1) return own;
    return reduceAcross(emission, own, over, merge);
  });
  for (const [at, name] of statement.into.entries()) {
    const tile: Tile = { name, dtype: states[at]!.tile.dtype, space: 'register', axes };
    declareRegisters(
      emission,
      tile,
      results.map((entry) => entry[at]!),
    );
  }
}

/** Over the invocations of a row, of a column or of the workgroup, in a tree through shared memory. */
function reduceAcross(
  emission: Emission,
  own: Entry<Own>,
  over: 'rows' | 'columns' | 'threads',
  merge: Merge,
): Entry<Own> {
  const { writer, program, places } = emission;
  const { rows, columns } = program.threads;
  const count = sharers(emission, over);
  const stride = over === 'rows' ? columns : 1;
  const thread = linearValue(places.threads, { isNatural: true });
  const arrays = own.map(({ dtype }, part) => {
    const name = `scratch_${dtype}_${part}`;
    emission.shared.set(name, rows * columns * wordBytes);
    return name;
  });
  const at = (place: Sum): Entry<Own> =>
    own.map(({ dtype }, part) => {
      const [word] = readWords(writer, arrays[part]!, place, 1, `@${emission.scratchVersion}`);
      return { ...fromWord(writer, dtype, word!), dtype };
    });
  const put = (entry: Entry<Own>, guard: Value | undefined) => {
    for (const [part, value] of entry.entries()) {
      const word = asWord(writer, value.dtype, value);
      const address = writer.operation('mad.lo.u32', 'u32', [
        places.threads,
        literal(wordBytes, 'u32'),
        sharedStart(writer, arrays[part]!),
      ]);
      writer.effect(`st.shared.b32 [${address.text}], ${word.text};`, guard);
    }
    emission.scratchVersion++;
  };
  barrier(emission);
  put(own, undefined);
  for (let width = 2 ** Math.ceil(Math.log2(count)) / 2; width >= 1; width /= 2) {
    barrier(emission);
    const bound = Math.min(width, count - width);
    if (bound <= 0) continue;
    const isNear = writer.operation('setp.lt.s32', 'bool', [places[over], literal(bound, 'i32')]);
    writer.when(isNear, false, () =>
      put(merge(at(thread), at(plus(thread, linearConstant(width * stride)))), undefined),
    );
  }
  barrier(emission);
  const along = linearValue(places[over], { isNatural: true });
  return at(plus(thread, times(along, -stride)));
}
