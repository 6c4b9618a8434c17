/** Types as values: making them, comparing them up to placements, and showing them as they are written. */
import { showPending } from '../placement/placement.ts';
import { type Dtype, dtypeFacts } from './dtype.ts';
import {
  natural,
  parameter,
  type Size,
  sameSize,
  showSize,
  sizeParameters,
  substituteSizes,
} from './size.ts';
import type { Dim, ElementType, Type, WrittenPending } from './typed.ts';

export type TensorType = Extract<Type, { kind: 'tensor' }>;
export type RecordType = Extract<Type, { kind: 'record' }>;

/** What arithmetic on an element is done in. */
export type Arithmetic = 'f32' | 'i32' | 'u32' | 'bool';

export const errorType: Type = { kind: 'error' };
export const keyType: Type = { kind: 'key', dims: [] };

export function dimOf(size: Size): Dim {
  return { size, placement: { kind: 'none' } };
}

/** A dimension made of factors, major first; with one factor an ordinary one. */
export function productDim(factors: readonly Size[], product: Size): Dim {
  return factors.length > 1 ? { ...dimOf(product), factors } : dimOf(product);
}

export function tensor(element: ElementType, dims: readonly Dim[] = []): TensorType {
  return { kind: 'tensor', element, dims };
}

export function dtypeElement(dtype: Dtype): ElementType {
  return { kind: 'dtype', dtype };
}

export function scalarOf(dtype: Dtype): TensorType {
  return tensor(dtypeElement(dtype));
}

export function indexType(range: Size): TensorType {
  return tensor({ kind: 'ix', range });
}

export function arithmeticOf(element: ElementType): Arithmetic {
  if (element.kind === 'float') return 'f32';
  return element.kind === 'ix' ? 'i32' : dtypeFacts[element.dtype].arithmetic;
}

export function isFloat(element: ElementType): boolean {
  return arithmeticOf(element) === 'f32';
}

export function isInteger(element: ElementType): boolean {
  const arithmetic = arithmeticOf(element);
  return arithmetic === 'i32' || arithmetic === 'u32';
}

/** Same storage, so that no cast is needed. `float` is the same as itself: it is read as f32 either way. */
export function sameElement(left: ElementType, right: ElementType): boolean {
  if (left.kind === 'ix') return right.kind === 'ix' && sameSize(left.range, right.range);
  if (left.kind === 'float') return right.kind === 'float';
  return right.kind === 'dtype' && left.dtype === right.dtype;
}

/** The dims in front of a type's own; a tuple of tensors gets them on each. */
export function prependDims(dims: readonly Dim[], type: Type): Type {
  switch (type.kind) {
    case 'tensor':
    case 'record':
    case 'key':
      return { ...type, dims: [...dims, ...type.dims] };
    case 'tuple':
      return { ...type, elements: type.elements.map((element) => prependDims(dims, element)) };
    case 'error':
      return type;
  }
}

/** The type without its first `count` dims. */
export function dropDims(type: Type, count: number): Type {
  return withDims(type, dimsOf(type).slice(count));
}

export function dimsOf(type: Type): readonly Dim[] {
  return type.kind === 'tuple' || type.kind === 'error' ? [] : type.dims;
}

export function withDims(type: Type, dims: readonly Dim[]): Type {
  return type.kind === 'tuple' || type.kind === 'error' ? type : { ...type, dims };
}

export function withElement(type: TensorType, element: ElementType): TensorType {
  return { ...type, element };
}

function mapSizes(type: Type, change: (size: Size) => Size): Type {
  const dim = (old: Dim): Dim => ({
    size: change(old.size),
    placement: old.placement,
    ...(old.factors === undefined ? {} : { factors: old.factors.map(change) }),
  });
  switch (type.kind) {
    case 'tensor':
      return {
        kind: 'tensor',
        element:
          type.element.kind === 'ix' ? { kind: 'ix', range: change(type.element.range) } : type.element,
        dims: type.dims.map(dim),
      };
    case 'record':
      return { ...type, sizes: type.sizes.map(change), dims: type.dims.map(dim) };
    case 'key':
      return { kind: 'key', dims: type.dims.map(dim) };
    case 'tuple':
      return { kind: 'tuple', elements: type.elements.map((element) => mapSizes(element, change)) };
    case 'error':
      return type;
  }
}

/** The type with other elements in its tensors; records keep theirs. */
export function mapElements(type: Type, change: (element: ElementType) => ElementType): Type {
  if (type.kind === 'tuple')
    return { ...type, elements: type.elements.map((element) => mapElements(element, change)) };
  return type.kind === 'tensor' ? withElement(type, change(type.element)) : type;
}

/** The type with every dimension whole, and nothing pending. */
export function withoutPlacement(type: Type): Type {
  switch (type.kind) {
    case 'tuple':
      return { ...type, elements: type.elements.map(withoutPlacement) };
    case 'tensor':
      return tensor(type.element, type.dims.map(wholeDim));
    case 'record':
    case 'key':
      return { ...type, dims: type.dims.map(wholeDim) };
    case 'error':
      return type;
  }
}

function wholeDim(dim: Dim): Dim {
  return { ...dim, placement: { kind: 'none' } };
}

export function substituteType(type: Type, values: ReadonlyMap<string, Size>): Type {
  return values.size === 0 ? type : mapSizes(type, (size) => substituteSizes(size, values));
}

/** The type of a field of a record type, with the dims of the record array in front. */
export function fieldType(record: RecordType, name: string): Type | undefined {
  const field = record.record.fields.find((candidate) => candidate.name === name);
  if (field === undefined) return undefined;
  const values = new Map(
    record.record.parameters.map(
      (parameterName, i) => [parameterName, record.sizes[i] ?? natural(0)] as const,
    ),
  );
  return prependDims(record.dims, substituteType(field.type, values));
}

/** The types of the tensors of a value, in order; those of an array of records have its dims in front. */
export function leafTypes(type: Type): readonly Type[] {
  switch (type.kind) {
    case 'tensor':
    case 'key':
    case 'error':
      return [type];
    case 'tuple':
      return type.elements.flatMap(leafTypes);
    case 'record':
      return type.record.fields.flatMap(({ name }) => leafTypes(fieldType(type, name)!));
  }
}

/** The dimensions of all tensors of the type. */
export function dimsIn(type: Type): readonly Dim[] {
  return leafTypes(type).flatMap(dimsOf);
}

/** Whether an axis, or `?`, is written anywhere in it. */
export function saysPlacement(type: Type): boolean {
  if (type.kind === 'tuple') return type.elements.some(saysPlacement);
  if (type.kind === 'record')
    return type.record.fields.some(({ name }) => saysPlacement(fieldType(type, name)!));
  const isPending = type.kind === 'tensor' && (type.pending ?? []).length > 0;
  return isPending || dimsOf(type).some(({ placement }) => placement.kind !== 'none');
}

export function hasError(type: Type): boolean {
  return type.kind === 'error' || (type.kind === 'tuple' && type.elements.some(hasError));
}

// ── sizes not known yet ────────────────────────────────────────────────────────────────────────────────────
// While a call is being solved, the callee's size parameters stand in expected types under names that begin
// with `?`, which no source name does. An expected size with one of them says nothing.

const unknownMark = '?';

function unknownName(name: string): string {
  return unknownMark + name;
}

export function unknownSize(name: string): Size {
  return parameter(unknownName(name));
}

export function isKnown(size: Size): boolean {
  return ![...sizeParameters(size)].some((name) => name.startsWith(unknownMark));
}

// ── showing ────────────────────────────────────────────────────────────────────────────────────────────────

/** `bf16[T@dp, D]`, `ix(E)[K]`, `Ffn(D, F)[E]`, `(f32, key)`. */
export function showType(type: Type): string {
  switch (type.kind) {
    case 'tensor':
      return showElement(type.element) + showDims(type.dims) + showWritten(type.pending ?? []);
    case 'record': {
      const sizes = type.sizes.length === 0 ? '' : `(${type.sizes.map(showName).join(', ')})`;
      return type.record.name + sizes + showDims(type.dims);
    }
    case 'key':
      return `key${showDims(type.dims)}`;
    case 'tuple':
      return `(${type.elements.map(showType).join(', ')})`;
    case 'error':
      return '?';
  }
}

function showWritten(pending: readonly WrittenPending[]): string {
  return showPending(new Map(pending.map(({ axis, combiner }) => [axis, combiner])));
}

export function showElement(element: ElementType): string {
  if (element.kind === 'dtype') return element.dtype;
  return element.kind === 'float' ? 'float' : `ix(${showName(element.range)})`;
}

export function showDims(dims: readonly Dim[]): string {
  return dims.length === 0 ? '' : `[${dims.map(showDim).join(', ')}]`;
}

function showDim(dim: Dim): string {
  const size = dim.factors === undefined ? showName(dim.size) : dim.factors.map(showFactor).join(' * ');
  if (dim.placement.kind === 'none') return size;
  if (dim.placement.kind === 'hole') return `${size}@?`;
  const axes = dim.placement.axes;
  return `${size}@${axes.length === 1 ? axes[0] : `(${axes.join(', ')})`}`;
}

function showFactor(size: Size): string {
  return size.terms.length > 1 ? `(${showName(size)})` : showName(size);
}

/** A size as the user wrote it: without the marks of unknown sizes. */
export function showName(size: Size): string {
  return showSize(size).replaceAll(unknownMark, '');
}
