// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of schedules and of what writes WGSL, by file: every file has one. */
import { type Change, inFile, type Mutant, type OracleName } from './mutant.ts';

export type ByFile = { readonly [file: string]: readonly Mutant[] };

export function faultsOf(
  folder: string,
  changes: { readonly [file: string]: readonly Change[] },
  oracle: OracleName = 'kernels',
): ByFile {
  return Object.fromEntries(
    Object.entries(changes).map(([file, own]) => [file, inFile(`${folder}/${file}`, oracle, ...own)]),
  );
}

export const scheduleMutants: ByFile = faultsOf('compiler/tiles/schedules', {
  'axis-class.ts': [
    [
      'confuses the iterators of rows and columns',
      'found[axis] = values[place]!;',
      'found[axis] = values.at(-1 - place)!;',
      'contractions.ricci: two_reduced M=8,K=8,L=4,N=8',
      'softmax.ricci: causal S=8,G=2,R=2,A=4,B=4',
    ],
  ],
  'contraction.ts': [
    [
      'leaves out the last step',
      'const isReal = (depth: TileExpression) => below(depth, constant(reduced.extent));',
      'const isReal = (depth: TileExpression) => below(depth, constant(reduced.extent - 1));',
      'contractions.ricci: matmul M=37,K=19,N=23',
      'contractions.ricci: matmul M=9,K=7,N=5',
    ],
  ],
  'contraction-rows.ts': [
    [
      'gives experts the rows of the next',
      "apply('lt', 'bool', position(row), end),",
      "apply('le', 'bool', position(row), end),",
      'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
    ],
    [
      'takes the weights of the expert before',
      'extra: [expert],',
      'extra: [sum(expert, constant(-1))],',
      'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
    ],
    [
      'does not round up rows',
      'Math.ceil(rows.extent / together);',
      'Math.floor(rows.extent / together);',
      'contractions.ricci: matmul M=37,K=19,N=23',
      'contractions.ricci: matmul M=9,K=7,N=5',
    ],
  ],
  'grouped-rows.ts': [
    [
      'does not round up the tiles of an expert',
      'quotient(sum(count, constant(tile - 1)), tile)',
      'quotient(count, tile)',
      'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
    ],
  ],
  'thin-contraction.ts': [
    [
      'sums the first step only',
      "update('partial', apply('add', 'f32', soFar, term))",
      "update('partial', term)",
      'contractions.ricci: transposed_right M=2,K=300,N=9',
    ],
  ],
  'map.ts': [
    [
      'takes axes in the wrong order',
      'return groupIterators(groups, indices);',
      'return groupIterators(groups, indices.toReversed());',
      'indexing.ricci: nothing_but_indices N=7,M=8',
    ],
  ],
  'merged-groups.ts': [
    [
      'merges whatever there is',
      'mergeAxes(lowered, extents, from, to)',
      'mergeAxes([], extents, from, to)',
      'indexing.ricci: nothing_but_indices N=7,M=8',
    ],
  ],
  'flat-results.ts': [
    [
      'leaves out the last elements',
      'const groups = Math.ceil(inner / tile);',
      'const groups = Math.max(1, Math.floor(inner / tile));',
      'pointwise.ricci: arithmetic N=300',
      'pointwise.ricci: narrow N=301',
    ],
  ],
  'narrow-result.ts': [
    [
      'keeps what is computed wide',
      'const body = load(\n    wide,\n    shape.map((_, axis) => iterator(axis)),',
      'const body = load(\n    wide,\n    shape.map((_, axis) => iterator(shape.length - 1 - axis)),',
      'contractions.ricci: narrow_weights M=5,K=8,N=5',
    ],
  ],
  'order-by-counting.ts': [
    [
      'puts ties in reverse',
      "const earlier = apply('lt', leftPlace, rightPlace);",
      "const earlier = apply('lt', rightPlace, leftPlace);",
      'order.ricci: sorted_places M=9',
    ],
    [
      'sorts the other way',
      "direction === 'ascending' ? less(left, right)",
      "direction !== 'ascending' ? less(left, right)",
      'order.ricci: sorted_places M=9',
    ],
  ],
  'order-problem.ts': [
    [
      'takes rows to be as long as what is wanted of them',
      'const length = tensors(node.source).shape.at(-1)!;',
      'const length = node.result.shape.at(-1)!;',
      'order.ricci: best_of_all K=200,M=600',
    ],
  ],
  'order.ts': [
    [
      'forgets a run that has no other',
      'const pairs = Math.ceil(from.length / (2 * run));',
      'const pairs = Math.floor(from.length / (2 * run));',
      'order.ricci: sorted_places M=200',
    ],
    [
      'forgets where entries of a run were',
      'place: (_, offset) => load(places.id, places.dtype, offset),',
      'place: (inRow) => inRow,',
      'order.ricci: sorted_places M=200',
    ],
  ],
  'merging.ts': [
    [
      'puts ties in reverse',
      "apply('le', 'bool', low, high)",
      "apply('lt', 'bool', low, high)",
      'order.ricci: sorted_places M=200',
    ],
  ],
  'tile-sort.ts': [
    [
      'leaves out the last round',
      'to: constant(rounds),',
      'to: constant(rounds - 1),',
      'order.ricci: sorted_places M=100, on a small GPU',
    ],
  ],
  'merge-runs.ts': [
    [
      'brings the second run from where the first one is',
      'sum(constant(run), difference(difference(begin, pair), cut)',
      'sum(difference(difference(begin, pair), cut)',
      'order.ricci: sorted_places M=200, on a small GPU',
    ],
  ],
  'merge-one-by-one.ts': [
    [
      'leaves out the last of the second run',
      'second: minimum(difference(left, first), constant(run))',
      'second: minimum(difference(left, first), constant(run - 1))',
      'order.ricci: sorted_places M=200',
    ],
  ],
  'prefix.ts': [
    [
      'leaves out the first step',
      '{ from: constant(0), to: end,',
      '{ from: constant(1), to: end,',
      'order.ricci: counts_so_far M=9',
    ],
    [
      'takes pieces from other places',
      'iterator(rank - 1), integer(chunk)',
      'iterator(rank - 1), integer(chunk - 1)',
      'order.ricci: sums_so_far N=1,M=9000',
    ],
  ],
  'prefix-problem.ts': [
    [
      'begins the second piece with nothing',
      "apply('lt', 'bool', constant(0), piece)",
      "apply('lt', 'bool', constant(1), piece)",
      'order.ricci: sums_so_far N=1,M=9000',
    ],
  ],
  'scanned-prefix.ts': [
    [
      'forgets what was before the last step',
      "combine(combiner, before, element('total', dtype, [own[0]]), dtype)",
      "element('total', dtype, [own[0]])",
      'order.ricci: sums_so_far N=2,M=9000, on a GPU',
    ],
  ],
  'row-layout.ts': [
    [
      'lets two invocations have a part of a word',
      'const block = Math.min(4, results);',
      'const block = 1;',
      'rows.ricci: narrow_moments T=50,D=9, on a GPU',
    ],
  ],
  'reduction.ts': [
    [
      'takes results in the wrong order',
      'outputs.map((group) => group.extent),',
      'outputs.map((group) => group.extent).toReversed(),',
      'reductions.ricci: middle N=3,M=5,P=2',
    ],
  ],
  'softmax-problem.ts': [
    [
      'has rows share keys that they do not',
      '!ofStreams.some((scalar)',
      'ofStreams.some((scalar)',
      'softmax.ricci: causal S=20,G=2,R=2,A=4,B=4',
    ],
  ],
  'softmax-sum.ts': [
    [
      'does not make smaller what came before',
      "apply('exp', 'f32', apply('sub', 'f32', element('so_far', 'f32', own), element('top', 'f32', own))),",
      "constant(1, 'f32'),",
      'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
    ],
    [
      'shows what is hidden',
      'const mask = both(visible, isReal(u(1)));',
      'const mask = isReal(u(1));',
      'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
    ],
    [
      'divides where nothing is seen',
      "masked(seesNothing, constant(0, 'f32'), mean)",
      'mean',
      'adversarial.ricci: unseen S=5,U=33,A=4,B=4',
    ],
    [
      'takes the same part of a wide row again',
      'lowered(separated.ofRow, at({ row, depth: sum(first, coordinate(1, held)) }))',
      'lowered(separated.ofRow, at({ row, depth: coordinate(1, held) }))',
      'softmax.ricci: full S=3,G=1,R=1,A=132,U=9',
    ],
  ],
  'split-reduction.ts': [
    [
      'leaves out the chunks but the first',
      'reduce: { combiner, extents: [parts], finish: node.reduce.finish },',
      'reduce: { combiner, extents: [1], finish: node.reduce.finish },',
      'reductions.ricci: total N=5000',
    ],
    [
      'counts what is behind the last chunk of a product',
      'isRagged ? product(factors.map(withinAxis)) : moved',
      'moved',
      'contractions.ricci: transposed_left M=16,K=2090,N=16, on a GPU',
    ],
  ],
  'visible-bound.ts': [
    [
      'stops one short of what is visible',
      'difference(isBeyond ? sum(value, constant(1)) : value, begin)',
      'difference(value, constant(3))',
      'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
    ],
  ],
});

export const tileMutants: ByFile = faultsOf('compiler/tiles', {
  'lanes.ts': [
    [
      'takes quotients to be the same for neighbours',
      'return staysInBlock(a, left, constantValue(b), domain) ? 0 : undefined;',
      'return 0;',
      'indexing.ricci: split_and_merge G=5,R=7,A=3',
    ],
    [
      'takes threes for vectors of four',
      'last.block % 4 === 0 ? 4 : 1',
      'last.extent % 4 === 0 ? 4 : 1',
      'reductions.ricci: rows N=7,M=40',
    ],
  ],
});

/** Noticed in the text of kernels: what races need not show on a software adapter. */
export const barrierMutants: readonly Mutant[] = [
  ...inFile(
    'backends/writing/barriers.ts',
    'barriers',
    [
      'writes what others still read',
      'written.some((name) => barriers.read.has(name) || barriers.written.has(name))',
      'false',
      'contractions.ricci: matmul M=16,K=200,N=16',
    ],
    [
      'forgets that a loop follows itself',
      'for (const name of reads) barriers.read.add(name);\n  for (const name of readFirst)',
      'for (const name of readFirst)',
      'contractions.ricci: matmul M=16,K=200,N=16',
    ],
  ),
  ...inFile('backends/wgsl/statements.ts', 'barriers', [
    'reads what others still write',
    ', write);\n  }\n  emission.barriers.written.add(tile.name);',
    ', write);\n  }',
    'contractions.ricci: matmul M=16,K=200,N=16',
  ]),
];

export const wgslMutants: ByFile = {
  ...faultsOf('backends/wgsl', {
    'functions.ts': [
      [
        'swaps the branches of a choice',
        '`select(${no}, ${yes}, ${condition})`',
        '`select(${yes}, ${no}, ${condition})`',
        'pointwise.ricci: choice N=5',
      ],
      [
        'divides integers towards zero',
        "undefined : name),\n  write: ({ dtype, width }, a, b) =>\n    dtype === 'u32'",
        "undefined : name),\n  write: ({ dtype, width }, a, b) =>\n    dtype !== 'f32'",
        'pointwise.ricci: negative_divisors N=5',
      ],
    ],
    'helpers.ts': [
      [
        'lets NaN go in a maximum',
        'max(bitcast<I>(a) & I(0x7fffffff), bitcast<I>(b) & I(0x7fffffff))',
        'bitcast<I>(a) & I(0x7fffffff)',
        'pointwise.ricci: no_numbers N=5',
      ],
      ['turns random numbers once less', 'round < 20u', 'round < 19u', 'random.ricci: draws'],
    ],
    'memory.ts': [
      [
        'packs halves in reverse',
        'const words = [`${b}.x | (${b}.y << 16u)`',
        'const words = [`${b}.y | (${b}.x << 16u)`',
        'dtypes.ricci: half N=5',
      ],
    ],
    'multiply-accumulate.ts': [
      [
        'leaves out the last products',
        'for (let k = 0; k < depth; k++)',
        'for (let k = 0; k < depth - 1; k++)',
        'contractions.ricci: matmul M=37,K=19,N=24',
      ],
      [
        'leaves out the last inner products',
        'for (let k = 0; k < depth; k += left.width)',
        'for (let k = 0; k < depth - left.width; k += left.width)',
        'contractions.ricci: transposed_right M=37,K=20,N=24',
        'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
      ],
    ],
    'statements.ts': [
      [
        'runs loops without their last step',
        '${name} < ${to}; ${name} += ${statement.step}',
        '${name} < ${to} - 1; ${name} += ${statement.step}',
        'reductions.ricci: rows N=5,M=7',
      ],
      [
        'takes what later statements change for a value',
        'if (!changing.has(name)) emission.tiles.set(name, settled(state));',
        'if (changing.size > 0) emission.tiles.set(name, settled(state));',
        'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
      ],
    ],
    'emission.ts': [
      [
        'deals rows out among columns',
        'sharersOf(over, threads',
        "sharersOf(over === 'rows' ? 'columns' : over, threads",
        'reductions.ricci: rows N=3,M=300, on a GPU',
      ],
    ],
    'emit.ts': [
      [
        'gives invocations the column of their row',
        '`thread % ${columns}`',
        '`thread / ${columns}`',
        'contractions.ricci: matmul M=9,K=7,N=5, on a GPU',
      ],
      [
        'takes axes of the grid in reverse',
        '${dimensions[at]});`',
        '${dimensions[extents.length - 1 - at]});`',
        'contractions.ricci: batched B=2,M=9,K=7,N=8',
      ],
      [
        'folds a long grid without its last part',
        'const down = Math.ceil(total / across);',
        'const down = Math.floor(total / across);',
        'pointwise.ricci: arithmetic N=4000, with few workgroups',
      ],
    ],
    'expressions.ts': [
      [
        'gives neighbours the place of the first but one',
        '${stride}, ${2 * stride}, ${3 * stride})`',
        '${stride}, ${2 * stride}, ${2 * stride})`',
        'indexing.ricci: nothing_but_indices N=7,M=8',
      ],
      [
        'leaves one bit less after a division',
        'mask(divisor - 1, operand)',
        'mask(divisor / 2 - 1, operand)',
        'indexing.ricci: transpose N=8,M=12',
      ],
      [
        'takes counters of loops in reverse',
        'emission.program.counters.indexOf(expression.loop)',
        'emission.program.counters.length - 1 - emission.program.counters.indexOf(expression.loop)',
        'loops.ricci: two_counters N=4',
      ],
    ],
    'linear.ts': [
      [
        'adds the terms that it takes away',
        "([a, b]) => `${a} ${coefficient > 0 ? '+' : '-'} ${b}`",
        '([a, b]) => `${a} + ${b}`',
        'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
      ],
    ],
    'places.ts': [
      [
        'takes neighbours to lie side by side',
        'linearConstant(lane * places.stride)',
        'linearConstant(lane)',
        'indexing.ricci: transpose N=8,M=12',
      ],
    ],
    'register-tiles.ts': [
      [
        'deals out blocks as if there were one each',
        'Math.floor(at / axis.block) * axis.block * count + (at % axis.block)',
        'at',
        'contractions.ricci: matmul M=9,K=7,N=5',
      ],
    ],
    'storage.ts': [
      [
        'reads one float of eight bits as the other',
        "f8e4m3: helpers('f8e4m3_value'",
        "f8e4m3: helpers('f8e5m2_value'",
        'dtypes.ricci: through_all N=7',
      ],
      [
        'stores f16 as bf16',
        "f16: helpers('f16_value', 'f16_bits')",
        "f16: helpers('bf16_value', 'bf16_bits')",
        'dtypes.ricci: half N=5',
      ],
    ],
    'tile-elements.ts': [
      [
        'reads the vector of another place in shared memory',
        'width === 4 ? `${name}${tag}[${text} >> 2u]`',
        'width === 4 ? `${name}${tag}[${text} >> 3u]`',
        'contractions.ricci: matmul M=9,K=7,N=5, on a GPU',
      ],
      [
        'reads the first of four for each',
        'flat % state.width)',
        '0)',
        'reductions.ricci: where_largest N=5,M=40, on a GPU',
      ],
    ],
    'values.ts': [
      [
        'takes numbers for none and none for numbers',
        'isWanted ? `${name}(${text})` : `!${name}(${text})`',
        'isWanted ? `!${name}(${text})` : `${name}(${text})`',
        'pointwise.ricci: no_numbers N=5',
      ],
      [
        'takes the first lane for each',
        'const part = `${value.text}.${components[lane]}`;',
        'const part = `${value.text}.x`;',
        'dtypes.ricci: through_all N=7',
      ],
      [
        'turns vectors around',
        '(${x}, ${y}, ${z}, ${w})`',
        '(${w}, ${z}, ${y}, ${x})`',
        'dtypes.ricci: through_all N=7',
      ],
    ],
    'wgsl-text.ts': [
      [
        'takes true for false',
        "value === 0 ? 'false' : 'true'",
        "value === 0 ? 'true' : 'false'",
        'reductions.ricci: some N=4,M=8',
      ],
      [
        'takes the least float for the greatest',
        "value > 0 ? 'float_of_bits(0x7f800000u)'",
        "value < 0 ? 'float_of_bits(0x7f800000u)'",
        'reductions.ricci: where_largest N=5,M=40',
      ],
    ],
    'writer.ts': [
      [
        'leaves out parentheses',
        'isSingleTerm(text) ? text : `(${text})`',
        'text',
        'pointwise.ricci: arithmetic N=300',
      ],
      [
        'takes out of loops what changes there',
        'operands.some((operand) => operand.mutable)',
        'operands.some((operand) => operand.mutable && operand.depth < 0)',
        'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
      ],
    ],
    'scan-tiles.ts': [
      [
        'takes every other step',
        'width < count; width *= 2',
        'width < count; width *= 4',
        'order.ricci: sums_so_far N=2,M=70, on a GPU',
      ],
    ],
    'reduce-tiles.ts': [
      [
        'leaves one out in a tree',
        'const bound = Math.min(width, count - width);',
        'const bound = Math.min(width, count - width) - 1;',
        'reductions.ricci: rows N=7,M=40, on a GPU',
      ],
    ],
  }),
};

/** Noticed at the ends of ranges only. */
export const helperMutants: readonly Mutant[] = inFile(
  'backends/wgsl/helpers.ts',
  'adversarial',
  [
    'does not saturate',
    'select(I(inside), I(2147483647), x >= F(2147483648.0))',
    'I(inside)',
    'floats to integers',
  ],
  [
    'rounds bf16 up at ties',
    'select(U(0x7fffu), U(0x8000u), (bits & U(0x10000u)) != U(0u))',
    'U(0x8000u)',
    'roundings to bf16 and f16 at ties, and beyond',
  ],
  [
    'rounds f16 up at ties',
    'U(0xfffu) + ((magnitude >> U(13u)) & U(1u))',
    'U(0x1000u)',
    'roundings to bf16 and f16 at ties, and beyond',
  ],
  [
    'gives e4m3 an infinity',
    'magnitude > U(0x43e80000u)',
    'magnitude > U(0x53e80000u)',
    'roundings to f8 at ties, and beyond',
  ],
);

export const reductionMutants: readonly Mutant[] = inFile(
  'compiler/tiles/schedules/accumulate.ts',
  'adversarial',
  [
    'forgets that all is NaN',
    'constant(nowhere)), constant(0), found)',
    'constant(nowhere)), constant(1), found)',
    'places: all NaN',
  ],
  [
    'takes NaN for the best',
    'const isTaken = both(mask, isBetter(combiner, own, { value: best, position: where }))!;',
    "const isTaken = both(mask, apply('not', 'bool', " +
      'isBetter(combiner, { value: best, position: where }, own)))!;',
    'places: NaN first',
  ],
);

/** Of what writes WGSL: files in which a fault changes no result of a program, and why. */
export const withoutFaults: { readonly [file: string]: string } = {
  'graph-building.ts': 'builds graphs for tests',
  'kernel.ts': 'has types only',
  'testing.ts': 'runs kernels for tests',
};
