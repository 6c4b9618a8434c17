/** Small programs that are placed by hand, and lack one of their collectives, have no place, or mean what they did. */
import { describe, expect, test } from 'vitest';
import { solveEntrySizes } from '../compiler/lower/entry.ts';
import { loweredOnMesh } from './named-program.ts';
import { checkSmallProgram, exportedEntries } from './small-programs.ts';
import { faultWithoutCollective } from './without-collective.ts';

describe.each(['placed.ricci', 'sharded.ricci', 'sequence.ricci'])('%s', (file) => {
  const checked = checkSmallProgram(file);
  const { program } = checked;
  const byHand = exportedEntries(checked).filter((entry) => !program.entries.get(entry)!.auto);
  test.each(byHand)('%s', (entry) => {
    const axes = program.axes.map((axis) => [axis, 2] as const);
    const own = program.entries.get(entry)!.sizes.filter((name) => !program.axes.includes(name));
    const given = new Map([...own.map((name) => [name, 4] as const), ...axes]);
    expect(solveEntrySizes(program, entry, new Map(), given).kind).toBe('sizes');
    const sizes = [...given].map(([name, size]) => `${name}=${size}`);
    expect(faultWithoutCollective(loweredOnMesh(`${file}: ${entry} ${sizes}`))).toBeUndefined();
  });
});
