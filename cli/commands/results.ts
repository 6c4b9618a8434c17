/** What a run gives: written to a file, and shown. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileReason } from '../../compiler/plan/file-reason.ts';
import { typeText } from '../../compiler/plan/storage-bytes.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import { UserError } from '../../runtime/errors.ts';
import { npyBytes } from '../../runtime/weights/npy.ts';
import { writeSafetensors } from '../../runtime/weights/safetensors.ts';
import { type TensorData, tensorValues } from '../../runtime/weights/tensor-data.ts';
import { UsageError } from '../exit.ts';
import type { Output } from '../output.ts';

type Tensors = ReadonlyMap<string, TensorData>;

/**
 * Before a run that may take long: what can be known to fail then does not fail after it.
 * @param results how many there will be.
 */
export function checkResultFile(path: string, results: number): void {
  if (!/\.(safetensors|npy)$/.test(path)) {
    throw new UsageError(
      `${path}: results are written as .safetensors or .npy`,
      'give -o one of these endings',
    );
  }
  if (path.endsWith('.npy') && results !== 1) {
    throw new UserError(
      'wrong-input',
      `${path}: there are ${results} results, and a .npy file holds one`,
      'write them to a .safetensors file',
    );
  }
  checkPlace(path);
}

/** @throws UserError when no file can be made there. */
export function checkPlace(path: string): void {
  const refuse = (reason: string) =>
    new UserError('file-access', `cannot write ${path}: ${reason}`, 'choose a place that you may write to');
  try {
    accessSync(dirname(path), constants.W_OK);
    if (!statSync(dirname(path)).isDirectory()) throw refuse('a part of its path is a file, not a directory');
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw refuse('it is a directory');
  } catch (error) {
    throw error instanceof UserError ? error : refuse(fileReason(error));
  }
}

export function writeResults(path: string, results: Tensors): void {
  const [only] = results.values();
  if (path.endsWith('.npy') && only !== undefined) writeFileBeside(path, npyBytes(only));
  else writeSafetensors(path, results);
}

/** How many values of a tensor are shown to people, or stand for one too large for JSON. */
const fewValues = 8;
/** Of a tensor in a JSON answer: more belong into a file. */
const mostValues = 2 ** 20;

/** What is shown of a result. */
export interface Shown {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly isFloat: boolean;
  /** Digits that people see of a float. */
  readonly digits: number;
  readonly values: Values;
}

type Values = readonly (number | bigint)[] | Float64Array;

export function reportResults(results: Tensors, file: string | undefined, output: Output): void {
  const shown = [...results].map(([path, tensor]): readonly [string, Shown] => {
    const { dtype, shape } = tensor;
    const isFloat = dtypeFacts[dtype].class === 'float';
    return [path, { dtype, shape, isFloat, digits: 6, values: tensorValues(tensor) }];
  });
  reportValues(new Map(shown), file, output);
}

export function reportValues(
  results: ReadonlyMap<string, Shown>,
  file: string | undefined,
  output: Output,
): void {
  const lines = [...results].map(([path, result]) => {
    const { isFloat, digits, values } = result;
    const few: readonly (number | bigint)[] = [...values.slice(0, fewValues)];
    const shown = isFloat ? few.map((value) => Number(Number(value).toPrecision(digits))) : few;
    return `${path}: ${typeText(result)} = ${shown.join(' ')}${values.length > fewValues ? ' …' : ''}`;
  });
  output.data([...lines, ...(file === undefined ? [] : [`written to ${file}`])].join('\n'), {
    outputs: [...results].map(([path, { dtype, shape, values }]) => ({
      ...{ path, dtype, shape },
      ...(file === undefined ? jsonValues(values) : { file }),
    })),
  });
}

/** JSON has no NaN, no infinities and no integers beyond 2^53: they are strings. */
function jsonValues(values: Values): Readonly<Record<string, readonly (number | string)[]>> {
  const large = values.length > mostValues;
  const shown = [...(large ? values.slice(0, fewValues) : values)].map((value) => {
    const number = Number(value);
    const isExact = Number.isFinite(number) && (typeof value === 'number' || Number.isSafeInteger(number));
    return isExact ? number : String(value);
  });
  return large ? { first: shown } : { values: shown };
}
