/**
 * What was measured of devices, kept on disk: a file for each in `$RICCI_CACHE`, or else in `ricci` under
 * `$XDG_CACHE_HOME` or `~/.cache`. What there is of another driver, or cannot be read, is not used.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileReason } from '../../compiler/plan/file-reason.ts';
import { type Advice, adviceOf } from '../../compiler/tiles/choices/advice.ts';
import type { Rates } from '../../compiler/tiles/device-rates.ts';
import { isUserError, UserError } from '../../runtime/errors.ts';
import { shippedProblems } from './shipped.ts';
import { differenceOf, type Identity, readTuning, type Tuning, writeTuning } from './tuning-file.ts';

export function cachePath({ target, name }: Identity): string {
  const { RICCI_CACHE, XDG_CACHE_HOME } = process.env;
  const folder = RICCI_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'ricci');
  const words = `${name}`.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return join(folder, `${target}-${words.replace(/^-|-$/g, '').slice(0, 80)}.json`);
}

/** Undefined where there is nothing, or nothing that may be used: `report` hears why. */
export function cachedTuning(here: Identity, report: (line: string) => void): Tuning | undefined {
  // Of what is no device nothing was measured.
  if (here.name === undefined) return undefined;
  const path = cachePath(here);
  if (!existsSync(path)) return undefined;
  const unused = (reason: string): undefined => {
    report(`schedules are chosen as if none were measured: ${reason}; run ricci tune to measure them again`);
    return undefined;
  };
  try {
    const tuning = readTuning(path);
    const difference = differenceOf(tuning.device, here);
    return difference === undefined ? tuning : unused(`${path} is of another device, whose ${difference}`);
  } catch (error) {
    if (!isUserError(error)) throw error;
    return unused(error.message);
  }
}

/** @throws UserError `file-access` */
export function keepTuning(tuning: Tuning): string {
  const path = cachePath(tuning.device);
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw new UserError(
      'file-access',
      `cannot make ${dirname(path)}: ${fileReason(error)}`,
      'set RICCI_CACHE to a directory that can be written',
    );
  }
  writeTuning(path, tuning);
  return path;
}

/**
 * What a file says that was asked for: of another driver, it is used all the same, and `report` hears so.
 * @throws UserError when it cannot be read, is no tuning file, or is of another target
 */
function givenTuning(path: string, here: Identity, report: (line: string) => void): Tuning {
  const tuning = readTuning(path);
  const { target } = tuning.device;
  if (target !== here.target)
    throw new UserError(
      'wrong-input',
      `${path} was measured for the target ${target ?? 'of no name'}, not for ${here.target}`,
      'give what `ricci tune` wrote for that target, or leave --tuning out',
    );
  const measured = Object.fromEntries(Object.keys(here).map((name) => [name, tuning.device[name] ?? '']));
  const difference = differenceOf(measured, here);
  if (difference !== undefined) report(`${path} was measured on another device, whose ${difference}`);
  return tuning;
}

/** What is known of a device: by an instance of a program that is compiled for it. */
export interface Known {
  readonly advice?: Advice | undefined;
  readonly rates?: Rates | undefined;
}

/**
 * What is known of how to schedule programs for a device.
 * @param from a file; `auto` for what was measured of the device, if anything; `shipped` for what ships with
 * the compiler, which those two go before; or `none`
 * @throws UserError when a file cannot be read, is no tuning file, or is of another target
 */
export function knownFrom(from: string, here: Identity, report: (line: string) => void): Known {
  if (from === 'none') return {};
  const { rates, problems } = measuredFrom(from, here, report) ?? { rates: undefined, problems: [] };
  const all = new Map([...shippedProblems(here), ...problems]);
  return { rates, advice: adviceOf(new Map([...all].map(([key, { choice }]) => [key, choice]))) };
}

function measuredFrom(from: string, here: Identity, report: (line: string) => void): Tuning | undefined {
  if (from === 'shipped') return undefined;
  return from === 'auto' ? cachedTuning(here, report) : givenTuning(from, here, report);
}
