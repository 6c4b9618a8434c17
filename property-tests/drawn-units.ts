/**
 * Programs that matrix units run, drawn at random and written as Ricci: products in all orders of axes, with
 * what comes before and behind them, and attention with all that may be different about it.
 */
import { type Choose, pick, shuffled } from '../compiler/graph/choice-tape.ts';

export interface DrawnProgram {
  readonly text: string;
  readonly sizes: ReadonlyMap<string, number>;
}

/** What a draw has so far: parameters with their types, and sizes. */
interface Draft {
  readonly choose: Choose;
  readonly parameters: Map<string, string>;
  readonly sizes: Map<string, number>;
}

type Axes = readonly string[];

const sizesOf = (axes: Axes): string => axes.map((axis) => axis.toUpperCase()).join(', ');

function newDraft(choose: Choose): Draft {
  return { choose, parameters: new Map(), sizes: new Map() };
}

function finished({ parameters, sizes }: Draft, imports: string, result: string): DrawnProgram {
  const given = [...parameters].map(([name, type]) => `${name}: ${type}`).join(', ');
  return { text: `${imports}export fn drawn(${given}) -> ${result}\n`, sizes };
}

// ── products ───────────────────────────────────────────────────────────────────────────────────────────────

const stored = ['bf16', 'bf16', 'f16', 'f32', 'f8e4m3'] as const;
const extents = [1, 2, 3, 7, 8, 16, 24, 32, 40, 64, 65, 72, 96, 128] as const;
const depths = [1, 8, 16, 40, 64, 72, 128, 200, 256] as const;

/** The terms of a product as they are read, by what they are read with. */
interface Terms {
  readonly left: Axes;
  readonly right: Axes;
  readonly rows: Axes;
  readonly reduced: Axes;
}

/** How each factor is written, and what it asks for. */
type Before = (
  draft: Draft,
  terms: Terms,
  dtype: string,
) => { readonly left: string; readonly right: string };

const plainLeft = ({ left }: Terms): string => `x[${left.join(', ')}]`;
const plainRight = ({ right }: Terms): string => `w[${right.join(', ')}]`;

const before: { readonly [name: string]: Before } = {
  nothing: (_, terms) => ({ left: plainLeft(terms), right: plainRight(terms) }),
  'a scale of rows': ({ parameters }, terms) => {
    parameters.set('scale', `f32[${sizesOf(terms.rows)}]`);
    return { left: `${plainLeft(terms)} * scale[${terms.rows.join(', ')}]`, right: plainRight(terms) };
  },
  'a scale of steps': ({ parameters }, terms) => {
    parameters.set('scale', `bf16[${sizesOf(terms.reduced)}]`);
    return { left: `${plainLeft(terms)} * scale[${terms.reduced.join(', ')}]`, right: plainRight(terms) };
  },
  'what is positive': (_, terms) => ({ left: `max(${plainLeft(terms)}, 0)`, right: plainRight(terms) }),
  'a rounded sum': ({ parameters }, terms, dtype) => {
    parameters.set('y', `${dtype}[${sizesOf(terms.left)}]`);
    return { left: `bf16(${plainLeft(terms)} + y[${terms.left.join(', ')}])`, right: plainRight(terms) };
  },
  'rows that are looked up': ({ choose, parameters, sizes }, terms, dtype) => {
    const [row] = terms.rows as [string];
    sizes.set('V', pick(choose, [5, 50]));
    const written = (of: (axis: string) => string, own: string) =>
      terms.left.map((axis) => (axis === row ? own : of(axis))).join(', ');
    parameters.set('x', `${dtype}[${written((axis) => axis.toUpperCase(), 'V')}]`);
    parameters.set('at', `ix(V)[${row.toUpperCase()}]`);
    return { left: `x[${written((axis) => axis, `at[${row}]`)}]`, right: plainRight(terms) };
  },
  experts: ({ choose, parameters, sizes }, terms) => {
    const [row] = terms.rows as [string];
    sizes.set('E', pick(choose, [2, 3, 9]));
    parameters.set('w', parameters.get('w')!.replace('[', '[E, '));
    parameters.set('pick', `ix(E)[${row.toUpperCase()}]`);
    return { left: plainLeft(terms), right: `w[pick[${row}], ${terms.right.join(', ')}]` };
  },
};

/** A result made of a sum, at the output's and the columns' indices. */
type Behind = (draft: Draft, sum: string, output: Axes, columns: Axes, rows: Axes) => string;

const behind: { readonly [name: string]: Behind } = {
  nothing: (_, sum) => sum,
  'a bias, a function and a residue': ({ choose, parameters }, sum, output, columns) => {
    parameters.set('bias', `${pick(choose, ['f32', 'bf16'])}[${sizesOf(columns)}]`);
    parameters.set('rest', `bf16[${sizesOf(output)}]`);
    const made = `${pick(choose, ['relu', 'silu', 'gelu'])}(${sum} + bias[${columns.join(', ')}])`;
    return `${made} + rest[${output.join(', ')}]`;
  },
  'a scale of columns': ({ parameters }, sum, _, columns) => {
    parameters.set('by', `f32[${sizesOf(columns)}]`);
    return `${sum} * by[${columns.join(', ')}]`;
  },
  'a half': (_, sum, __, columns, rows) => `if ${rows[0]} >= ${columns[0]} then ${sum} else 0`,
};

export function drawnProduct(choose: Choose): DrawnProgram {
  const draft = newDraft(choose);
  const { parameters, sizes } = draft;
  const some = (name: string, counts: readonly number[], from: readonly number[]): Axes => {
    const count = pick(choose, counts);
    const axes = Array.from({ length: count }, (_, at) => `${name}${at}`);
    // Of several the product is as large as of one.
    const each = count === 1 ? from : from.filter((extent) => extent <= 24);
    for (const axis of axes) sizes.set(axis.toUpperCase(), pick(choose, each));
    return axes;
  };
  const batch = some('b', [0, 0, 1, 2], [1, 2, 3, 5]);
  const [rows, columns] = [some('r', [1, 1, 2], extents), some('c', [1, 1, 2], extents)];
  const reduced = some('k', [1, 1, 2], depths);
  const ordered = (axes: Axes): Axes => (choose(2) === 0 ? axes : shuffled(choose, axes));
  const terms: Terms = {
    ...{ left: ordered([...batch, ...rows, ...reduced]), right: ordered([...batch, ...columns, ...reduced]) },
    ...{ rows, reduced },
  };
  const left = pick(choose, stored);
  parameters.set('x', `${left}[${sizesOf(terms.left)}]`);
  parameters.set('w', `${choose(4) > 0 ? left : pick(choose, stored)}[${sizesOf(terms.right)}]`);
  const factors = before[pick(choose, Object.keys(before))]!(draft, terms, left);
  const output = ordered([...batch, ...rows, ...columns]);
  const sum = `(sum ${reduced.join(', ')}: ${factors.left} * ${factors.right})`;
  const made = behind[pick(choose, Object.keys(behind))]!(draft, sum, output, columns, rows);
  const dtype = pick(choose, ['bf16', 'f32', 'f16']);
  return finished(draft, '', `${dtype}[${sizesOf(output)}] =\n  for ${output.join(', ')}: ${made}`);
}

// ── attention ──────────────────────────────────────────────────────────────────────────────────────────────

/** A dimension, and what it is indexed with: a slice is a row of keys. */
type Dimension = readonly [size: string, index: string];

/** Heads of queries, and of keys and values. */
const heads: readonly { readonly own: readonly Dimension[]; readonly shared: readonly Dimension[] }[] = [
  { own: [], shared: [] },
  { own: [['H', 'h']], shared: [['H', 'h']] },
  { own: [['G * R', '(g, r)']], shared: [['G', 'g']] },
  {
    own: [
      ['G', 'g'],
      ['R', 'r'],
    ],
    shared: [['G', 'g']],
  },
];

const masks = {
  own: ['true', 'u <= s', 'u <= s and s < u + 20', 'u <= s and text[u] == text[s]', 'u <= s or u < 9'],
  other: ['true', 'seen[u]', 'u <= last'],
} as const;

const asked: { readonly [name: string]: string } = { text: 'ix(2)[S]', seen: 'bool[U]', last: 'ix(U)' };

export function drawnAttention(choose: Choose): DrawnProgram {
  const draft = newDraft(choose);
  const { parameters, sizes } = draft;
  const wide = pick(choose, [16, 32, 40, 64, 128]);
  sizes.set('A', wide);
  sizes.set('Z', choose(3) > 0 ? wide : pick(choose, [16, 32, 48, 64]));
  sizes.set('S', pick(choose, [1, 2, 5, 33, 64, 90, 130]));
  const isOwn = choose(2) === 0;
  if (!isOwn) sizes.set('U', pick(choose, [7, 33, 64, 100, 130, 300]));
  const texts: readonly Dimension[] = choose(2) === 0 ? [] : [['B', 'b']];
  const { own, shared } = pick(choose, heads);
  for (const name of [...texts, ...own, ...shared].flatMap(([size]) => size.split(' * ')))
    sizes.set(name, pick(choose, name === 'R' ? [1, 2, 4] : [1, 2, 3]));
  const ordered = (dims: readonly Dimension[]) => (choose(2) === 0 ? dims : shuffled(choose, dims));
  const queries = ordered([...texts, ...own, ['S', 's']]);
  const ofKeys = ordered([...texts, ...shared, [isOwn ? 'S' : 'U', ':']]);
  const ofValues = choose(2) === 0 ? ofKeys : ordered(ofKeys);
  const output = choose(2) === 0 ? queries : ordered(queries);
  const dtype = pick(choose, ['bf16', 'bf16', 'f16']);
  const typed = (dims: readonly Dimension[], last: string) =>
    `[${[...dims.map(([s]) => s), last].join(', ')}]`;
  parameters.set('q', `${dtype}${typed(queries, 'A')}`);
  parameters.set('k', `${dtype}${typed(ofKeys, 'A')}`);
  parameters.set('v', `${dtype}${typed(ofValues, 'Z')}`);
  const mask = pick(choose, isOwn ? masks.own : masks.other);
  for (const [name, type] of Object.entries(asked)) if (mask.includes(name)) parameters.set(name, type);
  const at = (name: string, dims: readonly Dimension[]) =>
    `${name}[${dims.map(([, index]) => index).join(', ')}]`;
  const attended = `attention.attend(${at('q', queries)}, ${at('k', ofKeys)}, ${at('v', ofValues)}, for u: ${mask})`;
  const result = `${pick(choose, ['bf16', 'f32', 'f16'])}${typed(output, 'Z')}`;
  const indices = output.map(([, index]) => index).join(', ');
  return finished(draft, 'import attention\n\n', `${result} =\n  for ${indices}: ${attended}`);
}
