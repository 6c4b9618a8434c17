/** An entry as the outside sees it: tensors by path, and the sizes that their shapes fix. */
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import { evaluateSize, natural, type Size, showSize, substituteSizes } from '../../dsl/types/size.ts';
import type { ElementType, FunctionInfo, Type, TypedProgram } from '../../dsl/types/typed.ts';
import { dimsOf, fieldType } from '../../dsl/types/types.ts';
import { type SizeEquation, solveSizes } from '../../dsl/types/unify-sizes.ts';
import { brokenSizes, missingSizes, problem } from './entry-problems.ts';

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

/** Throws (an internal error) when there is none: the caller has chosen among the program's entries. */
export function entryOf(program: TypedProgram, entry: string): FunctionInfo {
  const found = program.entries.get(entry);
  if (found === undefined) throw new Error(`the program has no entry ${entry}`);
  return found;
}

export function describeEntry(program: TypedProgram, entry: string): EntryDescription {
  const { parameters, result } = entryOf(program, entry);
  return {
    inputs: parameters.flatMap(({ name, type }) => tensorsOf(name, type)),
    outputs: tensorsOf('out', result),
  };
}

/** The tensors of a value of the type: an array of records is a record of stacked tensors. */
export function tensorsOf(path: string, type: Type): readonly EntryTensor[] {
  const dims = dimsOf(type).map(({ size }) => size);
  switch (type.kind) {
    case 'tensor':
      return [{ path, element: type.element, dims }];
    case 'key':
      return [{ path, element: { kind: 'dtype', dtype: 'u32' }, dims: [...dims, natural(2)] }];
    case 'record':
      return type.record.fields.flatMap(({ name }) => tensorsOf(`${path}.${name}`, fieldType(type, name)!));
    case 'tuple':
      return type.elements.flatMap((element, position) => tensorsOf(`${path}.${position}`, element));
    case 'error':
      throw new Error('a program with errors has no entries');
  }
}

// ── sizes ──────────────────────────────────────────────────────────────────────────────────────────────────

export type EntrySizes =
  | { readonly kind: 'sizes'; readonly sizes: ReadonlyMap<string, number> }
  | { readonly kind: 'rejected'; readonly diagnostics: readonly Diagnostic[] };

/**
 * A value for each of the entry's size parameters and mesh axes (1): those given, and those that follow from
 * the shapes of its inputs, by path (an input without a shape says nothing). What is missing, contradictory,
 * or against a `where` is a diagnostic.
 */
export function solveEntrySizes(
  program: TypedProgram,
  entry: string,
  shapes: ReadonlyMap<string, readonly number[]>,
  given: ReadonlyMap<string, number>,
): EntrySizes {
  const info = entryOf(program, entry);
  const strangers = [...given.keys()].filter(
    (name) => !info.sizes.includes(name) && !program.axes.includes(name),
  );
  if (strangers.length > 0) return rejected(strangers.map((name) => strangerSize(info, name)));
  const known = new Map([...program.axes.map((axis) => [axis, 1] as const), ...given]);
  const inputs = describeEntry(program, entry).inputs.filter(({ path }) => shapes.has(path));
  const misshapen = inputs.filter(({ path, dims }) => dims.length !== shapes.get(path)!.length);
  if (misshapen.length > 0)
    return rejected(
      misshapen.map((input) => wrongShape(info, input, shapes, 'another number of dimensions')),
    );

  const fixed = new Map([...known].map(([name, value]) => [name, natural(value)]));
  const equations = inputs.flatMap((input) =>
    input.dims.map((dim, axis): SizeEquation & { readonly input: EntryTensor } => ({
      pattern: substituteSizes(dim, fixed),
      actual: natural(shapes.get(input.path)![axis]!),
      input,
    })),
  );
  const unknowns = new Set(info.sizes.filter((name) => !known.has(name)));
  const solution = solveSizes(equations, unknowns);
  if (solution.kind === 'undetermined') return rejected(missingSizes(info, solution.unknowns));
  if (solution.kind === 'mismatch') {
    const { equation, pattern, actual } = solution;
    const why = `${showSize(actual)} is not ${showSize(pattern)}`;
    return rejected([wrongShape(info, equations[equation]!.input, shapes, why)]);
  }
  return naturalSizes(info, known, solution.values);
}

function naturalSizes(
  info: FunctionInfo,
  known: ReadonlyMap<string, number>,
  values: ReadonlyMap<string, Size>,
): EntrySizes {
  const sizes = new Map(known);
  for (const [name, size] of values) {
    const value = evaluateSize(size, new Map());
    if (value === undefined || value < 0) {
      const message = `the inputs give ${name} = ${showSize(size)}, which is not a natural number`;
      return rejected([problem('E0605', info, message, 'give inputs that fit the types of the parameters')]);
    }
    sizes.set(name, value);
  }
  const broken = brokenSizes(info, sizes);
  return broken.length > 0 ? rejected(broken) : { kind: 'sizes', sizes };
}

function rejected(diagnostics: readonly Diagnostic[]): EntrySizes {
  return { kind: 'rejected', diagnostics };
}

function strangerSize(info: FunctionInfo, name: string): Diagnostic {
  const sizes = info.sizes.length === 0 ? 'it has none' : `its sizes are ${info.sizes.join(', ')}`;
  return problem('E0601', info, `${info.name} has no size ${name}`, sizes);
}

function wrongShape(
  info: FunctionInfo,
  { path, dims }: EntryTensor,
  shapes: ReadonlyMap<string, readonly number[]>,
  why: string,
): Diagnostic {
  const declared = `[${dims.map(showSize).join(', ')}]`;
  const message = `${path} has the shape [${shapes.get(path)!.join(', ')}], which does not fit ${declared}: ${why}`;
  return problem('E0605', info, message, 'give inputs and sizes that fit the types of the parameters');
}
