/**
 * Kernels that combine what several devices hold, in one memory. A value is accumulated in its arithmetic
 * type (f32 for floats) in order of rank and rounded once, so that every device gets the same bits in every
 * run.
 */
import { type HelperName, type HelperUse, helperCall, helperTexts } from '../../backends/wgsl/helpers.ts';
import { elementsPerWord, narrowCodes } from '../../backends/wgsl/storage.ts';
import { typeText } from '../../backends/wgsl/wgsl-text.ts';
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import type { CombinePart } from '../../compiler/plan/expand-exchange.ts';
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { KernelSource } from '../webgpu/pipelines.ts';

/** As many as any WebGPU device has: a workgroup costs a software adapter more than what it combines. */
const workgroupSize = 256;
const maxWorkgroups = 65_535;

/**
 * Storage buffers are bound in this order: of the ranks read, of the ranks written unless in place, scratch
 * memory where it is used. The uniform is (elements, first).
 */
export function combineKernel(part: CombinePart): KernelSource {
  const form = formOf(part);
  const { reads, writes, inPlace, continues } = part;
  const results = inPlace ? 0 : writes.length;
  const scratch = continues || writes.length === 0 ? [writes.length === 0 ? 'readwrite' : 'read'] : [];
  const bindings = [
    ...reads.map(() => (inPlace ? 'readwrite' : 'read')),
    ...Array.from({ length: results }, () => 'write'),
    ...scratch,
  ] as ('read' | 'write' | 'readwrite')[];
  const name = [
    'combine',
    part.combiner,
    part.dtype,
    `${reads.length}_to_${writes.length}`,
    ...(inPlace ? ['in_place'] : []),
    ...(continues ? ['continued'] : []),
    ...(form.isAligned ? [] : ['unaligned']),
    ...(form.isSized ? ['sized', part.elements, part.sourceElements] : []),
  ].join('_');
  return [{ name, bindings, counters: 1 }, textOf(part, form, bindings)];
}

/** An invocation a load, in rows of workgroups where there are more than a row can be. */
export function combineGrid(part: CombinePart): readonly [number, number, number] {
  const groups = Math.ceil(part.elements / unitElements(part, formOf(part)) / workgroupSize);
  const across = Math.min(maxWorkgroups, groups);
  return [across, Math.ceil(groups / across), 1];
}

interface Form {
  /** Words that are loaded together. */
  readonly width: 1 | 4;
  /** Whether elements that are combined are at the same place of a word. */
  readonly isAligned: boolean;
  /**
   * Whether the kernel is for one size: an index is then kept within an array by comparing it with a
   * constant, which takes half of the time of looking up how long the array is. The rest share a kernel.
   */
  readonly isSized: boolean;
}

function formOf({ dtype, elements, first, sourceElements }: CombinePart): Form {
  const perWord = elementsPerWord(dtype);
  const isWide = [elements, first, sourceElements].every((at) => at % (4 * perWord) === 0);
  return { width: isWide ? 4 : 1, isAligned: first % perWord === 0, isSized: isWide && elements > 0 };
}

/** Elements of one load. */
function unitElements({ dtype }: CombinePart, { width }: Form): number {
  return width * elementsPerWord(dtype);
}

function textOf(part: CombinePart, form: Form, bindings: readonly string[]): string {
  const { dtype, combiner, reads, writes, inPlace, continues } = part;
  const { width } = form;
  const word = typeText('u32', width);
  const code = wordCodes(dtype, width);
  const combining = combinations(dtypeFacts[dtype].arithmetic, width)[combiner];
  const perUnit = unitElements(part, form);
  const sources = reads.map((_, at) => `source_${at}`);
  const results = inPlace ? sources : writes.map((_, at) => `result_${at}`);
  const names = [...new Set([...sources, ...results]), 'scratch'];
  const typeOf = (name: string): string => {
    if (!form.isSized || name === 'scratch') return `array<${word}>`;
    return `array<${word}, ${(sources.includes(name) ? part.sourceElements : part.elements) / perUnit}>`;
  };
  const lanes = Array.from({ length: code.lanes }, (_, lane) => {
    const values = sources.map((_, at) => code.value(`word_${at}`, lane));
    const stored = `bitcast<${typeText(code.accumulated, width)}>(scratch[at * ${code.lanes}u + ${lane}u])`;
    return (continues ? [stored, ...values] : values).reduce(combining.write);
  });
  const totals = lanes.map((value, lane) => `let total_${lane} = ${value};`);
  const ends =
    writes.length === 0
      ? lanes.map((_, lane) => `scratch[at * ${code.lanes}u + ${lane}u] = bitcast<${word}>(total_${lane});`)
      : [
          `let combined = ${code.pack(lanes.map((_, lane) => `total_${lane}`))};`,
          ...results.map((name) => `${name}[at] = combined;`),
        ];
  return [
    ...bindings.map((access, at) => {
      const mode = access === 'read' ? 'read' : 'read_write';
      const name = names[at] ?? 'scratch';
      return `@group(0) @binding(${at}) var<storage, ${mode}> ${name}: ${typeOf(name)};`;
    }),
    `@group(0) @binding(${bindings.length}) var<uniform> place: vec4<u32>;`,
    ...helperTexts([...code.helpers, ...combining.helpers]),
    `@compute @workgroup_size(${workgroupSize})`,
    'fn main(',
    '  @builtin(workgroup_id) workgroup: vec3u,',
    '  @builtin(num_workgroups) workgroups: vec3u,',
    '  @builtin(local_invocation_index) invocation: u32,',
    ') {',
    `  let at = (workgroup.y * workgroups.x + workgroup.x) * ${workgroupSize}u + invocation;`,
    `  if (at >= (place.x + ${perUnit - 1}u) / ${perUnit}u) { return; }`,
    `  let first = place.y / ${perUnit}u;`,
    ...(form.isAligned ? [] : [`  let shift = (place.y % ${perUnit}u) * ${32 / perUnit}u;`]),
    ...sources.map((name, at) => `  let word_${at} = ${fetched(name, form)};`),
    ...[...totals, ...ends].map((line) => `  ${line}`),
    '}',
    '',
  ].join('\n');
}

/** A word whose elements may begin within a word of memory and end in the next. */
function fetched(name: string, { isAligned }: Form): string {
  const word = `${name}[first + at]`;
  if (isAligned) return word;
  return `select(${word}, (${word} >> shift) | (${name}[first + at + 1u] << (32u - shift)), shift > 0u)`;
}

// ── elements of words ──────────────────────────────────────────────────────────────────────────────────────

interface WordCodes {
  readonly accumulated: Arithmetic;
  /** Values in a word. */
  readonly lanes: 1 | 2 | 4;
  readonly value: (word: string, lane: number) => string;
  /** The word of the values of all lanes. */
  readonly pack: (values: readonly string[]) => string;
  readonly helpers: readonly HelperUse[];
}

function wordCodes(dtype: Dtype, width: 1 | 4): WordCodes {
  const word = typeText('u32', width);
  const lanes = elementsPerWord(dtype);
  const { arithmetic } = dtypeFacts[dtype];
  const bits = 32 / lanes;
  const mask = `${word}(${2 ** bits - 1}u)`;
  const moved = (text: string, by: '>>' | '<<', lane: number) =>
    lane === 0 ? `(${text})` : `((${text}) ${by} ${word}(${bits * lane}u))`;
  // Nothing is above the last.
  const field = (text: string, lane: number) =>
    lane === lanes - 1 ? moved(text, '>>', lane) : `(${moved(text, '>>', lane)} & ${mask})`;
  const packed = (values: readonly string[]) =>
    values.map((value, lane) => moved(value, '<<', lane)).join(' | ');
  if (dtype === 'bf16') return bf16Codes(width);
  const code = narrowCodes[dtype];
  switch (code?.kind) {
    case undefined:
      return {
        accumulated: arithmetic,
        lanes: 1,
        value: (text) => `bitcast<${typeText(arithmetic, width)}>(${text})`,
        pack: ([value]) => `bitcast<${word}>(${value})`,
        helpers: [],
      };
    case 'helpers': {
      const called = (name: HelperName) => helperCall({ name, width });
      return {
        accumulated: arithmetic,
        lanes,
        value: (text, lane) => `${called(code.value)}(${field(text, lane)})`,
        pack: (values) => packed(values.map((value) => `${called(code.bits)}(${value})`)),
        helpers: [code.value, code.bits].map((name) => ({ name, width })),
      };
    }
    case 'unsigned':
      return {
        accumulated: arithmetic,
        lanes,
        value: field,
        pack: (values) => packed(values.map((value) => `${value} & ${mask}`)),
        helpers: [],
      };
    case 'signed': {
      const [signed, up] = [typeText('i32', width), `${word}(${32 - bits}u)`];
      return {
        accumulated: arithmetic,
        lanes,
        value: (text, lane) => `(bitcast<${signed}>(${field(text, lane)} << ${up}) >> ${up})`,
        pack: (values) => packed(values.map((value) => `bitcast<${word}>(${value}) & ${mask}`)),
        helpers: [],
      };
    }
    case 'bool':
      // Bytes of 0 and 1: bit by bit, whole words at once.
      return { accumulated: 'u32', lanes: 1, value: (text) => text, pack: ([value]) => value!, helpers: [] };
  }
}

/** The upper of two needs not be moved: as an f32 it is where it was. */
function bf16Codes(width: 1 | 4): WordCodes {
  const word = typeText('u32', width);
  const [value, bits, upper] = (['bf16_value', 'bf16_bits', 'bf16_upper'] as const).map((name) =>
    helperCall({ name, width }),
  );
  return {
    accumulated: 'f32',
    lanes: 2,
    value: (text, lane) =>
      lane === 0
        ? `${value}(${text})`
        : `bitcast<${typeText('f32', width)}>((${text}) & ${word}(0xffff0000u))`,
    pack: ([low, high]) => `${bits}(${low}) | ${upper}(${high})`,
    helpers: [
      { name: 'bf16_value', width },
      { name: 'bf16_bits', width },
    ],
  };
}

interface Combination {
  readonly write: (left: string, right: string) => string;
  readonly helpers: readonly HelperUse[];
}

/** The sum of truths is whether there is any. */
function combinations(
  arithmetic: Arithmetic,
  width: 1 | 4,
): { readonly [C in PendingCombiner]: Combination } {
  const infix = (sign: string): Combination => ({
    write: (left, right) => `(${left} ${sign} ${right})`,
    helpers: [],
  });
  const builtin = (name: string): Combination => ({
    write: (left, right) => `${name}(${left}, ${right})`,
    helpers: [],
  });
  const helper = (name: HelperName): Combination => ({
    ...builtin(helperCall({ name, width })),
    helpers: [{ name, width }],
  });
  switch (arithmetic) {
    case 'bool':
      return { sum: infix('|'), max: infix('|'), min: infix('&') };
    case 'f32':
      return { sum: infix('+'), max: helper('nan_max'), min: helper('nan_min') };
    case 'i32':
    case 'u32':
      return { sum: infix('+'), max: builtin('max'), min: builtin('min') };
  }
}
