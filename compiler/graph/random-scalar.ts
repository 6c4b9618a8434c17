/** Random scalar expressions whose loads are in range wherever they are evaluated. */
import { type Choose, pick } from './choice-tape.ts';
import type { Arithmetic, LoopId, Scalar, Tensor } from './graph.ts';
import {
  apply,
  arithmeticOf,
  constant,
  convert,
  counter,
  integer,
  iterator,
  load,
  round,
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

type MakeScalar = (scope: ScalarScope, depth: number) => Scalar;

/** An expression of the type, at most `depth` deep or so. */
export function randomScalar(scope: ScalarScope, type: Arithmetic, depth: number): Scalar {
  const again = scope.made.filter((scalar) => scalarType(scalar) === type);
  if (again.length > 0 && scope.choose(6) === 5) return pick(scope.choose, again);
  const forms = [...(depth < 3 ? leaves[type] : []), ...(depth > 0 ? compounds[type] : [])];
  const scalar = pick(scope.choose, forms)(scope, depth - 1);
  scope.made.push(scalar);
  return scalar;
}

/** Loads several times, so that they are chosen more often. */
const leaves: { readonly [A in Arithmetic]: readonly MakeScalar[] } = {
  f32: [
    (scope, depth) => randomLoad(scope, 'f32', depth),
    (scope, depth) => randomLoad(scope, 'f32', depth),
    (scope, depth) => randomLoad(scope, 'f32', depth),
    (scope) => constant('f32', pick(scope.choose, [1, 0, -2, 0.5])),
  ],
  i32: [
    randomIterator,
    randomIterator,
    (scope, depth) => randomLoad(scope, 'i32', depth),
    (scope) => integer(scope.choose(5) - 1),
    (scope, depth) => randomLoad(scope, 'i32', depth),
  ],
  u32: [
    (scope, depth) => randomLoad(scope, 'u32', depth),
    (scope) => convert('u32', randomIterator(scope)),
    (scope) => constant('u32', scope.choose(4)),
  ],
  bool: [
    (scope, depth) => randomLoad(scope, 'bool', depth),
    (scope) => apply('le', randomIterator(scope), randomIterator(scope)),
    (scope) => constant('bool', scope.choose(2)),
  ],
};

/** Functions are kept where they are tame: no poles, no overflow. */
const compounds: { readonly [A in Arithmetic]: readonly MakeScalar[] } = {
  f32: [
    (scope, depth) => binary(scope, 'f32', depth, ['add', 'mul', 'sub', 'min', 'max']),
    (scope, depth) => binary(scope, 'f32', depth, ['add', 'mul', 'sub', 'min', 'max']),
    (scope, depth) => unary(scope, 'f32', depth, ['neg', 'abs', 'tanh', 'sin', 'erf', 'floor', 'round']),
    (scope, depth) => apply('sqrt', apply('abs', randomScalar(scope, 'f32', depth))),
    (scope, depth) => apply('exp', apply('tanh', randomScalar(scope, 'f32', depth))),
    (scope, depth) =>
      apply(
        'div',
        randomScalar(scope, 'f32', depth),
        apply('add', apply('abs', randomScalar(scope, 'f32', depth)), constant('f32', 1)),
      ),
    (scope, depth) => convert('f32', randomScalar(scope, pick(scope.choose, ['i32', 'bool', 'u32']), depth)),
    (scope, depth) => round(pick(scope.choose, ['bf16', 'f16']), randomScalar(scope, 'f32', depth)),
    (scope, depth) => choice(scope, 'f32', depth),
    guardedLoad,
  ],
  i32: [
    (scope, depth) => binary(scope, 'i32', depth, ['add', 'sub', 'mul', 'min', 'max']),
    (scope, depth) => unary(scope, 'i32', depth, ['neg', 'abs', 'sign']),
    (scope, depth) =>
      apply(
        pick(scope.choose, ['floordiv', 'mod']),
        randomScalar(scope, 'i32', depth),
        integer(1 + scope.choose(4)),
      ),
    (scope, depth) => convert('i32', randomScalar(scope, pick(scope.choose, ['bool', 'u32']), depth)),
    (scope, depth) => choice(scope, 'i32', depth),
    (scope, depth) => round('i8', randomScalar(scope, 'i32', depth)),
  ],
  u32: [
    (scope, depth) => binary(scope, 'u32', depth, ['add', 'sub', 'mul', 'min']),
    (scope, depth) => convert('u32', randomScalar(scope, 'i32', depth)),
    (scope, depth) => {
      const draw = (): Scalar => randomScalar(scope, 'u32', depth);
      return apply(pick(scope.choose, ['threefry0', 'threefry1']), draw(), draw(), draw(), draw());
    },
  ],
  bool: [
    (scope, depth) => {
      const type = pick(scope.choose, ['i32', 'u32'] as const);
      const name = pick(scope.choose, ['lt', 'le', 'eq', 'ne'] as const);
      return apply(name, randomScalar(scope, type, depth), randomScalar(scope, type, depth));
    },
    // Of what is loaded only: what is computed may differ in its last bit from one way of computing to
    // another.
    (scope, depth) => apply('lt', randomLoad(scope, 'f32', depth), randomLoad(scope, 'f32', depth)),
    (scope, depth) => binary(scope, 'bool', depth, ['and', 'or']),
    (scope, depth) => apply('not', randomScalar(scope, 'bool', depth)),
  ],
};

type Name = Parameters<typeof apply>[0];

function binary(scope: ScalarScope, type: Arithmetic, depth: number, names: readonly Name[]): Scalar {
  return apply(pick(scope.choose, names), randomScalar(scope, type, depth), randomScalar(scope, type, depth));
}

function unary(scope: ScalarScope, type: Arithmetic, depth: number, names: readonly Name[]): Scalar {
  return apply(pick(scope.choose, names), randomScalar(scope, type, depth));
}

function choice(scope: ScalarScope, type: Arithmetic, depth: number): Scalar {
  return apply(
    'select',
    randomScalar(scope, 'bool', depth),
    randomScalar(scope, type, depth),
    randomScalar(scope, type, depth),
  );
}

function randomIterator(scope: ScalarScope): Scalar {
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
