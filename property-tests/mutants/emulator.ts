/** Faults of the emulator of PTX, which its results and what it finds in kernels give away. */
import { type ByFile, faultsOf } from './kernels.ts';

export const emulatorMutants: ByFile = faultsOf(
  'backends/cuda-ptx/emulator',
  {
    'lane-memory.ts': [
      [
        'takes lanes that follow each other for written',
        'const state = isWrite ? shadow.allocated : shadow.written;',
        'const state = shadow.allocated;',
        'what nobody wrote',
      ],
      [
        'looks at the first lane only',
        "run('i32x4.all_true', run('v128.and', run('i32x4.eq', linear, places), mayBe));",
        "run('v128.any_true', run('v128.and', run('i32x4.eq', linear, places), mayBe));",
        'product',
      ],
    ],
    'global-races.ts': [
      [
        'takes all blocks to be one',
        'if (block !== ownBlock) return synchronised(block) && synchronised(ownBlock);',
        'if (block !== ownBlock) return true;',
        'blocks that write a word',
      ],
    ],
    'global-race-code.ts': [
      [
        'keeps other records for each warp',
        "const records = load('i32.load', warp, header.globalRecords);",
        "const records = run('i32.add', load('i32.load', warp, header.globalRecords), run('i32.shl', own, i32(8)));",
        'blocks that write a word',
      ],
      [
        'takes bytes that two use for others',
        "allOf(isOther, run('i32.ne', shared, i32(0)));",
        "allOf(isOther, run('i32.eq', shared, i32(0)));",
        'blocks that write a byte',
      ],
    ],
    'calls.ts': [
      [
        'gives the caller its registers as the function left them',
        'machine.memory.words[wordOf(warp, slot, lane)] = saved[at]!;',
        'machine.memory.words[wordOf(warp, slot, lane)]! |= saved[at]! & 0;',
        'a function that calls itself',
      ],
    ],
    'print-format.ts': [
      [
        'writes one digit too many',
        'value.toFixed(count)',
        'value.toFixed(count + 1)',
        'what a kernel prints',
      ],
    ],
    'cross-lane.ts': [
      [
        'takes the tiles of a warp for one',
        'if (own === named) same |= 1 << lane;',
        'if (own !== 0) same |= 1 << lane;',
        'tiles of a warp',
      ],
    ],
    'barriers.ts': [
      [
        'takes any for all',
        "operation === 'or' ? barrier.agreed > 0",
        "operation === 'or' ? barrier.agreed === barrier.votes",
        'counts of a block',
      ],
    ],
    'lane-integers.ts': [
      [
        'carries where something is borrowed',
        "writer.setWord(flag, name === 'add' ? carried : run('v128.not', carried));",
        'writer.setWord(flag, carried);',
        'a quotient of 128 bits',
      ],
    ],
    'lane-convert.ts': [
      [
        'takes NaN for zero',
        'choose(isNumber(half), result, longs(highest))',
        'result',
        'doubles to integers',
      ],
    ],
    'matrices.ts': [
      [
        'puts bytes of a register in one place',
        'word |= own << (bits * part);',
        'word |= own << part;',
        'a product of bytes',
      ],
    ],
    'race-code.ts': [
      [
        'knows nothing of reads of other warps',
        'isBad, () => {\n    for (let word = 0; word < 4; word++)',
        'isBad, () => {\n    for (let word = 0; word < 0; word++)',
        'a product without its second barrier',
      ],
    ],
    'piece-code.ts': [
      ['makes nothing visible by a fence', "run('i32.and', state, i32(~mark))", 'state', 'a ring of stages'],
      [
        'does not see that a piece was written',
        "run('i32x4.add', run('i32x4.mul', write, words(64)), writer)",
        "run('i32x4.add', run('i32x4.mul', write, words(0)), words(0))",
        'a stage given back early',
      ],
    ],
    'matrix-code.ts': [
      ['confuses even and odd columns', '[4, 6],\n  [1, 3],', '[1, 3],\n  [4, 6],', 'a ring of stages'],
    ],
    'bulk-copies.ts': [
      [
        'takes the edge of a tensor to be a piece further',
        'begin + pieceBytes <= edge',
        'begin <= edge',
        'a ring of stages',
      ],
    ],
    'device.ts': [
      [
        'takes what is left of a run before for written',
        '(shadow.written | shadow.left)) === shadow.written',
        'shadow.written) === shadow.written',
        'what a run does not write',
      ],
      [
        'lets everybody read what is left of a run before',
        ': shadow.allocated);\n  }\n\n  /** Of each',
        ': shadow.written);\n  }\n\n  /** Of each',
        'what a run does not write',
      ],
    ],
    'heap.ts': [
      [
        'gives the same place again',
        'if (start < range.start || start >= range.end) return [range];',
        'if (start < range.end) return [range];',
        'one element too few',
        'product',
      ],
    ],
  },
  'emulator',
);
