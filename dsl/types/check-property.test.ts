import { describe, expect, it } from 'vitest';
import { moduleLoader } from '../../driver/module-loader.ts';
import { checkProgram, type ModuleLoader } from './check.ts';
import { decide } from './facts.ts';
import { showSize } from './size.ts';
import type { PropertyInfo, TypedProgram } from './typed.ts';
import { showType } from './types.ts';

const files = new Map<string, string>();
const loader: ModuleLoader = {
  ...moduleLoader,
  file: (_, relative) => {
    const text = files.get(relative);
    return text === undefined ? undefined : { path: `/${relative}`, text };
  },
};

function accepted(text: string): TypedProgram {
  const { program, diagnostics } = checkProgram({ path: '/test.ricci', text }, loader);
  expect(diagnostics.map(({ code, message }) => `${code} ${message}`)).toEqual([]);
  return program;
}

function property(text: string, name = 'p'): PropertyInfo {
  const found = accepted(text).properties.get(name);
  if (found === undefined) throw new Error(`no property ${name}`);
  return found;
}

/** The types of the sides, where they live included. */
function sides(text: string): readonly string[] {
  const { result } = property(text).function;
  return result.kind === 'tuple' ? result.elements.map(showType) : [];
}

describe('a property', () => {
  it('is a function of what it quantifies', () => {
    const found = property(`
import moe

/// Twice the same.
property p
  forall x: f32[T, D], K: 1..4, w: moe.Ffn(D, F), mesh { sp: 2..K }, target, M: K..2 * K
  where K <= T, M <= T
  check x ~= x label "values"
  check x[0] == 0 * x[0]
  check for k < K, d: x[k, d] == 0
  check x === x
mesh (sp)
`);
    expect(found).toMatchObject({ id: '/test.ricci#p', name: 'p', documentation: 'Twice the same.' });
    expect(found.function).toMatchObject({ sizes: ['K', 'M', 'T', 'D', 'F'], explicitSizes: 2, auto: false });
    expect(found.function.parameters.map(({ name, type }) => `${name}: ${showType(type)}`)).toEqual([
      'x: f32[T, D]',
      'w: Ffn(D, F)',
    ]);
    expect([...found.ranges].map(([name, { from, to }]) => [name, showSize(from), showSize(to)])).toEqual([
      ['K', '1', '4'],
      ['M', 'K', '2 * K'],
    ]);
    expect(found.mesh?.map(({ axis, from, to }) => [axis, showSize(from), showSize(to)])).toEqual([
      ['sp', '2', 'K'],
    ]);
    expect(found.checks).toMatchObject([
      { relation: '~=', left: 0, right: 1, label: 'values' },
      { relation: '==', left: 2, right: 3, label: undefined },
      { relation: 'holds', left: 4 },
      { relation: '===', left: 5, right: 6 },
    ]);
  });

  it('has facts that decide which sizes are legal', () => {
    const { facts } = property(`
mesh (sp)
property p forall K: 1..4, x: f32[T], mesh { sp: 2..K } where K <= T check top_k[K](x) == top_k[K](x)`).function;
    const isLegal = (sizes: Readonly<Record<string, number>>): boolean =>
      facts.every((fact) => decide(fact, new Map(Object.entries(sizes))) === true);
    expect(isLegal({ K: 2, T: 2, sp: 2 })).toBe(true);
    expect(isLegal({ K: 5, T: 9, sp: 2 })).toBe(false);
    expect(isLegal({ K: 0, T: 9, sp: 2 })).toBe(false);
    expect(isLegal({ K: 2, T: 1, sp: 2 })).toBe(false);
    expect(isLegal({ K: 2, T: 9, sp: 3 })).toBe(false);
  });

  it('may say nothing of values, and has a bool as its only side then', () => {
    const found = property('property p check 1 + 1 == 2\n  check (for i < 3: i < 3)');
    expect(found.checks).toMatchObject([
      { relation: '==', left: 0, right: 1 },
      { relation: 'holds', left: 2 },
    ]);
    expect(found.function.result).toMatchObject({ kind: 'tuple' });
    expect(sides('property p check true')).toEqual(['bool']);
  });

  it('says nothing of the mesh, or that there is any', () => {
    expect(property('property p forall x: f32 check x == x').mesh).toBeUndefined();
    expect(property('property p forall mesh, x: f32 check x == x').mesh).toBeUndefined();
  });

  it('may be stated of sizes that its ranges make safe', () => {
    accepted('property p forall N: 2..8, x: f32[N, D] check x[1] == x[1]');
    accepted('property p forall N: 1..8, x: f32[N - 1] check x == x');
    accepted('property p forall N: 2..8, M: 1..N - 1, x: f32[N, M] check x == x');
    accepted('property p forall N: 6..6, M: N / 2..N / 2, x: f32[N], y: f32[2 * M] check x == y');
    accepted(
      'mesh (sp) property p forall mesh { sp: 2..2 }, N: 3..4, x: f32[2 * N / sp], y: f32[N] check x == y',
    );
    expect(() => accepted('property p forall N: 6..7, x: f32[N], y: f32[6] check x == y')).toThrow();
  });
});

describe('values', () => {
  it('have traits', () => {
    const { traits } = property(`
property p
  forall p: ix(N)[B, N] permutation, doc: i32[S] ascending within -1..4, x: f32, pick: ix(E)[E] distinct
  check x == x`);
    expect([...traits]).toEqual([
      ['p', [{ kind: 'permutation' }]],
      ['doc', [{ kind: 'ascending' }, { kind: 'range', from: -1, to: 4 }]],
      ['pick', [{ kind: 'distinct' }]],
    ]);
  });

  it('may be named', () => {
    const found = property(`
mesh (sp)
fn whole(x: f32[S@sp]) -> f32[S] = all_gather(x, sp)
property p
  forall x: f32[S@sp], K: 1..S
  let y = whole(x)
  let z[s] = x[s] * K
  check y == z
  check y == y`);
    expect(found.function.body.kind).toBe('let');
    expect(found.function.result).toMatchObject({ kind: 'tuple' });
    const { result } = found.function;
    expect(result.kind === 'tuple' && result.elements.map(showType)).toEqual([
      'f32[S]',
      'f32[S@sp]',
      'f32[S]',
      'f32[S]',
    ]);
  });
});

it('may have many `let`s', () => {
  const lets = Array.from({ length: 3000 }, (_, i) => `let y${i + 1}[s] = y${i}[s] + 1`);
  const text = `property p forall y0: f32[S@sp] ${lets.join('\n')} check y3000 == y0`;
  expect(sides(text)).toEqual(['f32[S@sp]', 'f32[S@sp]']);
});

describe('sides', () => {
  it.each([
    ['of any float are read as f32', 'x: float[D], y: f32[D] check x == y', ['f32[D]', 'f32[D]']],
    ['are literals of the other’s type', 'x: bf16 check x == 0.5', ['bf16', 'bf16']],
    ['are literals before it', 'x: bf16 check 2 ~= x', ['bf16', 'bf16']],
    ['take ranges from the other', 'x: f32[D] check x ~= (for d: 0.0)', ['f32[D]', 'f32[D]']],
    ['take them from the right too', 'x: f32[D] check (for d: 0.0) ~= x', ['f32[D]', 'f32[D]']],
    ['are narrow and wide', 'x: bf16[D] check x ~= f32(x)', ['bf16[D]', 'f32[D]']],
    ['are indices of other ranges', 'i: ix(N), j: ix(M) check i == j', ['ix(N)', 'ix(M)']],
    ['are equal by a fact', 'x: f32[N], y: f32[M] where N == M check x == y', ['f32[N]', 'f32[M]']],
    [
      'are tuples with integers',
      'x: f32[D] where 2 <= D check top_k[2](x) ~= top_k[2](x)',
      ['(f32[2], ix(D)[2])', '(f32[2], ix(D)[2])'],
    ],
  ])('%s', (_, text, wanted) => expect(sides(`property p forall ${text}`)).toEqual(wanted));

  it('live where they come to live', () => {
    const mesh = 'mesh (sp, tp)\nfn whole(x: f32[S@sp]) -> f32[S] = all_gather(x, sp)\n';
    const values = 'forall x: f32[S@sp], w: f32[S@(sp, tp)]';
    expect(sides(`${mesh}property p ${values} check whole(x) == x`)).toEqual(['f32[S]', 'f32[S@sp]']);
    expect(sides(`${mesh}property p ${values} check (for s: x[s] + w[s]) ~= x + w`)).toEqual([
      'f32[S@(sp, tp)]',
      'f32[S@(sp, tp)]',
    ]);
    expect(sides(`${mesh}property p ${values} check (sum s: x[s]) ~= all_reduce(sum s: x[s], sp)`)).toEqual([
      'f32{+sp}',
      'f32',
    ]);
  });

  it('are records of blocks', () => {
    const declared = 'type P(D) = { w: f32[D], b: f32[D] }\n';
    expect(sides(`${declared}property p forall a: P(D)[E@ep] check a == (for e: a[e])`)).toEqual([
      'P(D)[E@ep]',
      'P(D)[E@ep]',
    ]);
  });
});

describe('a module with properties', () => {
  const text = `
import moe
import norm
fn f(x: f32) -> f32 = x
property p forall x: f32[D], w: moe.Ffn(D, F) check moe.ffn(x, w) ~= moe.ffn(x, w)
property q forall mesh { sp: 1..4 }, x: f32[S@sp] check x == x`;

  it('has its functions as entries, and in the program what properties call', () => {
    const program = accepted(text);
    expect([...program.entries.keys()]).toEqual(['f']);
    expect([...program.properties.keys()]).toEqual(['p', 'q']);
    expect([...program.functions.values()].map(({ name }) => name).toSorted()).toEqual([
      'f',
      'ffn',
      'sigmoid',
      'silu',
    ]);
    expect(program.axes).toEqual(['sp']);
  });

  it('has entries of its own where another imports it, and keeps its properties to itself', () => {
    files.set('./laws.ricci', 'fn g(x: f32) -> f32 = x\nproperty p forall x: f32[N], y: f32[M] check x == y');
    const program = accepted('import "./laws.ricci"\nproperty p forall x: f32 check laws.g(x) == x');
    expect([...program.properties.values()].map(({ id }) => id)).toEqual(['/test.ricci#p']);
  });

  it('is not read where another file imports it', () => {
    files.set(
      './laws.ricci',
      'fn g(x: f32) -> f32 = x\nproperty p forall x: check check\nfn h(x: f32) -> f32 = x',
    );
    accepted('import "./laws.ricci"\nfn f(x: f32) -> f32 = laws.g(laws.h(x))');
  });
});
