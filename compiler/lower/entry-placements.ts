/** Where the tensors of an entry live on a mesh, as it declares them. */
import type { AxisList, Placement, Wish } from '../../dsl/placement/placement.ts';
import type { Type, TypedProgram } from '../../dsl/types/typed.ts';
import { dimsOf, fieldType } from '../../dsl/types/types.ts';
import { entryOf } from './entry.ts';

/** By path, as `describeEntry` has them. */
export interface EntryPlacements {
  readonly inputs: ReadonlyMap<string, Placement>;
  readonly outputs: ReadonlyMap<string, Placement>;
}

/** What is left to the partitioner (`@?`) is whole. */
export function entryPlacements(program: TypedProgram, entry: string): EntryPlacements {
  const { inputs, outputs } = entryWishes(program, entry, 'whole');
  const settled = ({ dims, pending }: Wish): Placement => ({
    dims: dims.map((list) => (list === 'any' ? [] : list)),
    pending,
  });
  return {
    inputs: new Map([...inputs].map(([path, wish]) => [path, settled(wish)])),
    outputs: new Map([...outputs].map(([path, wish]) => [path, settled(wish)])),
  };
}

export interface EntryWishes {
  readonly inputs: ReadonlyMap<string, Wish>;
  readonly outputs: ReadonlyMap<string, Wish>;
}

/** @param unplaced what a dimension is that is written without axes: whole, or any */
export function entryWishes(program: TypedProgram, entry: string, unplaced: 'whole' | 'any'): EntryWishes {
  const { parameters, result } = entryOf(program, entry);
  return {
    inputs: new Map(parameters.flatMap(({ name, type }) => wishesOf(name, type, unplaced))),
    outputs: new Map(wishesOf('out', result, unplaced)),
  };
}

function wishesOf(path: string, type: Type, unplaced: 'whole' | 'any'): readonly (readonly [string, Wish])[] {
  const without: AxisList | 'any' = unplaced === 'whole' ? [] : 'any';
  const dims = dimsOf(type).map(({ placement }): AxisList | 'any' => {
    if (placement.kind === 'axes') return placement.axes;
    return placement.kind === 'hole' ? 'any' : without;
  });
  switch (type.kind) {
    case 'tensor': {
      const written = type.pending ?? [];
      return [[path, { dims, pending: new Map(written.map(({ axis, combiner }) => [axis, combiner])) }]];
    }
    case 'key':
      return [[path, { dims: [...dims, []], pending: new Map() }]];
    case 'record':
      return type.record.fields.flatMap(({ name }) =>
        wishesOf(`${path}.${name}`, fieldType(type, name)!, unplaced),
      );
    case 'tuple':
      return type.elements.flatMap((element, position) => wishesOf(`${path}.${position}`, element, unplaced));
    case 'error':
      throw new Error('a program with errors has no entries');
  }
}
