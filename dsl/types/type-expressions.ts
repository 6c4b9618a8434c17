/** Sizes and types as they are written, to sizes and types. */
import type { Fix, Span } from '../diagnostics/diagnostic.ts';
import type {
  DimExpression,
  Identifier,
  Path,
  PendingExpression,
  SizeExpression,
  Fact as SyntaxFact,
  TypeExpression,
} from '../syntax/tree.ts';
import { closestName } from './did-you-mean.ts';
import { dtypes, isDtype } from './dtype.ts';
import type { Facts } from './facts.ts';
import { require, type Stating } from './obligations.ts';
import { insertFix, type Report, replaceFix } from './report.ts';
import { findRecord, type ModuleScope, type RecordEntry } from './scope.ts';
import { addSizes, multiplySizes, natural, quotient, type Size, subtractSizes } from './size.ts';
import type { Dim, ElementType, Type, TypedFact } from './typed.ts';
import { dtypeElement, errorType, productDim, tensor } from './types.ts';

export interface TypeScope {
  readonly module: ModuleScope;
  readonly report: Report;
  readonly facts: Facts;
  readonly sizes: ReadonlyMap<string, Size>;
  readonly axes: ReadonlyMap<string, Span>;
  /** Where a `where` clause could be added, if anywhere. */
  readonly declaration: Stating | undefined;
}

type SizeNode<K extends SizeExpression['kind']> = Extract<SizeExpression, { kind: K }>;

const sizeTable: {
  readonly [K in SizeExpression['kind']]: (node: SizeNode<K>, scope: TypeScope) => Size | undefined;
} = {
  natural: (node, scope) => {
    if (Number.isSafeInteger(node.value)) return natural(node.value);
    scope.report({
      code: 'E0316',
      message: 'this size is too large to be counted exactly',
      at: node.span,
      help: ['sizes are at most 2^53'],
    });
    return undefined;
  },
  name: (node, scope) => {
    const size = scope.sizes.get(node.name);
    if (size === undefined) reportUnknownSize(node, scope);
    return size;
  },
  binary: (node, scope) => {
    const left = sizeOf(node.left, scope);
    const right = sizeOf(node.right, scope);
    if (left === undefined || right === undefined) return undefined;
    return combineSizes(node.operator, left, right, node.span, scope);
  },
};

/** The size, or undefined when something in it was reported. */
export function sizeOf(expression: SizeExpression, scope: TypeScope): Size | undefined {
  return (sizeTable[expression.kind] as (node: SizeExpression, scope: TypeScope) => Size | undefined)(
    expression,
    scope,
  );
}

/** Division must be exact and subtraction must stay natural; both are proved. */
export function combineSizes(
  operator: '+' | '-' | '*' | '/',
  left: Size,
  right: Size,
  at: Span,
  scope: Pick<TypeScope, 'facts' | 'report' | 'declaration'>,
): Size | undefined {
  switch (operator) {
    case '+':
      return addSizes(left, right);
    case '*':
      return multiplySizes(left, right);
    case '-': {
      const message = 'this size may be negative';
      const fact = { relation: '<=', left: right, right: left } as const;
      return require(scope, fact, { code: 'E0410', message, at }) ? subtractSizes(left, right) : undefined;
    }
    case '/': {
      const message = 'this division of sizes may leave a remainder';
      const fact = { relation: '|', left: right, right: left } as const;
      return require(scope, fact, { code: 'E0408', message, at }) ? quotient(left, right) : undefined;
    }
  }
}

export function factOf(fact: SyntaxFact, scope: TypeScope): TypedFact | undefined {
  const left = sizeOf(fact.left, scope);
  const right = sizeOf(fact.right, scope);
  if (left === undefined || right === undefined) return undefined;
  return { relation: fact.relation, left, right, span: fact.span };
}

/** The dims as written; undefined when a size in them was reported. */
export function dimsFrom(dims: readonly DimExpression[], scope: TypeScope): readonly Dim[] | undefined {
  const result: Dim[] = [];
  for (const dim of dims) {
    const size = sizeOf(dim.size, scope);
    const factors = factorsOf(dim.size).map((factor) => sizeOf(factor, { ...scope, report: () => {} }));
    if (size === undefined) continue;
    const known = factors.filter((factor) => factor !== undefined);
    const placement = dim.placement;
    result.push({
      ...productDim(known, size),
      placement:
        placement.kind === 'axes'
          ? { kind: 'axes', axes: placement.axes.map(({ name }) => name) }
          : { kind: placement.kind },
    });
  }
  return result.length === dims.length ? result : undefined;
}

/** The type as it is written with `{+tp}` after it; only a tensor may be pending. */
export function withPending(type: Type, pending: readonly PendingExpression[]): Type {
  if (type.kind !== 'tensor' || pending.length === 0) return type;
  const written = pending.map(({ axis, reduction }) => ({ axis: axis.name, combiner: reduction }));
  return { ...type, pending: written };
}

/** `G * R` is [G, R], `G * 2 * P` is [G, 2, P]; anything else is its own only factor. */
function factorsOf(size: SizeExpression): readonly SizeExpression[] {
  return size.kind === 'binary' && size.operator === '*'
    ? [...factorsOf(size.left), ...factorsOf(size.right)]
    : [size];
}

/** Where a type is written decides whether it may say `float`. */
export type FloatAllowed = 'float allowed' | 'no float';

export function typeOf(expression: TypeExpression, scope: TypeScope, float: FloatAllowed): Type {
  if (expression.kind === 'tuple') {
    return { kind: 'tuple', elements: expression.elements.map((element) => typeOf(element, scope, float)) };
  }
  checkPlacements(expression.dims, expression.pending, scope);
  const dims = dimsFrom(expression.dims, scope);
  const sizes = expression.sizes.map((size) => sizeOf(size, scope));
  const { qualifier, name } = expression.path;
  const element = qualifier === undefined ? builtinElement(name, sizes, scope, float) : undefined;
  if (element === 'error' || dims === undefined) return errorType;
  if (element === 'key') return { kind: 'key', dims };
  if (element !== undefined) return withPending(tensor(element, dims), expression.pending);
  const record = recordNamed(expression.path, scope);
  if (record === undefined) return errorType;
  const wanted = record.info.parameters.length;
  if (sizes.length !== wanted) {
    scope.report({
      code: 'E0411',
      message: `${name.name} takes ${count(wanted, 'size')} and has ${sizes.length} here`,
      at: expression.path.span,
      secondary: [{ span: record.span, message: 'declared here' }],
      help: [`write ${name.name}(${record.info.parameters.join(', ')}) with your sizes in place of these`],
    });
    return errorType;
  }
  const known = sizes.filter((size) => size !== undefined);
  return known.length === wanted ? { kind: 'record', record: record.info, sizes: known, dims } : errorType;
}

function builtinElement(
  name: Identifier,
  sizes: readonly (Size | undefined)[],
  scope: TypeScope,
  float: FloatAllowed,
): ElementType | 'key' | 'error' | undefined {
  const takes = name.name === 'ix' ? 1 : 0;
  const builtin = isDtype(name.name) || ['ix', 'key', 'float'].includes(name.name);
  if (!builtin) return undefined;
  if (sizes.length !== takes) {
    scope.report({
      code: 'E0411',
      message: `${name.name} takes ${takes === 1 ? 'the size that it indexes' : 'no sizes in parentheses'}`,
      at: name.span,
      help: [
        takes === 1
          ? 'write ix(N) for an index into a dimension of size N'
          : 'dims stand in brackets: f32[N]',
      ],
    });
    return 'error';
  }
  if (isDtype(name.name)) return dtypeElement(name.name);
  if (name.name === 'key') return 'key';
  if (name.name === 'ix') return sizes[0] === undefined ? 'error' : { kind: 'ix', range: sizes[0] };
  if (float === 'float allowed') return { kind: 'float' };
  scope.report({
    code: 'E0310',
    message: '`float` may stand in parameters and record fields only',
    at: name.span,
    help: ['name the storage: f32 keeps what was computed, bf16 or f16 round it'],
    fixes: [replaceFix('use f32', name.span, 'f32')],
  });
  return 'error';
}

function recordNamed(path: Path, scope: Pick<TypeScope, 'module' | 'report'>): RecordEntry | undefined {
  const { module } = scope;
  const { qualifier, name } = path;
  if (qualifier === undefined) {
    const record = findRecord(module, name.name);
    if (record !== undefined || module.incomplete) return record;
    const names = [...module.records.keys(), ...module.bareRecords.keys(), ...dtypes, 'float', 'ix', 'key'];
    reportUnknownType(name, names, scope.report);
    return undefined;
  }
  const target = module.modules.get(qualifier.name);
  if (target === undefined) {
    reportUnknownModuleName(qualifier, module, scope.report);
    return undefined;
  }
  const record = target.records.get(name.name);
  if (record === undefined && !target.incomplete) {
    reportUnknownType(name, target.records.keys(), scope.report);
  }
  return record;
}

function reportUnknownType(name: Identifier, candidates: Iterable<string>, report: Report): void {
  const close = closestName(name.name, candidates);
  report({
    code: 'E0206',
    message: `there is no type ${name.name}`,
    at: name.span,
    help: [
      close === undefined
        ? 'types are f32, bf16, f16, i32, u32, bool …, ix(N), key, and the records in scope'
        : `did you mean ${close}?`,
    ],
    fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, name.span, close)],
  });
}

export function reportUnknownModuleName(name: Identifier, module: ModuleScope, report: Report): void {
  if (module.incomplete) return;
  const close = closestName(name.name, module.modules.keys());
  report({
    code: 'E0201',
    message: `no module is imported as ${name.name}`,
    at: name.span,
    help: [
      close === undefined ? `add \`import ${name.name}\` at the top of the file` : `did you mean ${close}?`,
    ],
    fixes:
      close === undefined
        ? [importFix(name, module)]
        : [replaceFix(`did you mean ${close}?`, name.span, close)],
  });
}

function importFix(name: Identifier, module: ModuleScope): Fix {
  const line = `import ${name.name}`;
  const text = module.importPosition === 0 ? `${line}\n\n` : `\n\n${line}`;
  return insertFix(`add \`${line}\` at the top of the file`, module.path, module.importPosition, text);
}

function reportUnknownSize(node: SizeNode<'name'>, scope: TypeScope): void {
  if (scope.module.incomplete) return;
  const close = closestName(node.name, scope.sizes.keys());
  scope.report({
    code: 'E0211',
    message: `there is no size ${node.name}`,
    at: node.span,
    help: [
      close === undefined
        ? scope.declaration?.kind === 'property'
          ? `use it in the type of a quantified value, or quantify it: forall ${node.name}: 1..8`
          : 'a size is a number, a size parameter of the signature (with a capital), or a mesh axis'
        : `did you mean ${close}?`,
    ],
    fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, node.span, close)],
  });
}

/** Each axis is known and cuts at most one dimension. */
export function checkPlacements(
  dims: readonly DimExpression[],
  pending: readonly PendingExpression[],
  scope: TypeScope,
): void {
  const seen = new Map<string, Span>();
  const placed = dims.flatMap(({ placement }) => (placement.kind === 'axes' ? placement.axes : []));
  for (const axis of [...placed, ...pending.map((entry) => entry.axis)]) {
    requireAxis(axis, scope);
    const first = seen.get(axis.name);
    if (first === undefined) {
      seen.set(axis.name, axis.span);
      continue;
    }
    scope.report({
      code: 'E0502',
      message: `the axis ${axis.name} is used twice in one type`,
      at: axis.span,
      secondary: [{ span: first, message: 'first used here' }],
      help: ['cut the dimension over another axis, or over none'],
    });
  }
}

export function requireAxis(axis: Identifier, scope: Pick<TypeScope, 'axes' | 'report' | 'module'>): boolean {
  if (scope.axes.has(axis.name)) return true;
  const close = closestName(axis.name, scope.axes.keys());
  if (!scope.module.incomplete) {
    scope.report({
      code: 'E0501',
      message: `there is no mesh axis ${axis.name}`,
      at: axis.span,
      help: [
        close === undefined
          ? `declare it with \`mesh (${[...scope.axes.keys(), axis.name].join(', ')})\`, or place a parameter over it`
          : `did you mean ${close}?`,
      ],
      fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, axis.span, close)],
    });
  }
  return false;
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
