/** The inputs of a package as they come, over one call or several. */
import { extentAt, type Sizes } from '../compiler/graph/extent.ts';
import type { AnyManifest, PackageInput } from '../compiler/plan/package.ts';
import { typeText } from '../compiler/plan/storage-bytes.ts';
import { UserError } from './errors.ts';
import { type RunSizes, shapeAt } from './run-sizes.ts';
import { checkIndices, checkTensorBytes, type TensorData } from './weights/tensor-data.ts';

type TensorType = Pick<TensorData, 'dtype' | 'shape'>;

type Take<T extends TensorType> = (
  given: ReadonlyMap<string, T>,
  write: (input: PackageInput, tensor: T) => void,
  said?: Sizes,
) => void;

/**
 * A function that checks tensors, all of them before it writes any, and takes note of the sizes of the run.
 * It throws a UserError `wrong-input` if one is wrong, or one that never came is missing.
 * @param ofRuns of which it takes note
 * @param inMemory what can be read of a tensor: of one that is elsewhere only its type is checked
 */
export function inputsToCome<T extends TensorType>(
  { entry, inputs }: Pick<AnyManifest, 'entry' | 'inputs'>,
  ofRuns: RunSizes,
  inMemory: (tensor: T) => TensorData | undefined,
): Take<T> {
  const byPath = new Map(inputs.map((input) => [input.path, input]));
  const missing = new Set(byPath.keys());
  return (given, write, said) => {
    const sizes = ofRuns.next(given, said);
    for (const [path, tensor] of given)
      checkInput(path, tensor, inMemory(tensor), expectedAt(byPath.get(path), sizes));
    ofRuns.set(sizes, given);
    for (const [path, tensor] of given) {
      write(byPath.get(path)!, tensor);
      missing.delete(path);
    }
    const [first] = missing;
    if (first !== undefined)
      throw new UserError(
        'wrong-input',
        `the input ${first} of ${entry} is missing`,
        `give ${[...missing].join(', ')}`,
      );
  };
}

/** As it is in a run of these sizes. */
export function inputAt(input: PackageInput, sizes: Sizes): PackageInput {
  const { belowEnd } = input;
  return {
    ...input,
    shape: [...shapeAt(input, sizes)],
    ...(belowEnd === undefined ? {} : { below: extentAt(belowEnd, sizes) }),
  };
}

function expectedAt(input: PackageInput | undefined, sizes: Sizes): PackageInput | undefined {
  const isBounded = input?.ends !== undefined || input?.belowEnd !== undefined;
  return isBounded ? inputAt(input, sizes) : input;
}

function checkInput(
  path: string,
  tensor: TensorType,
  data: TensorData | undefined,
  expected: PackageInput | undefined,
): void {
  if (expected === undefined)
    throw new UserError('wrong-input', `there is no input ${path}`, 'leave it out, or correct its name');
  if (tensor.dtype !== expected.dtype || tensor.shape.join() !== expected.shape.join())
    throw new UserError(
      'wrong-input',
      `the input ${path} is ${typeText(tensor)}, and ${typeText(expected)} is expected`,
      'give it as the entry declares it, or compile for these sizes',
    );
  if (data === undefined) return;
  checkTensorBytes(`the input ${path}`, data);
  if (expected.below !== undefined) checkIndices(`the input ${path}`, data, expected.below);
}
