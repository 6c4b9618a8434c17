/** What the adapter can do at most: multiply-adds from registers, and bytes copied by a kernel. */
import type { OpenedDevice } from '../runtime/webgpu/device.ts';
import { bufferUsage } from '../runtime/webgpu/usage.ts';
import { medianTime } from './timing.ts';

export interface Ceilings {
  /** Floating-point operations a second of f32 multiply-adds, two each. */
  readonly flops: number;
  /** Bytes read and written a second by a copying kernel. */
  readonly bytes: number;
}

export async function measureCeilings(opened: OpenedDevice): Promise<Ceilings> {
  return { flops: await measureFlops(opened), bytes: await measureBytes(opened) };
}

const accumulators = 16;
const invocations = 4096;

async function measureFlops(opened: OpenedDevice): Promise<number> {
  const rounds = opened.profile.software ? 512 : 65536;
  const names = Array.from({ length: accumulators }, (_, place) => `a${place}`);
  const code = `
@group(0) @binding(0) var<storage, read_write> data: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = data[id.x]; let y = x * 0.5;
  ${names.map((name, place) => `var ${name} = x + ${place}.0;`).join(' ')}
  for (var i = 0u; i < ${rounds}u; i++) { ${names.map((name) => `${name} = fma(${name}, x, y);`).join(' ')} }
  data[id.x] = ${names.join(' + ')};
}`;
  const seconds = await timeKernel(opened, code, [invocations * 16], invocations / 64);
  return (invocations * rounds * accumulators * 4 * 2) / seconds;
}

async function measureBytes(opened: OpenedDevice): Promise<number> {
  const vectors = opened.profile.software ? 1 << 20 : 1 << 23;
  const code = `
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> copy: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  let start = (group.y * 65535u + group.x) * 256u + i;
  for (var step = 0u; step < 4u; step++) { let at = start + step * 64u; if (at < ${vectors}u) { copy[at] = source[at]; } }
}`;
  const groups = vectors / 256;
  const grid: [number, number] = [Math.min(groups, 65535), Math.ceil(groups / 65535)];
  const seconds = await timeKernel(opened, code, [vectors * 16, vectors * 16], ...grid);
  return (vectors * 32) / seconds;
}

/** Median seconds of one dispatch of `code`, its buffers bound in order. */
async function timeKernel(
  { device }: OpenedDevice,
  code: string,
  bytes: readonly number[],
  ...grid: [number, number?]
): Promise<number> {
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  const buffers = bytes.map((size) => device.createBuffer({ size, usage: bufferUsage.storage }));
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const time = await medianTime(async () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...grid);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  });
  for (const buffer of buffers) buffer.destroy();
  return time.seconds;
}
