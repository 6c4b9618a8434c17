/**
 * An attention as a ring over the devices of a mesh axis (Liu, Zaharia and Abbeel, "Ring Attention with
 * Blockwise Transformers for Near-Infinite Context", 2023): queries stay, and blocks of keys and values go
 * around. The nodes are those that `ring` is lowered to.
 */
import type { BlockNode, ExchangeNode, GraphInput, LoopId, Node, Scalar, Tensor } from '../../graph/graph.ts';
import { apply, coordinate, counter, integer, loadsOf } from '../../graph/scalar.ts';
import { nodeScalars } from '../../graph/uses.ts';
import { blockRead } from './block-reads.ts';
import { type Blocks, blockExtents, blockKey, type Divided } from './in-blocks.ts';
import {
  finishNode,
  type NewTensor,
  newPartial,
  type Partial,
  startNodes,
  stepNodes,
} from './partial-softmax.ts';

/** Nodes that end in the attention's result. The last turn is not in the loop: after it nothing is sent. */
export function ringNodes(divided: Divided, loop: LoopId, newTensor: NewTensor): readonly Node[] {
  const { attention, axis, devices, sequence } = divided;
  const { result } = attention;
  const { entered, travelling } = enteredBlocks(divided, newTensor);
  const own = new Map([...entered].map(([key, node]) => [key, node.result]));
  const copies = (name: string): readonly Tensor[] =>
    travelling.map((key) => copyOf(own.get(key)!, name, newTensor));
  const blocksIn = (tensors: readonly Tensor[]): Blocks =>
    new Map([...own, ...travelling.map((key, at) => [key, tensors[at]!] as const)]);
  const turn = (held: Partial, tensors: readonly Tensor[], steps: Scalar) =>
    stepNodes(divided, { held, blocks: blocksIn(tensors), from: rankBefore(steps, divided) }, newTensor);

  const start = newPartial('start', divided, newTensor);
  const held = newPartial('held', divided, newTensor);
  const arrived = copies('held');
  const inLoop = turn(held, arrived, counter(loop));
  const shifts = arrived.map((block): ExchangeNode => {
    const sent = copyOf(block, 'shift', newTensor);
    const source = block.id;
    return { kind: 'exchange', verb: 'shift', axes: [axis], devices, combiner: 'sum', source, result: sent };
  });
  const states = [...tensorsOf(held), ...arrived];
  const next = [...tensorsOf(inLoop.after), ...shifts.map((node) => node.result)];
  const before = newPartial('ring', divided, newTensor);
  const last = copies('ring');
  const atLast = turn(before, last, integer(devices - 1));
  const extents = blockExtents(divided);
  const block = newTensor(
    result.name,
    result.dtype,
    result.shape.map((_, own) => extents[own]!),
  );
  return [
    ...entered.values(),
    ...startNodes(start),
    {
      kind: 'loop',
      loop,
      count: devices - 1,
      initial: [...tensorsOf(start), ...travelling.map((key) => own.get(key)!)].map(({ id }) => id),
      body: {
        name: 'ring',
        inputs: states.map((tensor, at): GraphInput => ({ path: `held.${at}`, tensor })),
        nodes: [...inLoop.nodes, ...shifts],
        outputs: next.map(({ id }, at) => ({ path: `next.${at}`, tensor: id })),
      },
      results: [...tensorsOf(before), ...last],
    },
    ...atLast.nodes,
    finishNode(block, atLast.after, divided),
    border('leave', block, result, sequence.queries.axis, divided),
  ];
}

interface Entered {
  /** By `blockKey`. */
  readonly entered: ReadonlyMap<string, BlockNode>;
  /** Those of keys. */
  readonly travelling: readonly string[];
}

function enteredBlocks(divided: Divided, newTensor: NewTensor): Entered {
  const { attention, devices, sequence, tensorOf } = divided;
  const entered = new Map<string, BlockNode>();
  const travelling = new Set<string>();
  for (const each of nodeScalars(attention).flatMap(loadsOf)) {
    const read = blockRead(each, sequence, tensorOf);
    if (read === undefined) continue;
    const key = blockKey(each, read);
    if (read.of === 'keys') travelling.add(key);
    if (entered.has(key)) continue;
    const whole = tensorOf(each.tensor);
    const shape = whole.shape.with(read.dim, whole.shape[read.dim]! / devices);
    const block = newTensor(whole.name, whole.dtype, shape);
    entered.set(key, border('enter', whole, block, read.dim, divided));
  }
  return { entered, travelling: [...travelling] };
}

function border(
  direction: BlockNode['direction'],
  from: Tensor,
  result: Tensor,
  dim: number,
  { axis, devices }: Divided,
): BlockNode {
  const cuts = from.shape.map((_, at) => (at === dim ? [axis] : []));
  const counts = from.shape.map((_, at) => (at === dim ? devices : 1));
  return { kind: 'block', direction, source: from.id, cuts, devices: counts, result };
}

/** The rank that is so many before the device, around the ring. */
function rankBefore(steps: Scalar, { axis, devices }: Divided): Scalar {
  const ahead = apply('add', apply('sub', coordinate(axis, devices), steps), integer(devices));
  return apply('mod', ahead, integer(devices));
}

function tensorsOf({ top, total, weighted }: Partial): readonly Tensor[] {
  return [top, total, weighted];
}

function copyOf({ dtype, shape }: Tensor, name: string, newTensor: NewTensor): Tensor {
  return newTensor(name, dtype, shape);
}
