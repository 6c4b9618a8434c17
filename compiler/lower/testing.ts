/**
 * For tests: from Ricci source and inputs to outputs, by way of the checker, lowering and the reference
 * evaluator.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Source } from '../../dsl/diagnostics/diagnostic.ts';
import { checkProgram, type ModuleLoader } from '../../dsl/types/check.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { TypedProgram } from '../../dsl/types/typed.ts';
import type { TensorValue } from '../graph/algebra.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float64 } from '../graph/float64.ts';
import type { Graph, TensorId } from '../graph/graph.ts';
import { solveEntrySizes } from './entry.ts';
import { lowerEntry } from './lower-entry.ts';

/** Elements in row-major order. */
export interface TestTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export type TestTensors = Readonly<Record<string, TestTensor>>;

export interface TestOptions {
  /** Sizes that the inputs do not fix. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** What `float` inputs are, by path. */
  readonly dtypes?: Readonly<Record<string, Dtype>>;
}

const standardLibrary = join(import.meta.dirname, '../../stdlib');
const standardNames = readdirSync(standardLibrary)
  .filter((name) => name.endsWith('.ricci'))
  .map((name) => name.slice(0, -'.ricci'.length));

const loader: ModuleLoader = {
  standardNames,
  standard: (name) =>
    standardNames.includes(name) ? read(join(standardLibrary, `${name}.ricci`)) : undefined,
  file: () => undefined,
};

function read(path: string): Source {
  return { path, text: readFileSync(path, 'utf8') };
}

/** Throws with every diagnostic when the program has errors. */
export function checkText(text: string): TypedProgram {
  const { program, diagnostics } = checkProgram({ path: 'test.ricci', text }, loader);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length === 0) return program;
  const shown = errors.map(({ code, message, primary }) => {
    return `${code} ${message}: ${text.slice(primary.span.start, primary.span.end)} (${primary.message})`;
  });
  throw new Error(shown.join('\n'));
}

/** The graph of an entry, its sizes found from the shapes of the inputs. */
export function lowerText(
  text: string,
  entry: string,
  inputs: TestTensors,
  options: TestOptions = {},
): Graph {
  const program = checkText(text);
  const shapes = new Map(Object.entries(inputs).map(([path, { shape }]) => [path, shape]));
  const solved = solveEntrySizes(program, entry, shapes, new Map(Object.entries(options.sizes ?? {})));
  if (solved.kind === 'rejected')
    throw new Error(solved.diagnostics.map(({ message }) => message).join('\n'));
  const inputDtypes = new Map(Object.entries(options.dtypes ?? {}));
  const lowered = lowerEntry(program, entry, { sizes: solved.sizes, inputDtypes });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return lowered.graph;
}

/** The outputs by path, in float64. Only what is declared narrow is rounded. */
export function evaluateForTest(graph: Graph, inputs: TestTensors): TestTensors {
  const values = graph.inputs.map(({ path, tensor }): [TensorId, TensorValue<number>] => {
    const input = inputs[path];
    if (input === undefined) throw new Error(`the test gives no input ${path}`);
    return [tensor.id, { dtype: tensor.dtype, shape: tensor.shape, data: Float64Array.from(input.data) }];
  });
  const outputs = evaluateGraph(graph, new Map(values), float64);
  return Object.fromEntries(
    [...outputs].map(([path, { shape, data }]) => [path, { shape, data: Array.from(data) }]),
  );
}

export function runText(
  text: string,
  entry: string,
  inputs: TestTensors,
  options: TestOptions = {},
): TestTensors {
  return evaluateForTest(lowerText(text, entry, inputs, options), inputs);
}

/** A tensor with an element for each position. */
export function tabulate(shape: readonly number[], element: (...position: number[]) => number): TestTensor {
  const count = shape.reduce((product, extent) => product * extent, 1);
  const data = Array.from({ length: count }, (_, flat) => {
    const position: number[] = [];
    let rest = flat;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position.unshift(rest % shape[axis]!);
      rest = Math.floor(rest / shape[axis]!);
    }
    return element(...position);
  });
  return { shape, data };
}

/** The element at a position. */
export function at({ shape, data }: TestTensor, ...position: readonly number[]): number {
  const flat = position.reduce((offset, index, axis) => offset * shape[axis]! + index, 0);
  return data[flat]!;
}

/** Numbers in [−1, 1) that are the same in every run, multiples of 2^-20. */
export function testNumbers(shape: readonly number[], seed = 1): TestTensor {
  let state = seed * 2654435761;
  return tabulate(shape, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 11) / 2 ** 20 - 1;
  });
}

/** Throws with the first element that differs by more than `tolerance`, relative to numbers above 1. */
export function expectClose(found: TestTensor | undefined, wanted: TestTensor, tolerance = 1e-9): void {
  if (found === undefined) throw new Error('there is no such output');
  if (`${found.shape}` !== `${wanted.shape}`)
    throw new Error(`shape [${found.shape}], not [${wanted.shape}]`);
  for (const [position, value] of wanted.data.entries()) {
    const difference = Math.abs(found.data[position]! - value);
    const same =
      Object.is(found.data[position], value) || difference <= tolerance * Math.max(1, Math.abs(value));
    if (!same) throw new Error(`element ${position} is ${found.data[position]}, not ${value}`);
  }
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, position) => position);
}

export function sum(count: number, term: (position: number) => number): number {
  return range(count).reduce((total, position) => total + term(position), 0);
}
