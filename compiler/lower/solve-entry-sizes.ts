/** Finds the sizes of an entry from the shapes of its inputs. */
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import { asNatural, natural, type Size, showSize, substituteSizes } from '../../dsl/types/size.ts';
import type { FunctionInfo, TypedProgram } from '../../dsl/types/typed.ts';
import { type SizeEquation, solveSizes } from '../../dsl/types/unify-sizes.ts';
import { describeFunction, type EntryTensor } from './describe-entry.ts';
import { brokenSizes, missingSizes, problem, unknownEntry } from './entry-problems.ts';

export type EntrySizes =
  | { readonly sizes: ReadonlyMap<string, number> }
  | { readonly diagnostics: readonly Diagnostic[] };

/** `shapes` by path; an input without a shape says nothing. `given` are sizes that are known already. */
export function solveEntrySizes(
  program: TypedProgram,
  entry: string,
  shapes: ReadonlyMap<string, readonly number[]>,
  given: ReadonlyMap<string, number>,
): EntrySizes {
  const info = program.entries.get(entry);
  if (info === undefined) return { diagnostics: [unknownEntry(program, entry)] };
  const axes = new Map(program.axes.map((axis) => [axis, 1]));
  const known = new Map([...axes, ...given].map(([name, value]) => [name, natural(value)]));
  const unknowns = new Set(info.sizes.filter((name) => !known.has(name)));
  const inputs = describeFunction(info).inputs.filter(({ path }) => shapes.has(path));
  const wrongRank = inputs.filter(({ path, dims }) => dims.length !== shapes.get(path)!.length);
  if (wrongRank.length > 0) return { diagnostics: wrongRank.map((input) => misshapen(info, input, shapes)) };

  const places: EntryTensor[] = [];
  const equations: SizeEquation[] = [];
  for (const input of inputs)
    for (const [axis, dim] of input.dims.entries()) {
      equations.push({
        pattern: substituteSizes(dim, known),
        actual: natural(shapes.get(input.path)![axis]!),
      });
      places.push(input);
    }
  const solution = solveSizes(equations, unknowns);
  if (solution.kind === 'undetermined') return { diagnostics: missingSizes(info, solution.unknowns) };
  if (solution.kind === 'mismatch')
    return { diagnostics: [misshapen(info, places[solution.equation]!, shapes)] };
  const numbers = [...solution.values].map(([name, size]) => [name, asNatural(size)] as const);
  const unnatural = numbers.find(([, value]) => value === undefined);
  if (unnatural) return { diagnostics: [indivisible(info, unnatural[0], solution.values)] };
  const sizes = new Map([...axes, ...given, ...(numbers as [string, number][])]);
  const broken = brokenSizes(info, sizes);
  return broken.length > 0 ? { diagnostics: broken } : { sizes };
}

function misshapen(
  info: FunctionInfo,
  { path, dims }: EntryTensor,
  shapes: ReadonlyMap<string, readonly number[]>,
): Diagnostic {
  const wanted = `[${dims.map(showSize).join(', ')}]`;
  const found = `[${shapes.get(path)!.join(', ')}]`;
  const message = `the input ${path} has the shape ${found}, which does not fit ${wanted}`;
  return problem('E0605', info, message, 'give inputs and sizes that agree with the types of the parameters');
}

function indivisible(info: FunctionInfo, name: string, values: ReadonlyMap<string, Size>): Diagnostic {
  const message = `the inputs give ${name} = ${showSize(values.get(name)!)}, which is not a natural number`;
  return problem('E0605', info, message, 'give inputs that agree with the types of the parameters');
}
