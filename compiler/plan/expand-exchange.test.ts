import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dtypes } from '../../dsl/types/dtype.ts';
import { exchangeVerbs } from '../graph/graph.ts';
import { chunkCount, pendingCombiners, verbFacts } from './exchange-verbs.ts';
import { uniformStride } from './expand.ts';
import {
  type CombinePart,
  type ExchangePart,
  exchangeParts,
  exchangeUniformBytes,
  scratchBytes,
  sentBytes,
  uniformOf,
} from './expand-exchange.ts';
import type { ExchangeStep } from './package.ts';
import { bufferBytes, elementBytes } from './storage-bytes.ts';

const steps: fc.Arbitrary<ExchangeStep> = fc
  .record({
    verb: fc.constantFrom(...exchangeVerbs),
    devices: fc.integer({ min: 1, max: 20 }),
    combiner: fc.constantFrom(...pendingCombiners),
    dtype: fc.constantFrom(...dtypes),
    elements: fc.integer({ min: 1, max: 40 }),
    inPlace: fc.boolean(),
  })
  .map(({ inPlace, ...step }) => ({
    ...step,
    kind: 'exchange',
    axes: ['x'],
    from: 0,
    to: inPlace && verbFacts[step.verb].inPlace ? 0 : 1,
  }));

function isCombine(part: ExchangePart): part is CombinePart {
  return part.kind === 'combine';
}

describe('an exchange', () => {
  test('takes the memory that is planned for it', () => {
    fc.assert(
      fc.property(steps, (step) => {
        const parts = exchangeParts(step);
        const uniforms = new Set(parts.flatMap((part) => uniformOf(part)?.join() ?? []));
        expect(uniforms.size * uniformStride).toBeLessThanOrEqual(exchangeUniformBytes(step));
        const usesScratch = parts.some(
          (part) => isCombine(part) && (part.continues || part.writes.length === 0),
        );
        expect(scratchBytes(step) > 0).toBe(usesScratch);
        if (usesScratch) expect(scratchBytes(step)).toBeGreaterThanOrEqual(step.elements * 4);
      }),
      { numRuns: 500 },
    );
  });

  test('stays within its buffers, and gives each device all that it gets', () => {
    fc.assert(
      fc.property(steps, (step) => {
        const { devices, dtype, elements } = step;
        const facts = verbFacts[step.verb];
        const [source, result] = [facts.source, facts.result].map((chunks) => {
          const shape = [chunkCount(chunks, devices), elements];
          return { held: bufferBytes({ dtype, shape }), bytes: shape[0]! * elements * elementBytes(dtype) };
        });
        const written = Array.from({ length: devices }, () => 0);
        for (const part of exchangeParts(step)) {
          if (isCombine(part)) {
            expect((part.first + part.elements) * elementBytes(dtype)).toBeLessThanOrEqual(source!.held);
            for (const rank of part.writes) written[rank]! += part.elements * elementBytes(dtype);
            continue;
          }
          expect(part.from.byte + part.bytes).toBeLessThanOrEqual(source!.held);
          expect(part.to.byte + part.bytes).toBeLessThanOrEqual(result!.held);
          written[part.to.rank]! += part.bytes;
        }
        const isRoot = (rank: number) => step.verb === 'broadcast' && step.from === step.to && rank === 0;
        for (const [rank, bytes] of written.entries())
          if (!isRoot(rank)) expect(bytes).toBeGreaterThanOrEqual(result!.bytes);
      }),
      { numRuns: 500 },
    );
  });

  test('combines in order of rank, each rank once, with at most eight buffers to a kernel', () => {
    fc.assert(
      fc.property(steps, (step) => {
        const parts = exchangeParts(step).filter(isCombine);
        /** The ranks that are in the scratch memory's total. */
        let total: readonly number[] = [];
        for (const part of parts) {
          const buffers = part.reads.length + (part.inPlace ? 0 : part.writes.length);
          const scratch = part.continues || part.writes.length === 0 ? 1 : 0;
          expect(buffers + scratch).toBeLessThanOrEqual(8);
          total = [...(part.continues ? total : []), ...part.reads];
          if (part.writes.length > 0)
            expect(total).toEqual(Array.from({ length: step.devices }, (_, at) => at));
        }
      }),
      { numRuns: 500 },
    );
  });

  test('sends what goes from one device to another, and no more than the best algorithm', () => {
    fc.assert(
      fc.property(steps, (step) => {
        const ranks = Array.from({ length: step.devices }, (_, rank) => rank);
        const sent = ranks.map((rank) => sentBytes(step, rank));
        const sum = sent.reduce((left, right) => left + right);
        const chunk = step.elements * elementBytes(step.dtype);
        if (verbFacts[step.verb].combines) {
          const passes = step.verb === 'all_reduce' ? 2 : step.devices;
          expect(sum).toBe(passes * (step.devices - 1) * chunk);
          return;
        }
        const crossing = exchangeParts(step).filter(
          (part) => !isCombine(part) && part.from.rank !== part.to.rank,
        );
        expect(sum).toBe(crossing.length * chunk);
      }),
      { numRuns: 500 },
    );
  });
});
