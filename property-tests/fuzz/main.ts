/**
 * `npm run fuzz -- --minutes 60`: checks random programs for as long, going on where it stopped before. With
 * `--at` it checks one program of the series and keeps nothing. Ends with status 1 when something is broken.
 */
import { Command, InvalidArgumentError } from 'commander';
import { isUserError } from '../../runtime/errors.ts';
import { closeAdapter } from './on-adapter.ts';
import { progressText, reportText } from './report.ts';
import { checkPosition, type Finding, newSearch } from './search.ts';
import { addFinding, newState, readState, type State, searchOf, writeState } from './state.ts';

interface Options {
  readonly minutes: number;
  readonly dir: string;
  readonly seed?: number;
  readonly meshes: number;
  readonly at?: number;
}

const secondsBetweenWrites = 10;
/** Where there is no terminal to write one line on. */
const secondsBetweenLines = 60;

function number(least: number, isWhole: boolean): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= least && (!isWhole || Number.isSafeInteger(value))) return value;
    throw new InvalidArgumentError(`a ${isWhole ? 'whole ' : ''}number from ${least} up`);
  };
}

/** What was done so far, or that nothing was. */
function stateOf({ dir, seed, meshes }: Options): State {
  const known = readState(dir);
  const isOther = seed !== undefined && known?.series !== seed;
  return known === undefined || isOther ? newState(seed ?? Date.now() % 2 ** 31, meshes) : known;
}

async function checkOne(options: Options, position: number): Promise<readonly Finding[]> {
  const { series, meshes } = stateOf(options);
  const findings = await checkPosition(newSearch({ series, meshes, shares: 1 }), position);
  for (const { relation, message, text } of findings)
    process.stdout.write(`${relation}: ${message}\n${text ?? ''}\n`);
  return findings;
}

async function search(options: Options): Promise<readonly unknown[]> {
  const { dir } = options;
  const state = stateOf(options);
  const running = searchOf(state, 1);
  const started = Date.now();
  const before = state.seconds;
  const deadline = started + 60_000 * options.minutes;
  let isStopped = false;
  let written = started;
  let said = started;
  const stop = () => {
    isStopped = true;
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const save = () => {
    state.seconds = before + (Date.now() - started) / 1000;
    state.tallies = Object.fromEntries(running.tallies);
    state.coverage = Object.fromEntries(running.coverage);
    writeState(dir, state);
    written = Date.now();
  };
  while (!isStopped && Date.now() < deadline) {
    for (const finding of await checkPosition(running, state.next)) {
      addFinding(dir, state, finding);
      save();
    }
    state.next++;
    const now = Date.now();
    if (now - written >= 1000 * secondsBetweenWrites) save();
    const line = progressText(state, (deadline - now) / 1000);
    if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${line}`);
    else if (now - said >= 1000 * secondsBetweenLines) {
      said = now;
      process.stderr.write(`${line}\n`);
    }
    // Signals are heard between programs.
    await new Promise(setImmediate);
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001B[K');
  save();
  process.off('SIGINT', stop);
  process.off('SIGTERM', stop);
  process.stdout.write(`${reportText(state)}\n`);
  return state.findings;
}

const command = new Command('fuzz')
  .description('checks what must hold of every program, of random ones, and keeps what does not')
  .option('--minutes <minutes>', 'how long', number(0, false), 10)
  .option('--dir <directory>', 'where what was done and found is kept', '.fuzz')
  .option('--seed <seed>', 'of the series of programs; another than before begins anew', number(0, true))
  .option('--meshes <meshes>', 'for each program, in a new series', number(0, true), 4)
  .option('--at <position>', 'check this program of the series only', number(0, true))
  .action(async (options: Options) => {
    try {
      const { at } = options;
      const findings = at === undefined ? await search(options) : await checkOne(options, at);
      process.exitCode = findings.length === 0 ? 0 : 1;
    } catch (error) {
      if (!isUserError(error)) throw error;
      process.stderr.write(`error: ${error.message}\nhelp: ${error.help}\n`);
      process.exitCode = 1;
    } finally {
      await closeAdapter();
    }
  });

await command.parseAsync();
