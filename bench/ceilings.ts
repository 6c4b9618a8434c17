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

/** The best of several kernels, each at its best: what suits one adapter is slow on another. */
export async function measureCeilings(opened: OpenedDevice): Promise<Ceilings> {
  const flops: number[] = [];
  for (const form of arithmeticForms) flops.push(await measureFlops(opened, form));
  const bytes: number[] = [];
  for (const form of copyForms) bytes.push(await measureBytes(opened, form));
  return { flops: Math.max(...flops), bytes: Math.max(...bytes) };
}

/** Chains of multiply-adds that wait for nothing but themselves. */
interface ArithmeticForm {
  readonly type: 'f32' | 'vec4f';
  readonly chains: number;
}

const arithmeticForms: readonly ArithmeticForm[] = [
  { type: 'vec4f', chains: 3 },
  { type: 'vec4f', chains: 8 },
  { type: 'f32', chains: 12 },
];
const stepsPerRound = 8;

async function measureFlops(opened: OpenedDevice, { type, chains }: ArithmeticForm): Promise<number> {
  const { software } = opened.profile;
  const [rounds, groups] = software ? [200, 64] : [1024, 4096];
  const names = Array.from({ length: chains }, (_, place) => `a${place}`);
  const step = names.map((name) => `${name} = fma(${name}, x, y);`).join(' ');
  const code = `
@group(0) @binding(0) var<storage, read_write> data: array<${type}>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = data[id.x]; let y = x * 0.5;
  ${names.map((name, place) => `var ${name} = x + ${place}.0;`).join(' ')}
  for (var i = 0u; i < ${rounds}u; i++) { ${Array.from({ length: stepsPerRound }, () => step).join(' ')} }
  data[id.x] = ${names.join(' + ')};
}`;
  const lanes = type === 'vec4f' ? 4 : 1;
  const invocations = groups * 64;
  const seconds = await timeKernel(opened, code, [invocations * lanes * 4], groups);
  return (invocations * rounds * stepsPerRound * chains * lanes * 2) / seconds;
}

interface CopyForm {
  readonly workgroupSize: 64 | 256;
  readonly vectorsPerInvocation: number;
  /** Whether the kernel knows how long the arrays are: what keeps indices within them then costs less. */
  readonly isSized: boolean;
}

const copyForms: readonly CopyForm[] = [
  { workgroupSize: 64, vectorsPerInvocation: 1, isSized: false },
  { workgroupSize: 64, vectorsPerInvocation: 8, isSized: false },
  { workgroupSize: 256, vectorsPerInvocation: 1, isSized: true },
  { workgroupSize: 256, vectorsPerInvocation: 4, isSized: true },
];

async function measureBytes(
  opened: OpenedDevice,
  { workgroupSize, vectorsPerInvocation, isSized }: CopyForm,
): Promise<number> {
  const vectors = opened.profile.software ? 1 << 20 : 1 << 23;
  const groups = vectors / (workgroupSize * vectorsPerInvocation);
  const across = Math.min(groups, 32768);
  const array = isSized ? `array<vec4f, ${vectors}>` : 'array<vec4f>';
  const copies = Array.from({ length: vectorsPerInvocation }, (_, at) => {
    const index = `i + ${workgroupSize * at}`;
    return `copy[${index}] = source[${index}];`;
  });
  const code = `
@group(0) @binding(0) var<storage, read> source: ${array};
@group(0) @binding(1) var<storage, read_write> copy: ${array};
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) place: u32) {
  let i = (group.y * ${across} + group.x) * ${workgroupSize * vectorsPerInvocation} + place;
  ${copies.join(' ')}
}`;
  const seconds = await timeKernel(opened, code, [vectors * 16, vectors * 16], across, groups / across);
  return (vectors * 32) / seconds;
}

const secondsPerKernel = 0.7;

/** The fewest seconds that one dispatch of `code` took, its buffers bound in order. */
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
  }, secondsPerKernel);
  for (const buffer of buffers) buffer.destroy();
  return time.best;
}
