/** What is known of rows that are to be put in order, and what kernels that do it take and leave. */
import type { OrderNode, Tensor } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { store } from '../tile-builder.ts';
import { constant, minimum, type TileExpression } from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import type { ScheduleContext } from './context.ts';

export type OrderForm = 'count' | 'sort' | 'merge';

export interface OrderProblem {
  readonly kind: 'order';
  readonly node: OrderNode;
  readonly rows: number;
  /** Entries of a row, and how many of them are wanted. */
  readonly length: number;
  readonly kept: number;
}

export function orderProblem(node: OrderNode, { tensors }: Pick<ScheduleContext, 'tensors'>): OrderProblem {
  const length = tensors(node.source).shape.at(-1)!;
  const kept = node.result.shape.at(-1)!;
  return { kind: 'order', node, rows: elementCount(node.result) / kept, length, kept };
}

/** Whether the best of tiles are worth a tile of their own. */
export function isTournament({ kept }: OrderProblem, entries: number): boolean {
  return 2 * kept <= entries;
}

/** What is sorted, a row after the other, and where it comes from. */
export interface Entries {
  readonly rows: number;
  readonly length: number;
  /** Where rows end in a run, and how many there are. */
  readonly end: TileExpression;
  readonly rowsEnd: TileExpression;
  readonly key: (offset: TileExpression) => TileExpression;
  /** What stands for an entry: by where it is in its row, and in the tensor. */
  readonly place: (inRow: TileExpression, offset: TileExpression) => TileExpression;
}

/** Where the first entries of each tile, run or row go: so many, beside those of others of its row. */
export interface Sorted {
  readonly kept: number;
  readonly places: Tensor;
  /** None where these are all that is wanted. */
  readonly keys?: Tensor;
  /** What no place is above. */
  readonly lastPlace: number;
}

/** Entries of a tile go there: `result` is the offset of each. */
export function leaving(
  { places, keys, lastPlace }: Sorted,
  axes: readonly TileAxis[],
  result: TileExpression,
  entry: { readonly place: TileExpression; readonly key: TileExpression },
  isKept: TileExpression | undefined,
): readonly TileStatement[] {
  return [
    store(places, axes, result, minimum(entry.place, constant(lastPlace)), isKept),
    ...(keys === undefined ? [] : [store(keys, axes, result, entry.key, isKept)]),
  ];
}
