/** What a kernel consists of: its instructions by kind, as they stand in its text. */
import type { OpName } from './instructions.ts';
import type { Instruction, PtxFunction } from './ptx.ts';

/**
 * Products of matrices; loads and stores of global memory; those of shared memory, of whole matrices too;
 * copies that go on by themselves; barriers and what waits; and what a thread does by itself.
 */
export type InstructionKind = 'product' | 'global' | 'shared' | 'copy' | 'barrier' | 'other';

type InstructionCounts = { readonly [K in InstructionKind]: number };

/** By the beginning of the name, the first that fits: a `cp.async.wait_group` waits. */
const beginnings: readonly (readonly [string, InstructionKind])[] = [
  ['wgmma.mma_async', 'product'],
  ['wmma.mma', 'product'],
  ['mma', 'product'],
  ['ldmatrix', 'shared'],
  ['stmatrix', 'shared'],
  ['cp.async.bulk.commit', 'barrier'],
  ['cp.async.bulk.wait', 'barrier'],
  ['cp.async.commit', 'barrier'],
  ['cp.async.wait', 'barrier'],
  ['cp.async.mbarrier', 'barrier'],
  ['cp.', 'copy'],
  ['wgmma.', 'barrier'],
  ['mbarrier.', 'barrier'],
  ['barrier', 'barrier'],
  ['bar.', 'barrier'],
  ['fence', 'barrier'],
  ['membar', 'barrier'],
];

/** Where memory is touched, the space says it. */
const touching: ReadonlySet<OpName> = new Set<OpName>([
  'ld',
  'ldu',
  'st',
  'atom',
  'red',
  'wmma.load.a',
  'wmma.load.b',
  'wmma.load.c',
  'wmma.store.d',
]);

function kindOf({ op, modifiers }: Instruction): InstructionKind {
  if (touching.has(op)) {
    const space = modifiers.space ?? 'global';
    return space.startsWith('shared') ? 'shared' : space === 'global' ? 'global' : 'other';
  }
  return beginnings.find(([start]) => op.startsWith(start))?.[1] ?? 'other';
}

export function countInstructions({ body = [] }: PtxFunction): InstructionCounts {
  const counts = { product: 0, global: 0, shared: 0, copy: 0, barrier: 0, other: 0 };
  for (const statement of body) if (statement.kind === 'instruction') counts[kindOf(statement)]++;
  return counts;
}
