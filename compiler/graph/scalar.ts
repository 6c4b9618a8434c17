/**
 * Building, walking and rewriting scalar expressions. Expressions share subexpressions (fusion puts one
 * object in many places) and may be nested deeply, so every walk visits an object once and keeps its own
 * stack instead of recursing.
 */
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import {
  type ScalarFunction,
  type ScalarSignature,
  scalarFunctions,
} from '../../dsl/types/scalar-functions.ts';
import type { Arithmetic, LoopId, Scalar, Tensor, TensorId } from './graph.ts';

export type Load = Extract<Scalar, { op: 'load' }>;
export type ScalarOp = Scalar['op'];

// ── types ──────────────────────────────────────────────────────────────────────────────────────────────────

/** What a value of the dtype is once it is loaded. */
export function arithmeticOf(dtype: Dtype): Arithmetic {
  return dtypeFacts[dtype].arithmetic;
}

/** Whether storing in the dtype loses what its arithmetic type can hold. */
export function isNarrow(dtype: Dtype): boolean {
  return dtypeFacts[dtype].arithmetic !== dtype;
}

type TypeOf = { readonly [Op in ScalarOp]: (scalar: Extract<Scalar, { op: Op }>) => Arithmetic };

const typeOf: TypeOf = {
  constant: (scalar) => scalar.dtype,
  iterator: () => 'i32',
  counter: () => 'i32',
  coordinate: () => 'i32',
  size: () => 'i32',
  load: (scalar) => arithmeticOf(scalar.dtype),
  apply: (scalar) => scalar.dtype,
  convert: (scalar) => scalar.dtype,
  round: (scalar) => arithmeticOf(scalar.dtype),
  reduced: (scalar) => scalar.dtype,
};

/** The arithmetic type of the value, as the expression claims it; `well-formed.ts` checks the claims. */
export function scalarType(scalar: Scalar): Arithmetic {
  return (typeOf[scalar.op] as (scalar: Scalar) => Arithmetic)(scalar);
}

const signatureResult: {
  readonly [S in ScalarSignature]: (types: readonly Arithmetic[]) => Arithmetic | undefined;
} = {
  float: (types) => allAre(types, 'f32'),
  number: ([first, ...rest]) => (first === 'bool' ? undefined : allAre(rest, first)),
  integer: ([first, ...rest]) => (first === 'i32' || first === 'u32' ? allAre(rest, first) : undefined),
  compare: ([first, ...rest]) => (allAre(rest, first) ? 'bool' : undefined),
  bool: (types) => allAre(types, 'bool'),
  select: ([condition, first, ...rest]) => (condition === 'bool' ? allAre(rest, first) : undefined),
  bits: (types) => allAre(types, 'u32'),
};

function allAre(types: readonly Arithmetic[], wanted: Arithmetic | undefined): Arithmetic | undefined {
  return types.every((type) => type === wanted) ? wanted : undefined;
}

/** The type of a pointwise function's result; undefined when it does not take operands of these types. */
export function applyType(name: ScalarFunction, operandTypes: readonly Arithmetic[]): Arithmetic | undefined {
  const { arity, signature } = scalarFunctions[name];
  return operandTypes.length === arity ? signatureResult[signature](operandTypes) : undefined;
}

// ── builders ───────────────────────────────────────────────────────────────────────────────────────────────

export function constant(dtype: Arithmetic, value: number): Scalar {
  return { op: 'constant', dtype, value };
}

export function integer(value: number): Scalar {
  return constant('i32', value);
}

export function float(value: number): Scalar {
  return constant('f32', value);
}

export function boolean(value: boolean): Scalar {
  return constant('bool', Number(value));
}

export function iterator(axis: number): Scalar {
  return { op: 'iterator', axis };
}

/** Iterators `first` … `first + count − 1`: the subscripts that read a tensor as it lies. */
export function iterators(count: number, first = 0): Scalar[] {
  return Array.from({ length: count }, (_, axis) => iterator(first + axis));
}

export function counter(loop: LoopId): Scalar {
  return { op: 'counter', loop };
}

/** Of the device at hand along a mesh axis with so many devices. */
export function coordinate(axis: string, devices: number): Scalar {
  return { op: 'coordinate', axis, devices };
}

export function load(tensor: Tensor, subscripts: readonly Scalar[]): Load {
  return { op: 'load', tensor: tensor.id, dtype: tensor.dtype, subscripts };
}

/** Throws (an internal error) when the function does not take these operands. */
export function apply(name: ScalarFunction, ...operands: readonly Scalar[]): Scalar {
  const types = operands.map(scalarType);
  const dtype = applyType(name, types);
  if (dtype === undefined) throw new Error(`${name} does not take operands of types (${types.join(', ')})`);
  return { op: 'apply', function: name, dtype, operands };
}

/** The operand itself when it is of the type already. */
export function convert(dtype: Arithmetic, operand: Scalar): Scalar {
  return scalarType(operand) === dtype ? operand : { op: 'convert', dtype, operand };
}

/**
 * Rounds to a storage type, first converting to its arithmetic type; no rounding where nothing can be lost.
 */
export function round(dtype: Dtype, operand: Scalar): Scalar {
  const converted = convert(arithmeticOf(dtype), operand);
  return isNarrow(dtype) ? { op: 'round', dtype, operand: converted } : converted;
}

export function reduced(dtype: Arithmetic): Scalar {
  return { op: 'reduced', dtype };
}

// ── walks ──────────────────────────────────────────────────────────────────────────────────────────────────

const none: readonly Scalar[] = [];

type OperandsOf = { readonly [Op in ScalarOp]: (scalar: Extract<Scalar, { op: Op }>) => readonly Scalar[] };

const operandsOf: OperandsOf = {
  constant: () => none,
  iterator: () => none,
  counter: () => none,
  coordinate: () => none,
  size: () => none,
  load: (scalar) => scalar.subscripts,
  apply: (scalar) => scalar.operands,
  convert: (scalar) => [scalar.operand],
  round: (scalar) => [scalar.operand],
  reduced: () => none,
};

/** The direct subexpressions, in order. */
export function operands(scalar: Scalar): readonly Scalar[] {
  return (operandsOf[scalar.op] as (scalar: Scalar) => readonly Scalar[])(scalar);
}

/** `scalar` with other direct subexpressions; the same object when none differs. */
export function withOperands(scalar: Scalar, replaced: readonly Scalar[]): Scalar {
  if (operands(scalar).every((operand, position) => operand === replaced[position])) return scalar;
  switch (scalar.op) {
    case 'load':
      return { ...scalar, subscripts: replaced };
    case 'apply':
      return { ...scalar, operands: replaced };
    case 'convert':
    case 'round':
      return { ...scalar, operand: replaced[0]! };
    default:
      return scalar;
  }
}

/** Each distinct object of the expression once, operands before what uses them, left before right. */
export function subexpressions(root: Scalar): Scalar[] {
  const order: Scalar[] = [];
  const seen = new Set<Scalar>();
  const stack: { readonly scalar: Scalar; readonly expanded: boolean }[] = [
    { scalar: root, expanded: false },
  ];
  while (stack.length > 0) {
    const { scalar, expanded } = stack.pop()!;
    if (expanded) {
      order.push(scalar);
      continue;
    }
    if (seen.has(scalar)) continue;
    seen.add(scalar);
    stack.push({ scalar, expanded: true });
    const inner = operands(scalar);
    for (let position = inner.length - 1; position >= 0; position--)
      stack.push({ scalar: inner[position]!, expanded: false });
  }
  return order;
}

/**
 * Rebuilds the expression from the leaves up: `rewrite` gets each subexpression with its operands already
 * rewritten and gives what stands in its place. Sharing is kept; without a change the same object comes back.
 */
export function mapScalar(root: Scalar, rewrite: (scalar: Scalar) => Scalar): Scalar {
  const done = new Map<Scalar, Scalar>();
  for (const scalar of subexpressions(root)) {
    const inner = operands(scalar).map((operand) => done.get(operand)!);
    done.set(scalar, rewrite(withOperands(scalar, inner)));
  }
  return done.get(root)!;
}

/** Puts an expression for every iterator, all at once. */
export function substituteIterators(root: Scalar, replace: (axis: number) => Scalar): Scalar {
  return mapScalar(root, (scalar) => (scalar.op === 'iterator' ? replace(scalar.axis) : scalar));
}

/**
 * Puts an expression for loads: `replace` sees each load with its subscripts already substituted, and leaves
 * it by giving it back.
 */
export function substituteLoads(root: Scalar, replace: (load: Load) => Scalar): Scalar {
  return mapScalar(root, (scalar) => (scalar.op === 'load' ? replace(scalar) : scalar));
}

/** Every distinct load, those in subscripts of others first. */
export function loadsOf(root: Scalar): Load[] {
  return subexpressions(root).filter((scalar) => scalar.op === 'load');
}

/** The axes that occur as iterators. */
export function iteratorsOf(root: Scalar): ReadonlySet<number> {
  const axes = new Set<number>();
  for (const scalar of subexpressions(root)) if (scalar.op === 'iterator') axes.add(scalar.axis);
  return axes;
}

/** The loops whose step occurs. */
export function countersOf(root: Scalar): ReadonlySet<LoopId> {
  const loops = new Set<LoopId>();
  for (const scalar of subexpressions(root)) if (scalar.op === 'counter') loops.add(scalar.loop);
  return loops;
}

/** The tensors that the expression loads from. */
export function tensorsOf(root: Scalar): ReadonlySet<TensorId> {
  return new Set(loadsOf(root).map((scalar) => scalar.tensor));
}

// ── structure ──────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Two expressions have the same key exactly when they are the same tree; as long as the tree has distinct
 * parts.
 */
export function scalarKey(root: Scalar): string {
  const numbers = new Map<string, number>();
  const numberOf = new Map<Scalar, number>();
  for (const scalar of subexpressions(root)) {
    const key = partKey(
      scalar,
      operands(scalar)
        .map((operand) => numberOf.get(operand)!)
        .join(','),
    );
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    numberOf.set(scalar, number);
  }
  return [...numbers.keys()].join(';');
}

/** Tells an expression apart from all others whose operands are told apart by `inner`. */
export function partKey(scalar: Scalar, inner: string): string {
  switch (scalar.op) {
    case 'constant':
      // Negative zero is written apart: `1/x` tells it from zero.
      return `constant ${scalar.dtype} ${Object.is(scalar.value, -0) ? '-0' : scalar.value}`;
    case 'iterator':
      return `iterator ${scalar.axis}`;
    case 'counter':
      return `counter ${scalar.loop}`;
    case 'coordinate':
      return `coordinate ${scalar.axis} ${scalar.devices}`;
    case 'size':
      return `size ${scalar.name} ${scalar.most}`;
    case 'load':
      return `load ${scalar.tensor} ${scalar.dtype} ${inner}`;
    case 'apply':
      return `${scalar.function} ${scalar.dtype} ${inner}`;
    case 'convert':
    case 'round':
      return `${scalar.op} ${scalar.dtype} ${inner}`;
    case 'reduced':
      return `reduced ${scalar.dtype}`;
  }
}
