/** jax-js: NumPy and JAX in TypeScript, with kernels that it writes itself. */
import { installIteratorHelpers, installWebGpu } from './browser-globals.ts';
import { type Dense, importPeer, input, type Peer, type Problem } from './peer.ts';

/** What is used of jax-js. An operation takes its operands away; `ref` keeps one. */
interface Jax {
  readonly init: (backend: string) => Promise<readonly string[]>;
  readonly defaultDevice: (backend: string) => void;
  readonly jit: (computed: (...arrays: Value[]) => Value) => (...arrays: Value[]) => Value;
  readonly numpy: {
    readonly array: (values: Float32Array) => Value;
    readonly matmul: (left: Value, right: Value) => Value;
    readonly einsum: (subscripts: string, left: Value, right: Value) => Value;
    readonly expandDims: (value: Value, axis: number) => Value;
    readonly sum: (value: Value, axis: number) => Value;
  };
  readonly nn: {
    readonly softmax: (value: Value, axis: number) => Value;
    readonly silu: (value: Value) => Value;
    readonly oneHot: (value: Value, classes: number) => Value;
    readonly dotProductAttention: (
      query: Value,
      key: Value,
      value: Value,
      options: { readonly isCausal: boolean },
    ) => Value;
  };
  readonly lax: { readonly topK: (value: Value, count: number) => readonly [Value, Value] };
}

interface Value {
  readonly ref: Value;
  readonly reshape: (shape: readonly number[]) => Value;
  readonly transpose: (axes: readonly number[]) => Value;
  readonly mul: (other: Value) => Value;
  readonly dispose: () => void;
  readonly blockUntilReady: () => Promise<unknown>;
  readonly data: () => Promise<Float32Array>;
}

interface Form {
  readonly how: string;
  readonly takes: readonly string[];
  readonly computed: (jax: Jax, problem: Problem) => (...arrays: Value[]) => Value;
}

const forms: { readonly [E in Problem['entry']]: Form } = {
  matmul: { how: 'numpy.matmul', takes: ['a', 'b'], computed: ({ numpy }) => numpy.matmul },
  softmax_rows: {
    how: 'jit(nn.softmax)',
    takes: ['x'],
    computed: ({ nn, jit }) => jit((x) => nn.softmax(x, -1)),
  },
  causal: {
    how: 'jit(nn.dotProductAttention)',
    takes: ['q', 'k', 'v'],
    computed: ({ nn, jit }, problem) => {
      const [heads, length, width] = input(problem, 'q').shape as [number, number, number];
      const byPosition = (x: Value) => x.reshape([1, heads, length, width]).transpose([0, 2, 1, 3]);
      return jit((q, k, v) =>
        nn
          .dotProductAttention(byPosition(q), byPosition(k), byPosition(v), { isCausal: true })
          .transpose([0, 2, 1, 3]),
      );
    },
  },
  experts: {
    how: 'jit, all experts for all tokens',
    takes: ['x', 'gate', 'up', 'down'],
    computed: ({ numpy, nn, lax, jit }, problem) => {
      const experts = input(problem, 'gate').shape[1]!;
      return jit((x, gate, up, down) => {
        const [logits, pick] = lax.topK(numpy.matmul(x.ref, gate), 2);
        const weights = numpy.expandDims(nn.softmax(logits, -1), -1);
        const shares = numpy.sum(nn.oneHot(pick, experts).mul(weights), 1);
        const hidden = nn.silu(numpy.einsum('td,edf->etf', x, up));
        return numpy.einsum('etd,te->td', numpy.einsum('etf,efd->etd', hidden, down), shares);
      });
    },
  },
};

export async function jaxPeer(on: Peer['on']): Promise<Peer> {
  installIteratorHelpers();
  if (on === 'WebGPU') installWebGpu();
  const jax = (await importPeer('@jax-js/jax')) as Jax;
  const backend = on === 'WebGPU' ? 'webgpu' : 'wasm';
  if (!(await jax.init(backend)).includes(backend)) throw new Error(`no backend ${backend} here`);
  jax.defaultDevice(backend);
  return {
    on,
    prepare: async (problem) => {
      const { how, takes, computed } = forms[problem.entry];
      const array = ({ values, shape }: Dense) => jax.numpy.array(values).reshape(shape);
      const given = takes.map((name) => array(input(problem, name)));
      const compute = computed(jax, problem);
      let result: Value | undefined;
      return {
        how,
        run: async () => {
          result?.dispose();
          result = compute(...given.map((each) => each.ref));
          await result.blockUntilReady();
        },
        read: async () => {
          const values = await result!.data();
          result = undefined;
          return values;
        },
      };
    },
  };
}
