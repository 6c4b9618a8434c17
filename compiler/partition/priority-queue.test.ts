import fc from 'fast-check';
import { expect, test } from 'vitest';
import { priorityQueue } from './priority-queue.ts';

test('items come in order, equal ones as they were added', () => {
  const operations = fc.array(fc.option(fc.nat(5), { freq: 3 }));
  fc.assert(
    fc.property(operations, (wanted) => {
      const queue = priorityQueue<readonly [key: number, order: number]>(([left], [right]) => left - right);
      let expected: (readonly [number, number])[] = [];
      for (const [order, key] of wanted.entries()) {
        if (key === null) {
          // The sort of arrays is stable.
          expected = expected.toSorted(([left], [right]) => left - right);
          expect(queue.takeLeast()).toEqual(expected.shift());
        } else {
          queue.add([key, order]);
          expected.push([key, order]);
        }
      }
    }),
  );
});
