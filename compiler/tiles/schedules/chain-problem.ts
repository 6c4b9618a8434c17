/**
 * Products of products: a sum of which one factor is itself the finished result of a product, as the weights
 * of attention are of queries and keys, and what its gradient multiplies keys, queries and values with. Along
 * the reduced axis that factor can be made block by block where it is used, and need not be stored.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Scalar, TensorId } from '../../graph/graph.ts';
import {
  apply,
  integer,
  iterator,
  iteratorsOf,
  type Load,
  loadsOf,
  mapScalar,
  reduced,
  scalarKey,
  scalarType,
  substituteIterators,
} from '../../graph/scalar.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { factorsOf, product } from '../../optimize/contraction.ts';
import { asStored } from '../../optimize/inline.ts';
import type { MatrixUnits } from '../device-profile.ts';
import { endsOf } from '../ends.ts';
import type { Half } from '../packed.ts';
import { type AxisClass, axisClass } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ReductionNode } from './reduction.ts';
import { packedFactors, wideFactor } from './unit-factors.ts';
import { scaled, type WeightParts } from './unit-softmax-factors.ts';
import type { Streamed } from './visible-bound.ts';

/** The most that an inner product sums: its factors of a workgroup's rows stay in shared memory. */
export const mostDepth = 256;

/**
 * An inner product. Its expressions are of the iterators of the outer one, behind which each link has one for
 * what it sums.
 */
export interface Link {
  /** As it is in the graph. */
  readonly node: ReductionNode;
  /** The factors that vary with the streamed axis, and those that do not. */
  readonly ofRow: Scalar;
  readonly ofStream: Scalar;
  readonly packed: Half;
  readonly depth: number;
  /** As it would be stored. What it loads of another link is of the same place. */
  readonly finish: Scalar;
}

/** An outer product, of the axes that all of a chain have. */
export interface Outer {
  readonly node: ReductionNode;
  /** The factor that is made of links: what it loads of them is of the same place. */
  readonly own: Scalar;
  /** The link that this is, as it is or rounded; undefined where it is something else. */
  readonly made: number | undefined;
  /** The other factor. */
  readonly factor: Scalar;
  /** The link whose streamed factor is the same, its depth along the values. */
  readonly twin: number | undefined;
  /** What both factors are multiplied as, and the one that is made in how many parts. */
  readonly packed: Half;
  readonly parts: WeightParts;
  /** The output axes that only the other factor varies with. */
  readonly values: AxisClass;
}

export interface ChainProblem {
  readonly kind: 'chain';
  /** The first outer product. */
  readonly node: ReductionNode;
  readonly outers: readonly Outer[];
  /** Each before those whose finishes load it. */
  readonly links: readonly Link[];
  /** Output axes that streamed factors vary with as inner products do, and those that only these do. */
  readonly batch: AxisClass;
  readonly rows: AxisClass;
  /** The reduced axes: one is streamed, and through the others it goes one after the other. */
  readonly turns: AxisClass;
  readonly streamed: Streamed;
}

/** A chain by its axes, before these are taken together. */
interface Parts {
  readonly outers: readonly (Omit<Outer, 'values' | 'made' | 'twin'> & {
    readonly values: readonly number[];
  })[];
  readonly links: readonly Link[];
  readonly batch: readonly number[];
  readonly rows: readonly number[];
  readonly turns: readonly number[];
  readonly streamed: Streamed;
}

/** A tensor that need not be stored, if all that read it make it themselves. */
export type InnerNodes = ReadonlyMap<TensorId, ReductionNode>;

/** Undefined where the node is no such product, or units cannot multiply what it is of. */
export function chainProblem(
  node: ReductionNode,
  inner: InnerNodes,
  context: ScheduleContext,
): ChainProblem | undefined {
  const { units } = context.device;
  if (units === undefined || node.reduce.combiner !== 'sum' || !isWhole(node)) return undefined;
  if (node.reduce.finish !== undefined && scalarType(node.reduce.finish) !== 'f32') return undefined;
  const factors = factorsOf(node.body);
  const made = factors.filter((scalar) => loadsOf(scalar).some(({ tensor }) => inner.has(tensor)));
  const within = new Set(made.flatMap((scalar) => [...iteratorsOf(scalar)]));
  const outputs = node.result.shape.map((_, axis) => axis);
  // Along axes of a single place nothing varies.
  const several = outputs.filter((axis) => node.result.shape[axis] !== 1);
  const values = several.filter((axis) => !within.has(axis));
  const isOfValues = (scalar: Scalar) => values.some((axis) => iteratorsOf(scalar).has(axis));
  const others = factors.filter(isOfValues);
  if (made.length === 0 || others.length === 0) return undefined;
  const [own, factor] = [product(factors.filter((scalar) => !isOfValues(scalar))), product(others)];
  const rank = node.result.shape.length;
  const outer = [...node.result.shape, ...node.reduce.extents];
  const ofFactor = iteratorsOf(factor);
  const reducedAxes = node.reduce.extents.map((_, at) => rank + at);
  // All others are gone through again for each of its blocks.
  const streamedAxis = reducedAxes.reduce((longest, axis) =>
    outer[axis]! > outer[longest]! ? axis : longest,
  );
  if (!reducedAxes.every((axis) => within.has(axis) && ofFactor.has(axis))) return undefined;

  const links = linksOf({ own, streamedAxis, outer, inner, units });
  if (links === undefined) return undefined;
  const { condition, own: bareOwn, links: bare } = withoutMask(own, links);
  const ofStreams = new Set(
    [factor, ...links.map(({ ofStream }) => ofStream)].flatMap((each) => [...iteratorsOf(each)]),
  );
  const ofRows = new Set(links.flatMap(({ ofRow }) => [...iteratorsOf(ofRow)]));
  const rows = several.filter((axis) => within.has(axis) && !ofStreams.has(axis));
  const batch = outputs.filter((axis) => !rows.includes(axis) && !values.includes(axis));
  const turns = reducedAxes.filter((axis) => axis !== streamedAxis);
  const isApart =
    rows.length > 0 &&
    values.length > 0 &&
    values.every((axis) => ofFactor.has(axis)) &&
    turns.every((axis) => !ofRows.has(axis));
  const multiplied = multipliedAs(own, factor, node, units);
  if (!isApart || multiplied === undefined) return undefined;

  const one = { node, own: bareOwn, factor, ...multiplied, values };
  const streamed = { axis: streamedAxis, extent: outer[streamedAxis]!, visible: condition };
  return assembled({ outers: [one], links: bare, batch, rows, turns, streamed }, context);
}

function assembled({ outers, links, ...axes }: Parts, context: ScheduleContext): ChainProblem {
  const { visible } = axes.streamed;
  const ofLinks = links.flatMap(({ ofRow, ofStream, finish }) => [ofRow, ofStream, finish]);
  const scalars = [
    ...outers.flatMap(({ own, factor, node }) => [
      own,
      factor,
      ...(node.reduce.finish ? [node.reduce.finish] : []),
    ]),
    ...(visible === undefined ? [] : [visible]),
    ...ofLinks,
  ];
  const depths = links.map(({ depth }) => depth);
  const outerExtents = ({ result, reduce }: ReductionNode) => [...result.shape, ...reduce.extents];
  const { node } = outers[0]!;
  const classOf = (of: readonly number[], extents = outerExtents(node)) =>
    axisClass(of, [...extents, ...depths], scalars, context);
  return {
    ...{ kind: 'chain', node, links, streamed: axes.streamed },
    ...{ batch: classOf(axes.batch), rows: classOf(axes.rows), turns: classOf(axes.turns) },
    outers: outers.map(({ values, ...outer }) => ({
      ...outer,
      made: madeOf(outer.own, links),
      twin: twinOf(links, outer, values, outerExtents(outer.node)),
      values: classOf(values, outerExtents(outer.node)),
    })),
  };
}

/**
 * Both in one, where what one is made of the other is made of too, so that it is made once; undefined where
 * they go through other axes.
 */
export function chainedTogether(
  some: ChainProblem,
  others: ChainProblem,
  context: ScheduleContext,
): ChainProblem | undefined {
  const [more, fewer] = some.links.length < others.links.length ? [others, some] : [some, others];
  const isIn = ({ node, ...link }: Link, place: number) => {
    const same = more.links[place];
    return same?.node === node && partsKey(same) === partsKey(link);
  };
  const isOne = axesKey(more) === axesKey(fewer) && fewer.links.every(isIn);
  const outers = [...some.outers, ...others.outers];
  if (!isOne || outers.some(({ made }) => made === undefined)) return undefined;
  const { links, batch, rows, turns, streamed } = more;
  return assembled(
    {
      outers: outers.map(({ values, ...outer }) => ({ ...outer, values: values.axes })),
      ...{ links, streamed, batch: batch.axes, rows: rows.axes, turns: turns.axes },
    },
    context,
  );
}

function partsKey({ ofRow, ofStream, finish }: Omit<Link, 'node'>): string {
  return [ofRow, ofStream, finish].map(scalarKey).join('; ');
}

/** What must be the same of the axes of two chains. */
function axesKey({ node, batch, rows, turns, streamed }: ChainProblem): string {
  const { axis, visible } = streamed;
  const shape = node.result.shape.map((extent, at) =>
    [...batch.axes, ...rows.axes].includes(at) ? extent : 0,
  );
  const axes = [batch, rows, turns].map((each) => each.axes.join());
  return [...axes, axis, shape, node.reduce.extents, visible && scalarKey(visible)].join('; ');
}

function madeOf(own: Scalar, links: readonly Link[]): number | undefined {
  const load = own.op === 'round' ? own.operand : own;
  const at = load.op === 'load' ? links.findIndex(({ node }) => node.result.id === load.tensor) : -1;
  return at < 0 ? undefined : at;
}

/** Whether nothing of it ends in a run, or is looked up by expert. */
function isWhole(node: ReductionNode): boolean {
  return node.grouped === undefined && endsOf(node).every((end) => end === undefined);
}

/** Whether it is a sum that a link may be, as far as can be told without what reads it. */
export function mayBeInner(node: ReductionNode): boolean {
  const { combiner, extents, finish } = node.reduce;
  return (
    combiner === 'sum' &&
    extents.length === 1 &&
    extents[0]! > 0 &&
    extents[0]! <= mostDepth &&
    elementCount(node.result) > 0 &&
    (finish === undefined || scalarType(finish) === 'f32') &&
    isWhole(node)
  );
}

/** By axis of a tensor: which axis of those who read it; undefined of one with a single place. */
type Place = readonly (number | undefined)[];

/** Undefined where the tensor is not read at axes, each once. */
function placeOf({ subscripts }: Load, { result }: ReductionNode): Place | undefined {
  const place = subscripts.map((each, axis) => {
    if (result.shape[axis] === 1) return undefined;
    return each.op === 'iterator' ? each.axis : -1;
  });
  const axes = place.filter((axis) => axis !== undefined);
  return axes.includes(-1) || new Set(axes).size < axes.length ? undefined : place;
}

interface Linking {
  readonly own: Scalar;
  readonly streamedAxis: number;
  /** Extents of the outer product's axes. */
  readonly outer: readonly number[];
  readonly inner: InnerNodes;
  readonly units: MatrixUnits;
}

function linksOf(linking: Linking): readonly Link[] | undefined {
  const { outer, streamedAxis, inner, units } = linking;
  const links: Link[] = [];
  const places = new Map<TensorId, string>();
  const visit = (tensor: TensorId, place: Place): boolean => {
    const known = places.get(tensor);
    if (known !== undefined) return known === place.join();
    places.set(tensor, place.join());
    const node = inner.get(tensor)!;
    const { shape } = node.result;
    if (place.some((axis, at) => axis !== undefined && outer[axis] !== shape[at])) return false;
    const finish = asStored(node.result, node.reduce.finish ?? reduced('f32'));
    const isLinked = loadsOf(finish).every((load) => {
      if (!inner.has(load.tensor)) return true;
      const own = placeOf(load, inner.get(load.tensor)!);
      const within = own?.map((axis) => (axis === undefined ? undefined : place[axis]));
      return within !== undefined && visit(load.tensor, within);
    });
    if (!isLinked) return false;
    const along = outer.length + links.length;
    const mapped = (scalar: Scalar) =>
      substituteIterators(scalar, (axis) => {
        const own = axis < place.length ? place[axis] : along;
        return own === undefined ? integer(0) : iterator(own);
      });
    const factors = factorsOf(node.body).map(mapped);
    const isOfStream = (factor: Scalar) => iteratorsOf(factor).has(streamedAxis);
    const [ofStream, ofRow] = [factors.filter(isOfStream), factors.filter((each) => !isOfStream(each))];
    if (ofStream.length === 0 || ofRow.length === 0) return false;
    const sides = { ofRow: product(ofRow), ofStream: product(ofStream) };
    const packed = packedFactors(sides.ofRow, sides.ofStream, units.allowed);
    const isMade = factors.flatMap(loadsOf).some((load) => inner.has(load.tensor));
    if (packed === undefined || isMade) return false;
    links.push({
      ...{ node, packed, depth: node.reduce.extents[0]! },
      ...sides,
      finish: quick(mapped(finish)),
    });
    return true;
  };
  const areMade = loadsOf(linking.own).every((load) => {
    if (!inner.has(load.tensor)) return true;
    const place = placeOf(load, inner.get(load.tensor)!);
    return place !== undefined && visit(load.tensor, place);
  });
  return areMade ? links : undefined;
}

/**
 * As it is computed for each element: divided by a number as multiplied by one over it, and `exp(x · c − y)` as
 * `exp(x · c − (y / c) · c)`, of which only one multiplication and addition are left where y is the same.
 */
function quick(finish: Scalar): Scalar {
  return mapScalar(finish, (part) => {
    const plain = scaled(part);
    if (plain.op !== 'apply' || plain.function !== 'exp') return plain;
    const [difference] = plain.operands;
    if (difference?.op !== 'apply' || difference.function !== 'sub') return plain;
    const [from, taken] = difference.operands as [Scalar, Scalar];
    const by = from.op === 'apply' && from.function === 'mul' ? from.operands[1] : undefined;
    if (by?.op !== 'constant' || !(by.value > 0) || !isLike1(by.value)) return plain;
    const share = scaled(apply('div', taken, by));
    return apply('exp', apply('sub', from, apply('mul', share, by)));
  });
}

/** Near enough to 1 that nothing which is multiplied or divided by it is lost. */
function isLike1(value: number): boolean {
  return value >= 2 ** -20 && value <= 2 ** 20;
}

interface Bare {
  readonly condition: Scalar | undefined;
  readonly own: Scalar;
  readonly links: readonly Link[];
}

/**
 * The condition without which the factor is 0. Where it does not hold nobody looks at what else is chosen by
 * the same condition, so nothing is; and the factor is still to be masked.
 */
function withoutMask(own: Scalar, links: readonly Link[]): Bare {
  const condition = conditionOf(own, links);
  if (condition === undefined) return { condition, own, links };
  const key = scalarKey(condition);
  const bare = (scalar: Scalar) =>
    mapScalar(scalar, (part) =>
      part.op === 'apply' && part.function === 'select' && scalarKey(part.operands[0]!) === key
        ? part.operands[1]!
        : part,
    );
  return {
    condition,
    own: bare(own),
    links: links.map((link) => ({ ...link, finish: bare(link.finish) })),
  };
}

function conditionOf(scalar: Scalar, links: readonly Link[]): Scalar | undefined {
  if (scalar.op === 'round') return conditionOf(scalar.operand, links);
  if (scalar.op === 'load') {
    const link = links.find(({ node }) => node.result.id === scalar.tensor);
    return link && conditionOf(link.finish, links);
  }
  if (scalar.op !== 'apply' || scalar.function !== 'select') return undefined;
  const [condition, , otherwise] = scalar.operands as [Scalar, Scalar, Scalar];
  return otherwise.op === 'constant' && otherwise.value === 0 ? condition : undefined;
}

/** As what the outer product is multiplied; undefined where units cannot. */
function multipliedAs(
  own: Scalar,
  factor: Scalar,
  { result }: ReductionNode,
  { allowed }: MatrixUnits,
): Pick<Outer, 'packed' | 'parts'> | undefined {
  const packed = packedFactors(own, factor, allowed);
  if (packed !== undefined) return { packed, parts: 1 };
  if (wideFactor(own, factor) !== 'left') return undefined;
  // As of weights of attention: two parts leave 2^-18 of an element, of which a result of 16 bits keeps 2^-9.
  return { packed: 'bf16', parts: dtypeFacts[result.dtype].bits === 16 ? 2 : 3 };
}

function twinOf(
  links: readonly Link[],
  { factor, packed }: Pick<Outer, 'factor' | 'packed'>,
  values: readonly number[],
  outer: readonly number[],
): number | undefined {
  const [axis] = values;
  if (axis === undefined || values.length > 1) return undefined;
  const key = scalarKey(factor);
  const at = links.findIndex((link, place) => {
    const along = outer.length + place;
    const turned = substituteIterators(link.ofStream, (each) => iterator(each === along ? axis : each));
    return link.packed === packed && link.depth === outer[axis] && scalarKey(turned) === key;
  });
  return at < 0 ? undefined : at;
}

/** Neighbouring columns of a block that a lane has where the lanes of a warp have them between them. */
export const columnsOfLane = 2;
const lanesOfWarp = 32;

/** Whether the lanes of a warp may have it between them, as two or more neighbours each. */
export function mayBeOfLanes(load: Load, block: number): boolean {
  return block % (columnsOfLane * lanesOfWarp) === 0 && scalarType(load) !== 'bool';
}

/** What finishes and the mask read that is the same for all rows, and not for all of a block. */
export function columnLoads({ links, outers, rows, streamed }: ChainProblem): readonly Load[] {
  const scalars = [
    ...links.map(({ finish }) => finish),
    ...outers.map(({ own }) => own),
    ...(streamed.visible ? [streamed.visible] : []),
  ];
  const made = new Set(links.map(({ node }) => node.result.id));
  const found = scalars.flatMap(loadsOf).filter((load) => {
    const axes = iteratorsOf(load);
    return !made.has(load.tensor) && axes.has(streamed.axis) && !rows.axes.some((axis) => axes.has(axis));
  });
  return [...new Map(found.map((load) => [scalarKey(load), load])).values()];
}
