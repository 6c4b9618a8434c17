/** What the engine at hand has of WebAssembly beside what all have. */
import { setFlagsFromString } from 'node:v8';
import { encodeModule } from '../../backends/wasm/encode.ts';
import type { WasmFeature, WasmManifest } from '../../compiler/plan/package.ts';
import { type DeviceProfile, relaxedWasmDevice, wasmDevice } from '../../compiler/tiles/device-profile.ts';
import { UserError } from '../errors.ts';

let found: ReadonlySet<WasmFeature> | undefined;

/** Found once in a process. */
export function wasmFeatures(): ReadonlySet<WasmFeature> {
  found ??= new Set(hasRelaxedSimd() ? ['relaxed-simd'] : []);
  return found;
}

/** The processor as programs that run at once are compiled for it. */
export function wasmDeviceHere(): DeviceProfile {
  return wasmFeatures().has('relaxed-simd') ? relaxedWasmDevice : wasmDevice;
}

/**
 * Node 22 has relaxed SIMD as the standard (WebAssembly 3.0) has it. V8 in Node 20 has the same instructions
 * behind a flag, which counts for all that is compiled after it is set.
 */
function hasRelaxedSimd(): boolean {
  if (isRelaxedValid()) return true;
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return isRelaxedValid();
}

function isRelaxedValid(): boolean {
  const operand = { kind: 'v128', words: [0, 0, 0, 0] } as const;
  const result = {
    kind: 'instruction',
    name: 'f32x4.relaxed_madd',
    operands: [operand, operand, operand],
  } as const;
  const code = { name: 'probe', parameters: [], result, locals: [], body: [], exported: false };
  return WebAssembly.validate(encodeModule({ functions: [code] }));
}

/** @throws UserError `exceeds-device` when a package needs what the engine has not. */
export function checkFeatures({ entry, requires }: WasmManifest, has = wasmFeatures()): void {
  for (const feature of requires.features)
    if (!has.has(feature))
      throw new UserError(
        'exceeds-device',
        `${entry} requires ${feature} of WebAssembly, which is not to be had here`,
        'compile it without --relaxed-simd, or run it in a newer version of Node',
      );
}
