/** The sizes of a bounded package in one run after the other, from the shapes of what it is given. */
import { extentAt, type Sizes } from '../compiler/graph/extent.ts';
import type { AnyManifest, PackageInput } from '../compiler/plan/package.ts';
import { typeText } from '../compiler/plan/storage-bytes.ts';
import { holds } from '../dsl/types/relation.ts';
import { UserError } from './errors.ts';
import type { TensorData } from './weights/tensor-data.ts';

type TensorType = Pick<TensorData, 'dtype' | 'shape'>;

export interface RunSizes {
  /**
   * The sizes of a run that is given these inputs; those that no shape tells are `said`, or stay.
   * @throws UserError `wrong-input` when they contradict each other, what was given before, or the package's
   * limits
   */
  readonly next: (given: ReadonlyMap<string, TensorType>, said?: Sizes) => Sizes;
  /** They are those of the runs from now on. */
  readonly set: (sizes: Sizes, given: ReadonlyMap<string, TensorType>) => void;
  /** Of the run at hand. */
  readonly current: () => Sizes;
}

/** A tensor of a manifest, which has room for `shape`. */
export type Ended = Pick<PackageInput, 'shape' | 'ends'>;

export function runSizes({ entry, inputs, outputs, bounded = [], where = [] }: AnyManifest): RunSizes {
  let current: Sizes = new Map();
  /** What inputs were last given as. */
  const held = new Map<string, readonly number[]>();

  const solve = (given: ReadonlyMap<string, TensorType>, said: Sizes): Sizes => {
    const found = new Map<string, { readonly value: number; readonly from: string }>();
    const find = (size: string, value: number, from: string): void => {
      const known = found.get(size);
      if (known !== undefined && known.value !== value)
        throw wrong(
          `${size} is ${known.value} by ${known.from}, and ${value} by ${from}`,
          'give inputs of one size',
        );
      found.set(size, { value, from });
    };
    for (const [size, value] of said) {
      if (!bounded.some((known) => known.size === size))
        throw wrong(
          `${entry} has no bounded size ${size}`,
          `there are: ${bounded.map((each) => each.size).join(', ')}`,
        );
      find(size, value, 'what was said');
    }
    for (const input of inputs) {
      const tensor = given.get(input.path);
      if (tensor === undefined || tensor.shape.length !== input.shape.length) continue;
      for (const [dim, end] of (input.ends ?? []).entries()) {
        const [term, ...others] = end?.terms ?? [];
        if (term === undefined || others.length > 0) continue;
        const value = (tensor.shape[dim]! - end!.constant) / term.factor;
        const what = `the input ${input.path}, which is ${typeText(tensor)}`;
        if (!Number.isSafeInteger(value))
          throw wrong(`${what}, fits no ${term.size}`, 'give it as the entry declares it');
        find(term.size, value, what);
      }
    }
    return new Map(
      bounded.map(({ size, least, most }) => {
        const value = found.get(size)?.value ?? current.get(size);
        if (value === undefined)
          throw wrong(`the size ${size} of ${entry} is not known`, `give it: ${size}=…`);
        if (value < least || value > most)
          throw wrong(
            `${size} is ${value}, and the package is for ${size} from ${least} to ${most}`,
            'give less at a time, or compile with another bound',
          );
        return [size, value];
      }),
    );
  };

  return {
    next: (given, said = new Map()) => {
      if (bounded.length === 0 && said.size === 0) return current;
      const sizes = solve(given, said);
      const broken = where.find(
        ({ relation, left, right }) => !holds(relation, extentAt(left, sizes), extentAt(right, sizes)),
      );
      const shown = [...sizes].map(([size, value]) => `${size} = ${value}`).join(', ');
      if (broken !== undefined)
        throw wrong(`${broken.text} does not hold for ${shown}`, 'choose other sizes');
      const lacking = [...inputs, ...outputs].find((tensor) =>
        shapeAt(tensor, sizes).some((each) => each < 0),
      );
      if (lacking !== undefined)
        throw wrong(
          `${lacking.path} would have the shape [${shapeAt(lacking, sizes)}] for ${shown}`,
          'choose other sizes',
        );
      for (const input of inputs) {
        const before = held.get(input.path);
        if (given.has(input.path) || before === undefined) continue;
        const now = shapeAt(input, sizes);
        if (before.join() !== now.join())
          throw wrong(
            `the input ${input.path} was given as [${before.join(', ')}], and is now to be [${now.join(', ')}]`,
            'give it again with the others',
          );
      }
      return sizes;
    },
    set: (sizes, given) => {
      current = sizes;
      if (bounded.length > 0) for (const [path, { shape }] of given) held.set(path, shape);
    },
    current: () => current,
  };
}

/** A tensor's shape in a run of these sizes. */
export function shapeAt({ shape, ends }: Ended, sizes: Sizes): readonly number[] {
  if (ends === undefined) return shape;
  return shape.map((extent, dim) => {
    const end = ends[dim] ?? null;
    return end === null ? extent : extentAt(end, sizes);
  });
}

function wrong(message: string, help: string): UserError {
  return new UserError('wrong-input', message, help);
}
