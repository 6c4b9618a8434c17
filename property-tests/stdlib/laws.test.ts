/** The properties beside the functions of the standard library hold, on the reference; `ricci test` tries more cases. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Checked, checkFile } from '../../driver/check.ts';
import { standardLibrary } from '../../driver/module-loader.ts';
import { judgeOf } from '../engine/judge.ts';
import { runProperty } from '../engine/run-property.ts';

const modules = readdirSync(standardLibrary).filter((file) => file.endsWith('.ricci'));

function checkedModule(file: string): Checked {
  const outcome = checkFile(join(standardLibrary, file));
  if (outcome.kind === 'checked') return outcome;
  throw new Error(`${file}: ${outcome.diagnostics.map(({ message }) => message).join('; ')}`);
}

describe.each(modules)('%s', (file) => {
  const checked = checkedModule(file);
  const properties = [...checked.program.properties.values()];

  test('has properties', () => {
    expect(properties).not.toEqual([]);
  });

  test.each(properties.map((property) => ({ name: property.name, property })))(
    '$name',
    async ({ property }) => {
      const { outcome } = await runProperty(judgeOf(checked, property, {}), {
        ...{ runs: 10, seed: 1, path: undefined, exhaust: 1, targets: ['reference'], onCase: () => {} },
      });
      expect(outcome).toEqual({ kind: 'passed' });
    },
  );
});
