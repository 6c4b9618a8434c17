// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of each pass of the optimizer. */
import type { PassName } from '../../compiler/optimize/passes.ts';
import { inFile, type Mutant } from './mutant.ts';

/** A pass that runs the same as another one has the mutants of that. */
export const optimizerMutants: { readonly [P in PassName]: readonly Mutant[] | PassName } = {
  'single-device': inFile('compiler/optimize/collectives.ts', 'optimizer', [
    'takes what comes last for what was moved',
    'stands.set(result.id, stands.get(source) ?? source)',
    'stands.set(result.id, collectives[0]!.source)',
    'program 97',
  ]),
  simplify: [
    ...inFile(
      'compiler/optimize/reductions.ts',
      'optimizer',
      ['takes a product of nothing for zero', 'prod: () => 1', 'prod: () => 0', 'program 121'],
      [
        'takes a maximum of nothing for the greatest',
        'valuesOf(type).low',
        'valuesOf(type).high',
        'program 66',
      ],
      [
        'counts a repeated term once',
        "new Set(['max', 'min', 'any', 'all'])",
        "new Set(['sum', 'max', 'any', 'all'])",
        'program 11',
      ],
      [
        'forgets the finish of a reduction over one',
        'const body = finish === undefined ? reduced :',
        'const body = finish !== undefined ? reduced :',
        'program 10',
      ],
      [
        'keeps the wrong axis',
        'const position = kept.indexOf(axis - rank);',
        'const position = kept.length - 1 - kept.indexOf(axis - rank);',
        'program 15',
      ],
      [
        'drops any rounding before storing',
        'scalar.dtype === stored;',
        'scalar.dtype !== stored;',
        'program 89',
      ],
    ),
    ...inFile('compiler/optimize/reductions.ts', 'bounded', [
      'takes equal numbers for one where there may be none',
      ' && !mayBeEmpty(extent)',
      '',
      'property-tests/programs/reductions.ricci: greatest_of_equal M<=20 at 7,0 N=3',
    ]),
    ...inFile('compiler/optimize/expressions/ranges.ts', 'optimizer', [
      'thinks that iterators end one earlier',
      '(bounds.extents[scalar.axis] ?? representable.i32.high) - 1) };',
      '(bounds.extents[scalar.axis] ?? representable.i32.high) - 2) };',
      'program 4',
    ]),
  ],
  'inline-views': inFile(
    'compiler/optimize/inline.ts',
    'optimizer',
    ['does not round what was stored', 'return round(tensor.dtype, value);', 'return value;', 'program 12'],
    [
      'reads at the axes in reverse',
      '(axis) => load.subscripts[axis]!',
      '(axis) => load.subscripts.at(-1 - axis)!',
      'program 18',
    ],
  ),
  'simplify-views': 'simplify',
  'common-subexpressions': inFile(
    'compiler/optimize/cse.ts',
    'optimizer',
    [
      'merges sorts of both directions',
      '`order ${node.source} ${node.direction} ${node.result.shape}`',
      '`order ${node.source} ${node.result.shape}`',
      'program 48',
    ],
    [
      'merges prefixes of all combiners',
      '`prefix ${node.source} ${node.combiner} ${node.result.dtype}`',
      '`prefix ${node.source} ${node.result.dtype}`',
      'program 24',
    ],
    [
      'merges reductions of all combiners',
      "reduce?.combiner ?? 'map',",
      "reduce === undefined ? 'map' : 'reduce',",
      'program 14',
    ],
    [
      'merges what is stored in different types',
      '    result.dtype,\n    order.map',
      '    order.map',
      'program 27',
    ],
    [
      'forgets that axes are in another order',
      'load.subscripts[axes.indexOf(axis)]!',
      'load.subscripts[axis]!',
      'program 27',
    ],
    [
      'merges positions found in another order',
      "const isOrdered = reduce?.combiner === 'argmax' || reduce?.combiner === 'argmin';",
      'const isOrdered = false;',
      'program 209',
    ],
    ['forgets the finish', "reduce?.finish ? scalarKey(renumber(reduce.finish)) : '',", "'',", 'program 9'],
    [
      'turns what is read as a whole',
      'repeats.some((tensor) => whole.has(tensor.id))',
      'repeats.every((tensor) => !whole.has(tensor.id))',
      'program 11',
    ],
  ),
  'dead-code': [
    ...inFile('compiler/optimize/dead-code.ts', 'small-programs', [
      'drops states that only the next step reads',
      'if (more.length > 0) {',
      'if (more.length < 0) {',
      'loops.ricci: total_of_states N=3',
    ]),
    ...inFile('compiler/optimize/dead-code.ts', 'optimizer', [
      'drops what only loops read',
      'for (const tensor of readsOf(smaller))',
      "for (const tensor of node.kind === 'loop' ? node.initial : readsOf(smaller))",
      'program 47',
    ]),
  ],
  'fuse-epilogues': [
    ...inFile(
      'compiler/optimize/epilogue.ts',
      'optimizer',
      [
        'does not turn the axes',
        'axis < before ? axes[axis] : axis - before + rank',
        'axis < before ? axis : axis - before + rank',
        'program 11',
      ],
      [
        'forgets the finish that there was',
        'finish === undefined ? reduced(type) : permuted(finish)',
        'reduced(type)',
        'program 143',
      ],
      [
        'takes over what others read',
        'readers.get(fused.result.id)?.length === 1',
        'readers.get(fused.result.id)?.length !== 0',
        'program 12',
      ],
      [
        'looks at one load only',
        'if (first === undefined || !rest.every((axes) => axes.every((axis, position) => axis === first[position])))',
        'if (first === undefined)',
        'program 122',
      ],
    ),
    ...inFile('compiler/optimize/epilogue.ts', 'small-programs', [
      'has a reduction go as far as its reader',
      'map.result.shape[axis]! > result.shape[at]!',
      'map.result.shape[axis]! < 0',
      'contractions.ricci: product_and_rows',
    ]),
  ],
  'recover-attention': [
    ...inFile(
      'compiler/optimize/recover-attention.ts',
      'small-programs',
      [
        'takes any top for that of the logits',
        'return isTop && isTotal ?',
        'return isTotal ?',
        'adversarial.ricci: other_top S=5,A=7,U=3,B=11',
      ],
      [
        'takes any total for that of the weights',
        'return isTop && isTotal ?',
        'return isTop ?',
        'adversarial.ricci: other_total S=5,A=7,U=3,B=11',
      ],
      [
        'forgets what is visible',
        'visible: softmax.visible,',
        'visible: undefined,',
        'softmax.ricci: windowed S=5,H=7,A=3',
      ],
      [
        'forgets the finish of the score',
        "finish === undefined ? reduced('f32') : moved(finish)",
        "reduced('f32')",
        'adversarial.ricci: scores_with_an_end S=5,A=7,U=3,B=11',
      ],
    ),
    ...inFile('compiler/optimize/recover-attention.ts', 'mesh-programs', [
      'forgets what came before',
      "const finish = node.reduce?.finish ?? reduced('f32');",
      "const finish = reduced('f32');",
      'sequence.ricci: around sp=2,gpu=2,S=8,G=2,R=2,A=2',
    ]),
  ],
  'recover-partial-attention': inFile(
    'compiler/optimize/recover-partial-attention.ts',
    'mesh-programs',
    [
      'does not make weights relative to the new top',
      'kept(load(parts.top, own), whole),',
      'kept(load(parts.top, own), load(parts.top, own)),',
      'sequence.ricci: around sp=2,gpu=2,S=8,G=2,R=2,A=2',
    ],
    [
      'keeps the total of the block as it is',
      "apply('mul', blockOf(parts.total), kept(blockOf(parts.top), wholeBelow))",
      'blockOf(parts.total)',
      'sequence.ricci: around sp=2,gpu=2,S=8,G=2,R=2,A=2',
    ],
    [
      'confuses heads',
      "apply('mod', whole, integer(extents[axis]!))",
      'whole',
      'sequence.ricci: around sp=2,gpu=2,S=8,G=2,R=2,A=2',
    ],
  ),
  'recover-log-sums': [
    ...inFile(
      'compiler/optimize/recover-log-sums.ts',
      'small-programs',
      [
        'looks the logit of another target up',
        'iterator(axes.indexOf(axis))',
        'iterator(0 * axes.indexOf(axis))',
        'softmax.ricci: vocabulary B=2,T=3,D=4,V=1100',
      ],
      [
        'takes any top for that of the logits',
        '!isOfSame || simplify(unfolded(top.body, around)) !== x',
        '!isOfSame',
        'adversarial.ricci: other_largest T=4,D=4,V=1100',
      ],
      [
        'has a logit where there is none',
        "apply('select', isNone, float(Number.NEGATIVE_INFINITY), load(parts.top, own))",
        'load(parts.top, own)',
        'softmax.ricci: no_logits T=4,D=4,V=1100',
      ],
    ),
    ...inFile(
      'compiler/optimize/recover-log-sums.ts',
      'mesh-programs',
      [
        'leaves each device its own top',
        "apply('sub', load(parts.top, own), load(whole, own))",
        "apply('sub', load(parts.top, own), load(whole.id < 0 ? whole : parts.top, own))",
        'sharded.ricci: cross_entropy tp=2,T=4,D=4,V=2200',
      ],
      [
        'looks up what is on another device',
        "return apply('max', apply('min', place, integer(shape[dim]! - 1)), integer(0));",
        'return shape[dim] === undefined ? integer(0) : place;',
        'sharded.ricci: cross_entropy tp=2,T=4,D=4,V=2200',
      ],
    ),
  ],
  'join-softmax': inFile(
    'compiler/optimize/join-softmax.ts',
    'small-programs',
    [
      'divides nothing by nothing',
      'float(0), quotient)',
      'quotient, quotient)',
      'softmax.ricci: with_total S=1024,U=1024,H=2,A=2',
    ],
    [
      'leaves sums as they are',
      "apply('div', sums, ofRow)",
      "apply('mul', sums, float(1))",
      'softmax.ricci: with_total S=1024,U=1024,H=2,A=2',
    ],
    [
      'takes the total of other logits for its own',
      'isSame(seen.logit, logit)',
      'seen.logit !== undefined',
      'adversarial.ricci: total_of_others S=2048,U=1024,A=2,B=2',
    ],
  ),
  'recover-experts': [
    ...inFile(
      'compiler/optimize/recover-experts.ts',
      'kernels',
      [
        'groups by the wrong tensor',
        'return { ...node, body, grouped: { pick, order: order.id, offsets: offsets.id, experts, axes } };',
        'return { ...node, body, grouped: { pick, order: offsets.id, offsets: order.id, experts, axes } };',
        'experts.ricci: one_matrix_each T=20,E=3,D=16,F=20',
      ],
      [
        'groups rows each of which is several',
        'const rowsAreThose = others.length === 0 && ',
        'const rowsAreThose = ',
        'experts.ricci: one_matrix_a_text B=8,S=3,D=16,E=3,F=16',
      ],
    ),
    ...inFile('compiler/optimize/contraction.ts', 'wasm', [
      'has rows in the order of the result',
      'return [...lookup.filter((axis) => rows.includes(axis)), ',
      'if (lookup.length > 0) return rows; return [...lookup.filter((axis) => rows.includes(axis)), ',
      'experts.ricci: one_matrix_a_word B=3,S=20,D=16,E=4,F=32',
    ]),
  ],
  fuse: inFile('compiler/optimize/inline.ts', 'optimizer', [
    'fuses reductions as if they were maps',
    "if (fused.kind === 'compute' && fused.reduce === undefined && choices.isChosen(fused))",
    "if (fused.kind === 'compute' && choices.isChosen(fused))",
    'program 12',
  ]),
  'dead-code-recovered': 'dead-code',
  'dead-code-fused': 'dead-code',
  'fuse-more-epilogues': 'fuse-epilogues',
  'simplify-fused': 'simplify',
  'common-subexpressions-again': 'common-subexpressions',
  'dead-code-again': 'dead-code',
};
