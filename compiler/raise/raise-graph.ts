/**
 * An index graph as Ricci source: the program of one entry with numbers for its sizes. What it says of
 * placements the checker verifies, and what it computes is what the graph does, bit by bit. This is how what
 * the partitioner makes is checked like what a person writes.
 */
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import { format } from '../../dsl/syntax/format.ts';
import type { Declaration, FunctionDeclaration, Module, Parameter } from '../../dsl/syntax/tree.ts';
import type { Graph, Node, PlacementChange, Tensor, TensorId } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { allTensors } from '../graph/uses.ts';
import { createDivideFacts } from './divide-facts.ts';
import { createNames, indexNames } from './names.ts';
import { isAlias, raiseNodes } from './raise-node.ts';
import type { Raising } from './raising.ts';
import { block, identifier, named, span, tuple, tupleType } from './source-tree.ts';
import { plainType, storedType } from './tensor-types.ts';

export interface RaiseOptions {
  /** By default that of the graph. */
  readonly entry?: string;
  /** For inputs of type `ix(n)`, by path: n. The graph has them as i32. */
  readonly below?: ReadonlyMap<string, number>;
  /** Without it the program of one device is written. */
  readonly placed?: RaisedPlacements;
}

export interface RaisedPlacements {
  readonly mesh: Mesh;
  /** Of every tensor, those of loop bodies included, without axes of one device. */
  readonly placements: ReadonlyMap<TensorId, Placement>;
  /** What outputs are left as, by path; those that are not named stay where they are. */
  readonly outputs: ReadonlyMap<string, Placement>;
}

/** A program of one entry, and what its parameters and results are in the graph. */
export interface Raised {
  readonly text: string;
  readonly entry: string;
  /** The name of the parameter for each path of an input. */
  readonly inputs: ReadonlyMap<string, string>;
  /** The path of the result for each path of an output: `out`, or `out.0`, `out.1` … */
  readonly outputs: ReadonlyMap<string, string>;
}

/**
 * @throws UserError for what is in the view of single devices of a mesh, and an internal error on what only
 *   optimizing makes: the graph is as lowered.
 */
export function raiseGraph(graph: Graph, options: RaiseOptions = {}): Raised {
  const { placed } = options;
  const entry = options.entry ?? graph.name;
  const tensors = allTensors(graph);
  const names = createNames(placed?.mesh.axes.map(({ name }) => name) ?? []);
  const parts = {
    mesh: placed?.mesh,
    placementOf: (id: TensorId) => placed?.placements.get(id),
    facts: createDivideFacts(placed?.mesh),
  };
  const inputs = new Map(graph.inputs.map(({ path }) => [path, names.fresh(path)]));
  const given = new Map(graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]));
  nameNodes(graph.nodes, given, names.fresh, (node) => isAlias(node, parts));
  const raising: Raising = {
    ...parts,
    tensor: (id) => tensors.get(id)!,
    name: (id) => given.get(id)!,
    names,
    total: names.fresh('total'),
    indices: indexNames(names),
    below: new Map(),
    steps: new Map(),
  };
  for (const { path, tensor } of graph.inputs) {
    const below = options.below?.get(path);
    if (below !== undefined) raising.below.set(tensor.id, below);
  }
  const declaration = functionOf(graph, entry, raising, placed?.outputs ?? new Map());
  const isOnly = graph.outputs.length === 1;
  return {
    text: format(moduleOf(declaration, placed?.mesh), ''),
    entry,
    inputs,
    outputs: new Map(graph.outputs.map(({ path }, position) => [path, isOnly ? 'out' : `out.${position}`])),
  };
}

/** What is moved is called by what was done to it. */
const participles: { readonly [K in PlacementChange['kind']]: string } = {
  all_gather: 'gathered',
  all_reduce: 'reduced',
  reduce_scatter: 'scattered',
  all_to_all: 'exchanged',
  broadcast: 'broadcast',
  reshard: 'moved',
  declare: 'placed',
};

/** In the order in which they are defined; what is only moved by name is called as what it is. */
function nameNodes(
  nodes: readonly Node[],
  given: Map<TensorId, string>,
  fresh: (wanted: string) => string,
  isSame: (node: Extract<Node, { kind: 'collective' }>) => boolean,
): void {
  const define = ({ id, name }: Tensor) => given.set(id, fresh(name));
  for (const node of nodes) {
    if (node.kind === 'collective') {
      const source = given.get(node.source)!;
      given.set(node.result.id, isSame(node) ? source : fresh(`${source}_${participles[node.change.kind]}`));
      continue;
    }
    if (node.kind === 'loop') {
      for (const { tensor } of node.body.inputs) define(tensor);
      nameNodes(node.body.nodes, given, fresh, isSame);
    }
    for (const tensor of results(node)) define(tensor);
  }
}

function functionOf(
  graph: Graph,
  entry: string,
  raising: Raising,
  outputs: ReadonlyMap<string, Placement>,
): FunctionDeclaration {
  const declare = ({ shape }: Tensor, placement: Placement | undefined): void => {
    for (const [dim, extent] of shape.entries()) raising.facts.declares(placement?.dims[dim] ?? [], extent);
  };
  const parameters = graph.inputs.map(({ tensor }): Parameter => {
    declare(tensor, raising.placementOf(tensor.id));
    return { name: identifier(raising.name(tensor.id)), type: storedType(raising, tensor), span };
  });
  const bindings = raiseNodes(graph.nodes, raising);
  const results = graph.outputs.map(({ path, tensor: id }) => {
    const tensor = raising.tensor(id);
    const placement = outputs.get(path) ?? raising.placementOf(id);
    declare(tensor, placement);
    return plainType(raising, tensor, placement);
  });
  const result = tuple(graph.outputs.map(({ tensor }) => named(raising.name(tensor))));
  return {
    kind: 'function',
    name: identifier(entry),
    exported: true,
    auto: false,
    sizes: [],
    parameters,
    result: tupleType(results),
    facts: raising.facts.all(),
    body: block(bindings, result),
    braces: bindings.length > 0,
    documentation: undefined,
    span,
  };
}

function moduleOf(declaration: FunctionDeclaration, mesh: Mesh | undefined): Module {
  const axes = mesh?.axes.map(({ name }) => identifier(name)) ?? [];
  const declarations: readonly Declaration[] = [
    ...(axes.length === 0 ? [] : [{ kind: 'mesh', axes, span } as const]),
    declaration,
  ];
  return { path: span.file, name: undefined, declarations, comments: [], span };
}
