/**
 * The pages of schemes are true: on each mesh a page's program computes what it computes on one device, and
 * each device sends as many bytes as the page's formula says.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import {
  gatheredContextTraffic,
  type LayerSizes,
  ringTraffic,
  type SchemeName,
  schemeFormulas,
  tensorSequenceTraffic,
  twoDimensionalTraffic,
  ulyssesTraffic,
} from '../compiler/partition/scheme-traffic.ts';
import { type Checked, checkFile } from '../driver/check.ts';
import { explain } from '../driver/explain.ts';
import { lower } from '../driver/lower.ts';
import { packageRoot } from '../driver/package-root.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import { type TensorData, tensorValues } from '../runtime/weights/tensor-data.ts';
import { distance } from './run-entry.ts';

type Numbers = Readonly<Record<string, number>>;
type Tensors = ReadonlyMap<string, TensorData>;

interface Scheme {
  readonly page: string;
  readonly entry: string;
  readonly sizes: Numbers;
  readonly meshes: readonly Numbers[];
  /** Elements that each device sends. */
  readonly sent: (axes: Numbers) => number;
  /** The scheme of which the page shows the formula. */
  readonly formula?: SchemeName;
}

/** Devices along one axis. */
const along = (axis: string, counts: readonly number[]): readonly Numbers[] =>
  counts.map((count) => ({ [axis]: count }));

/** The part of a block that goes to others when it is spread over so many devices. */
const others = (devices: number): number => (devices - 1) / devices;

const [T, D, F, L] = [24, 6, 12, 3];
const attention = { S: 24, G: 12, R: 2, A: 3 };
const heads: LayerSizes = { tokens: 24, queryHeads: 24, keyHeads: 12, headSize: 3 };
/** Activations of a layer, whose width is D. */
const activations: LayerSizes = { tokens: 24, queryHeads: 1, keyHeads: 1, headSize: D };
const layer = { S: 24, D, F, G: 12, R: 2, A: 3, L };
const lookedUp = [{ dp: 2, ep: 1 }, { dp: 1, ep: 3 }, { dp: 2, ep: 2 }, { dp: 3, ep: 4 }, { ep: 6, dp: 2 }]; // biome-ignore format: one table

const groups = { S: 12, T: 4, C: 2, D, F: 6, E: 12 };
const folded = { P: 12, T: 2, D, G: 12, R: 2, A: 2, E: 12, F: 3, K: 2 };
const piped = { M: 4, B: 6, D, F: 3, L: 12 };

const schemes: readonly Scheme[] = [
  {
    page: 'data-parallel',
    entry: 'forward',
    sizes: { T, D, F },
    meshes: along('dp', [2, 3, 4, 6]),
    sent: () => 0,
  },
  {
    page: 'data-parallel',
    entry: 'step',
    sizes: { T, D, F },
    meshes: along('dp', [2, 3, 4, 6]),
    sent: ({ dp = 1 }) => 2 * others(dp) * D * F,
  },
  {
    page: 'fully-sharded',
    entry: 'forward',
    sizes: { T, D, F, L },
    meshes: along('dp', [2, 3, 4, 6]),
    sent: ({ dp = 1 }) => L * others(dp) * 2 * D * F,
  },
  {
    page: 'fully-sharded',
    entry: 'step',
    sizes: { T, D, F },
    meshes: along('dp', [2, 3, 4, 6]),
    sent: ({ dp = 1 }) => others(dp) * D * F,
  },
  {
    page: 'tensor-parallel',
    entry: 'layers',
    sizes: layer,
    meshes: along('tp', [2, 3, 4, 6]),
    sent: ({ tp = 1 }) => L * tensorSequenceTraffic(activations, tp).forward,
    formula: 'tensor and sequence',
  },
  {
    page: 'sequence-parallel',
    entry: 'layers',
    sizes: layer,
    meshes: along('tp', [2, 3, 4, 6]),
    sent: ({ tp = 1 }) => L * tensorSequenceTraffic(activations, tp).forward,
    formula: 'tensor and sequence',
  },
  {
    page: 'gathered-context',
    entry: 'attend',
    sizes: attention,
    meshes: along('cp', [2, 3, 4, 6, 8]),
    sent: ({ cp = 1 }) => gatheredContextTraffic(heads, cp).forward,
    formula: 'gathered context',
  },
  {
    page: 'ulysses',
    entry: 'attend',
    sizes: attention,
    meshes: along('sp', [2, 3, 4, 6]),
    sent: ({ sp = 1 }) => ulyssesTraffic(heads, sp).forward,
    formula: 'ulysses',
  },
  {
    page: 'ring',
    entry: 'attend',
    sizes: attention,
    meshes: along('sp', [2, 3, 4, 6, 8]),
    sent: ({ sp = 1 }) => ringTraffic(heads, sp).forward,
    formula: 'ring',
  },
  {
    page: 'two-dimensional',
    entry: 'attend',
    sizes: attention,
    meshes: [
      { node: 2, gpu: 1 }, { node: 1, gpu: 3 }, { node: 2, gpu: 2 }, { node: 3, gpu: 2 }, { gpu: 4, node: 2 },
    ], // biome-ignore format: one table
    sent: ({ node = 1, gpu = 1 }) => twoDimensionalTraffic(heads, { ulysses: gpu, ring: node }).forward,
    formula: 'two-dimensional',
  },
  {
    page: 'experts',
    entry: 'mixture',
    sizes: { T, D, F, E: 12, K: 2 },
    meshes: lookedUp,
    sent: ({ dp = 1, ep = 1 }) => 2 * others(ep) * (T / dp) * D,
  },
  {
    page: 'experts',
    entry: 'embed',
    sizes: { T, D, V: 12 },
    meshes: lookedUp,
    sent: ({ dp = 1, ep = 1 }) => 2 * others(ep) * (T / dp) * D,
  },
  {
    page: 'experts',
    entry: 'losses',
    sizes: { T, D, V: 12 },
    meshes: lookedUp,
    sent: ({ dp = 1, ep = 1 }) => 3 * 2 * others(ep) * (T / dp),
  },
  {
    page: 'dispatch',
    entry: 'dropless',
    sizes: { B: 6, T, D, F: 3, E: 12, K: 2 },
    meshes: lookedUp,
    sent: ({ dp = 1, ep = 1 }) => 2 * others(ep) * 12 * (6 / dp) * (T / ep) * D,
  },
  {
    page: 'dispatch',
    entry: 'limited',
    sizes: { ...groups, K: 3 },
    meshes: along('ep', [2, 3, 4, 6, 12]),
    sent: ({ ep = 1 }) => 2 * others(ep) * groups.E * (groups.S / ep) * groups.C * D + 1,
  },
  {
    page: 'dispatch',
    entry: 'wide',
    sizes: { ...groups, K: 2 },
    meshes: [{ ep: 2, tp: 2 }, { ep: 1, tp: 3 }, { ep: 3, tp: 1 }, { tp: 3, ep: 4 }, { ep: 12, tp: 3 }], // biome-ignore format: one table
    sent: ({ ep = 1, tp = 1 }) =>
      2 * others(ep) * groups.E * (groups.S / ep) * groups.C * D +
      2 * others(tp) * (groups.S / ep) * groups.T * D,
  },
  {
    page: 'dispatch',
    entry: 'gathered',
    sizes: { T, D, F: 3, E: 12, K: 2 },
    meshes: along('ep', [2, 3, 4, 6]),
    sent: ({ ep = 1 }) => others(ep) * T * (2 * D + 2 * 2),
  },
  {
    page: 'dispatch',
    entry: 'derived',
    sizes: { T, D, F: 3, E: 12, K: 2 },
    meshes: along('ep', [2, 3, 4, 6, 12]),
    sent: ({ ep = 1 }) => 2 * others(ep) * 12 * (T / ep) * D,
  },
  {
    page: 'parallel-folding',
    entry: 'layer',
    sizes: folded,
    meshes: [{ sp: 2, tp: 1 }, { sp: 1, tp: 3 }, { sp: 2, tp: 2 }, { sp: 2, tp: 3 }, { tp: 4, sp: 3 }], // biome-ignore format: one table
    sent: ({ sp = 1, tp = 1 }) => {
      const tokens = (folded.P * folded.T) / (sp * tp);
      const keys = tokens * tp * (folded.G / tp) * folded.A;
      return 2 * (tp - 1) * tokens * D + 2 * (sp - 1) * keys + 2 * others(sp * tp) * folded.E * tokens * D;
    },
  },
  {
    page: 'pipeline',
    entry: 'forward',
    sizes: piped,
    meshes: [{ dp: 1, pp: 2 }, { dp: 2, pp: 3 }, { dp: 3, pp: 1 }, { pp: 6, dp: 2 }, { dp: 6, pp: 4 }], // biome-ignore format: one table
    sent: ({ dp = 1, pp = 1 }) =>
      pp === 1 ? 0 : (piped.M + pp - 1 + 2 * others(pp) * piped.M) * (piped.B / dp) * D,
  },
  {
    page: 'pipeline',
    entry: 'mean_distance',
    sizes: piped,
    meshes: along('pp', [2, 3, 4, 6, 12]),
    sent: ({ pp = 1 }) => (piped.M + pp - 1) * piped.B * D + 1,
  },
];

/** As for every program on a mesh: sums are taken in another order. */
const tolerance = 2e-5;

const pages = join(packageRoot, 'docs/schemes');
const textOf = (page: string): string => readFileSync(join(pages, `${page}.md`), 'utf8');

const folder = mkdtempSync(join(tmpdir(), 'ricci-schemes-'));
afterAll(() => rmSync(folder, { recursive: true }));

function programOf(page: string): string {
  const [, program] = /^```ricci\n([\s\S]*?)^```$/m.exec(textOf(page)) ?? [];
  if (program === undefined) throw new Error(`${page} has no program`);
  return program;
}

function checkText(text: string): Checked {
  const file = join(folder, 'scheme.ricci');
  writeFileSync(file, text);
  const outcome = checkFile(file);
  if (outcome.kind === 'checked') return outcome;
  throw new Error(outcome.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

interface Run {
  readonly outputs: Tensors;
  readonly sentBytes: number;
}

function meshOf(axes: Numbers): Mesh {
  return { axes: Object.entries(axes).map(([name, size]) => ({ name, size })) };
}

/** On one device where there is no mesh. The inputs are the same on all meshes. */
function run(checked: Checked, entry: string, sizes: Numbers, axes?: Numbers): Run {
  const given = new Map(Object.entries({ ...sizes, ...axes }));
  const solved = solveEntrySizes(checked.program, entry, new Map(), given);
  if (solved.kind === 'rejected') throw new Error(solved.diagnostics.map(({ message }) => message).join());
  const alone = { entry, sizes: solved.sizes, inputDtypes: new Map() };
  const instance = axes === undefined ? alone : { ...alone, mesh: meshOf(axes) };
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected')
    throw new Error(lowered.diagnostics.map(({ message }) => message).join('; '));
  const wanted = describeEntry(checked.program, entry).inputs;
  const inputs = new Map(wanted.map((each) => [each.path, randomInput(each, solved.sizes, 3)]));
  if (lowered.device === undefined) return { outputs: runReference(lowered.graph, inputs), sentBytes: 0 };
  return {
    outputs: runReferenceOnMesh({ ...lowered.device, graph: lowered.optimized }, inputs),
    sentBytes: explain(checked, instance, lowered).mesh!.sentBytes,
  };
}

describe.each(schemes)('$page: $entry', ({ page, entry, sizes, meshes, sent }) => {
  const checked = checkText(programOf(page));
  const alone = run(checked, entry, sizes).outputs;

  test.each(meshes.map((axes) => [JSON.stringify(axes), axes] as const))('on %s', (_, axes) => {
    const { outputs, sentBytes } = run(checked, entry, sizes, axes);
    expect(distance(alone, outputs)).toBeLessThanOrEqual(tolerance);
    // Sums of fractions, such as 2/3 of a block, come out whole but for the last bits.
    expect(sentBytes).toBeCloseTo(4 * sent(axes), 6);
  });

  test('is on at least four meshes, of more than one device', () => {
    expect(meshes.length).toBeGreaterThanOrEqual(4);
    for (const axes of meshes)
      expect(Object.values(axes).reduce((product, size) => product * size, 1)).toBeGreaterThan(1);
  });
});

const withFormula = schemes.flatMap(({ page, formula }) =>
  formula === undefined ? [] : [{ page, formula }],
);

test.each(withFormula)('the formula of $page is that of the tables', ({ page, formula }) => {
  // On these pages no key head is sent to more than one device: dk' is dk.
  expect(textOf(page)).toContain(schemeFormulas[formula].forward.replaceAll("dk'", 'dk'));
});

test('every entry of every page is run', () => {
  const exported = readdirSync(pages).flatMap((name) => {
    const page = name.replace(/\.md$/, '');
    return [...programOf(page).matchAll(/^export (?:auto )?fn (\w+)/gm)].map(
      ([, entry]) => `${page} ${entry}`,
    );
  });
  expect(schemes.map(({ page, entry }) => `${page} ${entry}`).toSorted()).toEqual(exported.toSorted());
});

const causal = `import attention

export fn attend(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A]) -> f32[S, G * R, A] =
  attention.causal(q, k, v)
`;

test.each(['gathered-context', 'ulysses', 'ring', 'two-dimensional'])('%s is causal attention', (page) => {
  const wanted = run(checkText(causal), 'attend', attention).outputs;
  const { outputs } = run(checkText(programOf(page)), 'attend', attention);
  expect(distance(wanted, outputs)).toBeLessThanOrEqual(tolerance);
});

const mixture = `import moe

export fn layer[K](x: f32[T, D], gate: f32[E, D], experts: moe.Ffn(D, F)[E]) -> f32[T, D] where K <= E =
  for t: moe.moe[K](x[t], gate, experts)
`;

test.each(['gathered', 'derived'])('%s experts are the mixture of one device', (entry) => {
  const sizes = { T, D, F, E: 12, K: 2 };
  const wanted = run(checkText(mixture), 'layer', sizes).outputs;
  const { outputs } = run(checkText(programOf('dispatch')), entry, sizes, { ep: 4 });
  expect(distance(wanted, outputs)).toBeLessThanOrEqual(tolerance);
});

test.each([
  ['as many slots as tokens', groups.T, true],
  ['one slot', 1, false],
] as const)('%s in each group: the mixture of one device or less', (_, C, isAll) => {
  const counts = { T: groups.S * groups.T, D, F: groups.F, E: groups.E, K: 2 };
  const wanted = run(checkText(mixture), 'layer', counts).outputs;
  const { outputs } = run(
    checkText(programOf('dispatch').replace('softmax_top_k', 'top_k_softmax')),
    'limited',
    {
      ...groups,
      C,
      K: 2,
    },
    { ep: 4 },
  );
  const out = new Map([['out', outputs.get('out.0')!]]);
  expect(distance(wanted, out) <= tolerance).toBe(isAll);
  expect(tensorValues(outputs.get('out.1')!)[0] === 0).toBe(isAll);
});

test('a pipeline is its layers one after another', () => {
  const program = programOf('pipeline');
  const plain = `${program}
export fn plain(x: f32[M, B, D], layers: Layer(D, F)[L]) -> f32[M, B, D] =
  for m: fold w in layers from h = x[m]: for b: block(h[b], w)
`;
  const wanted = run(checkText(plain), 'plain', piped).outputs;
  const { outputs } = run(checkText(program), 'forward', piped, { pp: 4 });
  expect(distance(wanted, outputs)).toBeLessThanOrEqual(tolerance);
});

describe('what is wrong is seen', () => {
  const changed = (page: string, from: string, to: string): Checked => {
    const program = programOf(page);
    expect(program).toContain(from);
    return checkText(program.replace(from, to));
  };

  test('a rank in the place of another', () => {
    const wrong = changed('ring', 'at: me(sp)', 'at: j');
    const alone = run(wrong, 'attend', attention).outputs;
    expect(distance(alone, run(wrong, 'attend', attention, { sp: 3 }).outputs)).toBeGreaterThan(1e-2);
  });

  test.each([
    ['what a stage makes is not passed on', 'let arrived = shift(held, pp)', 'let arrived = held'],
    ['results are taken a step late', 'made[m + (pp - 1), b, d]', 'made[M + pp - 2 - m, b, d]'],
    ['every stage gives its own', 'if me(pp) == pp - 1 then made', 'if me(pp) == 0 then made'],
  ])('%s', (_, from, to) => {
    const wrong = changed('pipeline', from, to);
    const right = run(checkText(programOf('pipeline')), 'forward', piped).outputs;
    expect(distance(right, run(wrong, 'forward', piped, { pp: 3 }).outputs)).toBeGreaterThan(1e-2);
  });

  test('a sum taken over the tokens of one device', () => {
    const wrong = changed(
      'data-parallel',
      'let gradient = all_reduce(part, dp)',
      'let gradient = per_device dp (x, dy) { broadcast(for d, f: sum t: x[t, d] * dy[t, f], dp) }',
    );
    const sizes = { T, D, F };
    const alone = run(wrong, 'step', sizes).outputs;
    expect(distance(alone, run(wrong, 'step', sizes, { dp: 3 }).outputs)).toBeGreaterThan(1e-2);
  });

  test('more bytes than are needed', () => {
    const wrong = changed(
      'gathered-context',
      'let values = all_gather(v, cp)',
      'let values = all_gather(for s, g, a: v[s, g, a] + (max t: all_gather(v, cp)[t, g, a]), cp)',
    );
    const { sentBytes } = run(wrong, 'attend', attention, { cp: 3 });
    expect(sentBytes).toBeGreaterThan(4 * gatheredContextTraffic(heads, 3).forward);
  });
});
