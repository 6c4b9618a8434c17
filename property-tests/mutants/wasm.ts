// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of what writes WebAssembly, by file: every file has one. */
import { type ByFile, barrierMutants, faultsOf } from './kernels.ts';
import { inFile } from './mutant.ts';

export const panelMutants: ByFile = faultsOf(
  'compiler/tiles/schedules',
  {
    'blocked-softmax-sum.ts': [
      [
        'does not make smaller what came before',
        "float('mul', sums.read(at(first)), keep)",
        'sums.read(at(first))',
        'softmax.ricci: causal S=150,G=1,R=2,A=4,B=4',
      ],
      [
        'shows what is hidden',
        'masked(parts.isVisible(sum(start, at(first))), weight, zero)',
        'weight',
        'adversarial.ricci: unseen S=20,U=33,A=4,B=4',
      ],
      [
        'forgets what other components there are',
        'sum(product(grid(2, groups.values), constant(components)), first, coordinate(1, width));',
        'sum(first, coordinate(1, width));',
        'softmax.ricci: causal S=20,G=1,R=2,A=4,B=140',
      ],
    ],
    'grouped-on-core.ts': [
      [
        'goes on to the rows of the next expert',
        'minimum(sum(start, constant(tile)), end)',
        'sum(start, constant(tile))',
        'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
        'experts.ricci: one_matrix_each T=80,E=3,D=16,F=20',
      ],
      [
        'copies the columns of the first block only',
        'const column = columnOf(block, axis);',
        'const column = columnOf(constant(0), axis);',
        'experts.ricci: one_matrix_each T=80,E=3,D=16,F=20',
      ],
    ],
    'panels.ts': [
      [
        'packs the column before',
        'const column = sum(product(panel, constant(width)), within);',
        'const column = sum(product(panel, constant(width)), within, constant(-1));',
        'contractions.ricci: transposed_right M=37,K=19,N=23',
      ],
    ],
  },
  'wasm',
);

/** Of what there is to choose. */
export const choiceMutants: ByFile = faultsOf(
  'compiler/tiles/choices',
  {
    'contraction.ts': [
      [
        'has steps that vectors along the depth are longer than',
        "return panels || rightOrder === 'kn' ? [1, 4] : [4];",
        'return panels || rightOrder !== undefined ? [1, 4] : [4];',
        'contractions.ricci: transposed_right M=4,K=8,N=9, tiles',
      ],
    ],
    'softmax-sum.ts': [
      [
        'has blocks that are no whole panels',
        'block: panels * width',
        'block: panels * width + 4',
        'softmax.ricci: causal S=40,G=1,R=2,A=4,B=4, blocked',
      ],
    ],
    'reduction.ts': [
      [
        'has invocations meet where they have no memory to',
        'Math.floor(maxWorkgroupBytes / bytes)',
        'maxInvocationsPerWorkgroup + 0 * bytes * maxWorkgroupBytes',
        'reductions.ricci: rows N=5,M=70, rows',
      ],
    ],
  },
  'schedules',
);

export const wasmMutants: ByFile = faultsOf(
  'backends/wasm',
  {
    'emit.ts': [
      [
        'forgets to count through the grid',
        "writer.instruction('i32.rem_u', 'i32', [rest, by])",
        "writer.instruction('i32.div_u', 'i32', [rest, by])",
        'contractions.ricci: matmul M=150,K=19,N=40',
      ],
    ],
    'encode.ts': [
      [
        'forgets constant offsets',
        'unsigned(value.offset ?? 0)',
        'unsigned(0)',
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'expressions.ts': [
      [
        'takes neighbours to be the same',
        'const words = [0, stride, 2 * stride, 3 * stride] as const;',
        'const words = [0, 0, 0, 0] as const;',
        'indexing.ricci: merge',
        'indexing.ricci: split_and_merge',
        'order.ricci: best_with_ties',
      ],
    ],
    'functions.ts': [
      [
        'rounds quotients towards zero',
        "run('i32.sub', run('i32.div_s', left, divisor), isOff)",
        "run('i32.div_s', left, divisor)",
        'pointwise.ricci: integers',
        'pointwise.ricci: negative_divisors',
      ],
    ],
    'helpers.ts': [
      [
        'takes the sine for the cosine',
        'cos: helper(1, (o, x) => sine(o, x, 1))',
        'cos: helper(1, (o, x) => sine(o, x, 0))',
        'pointwise.ricci: large_angles N=20',
      ],
    ],
    'linear.ts': [
      [
        'shifts by one too many',
        'literal(shift, ',
        'literal(shift + 1, ',
        'indexing.ricci: reversed',
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'memory.ts': [
      [
        'stores what is masked',
        'else writer.if(mask, body);',
        'else body();',
        'pointwise.ricci: narrow N=301',
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'multiply-accumulate.ts': [
      [
        'takes the element of another step',
        'return broadcast(emission.writer, vectorAt(emission, left, [m, k]), k % 4);',
        'return broadcast(emission.writer, vectorAt(emission, left, [m, k]), 0);',
        'softmax.ricci: causal S=7,G=1,R=2,A=4,B=4',
      ],
    ],
    'reduce-tiles.ts': [
      [
        'takes rows for columns',
        'transpose(emission.writer, vectors).map(',
        'vectors.map(',
        'reductions.ricci: rows N=5,M=37',
      ],
    ],
    'statements.ts': [
      [
        'leaves out the first step of loops',
        'writer.loop(from, to, step * together, (value) => {',
        'writer.loop({ ...from, code: to.code }, to, step * together, (value) => {',
        'reductions.ricci: rows',
      ],
      [
        'takes a step too many',
        "writer.if(writer.instruction('i32.lt_s', 'bool', [next, to])",
        "writer.if(writer.instruction('i32.le_s', 'bool', [next, to])",
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'tiles.ts': [
      [
        'takes the first of a register for all',
        'return component(emission.writer, registerValue(emission, state, register), lane);',
        'return component(emission.writer, registerValue(emission, state, register), 0);',
        'reductions.ricci: rows',
        'reductions.ricci: ties',
        'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
      ],
    ],
    'values.ts': [
      [
        'turns rows in the wrong order',
        '[writer.shuffle(a, b, [0, 4, 1, 5]), writer.shuffle(a, b, [2, 6, 3, 7])]',
        '[writer.shuffle(a, b, [2, 6, 3, 7]), writer.shuffle(a, b, [0, 4, 1, 5])]',
        'contractions.ricci: transposed_right M=9,K=12,N=9',
        'softmax.ricci: causal S=3,G=1,R=2,A=4,B=4',
      ],
    ],
    'vector-operations.ts': [
      [
        'swaps the branches of a choice',
        'chosen(yes, no, truth)',
        'chosen(no, yes, truth)',
        'pointwise.ricci: narrow N=301',
      ],
    ],
    'writer.ts': [
      [
        'computes all before everything else',
        'Math.max(most, operand.depth)',
        'Math.min(most, operand.depth)',
        'reductions.ricci: rows',
        'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
      ],
    ],
  },
  'wasm',
);

/** Files in which a fault would change no result, and why. */
export const withoutWasmFaults: { readonly [file: string]: string } = {
  'code.ts': 'has types, and makes nodes of them',
  'emission.ts': 'has types, and makes what a module begins with',
  'instructions.ts': 'is a table that has tests of its own',
  'print.ts': 'writes for people',
};

/** Of formulas, which more than one back end may use. */
export const formulaMutants: ByFile = faultsOf(
  'backends/formulas',
  {
    'functions.ts': [
      [
        'leaves out half of a power',
        'return o.mul(partly, scale(',
        'return o.add(partly, scale(',
        'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
      ],
    ],
    'narrow-floats.ts': [
      [
        'takes a bit too many',
        'o.word(0x7fc0), o.shiftRight(rounded, 16)',
        'o.word(0x7fc0), o.shiftRight(rounded, 15)',
        'pointwise.ricci: narrow N=301',
      ],
    ],
    'operations.ts': [
      [
        'takes coefficients in the other order',
        'o.multiplyAdd(sum, x, o.float(coefficient))',
        'o.multiplyAdd(x, o.float(coefficient), sum)',
        'softmax.ricci: causal S=20,G=1,R=2,A=4,B=4',
      ],
    ],
    'threefry.ts': [['adds no turns to the key', 'o.word(turn)', 'o.word(0)', 'random.ricci: split']],
  },
  'wasm',
);

/** Of what all writers share. */
export const writingMutants: ByFile = {
  'barriers.ts': barrierMutants,
  'scan.ts': inFile('backends/writing/scan.ts', 'kernels', [
    'forgets runs before the last one',
    'after(own.before)',
    'own.before',
    'order.ricci: sums_so_far N=2,M=9000, on a GPU',
  ]),
  'index-sums.ts': inFile('backends/writing/index-sums.ts', 'kernels', [
    'adds what it takes away',
    'times(part(b!), -1)',
    'part(b!)',
    'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
  ]),
  'shared-values.ts': inFile('backends/writing/shared-values.ts', 'kernels', [
    'takes for a part what another one came to',
    'kept.get(point)?.get(expression)',
    'kept.get(point)?.values().next().value',
    'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
  ]),
  'point.ts': [
    ...inFile('backends/writing/point.ts', 'kernels', [
      'takes the first of four at its axes in reverse',
      '{ ...point, width: 1 }',
      '{ ...point, width: 1, coordinates: point.coordinates.toReversed() }',
      'reductions.ricci: where_largest N=5,M=40, on a GPU',
    ]),
    ...inFile('backends/writing/point.ts', 'ptx', [
      'takes the first of four at its axes in reverse, as PTX',
      '{ ...point, width: 1 }',
      '{ ...point, width: 1, coordinates: point.coordinates.toReversed() }',
      'indexing.ricci: diagonal N=8',
      'contractions.ricci: matmul M=37,K=19,N=23',
    ]),
  ],
  ...faultsOf(
    'backends/writing',
    {
      'linear.ts': [
        [
          'forgets what is subtracted',
          'const coefficient = ((known?.coefficient ?? 0) + term.coefficient) | 0;',
          'const coefficient = Math.abs((known?.coefficient ?? 0) + term.coefficient) | 0;',
          'indexing.ricci: reversed',
        ],
        [
          'forgets constants',
          '(left.constant + right.constant) | 0',
          'left.constant | 0',
          'indexing.ricci: strided N=8',
        ],
        [
          'takes a term once that comes twice',
          '((known?.coefficient ?? 0) + term.coefficient) | 0',
          'term.coefficient | 0',
          'indexing.ricci: diagonal N=8',
        ],
      ],
      'reduction.ts': [
        [
          'takes the last of equals',
          "apply('lt', 'bool', [otherPosition!, position!])",
          "apply('lt', 'bool', [position!, otherPosition!])",
          'reductions.ricci: ties',
        ],
        [
          'adds where it multiplies',
          "prod: byFunction('mul')",
          "prod: byFunction('add')",
          'reductions.ricci: products N=8,M=4',
        ],
      ],
    },
    'wasm',
  ),
};
