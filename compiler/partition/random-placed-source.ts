/**
 * For tests: random programs in Ricci with placements. A program grows let by let: what the placement checker
 * refuses is dropped again, and where a value lives, as the checker has found, suggests what to do with it
 * next. So a program is accepted when it is complete, and says of every let where it lives.
 */
import fc from 'fast-check';
import { type Placement, showList, showPending } from '../../dsl/placement/placement.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import { checkProgram, type ModuleLoader } from '../../dsl/types/check.ts';
import { placeBody } from '../../dsl/types/placing/check-placement.ts';
import { axesOfCut, type PlacedTensor, tensorsIn } from '../../dsl/types/placing/placed-value.ts';
import type { FunctionInfo } from '../../dsl/types/typed.ts';
import { type Choose, pick } from '../graph/choice-tape.ts';

/** Choices of which a program is made. */
export const tapes = fc.array(fc.noBias(fc.nat(2 ** 16)), { minLength: 100, maxLength: 300, size: 'max' });

export const meshAxes = ['a', 'b', 'c'] as const;

/** Sizes of dimensions as they are written; `G * R` splits. */
const sizes = ['N', 'M', 'G', 'R', 'G * R'] as const;

type Element = 'f32' | 'i32' | 'bool' | `ix(${string})`;

interface Variable {
  readonly name: string;
  readonly element: Element;
  readonly dims: readonly string[];
  readonly placement: Placement;
}

interface Index {
  readonly name: string;
  readonly size: string;
}

/** What a let is tried as. */
interface Proposal {
  readonly template: string;
  readonly text: string;
  readonly element: Element;
  readonly dims: readonly string[];
}

interface Scope {
  readonly choose: Choose;
  readonly variables: readonly Variable[];
  readonly fresh: () => string;
  /** Inside of a per-device block nothing may say where on the mesh it is. */
  readonly isLocal: boolean;
}

export interface RandomPlacedProgram {
  readonly text: string;
  /** By let and refusal, how often each template was tried. */
  readonly accepted: readonly string[];
  readonly refused: readonly string[];
  /** As the checker finds them, of each part of the result. */
  readonly results: readonly Placement[];
}

/**
 * Functions that calls go to: some open, some that ask for a placement. A module of their own, so that they
 * are checked where they are called only.
 */
const library = `module helpers

mesh (a)

type Pair(P, Q) = { u: f32[P], v: f32[P, Q] }

fn rows(x: f32[P, Q]) -> f32[P] = for p: sum q: x[p, q]

fn both(x: f32[P], y: f32[P]) -> f32[P] = for p: x[p] * y[p] + x[p]

fn at(x: f32[P], p: ix(P)) -> f32 = x[p]

fn highest(x: f32[P, Q]) -> f32[P] = for p: max q: x[p, q]

fn twice(x: f32[P]) -> f32[P] { let y = both(x, x)  both(y, x) }

fn normed(x: f32[P, Q]) -> f32[P, Q] = for p: softmax(x[p])

fn on_a(x: f32[P@a]) -> f32[P@a] = for p: x[p] + f32(p)

fn summed(x: f32[P, Q]) -> f32[P] = all_reduce((for p: sum q: x[p, q]), a)

fn paired(x: f32[P], y: f32[P, Q]) -> Pair(P, Q) = Pair(u: both(x, x), v: y)

fn unpaired(w: Pair(P, Q)) -> f32[P, Q] = for p, q: w.u[p] * w.v[p, q]
`;

const helperNames = [...library.matchAll(/^(?:fn|type) (\w+)/gm)].map(([, name]) => name);

export const helpers: ModuleLoader = {
  standardNames: ['helpers'],
  standard: (name) => (name === 'helpers' ? { path: '/helpers.ricci', text: library } : undefined),
  file: () => undefined,
};

export function randomPlacedProgram(choose: Choose): RandomPlacedProgram {
  const facts = randomFacts(choose);
  const parameters = randomParameters(choose);
  let names = 0;
  const fresh = () => `v${names++}`;
  let variables = parameters;
  const lets: { readonly name: string; readonly text: string; readonly type: string }[] = [];
  const accepted: string[] = [];
  const refused: string[] = [];
  const wanted = 1 + choose(6);
  for (let turn = 0; turn < 3 * wanted && lets.length < wanted; turn++) {
    const proposal = propose({ choose, variables, fresh, isLocal: false });
    if (proposal === undefined) continue;
    const name = fresh();
    const type = typeText(proposal.element, proposal.dims);
    const trial = { name, text: proposal.text, type };
    const found = placementsIn(programText(facts, parameters, [...lets, trial], [trial]));
    const [placement] = found ?? [];
    if (placement === undefined) {
      refused.push(proposal.template);
      continue;
    }
    accepted.push(proposal.template);
    lets.push(trial);
    variables = [...variables, { name, element: proposal.element, dims: proposal.dims, placement }];
  }
  const results = variables.filter(({ name }) => lets.some((one) => one.name === name)).slice(-3);
  const shown = results.map(({ name, element, dims, placement }) => ({
    name,
    type: typeText(element, dims, placement),
  }));
  return {
    text: programText(facts, parameters, lets, shown),
    accepted,
    refused,
    results: results.map(({ placement }) => placement),
  };
}

// ── the text ───────────────────────────────────────────────────────────────────────────────────────────────

function typeText(element: Element, dims: readonly string[], placement?: Placement): string {
  const shown = dims.map((size, dim) => {
    const list = showList(placement?.dims[dim] ?? []);
    return list === '' || !size.includes(' ') ? `${size}${list}` : `(${size})${list}`;
  });
  const shape = dims.length === 0 ? '' : `[${shown.join(', ')}]`;
  return `${element}${shape}${placement === undefined ? '' : showPending(placement.pending)}`;
}

function programText(
  facts: readonly string[],
  parameters: readonly Variable[],
  lets: readonly { readonly name: string; readonly text: string }[],
  results: readonly { readonly name: string; readonly type: string }[],
): string {
  const types = results.map(({ type }) => type);
  const names = results.map(({ name }) => name);
  const tuple = (parts: readonly string[]) => (parts.length === 1 ? parts[0]! : `(${parts.join(', ')})`);
  const shown = parameters.map(({ name, element, dims, placement }) => {
    return `  ${name}: ${typeText(element, dims, placement)},\n`;
  });
  return `import helpers (${helperNames.join(', ')})

mesh (${meshAxes.join(', ')})

export fn main[N, M, G, R](
${shown.join('')}) -> ${tuple(types)}${facts.length === 0 ? '' : `\n  where ${facts.join(', ')}`} {
${lets.map(({ name, text }) => `  let ${name} = ${text}\n`).join('')}  ${tuple(names)}
}
`;
}

/** Where the parts of the result of `main` live, whatever its type says; undefined where it is refused. */
function placementsIn(text: string): readonly Placement[] | undefined {
  const source = { path: '/random.ricci', text };
  // What is `auto` is not placed by the checker.
  const asAuto = { ...source, text: text.replace('export fn main', 'auto fn main') };
  const { program, diagnostics } = checkProgram(asAuto, helpers);
  if (diagnostics.length > 0) throw new Error(`${diagnostics[0]!.code} ${diagnostics[0]!.message}\n${text}`);
  const main = [...program.functions.values()].find(({ name }) => name === 'main')!;
  const info: FunctionInfo = { ...main, auto: false };
  const declaration = parse(source).module.declarations.find(
    (one) => one.kind === 'function' && one.name.name === 'main',
  );
  if (declaration?.kind !== 'function') throw new Error('no main');
  let isRefused = false;
  const check = { program, report: () => (isRefused = true), text: () => '…' };
  const { placing, result } = placeBody(info, { declaration }, check);
  for (const used of placing.together) placing.judge(used);
  if (isRefused || result.kind === 'unknown') return undefined;
  return tensorsIn(result).map(placementOf);
}

function placementOf({ cuts, pending }: PlacedTensor): Placement {
  const entries = [...pending].map(([axis, { combiner }]) => [axis, combiner] as const);
  return { dims: cuts.map(axesOfCut), pending: new Map(entries) };
}

// ── parameters ─────────────────────────────────────────────────────────────────────────────────────────────

function randomFacts(choose: Choose): readonly string[] {
  return ['N', 'G', 'R', 'M'].flatMap((size) =>
    choose(3) === 0 ? [] : [`${pick(choose, [...meshAxes, 'a * b', 'b * c'])} | ${size}`],
  );
}

const parameterTypes: readonly (readonly [Element, readonly string[]])[] = [
  ['f32', ['N', 'M']],
  ['f32', ['G * R', 'N']],
  ['f32', ['N']],
  ['ix(N)', ['M']],
  ['f32', ['N', 'G * R']],
  ['f32', ['M', 'N']],
  ['f32', ['G', 'R']],
  ['i32', ['N', 'M']],
  ['ix(G)', ['N']],
  ['bool', ['N', 'M']],
  ['f32', ['N', 'N']],
  ['f32', []],
];

function randomParameters(choose: Choose): readonly Variable[] {
  return Array.from({ length: 2 + choose(4) }, (_, position) => {
    const [element, dims] = pick(choose, parameterTypes);
    return { name: `x${position}`, element, dims, placement: randomPlacement(element, dims.length, choose) };
  });
}

function randomPlacement(element: Element, rank: number, choose: Choose): Placement {
  const dims = Array.from({ length: rank }, (): string[] => []);
  const pending: [string, 'sum' | 'max'][] = [];
  for (const axis of choose(2) === 0 ? meshAxes : meshAxes.toReversed()) {
    const form = choose(6);
    if (form < 3 && rank > 0) dims[choose(rank)]!.push(axis);
    else if (form === 3 && element === 'f32') pending.push([axis, choose(4) === 3 ? 'max' : 'sum']);
  }
  const [first] = pending;
  return { dims, pending: new Map(first && pending.map(([axis]) => [axis, first[1]])) };
}

// ── lets ───────────────────────────────────────────────────────────────────────────────────────────────────

type Template = (scope: Scope) => Omit<Proposal, 'template'> | undefined;

const templates: { readonly [name: string]: Template } = {
  comprehension: (scope) => {
    const element = pick(scope.choose, ['f32', 'f32', 'f32', 'i32', 'bool'] as const);
    return comprehension(element, randomDims(scope), scope);
  },
  elementwise: (scope) => {
    const variable = tensorOf(scope, ['f32']);
    if (variable === undefined) return undefined;
    const { dims, element, name } = variable;
    const other = pick(scope.choose, likewise(variable, scope));
    const text = pick(scope.choose, [`${name} + ${other}`, `2.0 * ${name}`, `max(${name}, ${other})`]);
    return { text, element, dims };
  },
  collective: (scope) => {
    const moved = scope.variables.filter(({ placement: { dims, pending } }) => {
      return pending.size > 0 || dims.some((list) => list.length > 0);
    });
    return moved.length === 0 ? undefined : collective(pick(scope.choose, moved), scope);
  },
  annotated: (scope) => {
    const variable = tensorOf(scope, ['f32', 'i32']);
    if (variable === undefined) return undefined;
    const { dims, element, name, placement } = variable;
    const to = furtherCut(placement, scope.choose);
    return { text: `{ let y: ${typeText(element, dims, to)} = ${name}  y }`, element, dims };
  },
  reshard: (scope) => {
    const variable = tensorOf(scope, ['f32']);
    return variable && resharded(variable, scope);
  },
  softmax: (scope) => rowwise(scope, (row) => `softmax(${row})`),
  prefix: (scope) => rowwise(scope, (row) => `cumsum(${row})`),
  sorted: (scope) => rowwise(scope, (row) => `{ let (sorted, places) = sort(${row})  sorted }`),
  call: (scope) => pick(scope.choose, calls)(scope),
  record: (scope) => {
    const matrix = tensorOf(scope, ['f32'], 2);
    if (matrix === undefined) return undefined;
    const { dims, element, name } = matrix;
    const vectors = scope.variables.filter(
      (one) => one.element === 'f32' && same(one.dims, dims.slice(0, 1)),
    );
    const vector = pick(scope.choose, [...vectors.map((one) => one.name), `rows(${name})`]);
    const pair = pick(scope.choose, [`Pair(u: ${vector}, v: ${name})`, `paired(${vector}, ${name})`]);
    return { text: pick(scope.choose, [`unpaired(${pair})`, `{ let w = ${pair}  w.v }`]), element, dims };
  },
  fold: (scope) => {
    const start = tensorOf(scope, ['f32']);
    if (start === undefined) return undefined;
    const state = scope.fresh();
    const inner = { ...scope, variables: [...scope.variables, { ...start, name: state }] };
    const step = comprehension('f32', start.dims, inner);
    const axis = pick(scope.choose, meshAxes);
    const text = pick(scope.choose, [step.text, step.text, `all_reduce((${step.text}), ${axis})`]);
    const count = pick(scope.choose, ['2', 'R', '0', '1']);
    return {
      text: `fold q < ${count} from ${state} = ${start.name}: ${text}`,
      element: 'f32',
      dims: start.dims,
    };
  },
  scan: (scope) => {
    const rows = tensorOf(scope, ['f32'], 2);
    if (rows === undefined) return undefined;
    const [length, width] = rows.dims as [string, string];
    const inner = pick(scope.choose, [`h[i] + row[i]`, `row[i]`, `h[i] * 2.0`]);
    const next = `for i < ${width}: ${inner}`;
    const zeros = `for i < ${width}: 0.0`;
    const body = `{ let next = ${next}  (next, for i < ${width}: next[i] + row[i]) }`;
    const text = `{ let (last, all) = scan row in ${rows.name} from h = (${zeros}): ${body}  all }`;
    return { text, element: 'f32', dims: [length, width] };
  },
  concat: (scope) => {
    const first = tensorOf(scope, ['f32'], 1);
    return (
      first && {
        text: `concat(${first.name}, ${first.name})`,
        element: 'f32',
        dims: [`2 * ${grouped(first.dims[0]!)}`],
      }
    );
  },
  'per-device': perDevice,
};

const weighted: readonly (keyof typeof templates)[] = [
  ...['comprehension', 'comprehension', 'comprehension', 'comprehension', 'collective', 'collective'],
  ...Object.keys(templates),
];

function propose(scope: Scope): Proposal | undefined {
  const template = pick(scope.choose, weighted);
  const proposal = templates[template]!(scope);
  return proposal && { template: String(template), ...proposal };
}

const calls: readonly Template[] = [
  (scope) => ofMatrix(scope, ({ name, dims }) => [`rows(${name})`, dims.slice(0, 1)]),
  (scope) => ofMatrix(scope, ({ name, dims }) => [`highest(${name})`, dims.slice(0, 1)]),
  (scope) => ofMatrix(scope, ({ name, dims }) => [`normed(${name})`, dims]),
  (scope) => ofMatrix(scope, ({ name, dims }) => [`summed(${name})`, dims.slice(0, 1)]),
  (scope) => {
    const vector = tensorOf(scope, ['f32'], 1);
    if (vector === undefined) return undefined;
    const { dims, name } = vector;
    const other = pick(scope.choose, likewise(vector, scope));
    const text = pick(scope.choose, [`both(${name}, ${other})`, `twice(${name})`, `on_a(${name})`]);
    return { text, element: 'f32', dims };
  },
  (scope) => {
    const vector = tensorOf(scope, ['f32'], 1);
    if (vector === undefined) return undefined;
    const i: Index = { name: scope.fresh(), size: vector.dims[0]! };
    const place = subscript(vector.dims[0]!, [i], scope, 2);
    return { text: `for ${range(i)}: at(${vector.name}, ${place})`, element: 'f32', dims: vector.dims };
  },
];

function ofMatrix(
  scope: Scope,
  call: (matrix: Variable) => readonly [string, readonly string[]],
): Omit<Proposal, 'template'> | undefined {
  const matrix = tensorOf(scope, ['f32'], 2);
  if (matrix === undefined) return undefined;
  const [text, dims] = call(matrix);
  return { text, element: 'f32', dims };
}

function rowwise(scope: Scope, body: (row: string) => string): Omit<Proposal, 'template'> | undefined {
  const matrix = tensorOf(scope, ['f32'], 2);
  if (matrix === undefined) return undefined;
  const [length, width] = matrix.dims as [string, string];
  const [i, j] = [scope.fresh(), scope.fresh()];
  const indices = [
    { name: i, size: length },
    { name: j, size: width },
  ];
  const row = pick(scope.choose, [
    `${matrix.name}[${i}]`,
    `for ${j} < ${width}: ${scalar('f32', indices, scope, 2)}`,
  ]);
  return { text: `for ${i} < ${length}: ${body(row)}`, element: 'f32', dims: [length, width] };
}

function collective(variable: Variable, scope: Scope): Omit<Proposal, 'template'> {
  const { choose } = scope;
  const { name, element, dims, placement } = variable;
  const as = (text: string) => ({ text, element, dims });
  const pending = [...placement.pending.keys()];
  const cut = [...dims.keys()].filter((dim) => placement.dims[dim]!.length > 0);
  const options: string[] = [];
  if (pending.length > 0) {
    const axes = written(pending.slice(choose(pending.length)));
    options.push(`all_reduce(${name}, ${axes})`);
    if (dims.length > 0) options.push(`reduce_scatter(${name}, ${axes}, ${pick(choose, dims)})`);
  }
  if (cut.length > 0) {
    const dim = pick(choose, cut);
    const list = placement.dims[dim]!;
    const axes = written(list.slice(choose(list.length)));
    options.push(`all_gather(${name}, ${axes})`);
    const to = pick(choose, [...dims.keys()]);
    if (new Set(dims).size === dims.length)
      options.push(`all_to_all(${name}, ${axes}, ${dims[dim]} -> ${dims[to]})`);
  }
  const fitting =
    new Set(dims).size === dims.length ? options : options.filter((text) => !text.startsWith('reduce_'));
  return fitting.length === 0 ? resharded(variable, scope) : as(pick(choose, fitting));
}

function resharded(
  { name, element, dims, placement }: Variable,
  { choose }: Scope,
): Omit<Proposal, 'template'> {
  const to = randomPlacement('i32', dims.length, choose);
  const pending = new Map(
    [...placement.pending].filter(([axis]) => choose(3) === 0 && !to.dims.flat().includes(axis)),
  );
  const type = typeText('f32', dims, { ...to, pending }).slice('f32'.length);
  return { text: dims.length === 0 ? name : `${name} as ${type}`, element, dims };
}

/** The placement, with an axis more on a dimension. */
function furtherCut({ dims, pending }: Placement, choose: Choose): Placement {
  const used = [...dims.flat(), ...pending.keys()];
  const free = meshAxes.filter((axis) => !used.includes(axis));
  if (free.length === 0 || dims.length === 0) return { dims, pending };
  const dim = choose(dims.length);
  return { dims: dims.with(dim, [...dims[dim]!, pick(choose, free)]), pending };
}

/** Blocks of what is cut over one axis, used alone; and what is the same everywhere. */
function perDevice(scope: Scope): Omit<Proposal, 'template'> | undefined {
  const { choose } = scope;
  const axis = pick(choose, meshAxes);
  const cut = scope.variables.filter(
    ({ element, placement }) =>
      element === 'f32' && placement.pending.size === 0 && placement.dims.some((list) => list[0] === axis),
  );
  if (cut.length === 0) return undefined;
  const { name, element, dims, placement } = pick(choose, cut);
  const block = scope.fresh();
  const inside = dims.map((size, dim) =>
    placement.dims[dim]![0] === axis ? `${grouped(size)} / ${axis}` : size,
  );
  const indices = inside.map((size): Index => ({ name: scope.fresh(), size }));
  const local: Scope = {
    ...scope,
    variables: [{ name: block, element, dims: inside, placement }],
    isLocal: true,
  };
  const typed = `let ${block}: ${typeText(element, dims, placement)} = ${name}`;
  const view = (body: string) => `{ ${typed}  per_device ${axis} (${block}) { ${body} } }`;
  if (choose(3) === 0) {
    const total = `sum ${indices.map(range).join(', ')}: ${scalar('f32', indices, local, 2)}`;
    return { text: view(`all_reduce((${total}), ${axis})`), element: 'f32', dims: [] };
  }
  return {
    text: view(`for ${indices.map(range).join(', ')}: ${scalar('f32', indices, local, 2)}`),
    element,
    dims,
  };
}

// ── expressions ────────────────────────────────────────────────────────────────────────────────────────────

function comprehension(element: Element, dims: readonly string[], scope: Scope): Omit<Proposal, 'template'> {
  const groups = dims.map((size): readonly Index[] => {
    const parts = size === 'G * R' && scope.choose(3) > 0 ? ['G', 'R'] : [size];
    return parts.map((part) => ({ name: scope.fresh(), size: part }));
  });
  const shown = groups.map((group) =>
    group.length === 1 ? range(group[0]!) : `(${group.map(range).join(', ')})`,
  );
  const body = scalar(element, groups.flat(), scope, 3);
  return { text: dims.length === 0 ? body : `for ${shown.join(', ')}: ${body}`, element, dims };
}

function range({ name, size }: Index): string {
  return `${name} < ${size}`;
}

/** A scalar of a type in which the indices may occur. */
function scalar(element: Element, indices: readonly Index[], scope: Scope, depth: number): string {
  const { choose } = scope;
  const part = (wanted: Element = element): string => scalar(wanted, indices, scope, depth - 1);
  const leaf = (): string => {
    const variables = scope.variables.filter((one) => one.element === element);
    if (variables.length === 0 || choose(8) === 7) return literal(element, indices, scope);
    return loaded(pick(choose, variables), indices, scope, depth);
  };
  if (depth === 0) return leaf();
  const reduction = (name: string): string => {
    const index: Index = { name: scope.fresh(), size: pick(choose, scope.isLocal ? ['3'] : sizes) };
    return `(${name} ${range(index)}: ${scalar(element, [...indices, index], scope, depth - 1)})`;
  };
  switch (choose(8)) {
    case 0:
    case 1:
    case 2:
      return leaf();
    case 3:
      return reduction(pick(choose, reductions[kindOf(element)]));
    case 4:
      return `(if ${part('bool')} then ${part()} else ${part()})`;
    default:
      return pick(choose, operations[kindOf(element)])(part);
  }
}

type Kind = 'f32' | 'i32' | 'bool';

function kindOf(element: Element): Kind {
  return element === 'f32' || element === 'bool' ? element : 'i32';
}

const reductions: { readonly [K in Kind]: readonly string[] } = {
  f32: ['sum', 'sum', 'max', 'min', 'prod', 'mean'],
  i32: ['sum', 'max', 'min'],
  bool: ['any', 'all'],
};

type Operation = (part: (element?: Element) => string) => string;

const operations: { readonly [K in Kind]: readonly Operation[] } = {
  f32: [
    (part) => `(${part()} + ${part()})`,
    (part) => `(${part()} * ${part()})`,
    (part) => `(${part()} - ${part()})`,
    (part) => `max(${part()}, ${part()})`,
    (part) => `(-${part()})`,
    (part) => `abs(${part()})`,
    (part) => `floor(${part()})`,
    (part) => `(${part()} / 2.0)`,
    (part) => `f32(${part('i32')})`,
    (part) => `min(${part()}, ${part()})`,
  ],
  i32: [
    (part) => `(${part()} + ${part()})`,
    (part) => `(${part()} * ${part()})`,
    (part) => `max(${part()}, ${part()})`,
    (part) => `(${part()} - ${part()})`,
    (part) => `abs(${part()})`,
  ],
  bool: [
    (part) => `(${part('f32')} < ${part('f32')})`,
    (part) => `(${part()} and ${part()})`,
    (part) => `(${part()} or ${part()})`,
    (part) => `(not ${part()})`,
    (part) => `(${part('i32')} <= ${part('i32')})`,
  ],
};

function literal(element: Element, indices: readonly Index[], { choose, isLocal }: Scope): string {
  const places = isLocal ? [] : indices.map(({ name }) => name);
  switch (kindOf(element)) {
    case 'f32':
      return pick(choose, ['1.0', '0.0', ...places.map((name) => `f32(${name})`)]);
    case 'i32':
      return pick(choose, ['i32(1)', 'i32(0)', ...places.map((name) => `i32(${name})`)]);
    case 'bool': {
      const [first, second] = places;
      return second === undefined ? 'true' : `i32(${first}) <= i32(${second})`;
    }
  }
}

function loaded(
  { name, dims, element }: Variable,
  indices: readonly Index[],
  scope: Scope,
  depth: number,
): string {
  const found = dims.map((size) => subscript(size, indices, scope, depth));
  const missing = found.indexOf(undefined);
  if (missing >= 0) return literal(element, indices, scope);
  return dims.length === 0 ? name : `${name}[${found.join(', ')}]`;
}

/** Something that is known to be in range of the size; mostly an index. */
function subscript(size: string, indices: readonly Index[], scope: Scope, depth: number): string | undefined {
  const { choose } = scope;
  const own = indices.filter((index) => index.size === size).map(({ name }) => name);
  if (size === 'G * R' && choose(2) === 0) {
    const parts = ['G', 'R'].map((part) => indices.filter((index) => index.size === part));
    if (parts.every((fitting) => fitting.length > 0))
      return `(${parts.map((fitting) => pick(choose, fitting).name).join(', ')})`;
  }
  const tables = scope.variables.filter(({ element }) => element === `ix(${size})`);
  if (tables.length > 0 && depth > 0 && choose(3) === 0) {
    const found = looked(pick(choose, tables), indices, scope, depth - 1);
    if (found !== undefined) return found;
  }
  if (own.length === 0) return undefined;
  const index = pick(choose, own);
  if (scope.isLocal || choose(4) < 3) return index;
  return pick(choose, [
    `{ let same = ${index}  same }`,
    `${grouped(size)} - 1 - ${index}`,
    `if 1 < 2 then ${index} else ${pick(choose, own)}`,
    `if ${index} < 1 then ${index} else ${pick(choose, own)}`,
    `(for place < ${size}: place)[${index}]`,
    `(${index} + 1) % ${grouped(size)}`,
  ]);
}

function looked(table: Variable, indices: readonly Index[], scope: Scope, depth: number): string | undefined {
  const found = table.dims.map((size) => subscript(size, indices, scope, depth));
  return found.includes(undefined) ? undefined : `${table.name}[${found.join(', ')}]`;
}

// ── little things ──────────────────────────────────────────────────────────────────────────────────────────

function randomDims({ choose }: Scope): readonly string[] {
  return Array.from({ length: choose(4) }, () => pick(choose, sizes));
}

function tensorOf(
  { choose, variables }: Scope,
  elements: readonly Element[],
  rank?: number,
): Variable | undefined {
  const fitting = variables.filter(
    ({ dims, element }) =>
      elements.includes(element) && (rank === undefined ? dims.length > 0 : dims.length === rank),
  );
  return fitting.length === 0 ? undefined : pick(choose, fitting);
}

/** Names of what has the type of the variable, itself among them. */
function likewise({ dims, element }: Variable, { variables }: Scope): readonly string[] {
  return variables.filter((one) => one.element === element && same(one.dims, dims)).map(({ name }) => name);
}

function same(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((size, dim) => size === right[dim]);
}

function written(axes: readonly string[]): string {
  return axes.length === 1 ? axes[0]! : `(${axes.join(', ')})`;
}

function grouped(size: string): string {
  return size.includes(' ') ? `(${size})` : size;
}
