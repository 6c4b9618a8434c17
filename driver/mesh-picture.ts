/** Which device of a mesh holds which part of a tensor, as plain data: what pictures of it are drawn from. */

import { tensorBytes } from '../compiler/graph/cost.ts';
import type { Tensor } from '../compiler/graph/graph.ts';
import { allTensors } from '../compiler/graph/uses.ts';
import { describeEntry, type EntryTensor } from '../compiler/lower/entry.ts';
import { allCoordinates, blockNumber } from '../compiler/partition/blocks.ts';
import {
  type AxisList,
  devicesAlong,
  type Mesh,
  type PendingCombiner,
  type Placement,
} from '../dsl/placement/placement.ts';
import { closestName } from '../dsl/types/did-you-mean.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { showSize } from '../dsl/types/size.ts';
import { UserError } from '../runtime/errors.ts';
import type { Checked } from './check.ts';
import type { Instance, Lowered } from './lower.ts';

export interface MeshPicture {
  readonly mesh: Mesh;
  readonly tensors: readonly TensorPicture[];
}

export interface TensorPicture {
  readonly role: 'input' | 'output' | 'tensor';
  /**
   * `x`, `experts.gate`, `out`; of others what the program calls them, or `name%id` as graphs are printed.
   */
  readonly name: string;
  readonly dtype: Dtype;
  /** Of the whole tensor. */
  readonly dims: readonly DimPicture[];
  /** Over these axes what the devices hold is still to be combined. */
  readonly pending: readonly { readonly axis: string; readonly combiner: PendingCombiner }[];
  /** One for each combination of the dimensions' blocks, row-major. */
  readonly blocks: readonly BlockPicture[];
  /** Of the largest block. */
  readonly blockBytes: number;
}

export interface DimPicture {
  /** As the entry declares it, `T`; `d0` where nothing does. */
  readonly name: string;
  readonly extent: number;
  readonly axes: AxisList;
  /** In order; one that is whole has one. */
  readonly blocks: readonly IndexRange[];
}

/** `end` is excluded. */
export interface IndexRange {
  readonly begin: number;
  readonly end: number;
}

/**
 * Each holder has all of the block: a device, or several of which each has a part of a pending value. Holders
 * hold the same.
 */
export interface BlockPicture {
  readonly holders: readonly (readonly number[])[];
}

/** What is drawn of one tensor. */
export interface Placed {
  readonly role: TensorPicture['role'];
  readonly name: string;
  readonly tensor: Pick<Tensor, 'dtype' | 'shape'>;
  readonly dimNames: readonly string[];
  readonly placement: Placement;
}

export function tensorPicture(
  { role, name, tensor, dimNames, placement }: Placed,
  mesh: Mesh,
): TensorPicture {
  const dims = tensor.shape.map((extent, dim): DimPicture => {
    const axes = placement.dims[dim] ?? [];
    const blocks = rangesOf(extent, devicesAlong(mesh, axes));
    return { name: dimNames[dim] ?? `d${dim}`, extent, axes, blocks };
  });
  const largest = dims.map(({ blocks: [first] }) => first!.end - first!.begin);
  return {
    role,
    name,
    dtype: tensor.dtype,
    dims,
    pending: [...placement.pending].map(([axis, combiner]) => ({ axis, combiner })),
    blocks: blocksOf(placement, mesh),
    blockBytes: tensorBytes({ dtype: tensor.dtype, shape: largest }),
  };
}

/** Blocks are equal; where they cannot be, the last ones are shorter, or empty. */
function rangesOf(extent: number, count: number): readonly IndexRange[] {
  const length = Math.ceil(extent / count);
  return Array.from({ length: count }, (_, block) => ({
    begin: Math.min(extent, block * length),
    end: Math.min(extent, (block + 1) * length),
  }));
}

/** Devices by block, and in each by their place along the axes that do not say which block it is. */
function blocksOf({ dims, pending }: Placement, mesh: Mesh): readonly BlockPicture[] {
  const cut = new Set(dims.flat());
  const free = mesh.axes.map(({ name }) => name).filter((name) => !cut.has(name) && !pending.has(name));
  const blocks: number[][][] = [];
  for (const [device, coordinates] of allCoordinates(mesh).entries()) {
    const place = dims.reduce(
      (number, axes) => number * devicesAlong(mesh, axes) + blockNumber(axes, coordinates, mesh),
      0,
    );
    const replica = blockNumber(free, coordinates, mesh);
    const holders = blocks[place] ?? [];
    holders[replica] = [...(holders[replica] ?? []), device];
    blocks[place] = holders;
  }
  return blocks.map((holders) => ({ holders }));
}

// ── of an entry ────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Inputs and outputs of the entry, or, where `names` has any, the tensors of these names only.
 * @throws UserError `wrong-input` without a mesh, or where there is no tensor of a name
 */
export function entryPicture(
  checked: Checked,
  instance: Instance,
  { source, placed }: Lowered,
  names: readonly string[],
): MeshPicture {
  if (placed === undefined)
    throw new UserError('wrong-input', 'there is no mesh to draw', 'give --mesh, as in --mesh sp=2,tp=4');
  // With the collectives that the partitioner has put in.
  const { graph, mesh, placements } = placed;
  const tensors = allTensors(graph);
  const { inputs, outputs } = describeEntry(checked.program, instance.entry);
  const dimNamesOf = (described: readonly EntryTensor[], path: string) =>
    described.find((each) => each.path === path)?.dims.map(showSize) ?? [];
  const given = graph.inputs.map(({ path, tensor }): Placed => {
    const placement = placements.get(tensor.id)!;
    return { role: 'input', name: path, tensor, dimNames: dimNamesOf(inputs, path), placement };
  });
  const made = graph.outputs.map(({ path, tensor }): Placed => {
    const placement = placed.outputs.get(path)!;
    const dimNames = dimNamesOf(outputs, path);
    return { role: 'output', name: path, tensor: tensors.get(tensor)!, dimNames, placement };
  });
  const known = [...given, ...made];
  const others = [...placements].flatMap(([id, placement]): Placed[] => {
    const tensor = tensors.get(id)!;
    const name = source.names.get(id) ?? `${tensor.name}%${id}`;
    const isKnown = graph.inputs.some((input) => input.tensor.id === id);
    return isKnown ? [] : [{ role: 'tensor', name, tensor, dimNames: [], placement }];
  });
  const chosen = names.length === 0 ? known : names.flatMap((name) => namedBy(name, [...known, ...others]));
  return { mesh, tensors: chosen.map((each) => tensorPicture(each, mesh)) };
}

/** All of that name: a name may be bound in several functions. */
function namedBy(name: string, all: readonly Placed[]): readonly Placed[] {
  const found = all.filter((each) => each.name === name);
  if (found.length > 0) return found;
  const names = [...new Set(all.map((each) => each.name))];
  const near = closestName(name, names);
  throw new UserError(
    'wrong-input',
    `there is no tensor ${name}${near === undefined ? '' : `, but one named ${near}`}`,
    `there are: ${names.join(', ')}`,
  );
}
