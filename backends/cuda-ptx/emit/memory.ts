/**
 * Reads and writes of global memory. Offsets count elements and fit in an i32; an address is the first byte
 * of a buffer and a displacement. A read that may be out of range, since a condition discards what it finds,
 * is moved into the buffer.
 */
import type { TensorId } from '../../../compiler/graph/graph.ts';
import {
  type Domain,
  divisorOf,
  laneStride,
  type Neighbours,
  neighbours,
} from '../../../compiler/tiles/lanes.ts';
import { intervalOf, type TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import { linearConstant, linearValue, plus } from '../../writing/linear.ts';
import type { Point as PointOf } from '../../writing/point.ts';
import { type Buffer, bufferOf, type Emission, type Sum } from './emission.ts';
import { bytesOf, decoded, encoded, packedWords, unpacked } from './narrow.ts';
import { sumOf, termsOf } from './sums.ts';
import { type Lanes, laneOf, lanesFrom, literal, type Value } from './values.ts';

/** Where four neighbours lie: by the first and how far apart they are, or each by itself. */
export type Places = StridedPlaces | { readonly kind: 'scattered'; readonly each: readonly Value[] };

export interface StridedPlaces {
  readonly kind: 'strided';
  readonly first: Sum;
  readonly stride: number;
  readonly isAligned: boolean;
  /** Where eight neighbours of the invocation, aligned as such, have these four among them: which half. */
  readonly half: Half | undefined;
}

export type Half = 0 | 1;

/** Of two runs of four. */
const both = 8;

/** The place of one of the four. */
function placeOf(places: Places, lane: number): Sum {
  if (places.kind === 'scattered') return linearValue(places.each[lane]!);
  return plus(places.first, linearConstant(lane * places.stride));
}

export interface Reading {
  /** Whether all of it surely lies in the buffer. */
  readonly isInside: boolean;
  /** Whether that is so under the conditions around it only, so that it is to stay there. */
  readonly isFixed: boolean;
}

export interface Access extends Reading {
  readonly places: Places;
}

/** Whether elements at `offset`, and the three behind it where the point is of four, are in a buffer of so many. */
export function isInside(offset: TileExpression, count: number): boolean {
  const { low, high } = intervalOf(offset);
  return low >= 0 && high < count;
}

/** Eight neighbours of an invocation, for each domain of vectors. */
const eights = new WeakMap<Domain, Neighbours>();

function eightsOf(domain: Domain): Neighbours {
  const known = eights.get(domain) ?? neighbours(domain.axes, both);
  eights.set(domain, known);
  return known;
}

/**
 * Which half of eight neighbours a point of four is at which such an offset is aligned; undefined where it is
 * not, or an invocation does not have eight together.
 */
export function halfOf(offset: TileExpression, { domain, fragment }: PointOf<Value>): Half | undefined {
  const at = fragment?.at(-1);
  if (at === undefined || domain.axes.at(-1)!.block % both !== 0) return undefined;
  const eight = eightsOf(domain);
  if (laneStride(offset, eight) !== 1 || divisorOf(offset, eight) % both !== 0) return undefined;
  return at % both === 0 ? 0 : 1;
}

/** Whether it is the same for eight neighbours of an invocation. */
export function isSameForEight(expression: TileExpression | undefined, domain: Domain): boolean {
  return expression === undefined || laneStride(expression, eightsOf(domain)) === 0;
}

export function isAligned(offset: TileExpression, point: PointOf<Value>): boolean {
  return laneStride(offset, point.domain) === 1 && divisorOf(offset, point.domain) % 4 === 0;
}

// ── addresses ──────────────────────────────────────────────────────────────────────────────────────────────

interface Address {
  readonly register: Value;
  readonly displacement: number;
}

function addressOf({ writer }: Emission, { pointer, tensor }: Buffer, sum: Sum): Address {
  const bytes = bytesOf(tensor.dtype);
  const terms = termsOf(writer, sum);
  return { register: offsetBy(writer, pointer, terms, bytes), displacement: sum.constant * bytes };
}

/** Moved into the buffer, as far as `width` elements reach. */
function clampedAddress({ writer }: Emission, buffer: Buffer, place: Value, width: number): Address {
  const inside = writer.operation('min.u32', 'i32', [place, literal(buffer.count - width, 'u32')]);
  const bytes = bytesOf(buffer.tensor.dtype);
  return { register: offsetBy(writer, buffer.pointer, inside, bytes), displacement: 0 };
}

function offsetBy(
  writer: Emission['writer'],
  pointer: Value,
  elements: Value | undefined,
  bytes: number,
): Value {
  if (elements === undefined) return pointer;
  return writer.operation('mad.wide.s32', 'address', [elements, literal(bytes, 'i32'), pointer]);
}

function reference(register: string, displacement: number): string {
  return displacement === 0 ? `[${register}]` : `[${register}+${displacement}]`;
}

/** For an instruction that copies `width` neighbours. */
export function copyAddress(
  emission: Emission,
  tensor: TensorId,
  first: Sum,
  isInside: boolean,
  width: number,
): string {
  const buffer = bufferOf(emission, tensor);
  const { register, displacement } = isInside
    ? addressOf(emission, buffer, first)
    : clampedAddress(emission, buffer, sumOf(emission.writer, first), width);
  return reference(register.text, displacement);
}

// ── reads ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Of an element, by its bytes. */
const elementTypes = { 1: 'u8', 2: 'u16', 4: 'b32' } as const;

export function loadOne(
  emission: Emission,
  tensor: TensorId,
  first: Sum,
  { isInside, isFixed }: Reading,
): Value {
  const buffer = bufferOf(emission, tensor);
  const { dtype } = buffer.tensor;
  if (buffer.count === 0) return literal(0, dtypeFacts[dtype].arithmetic);
  const { writer } = emission;
  const at = isInside
    ? addressOf(emission, buffer, first)
    : clampedAddress(emission, buffer, sumOf(writer, first), 1);
  const [bits] = read(emission, buffer, { at, isFixed }, elementTypes[bytesOf(dtype)], 1);
  return decoded(writer, dtype, bits!);
}

export function loadLanes(emission: Emission, tensor: TensorId, access: Access): Lanes {
  const { places, isInside, isFixed } = access;
  const buffer = bufferOf(emission, tensor);
  const { writer } = emission;
  const { dtype } = buffer.tensor;
  const one = (first: Sum) => loadOne(emission, tensor, first, access);
  if (places.kind === 'strided' && places.stride === 0) return [one(places.first)];
  const isWhole = buffer.count >= 4 && (isInside || buffer.count % 4 === 0);
  if (places.kind === 'scattered' || !places.isAligned || !isWhole)
    return lanesFrom(4, (lane) => one(placeOf(places, lane)));
  const { half } = places;
  const bytes = bytesOf(dtype);
  // Both halves are read as one, which the writer does once.
  const isPair =
    half !== undefined && bytes < 4 && buffer.count >= both && (isInside || buffer.count % both === 0);
  const [begin, width] = isPair ? [plus(places.first, linearConstant(-4 * half)), both] : [places.first, 4];
  const at = isInside
    ? addressOf(emission, buffer, begin)
    : clampedAddress(emission, buffer, sumOf(writer, begin), width);
  const words = read(emission, buffer, { at, isFixed }, 'b32', ((width * bytes) / 4) as 1 | 2 | 4);
  const own = isPair ? words.slice(half * bytes, (half + 1) * bytes) : words;
  return unpacked(writer, dtype, own) as unknown as Lanes;
}

/** So many neighbours at once. */
function read(
  { writer }: Emission,
  { constant, version }: Buffer,
  { at: { register, displacement }, isFixed }: { readonly at: Address; readonly isFixed: boolean },
  type: string,
  count: 1 | 2 | 4,
): readonly Value[] {
  const opcode = `ld.global${constant ? '.nc' : ''}${count === 1 ? '' : `.v${count}`}.${type}`;
  return writer.compute(
    Array.from({ length: count }, () => 'u32' as const),
    [register],
    (results, [at]) => {
      const into = count === 1 ? results[0] : `{${results.join(', ')}}`;
      return `${opcode} ${into}, ${reference(at!, displacement)};`;
    },
    constant ? { fixed: isFixed } : { fixed: true, version: `@${version}` },
  );
}

// ── writes ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Stores one value where `mask` holds (undefined: anyhow). */
export function storeOne(
  emission: Emission,
  tensor: TensorId,
  first: Sum,
  value: Value,
  mask: Value | undefined,
): void {
  const buffer = bufferOf(emission, tensor);
  const { dtype } = buffer.tensor;
  const { register, displacement } = addressOf(emission, buffer, first);
  const bits = encoded(emission.writer, dtype, value);
  const type = elementTypes[bytesOf(dtype)];
  emission.writer.effect(`st.global.${type} ${reference(register.text, displacement)}, ${bits.text};`, mask);
  buffer.version++;
}

/** Stores four neighbours of the tile, each where its `mask` holds. */
export function storeLanes(
  emission: Emission,
  tensor: TensorId,
  places: Places,
  values: Lanes,
  mask: Lanes | undefined,
): void {
  const buffer = bufferOf(emission, tensor);
  const four = [0, 1, 2, 3].map((lane) => laneOf(values, lane));
  if (places.kind === 'strided' && places.isAligned && mask?.length !== 4) {
    const words = packedWords(emission.writer, buffer.tensor.dtype, four);
    storeWords(emission, buffer, places.first, words, mask?.[0]);
    return;
  }
  for (const [lane, value] of four.entries()) {
    storeOne(emission, tensor, placeOf(places, lane), value, mask && laneOf(mask, lane));
  }
}

/** Whether two runs of four of the tensor's elements may be stored as one. */
export function mayStoreEight(emission: Emission, tensor: TensorId): boolean {
  return bytesOf(bufferOf(emission, tensor).tensor.dtype) < 4;
}

/** Stores eight neighbours where `mask` holds; `upper` says where the second four of them lie. */
export function storeEight(
  emission: Emission,
  tensor: TensorId,
  upper: StridedPlaces,
  values: readonly [Lanes, Lanes],
  mask: Value | undefined,
): void {
  const first = plus(upper.first, linearConstant(-4));
  const buffer = bufferOf(emission, tensor);
  const words = values.flatMap((four) =>
    packedWords(
      emission.writer,
      buffer.tensor.dtype,
      [0, 1, 2, 3].map((lane) => laneOf(four, lane)),
    ),
  );
  storeWords(emission, buffer, first, words, mask);
}

/** Stores two neighbours of 32 bits where `mask` holds. */
export function storePair(
  emission: Emission,
  tensor: TensorId,
  first: Sum,
  values: readonly [Value, Value],
  mask: Value | undefined,
): void {
  storeWords(emission, bufferOf(emission, tensor), first, values, mask);
}

/** Neighbours, as the tensor has them. */
export function storeWords(
  emission: Emission,
  buffer: Buffer,
  first: Sum,
  words: readonly Value[],
  mask: Value | undefined,
): void {
  const { register, displacement } = addressOf(emission, buffer, first);
  const type = words.length === 1 ? 'b32' : `v${words.length}.b32`;
  const texts = words.map(({ text }) => text);
  const from = texts.length === 1 ? texts[0] : `{${texts.join(', ')}}`;
  emission.writer.effect(`st.global.${type} ${reference(register.text, displacement)}, ${from};`, mask);
  buffer.version++;
}
