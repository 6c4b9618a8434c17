/**
 * A call of an `auto fn` from a function that is placed by hand. What is inside is for the partitioner to
 * place; what goes in and what comes out are tensors of their own, which live where the signature says.
 */
import type { Type } from '../../dsl/types/typed.ts';
import type { Graph, TensorId } from '../graph/graph.ts';
import { loadsOf } from '../graph/scalar.ts';
import { allTensors } from '../graph/uses.ts';
import { declaredAs } from './lower-collective.ts';
import { type Lowering, typesOfLeaves } from './lowering.ts';
import { mapLeaves, type Value } from './value.ts';

export interface BorderTensor {
  readonly tensor: TensorId;
  /**
   * The index variables that the call depends on, for the first dimensions: numbers that mean the same for
   * all tensors of one border.
   */
  readonly leading: readonly number[];
}

export interface AutoRegion {
  readonly arguments: readonly BorderTensor[];
  readonly results: readonly BorderTensor[];
  /** All that the function makes, its results among it. */
  readonly inside: ReadonlySet<TensorId>;
}

/** A region whose call is being lowered. */
export interface OpenRegion extends AutoRegion {
  readonly arguments: BorderTensor[];
  readonly results: BorderTensor[];
  readonly inside: Set<TensorId>;
}

export function borderOf(): OpenRegion {
  return { arguments: [], results: [], inside: new Set() };
}

/** Whole where nothing is written; as it comes where a dimension is left open. */
export function intoRegion(region: OpenRegion, value: Value, type: Type, lowering: Lowering): Value {
  return across(region.arguments, value, type, undefined, lowering);
}

/** Whole where a dimension is left open too: what is placed by hand goes on from there. */
export function outOfRegion(region: OpenRegion, value: Value, type: Type, lowering: Lowering): Value {
  return across(region.results, value, type, [], lowering);
}

/** What reads no tensor lives nowhere, and goes across as it is. */
function across(
  tensors: BorderTensor[],
  value: Value,
  type: Type,
  open: readonly string[] | undefined,
  lowering: Lowering,
): Value {
  const types = typesOfLeaves(type);
  let position = 0;
  return mapLeaves(value, (leaf) => {
    const own = types[position++]!;
    if (loadsOf(leaf.body).length === 0) return leaf;
    const leading = lowering.builder.free(leaf);
    const placed = declaredAs(leaf, own, { unwritten: [], open }, lowering);
    for (const { tensor } of loadsOf(placed.body)) tensors.push({ tensor, leading });
    return placed;
  });
}

/** Those that are in the graph still: a loop is lowered again where its state turns out to be larger. */
export function regionsIn(graph: Graph, regions: readonly AutoRegion[]): readonly AutoRegion[] {
  const tensors = allTensors(graph);
  return regions.filter(({ inside }) => [...inside].some((tensor) => tensors.has(tensor)));
}
