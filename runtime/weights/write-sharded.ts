/** Checkpoints in several files, named and indexed as Hugging Face's tools do. */
import path from 'node:path';
import { writeWhole } from './files.ts';
import { writeSafetensors } from './safetensors.ts';
import type { TensorData } from './tensor-data.ts';

/**
 * Writes `model-00001-of-0000N.safetensors` … and, last, `model.safetensors.index.json` into an existing
 * folder.
 * @throws UserError when a file cannot be written.
 */
export function writeShardedSafetensors(
  folder: string,
  shards: readonly ReadonlyMap<string, TensorData>[],
): void {
  const number = (place: number) => String(place).padStart(5, '0');
  const weightMap: Record<string, string> = {};
  let total = 0;
  shards.forEach((tensors, place) => {
    const file = `model-${number(place + 1)}-of-${number(shards.length)}.safetensors`;
    writeSafetensors(path.join(folder, file), tensors, new Map([['format', 'pt']]));
    for (const [name, { bytes }] of tensors) {
      weightMap[name] = file;
      total += bytes.byteLength;
    }
  });
  const index = { metadata: { total_size: total }, weight_map: weightMap };
  const text = new TextEncoder().encode(`${JSON.stringify(index, undefined, 2)}\n`);
  writeWhole(path.join(folder, 'model.safetensors.index.json'), [text]);
}
