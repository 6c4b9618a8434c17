/**
 * Passes keep the meaning of random programs exactly, with no tolerance: over a finite field, where the order
 * of sums does not matter but every term does.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Storage, TensorValue } from '../graph/algebra.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { type FieldValue, type FiniteField, finiteField } from '../graph/finite-field.ts';
import type { Graph, Node, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { printGraph } from '../graph/print.ts';
import { type RandomProgram, randomPrograms } from '../graph/random-graph.ts';
import { apply, constant, convert, load, mapScalar, scalarType } from '../graph/scalar.ts';
import { elementCount, isFloat } from '../graph/tensor-type.ts';
import { allTensors, mapNodeScalars } from '../graph/uses.ts';
import { optimize, passes } from './passes.ts';

// ── programs without rounding ──────────────────────────────────────────────────────────────────────────────

/**
 * The optimizer computes with constants in f32, and rounds. Where they are inputs, and integers that become
 * floats are small, there is nothing to round; what rules do with constants their own tests tell, one rule at
 * a time.
 */
function withoutRounding({ graph, inputs }: RandomProgram): RandomProgram {
  const made = new Map<number, Tensor>();
  let last = Math.max(...allTensors(graph).keys());
  const tensorOf = (value: number): Tensor => {
    const tensor = made.get(value) ?? { id: ++last, name: `c${made.size}`, dtype: 'f32', shape: [] };
    made.set(value, tensor);
    return tensor;
  };
  /** Below 2^24, and nothing that can be computed before the program runs. */
  const small = (whole: Scalar): Scalar => {
    const type = scalarType(whole);
    const below = type === 'bool' ? whole : apply('mod', whole, constant(type, 2 ** 24));
    return apply('add', convert('f32', below), load(tensorOf(0), []));
  };
  const isWhole = (part: Scalar): part is Extract<Scalar, { op: 'convert' }> =>
    part.op === 'convert' && part.dtype === 'f32' && scalarType(part.operand) !== 'f32';
  const nodes = onNodes((node) =>
    mapNodeScalars(node, (scalar) =>
      mapScalar(scalar, (part) => {
        if (isWhole(part)) return small(part.operand);
        return part.op === 'constant' && part.dtype === 'f32' ? load(tensorOf(part.value), []) : part;
      }),
    ),
  )(graph);
  const constants = [...made].map(([value, tensor]): [TensorId, TensorValue<number>] => [
    tensor.id,
    { dtype: 'f32', shape: [], data: [value] },
  ]);
  return {
    graph: {
      ...nodes,
      inputs: [...graph.inputs, ...[...made.values()].map((tensor) => ({ path: tensor.name, tensor }))],
    },
    inputs: new Map([...inputs, ...constants]),
  };
}

function onNodes(change: (node: Node) => Node): (graph: Graph) => Graph {
  const run = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'loop' ? { ...node, body: run(node.body) } : change(node),
    ),
  });
  return run;
}

// ── verdicts ───────────────────────────────────────────────────────────────────────────────────────────────

type Outputs = ReadonlyMap<string, TensorValue<FieldValue>>;

function outputsOf(graph: Graph, inputs: RandomProgram['inputs'], field: FiniteField): Outputs {
  const values = [...inputs].map(([id, value]): [TensorId, TensorValue<FieldValue>] => {
    const { dtype, shape, data } = value;
    if (!isFloat(value)) return [id, { dtype, shape, data: data as Storage<number> }];
    return [id, { dtype, shape, data: Array.from(data as ArrayLike<number>, field.constant) }];
  });
  return evaluateGraph(graph, new Map(values), field);
}

type Kind = 'equal' | 'different' | 'opaque-different' | 'unlucky' | 'unsure';

interface Finding {
  readonly kind: Kind;
  readonly text: string;
}

/** The worst that is found of any element. */
function compare({ graph, inputs }: RandomProgram, after: Graph): Finding {
  const field = finiteField();
  const wanted = outputsOf(graph, inputs, field);
  const found = outputsOf(after, inputs, field);
  const ranks: readonly Kind[] = ['equal', 'unlucky', 'opaque-different', 'different'];
  let worst: Kind = 'equal';
  let text = '';
  for (const [path, value] of wanted) {
    const other = found.get(path)!;
    for (let position = 0; position < elementCount(value); position++) {
      const [left, right] = [value.data[position]!, other.data[position]!];
      const isNumber = typeof left === 'number' || typeof right === 'number';
      const kind: Kind = isNumber ? (left === right ? 'equal' : 'different') : field.relation(left, right);
      if (ranks.indexOf(kind) <= ranks.indexOf(worst)) continue;
      worst = kind;
      text = `${path}, element ${position}: ${JSON.stringify(left)} became ${JSON.stringify(right)}`;
    }
  }
  const whole = `${text}\n${printGraph(graph)}\nbecame\n${printGraph(after)}`;
  if (field.notes.unsure > 0) return { kind: 'unsure', text: whole };
  return { kind: worst, text: whole };
}

const programs = randomPrograms().map(withoutRounding);

test('any choice of the passes keeps the meaning of random programs, in a field', () => {
  const counts = new Map<Kind, number>();
  const names = passes.map(({ name }) => name);
  fc.assert(
    fc.property(programs, fc.oneof(fc.constant([]), fc.subarray(names)), (program, skipped) => {
      const after = optimize(program.graph, { skip: new Set(skipped) });
      const { kind, text } = compare(program, after);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      expect(kind === 'different' ? text : undefined).toBeUndefined();
    }),
    { numRuns: 400 },
  );
  expect(counts.get('equal')).toBeGreaterThan(390);
});

// ── the test itself ────────────────────────────────────────────────────────────────────────────────────────

const mutants: { readonly [name: string]: (graph: Graph) => Graph } = {
  'leaves out the last term of sums': onNodes((node) =>
    node.kind === 'compute' && node.reduce?.combiner === 'sum'
      ? {
          ...node,
          reduce: { ...node.reduce, extents: node.reduce.extents.map((extent) => Math.max(0, extent - 1)) },
        }
      : node,
  ),
  'turns quotients around': onNodes((node) =>
    mapNodeScalars(node, (scalar) =>
      mapScalar(scalar, (part) =>
        part.op === 'apply' && part.function === 'div'
          ? apply('div', part.operands[1]!, part.operands[0]!)
          : part,
      ),
    ),
  ),
  'forgets the mask of a softmax': onNodes((node) =>
    node.kind === 'softmaxSum' ? { ...node, visible: undefined } : node,
  ),
  'takes a tangent for a sine': onNodes((node) =>
    mapNodeScalars(node, (scalar) =>
      mapScalar(scalar, (part) =>
        part.op === 'apply' && part.function === 'tanh' ? apply('sin', part.operands[0]!) : part,
      ),
    ),
  ),
};

test.each(Object.entries(mutants))('a pass that %s is found out', (_, run) => {
  const kinds = fc
    .sample(programs, { numRuns: 150, seed: 3 })
    .map((program) => compare(program, run(program.graph)).kind);
  expect(kinds.some((kind) => kind === 'different' || kind === 'opaque-different')).toBe(true);
});
