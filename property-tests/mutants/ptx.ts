// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of what writes PTX, by file: every file has one. The emulator notices them. */
import { type ByFile, faultsOf } from './kernels.ts';

export const ptxMutants: ByFile = faultsOf(
  'backends/cuda-ptx/emit',
  {
    'emit.ts': [
      [
        'takes the grid in the other order',
        'special(writer, `ctaid.${dimensions[extents.length - 1 - axis]!}`)',
        'special(writer, `ctaid.${dimensions[axis]!}`)',
        'contractions.ricci: matmul M=37,K=19,N=70',
      ],
      [
        'waits for nobody',
        "synchronize: () => writer.effect('bar.sync 0;')",
        "synchronize: () => writer.effect('')",
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'emission.ts': [
      [
        'deals rows out over columns',
        "case 'rows':\n      return rows;",
        "case 'rows':\n      return columns;",
        'contractions.ricci: matmul M=8,K=4,N=12',
      ],
    ],
    'expressions.ts': [
      [
        'takes neighbours to be the same',
        'linearConstant(lane * stride)',
        'linearConstant(0 * stride)',
        'indexing.ricci: merge',
        'indexing.ricci: split_and_merge',
        'order.ricci: best_with_ties',
      ],
    ],
    'functions.ts': [
      [
        'swaps the branches of a choice',
        '[yes!, no!, condition!]);',
        '[no!, yes!, condition!]);',
        'pointwise.ricci: choice N=5',
      ],
      [
        'rounds quotients towards zero',
        "run('sub.s32', quotient, literal(1, 'i32'))",
        "run('sub.s32', quotient, literal(0, 'i32'))",
        'pointwise.ricci: negative_divisors N=20',
      ],
      ['forgets NaN in a maximum', "f32: 'max.NaN.f32'", "f32: 'max.f32'", 'pointwise.ricci: no_numbers N=8'],
    ],
    'memory.ts': [
      [
        'reads what is behind the end',
        "literal(buffer.count - width, 'u32')",
        "literal(buffer.count, 'u32')",
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
      [
        'stores what is masked',
        '[0, 1, 2, 3].map((lane) => laneOf(values, lane));',
        '[0, 1, 2, 3].map((lane) => laneOf(values, lane));\n  mask = undefined;',
        'pointwise.ricci: arithmetic N=301',
      ],
      [
        'counts bytes as elements',
        'displacement: sum.constant * bytes',
        'displacement: sum.constant',
        'contractions.ricci: matmul M=37,K=19,N=23',
        'indexing.ricci: reversed N=9',
        'reductions.ricci: rows N=7,M=37',
      ],
      [
        'takes an unaligned vector for an aligned one',
        'divisorOf(offset, point.domain) % 4 === 0',
        'divisorOf(offset, point.domain) % 2 === 0',
        'indexing.ricci: diagonal N=8',
        'contractions.ricci: matmul M=37,K=18,N=22',
      ],
    ],
    'multiply-accumulate.ts': [
      [
        'takes the element of another step',
        'registerAt(left!, [m, k])',
        'registerAt(left!, [m, 0])',
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'narrow.ts': [
      [
        'packs halves in the other order',
        '[half(bits[0]!, bits[1]!, 0x5410), half(bits[2]!, bits[3]!, 0x5410)]',
        '[half(bits[1]!, bits[0]!, 0x5410), half(bits[2]!, bits[3]!, 0x5410)]',
        'pointwise.ricci: narrow N=300',
      ],
    ],
    'reduce-tiles.ts': [
      [
        'reads partial sums before they are there',
        'barrier(emission);\n    const bound',
        'const bound',
        'reductions.ricci: rows N=7,M=640',
      ],
      [
        'leaves one out in a tree',
        'const bound = Math.min(width, count - width);',
        'const bound = Math.min(width, count - width) - 1;',
        'reductions.ricci: rows N=7,M=40',
      ],
    ],
    'register-tiles.ts': [
      [
        'starts all blocks at the first of an axis',
        'return plus(times(index, axis.block), linearConstant(place));',
        'return linearConstant(place);',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'scalar-operations.ts': [
      [
        'swaps the branches of a choice',
        '[asBits(yes), asBits(no), condition]',
        '[asBits(no), asBits(yes), condition]',
        'pointwise.ricci: large_angles N=20',
      ],
    ],
    'shared-memory.ts': [
      [
        'reads the tile of the step before',
        '{ fixed: true, version },',
        '{},',
        'reductions.ricci: rows N=7,M=640',
      ],
    ],
    'shared-tiles.ts': [
      [
        'takes the place of one for that of four',
        'axis === last ? domain.width : 1)',
        'axis === last ? 1 : 1)',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'statements.ts': [
      [
        'stores behind the end by the first of those that have it',
        "'and', 'bool', [holder, mask]",
        "'or', 'bool', [holder, mask]",
        'reductions.ricci: rows N=7,M=640',
      ],
    ],
    'sums.ts': [
      [
        'forgets the coefficient of a sum',
        "[value, literal(coefficient, 'i32'), total]",
        "[value, literal(1, 'i32'), total]",
        'contractions.ricci: matmul M=37,K=19,N=23',
      ],
    ],
    'tile-elements.ts': [
      [
        'takes the first of four for each',
        'return point.fragment[subscript.axis]! + (isLast ? lane : 0);',
        'return point.fragment[subscript.axis]!;',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
    ],
    'values.ts': [
      [
        'takes the first of four for all',
        'return lanes[lane] ?? lanes[0];',
        'return lanes[0];',
        'pointwise.ricci: arithmetic N=300',
      ],
    ],
    'writer.ts': [
      [
        'runs loops without their last step',
        'setp.lt.s32 ${more.text}, ${counter.text}, ${to.text};',
        'setp.lt.s32 ${more.text}, ${counter.text}, ${step};',
        'reductions.ricci: rows N=7,M=40',
        'reductions.ricci: columns N=40,M=7',
        'contractions.ricci: matmul M=16,K=40,N=16',
      ],
      [
        'takes out of loops what is known in them only',
        'operands.reduce((most, { depth }) => Math.max(most, depth), 0)',
        '0',
        'reductions.ricci: rows N=7,M=40',
      ],
    ],
  },
  'ptx',
);

export const withoutPtxFaults: { readonly [file: string]: string } = {
  'kernel.ts': 'has types only',
};
