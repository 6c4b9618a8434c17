/** The emulator of PTX: kernels whose results are known, and kernels at fault, of which it says what is. */
import { EmulatedDevice } from '../../../backends/cuda-ptx/emulator/device.ts';
import { EmulatorFault, type FaultKind } from '../../../backends/cuda-ptx/emulator/fault.ts';
import { type Argument, type Launch, launch } from '../../../backends/cuda-ptx/emulator/launch.ts';
import { narrow, widen } from '../../../backends/cuda-ptx/emulator/soft-float.ts';
import type { TensorMap } from '../../../backends/cuda-ptx/emulator/tensor-map.ts';
import {
  given,
  kernelText,
  randomNumbers,
  value,
  wanted,
} from '../../../backends/cuda-ptx/emulator/testing.ts';
import { parsePtx } from '../../../backends/cuda-ptx/parse.ts';
import type { Oracle } from '../mutant.ts';

const bf16 = (number: number): number =>
  Number(narrow(number, { format: 'bf16', rounding: 'rn', saturates: false, relu: false }));

function whole(random: () => number, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => Math.floor(9 * random()) - 4);
}

/** Of A by B, both with k inmost. */
function sumsOf(a: ArrayLike<number>, b: ArrayLike<number>, k: number): number[] {
  const n = b.length / k;
  return Array.from({ length: (a.length / k) * n }, (_, at) => {
    const [row, column] = [Math.floor(at / n) * k, (at % n) * k];
    let sum = 0;
    for (let inner = 0; inner < k; inner++) sum += a[row + inner]! * b[column + inner]!;
    return sum;
  });
}

function differ(found: ArrayLike<number>, expected: readonly number[]): string | undefined {
  const at = expected.findIndex((each, place) => !Object.is(found[place], each));
  return at < 0 ? undefined : `element ${at} is ${found[at]}, not ${expected[at]}`;
}

/** What is wrong where a launch ends with another fault, or with none. */
function faultIn(parts: Launch, kind: FaultKind): string | undefined {
  try {
    launch(parts);
  } catch (error) {
    if (error instanceof EmulatorFault) return error.kind === kind ? undefined : error.message;
    throw error;
  }
  return `no ${kind} is found`;
}

function product(text: string): { readonly parts: Launch; readonly check: () => string | undefined } {
  const [m, n, k] = [32, 16, 40];
  const random = randomNumbers(3);
  const [a, b, c] = [whole(random, m * k), whole(random, k * n), new Float32Array(m * n)];
  const turned = Float32Array.from(b, (_, at) => b[(at % k) * n + Math.floor(at / k)]!);
  return {
    parts: {
      ...{ module: parsePtx(text), kernel: 'product', grid: [1, 2, 1], block: [16, 16, 1] },
      arguments: [given('a', a), given('b', b), wanted('c', c), ...[m, n, k].map(value)],
    },
    check: () => differ(c, sumsOf(a, turned, k)),
  };
}

function vectors(lengths: readonly [number, number], isWritten = true): Launch {
  const [x, y] = lengths.map((length) => new Float32Array(length)) as [Float32Array, Float32Array];
  return {
    ...{ module: parsePtx(kernelText('vector')), kernel: 'saxpy', grid: [2, 1, 1], block: [64, 1, 1] },
    arguments: [value(2), given('x', x), isWritten ? given('y', y) : wanted('y', y), value(128)],
  };
}

/** By TMA, mbarriers and products of warpgroups; of extents that no tile divides. */
function ring(text: string): { readonly parts: Launch; readonly check: () => string | undefined } {
  const [m, n, k] = [50, 40, 200];
  const random = randomNumbers(5);
  const [a, b] = [m, n].map((rows) => Uint16Array.from(whole(random, rows * k), bf16)) as [
    Uint16Array,
    Uint16Array,
  ];
  const c = new Uint16Array(m * n);
  const map = (name: string, values: Uint16Array, rows: number, columns: number): Argument => {
    const own: TensorMap = {
      buffer: new Uint8Array(values.buffer),
      ...{ type: 'bf16', dims: [columns, rows], strides: [2 * columns], box: [64, 64], swizzle: '128B' },
    };
    return { kind: 'tensorMap', name, map: own };
  };
  return {
    parts: {
      ...{ module: parsePtx(text), kernel: 'hopper_product', grid: [1, 1, 1], block: [256, 1, 1] },
      sharedBytes: 5 * 8192,
      arguments: [map('a', a, m, k), map('b', b, n, k), map('c', c, m, n), value(4)],
    },
    check: () => {
      const [left, right] = [a, b].map((each) => Float64Array.from(each, (bits) => widen(bits, 'bf16')));
      return differ(c, sumsOf(left!, right!, k).map(bf16));
    },
  };
}

/** Each block writes its number to one word. */
const oneWord = `.version 8.0
.target sm_80
.address_size 64
.entry number(.param .u64 out) {
  .reg .b32 %r; .reg .b64 %rd;
  ld.param.u64 %rd, [out];
  mov.u32 %r, %ctaid.x;
  st.global.u32 [%rd], %r;
  ret;
}`;

const cases: { readonly [name: string]: () => string | undefined } = {
  product: () => {
    const { parts, check } = product(kernelText('product'));
    launch(parts);
    return check();
  },
  'a product without its second barrier': () => {
    let barrier = 0;
    const text = kernelText('product').replace(/bar\.sync\s+0;/g, (found) => (++barrier === 2 ? '' : found));
    return faultIn(product(text).parts, 'race');
  },
  'one element too few': () => faultIn(vectors([128, 127]), 'out of bounds'),
  'what nobody wrote': () => faultIn(vectors([128, 128], false), 'uninitialised memory'),
  'what a run does not write': () => {
    const device = new EmulatedDevice(1);
    const kernel = device.load(parsePtx(oneWord)).kernel('number');
    const [out, address] = [device.allocate(8), new DataView(new ArrayBuffer(8))];
    address.setBigUint64(0, out, true);
    const written = [true, false].map((mayBeRead) => {
      device.write(out, new Uint8Array(8));
      device.forget(out, 8, mayBeRead);
      kernel.launch({ grid: [1, 1, 1], block: [32, 1, 1] }, new Uint8Array(address.buffer));
      return device.unwritten(out, 8).indexOf(1);
    });
    return differ(written, [4, 4]);
  },
  'blocks that write a word': () =>
    faultIn(
      {
        ...{ module: parsePtx(oneWord), kernel: 'number', grid: [2, 1, 1], block: [32, 1, 1] },
        ...{ arguments: [wanted('out', new Uint32Array(1))], checksGlobalRaces: true },
      },
      'race',
    ),
  'a ring of stages': () => {
    const { parts, check } = ring(kernelText('hopper'));
    launch(parts);
    return check();
  },
  'a stage given back early': () => {
    const text = kernelText('hopper').replace(
      /wgmma\.wait_group\.sync\.aligned 0;/g,
      'wgmma.wait_group.sync.aligned 3;',
    );
    return faultIn(ring(text).parts, 'race');
  },
  'results that are not fenced': () =>
    faultIn(ring(kernelText('hopper').replace('fence.proxy.async.shared::cta;', '')).parts, 'missing fence'),
};

export const oracle: Oracle = {
  cases: Object.keys(cases),
  check: (name) => cases[name]!(),
};
