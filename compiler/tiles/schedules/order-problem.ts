/** What is known of rows that are to be put in order. */
import type { OrderNode } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import type { ScheduleContext } from './context.ts';

export type OrderForm = 'count' | 'sort';

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
