/** Programs written as source and read again: whether they are accepted, and are what they were. */
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import { float64 } from '../../compiler/graph/float64.ts';
import type { Graph, TensorId } from '../../compiler/graph/graph.ts';
import { printGraph } from '../../compiler/graph/print.ts';
import type { RandomProgram } from '../../compiler/graph/random-graph.ts';
import { entryPlacements } from '../../compiler/lower/entry-placements.ts';
import { lowerEntry } from '../../compiler/lower/lower-entry.ts';
import { simplify } from '../../compiler/optimize/simplify.ts';
import { type PlacedGraph, type PlaceOptions, place } from '../../compiler/partition/place.ts';
import { dividing } from '../../compiler/partition/random-partition.ts';
import { hasIdleCollective, type WrittenProgram } from '../../compiler/partition/random-programs.ts';
import { type Raised, raiseGraph } from '../../compiler/raise/raise-graph.ts';
import { type Placement, samePlacement } from '../../dsl/placement/placement.ts';
import { checkProgram, type ModuleLoader } from '../../dsl/types/check.ts';
import type { TypedProgram } from '../../dsl/types/typed.ts';
import type { Values } from './subject.ts';

const noModules: ModuleLoader = { standardNames: [], standard: () => undefined, file: () => undefined };

export interface CheckedText {
  readonly program: TypedProgram;
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}

export function checkText(text: string, path = 'raised.ricci'): CheckedText {
  const { program, diagnostics } = checkProgram({ path, text }, noModules);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  return { program, errors: errors.map(({ code, message }) => ({ code, message })) };
}

/** @throws (an internal error) when it cannot be lowered */
export function lowerChecked(
  program: TypedProgram,
  entry: string,
  axes: ReadonlyMap<string, number> = new Map(),
): Graph {
  const lowered = lowerEntry(program, entry, { sizes: axes, inputDtypes: new Map() });
  if ('graph' in lowered) return lowered.graph;
  throw new Error(lowered.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

/** What is wrong with the program as source; undefined when nothing is. */
export function raisedFault(graph: Graph, values: Values): string | undefined {
  const raised = raiseGraph(graph);
  const { program, errors } = checkText(raised.text);
  const [error] = errors;
  if (error !== undefined) return `${error.code} ${error.message}\n${raised.text}`;
  const again = lowerChecked(program, raised.entry);
  const found = raisedDifference(graph, values, raised, again);
  return found && `${found}\n${raised.text}`;
}

/** Elements are compared bit by bit, in double and in single precision. */
function raisedDifference(graph: Graph, values: Values, raised: Raised, again: Graph): string | undefined {
  const named = new Map([...values].map(([path, value]) => [raised.inputs.get(path)!, value]));
  for (const algebra of [float64, float32]) {
    const [wanted, found] = [
      { graph, values },
      { graph: again, values: named },
    ].map((own) => {
      const inputs = own.graph.inputs.map(({ path, tensor }) => [tensor.id, own.values.get(path)!] as const);
      return evaluateGraph(own.graph, new Map(inputs), algebra);
    });
    for (const [path, { dtype, shape, data }] of wanted!) {
      const other = found!.get(raised.outputs.get(path)!);
      if (other === undefined) return `${path} is not there`;
      if (`${other.shape}` !== `${shape}` || other.dtype !== dtype)
        return `${path} is ${other.dtype}[${other.shape}], not ${dtype}[${shape}]`;
      const at = Array.from({ length: data.length }, (_, place) => place).find(
        (place) => !Object.is(data[place], other.data[place]),
      );
      if (at !== undefined)
        return `${algebra.name}: ${path}, element ${at}: ${data[at]} became ${other.data[at]}`;
    }
  }
  return undefined;
}

/**
 * Of reads the placer proves that they are a device's own, or looks up what they read, where the checker does
 * not follow; a read that it takes for a look-up it refuses where another divides the work along the axis.
 */
const stricterCodes: ReadonlySet<string> = new Set(['E0507', 'E0509', 'E0512']);

/** How a refusal begins that is about where something lives. */
const isOfPlacement = /^E05/;

/**
 * Whether the checker accepts where everything lives, and finds it there. What a subscript comes to the
 * source says as simply as can be, and where a tensor lives may follow from that. So a program that is
 * refused is judged by the simple one, in which that is known: what is refused there too is wrong.
 */
export function raisedPlacementFault(
  program: Pick<RandomProgram, 'graph'>,
  { written, options, rule }: WrittenProgram,
  placements: ReadonlyMap<TensorId, Placement>,
): string | undefined | 'not exact' {
  if (rule !== dividing) return 'not exact';
  const found = placedSourceFault(program, { graph: written, placements }, options);
  if (found === undefined || !isOfPlacement.test(found)) return found;
  const simpler = simplify(written);
  if (printGraph(simpler) === printGraph(written)) return found;
  const simple = place(simpler, options);
  // A collective may have nothing to move any more, or what an output is declared as be out of reach.
  return simple.kind === 'misplaced' ? 'not exact' : placedSourceFault(program, simple.placed, options);
}

function placedSourceFault(
  { graph }: Pick<RandomProgram, 'graph'>,
  { graph: written, placements }: Pick<PlacedGraph, 'graph' | 'placements'>,
  { mesh, outputs }: PlaceOptions,
): string | undefined | 'not exact' {
  const raised = raiseGraph(written, { placed: { mesh, placements, outputs } });
  const { program, errors } = checkText(raised.text);
  const excused = new Set(stricterCodes);
  if (hasIdleCollective(written, placements, mesh)) excused.add('E0510');
  const error = errors.find(({ code }) => !excused.has(code));
  if (error !== undefined) return `${error.code} ${error.message}\n${raised.text}`;
  if (errors.length > 0) return 'not exact';
  const counts = new Map(mesh.axes.map(({ name, size }) => [name, size]));
  const lowered = lowerChecked(program, raised.entry, counts);
  const again = place(lowered, { mesh, ...entryPlacements(program, raised.entry) });
  if (again.kind === 'misplaced')
    return `misplaced: ${again.faults.map(({ message }) => message).join('; ')}\n${raised.text}`;
  for (const { path, tensor } of graph.inputs) {
    const found = again.placed.graph.inputs.find((input) => input.path === raised.inputs.get(path))!;
    if (!samePlacement(again.placed.placements.get(found.tensor.id)!, placements.get(tensor.id)!))
      return `${path} lives elsewhere\n${raised.text}`;
  }
  return undefined;
}
