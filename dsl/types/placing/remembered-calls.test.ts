import { describe, expect, it } from 'vitest';
import { moduleLoader } from '../../../driver/module-loader.ts';
import type { Diagnostic } from '../../diagnostics/diagnostic.ts';
import { parse } from '../../syntax/parse.ts';
import { checkProgram } from '../check.ts';
import type { Problem } from '../report.ts';
import type { FunctionInfo } from '../typed.ts';
import { checkPlacement } from './check-placement.ts';

/** Functions f1 … f{levels}, of which each calls the one before twice: the second time with what it gave. */
function chain(
  levels: number,
  lowest: string,
  step = (f: string) => `{ let y = ${f}(x)\n  ${f}(y) }`,
): string {
  const signature = '(x: f32[S, D]) -> f32[S, D]';
  const functions = [`fn f0${signature} = ${lowest}`];
  for (let level = 1; level <= levels; level++)
    functions.push(`fn f${level}${signature} = ${step(`f${level - 1}`)}`);
  return `mesh (tp, sp)\n\n${functions.join('\n\n')}\n`;
}

/** How often the bodies of functions are gone through from `main`, and what is reported. */
function checkedFrom(text: string): { readonly visits: number; readonly problems: readonly Problem[] } {
  const source = { path: '/chain.ricci', text };
  const { program } = checkProgram(source, moduleLoader);
  let visits = 0;
  const counted = [...program.functions].map(([id, info]): [string, FunctionInfo] => {
    const counting = {
      get body() {
        visits++;
        return info.body;
      },
    };
    return [id, Object.defineProperties({ ...info }, Object.getOwnPropertyDescriptors(counting))];
  });
  const main = [...program.functions.values()].find(({ name }) => name === 'main')!;
  const declaration = parse(source).module.declarations.find(
    (one) => one.kind === 'function' && one.name.name === 'main',
  );
  if (declaration?.kind !== 'function') throw new Error('no function main');
  const problems: Problem[] = [];
  checkPlacement(
    main,
    { declaration },
    {
      program: { ...program, functions: new Map(counted) },
      report: (problem) => problems.push(problem),
      text: ({ start, end }) => text.slice(start, end),
    },
  );
  return { visits, problems };
}

function errorsOf(text: string): readonly Diagnostic[] {
  return checkProgram({ path: '/chain.ricci', text }, moduleLoader).diagnostics;
}

/** A visit reads the body twice: to go through it, and to point at it. */
const readsAVisit = 2;

describe('functions that call others twice', () => {
  const levels = 64;
  const whole = 'fn main(x: f32[S, D@tp]) -> f32[S, D@tp] = f64(x)\n';

  it('are gone through once for arguments that live alike', () => {
    const { visits, problems } = checkedFrom(chain(levels, 'for s, d: x[s, d] * 2.0') + whole);
    expect(problems).toEqual([]);
    expect(visits).toBe(readsAVisit * (levels + 1));
  });

  it('are gone through once in loops in loops', () => {
    const fold = (f: string) => `fold i < 2 from h = x: ${f}(h)`;
    const { visits, problems } = checkedFrom(chain(levels, 'for s, d: x[s, d] * 2.0', fold) + whole);
    expect(problems).toEqual([]);
    expect(visits).toBe(readsAVisit * (levels + 1));
  });

  it('are gone through for each way in which arguments live', () => {
    const text = `${chain(levels, 'for s, d: x[s, d] * 2.0')}
fn main(x: f32[S, D@tp], y: f32[S, D@sp], z: f32[S, D@tp]) -> f32[S, D@tp] {
  let other = f64(y)
  for s, d: f64(x)[s, d] + f64(z)[s, d]
}
`;
    const { visits, problems } = checkedFrom(text);
    expect(problems).toEqual([]);
    expect(visits).toBe(2 * readsAVisit * (levels + 1));
  });

  it('are gone through once where the lowest is wrong, and that is said once', () => {
    const text = chain(levels, 'for s: softmax(x[s])') + whole;
    const { visits, problems } = checkedFrom(text);
    expect(visits).toBe(readsAVisit * (levels + 1));
    expect(problems).toHaveLength(1);
    expect(errorsOf(text)).toHaveLength(1);
  });
});

describe('what a remembered call says', () => {
  const row = `mesh (tp, sp)

fn row(x: f32[S, D], s: ix(S)) -> f32[D] = x[s]

fn probabilities(x: f32[S, D]) -> f32[S, D] = for s: softmax(x[s])
`;

  it('stands at every call that it is wrong for', () => {
    const text = `${row}
fn main(x: f32[S, D@tp], y: f32[S, D@tp]) -> f32[S, D@tp] {
  let left = probabilities(x)
  let right = probabilities(y)
  for s, d: left[s, d] + right[s, d]
}
`;
    const errors = errorsOf(text);
    expect(errors.map(({ code }) => code)).toEqual(['E0508', 'E0508']);
    const names = errors.map(({ secondary }) => secondary.map(({ message }) => message).join('; '));
    expect(names[0]).toContain('D of x is cut over tp');
    expect(names[1]).toContain('D of y is cut over tp');
  });

  it('tells the arguments of this call, not those of the one before', () => {
    const text = `${row}
fn twice(x: f32[S, D]) -> f32[S, D] = for s, d: x[s, d] * 2.0

fn main(x: f32[S, D@tp], y: f32[S, D@tp]) -> f32[S, D] {
  let left = all_gather(twice(x), tp)
  for s, d: left[s, d] + twice(y)[s, d]
}
`;
    const [error, ...more] = errorsOf(text);
    expect(more).toEqual([]);
    expect(error!.secondary.map(({ message }) => message).join('; ')).toContain('D of y is cut over tp');
    expect(error!.secondary.map(({ message }) => message).join('; ')).not.toContain('D of x');
  });

  it('cuts the index that is handed over, every time', () => {
    const text = `${row}
fn main(x: f32[S@tp, D], y: f32[S@tp, D]) -> f32[S, D] {
  let left = all_gather((for s < S, d < D: row(x, s)[d]), tp)
  for s < S, d < D: left[s, d] + row(y, s)[d]
}
`;
    expect(errorsOf(text).map(({ code }) => code)).toEqual(['E0505']);
  });

  it('holds axes that an index takes later against those of what was called before', () => {
    const text = `${row}
fn weigh(p: f32, w: f32[D]) -> f32[D] = for d: p * w[d]

fn main(p: f32[S], w: f32[D@tp], x: f32[S@tp], z: f32[S]) -> f32[S, D] {
  let fine = for s: weigh(p[s], w)
  for s, d: weigh(p[s], w)[d] * x[s]
}
`;
    expect(errorsOf(text).map(({ code }) => code)).toContain('E0507');
  });
});
