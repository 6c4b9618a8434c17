/**
 * The expressions of an attention on a device that has a block of its queries and a block of its keys. What
 * is read in order is read in the block; elsewhere, as in masks, positions stay those of the whole sequence.
 */
import type { Scalar, SoftmaxSumNode, Tensor } from '../../graph/graph.ts';
import {
  apply,
  coordinate,
  integer,
  iterator,
  type Load,
  load,
  substituteIterators,
  substituteLoads,
} from '../../graph/scalar.ts';
import { type BlockRead, blockRead, type SequenceAxes, type TensorOf } from './block-reads.ts';

/** An attention and the mesh axis that divides it. */
export interface Divided {
  readonly attention: SoftmaxSumNode;
  readonly axis: string;
  readonly devices: number;
  readonly sequence: SequenceAxes;
  readonly tensorOf: TensorOf;
}

/** By `blockKey`. */
export type Blocks = ReadonlyMap<string, Tensor>;

/** Of one tensor there may be a block that stays and one that travels. */
export function blockKey({ tensor }: Load, { of, dim }: BlockRead): string {
  return `${of} ${tensor} ${dim}`;
}

/** On a device, of each iterator of the attention. */
export function blockExtents({ attention, devices, sequence }: Divided): readonly number[] {
  const { extent, result, scoreExtents } = attention;
  return [...result.shape, extent, ...scoreExtents].map((whole, axis) =>
    axis === sequence.queries.axis || axis === sequence.keys.axis ? whole / devices : whole,
  );
}

/**
 * @param from the rank whose keys are in the blocks
 * @param axes of the attention, which are the iterators of the node that the expression is to be in, in order
 */
export function inBlocks(
  scalar: Scalar,
  divided: Divided,
  {
    axes,
    blocks,
    from,
  }: { readonly axes: readonly number[]; readonly blocks: Blocks; readonly from: Scalar },
): Scalar {
  const { axis, devices, sequence, tensorOf } = divided;
  const { keys, queries } = sequence;
  const extents = blockExtents(divided);
  // Of blocks: iterators that the attention does not have.
  const ofBlock = { queries: extents.length, keys: extents.length + 1 };
  const marked = substituteLoads(scalar, (each) => {
    const read = blockRead(each, sequence, tensorOf);
    if (read === undefined) return each;
    return load(
      blocks.get(blockKey(each, read))!,
      each.subscripts.with(read.dim, iterator(ofBlock[read.of])),
    );
  });
  const at = (own: number): Scalar => iterator(axes.indexOf(own));
  const position = (rank: Scalar, own: number): Scalar =>
    apply('add', apply('mul', rank, integer(extents[own]!)), at(own));
  return substituteIterators(marked, (own) => {
    switch (own) {
      case ofBlock.queries:
        return at(queries.axis);
      case ofBlock.keys:
        return at(keys.axis);
      case queries.axis:
        return position(coordinate(axis, devices), own);
      case keys.axis:
        return position(from, own);
      default:
        return at(own);
    }
  });
}
