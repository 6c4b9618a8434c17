/** How the options that several commands share are read. */
import { InvalidArgumentError } from 'commander';
import { type Allowance, allowanceNames, isAllowance } from '../compiler/tiles/allowances.ts';

/** `S=128,B=2`, also repeated, adds to what came before. */
export function parseAssignments(text: string, before: ReadonlyMap<string, number>): Map<string, number> {
  const all = new Map(before);
  for (const part of text.split(',')) {
    const [, name, digits] = /^\s*([A-Za-z_]\w*)\s*=\s*(\d+)\s*$/.exec(part) ?? [];
    if (name === undefined || digits === undefined) {
      throw new InvalidArgumentError(`'${part}' is not NAME=NUMBER, as in S=128,B=2.`);
    }
    addNumber(all, name, digits);
  }
  return all;
}

/** Sizes, and of others what they are at most. */
export interface GivenSizes {
  readonly values: ReadonlyMap<string, number>;
  readonly bounds: ReadonlyMap<string, number>;
}

export const noSizes: GivenSizes = { values: new Map(), bounds: new Map() };

/** `S<=4096,B=2`, also repeated, adds to what came before. */
export function parseSizes(text: string, before: GivenSizes): GivenSizes {
  const [values, bounds] = [new Map(before.values), new Map(before.bounds)];
  for (const part of text.split(',')) {
    const [, name, relation, digits] = /^\s*([A-Za-z_]\w*)\s*(<?=)\s*(\d+)\s*$/.exec(part) ?? [];
    if (name === undefined || digits === undefined) {
      throw new InvalidArgumentError(`'${part}' is not NAME=NUMBER or NAME<=NUMBER, as in S=128,B=2.`);
    }
    if (values.has(name) || bounds.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
    if (relation === '<=' && Number(digits) === 0)
      throw new InvalidArgumentError(`${name} can be nothing below 1.`);
    addNumber(relation === '<=' ? bounds : values, name, digits);
  }
  return { values, bounds };
}

function addNumber(all: Map<string, number>, name: string, digits: string): void {
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError(`${digits} is too large.`);
  if (all.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
  all.set(name, value);
}

/** `NAME=VALUE`, repeated. */
export function parseNamed(text: string, before: ReadonlyMap<string, string>): Map<string, string> {
  const at = text.indexOf('=');
  const [name, value] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (at < 1 || name === '' || value === '') {
    throw new InvalidArgumentError(`'${text}' is not NAME=FILE.npy or NAME=NUMBER.`);
  }
  if (before.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
  return new Map(before).set(name, value);
}

/** `tf32,f8-sums`, also repeated, adds to what came before. */
export function parseAllowances(text: string, before: readonly Allowance[]): readonly Allowance[] {
  const named = text.split(',').map((part) => part.trim());
  const unknown = named.find((name) => !isAllowance(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`'${unknown}' is none of ${allowanceNames}.`);
  return [...new Set([...before, ...named.filter(isAllowance)])];
}

export function parseSeed(text: string): number {
  const seed = Number(text);
  if (!/^\d+$/.test(text) || seed >= 2 ** 32) {
    throw new InvalidArgumentError(`'${text}' is not a whole number below 2^32.`);
  }
  return seed;
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 1e9) {
    throw new InvalidArgumentError(`'${text}' is not a whole number of at least 1.`);
  }
  return count;
}

/** Of a counterexample, as `ricci test` says it: `3`, `3:0:1`. */
export function parsePath(text: string): string {
  if (!/^\d+(:\d+)*$/.test(text)) {
    throw new InvalidArgumentError(`'${text}' is not a path, which is numbers with colons between: 3:0:1.`);
  }
  return text;
}
