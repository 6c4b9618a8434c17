import { expect, test } from 'vitest';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { lowerEntry } from '../compiler/lower/lower-entry.ts';
import { place } from '../compiler/partition/place.ts';
import { renderDiagnostic } from '../dsl/diagnostics/render-terminal.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import { misplacedDiagnostics } from './misplaced-diagnostics.ts';
import { checkText } from './testing.ts';

/** What a checked program has none of: an `auto fn` taken as it is written. */
const text = `mesh (dp, tp)

fn total(x: f32[D]) -> f32 = sum d: x[d]

export auto fn unreduced(x: f32[T, D@tp]) -> f32[T] {
  let h[t] = total(x[t])
  for t: relu(h[t])
}

export auto fn apart(x: f32[T@dp], y: f32[T@tp]) -> f32[T@dp] = for t: x[t] * y[t]

export auto fn declared(x: f32[T@dp]) -> f32[T@tp] = for t: x[t] + 1

fn positive(x: f32[T]) -> f32[T] = for t: relu(x[t])

export auto fn called(x: f32[T, D@tp]) -> f32[T] = positive(for t: sum d: x[t, d])
`;

function shown(entry: string, sizes: Readonly<Record<string, number>>, mesh: Mesh): string {
  const { program, sources } = checkText(text);
  const all = new Map([
    ...Object.entries(sizes),
    ...mesh.axes.map(({ name, size }) => [name, size] as const),
  ]);
  const lowered = lowerEntry(program, entry, { sizes: all, inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join());
  const result = place(lowered.graph, { mesh, ...entryPlacements(program, entry) });
  if (result.kind === 'placed') return '';
  const diagnostics = misplacedDiagnostics(program, { entry, ...lowered, ...result });
  return diagnostics.map((each) => renderDiagnostic(each, sources, { colour: false })).join('\n');
}

const meshOf = (dp: number, tp: number): Mesh => ({
  axes: [
    { name: 'dp', size: dp },
    { name: 'tp', size: tp },
  ],
});

/** Without the first line break and the common indentation. */
function golden(snippet: string): string {
  return snippet.replace(/^\n/, '').replace(/^ {4}/gm, '').trimEnd();
}

test('what is still pending is shown where it is used, with what is read and where it is from', () => {
  expect(shown('unreduced', { T: 2, D: 4 }, meshOf(1, 2))).toBe(
    golden(`
    error[E0509]: max needs the final value of what is still to be combined over tp
      ┌─ test.ricci:7:10
    3 │ fn total(x: f32[D]) -> f32 = sum d: x[d]
      │                              ----------- h is f32[2]{+tp}
      ·
    7 │   for t: relu(h[t])
      │          ^^^^^^^^^^
      = help: finish it with all_reduce or reduce_scatter before
    `),
  );
});

test('what is wrong in a function shows who calls it', () => {
  expect(shown('called', { T: 2, D: 4 }, meshOf(1, 2))).toBe(
    golden(`
    error[E0509]: max needs the final value of what is still to be combined over tp
       ┌─ test.ricci:14:43
    14 │ fn positive(x: f32[T]) -> f32[T] = for t: relu(x[t])
       │                                           ^^^^^^^^^^
       ·
    16 │ export auto fn called(x: f32[T, D@tp]) -> f32[T] = positive(for t: sum d: x[t, d])
       │                                                                    -------------- sum is f32[2]{+tp}
       │                                                    ------------------------------- called here
       = help: finish it with all_reduce or reduce_scatter before
    `),
  );
});

test('operands that are cut over different axes', () => {
  expect(shown('apart', { T: 4 }, meshOf(2, 2))).toBe(
    golden(`
    error[E0506]: one variable runs over dimensions cut @dp and @tp
       ┌─ test.ricci:10:65
    10 │ export auto fn apart(x: f32[T@dp], y: f32[T@tp]) -> f32[T@dp] = for t: x[t] * y[t]
       │                                                                 ^^^^^^^^^^^^^^^^^^
       │                      ------------ x is f32[4@dp]
       │                                    ------------ y is f32[4@tp]
       = help: reshard one of them, as in x as [S@sp, D]
    `),
  );
});

test('a result that lives elsewhere than declared', () => {
  expect(shown('declared', { T: 4 }, meshOf(2, 2))).toBe(
    golden(`
    error[E0505]: out becomes what is declared by moving data only
       ┌─ test.ricci:12:42
    12 │ export auto fn declared(x: f32[T@dp]) -> f32[T@tp] = for t: x[t] + 1
       │                                          ^^^^^^^^^ declared here
       │                                                      --------------- out is f32[4@dp]
       = help: move it there with a collective or as, or declare where it lives
    `),
  );
});

test('a mesh of one device has no faults', () => {
  expect(shown('unreduced', { T: 4, D: 4 }, meshOf(1, 1))).toBe('');
  for (const entry of ['apart', 'declared']) expect(shown(entry, { T: 4 }, meshOf(1, 1))).toBe('');
});
