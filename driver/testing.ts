/** For tests: programs written out in a test, compiled for any device. */
import type { DeviceProfile } from '../compiler/tiles/device-profile.ts';
import { checkProgram } from '../dsl/types/check.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import type { Checked } from './check.ts';
import { type Compiled, compileFor } from './compile.ts';
import { type Lowered, lower } from './lower.ts';
import { moduleLoader } from './module-loader.ts';

export function checkText(text: string): Checked {
  const { program, diagnostics, sources } = checkProgram({ path: 'test.ricci', text }, moduleLoader);
  if (diagnostics.some(({ severity }) => severity === 'error'))
    throw new Error(diagnostics.map(({ message }) => message).join('\n'));
  return { kind: 'checked', program, sources };
}

export interface CompiledEntry {
  readonly lowered: Lowered;
  readonly compiled: Compiled;
}

/** @param dtypes of `float` inputs, by path */
export function compileEntry(
  checked: Checked,
  entry: string,
  sizes: Readonly<Record<string, number>> | ReadonlyMap<string, number>,
  device: DeviceProfile,
  dtypes: Readonly<Record<string, Dtype>> = {},
): CompiledEntry {
  const instance = {
    entry,
    sizes: sizes instanceof Map ? sizes : new Map(Object.entries(sizes)),
    inputDtypes: new Map(Object.entries(dtypes)),
  };
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected')
    throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return { lowered, compiled: compileFor(lowered, instance, device) };
}
