/** Random scalar expressions whose loads are in range wherever they are evaluated. */
import { type Dtype, dtypes } from '../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import { type Choose, pick } from './choice-tape.ts';
import type { Arithmetic, LoopId, Scalar, Tensor } from './graph.ts';
import {
  apply,
  arithmeticOf,
  constant,
  convert,
  counter,
  integer,
  isNarrow,
  iterator,
  load,
  round,
  type ScalarOp,
  scalarType,
} from './scalar.ts';

export interface ScalarScope {
  readonly choose: Choose;
  readonly tensors: readonly Tensor[];
  readonly loops: readonly LoopId[];
  readonly axes: readonly { readonly axis: number; readonly extent: number }[];
  /** What was made before in this scope, to be used again. */
  readonly made: Scalar[];
}

/** @param depth of what is below */
type MakeScalar = (scope: ScalarScope, type: Arithmetic, depth: number) => Scalar;

/** How often, relative to others that give the type; never where the type is left out. */
type Weights = { readonly [A in Arithmetic]?: number };

interface Generator {
  readonly weights: Weights;
  readonly make: MakeScalar;
}

/** An expression of the type, at most `depth` deep or so. */
export function randomScalar(scope: ScalarScope, type: Arithmetic, depth: number): Scalar {
  const again = scope.made.filter((scalar) => scalarType(scalar) === type);
  if (again.length > 0 && scope.choose(6) === 5) return pick(scope.choose, again);
  const forms = [...(depth < 3 ? leaves[type] : []), ...(depth > 0 ? compounds[type] : [])];
  const scalar = pick(scope.choose, forms)(scope, type, depth - 1);
  scope.made.push(scalar);
  return scalar;
}

// ── functions ──────────────────────────────────────────────────────────────────────────────────────────────

/** Functions are kept where they are tame: no poles, no overflow. */
const functions: { readonly [F in ScalarFunction]: Generator } = {
  add: ofOperands('add', 2, { f32: 4, i32: 3, u32: 2 }),
  sub: ofOperands('sub', 2, { f32: 3, i32: 3, u32: 2 }),
  mul: ofOperands('mul', 2, { f32: 4, i32: 2, u32: 2 }),
  div: {
    weights: { f32: 4 },
    make: (scope, type, depth) =>
      apply('div', randomScalar(scope, type, depth), fromOneUp(scope, type, depth)),
  },
  floordiv: { weights: { i32: 2, u32: 1 }, make: byConstant('floordiv') },
  mod: { weights: { i32: 2, u32: 1 }, make: byConstant('mod') },
  neg: ofOperands('neg', 1, { f32: 2, i32: 1 }),
  abs: ofOperands('abs', 1, { f32: 2, i32: 1 }),
  sign: ofOperands('sign', 1, { f32: 1, i32: 1 }),
  min: ofOperands('min', 2, { f32: 2, i32: 2, u32: 2 }),
  max: ofOperands('max', 2, { f32: 2, i32: 2, u32: 1 }),
  exp: { weights: { f32: 3 }, make: ofBounded('exp') },
  log: ofPositive('log'),
  sqrt: {
    weights: { f32: 3 },
    make: (scope, type, depth) => apply('sqrt', apply('abs', randomScalar(scope, type, depth))),
  },
  rsqrt: ofPositive('rsqrt'),
  sin: ofOperands('sin', 1, { f32: 2 }),
  cos: ofOperands('cos', 1, { f32: 1 }),
  tanh: ofOperands('tanh', 1, { f32: 2 }),
  erf: ofOperands('erf', 1, { f32: 1 }),
  pow: {
    weights: { f32: 1 },
    make: (scope, type, depth) =>
      apply('pow', fromOneUp(scope, type, depth), apply('tanh', randomScalar(scope, type, depth))),
  },
  floor: ofOperands('floor', 1, { f32: 1 }),
  ceil: ofOperands('ceil', 1, { f32: 1 }),
  round: ofOperands('round', 1, { f32: 1 }),
  eq: comparison('eq', 2),
  ne: comparison('ne', 2),
  lt: comparison('lt', 3),
  le: comparison('le', 3),
  and: ofOperands('and', 2, { bool: 3 }),
  or: ofOperands('or', 2, { bool: 3 }),
  not: ofOperands('not', 1, { bool: 4 }),
  select: {
    weights: { f32: 5, i32: 4, u32: 1 },
    make: (scope, type, depth) =>
      apply(
        'select',
        randomScalar(scope, 'bool', depth),
        randomScalar(scope, type, depth),
        randomScalar(scope, type, depth),
      ),
  },
  shift_left: ofOperands('shift_left', 2, { u32: 2 }),
  shift_right: ofOperands('shift_right', 2, { u32: 2 }),
  threefry0: ofOperands('threefry0', 4, { u32: 2 }),
  threefry1: ofOperands('threefry1', 4, { u32: 2 }),
};

function ofOperands(name: ScalarFunction, arity: number, weights: Weights): Generator {
  const make: MakeScalar = (scope, type, depth) =>
    apply(name, ...Array.from({ length: arity }, () => randomScalar(scope, type, depth)));
  return { weights, make };
}

function byConstant(name: 'floordiv' | 'mod'): MakeScalar {
  return (scope, type, depth) =>
    apply(name, randomScalar(scope, type, depth), constant(type, 1 + scope.choose(4)));
}

function ofBounded(name: ScalarFunction): MakeScalar {
  return (scope, type, depth) => apply(name, apply('tanh', randomScalar(scope, type, depth)));
}

function ofPositive(name: ScalarFunction): Generator {
  return { weights: { f32: 1 }, make: (scope, type, depth) => apply(name, fromOneUp(scope, type, depth)) };
}

/** |x| + 1 */
function fromOneUp(scope: ScalarScope, type: Arithmetic, depth: number): Scalar {
  return apply('add', apply('abs', randomScalar(scope, type, depth)), constant(type, 1));
}

/**
 * Floats are compared as they are loaded only: what is computed may differ in its last bit from one way of
 * computing to another.
 */
function comparison(name: 'eq' | 'ne' | 'lt' | 'le', weight: number): Generator {
  const make: MakeScalar = (scope, _, depth) => {
    const type = pick(scope.choose, ['i32', 'u32', 'f32', 'bool'] as const);
    const draw = () => (type === 'f32' ? randomLoad(scope, type, depth) : randomScalar(scope, type, depth));
    return apply(name, draw(), draw());
  };
  return { weights: { bool: weight }, make };
}

// ── the other forms ────────────────────────────────────────────────────────────────────────────────────────

interface Form extends Generator {
  readonly isLeaf: boolean;
}

function leaf(weights: Weights, make: MakeScalar): Form {
  return { isLeaf: true, weights, make };
}

function compound(weights: Weights, make: MakeScalar): Form {
  return { isLeaf: false, weights, make };
}

const constants: { readonly [A in Arithmetic]: readonly number[] } = {
  f32: [1, 0, -2, 0.5],
  i32: [-1, 0, 1, 2, 3],
  u32: [0, 1, 2, 3],
  bool: [0, 1],
};

const converted: { readonly [A in Arithmetic]: readonly Arithmetic[] } = {
  f32: ['i32', 'bool', 'u32'],
  i32: ['bool', 'u32', 'f32'],
  u32: ['i32', 'i32', 'f32'],
  bool: [],
};

const narrow: { readonly [A in Arithmetic]: readonly Dtype[] } = {
  f32: narrowOf('f32'),
  i32: narrowOf('i32'),
  u32: narrowOf('u32'),
  bool: narrowOf('bool'),
};

function narrowOf(type: Arithmetic): readonly Dtype[] {
  return dtypes.filter((dtype) => isNarrow(dtype) && arithmeticOf(dtype) === type);
}

const forms: { readonly [Op in ScalarOp]: readonly Form[] } = {
  constant: [
    leaf({ f32: 1, i32: 1, u32: 1, bool: 1 }, (scope, type) =>
      constant(type, pick(scope.choose, constants[type])),
    ),
  ],
  iterator: [
    leaf({ i32: 2 }, randomIndex),
    leaf({ u32: 1 }, (scope) => convert('u32', randomIndex(scope))),
    leaf({ bool: 1 }, (scope) => apply('le', randomIndex(scope), randomIndex(scope))),
  ],
  // Among what an iterator may be.
  counter: [],
  // Of a device on a mesh: what localizing a program puts there.
  coordinate: [],
  // Of a bounded program: `compiler/bounded/` makes some of random ones.
  size: [],
  load: [
    leaf({ f32: 3, i32: 2, u32: 1, bool: 1 }, randomLoad),
    compound({ f32: 4 }, (scope, _, depth) => guardedLoad(scope, depth)),
  ],
  apply: Object.values(functions).map(({ weights, make }) => compound(weights, make)),
  convert: [
    compound({ f32: 4, i32: 3, u32: 2 }, (scope, type, depth) => {
      const from = pick(scope.choose, converted[type]);
      // As for comparisons.
      const operand = from === 'f32' ? randomLoad(scope, from, depth) : randomScalar(scope, from, depth);
      return convert(type, operand);
    }),
  ],
  round: [
    compound({ f32: 4, i32: 2, u32: 1 }, (scope, type, depth) =>
      round(pick(scope.choose, narrow[type]), randomScalar(scope, type, depth)),
    ),
  ],
  // What the epilogue of a reduction begins with: whoever makes one puts it there.
  reduced: [],
};

function weighted(type: Arithmetic, isLeaf: boolean): readonly MakeScalar[] {
  return Object.values(forms)
    .flat()
    .filter((form) => form.isLeaf === isLeaf)
    .flatMap(({ weights, make }) => new Array<MakeScalar>(weights[type] ?? 0).fill(make));
}

function byType(isLeaf: boolean): { readonly [A in Arithmetic]: readonly MakeScalar[] } {
  return {
    f32: weighted('f32', isLeaf),
    i32: weighted('i32', isLeaf),
    u32: weighted('u32', isLeaf),
    bool: weighted('bool', isLeaf),
  };
}

const leaves = byType(true);
const compounds = byType(false);

/** An iterator or a counter. */
function randomIndex(scope: ScalarScope): Scalar {
  const found = [
    ...scope.axes.map(({ axis }) => iterator(axis)),
    ...scope.loops.map((loop) => counter(loop)),
  ];
  return found.length === 0 ? integer(0) : pick(scope.choose, found);
}

/** Of one of the tensors of that type which can be read here, or else a constant. */
function randomLoad(scope: ScalarScope, type: Arithmetic, depth: number): Scalar {
  const tensors = scope.tensors.filter(({ dtype }) => arithmeticOf(dtype) === type);
  if (tensors.length === 0) return constant(type, 1);
  // The later ones more often than the others, so that nodes depend on nodes.
  const tensor = pick(scope.choose, scope.choose(3) > 0 ? tensors : tensors.slice(-2));
  const subscripts = randomSubscripts(scope, tensor, depth);
  return subscripts === undefined ? constant(type, 1) : load(tensor, subscripts);
}

/** In range at every point; undefined when the tensor is empty and no axis in scope is. */
export function randomSubscripts(
  scope: ScalarScope,
  tensor: Tensor,
  depth: number,
): readonly Scalar[] | undefined {
  const found = tensor.shape.map((extent) => randomSubscript(scope, extent, depth));
  return found.every((subscript) => subscript !== undefined) ? found : undefined;
}

function randomSubscript(scope: ScalarScope, extent: number, depth: number): Scalar | undefined {
  const { choose, axes } = scope;
  const fitting = axes.filter((own) => own.extent <= extent);
  if (extent === 0) return fitting.length === 0 ? undefined : iterator(pick(choose, fitting).axis);
  const form = choose(5);
  if (form < 3 && fitting.length > 0) {
    // The last one more often than the others: it is the one reduced over.
    const { axis, extent: own } = pick(choose, choose(2) === 0 ? fitting.slice(-1) : fitting);
    const shift = choose(extent - own + 1);
    return shift === 0 ? iterator(axis) : apply('add', iterator(axis), integer(shift));
  }
  if (form === 3 || depth <= 0) return integer(choose(extent));
  const any = randomScalar(scope, 'i32', Math.min(depth - 1, 2));
  if (choose(2) === 0) return apply('mod', any, integer(extent));
  return apply('min', apply('max', any, integer(0)), integer(extent - 1));
}

/** A load that is out of range at some points, behind a condition that it is not evaluated there. */
function guardedLoad(scope: ScalarScope, depth: number): Scalar {
  const rows = scope.tensors.filter(
    ({ dtype, shape }) => arithmeticOf(dtype) === 'f32' && shape.length === 1,
  );
  if (rows.length === 0 || scope.axes.length === 0) return randomScalar(scope, 'f32', Math.max(0, depth));
  const row = pick(scope.choose, rows);
  const { axis } = pick(scope.choose, scope.axes);
  const position = apply('sub', iterator(axis), integer(scope.choose(3)));
  const inside = apply(
    'and',
    apply('le', integer(0), position),
    apply('lt', position, integer(row.shape[0]!)),
  );
  return apply('select', inside, load(row, [position]), constant('f32', 0));
}
