/** What a search has done, for people. */
import { type Coverage, distinct } from './coverage.ts';
import type { State } from './state.ts';

const kinds = {
  'kinds of nodes': 'node',
  combiners: 'combiner',
  functions: 'function',
  dtypes: 'dtype',
  'pairs of operations': 'pair',
  meshes: 'mesh',
  'changes of placement': 'change',
  exchanges: 'exchange',
  'forms of placed source': 'source',
} as const;

export function coverageText(coverage: Coverage): string {
  const counts = Object.entries(kinds).map(([what, kind]) => `${distinct(coverage, kind)} ${what}`);
  const sizes = ['0', '1', 'prime', 'composite'].map(
    (size) => `${coverage.get(`size ${size}`) ?? 0} with size ${size}`,
  );
  return `${counts.join(', ')}; programs: ${sizes.join(', ')}`;
}

export function reportText(state: State): string {
  const relations = Object.entries(state.tallies).map(([name, { holds, notTold, broken }]) => {
    const told = `${holds} hold, ${notTold} not told`;
    return `  ${name.padEnd(26)}${told}${broken > 0 ? `, ${broken} BROKEN` : ''}`;
  });
  const findings = state.findings.map(({ relation, position, times, file, reproduces, message }) => {
    const where =
      file === null ? `program ${position}` : `${file}${reproduces ? '' : ' (not from its source)'}`;
    return `  ${relation}, ${times}×: ${where}\n    ${message.split('\n')[0]}`;
  });
  return [
    `series ${state.series}: ${state.next} programs × ${state.meshes} meshes in ${duration(state.seconds)}`,
    ...relations,
    `covered: ${coverageText(new Map(Object.entries(state.coverage)))}`,
    findings.length === 0 ? 'nothing was found' : `${findings.length} found:`,
    ...findings,
  ].join('\n');
}

export function progressText(state: State, secondsLeft: number): string {
  const found = state.findings.length;
  return (
    `${state.next} programs × ${state.meshes} meshes, ${found} found, ` +
    `${duration(Math.max(0, secondsLeft))} left`
  );
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes === 0 ? `${whole} s` : `${minutes} min ${whole % 60} s`;
}
