/**
 * The range of an index that was written without one: from the dimensions that it subscripts by itself, else
 * from the expected type. First the text of the body is searched for subscripts of values whose types are
 * known at once; only if that finds nothing is the body checked on trial to see what the index meets.
 */
import type { Expression, ExpressionKind, IndexPattern, LetPattern } from '../syntax/tree.ts';
import { type Context, factScope } from './context.ts';
import { childExpressions } from './expression-children.ts';
import { equalSizes, factFixes, mayHold, stateHelp } from './obligations.ts';
import { insertFix, silent } from './report.ts';
import { extend, type IndexEntry, type IndexUse, type Scope } from './scope.ts';
import type { Size } from './size.ts';
import { splitSizes, useLabel } from './subscripts.ts';
import type { Dim, Type } from './typed.ts';
import { dimsOf, fieldType, hasError, isKnown, showName, withDims } from './types.ts';

export type SingleIndex = Extract<IndexPattern, { kind: 'index' }>;

/** The indices of each group, major first. */
export function indexGroups(patterns: readonly IndexPattern[]): readonly (readonly SingleIndex[])[] {
  return patterns.map((pattern) => (pattern.kind === 'tuple' ? pattern.parts : [pattern]));
}

export interface FoundRange {
  /** Undefined when that is not worth a report: its uses disagree, or the body has errors of its own. */
  readonly size: Size | undefined;
  /** Whether that its uses disagree was reported. */
  readonly disagrees: boolean;
  readonly because: IndexEntry['because'];
}

/** What each unbounded index was found to range over; reports indices whose uses disagree. */
export function findRanges(
  context: Context,
  open: readonly SingleIndex[],
  body: Expression,
  entries: ReadonlyMap<SingleIndex, IndexEntry>,
): Map<SingleIndex, FoundRange> {
  const found = rangesByUse(context, open, usesInText(context, open, body, entries));
  const missing = open.filter((index) => !found.has(index));
  if (missing.length === 0 || context.trial) return found;
  const { uses, failed } = usesOnTrial(context, missing, body, entries, found);
  for (const [index, range] of rangesByUse(context, missing, uses)) found.set(index, range);
  if (failed || mentionsError(context, body)) {
    for (const index of missing) {
      if (found.has(index)) continue;
      found.set(index, { size: undefined, disagrees: false, because: entries.get(index)!.because });
    }
  }
  return found;
}

/** Whether a value is used whose own error was reported where it was bound. */
function mentionsError(context: Context, expression: Expression): boolean {
  const entry = expression.kind === 'name' ? context.scope.get(expression.name) : undefined;
  if (entry?.kind === 'local' && hasError(entry.type)) return true;
  return childExpressions(expression).some((child) => mentionsError(context, child));
}

/**
 * Only what can be read off the text: for deciding whether an argument needs to know what is expected of it.
 */
export function rangesReadOff(
  context: Context,
  open: readonly SingleIndex[],
  body: Expression,
): Set<SingleIndex> {
  return new Set(
    rangesByUse({ ...context, report: silent }, open, usesInText(context, open, body, new Map())).keys(),
  );
}

/** For a group over an expected dimension: the ranges that its size gives to those without one. */
export function rangesExpected(
  context: Context,
  dim: Dim,
  known: readonly (Size | undefined)[],
): readonly (Size | undefined)[] {
  if (!isKnown(dim.size)) return known;
  return known.length === 1 ? [known[0] ?? dim.size] : splitSizes(context, dim, known);
}

type Uses = ReadonlyMap<string, readonly IndexUse[]>;

function rangesByUse(
  context: Context,
  open: readonly SingleIndex[],
  uses: Uses,
): Map<SingleIndex, FoundRange> {
  const found = new Map<SingleIndex, FoundRange>();
  for (const index of open) {
    const all = (uses.get(index.name.name) ?? []).filter(({ size }) => isKnown(size));
    const whole = all.filter(({ part }) => !part);
    const use = whole[0] ?? all[0];
    if (use === undefined) continue;
    const other = whole.find(({ size }) => !equalSizes(context.facts, size, use.size));
    if (other !== undefined) reportDisagreement(context, index, use, other);
    const disagrees = other !== undefined;
    found.set(index, { size: disagrees ? undefined : use.size, disagrees, because: use.because });
  }
  return found;
}

function reportDisagreement(context: Context, index: SingleIndex, first: IndexUse, second: IndexUse): void {
  const { name, span } = index.name;
  const bounds = [first, second].map(({ size }) => showName(size));
  const equal = { relation: '==', left: first.size, right: second.size } as const;
  context.report({
    code: 'E0403',
    message: `${name} would range over ${bounds[0]} and over ${bounds[1]}`,
    at: span,
    label: 'which of the two?',
    secondary: [first.because, second.because],
    help: [
      `write the range: ${name} < ${bounds[0]}`,
      ...(mayHold(context.facts, equal) ? [stateHelp(context.signature.declaration, equal)] : []),
    ],
    fixes: [
      ...bounds.map((bound) =>
        insertFix(`write the range: ${name} < ${bound}`, span.file, span.end, ` < ${bound}`),
      ),
      ...factFixes(factScope(context), equal),
    ],
  });
}

// ── reading the text ───────────────────────────────────────────────────────────────────────────────────────

/** Types of names bound inside the body, where they are known at once. */
type Known = ReadonlyMap<string, Type | undefined>;

interface Search {
  readonly context: Context;
  readonly names: ReadonlySet<string>;
  readonly known: Known;
  readonly note: (name: string, use: IndexUse) => void;
  /** Ranges of all indices, where they are known, for the parts of split dimensions. */
  readonly ranges: ReadonlyMap<string, Size>;
}

function usesInText(
  context: Context,
  open: readonly SingleIndex[],
  body: Expression,
  entries: ReadonlyMap<SingleIndex, IndexEntry>,
): Uses {
  const names = new Set(open.map(({ name }) => name.name));
  const uses = new Map<string, IndexUse[]>();
  const ranges = new Map<string, Size>();
  for (const [index, entry] of entries)
    if (entry.range !== undefined) ranges.set(index.name.name, entry.range);
  const note = (name: string, use: IndexUse): void => {
    uses.set(name, [...(uses.get(name) ?? []), use]);
  };
  search(body, { context, names, known: new Map(), note, ranges });
  for (const [name, [first]] of uses) if (first !== undefined && !first.part) ranges.set(name, first.size);
  const split = new Set([...names].filter((name) => !uses.has(name)));
  if (split.size > 0) search(body, { context, names: split, known: new Map(), note, ranges });
  return uses;
}

type Node<K extends ExpressionKind> = Extract<Expression, { kind: K }>;

/** The kinds that bind names, and subscripts; all others are only looked through. */
const searches: { readonly [K in ExpressionKind]?: (node: Node<K>, state: Search) => void } = {
  subscript: (node, state) => {
    noteSubscripts(node, state);
    for (const child of childExpressions(node)) search(child, state);
  },
  comprehension: ({ indices, body }, state) => search(body, hide(state, boundNames(indices))),
  reduction: ({ indices, body }, state) => search(body, hide(state, boundNames(indices))),
  loop: ({ items, initial, state: carried, body }, state) => {
    if (items.kind === 'rows') search(items.sequence, state);
    search(initial, state);
    const item = items.kind === 'rows' ? patternNames(items.pattern) : [items.index.name];
    search(body, hide(state, [...item, ...patternNames(carried)]));
  },
  ring: ({ initial, source, state: carried, body }, state) => {
    search(initial, state);
    search(body, hide(state, [...(source === undefined ? [] : [source.name]), ...patternNames(carried)]));
  },
  block: ({ bindings, result }, state) => {
    let inner = state;
    for (const { pattern, value } of bindings) {
      search(value, pattern.kind === 'element' ? hide(inner, boundNames(pattern.indices)) : inner);
      const type = pattern.kind === 'name' ? quickType(value, inner) : undefined;
      inner = hide(inner, patternNames(pattern));
      if (pattern.kind === 'name') {
        inner = { ...inner, known: new Map([...inner.known, [pattern.name.name, type]]) };
      }
    }
    search(result, inner);
  },
};

function search(expression: Expression, state: Search): void {
  if (state.names.size === 0) return;
  const special = searches[expression.kind] as ((node: Expression, state: Search) => void) | undefined;
  if (special !== undefined) special(expression, state);
  else for (const child of childExpressions(expression)) search(child, state);
}

/** Without the names that are bound again further in. */
function hide(state: Search, bound: readonly string[]): Search {
  return {
    ...state,
    names: new Set([...state.names].filter((name) => !bound.includes(name))),
    known: new Map([...state.known, ...bound.map((name) => [name, undefined] as const)]),
    ranges: new Map([...state.ranges].filter(([name]) => !bound.includes(name))),
  };
}

function boundNames(patterns: readonly IndexPattern[]): readonly string[] {
  return indexGroups(patterns).flatMap((group) => group.map(({ name }) => name.name));
}

function patternNames(pattern: LetPattern): readonly string[] {
  return pattern.kind === 'tuple' ? pattern.elements.flatMap(patternNames) : [pattern.name.name];
}

function noteSubscripts(node: Extract<Expression, { kind: 'subscript' }>, state: Search): void {
  const type = quickType(node.base, state);
  if (type === undefined) return;
  const dims = dimsOf(type);
  node.subscripts.forEach((subscript, position) => {
    const dim = dims[position];
    if (subscript.kind === 'whole' || dim === undefined) return;
    const { value } = subscript;
    const target = { position, base: node.base };
    if (value.kind === 'name' && state.names.has(value.name)) {
      const because = useLabel(state.context, value, dim.size, target);
      state.note(value.name, { size: dim.size, part: false, because });
    }
    if (value.kind === 'tuple') noteSplit(value, dim, target, state);
  });
}

function noteSplit(
  tuple: Extract<Expression, { kind: 'tuple' }>,
  dim: Dim,
  target: { readonly position: number; readonly base: Expression },
  state: Search,
): void {
  if (state.ranges.size === 0 && dim.factors === undefined) return;
  const known = tuple.elements.map((element) =>
    element.kind === 'name' ? rangeOf(element.name, state) : undefined,
  );
  const sizes = splitSizes(state.context, dim, known);
  tuple.elements.forEach((element, i) => {
    const size = sizes[i];
    if (element.kind !== 'name' || !state.names.has(element.name) || size === undefined) return;
    const because = useLabel(state.context, element, size, target);
    state.note(element.name, {
      size,
      part: true,
      because: { ...because, message: `${because.message} in part` },
    });
  });
}

function rangeOf(name: string, state: Search): Size | undefined {
  const range = state.ranges.get(name);
  if (range !== undefined || state.names.has(name) || state.known.has(name)) return range;
  const entry = state.context.scope.get(name);
  return entry?.kind === 'index' ? entry.range : undefined;
}

/** The type of a name, a field or a subscript of one, where it is plain to see. */
function quickType(expression: Expression, state: Search): Type | undefined {
  switch (expression.kind) {
    case 'name': {
      if (state.known.has(expression.name)) return state.known.get(expression.name);
      const entry = state.context.scope.get(expression.name);
      return entry?.kind === 'local' ? entry.type : undefined;
    }
    case 'field': {
      const base = quickType(expression.base, state);
      return base?.kind === 'record' ? fieldType(base, expression.name.name) : undefined;
    }
    case 'subscript': {
      const base = quickType(expression.base, state);
      if (base === undefined || base.kind === 'tuple') return undefined;
      const { subscripts } = expression;
      const kept = dimsOf(base).filter((_, i) => i >= subscripts.length || subscripts[i]!.kind === 'whole');
      return withDims(base, kept);
    }
    default:
      return undefined;
  }
}

// ── on trial ───────────────────────────────────────────────────────────────────────────────────────────────

function usesOnTrial(
  context: Context,
  open: readonly SingleIndex[],
  body: Expression,
  entries: ReadonlyMap<SingleIndex, IndexEntry>,
  found: ReadonlyMap<SingleIndex, FoundRange>,
): { readonly uses: Uses; readonly failed: boolean } {
  const uses = new Map<string, IndexUse[]>();
  const scoped: (readonly [string, IndexEntry])[] = [...entries].map(([index, entry]) => {
    const { name } = index.name;
    const range = entry.range ?? found.get(index)?.size;
    const noteUse = (use: IndexUse): void => {
      uses.set(name, [...(uses.get(name) ?? []), use]);
    };
    return [name, { ...entry, range, noteUse: open.includes(index) ? noteUse : undefined }] as const;
  });
  const scope: Scope = extend(context.scope, scoped);
  let failed = false;
  const report = (): void => {
    failed = true;
  };
  context.infer({ ...context, scope, report, trial: true }, body, undefined);
  return { uses, failed };
}
