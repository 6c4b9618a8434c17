import { expect, test } from 'vitest';
import { UserError } from '../runtime/errors.ts';
import { findGpu } from '../runtime/webgpu/adapter.ts';
import { isSoftwareDriver } from '../runtime/webgpu/software-driver.ts';
import { chooseTarget, onChosen } from './choose-target.ts';

test('who says where to run is heard', async () => {
  const heard: string[] = [];
  const report = (line: string) => heard.push(line);
  expect(await chooseTarget({ target: 'wasm', report })).toMatchObject({
    target: 'wasm',
    mayFallBack: false,
  });
  expect(await chooseTarget({ target: 'wgsl', report })).toMatchObject({ target: 'wgsl' });
  expect(await chooseTarget({ adapter: 'software', report })).toMatchObject({ target: 'wgsl' });
  expect(heard).toEqual([]);
});

test('who does not gets a GPU, or WebAssembly, which is said', async () => {
  const heard: string[] = [];
  const chosen = await chooseTarget({ report: (line) => heard.push(line) });
  const hasGpu = (await findGpu()) !== undefined;
  expect([chosen.target, chosen.mayFallBack, heard.length]).toEqual(
    hasGpu ? ['wgsl', false, 0] : ['wasm', true, 1],
  );
  if (!hasGpu) expect(heard[0]).toMatch(/^no GPU driver found: running in WebAssembly on \d+ threads?$/);
});

const tooLarge = () => Promise.reject(new UserError('exceeds-device', 'f takes 5 GiB', 'use less'));
const wrong = () => Promise.reject(new UserError('wrong-input', 'x is missing', 'give it'));

test.each([
  ['is too large', tooLarge, true, 'wgsl', ['f takes 5 GiB: running on a software adapter instead']],
  ['is too large where it was asked for', tooLarge, false, 'f takes 5 GiB', []],
  ['is wrong', wrong, true, 'x is missing', []],
  ['fits', () => Promise.resolve('wasm'), true, 'wasm', []],
] as const)('what %s runs where it can', async (_, wasm, mayFallBack, wanted, said) => {
  const heard: string[] = [];
  const chosen = { target: 'wasm', mayFallBack, report: (line: string) => heard.push(line) } as const;
  const found = await onChosen(chosen, { wasm, wgsl: () => Promise.resolve('wgsl') }).catch(
    (error: Error) => error.message,
  );
  expect([found, heard]).toEqual([wanted, said]);
});

test('drivers that run on the processor are known by name', () => {
  const software = ['/usr/share/vulkan/icd.d/lvp_icd.x86_64.json', '/x/vk_swiftshader_icd.json'];
  const hardware = ['/etc/vulkan/icd.d/nvidia_icd.json', '/usr/share/vulkan/icd.d/radeon_icd.x86_64.json'];
  expect([...software, ...hardware].map(isSoftwareDriver)).toEqual([true, true, false, false]);
});
