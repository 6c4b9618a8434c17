/** What the schemes send is what their formulas say, to the byte. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exactOptions } from '../compiler/partition/collectives/options.ts';
import { checkFile } from '../driver/check.ts';
import { type ExplainedMesh, explain } from '../driver/explain.ts';
import { lower } from '../driver/lower.ts';
import { packageRoot } from '../driver/package-root.ts';
import { accepted } from './accepted.ts';
import { devices, type Scheme, schemeInstance, schemes } from './scheme-cases.ts';

const checked = accepted(checkFile(join(packageRoot, 'bench/schemes.ricci')));

/** Without the passes over collectives that are named. */
function exchanged({ entry, axes }: Scheme, skip: readonly string[] = []): ExplainedMesh {
  const collectives = { ...exactOptions, skip: new Set(skip) };
  const instance = { ...schemeInstance(entry, axes), collectives };
  return explain(checked, instance, accepted(lower(checked, instance))).mesh!;
}

describe.each(schemes)('$name', (scheme) => {
  test('sends what its formula says', () => {
    expect(exchanged(scheme).sentBytes).toBe(scheme.predicted);
  });
});

test('the ring moves 24 MiB in all: keys and values, 8 MiB, to each of the three other devices', () => {
  const ring = schemes.find(({ name }) => name === 'ring')!;
  expect(devices * exchanged(ring).sentBytes).toBe(24 * 2 ** 20);
});

test('a result that is rounded after it is sent is seen', () => {
  const ulysses = schemes.find(({ name }) => name === 'Ulysses')!;
  expect(exchanged(ulysses, ['narrow-first']).sentBytes).toBeGreaterThan(ulysses.predicted);
});
