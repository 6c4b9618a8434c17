import { expect, test } from 'vitest';
import type { ExchangeNode, Tensor } from '../graph/graph.ts';
import type { ScheduledStep } from '../tiles/scheduled.ts';
import type { Kernel } from './kernel.ts';
import { overlapped } from './overlap.ts';

const tensor = (id: number): Tensor => ({ id, name: `t${id}`, dtype: 'f32', shape: [2] });

/** `k a,b>c` is a kernel that reads a and b and writes c, `x a>b` an exchange. */
function stepsOf(lines: readonly string[]) {
  const kernels = new Map<string, Kernel>();
  const steps = lines.map((line): ScheduledStep => {
    const [kind, what = ''] = line.split(' ');
    const [reads = '', writes = ''] = what.split('>');
    const sources = reads === '' ? [] : reads.split(',').map(Number);
    if (kind === 'x') {
      const group = { axes: ['x'], devices: 2, combiner: 'sum' } as const;
      const node: ExchangeNode = {
        kind: 'exchange',
        verb: 'all_reduce',
        ...group,
        source: sources[0]!,
        result: tensor(Number(writes)),
      };
      return { kind: 'exchange', node };
    }
    const bindings: Kernel['bindings'] = [
      ...sources.map((each) => ({ tensor: each, access: 'read' as const })),
      { tensor: Number(writes), access: 'write' },
    ];
    kernels.set(line, {
      name: line,
      code: '',
      workgroupSize: [1, 1, 1],
      grid: [1, 1, 1],
      bindings,
      counters: [],
    });
    return { kind: 'kernel', program: { name: line } as never };
  });
  return { steps, kernels };
}

function order(lines: readonly string[]): readonly string[] {
  const { steps, kernels } = stepsOf(lines);
  return overlapped(steps, kernels).map((step) => lines[steps.indexOf(step)]!);
}

test('what does not need an exchange comes between its start and what does', () => {
  expect(order(['k 0>1', 'x 1>2', 'k 2>3', 'k 0>4', 'k 3,4>5'])).toEqual([
    'k 0>1', 'x 1>2', 'k 0>4', 'k 2>3', 'k 3,4>5',
  ]); // biome-ignore format: one line
});

test('what an exchange needs comes before what nothing waits for', () => {
  expect(order(['k 0>1', 'k 0>2', 'x 2>3', 'k 1,3>4'])).toEqual(['k 0>2', 'x 2>3', 'k 0>1', 'k 1,3>4']);
});

test('exchanges start one after another', () => {
  expect(order(['x 0>1', 'k 1>2', 'x 3>4', 'k 4>5'])).toEqual(['x 0>1', 'x 3>4', 'k 1>2', 'k 4>5']);
});

test('what is written stays after what reads what was there', () => {
  const lines = ['k 0>1', 'k 1>2', 'k 0>1', 'x 1>3', 'k 2,3>4'];
  const { steps, kernels } = stepsOf(lines);
  expect(overlapped(steps, kernels)).toEqual(steps);
});

test('without exchanges nothing moves', () => {
  const { steps, kernels } = stepsOf(['k 0>1', 'k 0>2', 'k 1>3']);
  expect(overlapped(steps, kernels)).toEqual(steps);
});
