/** ONNX Runtime in WebAssembly, and its kernels for WebGPU. */
import { availableParallelism } from 'node:os';
import { installWebGpu } from './browser-globals.ts';
import { encodeModel, type OnnxModel, type OnnxNode } from './onnx-model.ts';
import { input, type Peer, type Problem, peerFile, type Ready } from './peer.ts';

/** What is used of onnxruntime-web. */
interface OnnxRuntime {
  readonly env: {
    readonly wasm: { numThreads: number };
    readonly webgpu: { readonly device: Promise<GPUDevice> };
  };
  readonly InferenceSession: {
    readonly create: (model: Uint8Array, options: object) => Promise<Session>;
  };
  readonly Tensor: {
    new (type: 'float32', values: Float32Array, shape: readonly number[]): OnnxValue;
    readonly fromGpuBuffer: (buffer: GPUBuffer, options: object) => OnnxValue;
  };
}

interface Session {
  readonly run: (
    given: Readonly<Record<string, OnnxValue>>,
    wanted: readonly string[],
  ) => Promise<Readonly<Record<'y', OnnxValue>>>;
}

interface OnnxValue {
  readonly getData: () => Promise<Float32Array>;
  readonly dispose: () => void;
}

/** Forms of a workload: the fastest that a backend can run is that of the peer. */
type Forms = Readonly<Record<string, OnnxModel>>;

const node = (
  op: string,
  takes: string,
  gives: string,
  attributes: OnnxNode['attributes'] = {},
  domain = '',
): OnnxNode => ({ op, takes: takes.split(' '), gives, attributes, domain });

const integers = (name: string, values: readonly number[]) => ({
  name,
  shape: [values.length],
  values: BigInt64Array.from(values, BigInt),
});

const forms: { readonly [E in Problem['entry']]: (problem: Problem) => Forms } = {
  matmul: (problem) => {
    const [a, b] = ['a', 'b'].map((name) => ({ name, shape: input(problem, name).shape }));
    const output = [a!.shape[0]!, b!.shape[1]!];
    return { MatMul: { nodes: [node('MatMul', 'a b', 'y')], inputs: [a!, b!], output } };
  },
  softmax_rows: (problem) => {
    const { shape } = input(problem, 'x');
    const nodes = [node('Softmax', 'x', 'y', { axis: -1 })];
    return { Softmax: { nodes, inputs: [{ name: 'x', shape }], output: shape } };
  },
  causal: (problem) => {
    const { shape } = input(problem, 'q');
    const [heads, length, width] = shape as [number, number, number];
    const inputs = ['q', 'k', 'v'].map((name) => ({ name, shape }));
    const mask = new Float32Array(length * length);
    for (let s = 0; s < length; s++) mask.fill(-3.4e38, s * length + s + 1, (s + 1) * length);
    const flat = ['q', 'k', 'v'].flatMap((name) => [
      node('Transpose', name, `${name}_turned`, { perm: [1, 0, 2] }),
      node('Reshape', `${name}_turned flat`, `${name}_flat`),
    ]);
    return {
      MultiHeadAttention: {
        inputs,
        output: shape,
        constants: [integers('flat', [1, length, heads * width]), integers('heads', [length, heads, width])],
        nodes: [
          ...flat,
          node(
            'MultiHeadAttention',
            'q_flat k_flat v_flat',
            'summed',
            { num_heads: heads, unidirectional: 1 },
            'com.microsoft',
          ),
          node('Reshape', 'summed heads', 'by_position'),
          node('Transpose', 'by_position', 'y', { perm: [1, 0, 2] }),
        ],
      },
      'products and Softmax': {
        inputs,
        output: shape,
        constants: [
          { name: 'scale', shape: [1], values: new Float32Array([1 / Math.sqrt(width)]) },
          { name: 'mask', shape: [1, length, length], values: mask },
        ],
        nodes: [
          node('Transpose', 'k', 'k_turned', { perm: [0, 2, 1] }),
          node('MatMul', 'q k_turned', 'scores'),
          node('Mul', 'scores scale', 'scaled'),
          node('Add', 'scaled mask', 'masked'),
          node('Softmax', 'masked', 'weights', { axis: -1 }),
          node('MatMul', 'weights v', 'y'),
        ],
      },
    };
  },
  experts: (problem) => {
    const [tokens, width] = input(problem, 'x').shape as [number, number];
    const experts = input(problem, 'gate').shape[1]!;
    const constants = ['gate', 'up', 'down'].map((name) => ({ name, ...input(problem, name) }));
    return {
      'all experts for all tokens': {
        inputs: [{ name: 'x', shape: [tokens, width] }],
        output: [tokens, width],
        constants: [
          ...constants,
          { name: 'none', shape: [tokens, experts], values: new Float32Array(tokens * experts) },
          integers('two', [2]),
          integers('of_each', [1, tokens, width]),
          integers('shares_of_each', [experts, tokens, 1]),
          integers('first', [0]),
        ],
        nodes: [
          node('MatMul', 'x gate', 'logits'),
          node('TopK', 'logits two', 'best pick', { axis: -1 }),
          node('Softmax', 'best', 'weights', { axis: -1 }),
          node('ScatterElements', 'none pick weights', 'shares', { axis: 1 }),
          node('Transpose', 'shares', 'shares_turned', { perm: [1, 0] }),
          node('Reshape', 'shares_turned shares_of_each', 'share'),
          node('Reshape', 'x of_each', 'x_of_each'),
          node('MatMul', 'x_of_each up', 'hidden'),
          node('Sigmoid', 'hidden', 'gated'),
          node('Mul', 'hidden gated', 'active'),
          node('MatMul', 'active down', 'result'),
          node('Mul', 'result share', 'shared'),
          node('ReduceSum', 'shared first', 'y', { keepdims: 0 }),
        ],
      },
    };
  },
};

export async function onnxRuntimePeer(on: Peer['on']): Promise<Peer> {
  if (on === 'WebGPU') installWebGpu();
  // For Node the package names a file without WebGPU only.
  const file = on === 'WebGPU' ? 'dist/ort.webgpu.mjs' : 'dist/ort.node.min.mjs';
  const runtime = (await import(peerFile('onnxruntime-web', file))) as OnnxRuntime;
  runtime.env.wasm.numThreads = on === 'WebGPU' ? 1 : availableParallelism();
  return { on, prepare: (problem) => fastest(runtime, on, problem) };
}

async function fastest(runtime: OnnxRuntime, on: Peer['on'], problem: Problem): Promise<Ready> {
  let best: { readonly ready: Ready; readonly milliseconds: number } | undefined;
  const refused: string[] = [];
  for (const [how, model] of Object.entries(forms[problem.entry](problem))) {
    try {
      const ready = await prepareModel(runtime, on, problem, how, await encodeModel(model));
      await ready.run();
      const start = performance.now();
      await ready.run();
      const milliseconds = performance.now() - start;
      if (best === undefined || milliseconds < best.milliseconds) best = { ready, milliseconds };
    } catch (error) {
      refused.push(`${how}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  if (best === undefined) throw new Error(refused.join('; '));
  return best.ready;
}

async function prepareModel(
  { InferenceSession, Tensor, env }: OnnxRuntime,
  on: Peer['on'],
  problem: Problem,
  how: string,
  model: Uint8Array,
): Promise<Ready> {
  const isOnDevice = on === 'WebGPU';
  const session = await InferenceSession.create(model, {
    executionProviders: [isOnDevice ? 'webgpu' : 'wasm'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    ...(isOnDevice ? { preferredOutputLocation: 'gpu-buffer' } : {}),
  });
  const device = isOnDevice ? await env.webgpu.device : undefined;
  const names = problem.entry === 'experts' ? ['x'] : [...problem.inputs.keys()];
  const given = Object.fromEntries(
    names.map((name) => {
      const { values, shape } = input(problem, name);
      return [
        name,
        device === undefined ? new Tensor('float32', values, shape) : onDevice(device, Tensor, values, shape),
      ];
    }),
  );
  let result: Readonly<Record<'y', OnnxValue>> | undefined;
  return {
    how,
    run: async () => {
      result?.y.dispose();
      result = await session.run(given, ['y']);
      await device?.queue.onSubmittedWorkDone();
    },
    read: async () => Float32Array.from(await result!.y.getData()),
  };
}

function onDevice(
  device: GPUDevice,
  Tensor: OnnxRuntime['Tensor'],
  values: Float32Array<ArrayBuffer>,
  dims: readonly number[],
): OnnxValue {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: Math.ceil(values.byteLength / 16) * 16, usage });
  device.queue.writeBuffer(buffer, 0, values);
  return Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims });
}
