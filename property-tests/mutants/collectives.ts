// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of the compiler
/** Faults of each pass over collectives. */
import type { CollectivePassName } from '../../compiler/partition/collectives/passes.ts';
import { inFile, type Mutant } from './mutant.ts';

const folder = 'compiler/partition/collectives';

export const collectiveMutants: { readonly [P in CollectivePassName]: readonly Mutant[] } = {
  'hoist-invariant': inFile(
    `${folder}/hoist.ts`,
    'collectives',
    [
      'takes out what depends on states',
      '[...readsOf(node)].some((tensor) => varying.has(tensor)) ||',
      '',
      'program 61',
    ],
    [
      'leaves behind what it needs',
      'for (const tensor of readsOf(each)) needed.add(tensor);',
      '',
      'program 2',
    ],
  ),
  'narrow-first': [
    ...inFile(`${folder}/narrow.ts`, 'collectives', [
      'rounds parts of sums',
      'placements.get(tensor)!.pending.size === 0',
      'placements.get(tensor)!.pending.size >= 0',
      'program 33',
    ]),
    ...inFile(
      `${folder}/narrow.ts`,
      'placed-programs',
      [
        'rounds what is read wide as well',
        'found.size === 1 && isNarrower',
        'isNarrower',
        'sharded.ricci: rounded_for_one T=4,D=3,tp=2',
      ],
      [
        'takes a wider type',
        'dtypeFacts[only].bits < dtypeFacts[wide.dtype].bits',
        'dtypeFacts[only].bits !== dtypeFacts[wide.dtype].bits',
        'sharded.ricci: widened T=4,D=3,tp=2',
      ],
    ),
  ],
  reroute: inFile(
    `${folder}/reroute.ts`,
    'collectives',
    [
      'ends where another reader wants it',
      'ends.set(placementKey(to), current);',
      'ends.set(placementKey(to), draft.tensors.get(root)!);',
      'program 8',
    ],
    [
      'gives what sends more',
      'if (route === undefined || !isLess(route.sent, best?.sent ?? written)) continue;',
      'if (route === undefined) continue;',
      'program 14',
    ],
  ),
  'add-first': inFile(
    `${folder}/linear.ts`,
    'collectives',
    [
      'adds what is a maximum',
      "pending.every((combiner) => combiner === 'sum')",
      'pending.every((combiner) => combiner.length > 0)',
      'program 17',
    ],
    [
      'adds what others read too',
      'read.get(node.result.id) !== 1',
      'read.get(node.result.id) === 0',
      'program 99',
    ],
  ),
  'ring-products': inFile(
    `${folder}/rings.ts`,
    'rings',
    [
      'takes the block of another turn',
      "apply('sub', ahead, steps)",
      "apply('add', ahead, steps)",
      'program 6',
    ],
    [
      'leaves out the last block',
      "map(result, apply('select', isLast, load(last, at), inLoop))",
      'map(result, inLoop)',
      'program 5',
    ],
    [
      'forgets what was summed so far',
      "apply('add', load(before, iterators(before.shape.length)), reduced(type))",
      'reduced(type)',
      'program 8',
    ],
    [
      'reads the whole from the start of the block',
      "own === axis ? apply('add', start, iterator(axis)) : iterator(own)",
      'iterator(own)',
      'program 8',
    ],
    [
      'starts with the chunk of the device itself',
      'chunk(rankBefore(integer(1), exchange, site), first)',
      'chunk(rankBefore(integer(0), exchange, site), first)',
      'program 4',
    ],
    [
      'goes around once more',
      'count: devices - 1,\n      initial: [source.id],',
      'count: devices,\n      initial: [source.id],',
      'program 12',
    ],
  ),
  'merge-small': [
    ...inFile(`${folder}/merge.ts`, 'placed-programs', [
      'merges sums and maxima',
      "axes.join(' '), combiner, tensors",
      "axes.join(' '), tensors",
      'sharded.ricci: total_and_greatest T=4,D=6,tp=2',
    ]),
    ...inFile(
      `${folder}/merge.ts`,
      'collectives',
      [
        'merges other verbs',
        "const key = [before, verb, axes.join(' '), combiner,",
        "const key = [before, axes.join(' '), combiner,",
        'program 105',
      ],
      [
        'merges over other axes',
        "const key = [before, verb, axes.join(' '), combiner,",
        'const key = [before, verb, axes.length, combiner,',
        'program 126',
      ],
      ['gives back the first part to all', "apply('add', integer(start), flat)", 'flat', 'program 5'],
    ),
  ],
};
