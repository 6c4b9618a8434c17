/**
 * Products whose operand is gathered, or whose parts are reduced and scattered, as rings: a device multiplies
 * the block at hand while the next one is on its way (Wang et al., "Overlap communication with dependent
 * computation via decomposition in large deep learning models", 2023). A ring sends as much as the collective
 * that it stands for. Where blocks are summed, in the order in which they come, floats are added in another
 * order than before; where they are rows of the result, every bit is the same.
 */
import { tensorBytes } from '../../graph/cost.ts';
import type {
  ComputeNode,
  ExchangeNode,
  Graph,
  LoopId,
  Node,
  Scalar,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import {
  apply,
  arithmeticOf,
  constant,
  counter,
  integer,
  iterator,
  iterators,
  type Load,
  load,
  loadsOf,
  mapScalar,
  reduced,
  scalarKey,
  scalarType,
  substituteIterators,
} from '../../graph/scalar.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { allNodes, allTensors, mapNodeScalars, type Use, uses } from '../../graph/uses.ts';
import { extentsOf, inLoopsFirst, product } from '../../optimize/nodes.ts';
import { ownBlock } from '../local-blocks.ts';
import type { DeviceProgram } from '../localize.ts';
import { secondsOf } from '../traffic.ts';
import type { CollectiveOptions, RingCosts } from './options.ts';

export function ringProducts(program: DeviceProgram, options: CollectiveOptions): DeviceProgram {
  const { rings: costs } = options;
  if (costs === undefined) return program;
  const site = siteOf(program, options, costs);
  const graph = inLoopsFirst(program.graph, (level) =>
    level.nodes.reduce((current, node) => {
      if (node.kind !== 'exchange' || node.devices < 2) return current;
      return gatherRing(current, node, site) ?? scatterRing(current, node, site) ?? current;
    }, level),
  );
  return { ...program, graph };
}

interface Site {
  readonly program: DeviceProgram;
  readonly reassociates: boolean;
  readonly costs: RingCosts;
  readonly readers: ReadonlyMap<TensorId, readonly Use[]>;
  readonly tensors: ReadonlyMap<TensorId, Tensor>;
  readonly newTensor: (like: Tensor, shape: readonly number[]) => Tensor;
  readonly newLoop: () => LoopId;
}

function siteOf(program: DeviceProgram, { reassociates }: CollectiveOptions, costs: RingCosts): Site {
  const { graph } = program;
  const tensors = allTensors(graph);
  let nextTensor = Math.max(-1, ...tensors.keys()) + 1;
  const loops = allNodes(graph).flatMap((node) => (node.kind === 'loop' ? [node.loop] : []));
  let nextLoop = Math.max(-1, ...loops) + 1;
  return {
    program,
    reassociates,
    costs,
    readers: uses(graph),
    tensors,
    newTensor: (like, shape) => ({ ...like, id: nextTensor++, shape }),
    newLoop: () => nextLoop++,
  };
}

/** The node that alone reads the tensor, if it stands in this part of the program. */
function onlyReader(tensor: TensorId, { nodes }: Graph, { readers }: Site): Node | undefined {
  const [use, ...others] = readers.get(tensor) ?? [];
  return others.length === 0 && use?.kind === 'node' ? nodes.find((node) => node === use.node) : undefined;
}

/** Where the device is `steps` behind, around the group. */
function rankBefore(steps: Scalar, { axes, devices }: ExchangeNode, { program }: Site): Scalar {
  // It is never more than twice around.
  const ahead = apply('add', ownBlock(axes, program.mesh), integer(2 * devices));
  return apply('mod', apply('sub', ahead, steps), integer(devices));
}

/** By the model of `secondsOf`: whether it is faster to multiply block by block while blocks travel. */
function pays(
  node: ComputeNode,
  blockBytes: number,
  { axes, devices }: ExchangeNode,
  { costs }: Site,
): boolean {
  const { links, flopsPerSecond, launchSeconds } = costs;
  const turns = devices - 1;
  const moving = secondsOf({ axes, bytes: blockBytes * turns, rounds: turns }, links);
  const computing = (2 * product(extentsOf(node))) / flopsPerSecond;
  const inTurn = Math.max(moving / turns, computing / devices);
  return turns * inTurn + computing / devices + devices * launchSeconds < moving + computing + launchSeconds;
}

function isSum(node: Node | undefined): node is Product {
  return node?.kind === 'compute' && node.reduce?.combiner === 'sum' && node.grouped === undefined;
}

type Product = ComputeNode & { readonly reduce: NonNullable<ComputeNode['reduce']> };

function without(graph: Graph, gone: readonly Node[], last: Node, by: readonly Node[]): Graph {
  const nodes = graph.nodes.flatMap((node) => {
    if (node === last) return by;
    return gone.includes(node) ? [] : [node];
  });
  return { ...graph, nodes };
}

function map(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

// ── a gathered operand ─────────────────────────────────────────────────────────────────────────────────────

/** A product that reads what is gathered along one of its axes. */
interface Gathered {
  readonly exchange: ExchangeNode;
  readonly node: Product;
  /** Of the product, along the dimension that is gathered. */
  readonly axis: number;
  readonly dim: number;
  /** Of the dimension, on one device. */
  readonly block: number;
  readonly unpacked: TensorId;
}

function gatherRing(graph: Graph, exchange: ExchangeNode, site: Site): Graph | undefined {
  if (exchange.verb !== 'all_gather') return undefined;
  const unpack = onlyReader(exchange.result.id, graph, site);
  const opened = unpack?.kind === 'compute' ? unpackedDim(unpack, exchange) : undefined;
  if (unpack?.kind !== 'compute' || opened === undefined) return undefined;
  const node = onlyReader(unpack.result.id, graph, site);
  if (!isSum(node)) return undefined;
  const axis = axisOver(node, unpack.result, opened.dim);
  const source = site.tensors.get(exchange.source)!;
  if (axis === undefined || !pays(node, tensorBytes(source), exchange, site)) return undefined;
  const gathered: Gathered = { exchange, node, axis, ...opened, unpacked: unpack.result.id };
  const isFree = axis < node.result.shape.length;
  if (!isFree && !site.reassociates) return undefined;
  const nodes = isFree ? rowsRing(gathered, source, site) : termsRing(gathered, source, site);
  return without(graph, [exchange, unpack], node, nodes);
}

/** The dimension that the node puts together of blocks, each from another device. */
function unpackedDim(
  { body, reduce, result }: ComputeNode,
  exchange: ExchangeNode,
): { readonly dim: number; readonly block: number } | undefined {
  if (reduce !== undefined || body.op !== 'load' || body.tensor !== exchange.result.id) return undefined;
  const rank = result.shape.length;
  for (const [dim, extent] of result.shape.entries()) {
    const block = extent / exchange.devices;
    if (!Number.isInteger(block) || block === 0) continue;
    const from = apply('floordiv', iterator(dim), integer(block));
    const at = iterators(rank).with(dim, apply('mod', iterator(dim), integer(block)));
    if ([from, ...at].every((each, place) => scalarKey(each) === scalarKey(body.subscripts[place]!)))
      return { dim, block };
  }
  return undefined;
}

/** The one axis of the node that subscripts the dimension by itself, in all loads of the tensor alike. */
function axisOver(node: Product, { id, shape }: Tensor, dim: number): number | undefined {
  const inFinish = node.reduce.finish === undefined ? [] : loadsOf(node.reduce.finish);
  if (inFinish.some(({ tensor }) => tensor === id)) return undefined;
  const subscripts = loadsOf(node.body)
    .filter(({ tensor }) => tensor === id)
    .map((each) => each.subscripts[dim]!);
  const [first] = subscripts;
  if (first?.op !== 'iterator' || extentsOf(node)[first.axis] !== shape[dim]) return undefined;
  const isAlike = (each: Scalar) => each.op === 'iterator' && each.axis === first.axis;
  return subscripts.every(isAlike) ? first.axis : undefined;
}

/** The product with one block in place of what is gathered; `rank` is whose it is. */
function withBlock(gathered: Gathered, held: Tensor, rank: Scalar, result: Tensor): Product {
  const { node, axis, dim, block, unpacked } = gathered;
  const start = apply('mul', rank, integer(block));
  const isBlock = (each: Load) => each.tensor === unpacked;
  const reading = mapNodeScalars(node, (root) => {
    // The block is read from its own start, all else from where the block stands in the whole.
    const marked = mapScalar(root, (scalar) =>
      scalar.op === 'load' && isBlock(scalar)
        ? load(held, scalar.subscripts.with(dim, { op: 'counter', loop: blockMark }))
        : scalar,
    );
    const moved = substituteIterators(marked, (own) =>
      own === axis ? apply('add', start, iterator(axis)) : iterator(own),
    );
    return mapScalar(moved, (scalar) =>
      scalar.op === 'counter' && scalar.loop === blockMark ? iterator(axis) : scalar,
    );
  });
  const reducedAxis = axis - node.result.shape.length;
  const { extents } = node.reduce;
  return {
    ...reading,
    result,
    reduce: {
      ...reading.reduce!,
      extents: reducedAxis < 0 ? extents : extents.with(reducedAxis, block),
    },
  };
}

/** Stands for a subscript within a block while the others are moved: the step of no loop. */
const blockMark: LoopId = -1;

interface Shifting {
  readonly loop: LoopId;
  /** What is at hand in a turn, and after all turns but the last. */
  readonly held: Tensor;
  readonly rest: Tensor;
  readonly shift: ExchangeNode;
}

function shifting(exchange: ExchangeNode, source: Tensor, site: Site): Shifting {
  const [held, next, rest] = [source, source, source].map((like) => site.newTensor(like, like.shape)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  return {
    loop: site.newLoop(),
    held,
    rest,
    shift: { ...exchange, verb: 'shift', source: held.id, result: next },
  };
}

/** Each block gives rows of the result. */
function rowsRing(gathered: Gathered, source: Tensor, site: Site): readonly Node[] {
  const { exchange, node, axis, block } = gathered;
  const { devices } = exchange;
  const { loop, held, rest, shift } = shifting(exchange, source, site);
  const { result } = node;
  const shape = result.shape.with(axis, block);
  const [rows, last] = [site.newTensor(result, shape), site.newTensor(result, shape)];
  const collected = site.newTensor(result, [devices - 1, ...shape]);
  const at = iterators(shape.length).with(axis, apply('mod', iterator(axis), integer(block)));
  const owner = apply('floordiv', iterator(axis), integer(block));
  const turn = rankBefore(owner, exchange, site);
  const isLast = apply('eq', turn, integer(devices - 1));
  const inLoop = load(collected, [apply('min', turn, integer(devices - 2)), ...at]);
  return [
    {
      kind: 'loop',
      loop,
      count: devices - 1,
      initial: [source.id],
      body: {
        name: 'ring',
        inputs: [{ path: 'held', tensor: held }],
        nodes: [shift, withBlock(gathered, held, rankBefore(counter(loop), exchange, site), rows)],
        outputs: [
          { path: 'next', tensor: shift.result.id },
          { path: 'rows', tensor: rows.id },
        ],
      },
      results: [rest, collected],
    },
    withBlock(gathered, rest, rankBefore(integer(devices - 1), exchange, site), last),
    map(result, apply('select', isLast, load(last, at), inLoop)),
  ];
}

/** Each block gives a term of every element. */
function termsRing(gathered: Gathered, source: Tensor, site: Site): readonly Node[] {
  const { exchange, node } = gathered;
  const { devices } = exchange;
  const { loop, held, rest, shift } = shifting(exchange, source, site);
  const type = scalarType(node.body);
  const sum: Tensor = { ...node.result, dtype: type };
  const [zero, total, next, all] = [sum, sum, sum, sum].map((like) => site.newTensor(like, like.shape)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  /** What there was before and the reduction over the block. */
  const added = (before: Tensor) => apply('add', load(before, iterators(before.shape.length)), reduced(type));
  const inTurn = withBlock(gathered, held, rankBefore(counter(loop), exchange, site), next);
  const last = withBlock(gathered, rest, rankBefore(integer(devices - 1), exchange, site), node.result);
  const finish = last.reduce.finish ?? reduced(type);
  return [
    map(zero, constant(type, 0)),
    {
      kind: 'loop',
      loop,
      count: devices - 1,
      initial: [zero.id, source.id],
      body: {
        name: 'ring',
        inputs: [
          { path: 'total', tensor: total },
          { path: 'held', tensor: held },
        ],
        nodes: [shift, { ...inTurn, reduce: { ...inTurn.reduce, finish: added(total) } }],
        outputs: [
          { path: 'total', tensor: next.id },
          { path: 'next', tensor: shift.result.id },
        ],
      },
      results: [all, rest],
    },
    {
      ...last,
      reduce: {
        ...last.reduce,
        finish: mapScalar(finish, (scalar) => (scalar.op === 'reduced' ? added(all) : scalar)),
      },
    },
  ];
}

// ── parts that are reduced and scattered ───────────────────────────────────────────────────────────────────

/**
 * The chunk of a device starts at the one after it and goes once around, each device adding its part; narrow
 * floats stay as they are, since they would be rounded at each.
 */
function scatterRing(graph: Graph, exchange: ExchangeNode, site: Site): Graph | undefined {
  const { verb, combiner, devices, result } = exchange;
  if (verb !== 'reduce_scatter' || combiner !== 'sum' || !site.reassociates) return undefined;
  const pack = definedIn(graph, exchange.source);
  const dim = pack?.kind === 'compute' ? packedDim(pack) : undefined;
  if (pack?.kind !== 'compute' || dim === undefined) return undefined;
  const node = definedIn(graph, loadsOf(pack.body)[0]!.tensor);
  if (!isSum(node) || node.result.dtype !== arithmeticOf(node.result.dtype)) return undefined;
  const isAlone =
    onlyReader(node.result.id, graph, site) === pack && onlyReader(pack.result.id, graph, site) === exchange;
  if (!isAlone || elementCount(result) === 0 || !pays(node, tensorBytes(result), exchange, site))
    return undefined;

  const chunk = (rank: Scalar, to: Tensor): ComputeNode => {
    const start = apply('mul', rank, integer(result.shape[dim]!));
    const moved = mapNodeScalars(node, (root) =>
      substituteIterators(root, (axis) =>
        axis === dim ? apply('add', start, iterator(dim)) : iterator(axis),
      ),
    );
    return { ...moved, result: to };
  };
  const loop = site.newLoop();
  const [first, held, part, next] = [result, result, result, result].map((like) =>
    site.newTensor(like, like.shape),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const received = site.newTensor(result, result.shape);
  const at = iterators(result.shape.length);
  const turn = apply('add', counter(loop), integer(2));
  const nodes: readonly Node[] = [
    chunk(rankBefore(integer(1), exchange, site), first),
    {
      kind: 'loop',
      loop,
      count: devices - 1,
      initial: [first.id],
      body: {
        name: 'ring',
        inputs: [{ path: 'held', tensor: held }],
        nodes: [
          { ...exchange, verb: 'shift', source: held.id, result: received },
          chunk(rankBefore(turn, exchange, site), part),
          map(next, apply('add', load(received, at), load(part, at))),
        ],
        outputs: [{ path: 'next', tensor: next.id }],
      },
      results: [result],
    },
  ];
  return without(graph, [node, pack], exchange, nodes);
}

function definedIn({ nodes }: Graph, tensor: TensorId): Node | undefined {
  return nodes.find((node) => node.kind === 'compute' && node.result.id === tensor);
}

/** The dimension of which a node puts the blocks one after another in a leading axis. */
function packedDim({ body, reduce, result }: ComputeNode): number | undefined {
  if (reduce !== undefined || body.op !== 'load') return undefined;
  const inner = result.shape.slice(1);
  const found = inner.findIndex((block, dim) => {
    const start = apply('mul', iterator(0), integer(block));
    const at = iterators(inner.length, 1).with(dim, apply('add', start, iterator(dim + 1)));
    return at.every((each, place) => scalarKey(each) === scalarKey(body.subscripts[place]!));
  });
  return found < 0 ? undefined : found;
}
