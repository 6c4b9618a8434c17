/**
 * The expressions of a node as one device evaluates them. Iterators that are cut run over the device's block;
 * a load reads the device's block of its tensor. Whether what it reads lies there is proved, not assumed:
 * the block's start is taken off the subscript, index arithmetic simplifies, and its range must be that of
 * the block. What cannot be proved is a look-up into a dimension that is cut: the device that has it gives
 * it, the others nothing, and the value is still to be combined.
 */
import {
  type AxisList,
  type Mesh,
  type PendingCombiner,
  type Placement,
  sameList,
} from '../../dsl/placement/placement.ts';
import type { LoopId, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import {
  apply,
  constant,
  integer,
  iterator,
  type Load,
  operands,
  scalarType,
  subexpressions,
  withOperands,
} from '../graph/scalar.ts';
import { createInterner } from '../optimize/expressions/interner.ts';
import { rangeAnalysis } from '../optimize/expressions/ranges.ts';
import { simplifierOf } from '../optimize/simplify.ts';
import { Misplaced } from './fault.ts';
import { blockOf, blockStart, isFirst } from './local-blocks.ts';
import { outcomeOf, type State } from './pending.ts';

/** A tensor with its global shape, and where it lives. */
export interface PlacedTensor {
  readonly tensor: Tensor;
  readonly placement: Placement;
}

export interface ExpressionScope {
  readonly mesh: Mesh;
  readonly tensor: (id: TensorId) => PlacedTensor;
  /** Counts of the loops around the node. */
  readonly loops: ReadonlyMap<LoopId, number>;
  /** Of all iterators of the node: their extents on the mesh as a whole, and the axes that cut them. */
  readonly extents: readonly number[];
  readonly lists: readonly AxisList[];
  /** Hears of each read that need not lie in the device's block. */
  readonly onLookUp?: (load: Load, dim: number) => void;
}

export type Pending = ReadonlyMap<string, PendingCombiner>;

/** An expression of one device, and the axes over which its value is still to be combined. */
export interface LocalScalar {
  readonly scalar: Scalar;
  readonly pending: Pending;
}

export interface Localizer {
  /**
   * `reduced` is the pending of the reduced value. Throws `Misplaced` where a pending value is used otherwise
   * than the rule allows.
   */
  readonly local: (root: Scalar, reduced?: Pending) => LocalScalar;
  /** Whether the load surely reads the device's own block of the dimension. */
  readonly isOwn: (load: Load, dim: number) => boolean;
}

const final: Pending = new Map();

/** How a value that one device has and the others put 0 for is combined. */
function keptBy(load: Load): PendingCombiner {
  return scalarType(load) === 'bool' ? 'max' : 'sum';
}

export function localizer(scope: ExpressionScope): Localizer {
  const { mesh, extents, lists, loops } = scope;
  const bounds = { extents: extents.map((extent, axis) => blockOf(extent, lists[axis]!, mesh)), loops };
  const simplify = simplifierOf(bounds, createInterner());
  const range = rangeAnalysis(bounds);

  /** The subscript in the device's block, and whether it is sure to be. */
  function inBlock(subscript: Scalar, { tensor, placement }: PlacedTensor, dim: number) {
    const extent = tensor.shape[dim]!;
    const list = placement.dims[dim]!;
    const scalar = simplify(apply('sub', subscript, blockStart(extent, list, mesh)));
    const { low, high } = range(scalar);
    const block = blockOf(extent, list, mesh);
    // Nothing is ever read from a dimension without positions.
    return { scalar, block, isOwn: extent === 0 || (low >= 0 && high < block) };
  }

  /** Whether the subscript runs over the dimension as the dimension is cut: block and index are the same. */
  function isAligned(subscript: Scalar, { tensor, placement }: PlacedTensor, dim: number): boolean {
    return (
      subscript.op === 'iterator' &&
      extents[subscript.axis] === tensor.shape[dim] &&
      sameList(lists[subscript.axis]!, placement.dims[dim]!)
    );
  }

  function localLoad(load: Load, subscripts: readonly LocalScalar[]): LocalScalar {
    const placed = scope.tensor(load.tensor);
    const { placement } = placed;
    const pending = new Map(placement.pending);
    const conditions: Scalar[] = [];
    const at = subscripts.map(({ scalar, pending: unsettled }, dim) => {
      const list = placement.dims[dim]!;
      if (unsettled.size > 0) {
        const axes = [...unsettled.keys()];
        throw new Misplaced(
          'subscripts are final',
          axes,
          `${placed.tensor.name} is looked up by a value that is still to be combined`,
        );
      }
      if (list.length === 0) return scalar;
      const subscript = load.subscripts[dim]!;
      if (isAligned(subscript, placed, dim)) return subscript;
      const own = inBlock(scalar, placed, dim);
      if (own.isOwn) return own.scalar;
      scope.onLookUp?.(load, dim);
      conditions.push(apply('le', integer(0), own.scalar), apply('lt', own.scalar, integer(own.block)));
      for (const axis of list) pending.set(axis, keptBy(load));
      return own.scalar;
    });
    const read: Load = { ...load, subscripts: at };
    if (conditions.length === 0) return { scalar: read, pending };
    const type = scalarType(load);
    const kept = keptBy(load);
    if ([...placement.pending.values()].some((combiner) => combiner !== kept))
      throw new Misplaced(
        'pending values are used linearly',
        [...placement.pending.keys()],
        `${placed.tensor.name} is looked up in a dimension that is cut before it is combined`,
      );
    const isOwn = conditions.reduce((left, right) => apply('and', left, right));
    return { scalar: apply('select', isOwn, read, constant(type, 0)), pending };
  }

  function combined(scalar: Scalar, inner: readonly LocalScalar[]): LocalScalar {
    const parts = inner.map((part) => part.scalar);
    const pending = new Map<string, PendingCombiner>();
    const masks = inner.map((): string[] => []);
    for (const axis of new Set(inner.flatMap((part) => [...part.pending.keys()]))) {
      const states = inner.map((part): State => part.pending.get(axis) ?? 'whole');
      const outcome = outcomeOf(scalar, states, parts);
      if (outcome === undefined) {
        const what = scalar.op === 'apply' ? scalar.function : scalar.op;
        throw new Misplaced(
          'pending values are used linearly',
          [axis],
          `${what} needs the final value of what is still to be combined over ${axis}`,
        );
      }
      if (outcome.state !== 'whole') pending.set(axis, outcome.state);
      for (const position of outcome.masked) masks[position]!.push(axis);
    }
    const masked = parts.map((part, position) => maskedOver(part, masks[position]!));
    return { scalar: withOperands(scalar, masked), pending };
  }

  function maskedOver(part: Scalar, axes: readonly string[]): Scalar {
    return axes.length === 0
      ? part
      : apply('select', isFirst(axes, mesh), part, constant(scalarType(part), 0));
  }

  function local(root: Scalar, reduced: Pending = final): LocalScalar {
    const done = new Map<Scalar, LocalScalar>();
    for (const scalar of subexpressions(root)) {
      const inner = operands(scalar).map((operand) => done.get(operand)!);
      done.set(scalar, localOne(scalar, inner, reduced));
    }
    return done.get(root)!;
  }

  function localOne(scalar: Scalar, inner: readonly LocalScalar[], reduced: Pending): LocalScalar {
    switch (scalar.op) {
      case 'iterator': {
        const { axis } = scalar;
        if (lists[axis]!.length === 0) return { scalar, pending: final };
        const start = blockStart(extents[axis]!, lists[axis]!, mesh);
        return { scalar: simplify(apply('add', start, iterator(axis))), pending: final };
      }
      case 'load':
        return localLoad(scalar, inner);
      case 'reduced':
        return { scalar, pending: reduced };
      default:
        return combined(scalar, inner);
    }
  }

  return {
    local,
    isOwn: (load, dim) => {
      const { scalar, pending } = local(load.subscripts[dim]!);
      return pending.size === 0 && inBlock(scalar, scope.tensor(load.tensor), dim).isOwn;
    },
  };
}
