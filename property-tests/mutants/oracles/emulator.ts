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

/** Each block writes its number to one word, or to a byte. */
const numberKernel = (store: string): string => `.version 8.0
.target sm_80
.address_size 64
.entry number(.param .u64 out) {
  .reg .b32 %r; .reg .b64 %rd;
  ld.param.u64 %rd, [out];
  mov.u32 %r, %ctaid.x;
  ${store} %r;
  ret;
}`;
const oneWord = numberKernel('st.global.u32 [%rd],');

/** What a kernel of one block leaves in its last argument. */
function leaves(
  file: string,
  kernel: string,
  threads: number,
  inputs: readonly Argument[],
  result: Int32Array | BigUint64Array,
  rest: readonly Argument[] = [],
): readonly number[] {
  launch({
    ...{ module: parsePtx(kernelText(file)), kernel, grid: [1, 1, 1], block: [threads, 1, 1] },
    arguments: [...inputs, wanted('out', result), ...rest],
  });
  return Array.from(result, Number);
}

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
  'blocks that write a byte': () =>
    faultIn(
      {
        ...{ module: parsePtx(numberKernel('st.global.u8 [%rd+1],')), kernel: 'number' },
        ...{ grid: [2, 1, 1], block: [32, 1, 1], checksGlobalRaces: true },
        arguments: [wanted('out', new Uint32Array(1))],
      },
      'race',
    ),
  'a quotient of 128 bits': () => {
    const [x, y] = [BigInt64Array.of(-7n), BigInt64Array.of(12345n)];
    const found = leaves(
      ...(['bits', 'wide', 32, [given('x', x), given('y', y)], new BigUint64Array(6), [value(1)]] as const),
    );
    const quotient = (((2n ** 64n - 7n) << 64n) | 12345n) / 12345n;
    return differ(found.slice(2, 4), [Number(BigInt.asUintN(64, quotient)), Number(quotient >> 64n)]);
  },
  'doubles to integers': () => {
    const [x, k] = [Float64Array.of(Number.NaN), BigInt64Array.of(2n ** 24n + 1n)];
    const out = new BigUint64Array(12);
    leaves('doubles', 'rounded', 32, [given('x', x), given('k', k)], out, [value(1)]);
    return differ([Number(out[7]), Number(out[4])], [2 ** 63, 0x4b800000]);
  },
  'a function that calls itself': () =>
    differ(
      leaves('recursion', 'recursion', 12, [], new Int32Array(12)),
      [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89],
    ),
  'tiles of a warp': () => {
    const x = Int32Array.from({ length: 32 }, (_, at) => at);
    const found = leaves('tiles', 'tiles', 32, [given('x', x)], new Int32Array(6 * 32));
    const sums = Array.from(x, (at) => found[6 * at]!);
    return differ(
      sums,
      Array.from(x, (at) => 28 + 64 * (at >> 3)),
    );
  },
  'counts of a block': () => {
    const x = new Int32Array(32);
    const found = leaves('tiles', 'counts', 32, [given('x', x)], new Int32Array(32), [value(3)]);
    return differ(found, new Array(32).fill(1));
  },
  'a product of bytes': () => {
    const [a, b] = [Int8Array.from({ length: 512 }, (_, at) => at % 7), new Int8Array(128).fill(-2)];
    const found = leaves(
      'fragments',
      'byte_product',
      32,
      [given('a', a), given('b', b)],
      new Int32Array(256),
    );
    const sum = (row: number): number =>
      a.subarray(16 * row, 16 * row + 16).reduce((all, each) => all + each, 0);
    return differ(
      found,
      Array.from(found, (_, at) => 1 - 2 * sum(Math.floor(at / 8))),
    );
  },
  'what a kernel prints': () => {
    const printed: string[] = [];
    launch({
      ...{ module: parsePtx(kernelText('recursion')), kernel: 'speaks', grid: [1, 1, 1], block: [1, 1, 1] },
      ...{ arguments: [given('x', Int32Array.of(7))], print: (text) => printed.push(text) },
    });
    const expected = 'thread 0 of 1: 7   |  2.33|0x7 1099511627776%\n';
    return printed.join('') === expected ? undefined : `${printed.join('')} is printed, not ${expected}`;
  },
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
