/**
 * Makes nodes from values. While a graph is made, every index variable has a number of its own, which is put
 * in place of its axis when a node is made; and a node goes into the outermost graph in which all it reads is
 * defined, so that what does not change in a loop is computed before it.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import type {
  Combiner,
  Graph,
  GraphInput,
  LoopId,
  LoopNode,
  Node,
  Scalar,
  Tensor,
  TensorId,
} from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import {
  apply,
  boolean,
  constant,
  countersOf,
  iterator,
  iteratorsOf,
  type Load,
  load,
  mapScalar,
  reduced,
  scalarType,
  substituteIterators,
  substituteLoads,
} from '../graph/scalar.ts';
import { nodeScalars, readsOf } from '../graph/uses.ts';
import { type IndexArithmetic, indexArithmetic } from './index-arithmetic.ts';
import type { Origin } from './origin.ts';
import type { Axis, TensorValue } from './value.ts';

export interface Reduction {
  readonly combiner: Combiner;
  /** The reduced index variables, major first. */
  readonly iterators: readonly number[];
  /** In terms of the reduced value, which it is given. */
  readonly finish?: (value: Scalar) => Scalar;
}

export interface StoreOptions {
  readonly name: string;
  /** What is stored; by default what the body is without loss. */
  readonly dtype?: Dtype;
  /** The leading axes of the tensor: index variables, by default those that the value depends on. */
  readonly leading?: readonly number[];
  readonly reduction?: Reduction;
  /** An axis for each factor of a product dimension (the default), or one for each dimension. */
  readonly factored?: boolean;
  /** In the innermost graph even if it could be computed outside. */
  readonly inside?: boolean;
}

/** A tensor of the graph whose leading axes are index variables, and the value of the others. */
export interface Stored {
  readonly tensor: Tensor;
  readonly value: TensorValue;
}

export interface GraphBuilder {
  readonly arithmetic: IndexArithmetic;
  readonly axis: (extent: number, factors?: readonly number[]) => Axis;
  readonly extent: (iterator: number) => number;
  readonly input: (name: string, dtype: Dtype, shape: readonly number[]) => Tensor;
  readonly result: (name: string, dtype: Dtype, shape: readonly number[]) => Tensor;
  readonly define: (node: Node) => void;
  /** Tensors that are made meanwhile come from there, or from a part of it. */
  readonly within: <T>(origin: Origin, work: () => T) => T;
  /** What `within` was last given. */
  readonly origin: () => Origin | undefined;
  /** Where each tensor was made. */
  readonly origins: ReadonlyMap<TensorId, Origin>;
  /** Tensors that are made meanwhile are put into the set. */
  readonly collecting: <T>(made: Set<TensorId>, work: () => T) => T;
  /** Puts expressions for index variables and simplifies what changes. */
  readonly substitute: (scalar: Scalar, replace: ReadonlyMap<number, Scalar>) => Scalar;
  /** The element at these subscripts. */
  readonly at: (value: TensorValue, subscripts: readonly Scalar[]) => Scalar;
  /** A tensor seen through leading index variables: `for axes: tensor[leading…, axes…]`. */
  readonly view: (tensor: Tensor, leading: readonly number[]) => TensorValue;
  /** The index variables that the value depends on, outermost first. */
  readonly free: (value: TensorValue) => readonly number[];
  /** Makes a compute node for the value. */
  readonly store: (value: TensorValue, options: StoreOptions) => Stored;
  /**
   * A tensor that holds the value with these leading axes and one axis a dimension: an existing one if there
   * is.
   */
  readonly tensorFor: (value: TensorValue, options: StoreOptions) => Tensor;
  readonly enterLoop: (count: number) => LoopId;
  /**
   * What is stored meanwhile is asked for only where the condition holds (or does not): what would be read
   * outside of a tensor elsewhere is 0 there.
   */
  readonly where: <T>(condition: Scalar, holds: boolean, lower: () => T) => T;
  /** The nodes made inside the loop since it was entered. */
  readonly leaveLoop: () => readonly Node[];
  /** Whether the tensor is the result of a node of the innermost graph. */
  readonly isOwnResult: (tensor: TensorId) => boolean;
  readonly snapshot: () => Snapshot;
  /** Takes back the nodes made since. */
  readonly restore: (snapshot: Snapshot) => void;
  readonly graph: (name: string, inputs: readonly GraphInput[], outputs: Graph['outputs']) => Graph;
}

/** How many nodes there are at each level. */
export type Snapshot = readonly number[];

interface Level {
  nodes: Node[];
  readonly loop: LoopId | undefined;
}

export function graphBuilder(): GraphBuilder {
  const extents: number[] = [];
  const tensors = new Map<TensorId, { readonly tensor: Tensor; level: number; ofNode: boolean }>();
  const loops = new Map<LoopId, { readonly count: number; readonly level: number }>();
  const levels: Level[] = [{ nodes: [], loop: undefined }];
  const origins = new Map<TensorId, Origin>();
  let current: Origin | undefined;
  let collected: Set<TensorId> | undefined;
  /** Of the branches of choices that are being lowered. */
  let conditions: readonly Scalar[] = [];

  const arithmetic = indexArithmetic({
    extent: (axis) => extents[axis]!,
    count: (loop) => loops.get(loop)!.count,
  });

  function axis(extent: number, factors: readonly number[] = [extent]): Axis {
    extents.push(extent);
    return { iterator: extents.length - 1, extent, factors };
  }

  function newTensor(name: string, dtype: Dtype, shape: readonly number[], ofNode: boolean): Tensor {
    const tensor: Tensor = { id: tensors.size, name, dtype, shape };
    tensors.set(tensor.id, { tensor, level: levels.length - 1, ofNode });
    if (current !== undefined) origins.set(tensor.id, current);
    collected?.add(tensor.id);
    return tensor;
  }

  function collecting<T>(made: Set<TensorId>, work: () => T): T {
    const before = collected;
    collected = made;
    const result = work();
    collected = before;
    return result;
  }

  function within<T>(origin: Origin, work: () => T): T {
    const before = current;
    current = origin;
    const result = work();
    current = before;
    return result;
  }

  function levelOf(read: Iterable<TensorId>, counters: Iterable<LoopId>): number {
    const levelsRead = [...read].map((tensor) => tensors.get(tensor)!.level);
    return Math.max(0, ...levelsRead, ...[...counters].map((loop) => loops.get(loop)!.level));
  }

  /** The level of the outermost graph in which the node can be computed. */
  function outermost(node: Node): number {
    const own = nodeScalars(node).flatMap((scalar) => [...countersOf(scalar)]);
    return levelOf(readsOf(node), node.kind === 'loop' ? countersIn(node) : own);
  }

  function define(node: Node, level = outermost(node)): void {
    levels[level]!.nodes.push(node);
    for (const tensor of results(node)) tensors.get(tensor.id)!.level = level;
  }

  function substitute(scalar: Scalar, replace: ReadonlyMap<number, Scalar>): Scalar {
    return mapScalar(scalar, (part) =>
      part.op === 'iterator' ? (replace.get(part.axis) ?? part) : arithmetic.simplify(part),
    );
  }

  function at(value: TensorValue, subscripts: readonly Scalar[]): Scalar {
    if (subscripts.length === 0) return value.body;
    return substitute(
      value.body,
      new Map(value.axes.map((own, position) => [own.iterator, subscripts[position]!])),
    );
  }

  function free(value: TensorValue): readonly number[] {
    const own = new Set(value.axes.map((each) => each.iterator));
    return [...iteratorsOf(value.body)].filter((each) => !own.has(each)).sort((left, right) => left - right);
  }

  function view(tensor: Tensor, leading: readonly number[]): TensorValue {
    const axes = tensor.shape.slice(leading.length).map((extent) => axis(extent));
    return readThrough(
      tensor,
      leading,
      axes,
      axes.map((each) => [iterator(each.iterator)]),
    );
  }

  function readThrough(
    tensor: Tensor,
    leading: readonly number[],
    axes: readonly Axis[],
    subscripts: readonly (readonly Scalar[])[],
  ): TensorValue {
    return { kind: 'tensor', axes, body: load(tensor, [...leading.map(iterator), ...subscripts.flat()]) };
  }

  /** Those of the conditions that a value with such index variables can ask, before what may read outside. */
  function guarded(scalar: Scalar): Scalar {
    if (conditions.length === 0) return scalar;
    const own = iteratorsOf(scalar);
    const asked = conditions.filter((condition) =>
      [...iteratorsOf(condition)].every((each) => own.has(each)),
    );
    const [first, ...rest] = asked;
    if (first === undefined) return scalar;
    const condition = rest.reduce((left, right) => apply('and', left, right), first);
    return substituteLoads(scalar, (read) =>
      isInside(read) ? read : apply('select', condition, read, constant(scalarType(read), 0)),
    );
  }

  function isInside(read: Load): boolean {
    const { shape } = tensors.get(read.tensor)!.tensor;
    return read.subscripts.every((subscript, dim) => {
      const { low, high } = arithmetic.interval(subscript);
      return low >= 0 && high < shape[dim]!;
    });
  }

  function store(given: TensorValue, options: StoreOptions): Stored {
    const value = { ...given, body: guarded(given.body) };
    const { reduction } = options;
    const factored = options.factored ?? true;
    const reducedIterators = reduction?.iterators ?? [];
    const leading = options.leading ?? free(value).filter((each) => !reducedIterators.includes(each));
    const stored = value.axes.map((each) =>
      (factored ? each.factors : [each.extent]).map((factor) => axis(factor)),
    );
    const parts = stored.map((group) => group.map((each) => iterator(each.iterator)));
    const factorsOf = stored.map((group) => group.map((each) => each.extent));
    const body = at(
      value,
      parts.map((group, position) => arithmetic.merge(group, factorsOf[position]!)),
    );
    const order = [...leading, ...stored.flat().map((each) => each.iterator), ...reducedIterators];
    const positions = new Map(order.map((each, position) => [each, position]));
    const renumbered = substituteIterators(body, (each) => iterator(positions.get(each)!));
    const shape = [...leading.map((each) => extents[each]!), ...factorsOf.flat()];
    const isArg = reduction?.combiner === 'argmax' || reduction?.combiner === 'argmin';
    const type = isArg ? 'i32' : scalarType(renumbered);
    const natural = reduction ? type : storedDtype(renumbered);
    const tensor = newTensor(options.name, options.dtype ?? natural, shape, true);
    const node: Node = {
      kind: 'compute',
      result: tensor,
      body: renumbered,
      reduce: reduction && {
        combiner: reduction.combiner,
        extents: reducedIterators.map((each) => extents[each]!),
        finish: reduction.finish?.(reduced(type)),
      },
      grouped: undefined,
    };
    define(node, options.inside ? levels.length - 1 : outermost(node));
    const axes = value.axes.map((each) => axis(each.extent, each.factors));
    const subscripts = axes.map((each, position) =>
      arithmetic.split(iterator(each.iterator), factorsOf[position]!),
    );
    return { tensor, value: readThrough(tensor, leading, axes, subscripts) };
  }

  function tensorFor(value: TensorValue, options: StoreOptions): Tensor {
    const leading = options.leading ?? free(value);
    const { body } = value;
    if (body.op === 'load') {
      const { tensor } = tensors.get(body.tensor)!;
      const wanted = [...leading, ...value.axes.map((each) => each.iterator)];
      const identity =
        wanted.length === body.subscripts.length &&
        body.subscripts.every(
          (subscript, position) =>
            subscript.op === 'iterator' &&
            subscript.axis === wanted[position] &&
            extents[subscript.axis] === tensor.shape[position],
        );
      if (identity && (options.dtype ?? tensor.dtype) === tensor.dtype) return tensor;
    }
    return store(value, { ...options, leading, factored: false }).tensor;
  }

  return {
    arithmetic,
    axis,
    extent: (each) => extents[each]!,
    input: (name, dtype, shape) => newTensor(name, dtype, shape, false),
    result: (name, dtype, shape) => newTensor(name, dtype, shape, true),
    define: (node) => define(node),
    within,
    origin: () => current,
    origins,
    collecting,
    substitute,
    at,
    view,
    free,
    store,
    tensorFor,
    enterLoop: (count) => {
      const loop: LoopId = loops.size;
      loops.set(loop, { count, level: levels.length });
      levels.push({ nodes: [], loop });
      return loop;
    },
    where: (condition, holds, lower) => {
      const outer = conditions;
      conditions = [...outer, ...rangeConditions(condition, holds)];
      try {
        return lower();
      } finally {
        conditions = outer;
      }
    },
    leaveLoop: () => levels.pop()!.nodes,
    isOwnResult: (id) => {
      const known = tensors.get(id)!;
      return known.ofNode && known.level === levels.length - 1;
    },
    snapshot: () => levels.map((level) => level.nodes.length),
    restore: (snapshot) => {
      levels.length = snapshot.length;
      for (const [position, length] of snapshot.entries()) levels[position]!.nodes.length = length;
    },
    graph: (name, inputs, outputs) => ({ name, inputs, nodes: levels[0]!.nodes, outputs }),
  };
}

/**
 * Comparisons of integers that are true where the condition is (or is not): they may keep a subscript inside.
 */
function rangeConditions(condition: Scalar, holds: boolean): readonly Scalar[] {
  // A branch that is never taken: all that it stores may read outside.
  if (condition.op === 'constant') return Boolean(condition.value) === holds ? [] : [boolean(false)];
  if (condition.op !== 'apply') return [];
  const [left, right] = condition.operands as [Scalar, Scalar];
  switch (condition.function) {
    case 'not':
      return rangeConditions(left, !holds);
    case holds ? 'and' : 'or':
      return [...rangeConditions(left, holds), ...rangeConditions(right, holds)];
    case 'lt':
    case 'le':
    case 'eq':
    case 'ne':
      if (scalarType(left) !== 'i32') return [];
      return [holds ? condition : apply('not', condition)];
    default:
      return [];
  }
}

/** What a copy of the expression is stored as without loss. */
export function storedDtype(scalar: Scalar): Dtype {
  return scalar.op === 'load' || scalar.op === 'round' ? scalar.dtype : scalarType(scalar);
}

/** The other loops whose steps are used in the loop. */
function countersIn(node: LoopNode): LoopId[] {
  const used = node.body.nodes.flatMap((inner) =>
    inner.kind === 'loop'
      ? countersIn(inner)
      : nodeScalars(inner).flatMap((scalar) => [...countersOf(scalar)]),
  );
  return used.filter((loop) => loop !== node.loop);
}
