/**
 * Hugging Face checkpoints as inputs of the standard library's models: which tensor of the checkpoint each
 * parameter is, and which sizes its config.json fixes. One table an architecture; see the checkpoints' own
 * index files.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fileReason } from '../compiler/plan/file-reason.ts';
import { UserError } from '../runtime/errors.ts';
import { openSafetensors, type TensorSource } from '../runtime/weights/safetensors.ts';
import { type StoredTensor, stacked } from '../runtime/weights/stored-tensor.ts';

/** What a checkpoint gives to an entry: its sizes, its weights by parameter path, and its scalar settings. */
export interface Checkpoint {
  readonly module: string;
  readonly entry: string;
  readonly sizes: ReadonlyMap<string, number>;
  readonly weights: ReadonlyMap<string, StoredTensor>;
  /** `theta`, `epsilon`. */
  readonly settings: ReadonlyMap<string, number>;
}

const configSchema = z.object({
  architectures: z.array(z.string()).min(1),
  vocab_size: z.number().int().positive(),
  hidden_size: z.number().int().positive(),
  intermediate_size: z.number().int().positive(),
  num_hidden_layers: z.number().int().positive(),
  num_attention_heads: z.number().int().positive(),
  num_key_value_heads: z.number().int().positive().optional(),
  head_dim: z.number().int().positive().nullish(),
  num_local_experts: z.number().int().positive().optional(),
  num_experts_per_tok: z.number().int().positive().optional(),
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().default(10000),
});
type Config = z.infer<typeof configSchema>;

interface Layout {
  readonly module: string;
  /**
   * Parameter path to tensor name; `{layer}` and `{expert}` become leading dimensions, in the order they
   * stand.
   */
  readonly tensors: Readonly<Record<string, string>>;
}

const attentionTensors = {
  'weights.embed': 'model.embed_tokens.weight',
  'weights.norm': 'model.norm.weight',
  'weights.head': 'lm_head.weight',
  'weights.layers.attention_norm': 'model.layers.{layer}.input_layernorm.weight',
  'weights.layers.attention.q': 'model.layers.{layer}.self_attn.q_proj.weight',
  'weights.layers.attention.k': 'model.layers.{layer}.self_attn.k_proj.weight',
  'weights.layers.attention.v': 'model.layers.{layer}.self_attn.v_proj.weight',
  'weights.layers.attention.o': 'model.layers.{layer}.self_attn.o_proj.weight',
  'weights.layers.ffn_norm': 'model.layers.{layer}.post_attention_layernorm.weight',
};

const layouts: Readonly<Record<string, Layout>> = {
  LlamaForCausalLM: {
    module: 'llama',
    tensors: {
      ...attentionTensors,
      'weights.layers.ffn.gate': 'model.layers.{layer}.mlp.gate_proj.weight',
      'weights.layers.ffn.up': 'model.layers.{layer}.mlp.up_proj.weight',
      'weights.layers.ffn.down': 'model.layers.{layer}.mlp.down_proj.weight',
    },
  },
  MixtralForCausalLM: {
    module: 'mixtral',
    tensors: {
      ...attentionTensors,
      'weights.layers.router': 'model.layers.{layer}.block_sparse_moe.gate.weight',
      'weights.layers.experts.gate': 'model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight',
      'weights.layers.experts.up': 'model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight',
      'weights.layers.experts.down': 'model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight',
    },
  },
};

/**
 * Opens a checkpoint folder (config.json and model.safetensors, or its shards and index). Weights are read
 * when asked for.
 * @throws UserError for an unknown architecture, a malformed file, or a missing or misshapen tensor.
 */
export function readCheckpoint(folder: string): Checkpoint {
  const config = readConfig(join(folder, 'config.json'));
  const architecture = config.architectures[0] ?? '';
  const layout = layouts[architecture];
  if (layout === undefined) {
    throw new UserError(
      'malformed-file',
      `${folder}: no layout for the architecture ${architecture}`,
      `the architectures that can be read are ${Object.keys(layouts).join(', ')}`,
    );
  }
  const source = openSafetensors(folder);
  const extents: Extents = { layer: config.num_hidden_layers, expert: config.num_local_experts ?? 0 };
  const weights = Object.entries(layout.tensors).map(
    ([path, pattern]) => [path, stackedBy(source, pattern, extents)] as const,
  );
  return {
    module: layout.module,
    entry: 'model',
    sizes: sizesOf(config, folder),
    weights: new Map(weights),
    settings: new Map([
      ['theta', config.rope_theta],
      ['epsilon', config.rms_norm_eps],
    ]),
  };
}

function readConfig(path: string): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(
      'file-access',
      `cannot read ${path}: ${fileReason(error)}`,
      'give the folder of a Hugging Face checkpoint, with its config.json',
    );
  }
  const parsed = configSchema.safeParse(parseJson(text, path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw new UserError(
    'malformed-file',
    `${path}: ${field}${issue?.message ?? 'not a model configuration'}`,
    'this is read as a transformers config.json',
  );
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(
      'malformed-file',
      `${path}: not JSON: ${error instanceof Error ? error.message : error}`,
      'this is read as a transformers config.json',
    );
  }
}

function sizesOf(config: Config, folder: string): Map<string, number> {
  const heads = config.num_attention_heads;
  const groups = config.num_key_value_heads ?? heads;
  const head = config.head_dim ?? config.hidden_size / heads;
  if (heads % groups !== 0 || !Number.isInteger(head) || head % 2 !== 0) {
    throw new UserError(
      'malformed-file',
      `${folder}: ${heads} heads of ${head} over ${groups} key-value heads do not divide`,
      'heads must be a multiple of key-value heads, and a head an even number of components',
    );
  }
  return new Map([
    ['V', config.vocab_size],
    ['D', config.hidden_size],
    ['F', config.intermediate_size],
    ['L', config.num_hidden_layers],
    ['G', groups],
    ['R', heads / groups],
    ['P', head / 2],
    ...(config.num_local_experts === undefined ? [] : ([['E', config.num_local_experts]] as const)),
    ...(config.num_experts_per_tok === undefined ? [] : ([['K', config.num_experts_per_tok]] as const)),
  ]);
}

type Placeholder = 'layer' | 'expert';
type Extents = Readonly<Record<Placeholder, number>>;

/** The tensors that `pattern` names, stacked along a leading dimension a placeholder. */
function stackedBy(source: TensorSource, pattern: string, extents: Extents): StoredTensor {
  const placeholders = [...pattern.matchAll(/\{(layer|expert)\}/g)].map((match) => match[1] as Placeholder);
  const leading = placeholders.map((placeholder) => extents[placeholder]);
  const names = placeholders.reduce(
    (patterns, placeholder) =>
      patterns.flatMap((each) =>
        Array.from({ length: extents[placeholder] }, (_, place) =>
          each.replace(`{${placeholder}}`, `${place}`),
        ),
      ),
    [pattern],
  );
  const parts = names.map((name) => source.tensor(name));
  const first = parts[0];
  if (first === undefined) {
    throw new UserError('malformed-file', `${pattern}: there is none`, 'check the counts in config.json');
  }
  const odd = parts.findIndex((part) => part.dtype !== first.dtype || `${part.shape}` !== `${first.shape}`);
  if (odd >= 0) {
    throw new UserError(
      'malformed-file',
      `${names[odd]} is ${show(parts[odd] ?? first)}, ${names[0]} is ${show(first)}`,
      'tensors of the same name in different layers must agree to be stacked',
    );
  }
  return stacked(parts, leading);
}

function show(tensor: StoredTensor): string {
  return `${tensor.dtype}[${tensor.shape.join(', ')}]`;
}
