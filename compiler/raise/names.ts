/** Names of the source for what the graph names freely: legal, readable, and each its own. */
import { reserved } from '../../dsl/syntax/tokens.ts';
import { builtinNames } from '../../dsl/types/builtin-calls.ts';

export interface Names {
  /** The name itself where it is legal and free, otherwise one like it. */
  readonly fresh: (wanted: string) => string;
  readonly isTaken: (name: string) => boolean;
}

/** Reductions and constants: legal as names, and confusing. */
const avoided = [
  'sum', 'prod', 'max', 'min', 'mean', 'any', 'all', 'argmax', 'argmin',
  'inf', 'at', 'from', 'label', 'ring', 'target', 'ix', 'key', 'float',
]; // biome-ignore format: one topic a line

export function createNames(taken: Iterable<string>): Names {
  const used = new Set([...Object.keys(reserved), ...builtinNames, ...avoided, ...taken]);
  return {
    isTaken: (name) => used.has(name),
    fresh: (wanted) => {
      const base = legalName(wanted);
      let name = base;
      for (let count = 1; used.has(name); count++) name = `${base}_${count}`;
      used.add(name);
      return name;
    },
  };
}

/** `experts.gate` is `experts_gate`. */
function legalName(path: string): string {
  const letters = path.replaceAll(/[^A-Za-z0-9_]+/g, '_');
  return /^[A-Za-z_]/.test(letters) ? letters : `_${letters}`;
}

const outputLetters = 'ijklmnopqabcdefgh';
const reducedLetters = 'rstuvwxyz';

export interface IndexNames {
  readonly outputs: (count: number) => readonly string[];
  readonly reduced: (count: number) => readonly string[];
}

/** For the indices of one comprehension: single letters that name nothing else. */
export function indexNames(names: Names): IndexNames {
  const from = (letters: string, first: string) => {
    const free = [...letters].filter((letter) => !names.isTaken(letter));
    const numbered = (count: number): string => {
      const name = `${first}${count}`;
      return names.isTaken(name) ? `${first}_${count}` : name;
    };
    return (count: number): readonly string[] =>
      Array.from({ length: count }, (_, position) => free[position] ?? numbered(position));
  };
  return { outputs: from(outputLetters, 'i'), reduced: from(reducedLetters, 'r') };
}
