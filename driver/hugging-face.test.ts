import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { config, makeCheckpoint } from '../examples/mixtral/make-checkpoint.ts';
import { isUserError, type UserError } from '../runtime/errors.ts';
import { openSafetensors } from '../runtime/weights/safetensors.ts';
import { readCheckpoint } from './hugging-face.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-checkpoint-'));
  makeCheckpoint(folder, new TextEncoder().encode('the cat sat on the mat'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function failure(work: () => unknown): UserError {
  try {
    work();
  } catch (error) {
    if (isUserError(error)) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

function editConfig(change: Record<string, unknown>): void {
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...change }));
}

test('experts and layers are stacked, in order', () => {
  const { sizes, weights, settings } = readCheckpoint(folder);
  expect(Object.fromEntries(sizes)).toEqual({ V: 256, D: 128, F: 128, L: 2, G: 2, R: 4, P: 8, E: 8, K: 2 });
  expect(Object.fromEntries(settings)).toEqual({ theta: 10000, epsilon: 1e-5 });
  const gate = weights.get('weights.layers.experts.gate');
  expect(gate?.shape).toEqual([2, 8, 128, 128]);
  const source = openSafetensors(folder);
  const one = source.tensor('model.layers.1.block_sparse_moe.experts.3.w1.weight').read();
  const start = (8 + 3) * one.bytes.length;
  expect(gate?.read().bytes.subarray(start, start + one.bytes.length)).toEqual(one.bytes);
});

test('the same text makes the same bytes', () => {
  const again = mkdtempSync(join(tmpdir(), 'ricci-checkpoint-'));
  makeCheckpoint(again, new TextEncoder().encode('the cat sat on the mat'));
  const file = 'model-00002-of-00002.safetensors';
  expect(readFileSync(join(again, file)).equals(readFileSync(join(folder, file)))).toBe(true);
  rmSync(again, { recursive: true });
});

test('an architecture without a layout is refused by name', () => {
  editConfig({ architectures: ['FalconForCausalLM'] });
  expect(failure(() => readCheckpoint(folder)).message).toContain('FalconForCausalLM');
});

test('a setting that is no number is refused by its name', () => {
  editConfig({ hidden_size: 'many' });
  expect(failure(() => readCheckpoint(folder)).message).toContain('hidden_size');
});

test('heads that do not divide are refused', () => {
  editConfig({ num_key_value_heads: 3 });
  expect(failure(() => readCheckpoint(folder)).message).toContain('8 heads of 16 over 3');
});

test('more layers than there are tensors for: the first that is missing is named', () => {
  editConfig({ num_hidden_layers: 3 });
  expect(failure(() => readCheckpoint(folder)).message).toContain('model.layers.2.input_layernorm.weight');
});

test('a truncated shard is refused', () => {
  const shard = join(folder, 'model-00002-of-00002.safetensors');
  writeFileSync(shard, readFileSync(shard).subarray(0, -5));
  expect(failure(() => readCheckpoint(folder)).code).toBe('malformed-file');
});

test('a folder without a configuration is refused', () => {
  rmSync(join(folder, 'config.json'));
  expect(failure(() => readCheckpoint(folder)).code).toBe('file-access');
});
