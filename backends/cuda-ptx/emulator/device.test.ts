/** A device that stays: what is in its memory between launches, and what may not be asked of it. */
import { describe, expect, test } from 'vitest';
import { parsePtx } from '../parse.ts';
import { compiledModule } from './compiled.ts';
import { EmulatedDevice } from './device.ts';
import { hasFusedMultiplyAdd } from './fused.ts';
import { kernelModule } from './testing.ts';

const counting = parsePtx(`.version 8.0
.target sm_80
.address_size 64
.global .align 4 .u32 runs = 5;
.const .align 4 .u32 step = 3;
.entry count(.param .u64 out, .param .u32 more) {
  .reg .b32 %r<6>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r1, [more];
  ld.global.u32 %r2, [runs];
  ld.const.u32 %r3, [step];
  add.u32 %r4, %r2, %r3;
  st.global.u32 [runs], %r4;
  add.u32 %r5, %r4, %r1;
  st.global.u32 [%rd1], %r5;
  ret;
}`);
const one = { grid: [1, 1, 1], block: [1, 1, 1] } as const;

function argumentsOf(address: bigint, more: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(12));
  bytes.setBigUint64(0, address, true);
  bytes.setUint32(8, more, true);
  return new Uint8Array(bytes.buffer);
}

function wordAt(device: EmulatedDevice, address: bigint): number {
  const bytes = new Uint8Array(4);
  device.read(address, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
}

describe('a device', () => {
  test('keeps the variables of a module until it is unloaded, and each module its own', () => {
    const device = new EmulatedDevice();
    const out = device.allocate(4, 'out');
    const [first, second] = [device.load(counting), device.load(counting)];
    const run = (module: typeof first, more: number): number => {
      module.kernel('count').launch(one, argumentsOf(out, more));
      return wordAt(device, out);
    };
    expect([run(first, 0), run(first, 100), run(second, 0), run(first, 0)]).toEqual([8, 111, 8, 14]);
    expect(wordAt(device, first.variable('runs')!.address)).toBe(14);
    first.unload();
    expect(run(device.load(counting), 0)).toBe(8);
  });

  test('translates a kernel once', () => {
    const options = {
      fusedMultiplyAdd: hasFusedMultiplyAdd(),
      checksMemory: true,
      checksRaces: true,
      checksGlobalRaces: false,
    };
    const module = kernelModule('vector');
    const kernel = compiledModule(module).kernel('saxpy', options);
    expect(compiledModule(module).kernel('saxpy', { ...options })).toBe(kernel);
    expect(compiledModule(module).kernel('saxpy', { ...options, checksRaces: false })).not.toBe(kernel);
  });

  test('knows no buffer that was freed, and gives its place to others, which nobody has written', () => {
    const device = new EmulatedDevice();
    const module = device.load(counting);
    const out = device.allocate(4, 'out');
    const launch = (): unknown => module.kernel('count').launch(one, argumentsOf(out, 0));
    launch();
    device.free(out);
    expect(launch).toThrow(/out of bounds/);
    expect(() => device.write(out, new Uint8Array(4))).toThrow(/not the address of 4 bytes of a buffer/);
    expect(device.allocate(4, 'another')).toBe(out);
    const copy = device.allocate(4, 'copy');
    device.copy(out, copy, 4);
    expect(wordAt(device, copy)).toBe(8);
  });

  test('has room for so much', () => {
    const device = new EmulatedDevice();
    expect(() => device.allocate(2 ** 31, 'large')).toThrow(
      /large needs 2147483648 bytes, and there is no room for it/,
    );
  });

  test('takes as many bytes of arguments as a kernel declares', () => {
    const device = new EmulatedDevice();
    const kernel = device.load(counting).kernel('count');
    expect(() => kernel.launch(one, new Uint8Array(16))).toThrow(
      /count takes 12 bytes of arguments, and 16 are/,
    );
  });
});
