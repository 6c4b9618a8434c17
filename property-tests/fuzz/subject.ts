/** What relations are checked of: a program, and how it is cut over a mesh. */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { type Choose, choicesOf, pick } from '../../compiler/graph/choice-tape.ts';
import { type RandomProgram, randomProgram } from '../../compiler/graph/random-graph.ts';
import { axisNames, type CutRule, dividing, padding } from '../../compiler/partition/random-partition.ts';
import {
  type Layout,
  type Partitioned,
  partitionWritten,
  type WrittenProgram,
  writtenFor,
} from '../../compiler/partition/random-programs.ts';
import { deviceCount, type Mesh } from '../../dsl/placement/placement.ts';

export interface Subject {
  readonly program: RandomProgram;
  /** What a relation draws at random in checking follows from it. */
  readonly seed: number;
}

export interface MeshSubject extends Subject {
  readonly cut: WrittenProgram;
  readonly partitioned: Partitioned;
}

/** A mesh, a seed, and whether blocks are made equal that are not. */
export interface Cut extends Layout {
  readonly rule: CutRule;
}

export type Values = ReadonlyMap<string, TensorValue<number>>;

/** Inputs by path. */
export function valuesOf({ graph, inputs }: RandomProgram): Values {
  return new Map(graph.inputs.map(({ path, tensor }) => [path, inputs.get(tensor.id)!]));
}

/** More take long to evaluate, and show no more. */
const mostDevices = 12;

/** Sizes that most cuts divide, and such as few do: both with 0, 1 and primes. */
const evenSizes = [4, 2, 6, 12, 3, 4, 1, 2, 0];
const unevenSizes = [5, 7, 3, 4, 1, 6, 2, 0];

/** Of which all is drawn from the seed and its place in the series. */
export interface Drawn {
  readonly program: RandomProgram;
  readonly seed: number;
  readonly cuts: readonly Cut[];
}

export function draw(series: number, position: number, meshes: number): Drawn {
  const chooseFor = choicesOf(series);
  const choose = chooseFor(`program ${position}`);
  const isEven = choose(3) < 2;
  const program = randomProgram(choose, isEven ? evenSizes : unevenSizes, 'lowered');
  const cuts = Array.from({ length: meshes }, (_, which) => {
    const own = chooseFor(`cut ${position} ${which}`);
    return { mesh: randomMesh(own), seed: own(2 ** 31), rule: isEven ? dividing : padding };
  });
  return { program, seed: choose(2 ** 31), cuts };
}

function randomMesh(choose: Choose): Mesh {
  for (;;) {
    const names = axisNames.slice(0, 1 + choose(axisNames.length));
    const mesh = { axes: names.map((name) => ({ name, size: pick(choose, [2, 2, 3, 4, 1]) })) };
    if (deviceCount(mesh) <= mostDevices) return mesh;
  }
}

/** undefined: no legal way was found. */
export function cutOver(subject: Subject, cut: Cut): MeshSubject | undefined {
  const found = writtenFor(subject.program.graph, cut, cut.rule);
  return found && meshSubject(subject, found);
}

export function meshSubject(subject: Subject, cut: WrittenProgram): MeshSubject {
  return { ...subject, cut, partitioned: partitionWritten(subject.program, cut) };
}
