/** What matrix units multiply, as PTX says it. */
import { type Packed, packedFacts, unitBytes } from '../../../compiler/tiles/packed.ts';
import { packedWords } from './narrow.ts';
import type { Value } from './values.ts';
import type { Writer } from './writer.ts';

/** Of factors, in `mma` and `wgmma`. */
export const unitTypes: { readonly [P in Packed]: string } = {
  bf16: 'bf16',
  f16: 'f16',
  tf32: 'tf32',
  f8e4m3: 'e4m3',
  f8e5m2: 'e5m2',
};

/** Elements along what is reduced of one instruction. */
export function unitDepth(stored: Packed): number {
  return unitBytes / packedFacts[stored].bytes;
}

/** Elements of sixteen bytes. */
export function pieceElements(stored: Packed): number {
  return 16 / packedFacts[stored].bytes;
}

/** The words of four elements. */
export function unitWords(writer: Writer, stored: Packed, values: readonly Value[]): readonly Value[] {
  if (stored === 'tf32') return values.map((value) => roundedToTf32(writer, value));
  return packedWords(writer, stored, values);
}

/** To the nearest of eleven bits: units would cut off the rest. */
export function roundedToTf32(writer: Writer, value: Value): Value {
  return writer.operation('cvt.rna.tf32.f32', 'u32', [value]);
}
