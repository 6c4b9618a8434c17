/** What the layouts look like. That they keep the program and its comments is in `format.test.ts`. */
import { expect, test } from 'vitest';
import { format } from './format.ts';
import { parse } from './parse.ts';

function formatted(text: string): string {
  const { module, diagnostics } = parse({ path: 'test.ricci', text });
  expect(diagnostics).toEqual([]);
  return format(module, text);
}

interface Layout {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

const layouts: readonly Layout[] = [
  {
    name: 'a signature: facts, then the result, then the parameters go to lines of their own',
    from: `
fn short(x: f32[N]) -> f32[N] where 1 <= N = x
fn facts(weights: f32[First, Second, Third], bias: f32[First, Second]) -> f32[First] where First <= Second = bias
fn result(weights: f32[First, Second, Third], bias: f32[First, Second], scale: f32) -> f32[First, Second, Third] = bias
fn all(weights: f32[First, Second, Third], bias: f32[First, Second], scale: f32, other: f32[First, Second]) -> f32 = bias
`,
    to: `\
fn short(x: f32[N]) -> f32[N] where 1 <= N = x

fn facts(weights: f32[First, Second, Third], bias: f32[First, Second]) -> f32[First]
  where First <= Second =
  bias

fn result(weights: f32[First, Second, Third], bias: f32[First, Second], scale: f32)
  -> f32[First, Second, Third] =
  bias

fn all(
  weights: f32[First, Second, Third],
  bias: f32[First, Second],
  scale: f32,
  other: f32[First, Second],
) -> f32 =
  bias
`,
  },
  {
    name: 'a property: a line for each clause',
    from: `
property moves forall x: bf16[T,D]   ascending within -1 .. 2.5 positive, seed: key let y=f(x) let z[t]: f32 = 2*y[t]


 check y == z check f(x) == g(x)
property schemes forall mesh { sp: 1..8 }, query: bf16[S@sp, G * R, A], keys: bf16[S@sp, G, A], target, Numbers: 0..4
  where sp | G, (A+1) % 2 == 0
  check (for t: attention(x[t], key_of_all)) ~= (for t: attention.streamed[8](x[t], key_of_all, seed))
    label "streamed" check (f(x) == 0)
`,
    to: `\
property moves
  forall x: bf16[T, D] ascending within -1..2.5 positive, seed: key
  let y = f(x)
  let z[t]: f32 = 2 * y[t]

  check y == z
  check f(x) == g(x)

property schemes
  forall
    mesh { sp: 1..8 },
    query: bf16[S@sp, G * R, A],
    keys: bf16[S@sp, G, A],
    target,
    Numbers: 0..4
  where sp | G, (A + 1) % 2 == 0
  check (for t: attention(x[t], key_of_all))
    ~= (for t: attention.streamed[8](x[t], key_of_all, seed))
    label "streamed"
  check (f(x) == 0)
`,
  },
  {
    name: 'choices: branches below the condition, else-ifs as cases, blocks on their words',
    from: `
fn two(x: f32) -> f32 = if some_condition_of(x, x) then something_rather_long(x, first) else something_rather_long(x, second)
fn many(x: f32) -> f32 = if some_condition_of(x) then something_else(x, 1) else if other(x) then something_else(x, 2) else x
fn blocks(x: f32) -> f32 = if x > 0 then { let y = x y * y } else { x }
`,
    to: `\
fn two(x: f32) -> f32 =
  if some_condition_of(x, x)
    then something_rather_long(x, first)
    else something_rather_long(x, second)

fn many(x: f32) -> f32 =
  if some_condition_of(x) then something_else(x, 1)
  else if other(x) then something_else(x, 2)
  else x

fn blocks(x: f32) -> f32 =
  if x > 0 then {
    let y = x
    y * y
  } else { x }
`,
  },
  {
    name: 'parentheses: where they are needed, and where a reader would be in doubt',
    from: `
fn f(x: f32[(G * R)@sp]{max sp,+tp}) -> f32 = ((a + (b * c)) - (d - e)) * (-(x)) / ((y))
fn g(a: bool) -> bool = a and b or not (c == d) and (if a then b else c)
fn h(x: f32) -> f32 = E * sum e: x[(e)] * sum t: p[t] + 1
fn k(x: f32) -> f32 { let y = (x) (-y) }
fn l(x: f32) -> f32 = fold i < 3 from s = (for d: 0): (x as [S@(node, gpu)]{+tp}).mean % 2 * 3
`,
    to: `\
fn f(x: f32[(G * R)@sp]{max sp, +tp}) -> f32 = (a + b * c - (d - e)) * -x / y
fn g(a: bool) -> bool = (a and b) or (not (c == d) and (if a then b else c))
fn h(x: f32) -> f32 = E * (sum e: x[e] * (sum t: p[t] + 1))

fn k(x: f32) -> f32 {
  let y = x
  (-y)
}

fn l(x: f32) -> f32 = fold i < 3 from s = (for d: 0): ((x as [S@(node, gpu)]{+tp}).mean % 2) * 3
`,
  },
  {
    name: 'what ends in a block hangs on its first line',
    from: `
fn f(q: f32[S]) -> f32[S] = per_device (node, gpu) (q) {
  let done = ring gpu (k, v) from acc = flash.start(q) at j { flash.step(acc, q, k, v, from: j, at: here) }
  let all = scan v in x[b] from s = 0.0: { let n = a[b] * s + v (n, n) }
  softmax(for i: { let y = done[i] y * y })
}
`,
    to: `\
fn f(q: f32[S]) -> f32[S] =
  per_device (node, gpu) (q) {
    let done = ring gpu (k, v) from acc = flash.start(q) at j {
      flash.step(acc, q, k, v, from: j, at: here)
    }
    let all = scan v in x[b] from s = 0.0: {
      let n = a[b] * s + v
      (n, n)
    }
    softmax(for i: {
      let y = done[i]
      y * y
    })
  }
`,
  },
  {
    name: 'comments stay above, or behind, what they are about; lost ones go to the end of the line',
    from: `
// The file.

import norm // for rms_norm
/// The layer.
fn f(
  x: f32[N], // the input
  // the scale
  scale: f32,
) -> f32[N] { // here
  let a = x . // of what
    left // scaled


  // then
  let b = a + // why
    x
  b // done
  // last
}
// end
`,
    to: `\
// The file.

import norm // for rms_norm

/// The layer.
fn f(
  x: f32[N], // the input
  // the scale
  scale: f32,
) -> f32[N] {
  // here
  let a = x.left // of what
  // scaled

  // then
  let b =
    a // why
      + x
  b // done
  // last
}
// end
`,
  },
  {
    name: 'imports and one-liners keep their groups, other declarations are apart',
    from: `
import norm
import "./block.ricci"   as block  ( f,g )


import moe
mesh (sp, tp)
fn f(x: f32) -> f32 = x
fn g(x: f32) -> f32 = x
/// Documented.
fn h(x: f32) -> f32 = x
type Pair(N) = { left: f32[N], right: f32[N], }
type Wide(N) = { the_left_hand_side: f32[N, N, N], the_right_hand_side: f32[N, N, N], scale: f32 }
`,
    to: `\
import norm
import "./block.ricci" as block (f, g)

import moe

mesh (sp, tp)

fn f(x: f32) -> f32 = x
fn g(x: f32) -> f32 = x

/// Documented.
fn h(x: f32) -> f32 = x

type Pair(N) = { left: f32[N], right: f32[N] }
type Wide(N) = { the_left_hand_side: f32[N, N, N], the_right_hand_side: f32[N, N, N], scale: f32 }
`,
  },
];

test.each(layouts)('$name', ({ from, to }) => {
  expect(formatted(from)).toBe(to);
  expect(formatted(to)).toBe(to);
});

test('a tree made by a program has its documentation, and nothing from a text', () => {
  const { module } = parse({ path: 'test.ricci', text: '/// One.\n/// Two.\nfn f(x: f32) -> f32 = x' });
  expect(format({ ...module, comments: [] }, '')).toBe('/// One.\n/// Two.\nfn f(x: f32) -> f32 = x\n');
});

test('an empty file stays empty', () => expect(formatted('\n')).toBe(''));
