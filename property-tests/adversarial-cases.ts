/**
 * Numbers that programs go wrong on: NaN, infinities, both zeros, ends of ranges, ties, rows that see
 * nothing, sizes of 0, 1 and primes. Every case has what the language says of it.
 */
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { type CostModel, defaultCostModel } from '../compiler/partition/auto/cost-model.ts';
import type { Checked } from '../driver/check.ts';
import { compileFor, compilePtx, compileWasm } from '../driver/compile.ts';
import { lower } from '../driver/lower.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import type { OpenedDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { runMeshAsPtx, runMeshInWasm } from './run-on-mesh.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram } from './small-programs.ts';

type Tensors = ReadonlyMap<string, TensorData>;

export interface Case {
  readonly entry: string;
  readonly sizes: Readonly<Record<string, number>>;
  /** By path; repeated until the input is full. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** By path; repeated likewise. Of what is not named all targets give the same. */
  readonly wanted?: Readonly<Record<string, readonly number[]>>;
  /** Relative; 0: the same number, where NaN is NaN and both zeros are zero. */
  readonly tolerance?: number;
}

const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];

/** A row each, for what finds places, sorts, or takes extremes. */
const rows: { readonly [what: string]: readonly number[] } = {
  'all equal': [2, 2, 2, 2, 2, 2, 2],
  'all NaN': [nan, nan, nan],
  'NaN first': [nan, 1, nan, 3, 3],
  'NaN last': [3, 3, 1, nan],
  'lowest only': [-inf, -inf, -inf],
  'lowest and NaN': [nan, -inf, nan, -inf],
  'highest only': [inf, inf],
  'highest and NaN': [nan, inf, nan, inf],
  'both zeros': [-0, 0, -0, 0],
  'zeros and less': [-1, -0, 0, -1, 0],
  'ends of f32': [3.4028234663852886e38, -3.4028234663852886e38, inf, -inf, 3.4028234663852886e38],
  'one element': [5],
  'one NaN': [nan],
  'a prime number of ties': Array.from({ length: 37 }, (_, at) => [1, 3, 3, 2][at % 4]!),
  'ties far apart': Array.from({ length: 1000 }, (_, at) => (at % 250 === 249 ? 9 : at % 7)),
  'a long row of NaN': Array.from({ length: 700 }, () => nan),
  'a long row with one number': Array.from({ length: 700 }, (_, at) => (at === 611 ? -inf : nan)),
};

/** Of what is no NaN the best, the first of equals; where there is nothing else, the first. */
function placeOf(row: readonly number[], isBetter: (own: number, best: number) => boolean): number {
  let best = -1;
  for (const [at, value] of row.entries())
    if (!Number.isNaN(value) && (best < 0 || isBetter(value, row[best]!))) best = at;
  return Math.max(0, best);
}

/** Ascending, ties in order, NaN last. */
function sorted(row: readonly number[]): readonly number[] {
  const before = (left: number, right: number): number => {
    if (Number.isNaN(row[left]!) || Number.isNaN(row[right]!))
      return Number(Number.isNaN(row[left]!)) - Number(Number.isNaN(row[right]!)) || left - right;
    return row[left] === row[right] ? left - right : row[left]! < row[right]! ? -1 : 1;
  };
  return [...row.keys()].sort(before);
}

function ofRow([what, row]: readonly [string, readonly number[]]): readonly (readonly [string, Case])[] {
  const sizes = { N: 2, M: row.length };
  const largest = placeOf(row, (own, best) => own > best);
  const places = sorted(row);
  const extreme = (of: (...values: number[]) => number) => [of(...row)];
  return [
    [
      `places: ${what}`,
      {
        entry: 'positions',
        sizes,
        inputs: { x: row },
        wanted: {
          'out.0': [largest],
          'out.1': [placeOf(row, (own, best) => own < best)],
          'out.2': [largest],
        },
      },
    ],
    [
      `sorted: ${what}`,
      {
        entry: 'ranked',
        sizes,
        inputs: { x: row },
        wanted: { 'out.0': places.map((at) => row[at]!), 'out.1': places },
      },
    ],
    [
      `extremes: ${what}`,
      {
        entry: 'extremes',
        sizes,
        inputs: { x: row },
        wanted: { 'out.0': extreme(Math.max), 'out.1': extreme(Math.min) },
      },
    ],
  ];
}

/** Equal weights, and those of what is far below nothing. */
const even = (count: number) => [1 / count];

function streamed(logit: number, keys: number): Case {
  const root = Math.sqrt(Math.abs(logit));
  return {
    entry: 'streamed',
    sizes: { S: 3, U: keys, A: 1, B: 1 },
    inputs: { q: [root], k: [Math.sign(logit) * root], v: Array.from({ length: keys }, (_, at) => at) },
    wanted: { out: [(keys - 1) / 2] },
    tolerance: 1e-5,
  };
}

const quotients: readonly (readonly [number, number])[] = [
  [1, 0],
  [-1, 0],
  [1, -0],
  [0, 0],
  [inf, inf],
  [inf, 2],
  [2, inf],
  [nan, 1],
  [1, nan],
  [-inf, 4],
  [4, 2],
  [9, 3],
  [3e38, 0.5],
];

export const cases: { readonly [what: string]: Case } = {
  ...Object.fromEntries(Object.entries(rows).flatMap(ofRow)),
  'nothing has no extremes but the ends': {
    entry: 'unseen_weights',
    sizes: { N: 3, M: 0 },
    inputs: { x: [] },
    wanted: { out: [] },
  },
  'quotients, roots and logarithms': {
    entry: 'divided',
    sizes: { N: quotients.length },
    inputs: { x: quotients.map(([x]) => x), y: quotients.map(([, y]) => y) },
    wanted: {
      'out.0': quotients.map(([x, y]) => Math.fround(x / y)),
      'out.1': quotients.map(([x]) => Math.sqrt(x)),
      'out.2': quotients.map(([, y]) => Math.log(y)),
      'out.3': quotients.map(([x]) => x - x),
    },
    tolerance: 1e-6,
  },
  'floats to integers': {
    entry: 'saturated',
    sizes: { N: 12 },
    inputs: { x: [1, -1, 0.5, -0.5, 2.75, -2.75, inf, -inf, nan, 2147483520, -2147483648, 4294967040] },
    wanted: {
      'out.0': [
        2147483647, -2147483648, 1500000000, -1500000000, 2147483647, -2147483648, 2147483647, -2147483648, 0,
        2147483647, -2147483648, 2147483647,
      ],
      'out.1': [4294967295, 0, 3000000000, 0, 4294967295, 0, 4294967295, 0, 0, 4294967295, 0, 4294967295],
      'out.2': [1, -1, 0, 0, 2, -2, 2147483647, -2147483648, 0, 2147483520, -2147483648, 2147483647],
      'out.3': [1, 0, 0, 0, 2, 0, 4294967295, 0, 0, 2147483520, 0, 4294967040],
    },
  },
  'roundings to bf16 and f16 at ties, and beyond': {
    entry: 'rounded',
    sizes: { N: 14 },
    inputs: {
      x: [
        1 + 2 ** -8,
        1 + 3 * 2 ** -8,
        1 + 2 ** -11,
        1 + 3 * 2 ** -11,
        65519,
        65520,
        -65520,
        2 ** -25,
        3 * 2 ** -25,
        3.4e38,
        nan,
        inf,
        -inf,
        -0,
      ],
    },
    wanted: {
      'out.0': [1, 1 + 2 ** -6, 1, 1, 65536, 65536, -65536, 2 ** -25, 3 * 2 ** -25, inf, nan, inf, -inf, 0],
      'out.1': [
        1 + 2 ** -8,
        1 + 3 * 2 ** -8,
        1,
        1 + 2 ** -9,
        65504,
        inf,
        -inf,
        0,
        2 ** -23,
        inf,
        nan,
        inf,
        -inf,
        0,
      ],
    },
  },
  'roundings to f8 at ties, and beyond': {
    entry: 'rounded',
    sizes: { N: 12 },
    inputs: { x: [1.0625, 1.1875, 448, 464, 465, -1000, 2 ** -10, 3 * 2 ** -10, 57344, 61439, 61440, inf] },
    wanted: {
      'out.2': [1, 1.25, 448, 448, nan, nan, 0, 2 ** -8, nan, nan, nan, nan],
      'out.3': [1, 1.25, 448, 448, 448, -1024, 2 ** -10, 3 * 2 ** -10, 57344, 57344, inf, inf],
    },
  },
  'integers wrap': {
    entry: 'wrapped',
    sizes: { N: 5 },
    inputs: { a: [2147483647, -2147483648, 65536, 46341, -1], b: [4294967295, 65536, 0, 2147483648, 3] },
    wanted: {
      'out.0': [-2147483648, -2147483648, 65536, -2147432674, 0],
      'out.1': [0, 4294967295, 4294967295, 4294967295, 8],
      'out.2': [-2147483647, -2147483648, -65536, -46341, 1],
      'out.3': [0, 1, -2147418111, -2147437306, -2147483648],
    },
  },
  'softmax of equal logits': {
    entry: 'weighed',
    sizes: { N: 2, M: 7 },
    inputs: { x: [0.3] },
    wanted: { out: even(7) },
    tolerance: 1e-6,
  },
  'softmax of large logits': {
    entry: 'weighed',
    sizes: { N: 2, M: 7 },
    inputs: { x: [1e30] },
    wanted: { out: even(7) },
    tolerance: 1e-6,
  },
  'softmax of low logits': {
    entry: 'weighed',
    sizes: { N: 2, M: 7 },
    inputs: { x: [-1e30] },
    wanted: { out: even(7) },
    tolerance: 1e-6,
  },
  'softmax of logits far apart': {
    entry: 'weighed',
    sizes: { N: 1, M: 4 },
    inputs: { x: [-1e30, 1e30, 0, 1e30] },
    wanted: { out: [0, 0.5, 0, 0.5] },
    tolerance: 1e-6,
  },
  'softmax of one logit': {
    entry: 'weighed',
    sizes: { N: 3, M: 1 },
    inputs: { x: [-3e38] },
    wanted: { out: [1] },
  },
  'softmax with some at the lowest end': {
    entry: 'weighed',
    sizes: { N: 1, M: 3 },
    inputs: { x: [-inf, 2, -inf] },
    wanted: { out: [0, 1, 0] },
  },
  'softmax of the lowest end only': {
    entry: 'weighed',
    sizes: { N: 1, M: 3 },
    inputs: { x: [-inf] },
    wanted: { out: [nan] },
  },
  'softmax of NaN': {
    entry: 'weighed',
    sizes: { N: 2, M: 3 },
    inputs: { x: [1, nan, 2] },
    wanted: { out: [nan] },
  },
  'softmax that sees nothing': {
    entry: 'unseen_weights',
    sizes: { N: 2, M: 3 },
    inputs: { x: [5, 1e30, 2] },
    wanted: { out: [0, 0, 0, 1, 0, 0] },
  },
  'streamed, large logits': streamed(1e30, 33),
  'streamed, large logits, long': streamed(1e30, 301),
  'streamed, low logits': streamed(-1e30, 33),
  'streamed, one key': streamed(1e30, 1),
  'streamed, logits that grow': {
    entry: 'streamed',
    sizes: { S: 2, U: 40, A: 1, B: 1 },
    inputs: {
      q: [1e15],
      k: Array.from({ length: 40 }, (_, at) => (at - 20) * 1e14),
      v: Array.from({ length: 40 }, (_, at) => at),
    },
    wanted: { out: [39] },
  },
  'streamed, logits that fall': {
    entry: 'streamed',
    sizes: { S: 2, U: 40, A: 1, B: 1 },
    inputs: {
      q: [-1e15],
      k: Array.from({ length: 40 }, (_, at) => (at - 20) * 1e14),
      v: Array.from({ length: 40 }, (_, at) => at),
    },
    wanted: { out: [0] },
  },
  'streamed, the lowest end only': {
    entry: 'streamed',
    sizes: { S: 2, U: 20, A: 1, B: 1 },
    inputs: { q: [-inf], k: [1], v: [1] },
    wanted: { out: [nan] },
  },
  'streamed, no keys': {
    entry: 'streamed',
    sizes: { S: 3, U: 0, A: 2, B: 2 },
    inputs: { q: [1], k: [], v: [] },
  },
  // Scores are divided by the root of the number of components.
  'streamed, no components': {
    entry: 'streamed',
    sizes: { S: 2, U: 20, A: 0, B: 1 },
    inputs: { q: [], k: [], v: [1, 3] },
    wanted: { out: [nan] },
    tolerance: 1e-6,
  },
  'rows that see nothing': {
    entry: 'unseen',
    sizes: { S: 5, U: 40, A: 1, B: 1 },
    inputs: { q: [1], k: [2], v: [7] },
    wanted: { out: [0, 0, 0, 7, 7] },
    tolerance: 1e-6,
  },
  'rows that see nothing, of large logits': {
    entry: 'unseen',
    sizes: { S: 5, U: 40, A: 1, B: 1 },
    inputs: { q: [1e15], k: [-1e15], v: [7] },
    wanted: { out: [0, 0, 0, 7, 7] },
    tolerance: 1e-6,
  },
  'an expert that nobody picks': {
    entry: 'picked',
    sizes: { T: 13, E: 4, D: 8, F: 20 },
    inputs: { x: [1], w: [1, 2], pick: [2] },
    wanted: { out: [12] },
  },
  'one expert that everybody picks, and one row': {
    entry: 'picked',
    sizes: { T: 1, E: 1, D: 8, F: 20 },
    inputs: { x: [1], w: [3], pick: [0] },
    wanted: { out: [24] },
  },
  'no tokens for the experts': {
    entry: 'picked',
    sizes: { T: 0, E: 3, D: 8, F: 20 },
    inputs: { x: [], w: [3], pick: [] },
    wanted: { out: [] },
  },
  'least numbers of narrow floats': {
    entry: 'rounded',
    sizes: { N: 3 },
    inputs: { x: [2 ** -24, 2 ** -16, 2 ** -9] },
    wanted: {
      'out.1': [2 ** -24, 2 ** -16, 2 ** -9],
      'out.2': [0, 0, 2 ** -9],
      'out.3': [0, 2 ** -16, 2 ** -9],
    },
  },
};

const repeated = (values: readonly number[], count: number): number[] =>
  Array.from({ length: count }, (_, at) => values[at % values.length]!);

/** Devices so slow that even what is small is divided. */
const costs: CostModel = {
  ...defaultCostModel,
  flopsPerSecond: 1e3,
  bytesPerSecond: 1e4,
  link: { bytesPerSecond: 1e6, latencySeconds: 1e-7 },
};
const mesh = { axes: [{ name: 'a', size: 2 }, { name: 'b', size: 3 }] }; // biome-ignore format: one thing

let checked: Checked | undefined;

export function adversarialPrograms(): Checked {
  checked ??= checkSmallProgram('adversarial.ricci');
  return checked;
}

/**
 * The outputs by path: on the evaluator, in WebAssembly and as PTX, alone and on a mesh, and on an adapter.
 */
export async function runCase(
  { entry, sizes: given, inputs: values }: Case,
  device: OpenedDevice,
): Promise<ReadonlyMap<string, Tensors>> {
  const own = adversarialPrograms();
  const { program } = own;
  const solved = solveEntrySizes(program, entry, new Map(), new Map(Object.entries(given)));
  if (solved.kind !== 'sizes') throw new Error(solved.kind);
  const { sizes } = solved;
  const inputs = new Map(
    describeEntry(program, entry).inputs.map(({ path, dims, element }) => {
      const shape = dims.map((size) => evaluateSize(size, sizes) ?? 0);
      const dtype = element.kind === 'dtype' ? element.dtype : 'i32';
      const count = shape.reduce((product, extent) => product * extent, 1);
      return [path, tensorFromValues(dtype, shape, repeated(values[path]!, count))] as const;
    }),
  );
  const instance = { entry, sizes, inputDtypes: new Map() };
  const alone = lower(own, instance);
  const divided = lower(own, { ...instance, mesh, auto: true, costs });
  if (alone.kind === 'rejected' || divided.kind === 'rejected') throw new Error('rejected');
  const inWasm = await loadWasm(compileWasm(alone, instance, wasmDeviceHere()).package, { threads: 1 });
  const onMesh = compileWasm(divided, { ...instance, mesh }, wasmDeviceHere()).package;
  const asPtx = compilePtx(divided, { ...instance, mesh }, 'sm_80').package;
  const loaded = await loadPackage(compileFor(alone, instance, device.profile).package, device);
  try {
    return new Map([
      ['in WebAssembly', inWasm.run(inputs)],
      ['on a mesh in WebAssembly', (await runMeshInWasm(onMesh, inputs)).outputs],
      ['as PTX', await runPtx(alone, instance, inputs, { target: 'sm_90a' })],
      ...(allAsPtx ? [['on a mesh as PTX', (await runMeshAsPtx(asPtx, inputs)).outputs] as const] : []),
      ['as written', runReference(alone.graph, inputs)],
      ['optimized', runReference(alone.optimized, inputs)],
      ['on a mesh', runReferenceOnMesh(divided.device!, inputs)],
      ['on a mesh, optimized', runReferenceOnMesh({ ...divided.device!, graph: divided.optimized }, inputs)],
      ['on a device', await loaded.run(inputs)],
    ]);
  } finally {
    loaded.destroy();
    inWasm.destroy();
  }
}

function isSame(wanted: number, found: number, tolerance: number): boolean {
  if (wanted === found || (Number.isNaN(wanted) && Number.isNaN(found))) return true;
  return Math.abs(wanted - found) <= tolerance * Math.abs(wanted);
}

/** What some target gives that is not as the language says; undefined when nothing is. */
export async function caseFault(each: Case, device: OpenedDevice): Promise<string | undefined> {
  const all = await runCase(each, device);
  const { wanted = {}, tolerance = 0 } = each;
  for (const [target, outputs] of all)
    for (const [path, tensor] of outputs) {
      const found = [...tensorValues(tensor)];
      const said = wanted[path] ?? [...tensorValues(all.get('as written')!.get(path)!)];
      const expected = repeated(said, found.length);
      const wrong = found.findIndex((value, at) => !isSame(expected[at]!, value, tolerance));
      if (wrong >= 0) return `${target}, ${path}, element ${wrong}: ${found[wrong]}, not ${expected[wrong]}`;
    }
  return undefined;
}
