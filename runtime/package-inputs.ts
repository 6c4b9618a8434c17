/** The inputs of a package as they come, over one call or several. */
import type { AnyManifest, PackageInput } from '../compiler/plan/package.ts';
import { typeText } from '../compiler/plan/storage-bytes.ts';
import { UserError } from './errors.ts';
import { checkIndices, checkTensorBytes, type TensorData } from './weights/tensor-data.ts';

type TensorType = Pick<TensorData, 'dtype' | 'shape'>;

type Take<T extends TensorType> = (
  given: ReadonlyMap<string, T>,
  write: (input: PackageInput, tensor: T) => void,
) => void;

/**
 * A function that checks tensors, all of them before it writes any.
 * It throws a UserError `wrong-input` if one is wrong, or one that never came is missing.
 * @param inMemory what can be read of a tensor: of one that is elsewhere only its type is checked
 */
export function inputsToCome<T extends TensorType>(
  { entry, inputs }: Pick<AnyManifest, 'entry' | 'inputs'>,
  inMemory: (tensor: T) => TensorData | undefined,
): Take<T> {
  const byPath = new Map(inputs.map((input) => [input.path, input]));
  const missing = new Set(byPath.keys());
  return (given, write) => {
    for (const [path, tensor] of given) checkInput(path, tensor, inMemory(tensor), byPath.get(path));
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
