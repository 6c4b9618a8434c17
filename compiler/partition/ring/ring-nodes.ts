/**
 * An attention as a ring over the devices of a mesh axis (Liu, Zaharia and Abbeel, "Ring Attention with
 * Blockwise Transformers for Near-Infinite Context", 2023): queries stay, blocks of keys and values go around,
 * and partial softmaxes merge. The nodes are those that `ring` and the library's `flash` are lowered to.
 */
import type {
  BlockNode,
  ComputeNode,
  ExchangeNode,
  GraphInput,
  LoopId,
  Node,
  Scalar,
  SoftmaxSumNode,
  Tensor,
} from '../../graph/graph.ts';
import {
  apply,
  coordinate,
  counter,
  float,
  integer,
  iterator,
  iterators,
  type Load,
  load,
  loadsOf,
  mapScalar,
  reduced,
  substituteIterators,
  substituteLoads,
} from '../../graph/scalar.ts';
import { nodeScalars } from '../../graph/uses.ts';
import { type BlockRead, blockRead, type SequenceAxes, type TensorOf } from './block-reads.ts';

export interface RingMeans {
  readonly axis: string;
  readonly devices: number;
  readonly sequence: SequenceAxes;
  readonly loop: LoopId;
  readonly tensorOf: TensorOf;
  readonly newTensor: (name: string, dtype: Tensor['dtype'], shape: readonly number[]) => Tensor;
}

/** For each query the largest logit so far, the sum of exp(logit − largest), and that sum weighted by values. */
interface Partial {
  readonly top: Tensor;
  readonly total: Tensor;
  readonly weighted: Tensor;
}

/** Blocks by the tensor and dimension that they are of. */
type Blocks = ReadonlyMap<string, Tensor>;

/** Of logits: finite, so that the difference of two is a number. */
const lowest = -(2 - 2 ** -23) * 2 ** 127;

/** Nodes that end in the attention's result. `sequence` is what `sequenceAxes` found for it. */
export function ringNodes(attention: SoftmaxSumNode, means: RingMeans): readonly Node[] {
  const { axis, devices, loop, newTensor, sequence, tensorOf } = means;
  const { extent, logit, result, scoreBody, scoreExtents, value, valueAxes, visible } = attention;
  const outer = result.shape.map((_, own) => own);
  const rows = outer.filter((own) => !valueAxes.includes(own));
  const { queries, keys } = sequence;
  const extents = [...result.shape, extent, ...scoreExtents].map((whole, own) =>
    own === queries.axis || own === keys.axis ? whole / devices : whole,
  );
  const shapeOf = (axes: readonly number[]): readonly number[] => axes.map((own) => extents[own]!);

  const reads = nodeScalars(attention)
    .flatMap(loadsOf)
    .flatMap((each) => {
      const read = blockRead(each, sequence, tensorOf);
      return read === undefined ? [] : [{ key: keyOf(each, read), read, tensor: tensorOf(each.tensor) }];
    });
  const entered = new Map(reads.map(({ key, read, tensor }) => [key, enter(tensor, read.dim)]));
  const own: Blocks = new Map([...entered].map(([key, { result: block }]) => [key, block]));
  const travelling = [...new Set(reads.filter(({ read }) => read.of === 'keys').map(({ key }) => key))];

  const start = partialLike('start');
  const looped = partialLike('held');
  const arrived = travelling.map((key) => copyOf(own.get(key)!, 'held'));
  const inLoop = turn(looped, blocksOf(arrived), before(counter(loop)));
  const shifted = arrived.map((block) => shift(block));
  const states = [looped.top, looped.total, looped.weighted, ...arrived];
  const next = [
    inLoop.after.top,
    inLoop.after.total,
    inLoop.after.weighted,
    ...shifted.map((node) => node.result),
  ];
  const found = states.map((state) => copyOf(state, 'ring'));
  const [top, total, weighted, ...last] = found as [Tensor, Tensor, Tensor, ...Tensor[]];
  const atLast = turn({ top, total, weighted }, blocksOf(last), before(integer(devices - 1)));
  const finished = newTensor(result.name, result.dtype, shapeOf(outer));
  return [
    ...entered.values(),
    map(start.top, float(lowest)),
    map(start.total, float(0)),
    map(start.weighted, float(0)),
    {
      kind: 'loop',
      loop,
      count: devices - 1,
      initial: [
        ...[start.top, start.total, start.weighted].map(({ id }) => id),
        ...travelling.map((key) => own.get(key)!.id),
      ],
      body: {
        name: 'ring',
        inputs: states.map((tensor, at): GraphInput => ({ path: `held.${at}`, tensor })),
        nodes: [...inLoop.nodes, ...shifted],
        outputs: next.map(({ id }, at) => ({ path: `next.${at}`, tensor: id })),
      },
      results: found,
    },
    ...atLast.nodes,
    map(finished, quotient(atLast.after)),
    crossing('leave', finished, queries.axis, result),
  ];

  function enter(tensor: Tensor, dim: number): BlockNode {
    const block = newTensor(
      tensor.name,
      tensor.dtype,
      tensor.shape.map((whole, at) => (at === dim ? whole / devices : whole)),
    );
    return crossing('enter', tensor, dim, block);
  }

  function crossing(direction: BlockNode['direction'], from: Tensor, dim: number, to: Tensor): BlockNode {
    return {
      kind: 'block',
      direction,
      source: from.id,
      cuts: from.shape.map((_, at) => (at === dim ? [axis] : [])),
      devices: from.shape.map((_, at) => (at === dim ? devices : 1)),
      result: to,
    };
  }

  function shift(block: Tensor): ExchangeNode {
    const moved = copyOf(block, 'shift');
    return {
      kind: 'exchange',
      verb: 'shift',
      axes: [axis],
      devices,
      combiner: 'sum',
      source: block.id,
      result: moved,
    };
  }

  function copyOf({ dtype, shape }: Tensor, name: string): Tensor {
    return newTensor(name, dtype, shape);
  }

  function partialLike(name: string): Partial {
    return {
      top: newTensor(`${name}.top`, 'f32', shapeOf(rows)),
      total: newTensor(`${name}.total`, 'f32', shapeOf(rows)),
      weighted: newTensor(`${name}.weighted`, 'f32', shapeOf(outer)),
    };
  }

  function blocksOf(tensors: readonly Tensor[]): Blocks {
    return new Map([...own, ...travelling.map((key, at) => [key, tensors[at]!] as const)]);
  }

  /** The rank that is so many before the device, around the ring. */
  function before(steps: Scalar): Scalar {
    const ahead = apply('add', apply('sub', coordinate(axis, devices), steps), integer(devices));
    return apply('mod', ahead, integer(devices));
  }

  /** Takes in the block of keys of rank `from`. */
  function turn(
    held: Partial,
    blocks: Blocks,
    from: Scalar,
  ): { readonly nodes: readonly Node[]; readonly after: Partial } {
    const weightAxes = [...rows, keys.axis];
    const scoreAxes = [...weightAxes, ...scoreExtents.map((_, at) => keys.axis + 1 + at)];
    const seen = (scalar: Scalar, axes: readonly number[]): Scalar => onBlocks(scalar, blocks, from, axes);
    const score = newTensor('score', 'f32', shapeOf(weightAxes));
    const weights = newTensor('weight', 'f32', shapeOf(weightAxes));
    const after = partialLike('next');
    const isSum = scoreExtents.length > 0;
    const scored = isSum ? load(score, iterators(weightAxes.length)) : seen(scoreBody, weightAxes);
    const visibleHere = visible && seen(visible, weightAxes);
    const ifVisible = (here: Scalar, hidden: number): Scalar =>
      visibleHere === undefined ? here : apply('select', visibleHere, here, float(hidden));
    // In the expressions of both its readers: what only one node reads would become a part of the score.
    const logitHere = ifVisible(
      mapScalar(seen(logit, weightAxes), (part) => (part.op === 'reduced' ? scored : part)),
      lowest,
    );
    const inRow = iterators(rows.length);
    const weight = apply('exp', apply('sub', logitHere, load(after.top, inRow)));
    const onRows = rows.map(iterator);
    const kept = (at: readonly Scalar[]): Scalar =>
      apply('exp', apply('sub', load(held.top, at), load(after.top, at)));
    const summed = (before: Tensor, at: readonly Scalar[], inOrder: readonly Scalar[]): Scalar =>
      apply('add', apply('mul', load(before, inOrder), kept(at)), reduced('f32'));
    const keyIterator = iterator(rows.length);
    const keyOfValue = iterator(outer.length);
    const weighted = apply('mul', load(weights, [...onRows, keyOfValue]), seen(value, [...outer, keys.axis]));
    const nodes: readonly Node[] = [
      ...(isSum ? [reduction(score, 'sum', scoreExtents, seen(scoreBody, scoreAxes))] : []),
      reduction(
        after.top,
        'max',
        shapeOf([keys.axis]),
        logitHere,
        apply('max', load(held.top, inRow), reduced('f32')),
      ),
      map(weights, ifVisible(weight, 0)),
      reduction(
        after.total,
        'sum',
        shapeOf([keys.axis]),
        load(weights, [...inRow, keyIterator]),
        summed(held.total, inRow, inRow),
      ),
      reduction(
        after.weighted,
        'sum',
        shapeOf([keys.axis]),
        weighted,
        summed(held.weighted, onRows, iterators(outer.length)),
      ),
    ];
    return { nodes, after };
  }

  /**
   * The attention's expression over the iterators of a node, which are these axes of the attention: what is
   * read in order is read in the block, and elsewhere positions are those of the whole sequence.
   */
  function onBlocks(scalar: Scalar, blocks: Blocks, from: Scalar, axes: readonly number[]): Scalar {
    // In a block: iterators that the attention does not have.
    const inBlock = { queries: extents.length, keys: extents.length + 1 };
    const marked = substituteLoads(scalar, (each) => {
      const read = blockRead(each, sequence, tensorOf);
      if (read === undefined) return each;
      const subscripts = each.subscripts.with(read.dim, iterator(inBlock[read.of]));
      return load(blocks.get(keyOf(each, read))!, subscripts);
    });
    const at = (own: number): Scalar => iterator(axes.indexOf(own));
    const position = (rank: Scalar, own: number): Scalar =>
      apply('add', apply('mul', rank, integer(extents[own]!)), at(own));
    const stands = new Map([
      [inBlock.queries, at(queries.axis)],
      [inBlock.keys, at(keys.axis)],
      [queries.axis, position(coordinate(axis, devices), queries.axis)],
      [keys.axis, position(from, keys.axis)],
    ]);
    return substituteIterators(marked, (own) => stands.get(own) ?? at(own));
  }

  /** Rows that see nothing give 0. */
  function quotient({ total: sum, weighted: values }: Partial): Scalar {
    const divisor = load(sum, rows.map(iterator));
    const divided = apply('div', load(values, iterators(outer.length)), divisor);
    return visible === undefined
      ? divided
      : apply('select', apply('lt', float(0), divisor), divided, float(0));
  }
}

function keyOf({ tensor }: Load, { of, dim }: BlockRead): string {
  return `${of} ${tensor} ${dim}`;
}

function map(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

function reduction(
  result: Tensor,
  combiner: 'sum' | 'max',
  extents: readonly number[],
  body: Scalar,
  finish?: Scalar,
): ComputeNode {
  return { kind: 'compute', result, body, reduce: { combiner, extents, finish }, grouped: undefined };
}
