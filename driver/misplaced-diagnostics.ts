/**
 * What keeps a program from running on a mesh, at the place in the source where it shows. The checker says so
 * of a program first, wherever it can; this is for what it lets through.
 */
import { type Graph, results, type Tensor, type TensorId } from '../compiler/graph/graph.ts';
import { allTensors, readsOf } from '../compiler/graph/uses.ts';
import { entryOf } from '../compiler/lower/entry.ts';
import type { SourceOfTensors } from '../compiler/lower/origin.ts';
import type { PlacementFault, PlacementRule } from '../compiler/partition/fault.ts';
import type { Diagnostic, Label, Span } from '../dsl/diagnostics/diagnostic.ts';
import { type Placement, showList, showPending } from '../dsl/placement/placement.ts';
import type { TypeCode } from '../dsl/types/type-codes.ts';
import type { FunctionInfo, TypedProgram } from '../dsl/types/typed.ts';

export interface MisplacedProgram {
  readonly entry: string;
  readonly graph: Graph;
  readonly source: SourceOfTensors;
  readonly faults: readonly PlacementFault[];
  /** Of what has a place nevertheless. */
  readonly placements: ReadonlyMap<TensorId, Placement>;
}

/** One for each fault; one for the entry where there is none to show. */
export function misplacedDiagnostics(
  program: TypedProgram,
  misplaced: MisplacedProgram,
): readonly Diagnostic[] {
  const info = entryOf(program, misplaced.entry);
  return misplaced.faults.map((fault) => diagnosticOf(info, misplaced, fault));
}

/** What the checker calls it, and what may be done about it. */
const rules: { readonly [R in PlacementRule]: { readonly code: TypeCode; readonly help: string } } = {
  'placements are well-formed': {
    code: 'E0511',
    help: 'choose sizes and a mesh so that the devices along the axes divide the dimension',
  },
  'lists agree': { code: 'E0506', help: 'reshard one of them, as in x as [S@sp, D]' },
  'axes are disjoint': { code: 'E0507', help: 'gather one of them, or reshard it over another axis' },
  'variables are whole': {
    code: 'E0508',
    help: 'make it whole with all_gather, or with all_to_all to another dimension',
  },
  'pending values are used linearly': {
    code: 'E0509',
    help: 'finish it with all_reduce or reduce_scatter before',
  },
  'subscripts are final': { code: 'E0509', help: 'finish what is looked up by with all_reduce before' },
  'collectives fit': {
    code: 'E0510',
    help: 'name the axes at the end of the list of the dimension, or those that are pending',
  },
  'declarations move nothing': {
    code: 'E0505',
    help: 'move it there with a collective or as, or declare where it lives',
  },
  'states stay where they are': {
    code: 'E0513',
    help: 'bring what a step gives back to where the state began, with a collective or as',
  },
  'outputs are as declared': {
    code: 'E0505',
    help: 'move it there with a collective or as, or declare where it lives',
  },
};

function diagnosticOf(
  info: FunctionInfo,
  { graph, source, placements }: MisplacedProgram,
  { rule, node, tensor, message }: PlacementFault,
): Diagnostic {
  const tensors = allTensors(graph);
  const [made] = node === undefined ? [] : results(node);
  const shown = made?.id ?? tensor;
  const isInput = node === undefined && graph.inputs.some((input) => input.tensor.id === tensor);
  const isOutput = node === undefined && !isInput;
  const span = isOutput ? info.resultSpan : spanOf(shown, info, graph, source);
  const read = node === undefined ? [tensor] : [...readsOf(node)].toSorted((left, right) => left - right);
  const labels = read.flatMap((id): Label[] => {
    const known = id === undefined ? undefined : tensors.get(id);
    const placement = known && placements.get(known.id);
    if (known === undefined || placement === undefined) return [];
    const name = nameOf(known, source);
    return [{ span: spanOf(id, info, graph, source), message: `${name} is ${typeOf(known, placement)}` }];
  });
  const calls = (shown === undefined ? [] : (source.origins.get(shown)?.calls ?? [])).map(
    (call): Label => ({ span: call, message: 'called here' }),
  );
  const { code, help } = rules[rule];
  return {
    severity: 'error',
    code,
    message,
    primary: { span, message: isOutput ? 'declared here' : '' },
    secondary: [...distinct(labels, span), ...calls],
    notes: [],
    help: [help],
    fixes: [],
  };
}

/** Where a tensor is made; a parameter of the entry, where it is an input. */
function spanOf(
  tensor: TensorId | undefined,
  info: FunctionInfo,
  graph: Graph,
  { origins }: SourceOfTensors,
): Span {
  const input = graph.inputs.find((each) => each.tensor.id === tensor);
  const parameter = info.parameters.find(({ name }) => name === input?.path.split('.')[0]);
  if (parameter !== undefined) return parameter.span;
  return (tensor === undefined ? undefined : origins.get(tensor)?.span) ?? info.span;
}

function nameOf({ id, name }: Tensor, { names }: SourceOfTensors): string {
  return names.get(id) ?? name;
}

function typeOf({ dtype, shape }: Tensor, { dims, pending }: Placement): string {
  const cut = shape.map((extent, dim) => `${extent}${showList(dims[dim] ?? [])}`);
  return `${dtype}${cut.length === 0 ? '' : `[${cut.join(', ')}]`}${showPending(pending)}`;
}

/** Not twice the same, and nothing at the place that is marked already. */
function distinct(labels: readonly Label[], primary: Span): readonly Label[] {
  const known = new Map(
    labels.map((label) => [`${label.span.file} ${label.span.start} ${label.message}`, label]),
  );
  return [...known.values()].filter(
    ({ span }) => span.file !== primary.file || span.start !== primary.start || span.end !== primary.end,
  );
}
