/** What an entry is given: matched against what it takes, by path. */
import type { EntryTensor } from '../compiler/lower/entry.ts';
import { typeText } from '../compiler/plan/storage-bytes.ts';
import { dtypeFacts } from '../dsl/types/dtype.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import type { ElementType } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';
import { type AnyTensor, DeviceTensor, isOnDevice } from '../runtime/webgpu/device-tensor.ts';
import { checkIndices, checkTensorBytes, type TensorData } from '../runtime/weights/tensor-data.ts';

/** Tensors by name; records as nested objects, or flat by path (`experts.gate`). */
export interface ModelInputs {
  readonly [name: string]: AnyTensor | ModelInputs;
}

export function flattenInputs(inputs: ModelInputs, prefix = ''): Map<string, AnyTensor> {
  return new Map(
    Object.entries(inputs).flatMap(([name, value]): [string, AnyTensor][] => {
      const path = `${prefix}${name}`;
      return isTensor(value) ? [[path, value]] : [...flattenInputs(value, `${path}.`)];
    }),
  );
}

function isTensor(value: AnyTensor | ModelInputs): value is AnyTensor {
  return value instanceof DeviceTensor || ('bytes' in value && value.bytes instanceof Uint8Array);
}

/**
 * @throws UserError saying which input is missing, unknown or wrong, what was expected and what was found.
 */
export function checkInputs(
  wanted: readonly EntryTensor[],
  given: ReadonlyMap<string, AnyTensor>,
  sizes: ReadonlyMap<string, number>,
): void {
  checkInputTypes(wanted, given, sizes);
  for (const each of wanted) checkInput(each, given.get(each.path)!, sizes);
}

/** @throws UserError as `checkInputs`, but of what is in them */
export function checkInputTypes(
  wanted: readonly EntryTensor[],
  given: ReadonlyMap<string, TensorType>,
  sizes: ReadonlyMap<string, number>,
): void {
  const known = new Set(wanted.map(({ path }) => path));
  const names = [...known].join(', ');
  for (const path of given.keys()) {
    if (!known.has(path)) {
      throw new UserError('wrong-input', `there is no input ${path}`, `the inputs are ${names}`);
    }
  }
  for (const each of wanted) {
    const tensor = given.get(each.path);
    if (tensor === undefined) {
      const expected = expectedType(each, sizes);
      throw new UserError('wrong-input', `the input ${each.path} is missing`, `give it as ${expected}`);
    }
    checkInputType(each, tensor, sizes);
  }
}

/** @throws UserError when the tensor is not what the entry takes there. */
function checkInput(wanted: EntryTensor, tensor: AnyTensor, sizes: ReadonlyMap<string, number>): void {
  const { path, element } = wanted;
  checkInputType(wanted, tensor, sizes);
  if (isOnDevice(tensor)) return;
  checkTensorBytes(`the input ${path}`, tensor);
  if (element.kind === 'ix')
    checkIndices(`the input ${path}`, tensor, evaluateSize(element.range, sizes) ?? 0);
}

type TensorType = Pick<TensorData, 'dtype' | 'shape'>;

/** @throws UserError when a tensor of that type is not what the entry takes there. */
export function checkInputType(
  wanted: EntryTensor,
  tensor: TensorType,
  sizes: ReadonlyMap<string, number>,
): void {
  const { path, element, dims } = wanted;
  const expected = expectedType(wanted, sizes);
  const shape = dims.map((size) => evaluateSize(size, sizes) ?? 0);
  if (!accepts(element, tensor) || `${tensor.shape}` !== `${shape}`) {
    const message = `the input ${path} is ${typeText(tensor)}, not ${expected}`;
    throw new UserError('wrong-input', message, `give it as ${expected}`);
  }
}

/** `bf16[16, 32]`, as the entry declares it. */
function expectedType({ element, dims }: EntryTensor, sizes: ReadonlyMap<string, number>): string {
  const shape = dims.map((size) => evaluateSize(size, sizes) ?? 0);
  return shape.length === 0 ? showElement(element) : `${showElement(element)}[${shape.join(', ')}]`;
}

function accepts(element: ElementType, { dtype }: TensorType): boolean {
  switch (element.kind) {
    case 'dtype':
      return dtype === element.dtype;
    case 'float':
      return dtypeFacts[dtype].class === 'float';
    case 'ix':
      return dtype === 'i32';
  }
}

function showElement(element: ElementType): string {
  switch (element.kind) {
    case 'dtype':
      return element.dtype;
    case 'float':
      return 'float';
    case 'ix':
      return 'i32';
  }
}
