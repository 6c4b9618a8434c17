/** What an entry is given: matched against what it takes, by path. */
import type { EntryTensor } from '../compiler/lower/entry.ts';
import { dtypeFacts } from '../dsl/types/dtype.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import type { ElementType } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';
import { checkIndices, checkTensorBytes, type TensorData } from '../runtime/weights/tensor-data.ts';

/** Tensors by name; records as nested objects, or flat by path (`experts.gate`). */
export interface ModelInputs {
  readonly [name: string]: TensorData | ModelInputs;
}

export function flattenInputs(inputs: ModelInputs, prefix = ''): Map<string, TensorData> {
  return new Map(
    Object.entries(inputs).flatMap(([name, value]): [string, TensorData][] => {
      const path = `${prefix}${name}`;
      return isTensor(value) ? [[path, value]] : [...flattenInputs(value, `${path}.`)];
    }),
  );
}

function isTensor(value: TensorData | ModelInputs): value is TensorData {
  return value.bytes instanceof Uint8Array;
}

/** @throws UserError saying which input is missing, unknown or wrong, what was expected and what was found. */
export function checkInputs(
  wanted: readonly EntryTensor[],
  given: ReadonlyMap<string, TensorData>,
  sizes: ReadonlyMap<string, number>,
): void {
  const known = new Set(wanted.map(({ path }) => path));
  const names = [...known].join(', ');
  for (const path of given.keys()) {
    if (!known.has(path)) {
      throw new UserError('wrong-input', `there is no input ${path}`, `the inputs are ${names}`);
    }
  }
  for (const { path, element, dims } of wanted) {
    const tensor = given.get(path);
    const shape = dims.map((size) => evaluateSize(size, sizes) ?? 0);
    const expected = `${showElement(element)}[${shape.join(', ')}]`;
    if (tensor === undefined) {
      throw new UserError('wrong-input', `the input ${path} is missing`, `give it as ${expected}`);
    }
    const found = `${tensor.dtype}[${tensor.shape.join(', ')}]`;
    if (!accepts(element, tensor) || `${tensor.shape}` !== `${shape}`) {
      throw new UserError(
        'wrong-input',
        `the input ${path} is ${found}, not ${expected}`,
        `give it as ${expected}`,
      );
    }
    checkTensorBytes(`the input ${path}`, tensor);
    if (element.kind === 'ix')
      checkIndices(`the input ${path}`, tensor, evaluateSize(element.range, sizes) ?? 0);
  }
}

function accepts(element: ElementType, { dtype }: TensorData): boolean {
  switch (element.kind) {
    case 'dtype':
      return dtype === element.dtype;
    case 'float':
      return dtypeFacts[dtype].class === 'float';
    case 'ix':
      return dtype === 'i32';
  }
}

export function showElement(element: ElementType): string {
  switch (element.kind) {
    case 'dtype':
      return element.dtype;
    case 'float':
      return 'float';
    case 'ix':
      return 'i32';
  }
}
