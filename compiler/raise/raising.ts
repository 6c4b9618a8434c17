/** What the parts of raising share: the names of the source, and where its tensors live. */
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import type { LoopId, Tensor, TensorId } from '../graph/graph.ts';
import type { DivideFacts } from './divide-facts.ts';
import type { IndexNames, Names } from './names.ts';

export interface Raising {
  readonly tensor: (id: TensorId) => Tensor;
  /** Of the value that the tensor holds: several tensors may be the same value. */
  readonly name: (id: TensorId) => string;
  readonly names: Names;
  readonly indices: IndexNames;
  /** For tensors of type `ix(n)` in the source: n. */
  readonly below: Map<TensorId, number>;
  /** Steps of the loops around. */
  readonly steps: Map<LoopId, Step>;
  /** Of a value whose reduction is used in several places. */
  readonly total: string;
  /** Without one the program of one device is written, of which placements and collectives are no part. */
  readonly mesh: Mesh | undefined;
  /** undefined without a mesh. */
  readonly placementOf: (id: TensorId) => Placement | undefined;
  readonly facts: DivideFacts;
}

export interface Step {
  readonly name: string;
  readonly count: number;
}

export function countsOf({ steps }: Raising): ReadonlyMap<LoopId, number> {
  return new Map([...steps].map(([loop, { count }]) => [loop, count]));
}
