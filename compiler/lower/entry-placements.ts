/** Where the tensors of an entry live on a mesh, as it declares them. */
import type { Placement } from '../../dsl/placement/placement.ts';
import type { Type, TypedProgram } from '../../dsl/types/typed.ts';
import { dimsOf, fieldType } from '../../dsl/types/types.ts';
import { entryOf } from './entry.ts';

/** By path, as `describeEntry` has them. */
export interface EntryPlacements {
  readonly inputs: ReadonlyMap<string, Placement>;
  readonly outputs: ReadonlyMap<string, Placement>;
}

export function entryPlacements(program: TypedProgram, entry: string): EntryPlacements {
  const { parameters, result } = entryOf(program, entry);
  return {
    inputs: new Map(parameters.flatMap(({ name, type }) => placementsOf(name, type))),
    outputs: new Map(placementsOf('out', result)),
  };
}

/** What is left to the partitioner (`@?`) is whole. */
function placementsOf(path: string, type: Type): readonly (readonly [string, Placement])[] {
  const dims = dimsOf(type).map(({ placement }) => (placement.kind === 'axes' ? placement.axes : []));
  switch (type.kind) {
    case 'tensor': {
      const written = type.pending ?? [];
      return [[path, { dims, pending: new Map(written.map(({ axis, combiner }) => [axis, combiner])) }]];
    }
    case 'key':
      return [[path, { dims: [...dims, []], pending: new Map() }]];
    case 'record':
      return type.record.fields.flatMap(({ name }) =>
        placementsOf(`${path}.${name}`, fieldType(type, name)!),
      );
    case 'tuple':
      return type.elements.flatMap((element, position) => placementsOf(`${path}.${position}`, element));
    case 'error':
      throw new Error('a program with errors has no entries');
  }
}
