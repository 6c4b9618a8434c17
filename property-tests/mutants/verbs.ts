/** Faults of each verb that moves data between devices, wherever it is carried out. */
import type { ExchangeVerb } from '../../compiler/graph/graph.ts';
import { inFile, type Mutant } from './mutant.ts';

/** The reference, devices in one memory, and ranks of one process. */
export const exchangeWays = ['evaluator', 'one memory', 'ranks'] as const;
export type ExchangeWay = (typeof exchangeWays)[number];

const evaluator = (fault: string, from: string, to: string): readonly Mutant[] =>
  inFile('compiler/partition/evaluate-mesh.ts', 'exchanges', [fault, from, to, 'evaluator']);
const oneMemory = (fault: string, from: string, to: string): readonly Mutant[] =>
  inFile('compiler/plan/expand-exchange.ts', 'exchanges', [fault, from, to, 'one memory']);
const ranks = (fault: string, from: string, to: string): readonly Mutant[] =>
  inFile('runtime/mesh/in-process.ts', 'exchanges', [fault, from, to, 'ranks']);

export const verbMutants: {
  readonly [V in ExchangeVerb]: { readonly [W in ExchangeWay]: readonly Mutant[] };
} = {
  all_gather: {
    evaluator: evaluator(
      'gathers all to one place',
      'copy(source, 0, result, rank * elementCount(source), elementCount(source));',
      'copy(source, 0, result, 0, elementCount(source));',
    ),
    'one memory': oneMemory(
      'gathers in reverse',
      '{ rank: from, chunk: 0 }, { rank: to, chunk: from }',
      '{ rank: from, chunk: 0 }, { rank: to, chunk: step.devices - 1 - from }',
    ),
    ranks: ranks(
      'gathers in reverse',
      'block(result, rank, send.length).set(shard)',
      'block(result, send.length - 1 - rank, send.length).set(shard)',
    ),
  },
  all_reduce: {
    evaluator: evaluator(
      'combines all but the first',
      'for (const { result } of group) combineChunk(group, 0, result, combine);',
      'for (const { result } of group) combineChunk(group.slice(1), 0, result, combine);',
    ),
    'one memory': oneMemory(
      'combines all but the first',
      'all_reduce: (step) => combine(step, 0, ranks(step))',
      'all_reduce: (step) => combine(step, 0, ranks(step).slice(1))',
    ),
    ranks: ranks(
      'combines all but the first',
      'reduceShards(dtype, combiner, send, first);',
      'reduceShards(dtype, combiner, send.slice(1), first);',
    ),
  },
  reduce_scatter: {
    evaluator: evaluator(
      'gives all the first chunk',
      'combineChunk(group, rank * elementCount(result), result, combine);',
      'combineChunk(group, 0 * rank, result, combine);',
    ),
    'one memory': oneMemory(
      'gives all the first chunk',
      'combine(step, rank * step.elements, [rank])',
      'combine(step, 0, [rank])',
    ),
    ranks: ranks(
      'gives all the first chunk',
      'send.map((shard) => block(shard, rank, send.length))',
      'send.map((shard) => block(shard, 0 * rank, send.length))',
    ),
  },
  all_to_all: {
    evaluator: evaluator(
      'keeps what it has',
      'copy(source, receiver * chunk, result, sender * chunk, chunk);',
      'copy(source, sender * chunk, result, sender * chunk, chunk);',
    ),
    'one memory': oneMemory(
      'puts what came where it was for',
      '{ rank: from, chunk: to }, { rank: to, chunk: from }',
      '{ rank: from, chunk: to }, { rank: to, chunk: to }',
    ),
    ranks: ranks('sends its own chunk', 'block(blocks, to, send.length)', 'block(blocks, from, send.length)'),
  },
  shift: {
    evaluator: evaluator('shifts the other way', 'group.at(rank - 1)!', 'group[(rank + 1) % group.length]!'),
    'one memory': oneMemory(
      'shifts the other way',
      'wholeCopy(step, from, (from + 1) % step.devices)',
      'wholeCopy(step, (from + 1) % step.devices, from)',
    ),
    ranks: ranks(
      'shifts not at all',
      'send[shiftSource(rank, by, send.length)]!',
      'send[shiftSource(rank, 0 * by, send.length)]!',
    ),
  },
  broadcast: {
    evaluator: evaluator(
      'has the last one send',
      'copy(group[0]!.source, 0, result',
      'copy(group.at(-1)!.source, 0, result',
    ),
    'one memory': oneMemory(
      'has the last one send',
      'wholeCopy(step, 0, to)',
      'wholeCopy(step, step.devices - 1, to)',
    ),
    ranks: ranks('has the last one send', 'result.set(send[root]!)', 'result.set(send.at(root - 1)!)'),
  },
};

/** Of what the verbs have in common: how elements are combined, and from where to where they go. */
export const combineMutants: { readonly [W in ExchangeWay | 'processor']: readonly Mutant[] } = {
  evaluator: inFile(
    'compiler/partition/evaluate-mesh.ts',
    'exchanges',
    ['takes a maximum for a minimum', "min: 'min' } as const", "min: 'max' } as const", 'evaluator'],
    [
      'rounds each part of a sum',
      'take: (left, right) => combine(left as V, right as V)',
      'take: (left, right) => algebra.round(dtype, combine(left as V, right as V))',
      'evaluator',
    ],
  ),
  'one memory': inFile(
    'runtime/mesh/combine-kernel.ts',
    'exchanges',
    [
      'takes a maximum for a minimum of floats',
      "min: helper('nan_min')",
      "min: helper('nan_max')",
      'one memory',
    ],
    ['takes a maximum for a minimum of integers', "min: builtin('min')", "min: builtin('max')", 'one memory'],
  ),
  ranks: inFile('runtime/mesh/reduce.ts', 'exchanges', [
    'takes a maximum for a minimum',
    'Math.min(totals[index]!, shard[index]!)',
    'Math.max(totals[index]!, shard[index]!)',
    'ranks',
  ]),
  processor: [
    ...inFile('runtime/mesh/run-launch-mesh.ts', 'exchanges', [
      'has the first device send for all',
      'devices[device]!.sent(from, sends)',
      'devices[0]!.sent(from, sends + 0 * device)',
      'processor',
    ]),
    ...inFile('runtime/mesh/run-launch-rank.ts', 'exchanges', [
      'receives where it sends from',
      'device.arriving(to, packedBytes(resultOf(step)))',
      'device.arriving(to - to, packedBytes(resultOf(step)))',
      'ranks',
    ]),
    ...inFile('runtime/mesh/exchange-buffers.ts', 'exchanges', [
      'takes all to receive one chunk',
      'chunkCount(verbFacts[verb].result, devices)',
      'chunkCount(verbFacts[verb].source, devices)',
      'processor',
    ]),
  ],
};
