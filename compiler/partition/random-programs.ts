/**
 * For tests: random programs cut over random meshes, and whether their devices compute together what the
 * whole program does.
 */
import fc from 'fast-check';
import { type Mesh, type Placement, samePlacement } from '../../dsl/placement/placement.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { TensorValue } from '../graph/algebra.ts';
import { choicesOf } from '../graph/choice-tape.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float64 } from '../graph/float64.ts';
import type { Graph, Node } from '../graph/graph.ts';
import { printGraph } from '../graph/print.ts';
import type { RandomProgram } from '../graph/random-graph.ts';
import { allNodes, allTensors } from '../graph/uses.ts';
import { collectiveSteps } from './collective-steps.ts';
import { evaluateOnMesh, resized } from './evaluate-mesh.ts';
import { changeWithoutIdle } from './idle-axes.ts';
import { type DeviceProgram, localize } from './localize.ts';
import type { PlacedGraph, PlaceOptions } from './place.ts';
import { preparedFor } from './prepared.ts';
import {
  axisNames,
  type CutRule,
  dividing,
  exactAlgebra,
  placeWithCollectives,
  randomOutputs,
  randomPlacement,
  scatter,
} from './random-partition.ts';
import { placementAfterStep } from './reshard-steps.ts';
import { trafficOf } from './traffic.ts';

export interface Partitioned {
  readonly program: RandomProgram;
  readonly placed: PlacedGraph;
  readonly device: DeviceProgram;
  /** Of each input, what each device holds. */
  readonly blocks: ReadonlyMap<string, readonly TensorValue<number>[]>;
}

/** A program with the collectives that it needs, and where its inputs and outputs live. */
export interface WrittenProgram {
  readonly written: Graph;
  readonly options: PlaceOptions;
  readonly rule: CutRule;
}

/** @throws where it is not legal */
export function partitionWritten(
  program: RandomProgram,
  { written, options, rule }: WrittenProgram,
): Partitioned {
  const result = rule.place(written, options);
  if (result.kind === 'misplaced') throw new Error(JSON.stringify(result.faults[0]));
  const device = { ...localize(result.placed), whole: result.whole };
  const blocks = result.placed.graph.inputs.map(({ path, tensor }, position) => {
    const whole = resized(program.inputs.get(tensor.id)!, tensor.shape, float64);
    return [path, scatter(whole, device.inputs.get(path)!, options.mesh, position)] as const;
  });
  return { program, placed: result.placed, device, blocks: new Map(blocks) };
}

/**
 * How a program is cut. Where a tensor lives and what moves it follow from the seed and what it is called, so
 * that they stay when the rest of the program shrinks.
 */
export interface Layout {
  readonly mesh: Mesh;
  readonly seed: number;
}

/** The mesh shrinks axis by axis; a seed is as good as another. */
export const layouts: fc.Arbitrary<Layout> = fc.record({
  mesh: fc
    .noBias(
      fc.array(fc.constantFrom(2, 2, 3, 4, 1), { minLength: 1, maxLength: axisNames.length, size: 'max' }),
    )
    .map((sizes) => ({ axes: sizes.map((size, at) => ({ name: axisNames[at]!, size })) })),
  seed: fc.noShrink(fc.noBias(fc.nat())),
});

/** undefined: there is no legal way that was found. */
export function partition(program: RandomProgram, layout: Layout, rule = dividing): Partitioned | undefined {
  const found = writtenFor(program.graph, layout, rule);
  return found && partitionWritten(program, found);
}

/** undefined: there is no legal way that was found. */
export function writtenFor(graph: Graph, { mesh, seed }: Layout, rule: CutRule): WrittenProgram | undefined {
  const chooseFor = choicesOf(seed);
  const inputs = new Map(
    graph.inputs.map(({ path, tensor }): [string, Placement] => [
      path,
      randomPlacement(tensor, mesh, chooseFor(`input ${path}`), undefined, rule),
    ]),
  );
  const free = placeWithCollectives(graph, mesh, inputs, chooseFor, rule);
  if (free === undefined) return undefined;
  const { written } = free;
  const declared = { mesh, inputs, outputs: randomOutputs(free, chooseFor, rule) };
  // Padded further, blocks may come to lie where a read was in range of one before: then without.
  const isLegal = rule === dividing || rule.place(written, declared).kind === 'placed';
  return { written, options: isLegal ? declared : { mesh, inputs, outputs: new Map() }, rule };
}

export type Outputs = ReadonlyMap<string, TensorValue<number>>;

/** The first element that is not the same; NaN is the same as NaN. */
export function difference(wanted: Outputs, found: Outputs): string | undefined {
  for (const [path, { shape, data }] of wanted) {
    const other = found.get(path)!;
    if (`${other.shape}` !== `${shape}`) return `${path} is of shape [${other.shape}], not [${shape}]`;
    for (let position = 0; position < data.length; position++) {
      const [left, right] = [data[position] as number, other.data[position] as number];
      if (left !== right && !(Number.isNaN(left) && Number.isNaN(right)))
        return `${path}, element ${position}: ${left} became ${right}`;
    }
  }
  return undefined;
}

/** What is wrong; undefined when nothing is. */
export function fault({ program, device, blocks }: Partitioned): string | undefined | 'not exact' {
  const algebra = exactAlgebra();
  const wanted = evaluateGraph(program.graph, program.inputs, algebra);
  if (!algebra.isExact() || !algebra.isFinite()) return 'not exact';
  try {
    const { outputs } = evaluateOnMesh(device, blocks, algebra);
    return algebra.isExact() ? difference(wanted, outputs) : 'not exact';
  } catch (error) {
    return String(error);
  }
}

export function isFaulty(partitioned: Partitioned): boolean {
  return ![undefined, 'not exact'].includes(fault(partitioned));
}

export function shown({ placed, device }: Partitioned): string {
  const mesh = device.mesh.axes.map(({ name, size }) => `${name}=${size}`).join(' ');
  const inputs = [...device.inputs].map(
    ([path, { dims, pending }]) => `${path} ${JSON.stringify(dims)} {${[...pending]}}`,
  );
  return `${mesh}\n${inputs.join('\n')}\n${printGraph(placed.graph)}\nbecame\n${printGraph(device.graph)}`;
}

/** Bytes that the busiest device sends, counted. */
export function sentBytes({ device, blocks }: Partitioned): number {
  const { sent } = evaluateOnMesh(device, blocks, float64);
  return [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** The same from the placements, by the formulas for each change. */
export function predictedBytes({ graph, mesh, placements }: PlacedGraph): number {
  const tensors = allTensors(graph);
  const within = (nodes: readonly Node[]): number =>
    nodes.reduce((sum, node) => {
      if (node.kind === 'loop') return sum + node.count * within(node.body.nodes);
      if (node.kind !== 'collective') return sum;
      const source = tensors.get(node.source)!;
      const elementBytes = dtypeFacts[source.dtype].bits / 8;
      const to = placements.get(node.result.id)!;
      const { from, steps } = collectiveSteps(node.change, placements.get(source.id)!, to, source, mesh);
      let placement = from;
      return steps.reduce((bytes, step, position) => {
        const traffic = trafficOf(step, { shape: source.shape, placement, elementBytes }, mesh);
        placement = position < steps.length - 1 ? placementAfterStep(placement, step, mesh) : to;
        return bytes + traffic.bytes;
      }, sum);
    }, 0);
  return within(graph.nodes);
}

/**
 * Whether a collective turned out to have nothing to do along an axis. The rule lets it be; the checker,
 * which knows by then where its operand lives, does not.
 */
export function hasIdleCollective(graph: Graph, placements: PlacedGraph['placements'], mesh: Mesh): boolean {
  return allNodes(graph).some((node) => {
    if (node.kind !== 'collective') return false;
    const change = changeWithoutIdle(node.change, mesh);
    const found = placements.get(node.source)!;
    const prepared = preparedFor(change, found);
    const axesOfChange = (own: typeof change) => (own !== undefined && 'axes' in own ? own.axes : []);
    return (
      `${axesOfChange(prepared.change)}` !== `${axesOfChange(change)}` || !samePlacement(prepared.from, found)
    );
  });
}
