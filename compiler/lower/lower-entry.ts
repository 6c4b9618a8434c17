/** An entry at given sizes as an index graph. Functions are inlined; sizes are numbers from here on. */
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { evaluateSize } from '../../dsl/types/size.ts';
import type { LocalId, Type, TypedProgram } from '../../dsl/types/typed.ts';
import { fieldType, prependDims } from '../../dsl/types/types.ts';
import type { Graph, GraphInput, GraphOutput } from '../graph/graph.ts';
import { apply, integer, iterator, load } from '../graph/scalar.ts';
import { assertWellFormed } from '../graph/well-formed.ts';
import { describeEntry, type EntryTensor, entryOf, resultPath, solveEntrySizes, tensorsOf } from './entry.ts';
import { type GraphBuilder, graphBuilder } from './graph-builder.ts';
import { lowerExpression } from './lower-expression.ts';
import { dtypeOfElement, type Lowering, type Scope } from './lowering.ts';
import type { TensorValue, Value } from './value.ts';

export interface LowerOptions {
  readonly sizes: ReadonlyMap<string, number>;
  /** What `float` inputs are, by path; f32 where nothing is said. */
  readonly inputDtypes: ReadonlyMap<string, Dtype>;
}

export function lowerEntry(
  program: TypedProgram,
  entry: string,
  options: LowerOptions,
): { readonly graph: Graph } | { readonly diagnostics: readonly Diagnostic[] } {
  const solved = solveEntrySizes(program, entry, new Map(), options.sizes);
  if (solved.kind === 'rejected') return { diagnostics: solved.diagnostics };
  const { sizes } = solved;
  const info = entryOf(program, entry);
  const builder = graphBuilder();
  const lowering: Lowering = {
    program,
    builder,
    lower: (expression, scope) => lowerExpression(expression, scope, lowering),
  };
  const inputs = new Map(
    describeEntry(program, entry).inputs.map((input) => [
      input.path,
      declareInput(builder, input, sizes, options.inputDtypes),
    ]),
  );
  const locals = info.parameters.map(({ name, type, local }): [LocalId, Value] => [
    local,
    inputValue(builder, name, type, inputs),
  ]);
  const scope: Scope = { sizes, locals: new Map(locals), indices: new Map() };
  const result = lowering.lower(info.body, scope);
  const outputs = giveOutputs(builder, result, info.result);
  const graph = builder.graph(entry, [...inputs.values()], outputs);
  assertWellFormed(graph, 'lowering');
  return { graph };
}

function declareInput(
  builder: GraphBuilder,
  { path, element, dims }: EntryTensor,
  sizes: ReadonlyMap<string, number>,
  dtypes: ReadonlyMap<string, Dtype>,
): GraphInput {
  const shape = dims.map((size) => {
    const extent = evaluateSize(size, sizes);
    if (extent === undefined || extent < 0) throw new Error(`a dimension of ${path} has no extent`);
    return extent;
  });
  const dtype = element.kind === 'float' ? (dtypes.get(path) ?? 'f32') : dtypeOfElement(element);
  return { path, tensor: builder.input(path, dtype, shape) };
}

/** The value of a parameter, made of the inputs whose paths begin with its own. */
function inputValue(
  builder: GraphBuilder,
  path: string,
  type: Type,
  inputs: ReadonlyMap<string, GraphInput>,
): Value {
  switch (type.kind) {
    case 'tensor':
      return builder.view(inputTensor(inputs, path), []);
    case 'key':
      return { kind: 'key', words: [keyWord(builder, path, inputs, 0), keyWord(builder, path, inputs, 1)] };
    case 'record': {
      const fields = type.record.fields.map(({ name }) => {
        const field = fieldType({ ...type, dims: [] }, name);
        if (field === undefined) throw new Error(`the record ${type.record.name} has no field ${name}`);
        const stacked = prependDims(type.dims, field);
        return [name, inputValue(builder, `${path}.${name}`, stacked, inputs)] as const;
      });
      return { kind: 'record', fields: new Map(fields) };
    }
    case 'tuple':
      return {
        kind: 'tuple',
        elements: type.elements.map((element, position) =>
          inputValue(builder, `${path}.${position}`, element, inputs),
        ),
      };
    case 'error':
      throw new Error('a program with errors is not lowered');
  }
}

function inputTensor(inputs: ReadonlyMap<string, GraphInput>, path: string): GraphInput['tensor'] {
  const input = inputs.get(path);
  if (input === undefined) throw new Error(`there is no input ${path}`);
  return input.tensor;
}

function keyWord(
  builder: GraphBuilder,
  path: string,
  inputs: ReadonlyMap<string, GraphInput>,
  word: number,
): TensorValue {
  const tensor = inputTensor(inputs, path);
  const axes = tensor.shape.slice(0, -1).map((extent) => builder.axis(extent));
  const subscripts = [...axes.map((axis) => iterator(axis.iterator)), integer(word)];
  return { kind: 'tensor', axes, body: load(tensor, subscripts) };
}

/** Each output is a tensor of its own, of its declared dtype and shape: also where an input is handed through. */
function giveOutputs(builder: GraphBuilder, result: Value, type: Type): readonly GraphOutput[] {
  const described = tensorsOf(resultPath, type);
  const values = joinKeys(builder, result);
  const given = new Set<number>();
  return described.map(({ path, element }, position): GraphOutput => {
    const value = values[position];
    if (value === undefined) throw new Error(`the result has no part ${path}`);
    const dtype = dtypeOfElement(element);
    const found = builder.tensorFor(value, { name: path, dtype, leading: [] });
    const own = builder.isOwnResult(found.id) && !given.has(found.id);
    const { tensor } = own
      ? { tensor: found }
      : builder.store(value, { name: path, dtype, leading: [], factored: false });
    given.add(tensor.id);
    return { path, tensor: tensor.id };
  });
}

/** The leaves of a result, the two words of a key as one tensor. */
function joinKeys(builder: GraphBuilder, value: Value): readonly TensorValue[] {
  switch (value.kind) {
    case 'tensor':
      return [value];
    case 'key': {
      const [first, second] = value.words;
      const axes = first.axes.map(({ extent, factors }) => builder.axis(extent, factors));
      const word = builder.axis(2);
      const subscripts = axes.map((axis) => iterator(axis.iterator));
      const body = apply(
        'select',
        apply('eq', iterator(word.iterator), integer(0)),
        builder.at(first, subscripts),
        builder.at(second, subscripts),
      );
      return [{ kind: 'tensor', axes: [...axes, word], body }];
    }
    case 'record':
      return [...value.fields.values()].flatMap((field) => joinKeys(builder, field));
    case 'tuple':
      return value.elements.flatMap((element) => joinKeys(builder, element));
  }
}
