/** An entry's inputs and outputs by path, as files and embedding programs name them. */
import { natural, type Size } from '../../dsl/types/size.ts';
import type { ElementType, FunctionInfo, Type, TypedProgram } from '../../dsl/types/typed.ts';
import { dimsOf, fieldType } from '../../dsl/types/types.ts';

/** One tensor of an entry. */
export interface EntryTensor {
  /** `x`, `experts.gate`, `out`, `out.0`. */
  readonly path: string;
  /** A key is u32 in two words. */
  readonly element: ElementType;
  readonly dims: readonly Size[];
}

export interface EntryDescription {
  readonly inputs: readonly EntryTensor[];
  readonly outputs: readonly EntryTensor[];
}

/** undefined when there is no such entry. */
export function describeEntry(program: TypedProgram, entry: string): EntryDescription | undefined {
  const info = program.entries.get(entry);
  return info && describeFunction(info);
}

export function describeFunction({ parameters, result }: FunctionInfo): EntryDescription {
  return {
    inputs: parameters.flatMap(({ name, type }) => tensorsOfType(name, type)),
    outputs: tensorsOfType('out', result),
  };
}

/** In the order of the declarations: an array of records is a record of stacked tensors. */
export function tensorsOfType(path: string, type: Type): readonly EntryTensor[] {
  switch (type.kind) {
    case 'tensor':
      return [{ path, element: type.element, dims: sizesOf(type) }];
    case 'key':
      return [{ path, element: { kind: 'dtype', dtype: 'u32' }, dims: [...sizesOf(type), natural(2)] }];
    case 'record':
      return type.record.fields.flatMap(({ name }) =>
        tensorsOfType(`${path}.${name}`, fieldType(type, name)!),
      );
    case 'tuple':
      return type.elements.flatMap((element, position) => tensorsOfType(`${path}.${position}`, element));
    case 'error':
      throw new Error('a program with errors has no entries');
  }
}

function sizesOf(type: Type): readonly Size[] {
  return dimsOf(type).map((dim) => dim.size);
}
