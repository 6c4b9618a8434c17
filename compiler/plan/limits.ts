/** Whether a device can run a package at all: decided before anything is allocated. */

import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { DeviceProfile } from '../tiles/device-profile.ts';
import type { Package, Requirements } from './package.ts';
import { bytesText } from './storage-bytes.ts';

type Limit = Exclude<keyof Requirements, 'features' | 'workgroupSize'>;

const limits: { readonly [L in Limit]: (profile: DeviceProfile) => number } = {
  storageBuffersPerStage: (profile) => profile.maxStorageBuffersPerStage,
  bindingBytes: (profile) => profile.maxBindingBytes,
  bufferBytes: (profile) => profile.maxBufferBytes,
  workgroupBytes: (profile) => profile.maxWorkgroupBytes,
  invocationsPerWorkgroup: (profile) => profile.maxInvocationsPerWorkgroup,
  workgroupsPerDimension: (profile) => profile.maxWorkgroupsPerDimension,
};

const limitText: { readonly [L in Limit]: (needed: number, offered: number) => string } = {
  storageBuffersPerStage: (needed, offered) =>
    `a kernel of it reads and writes ${needed} tensors, and the device allows ${offered}`,
  bindingBytes: (needed, offered) =>
    `its largest tensor takes ${bytesText(needed)}, and a kernel of the device reaches ${bytesText(offered)}`,
  bufferBytes: (needed, offered) =>
    `its largest tensor takes ${bytesText(needed)}, and a buffer of the device holds ${bytesText(offered)}`,
  workgroupBytes: (needed, offered) =>
    `a kernel of it takes ${bytesText(needed)} of workgroup memory, and the device has ${bytesText(offered)}`,
  invocationsPerWorkgroup: (needed, offered) =>
    `a kernel of it has workgroups of ${needed}, and the device allows ${offered}`,
  workgroupsPerDimension: (needed, offered) =>
    `a kernel of it needs ${needed} workgroups in a dimension, and the device allows ${offered}`,
};

/**
 * @throws UserError `exceeds-device`, naming the first limit that does not suffice. `features` are the
 * optional features of the device, where they are known; a missing one is then an error too.
 */
export function checkLimits(
  { manifest }: Pick<Package, 'manifest'>,
  profile: DeviceProfile,
  features?: ReadonlySet<string>,
): void {
  const refuse = (reason: string) =>
    new UserError(
      'exceeds-device',
      `${manifest.entry} does not fit ${profile.name}: ${reason}`,
      'use smaller sizes or narrower element types, compile for this device, or use another one',
    );
  for (const limit of Object.keys(limits) as Limit[]) {
    const [needed, offered] = [manifest.requires[limit], limits[limit](profile)];
    if (needed > offered) throw refuse(limitText[limit](needed, offered));
  }
  for (const [axis, needed] of manifest.requires.workgroupSize.entries())
    if (needed > profile.maxWorkgroupSize[axis]!)
      throw refuse(
        `a kernel of it has workgroups of ${needed} along ${'xyz'[axis]}, and the device allows ` +
          `${profile.maxWorkgroupSize[axis]}`,
      );
  const missing = manifest.requires.features.find(
    (feature) => features !== undefined && !features.has(feature),
  );
  if (missing !== undefined) throw refuse(`it needs the WebGPU feature ${missing}`);
}
