/**
 * What each code of the checker means: E02xx names and modules, E03xx types and arguments, E04xx sizes,
 * shapes, ranges and facts, E05xx placements. A code keeps its meaning for ever; `example` is a program that
 * has the error.
 */

import type { CodeEntry } from '../diagnostics/codes.ts';

const codes = {
  E0201: {
    title: 'Unknown name',
    explanation: 'Nothing of this name is in scope: no parameter, let, index, size, function or import.',
    example: 'fn f(x: f32[D]) -> f32[D] = y',
  },
  E0202: {
    title: 'Unknown module',
    explanation: 'An import names a module of the standard library, or in quotes a file beside this one.',
    example: 'import atention',
  },
  E0203: {
    title: 'Import cycle',
    explanation: 'Modules import each other in a circle. Move what both need into a third one.',
    example: 'import "./self.ricci"   // in self.ricci',
  },
  E0204: {
    title: 'Defined twice',
    explanation:
      'One name stands for one thing: functions, records, parameters, fields, sizes, indices and imported modules.',
    example: 'fn f(x: f32, x: f32) -> f32 = x',
  },
  E0205: {
    title: 'Not in that module',
    explanation: 'The imported module has no function or record of this name.',
    example: 'import norm\nfn f(x: f32[D]) -> f32[D] = norm.rms(x)',
  },
  E0206: {
    title: 'Unknown type',
    explanation: 'A type is a number type (f32, bf16, i32 …), ix(N), key, or a record that is in scope.',
    example: 'fn f(x: float32[D]) -> f32[D] = x',
  },
  E0207: {
    title: 'Unknown field',
    explanation: 'The record has no field of this name.',
    example: 'type P(D) = { w: f32[D] }\nfn f(p: P(D)) -> f32[D] = p.v',
  },
  E0208: {
    title: 'Not a value',
    explanation:
      'Functions, records and modules are named to call them, to build a record or to reach into them.',
    example: 'fn g(x: f32) -> f32 = x\nfn f(x: f32) -> f32 = g',
  },
  E0209: {
    title: 'Not a function',
    explanation:
      'Only functions, records, casts and builtins are called; a tensor is subscripted with brackets.',
    example: 'fn f(x: f32[D]) -> f32[D] = for d: x(d)',
  },
  E0210: {
    title: 'Recursion',
    explanation:
      'A function may not call itself, directly or through others: programs are finite graphs. Use fold.',
    example: 'fn f(x: f32) -> f32 = f(x)',
  },
  E0211: {
    title: 'Unknown size',
    explanation:
      'Size parameters begin with a capital and come from the signature; other sizes are axes and numbers.',
    example: 'fn f(x: f32[d]) -> f32[d] = x',
  },
  E0212: {
    title: 'Nested too deeply',
    explanation:
      'Expressions are nested at most some hundreds deep, the functions that they call included. Name the ' +
      'parts with let; what is done many times over is a fold.',
    example: `fn f(x: f32) -> f32 = ${'x + '.repeat(300)}x`,
  },
  E0301: {
    title: 'Types differ',
    explanation:
      'The value is of one type where another is asked for, and no implicit conversion leads there.',
    example: 'fn f(x: f32[D]) -> bool[D] = x',
  },
  E0302: {
    title: 'An argument would lose precision',
    explanation: 'Arguments widen by themselves (bf16 to f32) but are rounded only where a cast says so.',
    example: 'fn g(x: bf16) -> bf16 = x\nfn f(x: f32) -> bf16 = g(x)',
  },
  E0303: {
    title: 'Integers and floats do not mix',
    explanation: 'Only literals and sizes take the type that their use asks for; other values are cast.',
    example: 'fn f(x: f32, n: i32) -> f32 = x * n',
  },
  E0304: {
    title: 'Division of integers',
    explanation: '`/` divides floats. Integers have floordiv(a, b), which rounds down, and %.',
    example: 'fn f(n: i32) -> i32 = n / 2',
  },
  E0305: {
    title: 'Wrong arguments',
    explanation: 'Each parameter is given once, by position or by name.',
    example: 'fn g(x: f32) -> f32 = x\nfn f(x: f32) -> f32 = g(x, x)',
  },
  E0306: {
    title: 'Operand of the wrong kind',
    explanation:
      'Arithmetic is on numbers, and / or / not on bools; records and tuples are taken apart first.',
    example: 'fn f(x: bool) -> bool = x + x',
  },
  E0307: {
    title: 'Condition is not one bool',
    explanation:
      '`if` chooses between two values by one bool. To choose element by element, write it under `for`.',
    example: 'fn f(x: f32[D]) -> f32[D] = if x > 0 then x else x',
  },
  E0308: {
    title: 'Too many subscripts',
    explanation: 'A value has one subscript for each of its dimensions at most.',
    example: 'fn f(x: f32[D]) -> f32[D] = for d: x[d, 0]',
  },
  E0309: {
    title: 'Pattern does not fit',
    explanation: '`let (a, b) = e` takes a tuple of as many elements apart.',
    example: 'fn f(x: f32) -> f32 { let (a, b) = x  a }',
  },
  E0310: {
    title: '`float` stands for a parameter’s storage only',
    explanation:
      '`float` accepts any float storage, so it can say nothing of what is produced. Results name theirs.',
    example: 'fn f(x: float[D]) -> float[D] = x',
  },
  E0311: {
    title: 'Subscript is not an index',
    explanation: 'A subscript is one integer: an index, an ix value, or a sum of indices, sizes and numbers.',
    example: 'fn f(x: f32[D], t: f32) -> f32 = x[t]',
  },
  E0312: {
    title: 'Not a record',
    explanation: 'Only records have fields.',
    example: 'fn f(x: f32[D]) -> f32[D] = x.w',
  },
  E0313: {
    title: 'Branches differ',
    explanation: 'Both branches of an `if` have one type.',
    example: 'fn f(c: bool, x: f32[D]) -> f32[D] = if c then x else 0',
  },
  E0314: {
    title: 'Loop state changes its type',
    explanation: 'The body of a fold, scan or ring gives the next state, of the type that the first one has.',
    example: 'fn f(x: bf16[D]) -> f32[D] = fold i < 3 from h = x: h + h',
  },
  E0315: {
    title: 'Not yet available',
    explanation: 'The language has it, this version of the compiler does not.',
    example: 'fn g(x: f32) -> f32 = x\nfn f(x: f32) -> f32 = grad(g)',
  },
  E0316: {
    title: 'Number out of range',
    explanation:
      'Whole numbers are in the range of i32, or of u32 where that is asked for; those that are given for a tensor, in ' +
      'that of its type.',
    example: 'fn f() -> i32 = 99999999999',
  },
  E0317: {
    title: 'Sides of a check differ',
    explanation:
      'Both sides of a check have one structure and equal sizes. For `==` and `===` they are stored alike; for ' +
      '`~=` floats may be of any type.',
    example: 'property p forall x: f32[N], y: f32[M] check x ~= y',
  },
  E0318: {
    title: 'Check or condition is not a bool',
    explanation:
      'A check states a relation between two values, or is a bool of any shape that is true everywhere, as a ' +
      'condition is.',
    example: 'property p forall x: f32[N] check x',
  },
  E0319: {
    title: 'Cannot be compared',
    explanation:
      'Checks compare numbers and bools, in tensors, records and tuples; keys only stand for what they draw.',
    example: 'property p forall seed: key check seed == seed',
  },
  E0320: {
    title: 'Trait does not fit',
    explanation:
      'A permutation is an ix(N)[N]; ascending and distinct are numbers along a dimension; positive and within ' +
      'are of numbers that are no index.',
    example: 'property p forall x: f32[N] permutation check x == x',
  },
  E0321: {
    title: 'Given value does not fit its type',
    explanation:
      'What is given for a quantified name is written as its type is made: lists as deep as there are dimensions, ' +
      'every field of a record once, an array of records as a record of arrays. It has the traits that are stated.',
    example: 'property p forall x: f32[2] = [[1, 2]] check x == x',
  },
  E0401: {
    title: 'Shapes differ',
    explanation:
      'Arithmetic is element by element between equal shapes; a scalar extends, nothing else broadcasts.',
    example: 'fn f(x: f32[N], y: f32[M]) -> f32[N] = x + y',
  },
  E0402: {
    title: 'Shape of an argument',
    explanation: 'The shapes of the arguments must fit the parameters, one value for each size parameter.',
    example:
      'fn dot(x: f32[D], y: f32[D]) -> f32 = sum d: x[d] * y[d]\nfn f(x: f32[N], y: f32[M]) -> f32 = ' +
      'dot(x, y)',
  },
  E0403: {
    title: 'Uses of an index disagree',
    explanation:
      'An index has one range; the dimensions that it subscripts must have that size, or it is written.',
    example: 'fn f(x: f32[N], y: f32[M]) -> f32 = sum i: x[i] * y[i]',
  },
  E0404: {
    title: 'Range of an index is not known',
    explanation: 'The range comes from `i < N`, from a use as a subscript, or from the expected type.',
    example: 'fn f(x: f32) -> f32 = sum i: x',
  },
  E0405: {
    title: 'Subscript may be out of range',
    explanation:
      'Every look-up is proved to be inside its dimension, by the ranges of its indices and the where ' +
      'clauses.',
    example: 'fn f(x: f32[N]) -> f32[N] = for i: x[i + 1]',
  },
  E0406: {
    title: 'A required fact is not known',
    explanation:
      'The called function states in `where` what must be true of its sizes; the caller must know it.',
    example: 'fn f(x: f32[E]) -> f32[4] { let (best, pick) = top_k[4](x)  best }',
  },
  E0407: {
    title: 'Size parameter is not fixed',
    explanation: 'A size that no argument fixes is declared and given in brackets.',
    example: 'fn f(x: f32) -> f32[N] = for i: x',
  },
  E0408: {
    title: 'Division of sizes may leave a remainder',
    explanation: 'Sizes divide exactly; a where clause says so.',
    example: 'fn f(x: f32[N]) -> f32[N / 2] = for i: x[i]',
  },
  E0409: {
    title: 'Dimension does not split so',
    explanation: '`x[(g, r)]` needs a dimension that is the product of the ranges of g and r.',
    example: 'fn f(x: f32[N]) -> f32 = sum g < 2, r < 3: x[(g, r)]',
  },
  E0410: {
    title: 'Size may be negative',
    explanation: 'Sizes are natural numbers; a where clause says that what is subtracted is not more.',
    example: 'fn f(x: f32[N]) -> f32 = sum i < N - 1: x[i]',
  },
  E0411: {
    title: 'Wrong number of sizes',
    explanation: 'A record or a function takes as many sizes as it declares.',
    example: 'type P(D) = { w: f32[D] }\nfn f(p: P(D, D)) -> f32[D] = p.w',
  },
  E0412: {
    title: 'Range is empty or out of order',
    explanation:
      'A range, of a size `n: 1..8` or of values `within 0..1`, has both its ends, the lower one first. An end of ' +
      'a size’s range may name sizes without a range, and those whose range comes before.',
    example: 'property p forall n: 5..2, x: f32[n] check x == x',
  },
  E0413: {
    title: 'Quantified size is not used',
    explanation:
      'A size with a range stands in a type, a fact, another range or a check; else it says nothing.',
    example: 'property p forall n: 1..4, x: f32[D] check x == x',
  },
  E0414: {
    title: 'Given value has another size',
    explanation:
      'A list that is given has as many elements as the dimension; of a size that is not fixed otherwise, the ' +
      'list says what it is.',
    example: 'property p forall x: f32[3] = [1, 2] check x == x',
  },
  E0501: {
    title: 'Unknown axis',
    explanation: 'Axes are declared with mesh (…) or used as a placement in the signature.',
    example: 'fn f(x: f32[S, D]) -> f32[S, D] = all_gather(x, sp)',
  },
  E0502: {
    title: 'Axis used twice in a type',
    explanation: 'A mesh axis cuts at most one dimension of a tensor.',
    example: 'fn f(x: f32[S@sp, D@sp]) -> f32[S, D] = x',
  },
  E0503: {
    title: 'Collective does not fit its value',
    explanation: 'A collective names an axis and dimensions that its value has.',
    example: 'fn f[K](x: f32[S@sp, D]) -> f32[S, D] = all_to_all(x, sp, S -> K)',
  },
  E0504: {
    title: 'Only inside per_device',
    explanation: '`shift` moves blocks between devices, so it makes sense in the per-device view only.',
    example: 'fn f(x: f32[S@sp]) -> f32[S@sp] = shift(x, sp)',
  },
  E0505: {
    title: 'Value lives elsewhere',
    explanation:
      'A parameter, a result or an annotation says how its dimensions are cut. A value is cut further by ' +
      'itself, since that moves nothing; to be put together, or cut in another way, it needs a collective.',
    example: 'fn f(x: f32[S@sp]) -> f32[S] = x',
  },
  E0506: {
    title: 'Cut differently',
    explanation:
      'An index takes the longest list of axes that an operand has on it, and every other list must be its ' +
      'beginning: then each device has what it needs.',
    example: 'fn f(x: f32[S@sp], y: f32[S@tp]) -> f32[S@sp] = x + y',
  },
  E0507: {
    title: 'One axis for two indices',
    explanation:
      'A device has one place along an axis. In one expression an axis can divide the range of one index, or ' +
      'a pending sum, and not two of them. Tokens that are cut as the experts are which they look up go to these with ' +
      '`dispatch` of the standard library.',
    example: 'fn f(x: f32[S@sp], y: f32[T@sp]) -> f32[S@sp, T] = for s, t: x[s] * y[t]',
  },
  E0508: {
    title: 'Dimension must be whole',
    explanation:
      'softmax, sorting, top-k, running sums, argmax and loops go along a dimension in order, so each device ' +
      'needs all of it.',
    example: 'fn f(x: f32[S@sp]) -> f32[S@sp] = softmax(x)',
  },
  E0509: {
    title: 'Value is still pending',
    explanation:
      'A sum over a cut range is left pending: each device has its part. What is linear may work on the parts; ' +
      'everything else needs all_reduce or reduce_scatter first.',
    example: 'fn f(x: f32[S@sp]) -> f32 = exp(sum s: x[s])',
  },
  E0510: {
    title: 'Nothing to collect',
    explanation:
      'all_gather and all_to_all take the last axes off the list of a dimension, all_reduce and ' +
      'reduce_scatter finish what is pending over an axis. The value must be so.',
    example: 'mesh (sp)\nfn f(x: f32[S]) -> f32[S] = all_gather(x, sp)',
  },
  E0511: {
    title: 'Devices may not divide the size',
    explanation:
      'A dimension is cut into equal blocks, so the devices divide its size; a where clause says so.',
    example: 'mesh (sp)\nfn f(x: f32[S]) -> f32[S] = (x as [S@sp]) as [S]',
  },
  E0512: {
    title: 'Product dimension cannot be cut so',
    explanation:
      'A dimension that is a product is cut over its major factor first: over a minor one only when the major ' +
      'one is cut to single values.',
    example: 'fn f(x: f32[(G * R)@tp]) -> f32[G, R] = for g, r: x[(g, r)]',
  },
  E0513: {
    title: 'Loop state moves',
    explanation: 'From step to step the state of a loop stays cut as it is, and final or pending as it is.',
    example:
      'fn f(x: f32[N], w: f32[N@tp, N]) -> f32[N] = fold i < 3 from h = x: for n: sum m: w[m, n] * h[m]',
  },
  E0514: {
    title: 'Not one device’s to see',
    explanation:
      'A per_device block names what it takes a block of. It gives back blocks, or what is the same on every ' +
      'device; and only shift, all_reduce and broadcast go between devices inside it.',
    example: 'fn f(x: f32[S@sp]) -> f32 = per_device sp (x) { sum s: x[s] }',
  },
} as const satisfies { readonly [code: `E0${string}`]: CodeEntry };

export type TypeCode = keyof typeof codes;
export const typeCodes: { readonly [C in TypeCode]: CodeEntry } = codes;
