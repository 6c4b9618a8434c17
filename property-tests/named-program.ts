/** For tests: small programs by name, `file: entry`, or `file: entry N=3,M=4` with sizes to run it at. */

import type { Graph } from '../compiler/graph/graph.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import type { PlaceOptions } from '../compiler/partition/place.ts';
import type { Checked } from '../driver/check.ts';
import { lower } from '../driver/lower.ts';
import { randomInput } from '../driver/random-inputs.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { TensorData } from '../runtime/weights/tensor-data.ts';
import { instancesOf } from './instances.ts';
import { checkSmallProgram } from './small-programs.ts';

type Sizes = ReadonlyMap<string, number>;

export interface NamedProgram {
  readonly checked: Checked;
  readonly entry: string;
  readonly instances: readonly Sizes[];
}

export function namedProgram(name: string): NamedProgram {
  const [file, entry, sizes] = name.split(/:? /) as [string, string, string | undefined];
  const checked = checkSmallProgram(file);
  const instances = sizes === undefined ? instancesOf(checked.program, entry) : [sizesFrom(sizes)];
  return { checked, entry, instances };
}

export interface NamedOnMesh {
  readonly checked: Checked;
  readonly entry: string;
  /** Devices along axes among them. */
  readonly sizes: Sizes;
  readonly mesh: Mesh;
  readonly inputs: ReadonlyMap<string, TensorData>;
}

/** Of axes that are not named there is one device. */
export function namedOnMesh(name: string): NamedOnMesh {
  const { checked, entry, instances } = namedProgram(name);
  const { program } = checked;
  const given = instances[0]!;
  const axes = program.axes.map((axis) => ({ name: axis, size: given.get(axis) ?? 1 }));
  const sizes = new Map([...given, ...axes.map(({ name: axis, size }) => [axis, size] as const)]);
  const inputs = new Map(
    describeEntry(program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 3)]),
  );
  return { checked, entry, sizes, mesh: { axes }, inputs };
}

export interface LoweredOnMesh {
  /** Of the whole mesh. */
  readonly graph: Graph;
  /** As the entry declares. */
  readonly options: PlaceOptions;
  readonly inputs: ReadonlyMap<string, TensorData>;
}

export function loweredOnMesh(name: string): LoweredOnMesh {
  const { checked, entry, sizes, mesh, inputs } = namedOnMesh(name);
  const { program } = checked;
  const own = new Map([...sizes].filter(([size]) => !program.axes.includes(size)));
  const lowered = lower(checked, { entry, sizes: own, inputDtypes: new Map() });
  if (lowered.kind === 'rejected') throw new Error(`${name} is rejected`);
  return { graph: lowered.graph, options: { mesh, ...entryPlacements(program, entry) }, inputs };
}

function sizesFrom(text: string): Sizes {
  const pairs = text.split(',').map((pair) => pair.split('=') as [string, string]);
  return new Map(pairs.map(([name, size]) => [name, Number(size)]));
}
