/** Reading and writing storage buffers: single elements and four neighbours, of any dtype. */

import type { TensorId } from '../../compiler/graph/graph.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import { linearConstant } from '../writing/linear.ts';
import type { Buffer, Emission } from './emission.ts';
import { helper } from './emission.ts';
import { type Linear, quarter, sumOf } from './linear.ts';
import { fromLanes, lanes, type Places, placeOf } from './places.ts';
import { elementsPerWord, narrowCodes } from './storage.ts';
import { component, compose } from './values.ts';
import { components } from './wgsl-text.ts';
import type { Value } from './writer.ts';

function bufferOf(emission: Emission, tensor: TensorId): Buffer {
  const buffer = emission.buffers.get(tensor);
  if (buffer === undefined)
    throw new Error(`${emission.program.name} uses tensor ${tensor} without a buffer`);
  return buffer;
}

/** One element, as its arithmetic type. */
export function loadSingle(emission: Emission, tensor: TensorId, offset: Linear): Value {
  const buffer = bufferOf(emission, tensor);
  const { dtype } = buffer.tensor;
  const perWord = elementsPerWord(dtype);
  if (perWord === 1) {
    const arithmetic = dtypeFacts[dtype].arithmetic;
    if (buffer.view === 'single')
      return access(emission, buffer, arithmetic, 1, [sumOf(emission, offset)], ([at]) => `[${at}]`);
    const { block, within } = splitByFour(emission, offset);
    return access(emission, buffer, arithmetic, 1, [block, within], ([at, part]) =>
      /^\d$/.test(part!) ? `[${at}].${components[Number(part)]}` : `[${at}][${part}]`,
    );
  }
  const at = sumOf(emission, offset);
  const shift = Math.log2(perWord);
  const word =
    perWord === 2 && buffer.view === 'four'
      ? access(emission, buffer, 'u32', 1, [at], ([text]) => `[${text} >> 2u][(${text} >> 1u) & 1]`)
      : access(emission, buffer, 'u32', 1, [at], ([text]) => `[${text} >> ${shift}u]`);
  const bits = emission.writer.compute('u32', 1, [word, at], ([text, index]) => {
    const place = `(u32(${index} & ${perWord - 1}) * ${32 / perWord}u)`;
    return `(${text} >> ${place}) & ${perWord === 2 ? '0xffffu' : '0xffu'}`;
  });
  return decode(emission, dtype, bits);
}

/** Reads of what a kernel also writes stay in their place. */
function access(
  emission: Emission,
  buffer: Buffer,
  dtype: Value['dtype'],
  width: 1 | 4,
  index: readonly Value[],
  write: (texts: readonly string[]) => string,
): Value {
  const version: Value = { text: '', key: `@${buffer.version}`, dtype: 'u32', width: 1, depth: 0 };
  return emission.writer.compute(
    dtype,
    width,
    [version, ...index],
    ([tag, ...texts]) => `${buffer.name}${buffer.constant ? '' : tag}${write(texts.map(inRange))}`,
    { fixed: !buffer.constant },
  );
}

/**
 * A read that a condition guards may be out of range, which WGSL allows of an index that is computed, and not
 * of a number.
 */
function inRange(index: string): string {
  return /^\(-\d+\)$/.test(index) ? '0' : index;
}

/** Which group of four an offset is in, and where. */
function splitByFour(emission: Emission, offset: Linear): { block: Value; within: Value } {
  const fours = quarter(emission, offset);
  if (fours !== undefined) {
    const within = ((offset.constant % 4) + 4) % 4;
    return { block: sumOf(emission, fours), within: sumOf(emission, linearConstant(within)) };
  }
  const at = sumOf(emission, offset);
  return {
    block: emission.writer.compute('i32', 1, [at], ([text]) => `${text} >> 2u`),
    within: emission.writer.compute('i32', 1, [at], ([text]) => `${text} & 3`),
  };
}

/** Four neighbours of the tile being computed: one access where they are neighbours in memory. */
export function loadFour(emission: Emission, tensor: TensorId, places: Places): Value {
  const buffer = bufferOf(emission, tensor);
  if (places.kind === 'strided' && places.aligned && canBeWide(buffer)) {
    buffer.wide.used = true;
    return loadAligned(emission, buffer, places.first);
  }
  return compose(
    emission,
    fromLanes((lane) => loadSingle(emission, tensor, placeOf(places, lane))),
  );
}

function canBeWide(buffer: Buffer): boolean {
  return buffer.view === 'four' || elementsPerWord(buffer.tensor.dtype) === 4;
}

function loadAligned(emission: Emission, buffer: Buffer, offset: Linear): Value {
  const { dtype } = buffer.tensor;
  const { block } = splitByFour(emission, offset);
  const { writer } = emission;
  switch (elementsPerWord(dtype)) {
    case 1:
      return access(emission, buffer, dtypeFacts[dtype].arithmetic, 4, [block], ([at]) => `[${at}]`);
    case 2: {
      const words = access(emission, buffer, 'u32', 1, [block], ([at]) => `[${at}]`);
      const bits = writer.compute(
        'u32',
        4,
        [words],
        ([w]) => `vec4u(${w}.x & 0xffffu, ${w}.x >> 16u, ${w}.y & 0xffffu, ${w}.y >> 16u)`,
      );
      return decode(emission, dtype, bits);
    }
    case 4: {
      const word = access(emission, buffer, 'u32', 1, [block], ([at]) => `[${at}]`);
      const bits = writer.compute(
        'u32',
        4,
        [word],
        ([w]) => `(vec4u(${w}) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u)`,
      );
      return decode(emission, dtype, bits);
    }
  }
}

/** The value of a narrow element's bits. */
function decode(emission: Emission, dtype: Dtype, bits: Value): Value {
  const code = narrowCodes[dtype];
  const { arithmetic } = dtypeFacts[dtype];
  const { writer } = emission;
  const { width } = bits;
  if (code === undefined) return bits;
  switch (code.kind) {
    case 'helpers': {
      const name = helper(emission, code.value, width);
      return writer.compute(arithmetic, width, [bits], ([text]) => `${name}(${text})`);
    }
    case 'unsigned':
      return bits;
    case 'signed': {
      const [type, by] = width === 1 ? ['i32', '24u'] : ['vec4i', 'vec4u(24u)'];
      return writer.compute(
        arithmetic,
        width,
        [bits],
        ([text]) => `bitcast<${type}>(${text} << ${by}) >> ${by}`,
      );
    }
    case 'bool':
      return writer.compute(
        arithmetic,
        width,
        [bits],
        ([text]) => `${text} != ${width === 1 ? '0u' : 'vec4u(0u)'}`,
      );
  }
}

/** The bits, in the low part of a word each, of values to be stored in a narrow type. */
function encode(emission: Emission, dtype: Dtype, value: Value): Value {
  const code = narrowCodes[dtype];
  const { writer } = emission;
  const { width } = value;
  if (code === undefined) return value;
  switch (code.kind) {
    case 'helpers': {
      const name = helper(emission, code.bits, width);
      return writer.compute('u32', width, [value], ([text]) => `${name}(${text})`);
    }
    case 'unsigned':
      return writer.compute(
        'u32',
        width,
        [value],
        ([text]) => `${text} & ${width === 1 ? '255u' : 'vec4u(255u)'}`,
      );
    case 'signed': {
      const [type, bits] = width === 1 ? ['u32', '255u'] : ['vec4u', 'vec4u(255u)'];
      return writer.compute('u32', width, [value], ([text]) => `bitcast<${type}>(${text}) & ${bits}`);
    }
    case 'bool':
      return writer.compute('u32', width, [value], ([text]) => `${width === 1 ? 'u32' : 'vec4u'}(${text})`);
  }
}

/** Rounds to a storage type and reads back. */
export function roundTo(emission: Emission, dtype: Dtype, value: Value): Value {
  return narrowCodes[dtype] === undefined ? value : decode(emission, dtype, encode(emission, dtype, value));
}

/** Stores one element of a 32-bit type. */
function storeSingle(emission: Emission, buffer: Buffer, offset: Linear, value: Value): void {
  const { writer } = emission;
  if (buffer.view === 'single') {
    writer.statement(`${buffer.name}[${sumOf(emission, offset).text}] = ${value.text};`);
    return;
  }
  const { block, within } = splitByFour(emission, offset);
  writer.statement(`${buffer.name}[${block.text}][${within.text}] = ${value.text};`);
}

/** Stores one value where `mask` holds (undefined: anyhow). */
export function storeOne(
  emission: Emission,
  tensor: TensorId,
  place: Linear,
  value: Value,
  mask: Value | undefined,
): void {
  const buffer = bufferOf(emission, tensor);
  if (elementsPerWord(buffer.tensor.dtype) !== 1)
    throw new Error(`${emission.program.name} stores part of a word`);
  guarded(emission, mask, () => storeSingle(emission, buffer, place, value));
  buffer.version++;
}

/** Stores four neighbours of the tile, each where its `mask` holds. */
export function storeFour(
  emission: Emission,
  tensor: TensorId,
  places: Places,
  value: Value,
  mask: Value | undefined,
): void {
  const buffer = bufferOf(emission, tensor);
  const aligned = places.kind === 'strided' && places.aligned ? places.first : undefined;
  if (elementsPerWord(buffer.tensor.dtype) !== 1) {
    if (aligned === undefined) throw new Error(`${emission.program.name} stores unaligned words`);
    storePacked(emission, buffer, aligned, encode(emission, buffer.tensor.dtype, value), mask);
  } else if (aligned !== undefined && mask?.width !== 4 && canBeWide(buffer)) {
    buffer.wide.used = true;
    const { block } = splitByFour(emission, aligned);
    guarded(emission, mask, () =>
      emission.writer.statement(`${buffer.name}[${block.text}] = ${value.text};`),
    );
  } else
    for (const lane of lanes)
      guarded(emission, mask && component(mask, lane), () =>
        storeSingle(emission, buffer, placeOf(places, lane), component(value, lane)),
      );
  buffer.version++;
}

function guarded(emission: Emission, mask: Value | undefined, body: () => void): void {
  if (mask === undefined) body();
  else emission.writer.block(`if (${mask.text})`, body);
}

/** A word is stored when its first element is to be: the last one of a tensor is padded. */
function storePacked(
  emission: Emission,
  buffer: Buffer,
  offset: Linear,
  bits: Value,
  mask: Value | undefined,
): void {
  const { writer } = emission;
  const { block } = splitByFour(emission, offset);
  const b = bits.text;
  const store = (place: string, word: string, condition: Value | undefined) =>
    guarded(emission, condition, () => writer.statement(`${buffer.name}${place} = ${word};`));
  const firstMask = mask && component(mask, 0);
  if (elementsPerWord(buffer.tensor.dtype) === 4) {
    store(`[${block.text}]`, `${b}.x | (${b}.y << 8u) | (${b}.z << 16u) | (${b}.w << 24u)`, firstMask);
    return;
  }
  const words = [`${b}.x | (${b}.y << 16u)`, `${b}.z | (${b}.w << 16u)`] as const;
  if (buffer.view === 'four' && mask?.width !== 4) {
    buffer.wide.used = true;
    store(`[${block.text}]`, `vec2u(${words.join(', ')})`, mask);
    return;
  }
  for (const half of [0, 1] as const) {
    const place = buffer.view === 'four' ? `[${block.text}][${half}]` : `[${block.text} * 2 + ${half}]`;
    store(place, words[half], mask && component(mask, 2 * half));
  }
}
