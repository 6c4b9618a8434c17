import { describe, expect, it } from 'vitest';
import { moduleLoader } from '../../driver/module-loader.ts';
import { checkProgram, type ModuleLoader, programChecker } from './check.ts';
import type { FunctionInfo, TypedExpression, TypedProgram } from './typed.ts';
import { showType } from './types.ts';

function check(text: string): { program: TypedProgram; errors: readonly string[] } {
  const { program, diagnostics } = checkProgram({ path: '/test.ricci', text }, moduleLoader);
  return { program, errors: diagnostics.map(({ code, message }) => `${code} ${message}`) };
}

function accepted(text: string): TypedProgram {
  const { program, errors } = check(text);
  expect(errors).toEqual([]);
  return program;
}

function entry(text: string, name = 'f'): FunctionInfo {
  const found = accepted(text).entries.get(name);
  if (found === undefined) throw new Error(`no function ${name}`);
  return found;
}

/** The types of the lets of a function, as `name: type`. */
function lets(info: FunctionInfo): readonly string[] {
  const found: string[] = [];
  for (let node: TypedExpression = info.body; node.kind === 'let'; node = node.body) {
    if (node.pattern.kind === 'local') found.push(`${node.pattern.name}: ${showType(node.pattern.type)}`);
    else found.push(`(…): ${showType(node.value.type)}`);
  }
  return found;
}

/** Every node of an expression, in no order that matters. */
function nodes(root: TypedExpression): readonly TypedExpression[] {
  const found: TypedExpression[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    else if (value !== null && typeof value === 'object') {
      if ('kind' in value && 'type' in value && 'span' in value) found.push(value as TypedExpression);
      for (const part of Object.values(value)) visit(part);
    }
  };
  visit(root);
  return found;
}

describe('ranges of indices', () => {
  it.each([
    ['a use', 'fn f(x: f32[N]) -> f32 { let y = for i: x[i]  sum i: y[i] }', 'y: f32[N]'],
    ['a written bound', 'fn f(x: f32[N]) -> f32 { let y = for i < 3: 2.0  y[0] }', 'y: f32[3]'],
    [
      'a use of a row',
      'fn f(x: f32[N, M]) -> f32 { let y = for i: sum j: x[i][j]  sum i: y[i] }',
      'y: f32[N]',
    ],
    ['a column', 'fn f(x: f32[N, M]) -> f32 { let y = for j: sum i: x[:, j][i]  sum j: y[j] }', 'y: f32[M]'],
    [
      'a field',
      'type P(D) = { w: f32[D] }\nfn f(p: P(D)) -> f32 { let y = for i: p.w[i]  y[0 * 1] } ',
      'y: f32[D]',
    ],
    [
      'an inner let',
      'fn f(x: f32[N, M]) -> f32 { let y = for i: { let r = x[i]  sum j: r[j] }  sum i: y[i] }',
      'y: f32[N]',
    ],
    [
      'the result of a call',
      'fn g(x: f32[N]) -> f32[N] = x\nfn f(x: f32[N]) -> f32 { let y = for i: g(x)[i]  sum i: y[i] }',
      'y: f32[N]',
    ],
    [
      'a product dimension',
      'fn f(x: f32[G * R]) -> f32 { let y = for (g, r): x[(g, r)]  sum i: y[i] }',
      'y: f32[G * R]',
    ],
    [
      'a factor',
      'fn f(x: f32[G * R], w: f32[G]) -> f32 { let y = for r, g: x[(g, r)] * w[g]  sum i, j: y[i, j] }',
      'y: f32[R, G]',
    ],
  ])('come from %s', (_, text, expected) => {
    const { program, errors } = check(text);
    expect(errors.filter((error) => !error.startsWith('E0405'))).toEqual([]);
    expect(lets(program.entries.get('f')!)[0]).toBe(expected);
  });

  it('come from the expected type, through literals, conditions and arguments', () => {
    accepted('fn f[N]() -> f32[N, N] = for i, j: if i == j then 1 else 0');
    accepted('fn g(x: f32[N], m: bool[N]) -> f32[N] = x\nfn f(x: f32[N]) -> f32[N] = g(x, for i: i > 2)');
    accepted('fn g(m: bool[N], x: f32[N]) -> f32[N] = x\nfn f(x: f32[N]) -> f32[N] = g(for i: i > 2, x)');
  });

  it('are not guessed', () => {
    expect(check('fn f(x: f32[N]) -> f32 = sum i: 1.0').errors[0]).toMatch(/^E0404/);
    expect(check('fn f(x: f32[N], y: f32[M]) -> f32 = sum i: x[i] * y[i]').errors[0]).toMatch(/^E0403/);
  });
});

describe('subscripts in range', () => {
  it.each([
    ['fn f(x: f32[N + 2]) -> f32[N] = for i < N: x[i + 2]'],
    ['fn f(x: f32[N]) -> f32[N] = for i < N: x[N - 1 - i]'],
    ['fn f(x: f32[3 * N]) -> f32[N] = for i < N: x[3 * i + 2]'],
    ['fn f(x: f32[N * M]) -> f32[N, M] = for i < N, j < M: x[i * M + j]'],
    ['fn f(x: f32[N]) -> f32[N] = for i: if i > 0 then x[i - 1] else 0'],
    ['fn f(x: f32[N], k: i32) -> f32[N] = for i: if i + k >= 0 and i + k < N then x[i + k] else 0'],
    ['fn f(x: f32[N]) -> f32[N] = for i: if i == 0 then 0 else if not (i < 1) then x[i - 1] else 1'],
    ['fn f[N](x: f32[4]) -> f32[N] where N <= 4 = for i < N: x[i]'],
    ['fn f(x: f32[N]) -> f32[N] where 2 | N = for i: x[i % (N / 2) + N / 2]'],
    ['fn f(x: f32[N, M]) -> f32[N * M] = for i < N * M: x[floordiv(i, M), i % M]'],
    ['fn f(x: f32[N]) -> f32[N] = for i: { let j = N - 1 - i  x[j] }'],
    ['fn f(x: f32[V, D], t: ix(V)[S]) -> f32[S, D] = for s: x[t[s]]'],
    ['fn f(x: f32[2 * P]) -> f32[P] = for j < P: x[(0, j)] + x[(1, j)]'],
    ['fn f(x: f32[N], i: i32) -> f32 where 1 <= N = x[clamp_index[N](i)]'],
    // The condition on `j` says nothing until its range comes from the type that is expected.
    ['fn f[M](x: f32[N]) -> f32[N, M] = for i < N, j: if j < 3 and i > 0 then x[i - 1] else 0'],
  ])('%s', (text) => {
    accepted(text);
  });

  it.each([
    ['fn f(x: f32[N]) -> f32[N] = for i: x[i + 1]'],
    ['fn f(x: f32[N]) -> f32[N] = for i: x[i - 1]'],
    ['fn f(x: f32[N]) -> f32[N] = for i: if i > 1 then x[i - 3] else 0'],
    ['fn f(x: f32[N]) -> f32[N] = for i: if i > 0 then 0 else x[i - 1]'],
    ['fn f(x: f32[N]) -> f32[N] = for i: if i > 0 or i < 5 then x[i - 1] else 0'],
    ['fn f(x: f32[3 * N]) -> f32[N] = for i < N: x[3 * i + 3]'],
    ['fn f(x: f32[N]) -> f32[N] = for i: x[i * i]'],
    ['fn f(x: f32[N], k: i32) -> f32[N] = for i: if k >= 0 and i + k < N then x[i + k] else 0'],
    ['fn f(x: f32[N], j: i32, k: i32) -> f32 = if j >= k and j < N then x[j - k] else 0'],
    ['fn f(x: f32[N]) -> f32 = x[0]'],
    ['fn f(x: f32[N], u: u32) -> f32[N] = for i: x[i32(u - u)]'],
    ['fn f(x: f32[V, D], t: ix(E)[S]) -> f32[S, D] = for s: x[t[s]]'],
    ['fn f(x: f32[2 * P]) -> f32[P] = for j < P: x[(2, j)]'],
  ])('not %s', (text) => {
    expect(check(text).errors.join()).toMatch(/^E040[59]/);
  });
});

describe('conversions', () => {
  it('makes every conversion a cast', () => {
    const info = entry('fn f(x: bf16[D], y: f16[D]) -> bf16 = sum d: x[d] * y[d]');
    const casts = nodes(info.body).filter(({ kind }) => kind === 'cast');
    expect(casts.map(({ type }) => showType(type)).sort()).toEqual(['bf16', 'f32', 'f32']);
  });

  it('gives literals and sizes the dtype of their use', () => {
    const info = entry(
      'fn f(x: f32[D], n: i32, u: u32[D]) -> (f32[D], i32, u32[D]) = (2 * x / D, n + D * 2, u + 1)',
    );
    const constants = nodes(info.body).filter(({ kind }) => kind === 'constant' || kind === 'size');
    expect(constants.map(({ type }) => showType(type)).sort()).toEqual(['f32', 'f32', 'i32', 'i32', 'u32']);
    expect(nodes(info.body).some(({ kind }) => kind === 'cast')).toBe(false);
  });

  it('widens arguments, rounds results and annotated lets, and keeps `float` open', () => {
    accepted('fn g(x: f32[D]) -> f32[D] = x\nfn f(x: bf16[D]) -> f16[D] { let y: bf16[D] = g(x)  y }');
    accepted('fn g(x: float[D]) -> f32[D] = x\nfn f(x: bf16[D], y: f16[D]) -> f32[D] = g(x) + g(y)');
    expect(check('fn g(x: bf16) -> bf16 = x\nfn f(x: f32) -> bf16 = g(x)').errors[0]).toMatch(/^E0302/);
    expect(check('fn g(x: bf16) -> bf16 = x\nfn f(x: float) -> bf16 = g(x)').errors[0]).toMatch(/^E0302/);
    expect(check('fn f(n: i32) -> f32 = n').errors[0]).toMatch(/^E0303/);
  });

  it('turns indices into integers and proven integers into indices', () => {
    accepted('fn f(x: f32[N]) -> ix(N)[N] = for i < N: N - 1 - i');
    accepted('fn f(x: f32[N]) -> i32[N] = for i: i');
    expect(check('fn f(n: i32) -> ix(4) = n').errors[0]).toMatch(/^E0405/);
  });
});

describe('calls', () => {
  it('solves sizes from arguments, products and records included', () => {
    const program = accepted(`
      type P(N, M) = { w: f32[N, M] }
      fn g(x: f32[G * R], y: f32[G], p: P(G, M)) -> f32[R, M] = for r, m: sum g: x[(g, r)] * y[g] * p.w[g, m]
      fn f(x: f32[4 * K], y: f32[4], p: P(4, 7)) -> f32[K, 7] = g(x, y, p)`);
    const call = program.entries.get('f')!.body;
    expect(call.kind).toBe('call');
    expect(showType(call.type)).toBe('f32[K, 7]');
    expect(program.functions.get('/test.ricci#g')?.sizes).toEqual(['G', 'R', 'M']);
  });

  it('takes arguments by name, and sizes in brackets', () => {
    accepted(
      'fn g[K](x: f32[N], s: f32) -> f32[K] where K <= N = for k < K: s * x[k]\nfn f(x: f32[9]) -> f32[2] ' +
        '= g[2](s: 1, x: x)',
    );
  });

  it('discharges facts under those of the caller', () => {
    const callee = 'fn g[K](x: f32[N]) -> f32[K] where K <= N = for k < K: x[k]\n';
    accepted(`${callee}fn f[K](x: f32[N]) -> f32[K] where K < N = g[K](x)`);
    expect(check(`${callee}fn f[K](x: f32[N]) -> f32[K] = g[K](x)`).errors[0]).toMatch(/^E0406/);
  });

  it('lifts functions of scalars over the dims of their arguments', () => {
    const info = entry('fn f(x: f32[N, M], c: f32) -> f32[N, M] = silu(x) + soft_cap(x, c)');
    expect(showType(info.body.type)).toBe('f32[N, M]');
  });

  it('builds records, also from what is expected', () => {
    accepted(
      'type P(N) = { a: f32[N], b: bf16[N] }\nfn f[N]() -> P(N) = P(b: for i: 0, a: for i: 1)'.replace(
        'for i: 0',
        'for i: bf16(0)',
      ),
    );
  });

  it('subscripts arrays of records before or after their fields', () => {
    const info = entry(`
      type P(N) = { a: f32[N] }
      fn f(ps: P(N)[E], pick: ix(E)) -> f32[N] {
        let all = ps.a
        let one = ps[pick]
        all[pick] + one.a
      }`);
    expect(lets(info)).toEqual(['all: f32[E, N]', 'one: P(N)']);
  });
});

describe('control', () => {
  it('types folds, scans, conditions and blocks', () => {
    accepted(
      'fn f(xs: f32[L, D]) -> (f32[D], f32[L]) = scan x in xs from s = (for d < D: 0.0): (s + x, sum d: ' +
        's[d])',
    );
    accepted(
      'fn f(x: f32[D]) -> f32[D] = fold i < 3 from (h, n) = (x, 0): (h * 2, n + i)'.replace(
        '-> f32[D]',
        '-> (f32[D], i32)',
      ),
    );
    accepted('fn f(c: bool, x: bf16[D], y: f32[D]) -> f32[D] = if c then x else y');
  });

  it('types collectives as identities, and the per-device view as its body', () => {
    const info = entry('fn f(x: f32[S@sp, G, A]) -> f32[S@sp, G, A] = per_device sp (x) { shift(x, sp) }');
    expect(showType(info.body.type)).toBe('f32[S@sp, G, A]');
    const program = accepted(
      'mesh (tp)\nfn f(x: f32[S, D@tp]) -> f32[S, D] = (x as [S, D]) + all_gather(x, tp)',
    );
    expect(program.axes).toEqual(['tp']);
  });

  it('gives random functions the expected shape', () => {
    expect(showType(entry('fn f[N](k: key) -> bf16[N, 3] = normal(k)').body.type)).toBe('bf16[N, 3]');
  });
});

describe('the whole', () => {
  it('exports what is exported, else everything', () => {
    expect([
      ...accepted('fn a(x: f32) -> f32 = x\nexport fn b(x: f32) -> f32 = a(x)').entries.keys(),
    ]).toEqual(['b']);
    expect([...accepted('fn a(x: f32) -> f32 = x\nfn b(x: f32) -> f32 = a(x)').entries.keys()]).toEqual([
      'a',
      'b',
    ]);
  });

  it('says nothing more about what was already reported', () => {
    expect(
      check('fn f(x: f32[D]) -> f32[D] { let a = nope(x)  let b[d] = a[d] + 1  for d: b[d] + a[d] }').errors,
    ).toHaveLength(1);
  });

  it('takes the lowest integer, and none below', () => {
    accepted(
      'fn f(x: i32[N]) -> i32[N] = for i: if x[i] == -2147483648 then -2147483648 else x[i] + -2147483648',
    );
    expect(check('fn f() -> i32 = -2147483649').errors[0]).toMatch(/^E0316/);
  });

  it('accepts the whole standard library', () => {
    const imports = moduleLoader.standardNames
      .filter((name) => name !== 'prelude')
      .map((name) => `import ${name}\n`);
    accepted(imports.join(''));
  });

  it('offers only fixes that help', () => {
    const text = 'fn f(x: f32[N], y: f32[M]) -> f32[N] = x * y';
    const { diagnostics } = checkProgram({ path: '/test.ricci', text }, moduleLoader);
    const [fix] = diagnostics[0]!.fixes;
    const edit = fix!.edits[0]!;
    accepted(text.slice(0, edit.span.start) + edit.text + text.slice(edit.span.end));
  });
});

describe('one text after another', () => {
  const texts = new Map<string, string>();
  const loader: ModuleLoader = {
    ...moduleLoader,
    file: (_, name) => {
      const text = texts.get(name);
      return text === undefined ? undefined : { path: `/${name}`, text };
    },
  };
  const base = 'type P(D) = { w: f32[D] }\nfn f(p: P(D)) -> f32[D] = p.w';
  const middle = 'import "base.ricci"\nfn g(x: f32[D]) -> f32[D] = base.f(base.P(w: x))';
  const entry = 'import "middle.ricci"\nimport "base.ricci"\n';
  const sum = `${entry}fn h(x: f32[3]) -> f32 = sum i: middle.g(x)[i] + base.f(base.P(w: x))[i]`;

  /** Each step changes a file or two; what is found of all is what is found of them by themselves. */
  const steps: readonly (readonly [string, string])[] = [
    ['entry.ricci', sum],
    ['entry.ricci', sum.replace('+', '*')],
    ['entry.ricci', `${sum} + nothing`],
    ['entry.ricci', `${sum}\nproperty p forall x: f32[3] check h(x) === h(x)`],
    ['base.ricci', base.replace('= p.w', '= for d: 2 * p.w[d]')],
    ['base.ricci', base.replaceAll('f32[D]', 'f32[D, 2]')],
    ['base.ricci', `${base} +`],
    ['base.ricci', base],
    ['middle.ricci', `${middle}\nfn wrong(x: f32) -> f32[2] = x`],
    ['middle.ricci', middle.replace('import "base.ricci"', 'import "none.ricci"')],
    ['middle.ricci', middle],
    ['entry.ricci', entry],
  ];

  it('comes to what each does by itself', () => {
    for (const [name, text] of [
      ['base.ricci', base],
      ['middle.ricci', middle],
    ] as const)
      texts.set(name, text);
    const check = programChecker(loader);
    let rejected = 0;
    for (const [name, text] of steps) {
      texts.set(name, text);
      const source = { path: '/entry.ricci', text: texts.get('entry.ricci')! };
      const { diagnostics, sources, program } = check(source);
      const alone = checkProgram(source, loader);
      const withoutFixes = (all: typeof diagnostics) => all.map((each) => ({ ...each, fixes: [] }));
      expect(withoutFixes(diagnostics)).toEqual(withoutFixes(alone.diagnostics));
      expect(sources).toEqual(alone.sources);
      expect(program).toEqual(alone.program);
      if (diagnostics.length > 0) rejected++;
    }
    expect(rejected).toBe(5);
  });
});
