/**
 * The grammar: what each construct becomes, where parsing goes on after an error, and that no text breaks it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Span } from '../diagnostics/diagnostic.ts';
import { Grammar } from './grammar.ts';
import { maximumChain, maximumNesting } from './grammar-base.ts';
import { parse } from './parse.ts';
import type { Declaration, Expression } from './tree.ts';

const root = join(import.meta.dirname, '../..');
const sources = ['stdlib', 'property-tests/programs', 'bench'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith('.ricci'))
    .map((file) => ({ path: file, text: readFileSync(join(root, folder, file), 'utf8') })),
);

function codes(text: string): string[] {
  return parse({ path: 'a.ricci', text }).diagnostics.map(({ code }) => code);
}

function declaration(text: string): Declaration {
  const { module, diagnostics } = parse({ path: 'a.ricci', text });
  expect(diagnostics.map(({ message }) => message)).toEqual([]);
  return module.declarations[0] ?? expect.unreachable();
}

/** The body of a function, in a notation that shows how it nests. */
function shape(text: string): string {
  const found = declaration(`fn f() -> f32 = ${text}`);
  return found.kind === 'function' ? show(found.body) : expect.unreachable();
}

function show(expression: Expression): string {
  switch (expression.kind) {
    case 'number':
      return expression.text;
    case 'boolean':
      return `${expression.value}`;
    case 'name':
      return expression.name;
    case 'unary':
      return `(${expression.operator} ${show(expression.operand)})`;
    case 'binary':
      return `(${show(expression.left)} ${expression.operator} ${show(expression.right)})`;
    case 'tuple':
      return `tuple(${expression.elements.map(show).join(', ')})`;
    case 'comprehension':
      return `for(${expression.indices.length}: ${show(expression.body)})`;
    case 'reduction':
      return `${expression.reduction}(${expression.indices.length}: ${show(expression.body)})`;
    case 'call':
      return `${show(expression.callee)}<${expression.sizes.length}>(${expression.arguments
        .map((each) => (each.kind === 'move' ? 'move' : `${each.name?.name ?? ''}${show(each.value)}`))
        .join(', ')})`;
    case 'field':
      return `${show(expression.base)}.${expression.name.name}`;
    case 'subscript':
      return `${show(expression.base)}[${expression.subscripts
        .map((each) => (each.kind === 'whole' ? ':' : show(each.value)))
        .join(', ')}]`;
    case 'reshard':
      return `reshard(${show(expression.value)}, ${expression.dims.length}, ${expression.pending.length})`;
    default:
      return expression.kind;
  }
}

test('one token of look-ahead decides everywhere', () => {
  expect(() => new Grammar(true)).not.toThrow();
});

describe('expressions', () => {
  test.each([
    ['a + b * c - d', '((a + (b * c)) - d)'],
    ['- a * b', '((- a) * b)'],
    ['not a == b and c or d', '(((not (a == b)) and c) or d)'],
    ['a - b - c', '((a - b) - c)'],
    ['a / (b / c)', '(a / (b / c))'],
    ['1 + sum i: a * b + c', '(1 + sum(1: ((a * b) + c)))'],
    ['(sum i, j: a) + b', '(sum(2: a) + b)'],
    ['max(a, b)', 'max<0>(a, b)'],
    ['max (g, r): a', 'max(1: a)'],
    ['for s, (g, r), j < N: a', 'for(3: a)'],
    ['f[K](x, where: m)', 'f<1>(x, wherem)'],
    ['x[i, :, (g, r)].type', 'x[i, :, tuple(g, r)].type'],
    ['all_to_all(x, sp, S -> G * R)', 'all_to_all<0>(x, sp, move)'],
    ['x as [S@sp, D]{+tp} + y', '(reshard(x, 2, 1) + y)'],
    ['grad(f)(x)', 'grad<0>(f)<0>(x)'],
    ['((a))', 'a'],
    ['(a,)', 'tuple(a)'],
    ['sum + all', '(sum + all)'],
    ['ring', 'ring'],
  ])('%s', (text, expected) => {
    expect(shape(text)).toBe(expected);
  });

  test('a value on the next line is not the index of a reduction', () => {
    expect(shape('{ let n = all (n, n) }')).toBe('block');
    expect(shape('{ let n = all\n  f(n) }')).toBe('block');
  });

  test('spans take in parentheses and prefixes', () => {
    const text = 'fn f() -> f32 = (a + b) * -c';
    const found = declaration(text);
    const body =
      found.kind === 'function' && found.body.kind === 'binary' ? found.body : expect.unreachable();
    const cut = ({ start, end }: Span): string => text.slice(start, end);
    expect([body, body.left, body.right].map(({ span }) => cut(span))).toEqual([
      '(a + b) * -c',
      '(a + b)',
      '-c',
    ]);
  });
});

describe('properties', () => {
  const text = `/// The dense model is kept.
property upcycling
  forall x: bf16[T, D], N: 1..8 * K, mesh { sp: 1..8, tp: 2..2 }, target, seed: key
  where N % 2 == 0, K <= N
  check f(x) ~= g(x) label "same"
  check a == b
  check (a == b)
  check f(x) === for t: g(x[t])`;

  test('quantifiers, facts and checks', () => {
    const found = declaration(text);
    if (found.kind !== 'property') expect.unreachable();
    expect(found.documentation).toBe('The dense model is kept.');
    expect(found.quantifiers.map(({ kind }) => kind)).toEqual(['value', 'size', 'mesh', 'target', 'value']);
    expect(found.facts.map(({ relation }) => relation)).toEqual(['%', '<=']);
    expect(found.checks.map(({ relation, label }) => [relation, label])).toEqual([
      ['~=', 'same'],
      ['==', undefined],
      ['holds', undefined],
      ['===', undefined],
    ]);
  });
});

describe('traits of quantified values', () => {
  const traitsOf = (quantifier: string): readonly string[] => {
    const found = declaration(`property p forall ${quantifier} check true`);
    if (found.kind !== 'property') expect.unreachable();
    return found.quantifiers.flatMap((each) =>
      each.kind === 'value'
        ? each.traits.map((trait) =>
            trait.kind === 'word' ? trait.word : `${trait.from.text} to ${trait.to.text}`,
          )
        : [],
    );
  };

  test.each([
    ['p: ix(N)[N] permutation', ['permutation']],
    ['doc: i32[S] ascending within 0..4, x: f32', ['ascending', '0 to 4']],
    ['x: f32[N, D] within - 1.5 .. 1e3 distinct', ['-1.5 to 1e3', 'distinct']],
    ['positive: f32 positive, within: f32 within 0..1', ['positive', '0 to 1']],
    // Names of types that are words elsewhere.
    ['x: ring positive, y: sum ascending', ['positive', 'ascending']],
  ])('%s', (text, expected) => expect(traitsOf(text)).toEqual(expected));
});

test('documentation belongs to the declaration right behind it', () => {
  const { module } = parse({
    path: 'a.ricci',
    text: '/// of the file\n\n/// one\n/// two\nfn f() -> f32 = 1\n// a comment\nfn g() -> f32 = 2\n',
  });
  const documentation = module.declarations.map((each) => 'documentation' in each && each.documentation);
  expect(documentation).toEqual(['one\ntwo', undefined]);
  expect(module.comments.map(({ kind }) => kind)).toEqual([
    'documentation',
    'documentation',
    'documentation',
    'comment',
  ]);
});

describe('after an error', () => {
  test('parsing goes on at the next let and the next declaration', () => {
    const text = `fn f() -> f32 {
  let a = 1 +
  let b = 2 +
  let b2 = , 2
  let c = a * * b
  c
}
fn g(x f32) -> f32 = x
type T = { a: f32 b: f32 }
fn h() -> f32 = 1`;
    const { module, diagnostics } = parse({ path: 'a.ricci', text });
    const lines = diagnostics.map(({ primary }) => text.slice(0, primary.span.start).split('\n').length);
    expect(lines).toEqual([3, 4, 4, 5, 8, 9]);
    expect(module.declarations.map((each) => 'name' in each && each.name?.name)).toEqual(['f', 'h']);
  });

  test.each([
    ['a bracket that is missing', 'fn f(x: f32[D, y: f32[D]) -> f32 = x', ['E0102']],
    ['a bracket before a let', 'fn f() -> f32 { let a = g(1\n let b = 2\n a }', ['E0102']],
    ['a bracket too many', 'fn f() -> f32 = (1))', ['E0101']],
    ['a character of another alphabet', 'fn f() -> f32 = 1 · 2 · 3', ['E0104', 'E0104']],
    ['marks of C', 'fn f() -> bool = !a && b', ['E0104', 'E0104']],
    ['a semicolon', 'fn f() -> f32 { let a = 1; a }', ['E0114']],
    ['a block that is never closed', 'fn f() -> f32 { 1\nfn g() -> f32 = h(', ['E0102', 'E0102']],
    ['no colon behind the indices', 'fn f() -> f32 = sum d x[d]', ['E0101']],
    ['a reserved word as a name', 'fn f(in: f32) -> f32 = 1', ['E0112']],
    ['a chain of comparisons', 'fn f() -> bool = a < b < c', ['E0108']],
    ['a value that is called', 'fn f() -> f32 = (a + b)(c)', ['E0110']],
    ['a size that is none', 'fn f() -> f32 = g[1.5](c)', ['E0109']],
    ['a malformed number', 'fn f() -> f32 = 1x', ['E0105']],
    ['a number that is too large', 'fn f() -> f32 = 1e400', ['E0106']],
    ['a text that is not closed', 'import "./a', ['E0107']],
    ['the name of the module in the middle', 'fn f() -> f32 = 1\nmodule a', ['E0111']],
    ['no value', 'fn f() -> f32 { let a = 1 }', ['E0113']],
    ['a value that the let before it takes', 'fn f() -> f32 {\n  let a = 1\n  -a\n}', ['E0113']],
    ['two values', 'fn f() -> f32 { 1 2 }', ['E0101']],
    ['no declaration', 'x = 3', ['E0101']],
  ])('%s', (_, text, expected) => {
    expect(codes(text)).toEqual(expected);
  });

  test.each(['constructor', 'toString', '__proto__'])('%s is a name like others', (name) => {
    const { diagnostics } = parse({ path: 'a.ricci', text: `fn f(x: f32) -> f32 = x ${name}` });
    expect(diagnostics.map(({ help }) => help)).toEqual([
      ['write an operator between the two, or leave this out'],
    ]);
  });

  test('what is nested too deeply, with and without brackets', () => {
    const nested = (depth: number): string => `fn f() -> f32 = ${'g('.repeat(depth)}1${')'.repeat(depth)}`;
    const inParentheses = (depth: number): string => nested(depth).replaceAll('g(', '(');
    expect(codes(inParentheses(2 * maximumNesting - 1))).toEqual([]);
    expect(codes(inParentheses(2 * maximumNesting))).toEqual(['E0103']);
    const chained = (length: number): string => `fn f() -> f32 = 1${' + 1'.repeat(length)}`;
    expect(codes(nested(maximumNesting - 1))).toEqual([]);
    expect(codes(nested(maximumNesting))).toEqual(['E0103']);
    expect(codes(chained(maximumChain))).toEqual([]);
    expect(codes(chained(maximumChain + 1))).toEqual(['E0103']);
    expect(codes(`fn f() -> f32 = ${'-'.repeat(100_000)}1`)).toEqual(['E0103']);
    expect(codes(`fn f() -> f32 = ${'('.repeat(100_000)}`)).toEqual(['E0103', 'E0102']);
    expect(codes(`fn f() -> ${'('.repeat(100_000)}f32${')'.repeat(100_000)} = 1`)).toEqual(['E0103']);
  });
});

/** Every error is placed in the text, says something, and has a way out. */
function expectReportsOnly(text: string): number {
  const { diagnostics } = parse({ path: 'a.ricci', text });
  for (const { primary, secondary, message, help } of diagnostics) {
    for (const { span } of [primary, ...secondary]) {
      expect(span.start).toBeLessThanOrEqual(span.end);
      expect(span.start).toBeGreaterThanOrEqual(0);
      expect(span.end).toBeLessThanOrEqual(text.length);
    }
    expect(message).not.toMatch(/undefined|NaN|\[object/);
    expect(help[0]).toBeTruthy();
  }
  return diagnostics.length;
}

const aSource = fc.constantFrom(...sources);

describe('any text', () => {
  test('random characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void expectReportsOnly(text)),
    );
  });

  test('random words of the language', () => {
    const piece = fc.constantFrom(
      ...'fn let for sum max ( ) [ ] { } , : = == -> < + - * . @ ? | "a" x f32 1 where if then else fold from in ring at property check forall mesh module import type export auto // \n'.split(
        ' ',
      ),
    );
    const texts = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(' '));
    fc.assert(
      fc.property(texts, (text) => void expectReportsOnly(text)),
      { numRuns: 500 },
    );
  });

  test('a stretch cut out of a program', () => {
    fc.assert(
      fc.property(aSource, fc.nat(), fc.nat(40), ({ text }, at, length) => {
        const start = at % text.length;
        expectReportsOnly(text.slice(0, start) + text.slice(start + length));
      }),
    );
  });

  test('one token missing gives one error, rarely two, and leaves the other declarations whole', () => {
    const counts = [0, 0, 0, 0];
    fc.assert(
      fc.property(aSource, fc.nat(), ({ path, text }, pick) => {
        const tokens = [
          ...text.matchAll(/\/\/.*|[A-Za-z_]\w*|->|\.\.|[<>!~]=|===?|[()[\]{},:=+*/<>.@|-]/g),
        ].filter(([image]) => !image.startsWith('//'));
        const token = tokens[pick % tokens.length];
        if (token === undefined) return;
        const edited = text.slice(0, token.index) + text.slice(token.index + token[0].length);
        const errors = expectReportsOnly(edited);
        counts[Math.min(errors, 3)]! += 1;
        const before = parse({ path, text }).module.declarations.length;
        expect(parse({ path, text: edited }).module.declarations.length).toBeGreaterThanOrEqual(before - 2);
      }),
      { numRuns: 800, seed: 3 },
    );
    const [none = 0, one = 0, two = 0, more = 0] = counts;
    expect(one).toBeGreaterThan(200);
    expect(two).toBeLessThan(0.01 * (one + two + more));
    expect(more).toBe(0);
    expect(none).toBeGreaterThan(0);
  });
});
