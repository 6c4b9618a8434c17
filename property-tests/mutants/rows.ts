// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of kernels that have whole rows, noticed in WebAssembly. */
import { type ByFile, faultsOf } from './kernels.ts';
import { inFile, type Mutant } from './mutant.ts';

export const rowMutants: ByFile = {
  ...faultsOf(
    'compiler/tiles/schedules',
    {
      'accumulate.ts': [
        [
          'leaves out the last elements',
          'isWhole ? undefined : below(index, constant(extent));',
          'isWhole ? undefined : below(index, constant(extent - 1));',
          'reductions.ricci: rows N=5,M=7',
        ],
        [
          'leaves out what is left of a row',
          "steps('_last', [whole, to], false)",
          "steps('_last', [to, to], false)",
          'reductions.ricci: rows N=5,M=37',
        ],
      ],
      'shared-run.ts': [
        [
          'takes runs that steps do not fill',
          'Math.max(...fitting)',
          'Math.max(...fitting) - 2',
          'library.ricci: four_bits T=2,O=8,B=3',
        ],
      ],
      'route.ts': [
        [
          'lists each pick at the start',
          "update('cursor', sum(cursor, oneIf(isOwn))),",
          '',
          'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
        ],
        [
          'begins experts one early',
          "sum(cursor, oneIf(apply('lt', 'bool', picked, expert)))",
          "sum(cursor, oneIf(apply('le', 'bool', picked, expert)))",
          'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
        ],
        [
          'counts a chunk before itself',
          "const isEarlier = apply('lt', 'bool', other, chunk);",
          "const isEarlier = apply('le', 'bool', other, chunk);",
          'experts.ricci: one_matrix_each T=17000,E=5,D=2,F=16',
        ],
      ],
      'split-softmax-sum.ts': [
        [
          'forgets how large the logits of a chunk are',
          "apply('exp', apply('sub', top, greatest))",
          'float(1)',
          'softmax.ricci: full S=1,G=1,R=2,A=4,U=600',
        ],
        [
          'sees the last key again and again',
          "seen && isReal ? apply('and', isReal, seen) : (seen ?? isReal)",
          'seen',
          'softmax.ricci: full S=1,G=1,R=2,A=4,U=601',
        ],
        [
          'divides by the total of nothing',
          "apply('select', apply('eq', total, float(0)), float(0), mean)",
          'mean',
          'softmax.ricci: blind S=2,U=600,A=4',
        ],
      ],
      'tiled-softmax-sum.ts': [
        [
          'forgets how large the logits of a tile are',
          "applied('mul', part(parts.total), kept)",
          'part(kept === undefined ? parts.top : parts.total)',
          'softmax.ricci: vocabulary B=2,T=3,D=4,V=1100',
        ],
        [
          'weighs what is behind the last column',
          'masked(isSeen, value, nothing)',
          'masked(visible && isSeen, value, nothing)',
          'softmax.ricci: no_logits T=4,D=4,V=1030',
        ],
      ],
      'row-cluster.ts': [
        [
          'takes another of a few numbers',
          'value, otherwise),',
          'otherwise, value),',
          'rows.ricci: chosen_of_groups T=20,P=5',
        ],
        [
          'stores a row over the one before',
          'sum(product(row, constant(values.length)), constant(at)),',
          'sum(row, constant(at)),',
          'rows.ricci: chosen',
        ],
        [
          'leaves a part of the sum out',
          'const total = combined(terms, combiner, node.body);',
          'const total = combined(terms.slice(0, 1), combiner, node.body);',
          'rows.ricci: chosen',
        ],
      ],
      'best-places.ts': [
        [
          'finds the best again',
          'const isAfter = apply(',
          "const isAfter = apply('eq', 'bool', own.value, before.value), unused = apply(",
          'rows.ricci: chosen',
        ],
        [
          'takes the later of equals',
          "const isLater = apply('lt', 'bool', before.place, own.position);",
          "const isLater = apply('lt', 'bool', own.position, before.place);",
          'order.ricci: best_with_ties K=3,M=9',
        ],
      ],
    },
    'wasm',
  ),
};

export const clusterMutants: ByFile = faultsOf(
  'compiler/tiles',
  {
    'row-clusters.ts': [
      [
        'forgets what others read',
        'readers.get(id)?.some((reader) => !inside.has(reader)) ?? false',
        'readers.get(id)?.some((reader) => reader !== undefined && !inside.has(reader)) ?? false',
        'rows.ricci: moments',
      ],
      [
        'takes another row for its own',
        "return subscript?.op === 'iterator' && subscript.axis === axis;",
        "return subscript?.op === 'iterator';",
        'rows.ricci: neighbours',
      ],
    ],
  },
  'wasm',
);

const mergedForAdapters: ByFile = faultsOf('compiler/tiles', {
  'merge-kernels.ts': [
    [
      'does nothing',
      'masked(isPart, sum(place, constant(1)), constant(0))',
      'masked(isPart, place, constant(0))',
      'adversarial.ricci: rounded N=2000',
    ],
  ],
  'fuse-kernels.ts': [
    [
      'renames what is inside of a loop before it has names',
      "if (!areAlike(first, second, pairing)) return 'unlike';",
      "if (!areAlike(renamed(first), second, pairing)) return 'unlike';",
      'contractions.ricci: gated M=24,K=20,N=24, on a GPU',
    ],
    [
      'computes one of two products',
      "apart.add(tile);\n  return 'again';",
      'return [second];',
      'experts.ricci: mixture T=9,D=16,F=16',
    ],
    [
      'takes what is stored of other rows',
      'isOwn &&= keyOf(expression.offset) === keyOf(given.offset)',
      'isOwn &&= true',
      'contractions.ricci: turned_gate T=24,D=24',
    ],
  ],
  'expression-keys.ts': [
    [
      'takes all tensors to be one',
      '`load ${expression.tensor}`',
      '`load`',
      'experts.ricci: mixture T=9,D=16,F=16',
    ],
  ],
  'map-expression.ts': [
    [
      'stores by the workgroup of all kernels',
      'offset: map(offset)',
      'offset',
      'adversarial.ricci: rounded N=2000',
    ],
  ],
});

/** Of kernels that are launched as one, as only those for GPUs are. */
export const mergedMutants: ByFile = {
  ...mergedForAdapters,
  'merge-kernels.ts': [
    ...mergedForAdapters['merge-kernels.ts']!,
    ...inFile('compiler/tiles/merge-kernels.ts', 'ptx', [
      'takes the loop of a part for that of its workgroups',
      'while (taken.has(name))',
      'while (false)',
      'units.ricci: two_alike M=40,K=32,N=72',
    ]),
    ...inFile('compiler/tiles/merge-kernels.ts', 'ptx', [
      'gives tiles of one name the room of the first',
      'JSON.stringify(rest)',
      'JSON.stringify(rest.space)',
      'indexing.ricci: transposed_each N=40,M=72',
    ]),
  ],
};

/** At the ends of ranges. */
export const bestPlaceMutants: readonly Mutant[] = inFile(
  'compiler/tiles/schedules/best-places.ts',
  'adversarial',
  [
    'lists a NaN twice',
    "apply('lt', 'bool', place, position)",
    "apply('le', 'bool', place, position)",
    'sorted: lowest and NaN',
  ],
  [
    'goes on among numbers after a NaN',
    "apply('and', 'bool', isAfter, apply('not', 'bool', before.wasNaN))",
    'isAfter',
    'sorted: highest and NaN',
  ],
);
