/**
 * How long it takes to partition and compile a large model for many devices: `npm run bench:partition`. A
 * Mixtral of 64 experts, each layer as wide as Mixtral 8x7B's, in bf16, for one sequence of 4096 tokens;
 * nothing is placed by hand. The goals: under 5 s and 2 GiB for 32 layers on 256 devices, and within a fifth
 * of that for 64 layers, or on 1024 devices.
 */
import { join } from 'node:path';
import { describeEntry } from '../compiler/lower/entry.ts';
import { defaultCostModel } from '../compiler/partition/auto/cost-model.ts';
import type { DeviceProfile } from '../compiler/tiles/device-profile.ts';
import { checkFile } from '../driver/check.ts';
import { compileFor } from '../driver/compile.ts';
import { type Instance, lower } from '../driver/lower.ts';
import { standardLibrary } from '../driver/module-loader.ts';
import { deviceCount, type Mesh } from '../dsl/placement/placement.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { accepted } from './accepted.ts';

interface Case {
  readonly layers: number;
  readonly axes: Readonly<Record<string, number>>;
}

const cases: readonly Case[] = [
  { layers: 32, axes: { dp: 8, tp: 4, ep: 8 } },
  { layers: 64, axes: { dp: 8, tp: 4, ep: 8 } },
  { layers: 32, axes: { dp: 16, tp: 8, ep: 8 } },
];

const widths = { V: 32000, D: 4096, F: 14336, E: 64, G: 8, R: 4, P: 64, S: 4096, K: 2 };

const opened = await openDevice(await openAdapter({ kind: 'software' }));
/** A device that is as this one but for its memory, which would be that of the devices of the mesh. */
const profile: DeviceProfile = {
  ...opened.profile,
  maxBufferBytes: 2 ** 40,
  maxBindingBytes: 2 ** 40,
};
opened.destroy();
const checked = accepted(checkFile(join(standardLibrary, 'mixtral.ricci')));

console.log(
  '| layers | devices | partitioned and optimized | to WGSL and plan | in all | memory of the process |',
);
console.log('|---|---|---|---|---|---|');
for (const { layers, axes } of cases) {
  const mesh: Mesh = { axes: Object.entries(axes).map(([name, size]) => ({ name, size })) };
  const weights = describeEntry(checked.program, 'model').inputs.filter(
    ({ element }) => element.kind === 'float',
  );
  const instance: Instance = {
    entry: 'model',
    sizes: new Map(Object.entries({ ...widths, L: layers })),
    inputDtypes: new Map(weights.map(({ path }) => [path, 'bf16'])),
    mesh,
    auto: true,
    costs: defaultCostModel,
  };
  const start = performance.now();
  const lowered = accepted(lower(checked, instance));
  const partitioned = performance.now();
  compileFor(lowered, instance, profile);
  const end = performance.now();
  const seconds = (from: number, to: number): string => `${((to - from) / 1000).toFixed(1)} s`;
  const memory = `${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `| ${layers} | ${deviceCount(mesh)} | ${seconds(start, partitioned)} | ${seconds(partitioned, end)} | ` +
      `${seconds(start, end)} | ${memory} |`,
  );
}
