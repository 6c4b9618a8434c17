/** Typed program to index graph: functions are inlined, sizes are numbers. */
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { evaluateSize } from '../../dsl/types/size.ts';
import type { ElementType, Type, TypedProgram } from '../../dsl/types/typed.ts';
import { fieldType } from '../../dsl/types/types.ts';
import type { Graph, GraphInput, GraphOutput } from '../graph/graph.ts';
import { apply, integer, iterator, load } from '../graph/scalar.ts';
import { assertWellFormed } from '../graph/well-formed.ts';
import { type AutoRegion, regionsIn } from './auto-region.ts';
import { describeEntry, entryOf, solveEntrySizes, tensorsOf } from './entry.ts';
import { type GraphBuilder, graphBuilder } from './graph-builder.ts';
import { lowerExpression } from './lower-expression.ts';
import { dtypeOfElement, type Lowering, type Scope } from './lowering.ts';
import { mergeAxes } from './merge-axes.ts';
import { madeAt, type SourceOfTensors } from './origin.ts';
import type { TensorValue, Value } from './value.ts';

export interface LowerOptions {
  /** A number for every size parameter of the entry; mesh axes that have none are of size 1. */
  readonly sizes: ReadonlyMap<string, number>;
  /** What inputs of element type `float` are stored as, by path; f32 where nothing is said. */
  readonly inputDtypes: ReadonlyMap<string, Dtype>;
  /** Whether the partitioner places everything, whether the entry is an `auto fn` or not. */
  readonly auto?: boolean;
}

export type LowerResult =
  | {
      readonly graph: Graph;
      readonly source: SourceOfTensors;
      /** What is left to the partitioner in a graph that is placed by hand otherwise. */
      readonly regions: readonly AutoRegion[];
    }
  | { readonly diagnostics: readonly Diagnostic[] };

/** The graph of an entry of a program without errors. */
export function lowerEntry(program: TypedProgram, entry: string, options: LowerOptions): LowerResult {
  const solved = solveEntrySizes(program, entry, new Map(), options.sizes);
  if (solved.kind === 'rejected') return { diagnostics: solved.diagnostics };
  const { sizes } = solved;
  const builder = graphBuilder();
  const lowering: Lowering = {
    program,
    builder,
    names: new Map(),
    regions: [],
    lower: (expression, scope) =>
      madeAt(builder, expression.span, () => lowerExpression(expression, scope, lowering)),
  };
  const inputs = new Map(
    describeEntry(program, entry).inputs.map(({ path, element, dims }): [string, GraphInput] => {
      const dtype = storageOf(element, options.inputDtypes.get(path));
      const shape = dims.map((dim) => evaluateSize(dim, sizes)!);
      return [path, { path, tensor: builder.input(path, dtype, shape) }];
    }),
  );
  const info = entryOf(program, entry);
  const locals = info.parameters.map(
    ({ name, type, local }) => [local, inputValue(builder, name, type, inputs)] as const,
  );
  const auto = options.auto === true || info.auto;
  const scope: Scope = { sizes, locals: new Map(locals), indices: new Map(), perDevice: false, auto };
  const result = lowering.lower(info.body, scope);
  const outputs = madeAt(builder, info.body.span, () => storeOutputs(builder, result, info.result));
  const graph = mergeAxes(builder.graph(entry, [...inputs.values()], outputs));
  assertWellFormed(graph, 'lowering');
  const source = { origins: builder.origins, names: lowering.names };
  return { graph, source, regions: regionsIn(graph, lowering.regions) };
}

function storageOf(element: ElementType, given: Dtype | undefined): Dtype {
  return element.kind === 'float' ? (given ?? 'f32') : dtypeOfElement(element);
}

function inputValue(
  builder: GraphBuilder,
  path: string,
  type: Type,
  inputs: ReadonlyMap<string, GraphInput>,
): Value {
  switch (type.kind) {
    case 'tensor':
      return builder.view(inputs.get(path)!.tensor, []);
    case 'key': {
      const words = builder.view(inputs.get(path)!.tensor, []);
      const word = (position: number): TensorValue => {
        const axes = words.axes.slice(0, -1).map((axis) => builder.axis(axis.extent));
        const subscripts = [...axes.map((axis) => iterator(axis.iterator)), integer(position)];
        return { kind: 'tensor', axes, body: load(inputs.get(path)!.tensor, subscripts) };
      };
      return { kind: 'key', words: [word(0), word(1)] };
    }
    case 'record': {
      const fields = type.record.fields.map(({ name }) => {
        return [name, inputValue(builder, `${path}.${name}`, fieldType(type, name)!, inputs)] as const;
      });
      return { kind: 'record', fields: new Map(fields) };
    }
    case 'tuple': {
      const elements = type.elements.map((element, position) =>
        inputValue(builder, `${path}.${position}`, element, inputs),
      );
      return { kind: 'tuple', elements };
    }
    case 'error':
      throw new Error('a program with errors is not lowered');
  }
}

/** One tensor of its own for each part of the result, of the declared dtype and shape. */
function storeOutputs(builder: GraphBuilder, result: Value, type: Type): readonly GraphOutput[] {
  const described = tensorsOf('out', type);
  const given = new Set<number>();
  return outputLeaves(builder, result).map((leaf, position) => {
    const { path, element } = described[position]!;
    const options = { name: path, dtype: dtypeOfElement(element), leading: [] };
    const found = builder.tensorFor(leaf, options);
    const own = builder.isOwnResult(found.id) && !given.has(found.id);
    const tensor = own ? found : builder.store(leaf, { ...options, factored: false }).tensor;
    given.add(tensor.id);
    return { path, tensor: tensor.id };
  });
}

/** The words of a key are its last dimension. */
function outputLeaves(builder: GraphBuilder, value: Value): readonly TensorValue[] {
  switch (value.kind) {
    case 'tensor':
      return [value];
    case 'key': {
      const [first, second] = value.words;
      const word = builder.axis(2);
      const subscripts = first.axes.map((axis) => iterator(axis.iterator));
      const isFirst = apply('eq', iterator(word.iterator), integer(0));
      const body = apply('select', isFirst, first.body, builder.at(second, subscripts));
      return [{ kind: 'tensor', axes: [...first.axes, word], body }];
    }
    case 'record':
      return [...value.fields.values()].flatMap((field) => outputLeaves(builder, field));
    case 'tuple':
      return value.elements.flatMap((element) => outputLeaves(builder, element));
  }
}
