import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TensorValue } from '../graph/algebra.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float32 } from '../graph/float32.ts';
import type { Graph, Node } from '../graph/graph.ts';
import { printGraph } from '../graph/print.ts';
import { type RandomProgram, randomPrograms } from '../graph/random-graph.ts';
import { apply, integer, mapScalar } from '../graph/scalar.ts';
import { mapNodeScalars } from '../graph/uses.ts';
import { checkGraph } from '../graph/well-formed.ts';
import { optimize, type Pass, passes } from './passes.ts';

type Outputs = ReadonlyMap<string, TensorValue<number>>;

/** The first element that is not the same, bit for bit but for the sign of a zero. */
function difference(wanted: Outputs, found: Outputs): string | undefined {
  for (const [path, { dtype, shape, data }] of wanted) {
    const other = found.get(path);
    if (other === undefined || other.dtype !== dtype || `${other.shape}` !== `${shape}`)
      return `${path}: ${dtype}[${shape}] became ${other?.dtype}[${other?.shape}]`;
    for (let position = 0; position < data.length; position++) {
      const [left, right] = [data[position] as number, other.data[position] as number];
      if (left !== right && !(Number.isNaN(left) && Number.isNaN(right)))
        return `${path}, element ${position}: ${left} became ${right}`;
    }
  }
  return undefined;
}

/** What is wrong with the pass on this program, in f32 arithmetic; undefined when it is sound. */
function fault({ graph, inputs }: RandomProgram, run: (graph: Graph) => Graph): string | undefined {
  const after = run(graph);
  const ill = checkGraph(after)[0];
  if (ill !== undefined) return `ill-formed: ${JSON.stringify(ill)}\n${printGraph(after)}`;
  const found = difference(evaluateGraph(graph, inputs, float32), evaluateGraph(after, inputs, float32));
  return found && `${found}\n${printGraph(graph)}\nbecame\n${printGraph(after)}`;
}

/** One of each transformation: several passes run the same one. */
const transformations = passes.filter(
  ({ run }, position) => passes.findIndex((other) => other.run === run) === position,
);

describe.each(transformations.map((pass): [string, Pass] => [pass.name, pass]))('%s', (_, { run }) => {
  test('keeps the meaning of random programs, to the bit', () => {
    fc.assert(
      fc.property(randomPrograms(), (program) => {
        expect(fault(program, (graph) => run(graph, {}))).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });
});

test('any choice of the passes keeps the meaning of random programs, to the bit', () => {
  const names = passes.map(({ name }) => name);
  fc.assert(
    fc.property(randomPrograms(), fc.subarray(names), (program, skipped) => {
      expect(fault(program, (graph) => optimize(graph, { skip: new Set(skipped) }))).toBeUndefined();
    }),
    { numRuns: 200 },
  );
});

test('optimizing again adds nothing', () => {
  fc.assert(
    fc.property(randomPrograms(), ({ graph }) => {
      const once = optimize(graph);
      const { nodes } = optimize(once);
      expect(nodes.length).toBeLessThanOrEqual(once.nodes.length);
    }),
    { numRuns: 80 },
  );
});

// ── the tests themselves ───────────────────────────────────────────────────────────────────────────────────

const sampled = fc.sample(randomPrograms(), { numRuns: 600, seed: 3 });

function onNodes(change: (node: Node) => Node): (graph: Graph) => Graph {
  const run = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'loop' ? { ...node, body: run(node.body) } : change(node),
    ),
  });
  return run;
}

const mutants: { readonly [name: string]: (graph: Graph) => Graph } = {
  'forgets the epilogue': onNodes((node) =>
    node.kind === 'compute' && node.reduce !== undefined
      ? { ...node, reduce: { ...node.reduce, finish: undefined } }
      : node,
  ),
  'forgets the mask': onNodes((node) =>
    node.kind === 'softmaxSum' ? { ...node, visible: undefined } : node,
  ),
  'turns differences around': onNodes((node) =>
    mapNodeScalars(node, (scalar) =>
      mapScalar(scalar, (part) =>
        part.op === 'apply' && part.function === 'sub'
          ? apply('sub', part.operands[1]!, part.operands[0]!)
          : part,
      ),
    ),
  ),
  'reads the first row always': onNodes((node) =>
    mapNodeScalars(node, (scalar) =>
      mapScalar(scalar, (part) =>
        part.op === 'load' && part.subscripts.length > 0
          ? { ...part, subscripts: [integer(0), ...part.subscripts.slice(1)] }
          : part,
      ),
    ),
  ),
  'does not round what it stores': onNodes((node) =>
    mapNodeScalars(node, (scalar) =>
      mapScalar(scalar, (part) => (part.op === 'round' && part.dtype === 'bf16' ? part.operand : part)),
    ),
  ),
  'runs a loop once less': (graph) => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'loop' && node.count > 1 && node.results.length === node.initial.length
        ? { ...node, count: node.count - 1 }
        : node,
    ),
  }),
  'drops the last node': (graph) => ({ ...graph, nodes: graph.nodes.slice(0, -1) }),
};

test.each(Object.entries(mutants))('a pass that %s is found out', (_, run) => {
  expect(sampled.some((program) => fault(program, run) !== undefined)).toBe(true);
});

/** What random graphs do not hold: it has its own tests. */
const recoveries: ReadonlySet<string> = new Set([
  'recover-attention',
  'recover-partial-attention',
  'recover-log-sums',
  'dead-code-recovered',
  'join-softmax',
  'recover-experts',
]);

test('random programs give every transformation something to do', () => {
  const idle = transformations.filter(
    ({ name, run }) =>
      !recoveries.has(name) && sampled.every(({ graph }) => printGraph(run(graph)) === printGraph(graph)),
  );
  expect(idle.map(({ name }) => name)).toEqual([]);
});
