/**
 * Nodes that follow each other along the same rows, as the maximum, the sum and the quotients of a softmax or
 * the K best of a router and their weights do: one kernel, which has whole rows. What is one number a row, or
 * a few, stays in registers; what is as long as a row is computed again where it is read, and stored only if
 * something else reads it. The graph stays as it is: a cluster is how its nodes are run.
 */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ComputeNode, Graph, Node, OrderNode, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { iterator, load, loadsOf, subexpressions, tensorsOf } from '../graph/scalar.ts';
import { mapNodeScalars, nodeScalars, readsOf } from '../graph/uses.ts';
import { contractionOf } from '../optimize/contraction.ts';
import { inlineInScalar } from '../optimize/inline.ts';
import type { ScheduleContext } from './schedules/context.ts';
import { type ReductionNode, readsRows } from './schedules/reduction.ts';

export interface RowCluster {
  readonly kind: 'rowCluster';
  /** Extents of the axes that all members have first: their product is the number of rows. */
  readonly rows: readonly number[];
  readonly members: readonly RowMember[];
  /** The members as they are in the graph. */
  readonly nodes: readonly RowNode[];
  /** Results that others read. */
  readonly stored: ReadonlySet<TensorId>;
}

export type RowNode = RowMember['node'];

/** A node of a cluster. Loads of results that are as long as a row are replaced by what computes them. */
export type RowMember =
  /** One number a row, from a walk along it. */
  | { readonly kind: 'statistic'; readonly node: ReductionNode }
  /** A few numbers a row, each written out. */
  | { readonly kind: 'few'; readonly node: ComputeNode }
  /** The places of the best entries of a row, `entry` at the iterator behind those of the rows. */
  | { readonly kind: 'best'; readonly node: OrderNode; readonly entry: Scalar }
  /** As long as a row, or longer. */
  | { readonly kind: 'wide'; readonly node: ComputeNode };

/** Results of a row that are kept in registers at most. */
const mostKept = 8;
/** Terms that are written out for one node at most. */
const mostTerms = 32;
/** Distinct subexpressions of a member, to keep kernels compilable. */
const mostParts = 300;

/**
 * The nodes of a list, those of clusters as one. What comes between them and needs nothing of the cluster is
 * put before it; a route, which needs all rows at once, behind it.
 */
export function clusterRows(
  nodes: readonly Node[],
  outputs: Graph['outputs'],
  context: ScheduleContext,
): readonly (Node | RowCluster)[] {
  const readers = readersOf(nodes, outputs);
  const parts: (Node | RowCluster)[] = [];
  let open: Growing | undefined;
  const close = () => {
    if (open !== undefined) parts.push(...closed(open, readers));
    open = undefined;
  };
  for (const node of nodes) {
    const grown = open && grownBy(open, node, readers, context);
    if (grown !== undefined) {
      open = grown;
      continue;
    }
    const started = begun(node, readers, context);
    if (open !== undefined && (started !== undefined || needs(node, open))) close();
    if (started === undefined) parts.push(node);
    else open = started;
  }
  close();
  return parts;
}

// ── growing ────────────────────────────────────────────────────────────────────────────────────────────────

interface Growing {
  readonly rows: readonly number[];
  /** The nodes as they are in the graph, and what they are in the kernel. */
  readonly nodes: readonly RowNode[];
  readonly members: readonly RowMember[];
  readonly own: ReadonlyMap<TensorId, RowMember>;
  readonly behind: readonly Node[];
}

/** The nodes that read each tensor; undefined among them stands for what is outside of the list. */
type Readers = ReadonlyMap<TensorId, readonly (Node | undefined)[]>;

function readersOf(nodes: readonly Node[], outputs: Graph['outputs']): Readers {
  const readers = new Map<TensorId, (Node | undefined)[]>();
  const add = (tensor: TensorId, reader: Node | undefined) => {
    const known = readers.get(tensor);
    if (known === undefined) readers.set(tensor, [reader]);
    else known.push(reader);
  };
  for (const node of nodes) for (const tensor of readsOf(node)) add(tensor, node);
  for (const { tensor } of outputs) add(tensor, undefined);
  return readers;
}

/** The cluster that begins with the node. */
function begun(node: Node, readers: Readers, context: ScheduleContext): Growing | undefined {
  const rows = firstRows(node);
  return rows && joined({ rows, nodes: [], members: [], own: new Map(), behind: [] }, node, readers, context);
}

function firstRows(node: Node): readonly number[] | undefined {
  if (node.kind === 'compute' && node.reduce !== undefined) return node.result.shape;
  return node.kind === 'order' ? node.result.shape.slice(0, -1) : undefined;
}

function grownBy(open: Growing, node: Node, readers: Readers, context: ScheduleContext): Growing | undefined {
  const needed = readsOf(node);
  if (![...open.own.keys()].some((id) => needed.has(id))) return undefined;
  if (node.kind === 'route') return { ...open, behind: [...open.behind, node] };
  return open.behind.flatMap(results).some(({ id }) => needed.has(id))
    ? undefined
    : joined(open, node, readers, context);
}

function needs(node: Node, { own, behind }: Growing): boolean {
  const needed = readsOf(node);
  return [...own.keys(), ...behind.flatMap(results).map(({ id }) => id)].some((id) => needed.has(id));
}

function joined(open: Growing, node: Node, readers: Readers, context: ScheduleContext): Growing | undefined {
  if (node.kind !== 'compute' && node.kind !== 'order') return undefined;
  const member = memberOf(open, node, context);
  if (member === undefined) return undefined;
  const grown = withMembers(open, [...open.nodes, node], [...open.members, member]);
  return buffersOf(grown, readers) <= context.device.maxStorageBuffersPerStage ? grown : undefined;
}

function withMembers(open: Growing, nodes: readonly RowNode[], members: readonly RowMember[]): Growing {
  return { ...open, nodes, members, own: new Map(members.map((member) => [member.node.result.id, member])) };
}

/** What the kernel reads from memory, and what it stores. */
function buffersOf(growing: Growing, readers: Readers): number {
  const read = new Set(growing.members.flatMap((member) => [...tensorsOfMember(member)]));
  const outside = [...read].filter((id) => !growing.own.has(id));
  return outside.length + storedBy(growing, readers).size;
}

function tensorsOfMember(member: RowMember): ReadonlySet<TensorId> {
  return member.kind === 'best' ? tensorsOf(member.entry) : readsOf(member.node);
}

function storedBy({ nodes, own }: Growing, readers: Readers): ReadonlySet<TensorId> {
  const inside = new Set<Node | undefined>(nodes);
  return new Set(
    [...own.keys()].filter((id) => readers.get(id)?.some((reader) => !inside.has(reader)) ?? false),
  );
}

/**
 * A reduction by itself has a kernel already; the best entries of a row have a better one here. What turned
 * out to be read by others and cannot be stored by an invocation ends the cluster before it.
 */
function closed(growing: Growing, readers: Readers): readonly (Node | RowCluster)[] {
  const { rows, nodes, members, behind } = growing;
  const stored = storedBy(growing, readers);
  const end = members.findIndex((member) => stored.has(member.node.result.id) && !isStorable(member, rows));
  if (end >= 0) {
    const before = withMembers(growing, nodes.slice(0, end), members.slice(0, end));
    return [...closed({ ...before, behind: [] }, readers), ...nodes.slice(end), ...behind];
  }
  const [only] = members;
  if (members.length === 0 || (members.length === 1 && only?.kind !== 'best')) return [...nodes, ...behind];
  return [{ kind: 'rowCluster', rows, members, nodes, stored }, ...behind];
}

/** Whether an invocation may store it: whole words, of which no other has a part. */
function isStorable({ kind, node: { result } }: RowMember, rows: readonly number[]): boolean {
  const inner = result.shape.slice(rows.length);
  if (bitsOf(result) === 32) return true;
  return kind === 'wide' ? inner.at(-1)! % 4 === 0 : elementCount(inner) === 1;
}

// ── members ────────────────────────────────────────────────────────────────────────────────────────────────

/** What the node would be in the cluster; undefined where it does not fit in. */
function memberOf(open: Growing, node: RowNode, context: ScheduleContext): RowMember | undefined {
  if (results(node).some((tensor) => elementCount(tensor.shape) === 0)) return undefined;
  if (node.kind === 'order') return bestOf(open, node, context);
  if (node.grouped !== undefined || !hasRows(open, node.result)) return undefined;
  if (!readsOwnRow(open, nodeScalars(node))) return undefined;
  const written = mapNodeScalars(node, (scalar) => withoutWide(open, scalar));
  if (nodeScalars(written).some((scalar) => subexpressions(scalar).length > mostParts)) return undefined;
  return written.reduce === undefined
    ? mapMember(open, written)
    : reductionMember(open, { ...written, reduce: written.reduce }, context);
}

function mapMember(open: Growing, node: ComputeNode): RowMember | undefined {
  const inner = node.result.shape.slice(open.rows.length);
  if (elementCount(inner) <= mostKept) return { kind: 'few', node };
  return isSpread(open.rows, elementCount(inner)) ? { kind: 'wide', node } : undefined;
}

function reductionMember(
  open: Growing,
  node: ReductionNode,
  context: ScheduleContext,
): RowMember | undefined {
  const { combiner, extents } = node.reduce;
  if (contractionOf(node) !== undefined || extents.includes(0)) return undefined;
  const inner = node.result.shape.slice(open.rows.length);
  const isPositional = combiner === 'argmax' || combiner === 'argmin';
  const terms = elementCount(inner) * elementCount(extents);
  const isFew = terms <= mostTerms && elementCount(inner) <= mostKept;
  if (open.members.length > 0 && !isPositional && isFew) return { kind: 'few', node };
  const isStatistic = inner.length === 0 && isSpread(open.rows, elementCount(extents));
  return isStatistic && readsRows(node, context) ? { kind: 'statistic', node } : undefined;
}

function bestOf(open: Growing, node: OrderNode, context: ScheduleContext): RowMember | undefined {
  const source = context.tensors(node.source);
  const rank = source.shape.length;
  const wanted = node.result.shape.at(-1)!;
  const isAlongRows = rank === open.rows.length + 1 && hasRows(open, node.result);
  if (!isAlongRows || wanted > mostKept || source.dtype === 'bool') return undefined;
  if (!context.device.software && !isSpread(open.rows, source.shape.at(-1)!)) return undefined;
  const entry = withoutWide(
    open,
    load(
      source,
      source.shape.map((_, axis) => iterator(axis)),
    ),
  );
  return { kind: 'best', node, entry };
}

/** Whether the tensor's first axes are those of the rows. */
function hasRows({ rows }: Growing, { shape }: Tensor): boolean {
  return rows.every((extent, axis) => shape[axis] === extent);
}

/** Whether what is read of the cluster's own results is of the row at hand. */
function readsOwnRow({ rows, own }: Growing, scalars: readonly Scalar[]): boolean {
  return scalars.every((scalar) =>
    loadsOf(scalar).every(
      ({ tensor, subscripts }) =>
        !own.has(tensor) ||
        rows.every((extent, axis) => {
          const subscript = subscripts[axis];
          if (subscript?.op === 'constant') return extent === 1;
          return subscript?.op === 'iterator' && subscript.axis === axis;
        }),
    ),
  );
}

/** What is as long as a row is computed where it is read. */
function withoutWide({ members }: Growing, scalar: Scalar): Scalar {
  return members.reduceRight(
    (written, member) => (member.kind === 'wide' ? inlineInScalar(written, member.node) : written),
    scalar,
  );
}

/** Elements of a row that one workgroup takes well: of few rows, a long one is work for the whole device. */
const longestOfFew = 4096;

function isSpread(rows: readonly number[], length: number): boolean {
  return length <= longestOfFew || elementCount(rows) >= 32;
}

function elementCount(extents: readonly number[]): number {
  return extents.reduce((total, extent) => total * extent, 1);
}

function bitsOf({ dtype }: Tensor): number {
  return dtypeFacts[dtype].bits;
}
