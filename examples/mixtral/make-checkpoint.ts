/**
 * Makes a small checkpoint in Hugging Face's Mixtral layout: config.json, two safetensors shards and their
 * index.
 *
 * The model is not trained. Its embedding and head are built from the byte pairs of a text, so that on its
 * own the residual stream predicts the likeliest next byte; attention and experts are small random maps on
 * top of that.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { writeShardedSafetensors } from '../../runtime/weights/write-sharded.ts';

/** Hugging Face's names for what the model's sizes are; see `MixtralConfig` in transformers. */
export const config = {
  architectures: ['MixtralForCausalLM'],
  model_type: 'mixtral',
  vocab_size: 256,
  hidden_size: 128,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  head_dim: 16,
  num_local_experts: 8,
  num_experts_per_tok: 2,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  torch_dtype: 'bfloat16',
} as const;

/** ASCII fits the hidden size: byte b is the unit vector b mod 128. */
const lanes = config.hidden_size;

/** Writes the checkpoint into `folder`. The same text gives the same bytes. */
export function makeCheckpoint(folder: string, text: Uint8Array): void {
  const random = generator(20241007);
  const normal = (rows: readonly number[], deviation: number) =>
    bfloat16(rows, () => deviation * gaussian(random));
  const { hidden_size: d, intermediate_size: f, head_dim: a } = config;
  const heads = config.num_attention_heads * a;
  const keys = config.num_key_value_heads * a;

  const outer: [string, TensorData][] = [
    ['model.embed_tokens.weight', embedding()],
    ['model.norm.weight', bfloat16([d], () => 1)],
    ['lm_head.weight', head(text)],
  ];
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    const at = `model.layers.${layer}`;
    const experts = Array.from({ length: config.num_local_experts }, (_, expert): [string, TensorData][] => {
      const weights = `${at}.block_sparse_moe.experts.${expert}`;
      return [
        [`${weights}.w1.weight`, normal([f, d], 0.08)],
        [`${weights}.w2.weight`, normal([d, f], 0.08)],
        [`${weights}.w3.weight`, normal([f, d], 0.08)],
      ];
    });
    return [
      [`${at}.input_layernorm.weight`, bfloat16([d], () => 1)],
      [`${at}.self_attn.q_proj.weight`, normal([heads, d], 0.08)],
      [`${at}.self_attn.k_proj.weight`, normal([keys, d], 0.08)],
      [`${at}.self_attn.v_proj.weight`, normal([keys, d], 0.08)],
      [`${at}.self_attn.o_proj.weight`, normal([d, heads], 0.08)],
      [`${at}.post_attention_layernorm.weight`, bfloat16([d], () => 1)],
      [`${at}.block_sparse_moe.gate.weight`, normal([config.num_local_experts, d], 0.5)],
      ...experts.flat(),
    ] as [string, TensorData][];
  });

  mkdirSync(folder, { recursive: true });
  writeShardedSafetensors(folder, [
    new Map([...outer, ...(layers[0] ?? [])]),
    new Map(layers.slice(1).flat()),
  ]);
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(config, undefined, 2)}\n`);
}

/** Row b is 8 × the unit vector of its lane: large against what the layers add. */
function embedding(): TensorData {
  return bfloat16([config.vocab_size, lanes], (place) =>
    place % lanes === Math.floor(place / lanes) % lanes ? 8 : 0,
  );
}

/**
 * head[next, lane] = log P(next | lane's byte) by counts with add-one smoothing, scaled for a normed unit
 * vector.
 */
function head(text: Uint8Array): TensorData {
  const counts = new Float64Array(config.vocab_size * lanes).fill(0.05);
  const totals = new Float64Array(lanes).fill(0.05 * config.vocab_size);
  for (let place = 0; place + 1 < text.length; place++) {
    const lane = (text[place] ?? 0) % lanes;
    const entry = (text[place + 1] ?? 0) * lanes + lane;
    counts[entry] = (counts[entry] ?? 0) + 1;
    totals[lane] = (totals[lane] ?? 0) + 1;
  }
  const scale = 1 / Math.sqrt(lanes);
  return bfloat16(
    [config.vocab_size, lanes],
    (place) => scale * Math.log((counts[place] ?? 0) / (totals[place % lanes] ?? 1)),
  );
}

/** A bf16 tensor, each element rounded to nearest even. */
function bfloat16(shape: readonly number[], element: (place: number) => number): TensorData {
  const count = shape.reduce((product, extent) => product * extent, 1);
  const words = new Uint16Array(count);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  for (let place = 0; place < count; place++) {
    float[0] = element(place);
    const word = bits[0] ?? 0;
    words[place] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return { dtype: 'bf16', shape, bytes: new Uint8Array(words.buffer) };
}

/** mulberry32: uniform in [0, 1). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Box and Muller 1958. */
function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
