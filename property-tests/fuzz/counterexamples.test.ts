/** What was broken once holds, of every program that showed it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { counterexampleText, isOnMesh, readCounterexample } from './counterexample.ts';
import { closeAdapter } from './on-adapter.ts';
import { checkRelation } from './relations.ts';
import { cutOver, draw, type MeshSubject, type Subject, valuesOf } from './subject.ts';

const folder = join(import.meta.dirname, '../counterexamples');
const files = readdirSync(folder).filter((name) => name.endsWith('.ricci'));

afterAll(closeAdapter);

test.each(files)('%s', async (file) => {
  const { relation, subject } = readCounterexample(readFileSync(join(folder, file), 'utf8'), file);
  expect(['holds', 'not told'], relation).toContain(await checkRelation(relation, subject));
});

function drawn(): readonly (Subject | MeshSubject)[] {
  return Array.from({ length: 12 }, (_, position) => draw(9, position, 1)).flatMap(
    ({ program, seed, cuts }) => {
      if (program.graph.outputs.length === 0) return [];
      return [{ program, seed }, cutOver({ program, seed }, cuts[0]!) ?? []].flat();
    },
  );
}

test('a file says all of a program that is checked of it', async () => {
  const subjects = drawn();
  expect(subjects.filter(isOnMesh).length).toBeGreaterThan(8);
  for (const subject of subjects) {
    const relation = isOnMesh(subject) ? 'partitioned' : 'optimized';
    const text = counterexampleText({ relation, subject }, 'nothing');
    const again = readCounterexample(text, 'again.ricci');
    expect(again.relation).toBe(relation);
    expect(again.subject.seed).toBe(subject.seed);
    const values = [...valuesOf(again.subject.program).values()].map(({ data }) => [...numbersOf(data)]);
    const wanted = [...valuesOf(subject.program).values()].map(({ data }) => [...numbersOf(data)]);
    expect(values).toEqual(wanted);
    expect(isOnMesh(again.subject)).toBe(isOnMesh(subject));
    if (!isOnMesh(subject) || !isOnMesh(again.subject)) continue;
    expect(again.subject.cut.options.mesh).toEqual(subject.cut.options.mesh);
    expect([...again.subject.partitioned.device.inputs.values()]).toEqual([
      ...subject.partitioned.device.inputs.values(),
    ]);
    expect(await checkRelation(relation, again.subject)).toBe(await checkRelation(relation, subject));
  }
});

function numbersOf(data: ArrayLike<number>): readonly number[] {
  return Array.from(data);
}
