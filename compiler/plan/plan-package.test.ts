import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DeviceProfile, leastDevice } from '../tiles/device-profile.ts';
import { expandSteps } from './expand.ts';
import type { Kernel } from './kernel.ts';
import type { ExchangeStep, LaunchStep, Manifest } from './package.ts';
import { parseManifest } from './parse-manifest.ts';
import { planPackage } from './plan-package.ts';
import { bytesText } from './storage-bytes.ts';
import {
  applySymbolic,
  exchangedSymbol,
  randomSchedule,
  type Symbolic,
  symbolicOutputs,
  testMesh,
} from './testing.ts';

const device: DeviceProfile = { ...leastDevice, name: 'test device', software: true };

/** Runs a manifest on symbols: what is in a buffer is what was last written there. */
function execute(manifest: Manifest): Symbolic[] {
  const { commands, uniforms, finalBuffer } = expandSteps(manifest);
  const kernels = new Map(manifest.kernels.map((kernel) => [kernel.name, kernel]));
  const contents = new Map<number, Symbolic>();
  for (const [index, input] of manifest.inputs.entries()) contents.set(input.slot, `input${index}`);
  const slice = (to: number, at: number, value: Symbolic) => {
    const known = contents.get(to);
    const list = at === 0 || !Array.isArray(known) ? [] : [...known];
    list[at] = value;
    contents.set(to, list);
  };
  const slices = sliceCopies(manifest.steps);
  for (const command of commands) {
    if (command.kind === 'dispatch') {
      const { bindings, counters } = kernels.get(command.kernel)!;
      const reads = command.buffers.filter((_, index) => bindings[index] === 'read');
      const writes = command.buffers.filter((_, index) => bindings[index] !== 'read');
      for (const written of writes) expect(reads).not.toContain(written);
      const steps = command.uniform === undefined ? [] : uniforms[command.uniform]!.words.slice(0, counters);
      const value = applySymbolic(
        command.kernel,
        reads.map((buffer) => contents.get(buffer)),
        steps,
      );
      for (const written of writes) contents.set(written, value);
      continue;
    }
    if (command.kind === 'exchange') {
      contents.set(command.to, exchangedSymbol(command.step.verb, contents.get(command.from)));
      continue;
    }
    const [toByte, bytes] =
      command.kind === 'copy' ? [command.toByte, command.bytes] : uniforms[command.uniform]!.words;
    const isSlice = slices.shift();
    const value = contents.get(command.from)!;
    if (isSlice) slice(command.to, toByte! / bytes!, value);
    else contents.set(command.to, value);
  }
  return manifest.outputs.map((output) => contents.get(finalBuffer[output.slot]!) ?? []);
}

/** For each copy in the order in which they run: whether it is to a slice. */
function sliceCopies(steps: readonly LaunchStep[]): boolean[] {
  return steps.flatMap((step) => {
    if (step.kind === 'copy') return [step.sliceOf !== undefined];
    if (step.kind !== 'loop') return [];
    return Array.from({ length: step.count }, () => sliceCopies(step.steps)).flat();
  });
}

function withoutSwaps(steps: readonly LaunchStep[]): LaunchStep[] {
  return steps.map((step) =>
    step.kind === 'loop' ? { ...step, swaps: [], steps: withoutSwaps(step.steps) } : step,
  );
}

function exchangesOf(steps: readonly LaunchStep[]): readonly ExchangeStep[] {
  return steps.flatMap((step) => {
    if (step.kind === 'loop') return exchangesOf(step.steps);
    return step.kind === 'exchange' ? [step] : [];
  });
}

/** As if the result of each exchange also took the place of its source. */
function allInPlace(steps: readonly LaunchStep[]): LaunchStep[] {
  return steps.flatMap((step): LaunchStep[] => {
    if (step.kind === 'loop') return [{ ...step, steps: allInPlace(step.steps) }];
    return step.kind === 'exchange' ? [step, { ...step, from: step.to, to: step.from }] : [step];
  });
}

/** A source of choices that fast-check can shrink. */
const choices = fc.array(fc.nat(), { minLength: 20, maxLength: 120 }).map((numbers) => {
  let at = 0;
  return (below: number) => numbers[at++ % numbers.length]! % below;
});

describe('a planned package', () => {
  test('computes what its schedule says, whatever shares memory', () => {
    let loops = 0;
    let caught = 0;
    let inPlace = 0;
    let caughtInPlace = 0;
    fc.assert(
      fc.property(choices, (choose) => {
        const program = randomSchedule(choose);
        const { manifest } = planPackage(program.graph, program.schedule, program.kernels, device, {
          mesh: testMesh,
        });
        expect(() => parseManifest(JSON.parse(JSON.stringify(manifest)), 'manifest')).not.toThrow();
        const expected = symbolicOutputs(program);
        expect(execute(manifest)).toEqual(expected);
        if (manifest.steps.some((step) => step.kind === 'loop')) loops++;
        const mutant = execute({ ...manifest, steps: withoutSwaps(manifest.steps) });
        if (JSON.stringify(mutant) !== JSON.stringify(expected)) caught++;
        if (exchangesOf(manifest.steps).some(({ from, to }) => from === to)) inPlace++;
        const careless = execute({ ...manifest, steps: allInPlace(manifest.steps) });
        if (JSON.stringify(careless) !== JSON.stringify(expected)) caughtInPlace++;
      }),
      { numRuns: 600 },
    );
    // The programs have loops, and forgetting to swap their states is noticed.
    expect(loops).toBeGreaterThan(150);
    expect(caught).toBeGreaterThan(50);
    // What is read again is not exchanged in place, and doing so anyway is noticed.
    expect(inPlace).toBeGreaterThan(25);
    expect(caughtInPlace).toBeGreaterThan(50);
  });
});

// ── programs written out ───────────────────────────────────────────────────────────────────────────────────

const tensor = (id: number, ...shape: number[]) => ({ id, name: `t${id}`, dtype: 'f32' as const, shape });

function kernel(name: string, reads: number[], write: number, more: Partial<Kernel> = {}): Kernel {
  const bindings: Kernel['bindings'] = [
    ...reads.map((id) => ({ tensor: id, access: 'read' as const })),
    { tensor: write, access: 'write' },
  ];
  return { name, code: '', workgroupSize: [64, 1, 1], grid: [1, 1, 1], bindings, counters: [], ...more };
}

const stepOf = (one: Kernel) => ({
  kind: 'kernel' as const,
  program: { name: one.name, buffers: one.bindings, counters: one.counters } as never,
});

/** `layers` maps one after the other. */
function chain(layers: number, shape: number[], more: Partial<Kernel> = {}) {
  const kernels = Array.from({ length: layers }, (_, layer) =>
    kernel(`layer_${layer}`, [layer], layer + 1, more),
  );
  const temporaries = kernels.map((_, layer) => tensor(layer + 1, ...shape));
  return planPackage(
    {
      name: 'chain',
      inputs: [{ path: 'x', tensor: tensor(0, ...shape) }],
      nodes: [],
      outputs: [{ path: 'out', tensor: layers }],
    },
    { steps: kernels.map(stepOf), temporaries },
    kernels,
    device,
  );
}

describe('planning', () => {
  test('a chain of layers needs two buffers beside the input, however long it is', () => {
    const { manifest } = chain(40, [1000]);
    expect(manifest.slots.map((slot) => slot.role)).toEqual(['input', 'work', 'work']);
    expect(manifest.peakBytes).toBe(4 * 4000);
  });

  test('a fold computes its states in place: no copies, one swap', () => {
    const first = kernel('first', [0], 1);
    const step = kernel('step', [2], 3, { counters: [0] });
    const loop = {
      kind: 'loop' as const,
      loop: 0,
      count: 3,
      initial: [1],
      body: {
        name: 'body',
        inputs: [{ path: 'h', tensor: tensor(2, 8) }],
        nodes: [],
        outputs: [{ path: 'h', tensor: 3 }],
      },
      results: [tensor(4, 8)],
    };
    const { manifest } = planPackage(
      {
        name: 'f',
        inputs: [{ path: 'x', tensor: tensor(0, 8) }],
        nodes: [],
        outputs: [{ path: 'out', tensor: 4 }],
      },
      {
        steps: [stepOf(first), { kind: 'loop', loop, steps: [stepOf(step)] }],
        temporaries: [tensor(1, 8), tensor(3, 8)],
      },
      [first, step],
      device,
    );
    expect(manifest.steps).toEqual([
      { kind: 'dispatch', kernel: 'first', slots: [0, 1], counters: [] },
      {
        kind: 'loop',
        loop: 0,
        count: 3,
        steps: [{ kind: 'dispatch', kernel: 'step', slots: [1, 2], counters: [0] }],
        swaps: [[1, 2]],
      },
    ]);
    const { uniforms, finalBuffer } = expandSteps(manifest);
    expect(uniforms.map(({ words }) => words)).toEqual([[0], [1], [2]]);
    expect(finalBuffer[manifest.outputs[0]!.slot]).toBe(2);
  });

  test('empty tensors have a word, and their kernels do not run', () => {
    const { manifest } = chain(1, [0, 5], { grid: [0, 1, 1] });
    expect(manifest.steps).toEqual([]);
    expect(manifest.slots.every((slot) => slot.bytes === 4)).toBe(true);
  });

  test('what does not fit the device is refused with the limit', () => {
    expect(() => chain(1, [2 ** 26])).toThrow(
      'chain does not fit test device: its largest tensor takes 256 MiB, and a kernel of the device ' +
        'reaches 128 MiB',
    );
    expect(() => chain(1, [4], { grid: [70_000, 1, 1] })).toThrow('70000 workgroups in a dimension');
    expect(() => chain(1, [4], { workgroupSize: [1, 1, 128] })).toThrow('workgroups of 128 along z');
    expect(() => chain(1, [4], { workgroupBytes: 20_000 })).toThrow('of workgroup memory');
    expect(() => chain(1, [4], { workgroupSize: [32, 32, 1] })).toThrow('workgroups of 1024');
  });

  test('the same program gives the same bytes', () => {
    expect(JSON.stringify(chain(3, [4]).manifest)).toBe(JSON.stringify(chain(3, [4]).manifest));
  });
});

test('sizes in bytes read well', () => {
  expect([0, 4, 1024, 1.5 * 2 ** 20, 2 ** 31].map(bytesText)).toEqual([
    '0 bytes',
    '4 bytes',
    '1 KiB',
    '1.5 MiB',
    '2 GiB',
  ]);
});
