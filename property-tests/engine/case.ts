/** What a property is checked on: numbers for its sizes, a mesh, and values for what it quantifies over. */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import type { TensorType } from '../../compiler/graph/graph.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { type EntryTensor, tensorsOf } from '../../compiler/lower/entry.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import { evaluateSize } from '../../dsl/types/size.ts';
import type { ElementType, PropertyInfo, Trait, Type } from '../../dsl/types/typed.ts';
import { fieldType } from '../../dsl/types/types.ts';

export interface Case {
  /** Mesh axes that the program names are among them. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Undefined: one device. */
  readonly mesh: Mesh | undefined;
  /** By path; what is `float` in the program is f32 here. */
  readonly values: ReadonlyMap<string, CaseTensor>;
}

export interface CaseTensor extends TensorValue<number> {
  /** The kind of values that it was drawn as; undefined once it was made simpler. */
  readonly profile: string | undefined;
}

/** A tensor to draw, at given sizes. */
export interface Wanted extends TensorType {
  readonly path: string;
  readonly content: Content;
  readonly traits: readonly Trait[];
  /** Its elements, where its value is given: then there is nothing to draw. */
  readonly given: readonly number[] | undefined;
}

/** What the numbers of a tensor mean. */
export type Content =
  | { readonly kind: 'float' }
  | { readonly kind: 'bool' }
  /** Below `range`. */
  | { readonly kind: 'index'; readonly range: number }
  /** Words of keys: all 32 bits are as likely. */
  | { readonly kind: 'key' }
  | { readonly kind: 'signed' }
  | { readonly kind: 'unsigned' };

/** A tensor of what is quantified over, by path. */
export interface Quantified extends EntryTensor {
  readonly isKey: boolean;
  readonly traits: readonly Trait[];
  readonly given: readonly number[] | undefined;
}

export function quantifiedTensors({
  function: { parameters },
  traits,
  given,
}: PropertyInfo): readonly Quantified[] {
  return parameters.flatMap(({ name, type }) => {
    const keys = keyPaths(name, type);
    return tensorsOf(name, type).map((tensor) => ({
      ...tensor,
      isKey: keys.includes(tensor.path),
      traits: traits.get(name) ?? [],
      given: given.get(tensor.path),
    }));
  });
}

function keyPaths(path: string, type: Type): readonly string[] {
  switch (type.kind) {
    case 'key':
      return [path];
    case 'record':
      return type.record.fields.flatMap(({ name }) => keyPaths(`${path}.${name}`, fieldType(type, name)!));
    case 'tuple':
      return type.elements.flatMap((element, position) => keyPaths(`${path}.${position}`, element));
    case 'tensor':
    case 'error':
      return [];
  }
}

/** undefined where there is no such tensor: indices into nothing. */
export function wantedAt(
  { path, element, dims, isKey, traits, given }: Quantified,
  sizes: ReadonlyMap<string, number>,
): Wanted | undefined {
  const shape = dims.map((size) => evaluateSize(size, sizes)!);
  const dtype = storedAs(element);
  const content: Content = isKey ? { kind: 'key' } : contentOf(element, dtype, sizes);
  const isMissing = content.kind === 'index' && content.range === 0 && !shape.includes(0);
  return isMissing ? undefined : { path, dtype, shape, content, traits, given };
}

/** The value that is given for a tensor, as the tensor stores it. */
export function givenTensor({ dtype, shape }: TensorType, given: readonly number[]): CaseTensor {
  const data = Float64Array.from(given, (value) => roundTo(dtype, value));
  return { dtype, shape, data, profile: 'given' };
}

function storedAs(element: ElementType): Dtype {
  switch (element.kind) {
    case 'dtype':
      return element.dtype;
    case 'float':
      return 'f32';
    case 'ix':
      return 'i32';
  }
}

function contentOf(element: ElementType, dtype: Dtype, sizes: ReadonlyMap<string, number>): Content {
  if (element.kind === 'ix') return { kind: 'index', range: evaluateSize(element.range, sizes)! };
  return { kind: dtypeFacts[dtype].class };
}
