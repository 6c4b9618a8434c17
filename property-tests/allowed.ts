/**
 * Small programs by matrix units where users allow what these round, in the emulator: how far results are
 * off, as a part of what they may be.
 */

import { describeEntry } from '../compiler/lower/entry.ts';
import { type Allowance, allowanceFacts } from '../compiler/tiles/allowances.ts';
import type { Choice } from '../compiler/tiles/choices/choice.ts';
import { parseChoice } from '../compiler/tiles/choices/choice-text.ts';
import type { PtxTarget } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { dtypeFacts } from '../dsl/types/dtype.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { namedProgram } from './named-program.ts';
import { deviceTolerance, loweredEntry, type Tensors } from './run-entry.ts';
import { type PtxOptions, runPtx } from './run-ptx.ts';

/**
 * Of the sum of the products' magnitudes, what the emulator is off by at most: it rounds to the nearest of
 * tf32, and cuts sums of 8-bit floats to fourteen bits after every 32 products. GPUs may be off by more.
 */
const emulated: { readonly [A in Allowance]: number } = {
  'rounded-factors': allowanceFacts['rounded-factors'].error,
  tf32: 2 ** -10,
  'f8-sums': 4 * 2 ** -13,
};

export interface Trial {
  /** `file: entry M=3,N=4` */
  readonly program: string;
  readonly allowed: readonly Allowance[];
  readonly target: PtxTarget;
  /** As first chosen, where it is left out. */
  readonly choice?: string | undefined;
  readonly copies?: PtxOptions['copies'];
  readonly processors?: number;
  /**
   * Random ones; or ones by which roundings add up: none is negative, and an f32 is just below a number of
   * eleven bits.
   */
  readonly inputs: 'random' | 'unkind';
}

export interface Measured {
  readonly module: string;
  /** The largest error, as a part of what it may be; of a run where nothing is allowed to round, above 1. */
  readonly off: number;
}

export async function measured(trial: Trial): Promise<Measured> {
  const { program, allowed, target, copies, processors, inputs: kind } = trial;
  const { checked, entry, instances } = namedProgram(program);
  const sizes = instances[0]!;
  const choice = trial.choice === undefined ? undefined : parsedChoice(trial.choice);
  const instance = {
    ...{ entry, sizes, inputDtypes: new Map(), allowed },
    ...(choice && { advice: () => choice }),
    ...(processors === undefined ? {} : { processors }),
  };
  const lowered = loweredEntry(checked, instance);
  const inputs = new Map(
    describeEntry(checked.program, entry).inputs.map((each) => {
      const random = randomInput(each, sizes, 7);
      return [each.path, kind === 'random' ? random : unkind(random)];
    }),
  );
  const { module } = compilePtx(lowered, instance, target);
  const found = await runPtx(lowered, instance, inputs, { target, ...(copies && { copies }) });
  const wanted = runReference(lowered.graph, inputs);
  const masses = runReference(lowered.graph, magnitudes(inputs));
  const own = deviceTolerance + allowed.reduce((error, each) => error + emulated[each], 0);
  const parts = [...wanted].map(([path, tensor]) => {
    const [exact, have] = [tensor, found.get(path)!].map(tensorValues) as [Float64Array, Float64Array];
    const mass = tensorValues(masses.get(path)!);
    const stored = storedError(tensor);
    return exact.reduce((most, value, at) => {
      const part = Math.abs(value - have[at]!) / (own * mass[at]! + stored * Math.abs(value) + 1e-30);
      return Number.isNaN(part) ? Infinity : Math.max(most, part);
    }, 0);
  });
  return { module, off: Math.max(...parts) };
}

/** Half of the last bit, of what is expected as well. */
function storedError({ dtype }: TensorData): number {
  return dtype === 'f32' ? 0 : 2 ** -dtypeFacts[dtype].mantissa;
}

function unkind(tensor: TensorData): TensorData {
  const { dtype, shape } = tensor;
  const values = tensorValues(tensor).map(Math.abs);
  if (dtype !== 'f32') return tensorFromValues(dtype, shape, [...values]);
  const words = new Uint32Array(Float32Array.from(values).buffer);
  const below = words.map((word) => (word & ~0x1fff) | 0x1f00);
  return tensorFromValues(dtype, shape, [...new Float32Array(below.buffer)]);
}

function magnitudes(inputs: Tensors): Tensors {
  return new Map(
    [...inputs].map(([path, tensor]) => [
      path,
      tensorFromValues(tensor.dtype, tensor.shape, [...tensorValues(tensor).map(Math.abs)]),
    ]),
  );
}

function parsedChoice(text: string): Choice {
  const choice = parseChoice(text);
  if ('wrong' in choice) throw new Error(`${text}: ${choice.wrong}`);
  return choice;
}
