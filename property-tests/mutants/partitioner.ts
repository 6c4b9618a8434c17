// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of each stage of the partitioner. */
import { inFile, type Mutant } from './mutant.ts';

export const partitionerStages = ['place', 'localize', 'even', 'dispatch', 'ring', 'auto'] as const;
export type PartitionerStage = (typeof partitionerStages)[number];

const folder = 'compiler/partition';

export const partitionerMutants: { readonly [S in PartitionerStage]: readonly Mutant[] } = {
  place: [
    ...inFile(
      `${folder}/place.ts`,
      'partition',
      ['sorts what is cut', "whole(source.dims.slice(-1), 'sorting');", '', 'program 161'],
      ['sorts parts of sums', "onlyPending(source.pending, undefined, 'sorting');", '', 'program 30'],
      ['takes prefixes of what is cut', "whole(source.dims.slice(-1), 'a prefix');", '', 'program 8'],
      [
        'gives collected values the axes of one step',
        'dims: position < states.length ? dims : [[], ...dims]',
        'dims: position < states.length ? dims : [...dims, []]',
        'program 90',
      ],
      [
        'leaves states where they start',
        'settled = next.every(',
        'settled = true || next.every(',
        'program 5',
      ],
    ),
    ...inFile(`${folder}/place.ts`, 'without-collective', [
      'takes maxima of parts of sums',
      'onlyPending(body.pending, partial, reduce.combiner);',
      '',
      'sharded.ricci: greatest_sum T=3,D=4,tp=2',
    ]),
    ...inFile(
      `${folder}/expressions.ts`,
      'partition',
      [
        'takes all that is read for its own',
        'if (own.isOwn) return own.scalar;',
        'return own.scalar;',
        'program 3',
      ],
      [
        'does not know where its block starts',
        "simplify(apply('add', start, iterator(axis)))",
        'iterator(axis)',
        'program 82',
      ],
      [
        'looks up one more than it has',
        "apply('lt', own.scalar, integer(own.block))",
        "apply('le', own.scalar, integer(own.block))",
        'program 39',
      ],
    ),
    ...inFile(`${folder}/expressions.ts`, 'placed-programs', [
      'masks no summand that is whole',
      'for (const position of outcome.masked) masks[position]!.push(axis);',
      '',
      'sharded.ricci: with_bias T=3,D=4,tp=2',
    ]),
  ],
  localize: [
    ...inFile(
      `${folder}/localize.ts`,
      'partition',
      [
        'leaves outputs as they come',
        '...localizer.converted(tensor, placed.outputs.get(path)!),',
        '...localizer.converted(tensor, placed.placements.get(tensor)!),',
        'program 3',
      ],
      [
        'leaves states as they come out of a step',
        'converted(tensor, stateOf(position) ?? placementOf(tensor))',
        'converted(tensor, placementOf(tensor))',
        'program 19',
      ],
    ),
  ],
  even: [
    ...inFile(
      `${folder}/even/masks.ts`,
      'placed-programs',
      [
        'takes padding for zero in every reduction',
        'identityOf(combiner, scalarType(body)) ?? 0);',
        '0);',
        'placed.ricci: partial_maxima T=5,D=1,tp=2',
      ],
      [
        'thinks that all padding vanishes',
        'contains(zeros, known) &&',
        '',
        'sharded.ricci: sums_of_places T=3,D=4,dp=2',
      ],
    ),
    ...inFile(
      `${folder}/even/masks.ts`,
      'partition',
      [
        'masks none of the axes',
        'if (axes.size === 0) return body;',
        'if (axes.size >= 0) return body;',
        'program 25',
      ],
      [
        'masks one element late',
        "apply('lt', iterator(axis), integer(extents[axis]!))",
        "apply('le', iterator(axis), integer(extents[axis]!))",
        'program 88',
      ],
    ),
    ...inFile(
      `${folder}/even/even-sizes.ts`,
      'partition',
      [
        'gives outputs with their padding',
        'outputs: padded(graph.outputs',
        'outputs: padded(graph.outputs.slice(0, 0)) ?? padded(graph.outputs',
        'program 12',
      ],
      ['trims nothing before sorting', 'if (dims.length === 0) continue;', 'continue;', 'program 62'],
    ),
  ],
  dispatch: [
    ...inFile(
      `${folder}/dispatch/slots.ts`,
      'mesh-programs',
      [
        'queues the picks of other experts',
        "direction: 'descending', result: queue",
        "direction: 'ascending', result: queue",
        'dispatch.ricci: derived ep=2,dp=2,T=8,D=3,E=4,F=2',
      ],
      [
        'counts the largest pick',
        "combiner: 'sum', result: upTo",
        "combiner: 'max', result: upTo",
        'dispatch.ricci: derived ep=2,dp=2,T=8,D=3,E=4,F=2',
      ],
    ),
    ...inFile(
      `${folder}/dispatch/dispatched.ts`,
      'mesh-programs',
      [
        'takes the next slot',
        "apply('sub', load(slots.upTo, [...at, number]), integer(1))",
        "apply('sub', load(slots.upTo, [...at, number]), integer(0))",
        'dispatch.ricci: derived ep=2,dp=2,T=8,D=3,E=4,F=2',
      ],
      [
        'sends tokens of the first block',
        "apply('add', start, subscripts[tokens]!)",
        'subscripts[tokens]!',
        'dispatch.ricci: derived ep=2,dp=2,T=8,D=3,E=4,F=2',
      ],
      [
        'uses what is in empty slots',
        "apply('select', isUsed, value, constant(scalarType(value), 0))",
        "apply('select', isUsed, constant(scalarType(value), 0), value)",
        'dispatch.ricci: derived ep=2,dp=2,T=8,D=3,E=4,F=2',
      ],
    ),
  ],
  ring: [
    ...inFile(
      `${folder}/ring/ring-nodes.ts`,
      'attention-rings',
      [
        'takes keys from the other direction',
        "apply('sub', coordinate(axis, devices), steps)",
        "apply('add', coordinate(axis, devices), steps)",
      ],
      ['turns once less', '      count: devices - 1,', '      count: devices - 2,'],
    ),
    ...inFile(
      `${folder}/ring/partial-softmax.ts`,
      'attention-rings',
      [
        'forgets what came before',
        "apply('add', apply('mul', load(before, own), kept), reduced('f32'))",
        "reduced('f32')",
      ],
      [
        'does not make smaller what came before',
        "apply('mul', load(before, own), kept)",
        'load(before, own)',
      ],
      ['shows what is hidden', "apply('select', visibleHere, here, float(hidden))", 'here'],
    ),
    ...inFile(`${folder}/ring/in-blocks.ts`, 'attention-rings', [
      'masks by positions in the block',
      "apply('add', apply('mul', rank, integer(extents[own]!)), at(own))",
      'at(own)',
    ]),
  ],
  auto: [
    ...inFile(
      `${folder}/auto/insert-reshards.ts`,
      'auto',
      [
        'reads a tensor where it is',
        'const renamed =\n        node.kind',
        "const renamed = node.kind !== 'loop' ? node :\n        node.kind",
        'program 16',
      ],
      [
        'gives back states where they come',
        'nameFor(readerOf.next(node.results[position]!.id))(output.tensor)',
        'output.tensor',
        'program 16',
      ],
    ),
    ...inFile(`${folder}/auto/slice-layers.ts`, 'auto', [
      'takes any read for that of a step',
      'tensor.shape[0] !== count || !loads.every(isStep)',
      'tensor.shape[0] !== count',
      'program 20',
    ]),
    ...inFile(`${folder}/auto/slice-layers.ts`, 'mesh-programs', [
      'reads slices at the step',
      'load(slice, each.subscripts.slice(1))',
      'load(slice, each.subscripts.slice(0, -1))',
      'dispatch.ricci: derived_layers T=4,D=3,E=2,F=2,L=2,ep=2',
    ]),
  ],
};
