/**
 * For tests: whether a random program that the placement checker accepts, with symbolic sizes, has a place on
 * a random mesh that its sizes come apart on, the same place, and computes what it does on one device.
 */
import {
  type Mesh,
  type Placement,
  samePlacement,
  showList,
  showPending,
} from '../../dsl/placement/placement.ts';
import { checkProgram } from '../../dsl/types/check.ts';
import { evaluateSize } from '../../dsl/types/size.ts';
import type { TypedProgram } from '../../dsl/types/typed.ts';
import type { TensorValue } from '../graph/algebra.ts';
import { type Choose, pick, readTape } from '../graph/choice-tape.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import type { Graph } from '../graph/graph.ts';
import { threefry2x32 } from '../graph/threefry.ts';
import { describeEntry, solveEntrySizes } from '../lower/entry.ts';
import { entryPlacements } from '../lower/entry-placements.ts';
import { lowerEntry } from '../lower/lower-entry.ts';
import { isFree } from './conversion.ts';
import { evaluateOnMesh } from './evaluate-mesh.ts';
import { placementWithoutIdle } from './idle-axes.ts';
import { localize } from './localize.ts';
import { place } from './place.ts';
import { exactAlgebra, scatter } from './random-partition.ts';
import { helpers, meshAxes, type RandomPlacedProgram, randomPlacedProgram } from './random-placed-source.ts';

function checked(text: string): TypedProgram {
  const { program, diagnostics } = checkProgram({ path: '/random.ricci', text }, helpers);
  const [first] = diagnostics;
  if (first !== undefined) throw new Error(`refused as a whole: ${first.code} ${first.message}\n${text}`);
  return program;
}

/** One to three of the axes have more than one device. */
function randomMesh(choose: Choose): Mesh {
  const axes = meshAxes.map((name) => ({ name, size: pick(choose, [2, 1, 3, 2, 1, 4, 1]) }));
  return { axes: choose(2) === 0 ? axes : axes.toReversed() };
}

/** Such that every size that is cut comes apart, and there is not too much to compute; often 0 and 1. */
function randomSizes(
  program: TypedProgram,
  mesh: Mesh,
  choose: Choose,
): ReadonlyMap<string, number> | undefined {
  const axes = mesh.axes.map(({ name, size }) => [name, size] as const);
  const devices = axes.map(([, size]) => size);
  const all = devices.reduce((product, size) => product * size, 1);
  const pool = [all, 2, 1, 0, 6, 4, 3, all, ...devices, ...devices.map((size) => all / size)];
  const names = program.entries
    .get('main')!
    .sizes.filter((name) => !mesh.axes.some((axis) => axis.name === name));
  for (let turn = 0; turn < 60; turn++) {
    const own = new Map(names.map((name) => [name, pick(choose, pool)]));
    const area = (rows: string, columns: string) => (own.get(rows) ?? 1) * (own.get(columns) ?? 1);
    if (area('N', 'M') > 80 || area('G', 'R') > 24) continue;
    const solved = solveEntrySizes(program, 'main', new Map(), new Map([...own, ...axes]));
    if (solved.kind === 'sizes' && comesApart(program, solved.sizes)) return solved.sizes;
  }
  return undefined;
}

function comesApart(program: TypedProgram, sizes: ReadonlyMap<string, number>): boolean {
  const { inputs, outputs } = entryPlacements(program, 'main');
  const described = describeEntry(program, 'main');
  return [...described.inputs, ...described.outputs].every(({ path, dims, element }) => {
    const placement = (inputs.get(path) ?? outputs.get(path))!;
    const extents = dims.map((size) => evaluateSize(size, sizes)!);
    const isIndexable =
      element.kind !== 'ix' || evaluateSize(element.range, sizes) !== 0 || extents.includes(0);
    return (
      isIndexable &&
      extents.every((extent, dim) => {
        const devices = placement.dims[dim]!.reduce((count, axis) => count * sizes.get(axis)!, 1);
        return extent % devices === 0;
      })
    );
  });
}

function lowered(program: TypedProgram, sizes: ReadonlyMap<string, number>): Graph {
  const result = lowerEntry(program, 'main', { sizes, inputDtypes: new Map() });
  if ('diagnostics' in result) throw new Error(result.diagnostics.map(({ message }) => message).join('\n'));
  return result.graph;
}

/** Small integers; indices below their range, and halves and ones. */
function inputsFor(program: TypedProgram, graph: Graph, sizes: ReadonlyMap<string, number>) {
  const ranges = new Map(
    describeEntry(program, 'main').inputs.map(({ path, element }) => [
      path,
      element.kind === 'ix' ? evaluateSize(element.range, sizes)! : undefined,
    ]),
  );
  return new Map(
    graph.inputs.map(({ path, tensor: { id, dtype, shape } }): [string, TensorValue<number>] => {
      const count = shape.reduce((product, extent) => product * extent, 1);
      const bound = ranges.get(path);
      const data = Float64Array.from({ length: count }, (_, position) => {
        const [bits] = threefry2x32(5, id, position, 0);
        if (bound !== undefined) return bits % bound;
        return dtype === 'bool' ? bits % 2 : (bits % 7) - 3;
      });
      return [path, { dtype, shape, data }];
    }),
  );
}

export type Outcome =
  | { readonly kind: 'right' | 'less placed' | 'not exact' | 'no sizes' }
  | { readonly kind: 'wrong'; readonly why: string };

export function outcomeOf(tape: readonly number[]): Outcome & { readonly program: RandomPlacedProgram } {
  const choose = readTape(tape);
  const mesh = randomMesh(choose);
  const program = randomPlacedProgram(choose);
  if (program.results.length === 0) return { kind: 'no sizes', program };
  return { ...judged(program.text, mesh, choose), program };
}

/** Throws where the checker refuses the program. */
export function judged(text: string, mesh: Mesh, choose: Choose): Outcome {
  const program = checked(text);
  const sizes = randomSizes(program, mesh, choose);
  if (sizes === undefined) return { kind: 'no sizes' };
  const at = JSON.stringify([...sizes]);
  const wrong = (why: string): Outcome => ({ kind: 'wrong', why: `${why}\nat ${at}\n${text}` });
  const alone = new Map([...sizes, ...meshAxes.map((axis) => [axis, 1] as const)]);
  const whole = lowered(program, alone);
  const graph = lowered(program, sizes);
  const { inputs, outputs } = entryPlacements(program, 'main');

  const open = place(graph, { mesh, inputs, outputs: new Map() });
  if (open.kind === 'misplaced') return wrong(`misplaced: ${open.faults[0]!.message}`);
  let isSame = true;
  for (const [path, declared] of outputs) {
    const found = open.placed.outputs.get(path)!;
    const wanted = placementWithoutIdle(declared, mesh);
    if (!isFree(found, wanted)) return wrong(`${path} is ${show(found)}, not ${show(wanted)}`);
    isSame &&= samePlacement(found, wanted);
  }
  const placed = place(graph, { mesh, inputs, outputs });
  if (placed.kind === 'misplaced') return wrong(`misplaced: ${placed.faults[0]!.message}`);

  const device = localize(placed.placed);
  const values = inputsFor(program, whole, alone);
  const algebra = exactAlgebra();
  const wanted = evaluateGraph(
    whole,
    new Map(whole.inputs.map(({ path, tensor }) => [tensor.id, values.get(path)!])),
    algebra,
  );
  const blocks = graph.inputs.map(({ path }, position) => {
    return [path, scatter(values.get(path)!, device.inputs.get(path)!, mesh, position)] as const;
  });
  const { outputs: computed } = evaluateOnMesh(device, new Map(blocks), algebra);
  if (!algebra.isExact()) return { kind: 'not exact' };
  for (const [path, { data }] of wanted) {
    const other = computed.get(path)!.data;
    for (let position = 0; position < data.length; position++)
      if (!Object.is((data[position] as number) + 0, (other[position] as number) + 0))
        return wrong(`${path}, element ${position}: ${data[position]} became ${other[position]}`);
  }
  return { kind: isSame ? 'right' : 'less placed' };
}

function show({ dims, pending }: Placement): string {
  return `[${dims.map((list) => showList(list) || '·').join(', ')}]${showPending(pending)}`;
}
