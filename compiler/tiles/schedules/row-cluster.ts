/**
 * Several nodes along the same rows in one kernel, as `row-clusters.ts` puts them together: a workgroup has
 * some rows, walks along them once for each number that it needs of them, keeps these in registers, and at
 * last along what is as long as a row itself. Every invocation reads only what it has or what is in memory
 * from before, so that nothing has to be waited for.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Combiner, ComputeNode, Scalar, Tensor, TensorId } from '../../graph/graph.ts';
import { reduced, scalarType } from '../../graph/scalar.ts';
import { nodeScalars } from '../../graph/uses.ts';
import { asStored } from '../../optimize/inline.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { leastBytesOf, type Rows } from '../choices/rows.ts';
import { combine, isPositional } from '../combiners.ts';
import { endsOf } from '../ends.ts';
import { type Bindings, lowerScalar } from '../lower-scalar.ts';
import { type AxisGroup, groupIterators } from '../merge-axes.ts';
import type { RowCluster, RowMember, RowNode } from '../row-clusters.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, register, store } from '../tile-builder.ts';
import {
  apply,
  arithmeticOfDtype,
  both,
  constant,
  constantValue,
  coordinate,
  element,
  flatten,
  masked,
  product,
  sum,
  type TileExpression,
  unflatten,
} from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';
import { accumulate, walkAlong } from './accumulate.ts';
import { bestPlaces } from './best-places.ts';
import type { ScheduleContext } from './context.ts';
import { flatResults } from './flat-results.ts';
import { loadingAhead } from './load-ahead.ts';
import { mergedGroups } from './merged-groups.ts';
import { beforeEnds } from './reduction.ts';
import { type RowLayout, rowLayout } from './row-layout.ts';

export interface RowClusterProblem {
  readonly kind: 'rowCluster';
  readonly cluster: RowCluster;
  /** The last one, as it is in the graph. */
  readonly node: RowNode;
  readonly rows: Rows;
}

/** Rows are as long as the longest walk along one. */
export function rowClusterProblem(cluster: RowCluster, context: ScheduleContext): RowClusterProblem {
  const { rows, members, stored, nodes } = cluster;
  const isNarrow = members.some(
    ({ kind, node: { result } }) =>
      kind !== 'wide' && stored.has(result.id) && dtypeFacts[result.dtype].bits < 32,
  );
  return {
    kind: 'rowCluster',
    cluster,
    node: nodes.at(-1)!,
    rows: {
      count: rows.reduce((total, extent) => total * extent, 1),
      inner: Math.max(...members.map((member) => walkOf(member, rows.length, context).at(-1)?.extent ?? 1)),
      isPositional: members.some(
        ({ kind, node }) => kind === 'best' || (kind === 'statistic' && isPositional(node.reduce.combiner)),
      ),
      isNarrow,
      together: 4,
      leastBytes: leastBytesOf(members.flatMap(({ node }) => nodeScalars(node))),
    },
  };
}

export function scheduleRowCluster(
  { cluster }: RowClusterProblem,
  choice: ChoiceOf<'rows'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const layout = rowLayout(choice, context.device);
  const tile = layout.rows.extent;
  const ends = cluster.members[0]?.node.result.ends?.slice(0, cluster.rows.length);
  const { flat: row, mask, ...ofGrid } = flatResults({ shape: cluster.rows, ...(ends && { ends }) }, tile);
  const kept = new Map<TensorId, readonly string[]>();
  const writing: Writing = { cluster, context, layout, mask, row, kept };
  const body = cluster.members.flatMap((member, at) => [...statementsOf(writing, member, `m${at}_`)]);
  const last = cluster.members.at(-1)!;
  const kernel = context.kernel({
    name: `rows_${last.node.result.name}`,
    ...ofGrid,
    threads: layout.threads,
    body: context.device.keptElements === undefined ? body : loadingAhead(body),
  });
  return [kernel];
}

interface Writing {
  readonly cluster: RowCluster;
  readonly context: ScheduleContext;
  readonly layout: RowLayout;
  /** Whether a row is one; undefined where all are. */
  readonly mask: TileExpression | undefined;
  /** The flat row, for each row of a tile. */
  readonly row: TileExpression;
  /** For each result in registers the names of its tiles, one for each of its elements in a row. */
  readonly kept: Map<TensorId, readonly string[]>;
}

/** The axes that a member walks along in each row. */
function walkOf(member: RowMember, rank: number, context: ScheduleContext): readonly AxisGroup[] {
  switch (member.kind) {
    case 'few':
      return [];
    case 'best': {
      const source = context.tensors(member.node.source);
      const extent = source.shape.at(-1)!;
      return [{ first: rank, last: rank, extent, carrier: rank, end: source.ends?.at(-1) }];
    }
    case 'statistic': {
      const extents = [...member.node.result.shape, ...member.node.reduce.extents];
      return mergedGroups([member.node.body], extents, rank, extents.length, context, endsOf(member.node));
    }
    case 'wide': {
      const { shape } = member.node.result;
      return mergedGroups([member.node.body], shape, rank, shape.length, context, endsOf(member.node));
    }
  }
}

type Rules = {
  readonly [K in RowMember['kind']]: (
    writing: Writing,
    member: RowMember & { readonly kind: K },
    prefix: string,
  ) => readonly TileStatement[];
};

const rules: Rules = { statistic: statisticOf, few: fewOf, best: bestOf, wide: wideOf };

function statementsOf<K extends RowMember['kind']>(
  writing: Writing,
  member: RowMember & { readonly kind: K },
  prefix: string,
): readonly TileStatement[] {
  const rule: (
    writing: Writing,
    member: RowMember & { readonly kind: K },
    prefix: string,
  ) => readonly TileStatement[] = rules[member.kind];
  return rule(writing, member, prefix);
}

// ── members ────────────────────────────────────────────────────────────────────────────────────────────────

function statisticOf(
  writing: Writing,
  member: RowMember & { readonly kind: 'statistic' },
  prefix: string,
): readonly TileStatement[] {
  const { context, layout, cluster } = writing;
  const { node } = member;
  const { combiner, extents, finish } = node.reduce;
  const groups = walkOf(member, cluster.rows.length, context);
  const lowered = loweringOf(writing, node);
  const inner = groups.at(-1)?.extent ?? 1;
  const dtype = scalarType(node.body);
  const type = isPositional(combiner) ? 'i32' : dtype;
  const total = element(`${prefix}result`, type, [coordinate(0, layout.rows.extent)]);
  const finished = asStored(node.result, finish ?? reduced(type));
  return [
    ...accumulate({
      ...{ combiner, dtype, groups, extents, prefix },
      axes: [layout.rows, layout.columns(layout.vector(inner), inner)],
      value: (iterators, isWithin) => lowered(isWithin ? beforeEnds(node) : node.body, iterators),
    }),
    ...keep(writing, node.result, [lowered(finished, [], total)], prefix),
  ];
}

/** Every element by itself, a reduction with all its terms written out. */
function fewOf(
  writing: Writing,
  { node }: RowMember & { readonly kind: 'few' },
  prefix: string,
): readonly TileStatement[] {
  const lowered = loweringOf(writing, node);
  const inner = node.result.shape.slice(writing.cluster.rows.length);
  const values = placesOf(inner).map((place) => {
    if (node.reduce === undefined) return lowered(asStored(node.result, node.body), place);
    const { combiner, extents, finish } = node.reduce;
    const terms = placesOf(extents).map((at) => lowered(node.body, [...place, ...at]));
    const total = combined(terms, combiner, node.body);
    return lowered(asStored(node.result, finish ?? reduced(scalarType(node.body))), place, total);
  });
  return keep(writing, node.result, values, prefix);
}

function combined(terms: readonly TileExpression[], combiner: Combiner, body: Scalar): TileExpression {
  return terms.reduce((left, right) => combine(combiner, left, right, scalarType(body)));
}

/** All positions of a box, as constants. */
function placesOf(extents: readonly number[]): readonly (readonly TileExpression[])[] {
  return extents.reduce<readonly (readonly TileExpression[])[]>(
    (places, extent) =>
      places.flatMap((place) => Array.from({ length: extent }, (_, at) => [...place, constant(at)])),
    [[]],
  );
}

function bestOf(
  writing: Writing,
  member: RowMember & { readonly kind: 'best' },
  prefix: string,
): readonly TileStatement[] {
  const { context, layout, cluster } = writing;
  const { node, entry } = member;
  const [group] = walkOf(member, cluster.rows.length, context);
  const extents = [...cluster.rows, group!.extent];
  const iterators = rowIterators(writing, [entry], extents);
  const best = bestPlaces({
    ...{ prefix, group: group!, direction: node.direction, dtype: scalarType(entry) },
    hasNaN: dtypeFacts[context.tensors(node.source).dtype].class === 'float',
    axes: [layout.rows, layout.columns(layout.vector(group!.extent), group!.extent)],
    count: node.result.shape.at(-1)!,
    entry: (place) => lowerScalar(entry, { ...bindingsOf(writing), iterators: [...iterators, place] }),
  });
  return [...best.statements, ...keep(writing, node.result, best.places, prefix)];
}

function wideOf(writing: Writing, member: RowMember & { readonly kind: 'wide' }): readonly TileStatement[] {
  const { context, layout, cluster, mask: ofRows } = writing;
  const { node } = member;
  if (!cluster.stored.has(node.result.id)) return [];
  const { shape } = node.result;
  const groups = walkOf(member, cluster.rows.length, context);
  const rows = rowIterators(writing, [node.body], shape);
  const lowered = loweringOf(writing, node);
  const { extent } = groups.at(-1)!;
  const columns = layout.columns(layout.storedVector(extent), extent);
  return [
    ...walkAlong(
      groups,
      columns.extent,
      (iterators, ofWalk) => [
        store(
          node.result,
          [layout.rows, columns],
          flatten([...rows, ...iterators], shape),
          lowered(node.body, iterators),
          both(ofWalk, ofRows),
        ),
      ],
      { isSplit: true },
    ),
  ];
}

// ── values ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Puts the elements of a row of the result in registers, and in memory where others read them. */
function keep(
  { cluster, context, layout, mask, row, kept }: Writing,
  result: Tensor,
  values: readonly TileExpression[],
  prefix: string,
): readonly TileStatement[] {
  const dtype = arithmeticOfDtype(result.dtype);
  const names = values.map((_, at) => `${prefix}${at}`);
  kept.set(result.id, names);
  const stored = context.tensors(result.id);
  return values.flatMap((value, at) => [
    define(register(names[at]!, dtype, [layout.rows]), value),
    ...(cluster.stored.has(result.id)
      ? [
          store(
            stored,
            [layout.rows],
            sum(product(row, constant(values.length)), constant(at)),
            element(names[at]!, dtype, [coordinate(0, layout.rows.extent)]),
            mask,
          ),
        ]
      : []),
  ]);
}

function bindingsOf({ cluster, context, layout, kept }: Writing): Pick<Bindings, 'tensors' | 'kept'> {
  return {
    tensors: context.tensors,
    kept: ({ tensor }, subscripts) => {
      const names = kept.get(tensor);
      if (names === undefined) return undefined;
      const { dtype, shape } = context.tensors(tensor);
      const rank = cluster.rows.length;
      const at = flatten(subscripts.slice(rank), shape.slice(rank));
      const values = names.map((name) =>
        element(name, arithmeticOfDtype(dtype), [coordinate(0, layout.rows.extent)]),
      );
      return chosen(values, at);
    },
  };
}

/** The element at a place that may be known only when it runs: in range, as every subscript is. */
function chosen(values: readonly TileExpression[], at: TileExpression): TileExpression {
  const known = constantValue(at);
  if (known !== undefined) return values[known]!;
  return values.reduceRight((otherwise, value, place) =>
    masked(apply('eq', 'bool', at, constant(place)), value, otherwise),
  );
}

/** How a node's scalars become values at a row, given the iterators of its other axes. */
function loweringOf(writing: Writing, node: ComputeNode) {
  const extents = [...node.result.shape, ...(node.reduce?.extents ?? [])];
  const { body, reduce } = node;
  const rows = rowIterators(writing, reduce?.finish ? [body, reduce.finish] : [body], extents);
  return (scalar: Scalar, inner: readonly TileExpression[], total?: TileExpression) =>
    lowerScalar(scalar, {
      ...bindingsOf(writing),
      iterators: [...rows, ...inner],
      ...(total === undefined ? {} : { reduced: total }),
    });
}

function rowIterators(
  { cluster, context, row }: Writing,
  scalars: readonly Scalar[],
  extents: readonly number[],
): readonly TileExpression[] {
  const groups = mergedGroups(scalars, extents, 0, cluster.rows.length, context);
  const sizes = groups.map(({ extent }) => extent);
  return groupIterators(groups, unflatten(row, sizes));
}
