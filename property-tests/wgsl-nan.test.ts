/**
 * WGSL lets a driver assume that no float is NaN, and NVIDIA's does: no kernel tells NaN by comparing floats,
 * nor has it as a constant among the sides of a choice of floats.
 */
import { expect, test } from 'vitest';
import { compileFor } from '../driver/compile.ts';
import { lower } from '../driver/lower.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { instancesOf } from './instances.ts';
import { checkSmallProgram, exportedEntries } from './small-programs.ts';

const sameSides = /(?<![\w.\])])([\w.]+) (?:==|!=) \1(?![\w.[(])/;
const notANumber = /^(?:vec4f\()?float_of_bits\(0x[7f]fc00000u\)\)?$/;

/** The line in which a driver may do away with NaN, if there is any. */
function losable(kernel: string): string | undefined {
  return kernel.split('\n').find((line) => {
    const choices = [...line.matchAll(/\bselect\(/g)].map(({ index }) => operandsFrom(line, index + 7));
    return sameSides.test(line) || choices.flat().some((operand) => notANumber.test(operand));
  });
}

/** What stands between commas from a place on, up to the parenthesis that ends it. */
function operandsFrom(line: string, begin: number): string[] {
  const operands = [''];
  let depth = 0;
  for (const sign of line.slice(begin)) {
    depth += sign === '(' ? 1 : sign === ')' ? -1 : 0;
    if (depth < 0) break;
    if (sign === ',' && depth === 0) operands.push('');
    else operands.push(operands.pop() + sign);
  }
  return operands.map((operand) => operand.trim());
}

/** Those with functions of NaN, extremes, and narrow types that have NaN. */
test.each(['pointwise.ricci', 'reductions.ricci', 'dtypes.ricci'])('%s', async (file) => {
  const device = await openDevice(await openAdapter());
  const checked = checkSmallProgram(file);
  let asked = 0;
  for (const profile of [device.profile, { ...device.profile, software: false, subgroupSize: 32 }])
    for (const entry of exportedEntries(checked)) {
      const [sizes = new Map<string, number>()] = instancesOf(checked.program, entry);
      const instance = { entry, sizes, inputDtypes: new Map() };
      const lowered = lower(checked, instance);
      if (lowered.kind === 'rejected') throw new Error(`${entry} is rejected`);
      for (const [kernel, text] of compileFor(lowered, instance, profile).package.code) {
        expect([entry, kernel, losable(text)]).toEqual([entry, kernel, undefined]);
        if (/0x7f[c8]00000/.test(text)) asked++;
      }
    }
  expect(asked).toBeGreaterThan(0);
  device.destroy();
});

test.each([
  ['a value that is not itself', 'let v1 = v0.x != v0.x;', true],
  ['a choice that has it', 'let v1 = select(v0, float_of_bits(0x7fc00000u), v2);', true],
  [
    'a choice of four that has it',
    'let v1 = 1 + select(f(v3, 2), vec4f(float_of_bits(0x7fc00000u)), v2);',
    true,
  ],
  ['a number that ends as another', 'let v1 = v3 == 3;', false],
  ['two values', 'let v1 = v0.x != v0.y;', false],
  ['a function of it', 'let v1 = select(nan_max(v0, float_of_bits(0x7fc00000u)), v1, v2);', false],
  ['a choice of words', 'return bitcast<f32>(select(bits, 0x7fc00000u, v2));', false],
])('%s is told', (_, line, isTold) => {
  expect(losable(line)).toBe(isTold ? line : undefined);
});
