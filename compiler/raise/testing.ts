/** For tests: from a graph to source and back, and whether both compute the same bits. */
import { checkProgram } from '../../dsl/types/check.ts';
import type { TypedProgram } from '../../dsl/types/typed.ts';
import type { Algebra, TensorValue } from '../graph/algebra.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float32 } from '../graph/float32.ts';
import { float64 } from '../graph/float64.ts';
import type { Graph, TensorId } from '../graph/graph.ts';
import { lowerEntry } from '../lower/lower-entry.ts';
import { checkText } from '../lower/testing.ts';
import { type Raised, type RaiseOptions, raiseGraph } from './raise-graph.ts';

/** By path. */
export type Values = ReadonlyMap<string, TensorValue<number>>;

/** A raised program, and the codes of its errors. */
export function checkRaised({ text }: Pick<Raised, 'text'>): {
  readonly program: TypedProgram;
  readonly errors: readonly string[];
} {
  const loader = { standardNames: [], standard: () => undefined, file: () => undefined };
  const { program, diagnostics } = checkProgram({ path: 'raised.ricci', text }, loader);
  return { program, errors: diagnostics.map(({ code }) => code) };
}

/** The graph of a raised program. Throws with every diagnostic when it has errors. */
export function lowerRaised(
  { text, entry }: Pick<Raised, 'text' | 'entry'>,
  axes: ReadonlyMap<string, number> = new Map(),
): Graph {
  const lowered = lowerEntry(checkText(text), entry, { sizes: axes, inputDtypes: new Map() });
  if ('graph' in lowered) return lowered.graph;
  throw new Error(lowered.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

/** What is different between the graph and its source, lowered again; undefined when nothing is. */
export function differenceOfRaised(
  graph: Graph,
  inputs: Values,
  options: RaiseOptions = {},
): string | undefined {
  const raised = raiseGraph(graph, options);
  return difference(graph, inputs, raised, lowerRaised(raised));
}

/** How often a program is lowered and raised again until the text stays what it is; undefined beyond some times. */
export function roundsUntilSettled(raised: Raised, options: RaiseOptions = {}): number | undefined {
  let { text } = raised;
  for (let round = 1; round <= mostRounds; round++) {
    const next = raiseGraph(lowerRaised({ text, entry: raised.entry }), options).text;
    if (next === text) return round;
    text = next;
  }
  return undefined;
}

/** Lowering simplifies a step at a time what it finds anew. */
const mostRounds = 6;

/** Elements are compared bit by bit, in double and in single precision. */
export function difference(graph: Graph, inputs: Values, raised: Raised, again: Graph): string | undefined {
  const named = new Map([...inputs].map(([path, value]) => [raised.inputs.get(path)!, value]));
  for (const algebra of [float64, float32]) {
    const wanted = run(graph, inputs, algebra);
    const found = run(again, named, algebra);
    for (const [path, value] of wanted) {
      const different = elementsApart(value, found.get(raised.outputs.get(path)!));
      if (different !== undefined) return `${algebra.name}: ${path}: ${different}`;
    }
  }
  return undefined;
}

function run(graph: Graph, inputs: Values, algebra: Algebra<number>): Values {
  const byTensor = new Map<TensorId, TensorValue<number>>(
    graph.inputs.map(({ path, tensor }) => [tensor.id, inputs.get(path)!]),
  );
  return evaluateGraph(graph, byTensor, algebra);
}

function elementsApart(
  wanted: TensorValue<number>,
  found: TensorValue<number> | undefined,
): string | undefined {
  if (found === undefined) return 'it is not there';
  if (`${found.shape}` !== `${wanted.shape}` || found.dtype !== wanted.dtype)
    return `${found.dtype}[${found.shape}], not ${wanted.dtype}[${wanted.shape}]`;
  const at = Array.from(wanted.data).findIndex((value, place) => !Object.is(value, found.data[place]));
  return at < 0 ? undefined : `element ${at} is ${found.data[at]}, not ${wanted.data[at]}`;
}
