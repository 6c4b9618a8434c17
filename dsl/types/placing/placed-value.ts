/**
 * Where values live, as the placement checker sees them: like `Placement`, but each axis remembers where it
 * came from, and a value may depend on index variables whose axes are still being found out.
 */
import type { Label, Span } from '../../diagnostics/diagnostic.ts';
import type { PendingCombiner } from '../../placement/placement.ts';
import type { Size } from '../size.ts';
import type { Type, TypedExpression } from '../typed.ts';

/** An expression of the checked function that a fix could wrap in a collective. */
export interface Wrappable {
  readonly span: Span;
  readonly type: Type;
  /** Ranges of the indices that the value is a different one for: a collective moves all of them. */
  readonly times: readonly Size[];
}

interface Origin {
  readonly because: Label;
  /** The latest first: where the value is used, and where it was made. */
  readonly wraps: readonly Wrappable[];
}

export interface CutAxis extends Origin {
  readonly axis: string;
}

/** The axes that cut one dimension, or the range of one index, major first. */
export type Cut = readonly CutAxis[];

export interface PendingAxis extends Origin {
  readonly combiner: PendingCombiner;
  /** What was cut over the axis: gathered, nothing would be pending. */
  readonly cut: CutAxis | undefined;
  /** Data says which row of what is cut it is. */
  readonly lookedUp?: boolean;
}

/**
 * An index of a comprehension or a reduction. `cut` grows to the longest list that an operand has on it; it
 * is final when the body has been gone through.
 */
export interface IndexVariable {
  readonly name: string;
  readonly range: Size;
  /** The step of a loop: every device goes through all of them, so that it is never cut. */
  readonly counts: boolean;
  /** Of a ring: the axis along which each device has another value of it at the same time. */
  readonly varies: string | undefined;
  cut: Cut;
}

export interface PlacedTensor {
  readonly kind: 'tensor';
  /** One for each dimension. */
  readonly cuts: readonly Cut[];
  readonly pending: ReadonlyMap<string, PendingAxis>;
  /** What it is a different tensor for. */
  readonly indices: ReadonlySet<IndexVariable>;
  /** In the per-device view: the axes along which devices have different ones. */
  readonly varies: ReadonlySet<string>;
  /** Of a scalar that is the index itself, under whatever name: it subscripts as the index does. */
  readonly index?: IndexVariable | undefined;
}

export type PlacedValue =
  | PlacedTensor
  | { readonly kind: 'record'; readonly fields: ReadonlyMap<string, PlacedValue> }
  | { readonly kind: 'tuple'; readonly elements: readonly PlacedValue[] }
  /** Of what was already reported, or is not known: it fits everywhere. */
  | { readonly kind: 'unknown' };

export const unknownValue: PlacedValue = { kind: 'unknown' };

/** The same on every device. */
export function wholeTensor(rank: number): PlacedTensor {
  return {
    kind: 'tensor',
    cuts: Array.from({ length: rank }, () => []),
    pending: new Map(),
    indices: new Set(),
    varies: new Set(),
  };
}

/** The value with each of its tensors changed; those of an array of records have its dims in front. */
export function mapTensors(value: PlacedValue, change: (tensor: PlacedTensor) => PlacedValue): PlacedValue {
  switch (value.kind) {
    case 'tensor':
      return change(value);
    case 'record': {
      const fields = [...value.fields].map(([name, field]) => [name, mapTensors(field, change)] as const);
      return { kind: 'record', fields: new Map(fields) };
    }
    case 'tuple':
      return { kind: 'tuple', elements: value.elements.map((element) => mapTensors(element, change)) };
    case 'unknown':
      return value;
  }
}

export function tensorsIn(value: PlacedValue): readonly PlacedTensor[] {
  const found: PlacedTensor[] = [];
  mapTensors(value, (tensor) => {
    found.push(tensor);
    return tensor;
  });
  return found;
}

/** Two values of one form, part by part; unknown where either is. */
export function zipTensors(
  left: PlacedValue,
  right: PlacedValue,
  combine: (left: PlacedTensor, right: PlacedTensor) => PlacedValue,
): PlacedValue {
  if (left.kind === 'tensor' && right.kind === 'tensor') return combine(left, right);
  if (left.kind === 'record' && right.kind === 'record') {
    const fields = [...left.fields].map(([name, field]) => {
      return [name, zipTensors(field, right.fields.get(name) ?? unknownValue, combine)] as const;
    });
    return { kind: 'record', fields: new Map(fields) };
  }
  if (left.kind === 'tuple' && right.kind === 'tuple') {
    const elements = left.elements.map((element, i) =>
      zipTensors(element, right.elements[i] ?? unknownValue, combine),
    );
    return { kind: 'tuple', elements };
  }
  return unknownValue;
}

export function axesOfCut(cut: Cut): readonly string[] {
  return cut.map(({ axis }) => axis);
}

/** What a fix would wrap, put on every axis of the value. */
export function wrappedBy(value: PlacedValue, { span, type }: TypedExpression): PlacedValue {
  return mapTensors(value, (tensor) => {
    const wrap = { span, type, times: [...tensor.indices].map(({ range }) => range) };
    const wrapped = <T extends Origin>(entry: T): T => ({
      ...entry,
      wraps: [wrap, ...entry.wraps.slice(-1)],
    });
    return {
      ...tensor,
      cuts: tensor.cuts.map((cut) => cut.map(wrapped)),
      pending: new Map([...tensor.pending].map(([axis, entry]) => [axis, wrapped(entry)])),
    };
  });
}
