/** The programs of `choices.ts`: an entry of `choices.ricci`, and its sizes. */

export interface ChoiceCase {
  readonly entry: string;
  readonly sizes: Readonly<Record<string, number>>;
}

type Sizes = readonly number[];

/** Products by rows, columns and depth: few and many rows, odd sizes, much and little to reduce. */
const products: readonly Sizes[] = [
  [1, 1024, 1024],
  [4, 1024, 1024],
  [16, 512, 512],
  [256, 256, 256],
  [33, 70, 257],
  [129, 1000, 65],
  [2048, 64, 64],
  [64, 2048, 16],
];

/** Those whose weights are in few bits: the depth is a multiple of 32. */
const narrow: readonly Sizes[] = [
  [1, 1024, 1024],
  [16, 512, 512],
];

const reductions: readonly Sizes[] = [
  [4096, 16],
  [1024, 1024],
  [999, 77],
  [4, 65536],
];

/** An entry at several lists of sizes, which have the names in the order given. */
function at(entry: string, names: string, all: readonly Sizes[]): readonly ChoiceCase[] {
  return all.map((values) => ({
    entry,
    sizes: Object.fromEntries(names.split(' ').map((name, place) => [name, values[place]!])),
  }));
}

export const choiceCases: readonly ChoiceCase[] = [
  ...at('product', 'M N K', products),
  ...at('layer', 'T O D', products),
  ...['layer8', 'layer4'].flatMap((entry) =>
    at(
      entry,
      'T O B',
      narrow.map(([tokens, outputs, depth]) => [tokens!, outputs!, depth! / 32]),
    ),
  ),
  ...at('weighed', 'T D K', [
    [512, 256, 2],
    [64, 64, 8],
  ]),
  ...['row_sums', 'column_sums', 'row_places'].flatMap((entry) => at(entry, 'N M', reductions)),
  ...at('column_sums', 'N M', [[65536, 4]]),
  ...at('prefix_sums', 'N M', [...reductions, [64, 65_536], [1, 1 << 22]]),
  ...at('sorted_places', 'N M', [
    [4096, 32],
    [256, 128],
    [64, 512],
    [8, 8192],
  ]),
  ...at('best_places', 'N M', [
    [256, 128],
    [1, 131_072],
  ]),
  ...at('all_sum', 'N', [[1 << 20], [5000]]),
  ...at('softmax_rows', 'N M', reductions),
  ...at('causal', 'S H A', [
    [256, 8, 64],
    [100, 2, 32],
  ]),
  ...at('decode', 'U G R A', [
    [2048, 2, 4, 64],
    [300, 8, 1, 64],
  ]),
  ...['scaled', 'transposed', 'activated'].flatMap((entry) =>
    at(entry, 'N M', [
      [1024, 1024],
      [30, 70],
    ]),
  ),
];
