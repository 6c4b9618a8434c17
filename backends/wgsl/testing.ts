/** For tests: runs a graph's kernels on a WebGPU device, and compares them with the reference evaluator. */
import { expect } from 'vitest';
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import { float64 } from '../../compiler/graph/float64.ts';
import type { Graph, LoopId, Tensor, TensorId } from '../../compiler/graph/graph.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { allTensors } from '../../compiler/graph/uses.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';
import type { ScheduledStep } from '../../compiler/tiles/scheduled.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { emitWgsl } from './emit.ts';
import type { WgslKernel } from './kernel.ts';

let opened: Promise<OpenedDevice> | undefined;

export function testDevice(): Promise<OpenedDevice> {
  opened ??= openAdapter({ kind: 'software' }).then(openDevice);
  return opened;
}

// ── data ───────────────────────────────────────────────────────────────────────────────────────────────────

type Read = (view: DataView, at: number) => number;
type Write = (view: DataView, at: number, value: number) => void;

const floatBits = new DataView(new ArrayBuffer(4));
function bitsOfF32(value: number): number {
  floatBits.setFloat32(0, value);
  return floatBits.getUint32(0);
}
function f32OfBits(bits: number): number {
  floatBits.setUint32(0, bits);
  return floatBits.getFloat32(0);
}

/** A float of few bits by its exponent and mantissa. */
function narrowValue(bits: number, exponentBits: number, mantissaBits: number, hasInfinity: boolean): number {
  const sign = bits >> (exponentBits + mantissaBits) === 0 ? 1 : -1;
  const top = 2 ** exponentBits - 1;
  const exponent = (bits >> mantissaBits) & top;
  const mantissa = bits & (2 ** mantissaBits - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (hasInfinity && exponent === top) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (!hasInfinity && exponent === top && mantissa === 2 ** mantissaBits - 1) return Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** The bits of each value, by trying them all: slow, and independent of any cleverness. Zero is 0, not −0. */
function narrowTable(bits: number, value: (bits: number) => number): Map<number, number> {
  const all = Array.from({ length: 2 ** bits }, (_, at) => 2 ** bits - 1 - at);
  return new Map(all.map((at) => [value(at), at]));
}

const f16Value = (bits: number) => narrowValue(bits, 5, 10, true);
const e4m3Value = (bits: number) => narrowValue(bits, 4, 3, false);
const e5m2Value = (bits: number) => narrowValue(bits, 5, 2, true);
const f16Table = narrowTable(16, f16Value);
const e4m3Table = narrowTable(8, e4m3Value);
const e5m2Table = narrowTable(8, e5m2Value);

const codecs: { readonly [D in Dtype]: { readonly read: Read; readonly write: Write } } = {
  f32: {
    read: (view, at) => view.getFloat32(4 * at, true),
    write: (view, at, value) => view.setFloat32(4 * at, value, true),
  },
  i32: {
    read: (view, at) => view.getInt32(4 * at, true),
    write: (view, at, value) => view.setInt32(4 * at, value, true),
  },
  u32: {
    read: (view, at) => view.getUint32(4 * at, true),
    write: (view, at, value) => view.setUint32(4 * at, value, true),
  },
  bf16: {
    read: (view, at) => f32OfBits(view.getUint16(2 * at, true) * 65536),
    write: (view, at, value) => view.setUint16(2 * at, bitsOfF32(value) >>> 16, true),
  },
  f16: {
    read: (view, at) => f16Value(view.getUint16(2 * at, true)),
    write: (view, at, value) => view.setUint16(2 * at, f16Table.get(value)!, true),
  },
  f8e4m3: {
    read: (view, at) => e4m3Value(view.getUint8(at)),
    write: (view, at, value) => view.setUint8(at, e4m3Table.get(value)!),
  },
  f8e5m2: {
    read: (view, at) => e5m2Value(view.getUint8(at)),
    write: (view, at, value) => view.setUint8(at, e5m2Table.get(value)!),
  },
  i8: {
    read: (view, at) => view.getInt8(at),
    write: (view, at, value) => view.setInt8(at, value),
  },
  u8: {
    read: (view, at) => view.getUint8(at),
    write: (view, at, value) => view.setUint8(at, value),
  },
  bool: {
    read: (view, at) => view.getUint8(at),
    write: (view, at, value) => view.setUint8(at, value),
  },
};

function countOf(tensor: Pick<Tensor, 'shape'>): number {
  return tensor.shape.reduce((total, extent) => total * extent, 1);
}

function bytesOf(tensor: Tensor): number {
  return Math.max(4, Math.ceil((countOf(tensor) * dtypeFacts[tensor.dtype].bits) / 32) * 4);
}

/** Numbers that follow from a seed: small, of both signs, exact in the dtype. */
export function sampleValues(tensor: Pick<Tensor, 'dtype' | 'shape'>, seed: number): number[] {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Array.from({ length: countOf(tensor) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const unit = state / 2 ** 32;
    const { class: kind } = dtypeFacts[tensor.dtype];
    if (kind === 'bool') return unit < 0.5 ? 1 : 0;
    if (kind === 'unsigned') return Math.floor(unit * 100);
    return kind === 'signed' ? Math.floor(unit * 200) - 100 : roundTo(tensor.dtype, unit * 4 - 2);
  });
}

// ── running ────────────────────────────────────────────────────────────────────────────────────────────────

export interface Compiled {
  readonly steps: readonly CompiledStep[];
  readonly tensors: ReadonlyMap<TensorId, Tensor>;
}

export type CompiledStep =
  | { readonly kind: 'kernel'; readonly kernel: WgslKernel }
  | {
      readonly kind: 'loop';
      readonly step: ScheduledStep & { readonly kind: 'loop' };
      readonly steps: readonly CompiledStep[];
    };

export function compileGraph(graph: Graph, profile: DeviceProfile): Compiled {
  const schedule = scheduleGraph(graph, profile);
  const tensors = new Map(allTensors(graph));
  for (const tensor of schedule.temporaries) tensors.set(tensor.id, tensor);
  const compile = (step: ScheduledStep): CompiledStep => {
    switch (step.kind) {
      case 'kernel':
        return { kind: 'kernel', kernel: emitWgsl(step.program, (id) => tensors.get(id)!, profile) };
      case 'loop':
        return { kind: 'loop', step, steps: step.steps.map(compile) };
      case 'exchange':
        throw new Error(`${graph.name} exchanges, and runs on one device here`);
    }
  };
  return { steps: schedule.steps.map(compile), tensors };
}

/** All kernels' texts, for golden files. */
export function kernelsOf(steps: readonly CompiledStep[]): WgslKernel[] {
  return steps.flatMap((step) => (step.kind === 'kernel' ? [step.kernel] : kernelsOf(step.steps)));
}

const storage = 0x80 | 0x04 | 0x08;

export async function runGraph(
  graph: Graph,
  inputs: ReadonlyMap<TensorId, readonly number[]>,
  profileOf: (profile: DeviceProfile) => DeviceProfile = (profile) => profile,
): Promise<Map<string, number[]>> {
  const { device, profile, guard } = await testDevice();
  const { steps, tensors } = compileGraph(graph, profileOf(profile));
  const buffers = new Map(
    [...tensors].map(([id, tensor]) => [id, device.createBuffer({ size: bytesOf(tensor), usage: storage })]),
  );
  for (const { tensor } of graph.inputs) {
    const view = new DataView(new ArrayBuffer(bytesOf(tensor)));
    for (const [at, value] of inputs.get(tensor.id)!.entries()) codecs[tensor.dtype].write(view, at, value);
    device.queue.writeBuffer(buffers.get(tensor.id)!, 0, view.buffer);
  }
  const counters = new Map<LoopId, number>();
  const pipelines = new Map<WgslKernel, GPUComputePipeline>();

  async function launch(kernel: WgslKernel): Promise<void> {
    await guard(`the kernel ${kernel.name}\n${kernel.code}`, async () => {
      const module = device.createShaderModule({ code: kernel.code });
      const pipeline =
        pipelines.get(kernel) ??
        device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
      pipelines.set(kernel, pipeline);
      const entries = kernel.bindings.map(
        ({ tensor }, binding): GPUBindGroupEntry => ({
          binding,
          resource: { buffer: buffers.get(tensor)! },
        }),
      );
      if (kernel.counters.length > 0) {
        const uniform = device.createBuffer({ size: 16, usage: 0x40 | 0x08 });
        const values = new Uint32Array(4);
        for (const [at, loop] of kernel.counters.entries()) values[at] = counters.get(loop)!;
        device.queue.writeBuffer(uniform, 0, values);
        entries.push({ binding: kernel.bindings.length, resource: { buffer: uniform } });
      }
      const bindGroup = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...kernel.grid);
      pass.end();
      device.queue.submit([encoder.finish()]);
    });
  }

  function copy(from: TensorId, to: TensorId, offset = 0): void {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffers.get(from)!, 0, buffers.get(to)!, offset, bytesOf(tensors.get(from)!));
    device.queue.submit([encoder.finish()]);
  }

  async function run(list: readonly CompiledStep[]): Promise<void> {
    for (const item of list) {
      if (item.kind === 'kernel') {
        await launch(item.kernel);
        continue;
      }
      const { loop, count, initial, body, results } = item.step.loop;
      const states = body.inputs.map(({ tensor }) => tensor.id);
      for (const [at, from] of initial.entries()) copy(from, states[at]!);
      for (let step = 0; step < count; step++) {
        counters.set(loop, step);
        await run(item.steps);
        for (const [at, output] of body.outputs.entries())
          if (at < states.length) copy(output.tensor, states[at]!);
          else copy(output.tensor, results[at]!.id, step * bytesOf(tensors.get(output.tensor)!));
      }
      for (const [at, state] of states.entries()) copy(state, results[at]!.id);
    }
  }

  await run(steps);
  const outputs = new Map<string, number[]>();
  for (const { path, tensor: id } of graph.outputs) {
    const tensor = tensors.get(id)!;
    const size = bytesOf(tensor);
    const read = device.createBuffer({ size, usage: 0x01 | 0x08 });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffers.get(id)!, 0, read, 0, size);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(0x01);
    const view = new DataView(read.getMappedRange());
    outputs.set(
      path,
      Array.from({ length: countOf(tensor) }, (_, at) => codecs[tensor.dtype].read(view, at)),
    );
    read.destroy();
  }
  for (const buffer of buffers.values()) buffer.destroy();
  return outputs;
}

// ── comparing ──────────────────────────────────────────────────────────────────────────────────────────────

export interface Tolerance {
  /** Allowed error relative to the greatest magnitude of the result. */
  readonly relative?: number;
  readonly profile?: (profile: DeviceProfile) => DeviceProfile;
  readonly values?: (tensor: Tensor) => readonly number[] | undefined;
}

/** Runs a graph both ways on the same numbers; results of integers must agree exactly. */
export async function expectAgreement(graph: Graph, options: Tolerance = {}): Promise<void> {
  const { relative = 2e-6, profile, values } = options;
  const inputs = new Map(
    graph.inputs.map(({ tensor }, at) => [tensor.id, values?.(tensor) ?? sampleValues(tensor, at + 1)]),
  );
  const expected = evaluateGraph(
    graph,
    new Map(
      graph.inputs.map(({ tensor }): [TensorId, TensorValue<number>] => [
        tensor.id,
        { dtype: tensor.dtype, shape: tensor.shape, data: Float64Array.from(inputs.get(tensor.id)!) },
      ]),
    ),
    float64,
  );
  const actual = await runGraph(graph, inputs, profile);
  for (const [path, { dtype, data }] of expected) {
    const own = actual.get(path)!;
    const wanted = Array.from({ length: data.length }, (_, at) => Number(data[at]));
    if (dtypeFacts[dtype].class !== 'float') {
      expect(own, path).toEqual(wanted);
      continue;
    }
    const scale = wanted.reduce(
      (most, value) => Math.max(most, Number.isFinite(value) ? Math.abs(value) : 0),
      0,
    );
    // A value near the middle of two may be rounded to either.
    const { mantissa } = dtypeFacts[dtype];
    const storage = dtype === 'f32' ? 0 : 2 ** -mantissa;
    const bad = wanted.flatMap((value, at) => {
      const got = own[at]!;
      if (Object.is(value, got) || (Number.isNaN(value) && Number.isNaN(got))) return [];
      const allowed = relative * scale + storage * Math.abs(value) + 1e-30;
      return Math.abs(got - value) <= allowed ? [] : [{ at, value, got }];
    });
    expect(bad.slice(0, 5), `${graph.name} ${path}: ${bad.length} of ${wanted.length} differ`).toEqual([]);
  }
}
