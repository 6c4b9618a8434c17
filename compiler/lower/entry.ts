/** An entry as the outside sees it: tensors by path, and the sizes that their shapes fix. */
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import { decide } from '../../dsl/types/facts.ts';
import { evaluateSize, natural, parameter, type Size, showSize } from '../../dsl/types/size.ts';
import type { Dim, ElementType, FunctionInfo, Type, TypedProgram } from '../../dsl/types/typed.ts';
import { fieldType, prependDims } from '../../dsl/types/types.ts';
import { solveSizes } from '../../dsl/types/unify-sizes.ts';

/** One tensor of an entry's parameters or result. A `key` is a u32 tensor with a last dimension of 2. */
export interface EntryTensor {
  /** `x`, `experts.gate`; of results `out`, `out.0`, `out.gate`. */
  readonly path: string;
  readonly element: ElementType;
  readonly dims: readonly Size[];
}

export interface EntryDescription {
  readonly inputs: readonly EntryTensor[];
  readonly outputs: readonly EntryTensor[];
}

/** The path of an entry's result. */
export const resultPath = 'out';

export function describeEntry(program: TypedProgram, entry: string): EntryDescription {
  const { parameters, result } = entryOf(program, entry);
  return {
    inputs: parameters.flatMap(({ name, type }) => tensorsOf(name, type)),
    outputs: tensorsOf(resultPath, result),
  };
}

/** Throws (an internal error) when there is none: the caller has chosen among the program's entries. */
export function entryOf(program: TypedProgram, entry: string): FunctionInfo {
  const found = program.entries.get(entry);
  if (found === undefined) throw new Error(`the program has no entry ${entry}`);
  return found;
}

/** The tensors of a value of the type, in the order in which lowering lists its leaves. */
export function tensorsOf(path: string, type: Type): readonly EntryTensor[] {
  switch (type.kind) {
    case 'tensor':
      return [{ path, element: type.element, dims: sizesOf(type.dims) }];
    case 'key':
      return [{ path, element: { kind: 'dtype', dtype: 'u32' }, dims: [...sizesOf(type.dims), natural(2)] }];
    case 'record':
      return type.record.fields.flatMap(({ name }) => {
        const field = fieldType({ ...type, dims: [] }, name);
        if (field === undefined) throw new Error(`the record ${type.record.name} has no field ${name}`);
        return tensorsOf(`${path}.${name}`, prependDims(type.dims, field));
      });
    case 'tuple':
      return type.elements.flatMap((element, position) => tensorsOf(`${path}.${position}`, element));
    case 'error':
      throw new Error('a program with errors has no entries');
  }
}

function sizesOf(dims: readonly Dim[]): readonly Size[] {
  return dims.map(({ size }) => size);
}

export type EntrySizes =
  | { readonly kind: 'sizes'; readonly sizes: ReadonlyMap<string, number> }
  | { readonly kind: 'rejected'; readonly diagnostics: readonly Diagnostic[] };

/**
 * The values of the entry's size parameters: those given, and those that follow from the shapes of its inputs, by path
 * (inputs may be missing). Mesh axes have size 1. What is missing, contradictory, or against a `where` is a diagnostic.
 */
export function solveEntrySizes(
  program: TypedProgram,
  entry: string,
  shapes: ReadonlyMap<string, readonly number[]>,
  given: ReadonlyMap<string, number>,
): EntrySizes {
  const info = entryOf(program, entry);
  const unknownName = [...given.keys()].find(
    (name) => !info.sizes.includes(name) && !program.axes.includes(name),
  );
  if (unknownName !== undefined) {
    const known = info.sizes.length > 0 ? `its sizes are ${info.sizes.join(', ')}` : 'it has no sizes';
    return rejected(info, 'E0420', `${entry} has no size ${unknownName}`, known, 'leave it out');
  }
  const known = new Map<string, number>([...program.axes.map((axis) => [axis, 1] as const), ...given]);
  const equations: { readonly path: string; readonly pattern: Size; readonly actual: Size }[] = [];
  for (const { path, dims } of describeEntry(program, entry).inputs) {
    const shape = shapes.get(path);
    if (shape === undefined) continue;
    if (shape.length !== dims.length) {
      const message = `${path} has ${shape.length} dimensions, not ${dims.length}`;
      return rejected(
        info,
        'E0421',
        message,
        `it is declared [${dims.map(showSize).join(', ')}]`,
        'give it so',
      );
    }
    dims.forEach((pattern, axis) => {
      equations.push({ path: `${path} (dimension ${axis})`, pattern, actual: natural(shape[axis] ?? 0) });
    });
  }
  return solveNumbers(info, known, equations);
}

function solveNumbers(
  info: FunctionInfo,
  known: Map<string, number>,
  equations: readonly { readonly path: string; readonly pattern: Size; readonly actual: Size }[],
): EntrySizes {
  const unknowns = new Set(info.sizes.filter((name) => !known.has(name)));
  const fixed = new Map([...known].map(([name, value]) => [name, natural(value)]));
  const pinned = [...fixed].map(([name, actual]) => ({ path: name, pattern: parameter(name), actual }));
  const all = [...pinned, ...equations];
  const solution = solveSizes(all, new Set([...unknowns, ...known.keys()]));
  switch (solution.kind) {
    case 'mismatch': {
      const { pattern, actual } = solution;
      const message = `${all[solution.equation]?.path} is ${showSize(actual)}, but should be ${showSize(pattern)}`;
      return rejected(info, 'E0422', message, 'sizes come from the inputs and --size', 'make them agree');
    }
    case 'undetermined':
    case 'solved':
      break;
  }
  const values = new Map(known);
  if (solution.kind === 'solved') {
    for (const [name, size] of solution.values) {
      const value = evaluateSize(size, new Map());
      if (value !== undefined) values.set(name, value);
    }
  }
  const missing = info.sizes.filter((name) => !values.has(name));
  if (missing.length > 0) {
    const example = missing.map((name) => `${name}=8`).join(',');
    return rejected(
      info,
      'E0423',
      `the size${missing.length > 1 ? 's' : ''} ${missing.join(', ')} of ${info.name} ${missing.length > 1 ? 'are' : 'is'} not known`,
      'no input fixes what is missing',
      `give --size ${example}`,
    );
  }
  return checkFacts(info, values);
}

function checkFacts(info: FunctionInfo, sizes: ReadonlyMap<string, number>): EntrySizes {
  const broken = info.facts.find((fact) => decide(fact, sizes) !== true);
  if (broken === undefined) return { kind: 'sizes', sizes };
  const { left, right, relation, span } = broken;
  const value = (size: Size) => evaluateSize(size, sizes) ?? 'no number';
  return {
    kind: 'rejected',
    diagnostics: [
      {
        severity: 'error',
        code: 'E0424',
        message: `${info.name} wants ${showSize(left)} ${relation} ${showSize(right)}`,
        primary: { span, message: `here ${value(left)} ${relation} ${value(right)}` },
        secondary: [],
        notes: [],
        help: ['choose sizes for which it holds'],
        fixes: [],
      },
    ],
  };
}

function rejected(
  info: FunctionInfo,
  code: Diagnostic['code'],
  message: string,
  label: string,
  help: string,
): EntrySizes {
  return {
    kind: 'rejected',
    diagnostics: [
      {
        severity: 'error',
        code,
        message,
        primary: { span: info.span, message: label },
        secondary: [],
        notes: [],
        help: [help],
        fixes: [],
      },
    ],
  };
}
