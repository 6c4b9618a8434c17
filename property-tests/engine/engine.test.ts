/** The engine of `ricci test`: its cases are legal, its counterexamples real, simple, and found again. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementCount } from '../../compiler/graph/tensor-type.ts';
import { checkText } from '../../compiler/lower/testing.ts';
import type { Checked } from '../../driver/check.ts';
import { UserError } from '../../runtime/errors.ts';
import type { Case } from './case.ts';
import { caseAt, type Domain, domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import { judgeOf, waysOf } from './judge.ts';
import { randomCases } from './random-case.ts';
import type { PropertyReport } from './report.ts';
import { runProperty, type TestOptions } from './run-property.ts';
import { simplerCases } from './shrink-case.ts';
import { hasTraits } from './traits.ts';

function checked(text: string): Checked {
  return { kind: 'checked', program: checkText(text), sources: new Map() };
}

function domainFor(text: string): Domain {
  const judge = onlyJudge(checked(text));
  return domainOf(judge.program, judge.property);
}

function onlyJudge(program: Checked) {
  const [property] = program.program.properties.values();
  return judgeOf(program, property!, {});
}

const defaults: TestOptions = {
  runs: 60,
  seed: 7,
  path: undefined,
  exhaust: 100,
  targets: ['reference'],
  onCase: () => undefined,
};

function run(text: string, options: Partial<TestOptions> = {}): Promise<PropertyReport> {
  return runProperty(onlyJudge(checked(text)), { ...defaults, ...options });
}

// ── cases ──────────────────────────────────────────────────────────────────────────────────────────────────

const placed = `
mesh (sp)
property p
  forall mesh { sp: 1..4 }, x: f32[S@sp, G * R] within -1..1, pick: ix(G)[S, K] distinct, order: ix(S)[S] permutation
  where K <= G, sp | S, 1 <= G
  check x === x
`;

function isLegal(domain: Domain, { sizes, mesh, values }: Case): boolean {
  const wanted = domain.wantedAt(sizes);
  return (
    domain.isLegal(sizes) &&
    (mesh?.axes ?? []).every(({ name, size }) => !sizes.has(name) || sizes.get(name) === size) &&
    wanted!.every((each) => {
      const tensor = values.get(each.path)!;
      const isIndex = each.content.kind === 'index' ? each.content.range : Number.POSITIVE_INFINITY;
      return (
        tensor.data.length === elementCount(each) &&
        hasTraits(tensor, each) &&
        Array.from(tensor.data as ArrayLike<number>).every((value) => value < isIndex)
      );
    })
  );
}

test('cases are legal, and what is simpler than one is legal too', () => {
  const domain = domainFor(placed);
  fc.assert(
    fc.property(randomCases(domain), fc.nat(20), (drawn, steps) => {
      expect(isLegal(domain, drawn)).toBe(true);
      let own: Case | undefined = drawn;
      for (let step = 0; step < 4 && own !== undefined; step++) {
        const simpler: readonly Case[] = [...simplerCases(own, domain)];
        for (const each of simpler) expect(isLegal(domain, each)).toBe(true);
        own = simpler[steps % Math.max(1, simpler.length)];
      }
    }),
    { numRuns: 40 },
  );
});

test('a case that breaks a trait, or a fact, is seen to', () => {
  const domain = domainFor(placed);
  const sizes = new Map([
    ['sp', 2],
    ['S', 4],
    ['G', 2],
    ['R', 1],
    ['K', 2],
  ]);
  const drawn = caseAt(domain, sizes, () => 0);
  const twice = { ...drawn.values.get('pick')!, data: new Float64Array(8) };
  expect(isLegal(domain, drawn)).toBe(true);
  expect(isLegal(domain, { ...drawn, values: new Map([...drawn.values, ['pick', twice]]) })).toBe(false);
  expect(isLegal(domain, { ...drawn, sizes: new Map([...sizes, ['S', 3]]) })).toBe(false);
});

test('few cases are all tried', () => {
  const domain = domainFor(`
property p forall n: 1..3, b: bool[n], i: ix(n) check b == b
`);
  // 2^n · n for n = 1, 2, 3.
  const known = exhaust(domain, 100, 1)!;
  expect(known.isAll).toBe(true);
  expect(known.cases).toHaveLength(2 + 8 + 24);
  expect(new Set(known.cases.map((each) => JSON.stringify([...each.values]))).size).toBe(34);
  expect(exhaust(domain, 20, 1)!.isAll).toBe(false);
  expect(exhaust(domain, 2, 1)).toBeUndefined();
});

// ── verdicts ───────────────────────────────────────────────────────────────────────────────────────────────

const softmaxes = (shift: string): string => `
property shifting_logits_changes_nothing
  forall x: f32[N], c: f32
  check softmax(x) === softmax(for n: x[n] + ${shift})
`;

test('what holds passes, and says what was tried', async () => {
  const report = await run(softmaxes('c'));
  expect(report.outcome).toEqual({ kind: 'passed' });
  expect(report.coverage.cases).toBe(60);
  expect([...report.coverage.counts.get('N')!.keys()].length).toBeGreaterThan(5);
  expect(report.coverage.counts.get('way')!.get('reference on a mesh')).toBeGreaterThan(4);
});

test('what does not hold fails on a simplest case, the same again by its seed and path', async () => {
  const text = softmaxes('c * f32(n)');
  const { outcome } = await run(text);
  if (outcome.kind !== 'failed') throw new Error('it holds');
  const { counterexample } = outcome;
  expect([...counterexample.case.sizes]).toEqual([['N', 2]]);
  expect(counterexample.case.mesh).toBeUndefined();
  expect(
    [...counterexample.case.values].map(([path, { data }]) => [path, Array.from(data as Float64Array)]),
  ).toEqual([
    ['x', [0, 0]],
    ['c', [expect.closeTo(1, 6)]],
  ]);
  const again = await run(text, { path: counterexample.path });
  expect(again.outcome).toMatchObject({ kind: 'failed', counterexample: { case: counterexample.case } });
  expect(again.coverage.cases).toBe(1);
});

test('what the fields cannot tell is not passed', async () => {
  const { outcome } = await run(`
property twice_the_angle forall x: f32[N] within -1..1 where 1 <= N
  check (for n: sin(x[n] + x[n])) === (for n: 2 * sin(x[n]) * cos(x[n]))
`);
  expect(outcome.kind).toBe('undecided');
});

test('cases that are not as given are left out, and a property of none is no pass', async () => {
  const distinct = (condition: string): string => `
property sorted_once forall x: f32[N] where 2 <= N, N <= 4
  given ${condition}
  check x[0] < x[1]
`;
  const { outcome, coverage } = await run(distinct('x[0] < x[1]'));
  expect(outcome.kind).toBe('passed');
  expect(coverage.excluded).toBeGreaterThan(20);
  expect((await run(distinct('x[0] <= x[1]'))).outcome.kind).toBe('failed');
  const nothing = await run(distinct('x[0] < x[0]'));
  expect(nothing.outcome).toMatchObject({ kind: 'vacuous', why: 'no case was as it is `given`' });
  const impossible = await run('property p forall x: f32[N] where 2 <= N, N % 64 == 0, N < 64 check x == x');
  expect(impossible.outcome.kind).toBe('vacuous');
});

test('a mesh that the program does not fit is refused, and no failure', async () => {
  const { outcome, coverage } = await run(`
mesh (sp)
property p forall mesh { sp: 1..4 }, x: f32[N@sp]
  check all_gather(x, sp) == x
`);
  expect(outcome.kind).toBe('passed');
  expect(coverage.counts.get('way')!.get('reference on a mesh')).toBeGreaterThan(5);
});

test('values whose shape is that of a mesh are run on this mesh only', async () => {
  const { outcome, coverage } = await run(`
mesh (sp)
property p forall mesh { sp: 1..4 }, x: f32[2 * sp@sp] check all_gather(x, sp) == x
`);
  expect(outcome.kind).toBe('passed');
  const ways = coverage.counts.get('way')!;
  expect(ways.get('reference on a mesh')).toBeGreaterThan(0);
});

test('a kernel at fault fails a property, and what is too large for a device does not', async () => {
  const program = checked('property p forall x: f32[N] check x == x');
  const [property] = program.program.properties.values();
  const targets = ['ptx'] as const;
  const kinds = (['kernel-fault', 'exceeds-device'] as const).map(async (code) => {
    const run = () => Promise.reject(new UserError(code, 'no', 'mend it'));
    const judge = judgeOf(program, property!, { ptx: { run, destroy: () => undefined } });
    const { outcome, coverage } = await runProperty(judge, { ...defaults, runs: 3, targets });
    return [outcome.kind, coverage.refused > 0];
  });
  expect(await Promise.all(kinds)).toEqual([
    ['failed', false],
    ['vacuous', true],
  ]);
});

test('ways: the reference before a device, one device before a mesh', () => {
  const single: Case = { sizes: new Map(), mesh: undefined, values: new Map() };
  const several: Case = { ...single, mesh: { axes: [{ name: 'a', size: 2 }] } };
  expect(waysOf(single, ['reference', 'wasm', 'wgsl'])).toHaveLength(3);
  expect(waysOf(several, ['reference', 'wgsl']).map(({ target, onMesh }) => `${target} ${onMesh}`)).toEqual([
    'reference false',
    'reference true',
    'wgsl false',
    'wgsl true',
  ]);
});
