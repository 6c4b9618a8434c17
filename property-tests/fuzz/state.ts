/** What a long search has done so far, kept in a directory so that it can be stopped and gone on with. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../runtime/errors.ts';
import type { Finding, Search } from './search.ts';
import { signatureOf } from './search.ts';

const tallySchema = z.object({ holds: z.number(), notTold: z.number(), broken: z.number() });

const stateSchema = z.object({
  version: z.literal(1),
  /** What all programs are drawn from. */
  series: z.number().int(),
  meshes: z.number().int(),
  /** The next program of the series. */
  next: z.number().int(),
  /** Of searching, all sessions together. */
  seconds: z.number(),
  tallies: z.record(z.string(), tallySchema),
  coverage: z.record(z.string(), z.number()),
  findings: z.array(
    z.object({
      relation: z.string(),
      position: z.number(),
      signature: z.string(),
      /** How many programs broke the relation in that way. */
      times: z.number(),
      /** Of the first of them, in the directory; null where it could not be written as source. */
      file: z.string().nullable(),
      reproduces: z.boolean(),
      message: z.string(),
    }),
  ),
});

export type State = z.infer<typeof stateSchema>;

const stateFile = 'state.json';

export function newState(series: number, meshes: number): State {
  return {
    version: 1,
    series,
    meshes,
    next: 0,
    seconds: 0,
    tallies: {},
    coverage: {},
    findings: [],
  };
}

/**
 * undefined: there is none yet.
 * @throws UserError `malformed-file` when it is none of these
 */
export function readState(directory: string): State | undefined {
  const path = join(directory, stateFile);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError('file-access', `cannot read ${path}: ${String(error)}`, 'choose another --dir');
  }
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch {
    throw new UserError('malformed-file', `${path} is not the state of a search`, 'choose another --dir');
  }
}

/** Whole or not at all: a search that is ended while it writes goes on from what was there before. */
export function writeState(directory: string, state: State): void {
  write(directory, stateFile, JSON.stringify(state, undefined, 2));
}

function write(directory: string, name: string, text: string): void {
  try {
    mkdirSync(directory, { recursive: true });
    const path = join(directory, name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new UserError(
      'file-access',
      `cannot write in ${directory}: ${String(error)}`,
      'choose another --dir',
    );
  }
}

export function searchOf(state: State, shares: number): Search {
  return {
    series: state.series,
    meshes: state.meshes,
    shares,
    tallies: new Map(Object.entries(state.tallies)),
    coverage: new Map(Object.entries(state.coverage)),
  };
}

/** Of one kind of finding the first is kept as a file, and the others counted. */
export function addFinding(directory: string, state: State, finding: Finding): void {
  const { relation, position, message, text, reproduces } = finding;
  const { series, meshes } = state;
  const signature = signatureOf(message);
  const known = state.findings.find((own) => own.relation === relation && own.signature === signature);
  if (known !== undefined) {
    known.times++;
    return;
  }
  const file = text === undefined ? null : `${relation.replaceAll(' ', '-')}-${series}-${position}.ricci`;
  const again = `// again: npm run fuzz -- --seed ${series} --meshes ${meshes} --at ${position}\n`;
  if (file !== null && text !== undefined) write(directory, file, again + text);
  state.findings.push({
    relation,
    position,
    signature,
    times: 1,
    file,
    reproduces,
    message: message.slice(0, 4000),
  });
}
