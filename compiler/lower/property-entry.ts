/** Properties as entries: whatever works on an entry works on them. */
import type { PropertyInfo, TypedProgram } from '../../dsl/types/typed.ts';

/**
 * The program with one more entry, of the property's name: its inputs are the quantified values, its outputs
 * `out.0`, `out.1`, … the sides of the checks, by `PropertyCheck.left` and `.right`. The side of a record or
 * tuple is several tensors, `out.0.gate`.
 */
export function asEntry(program: TypedProgram, property: PropertyInfo): TypedProgram {
  const { name, function: info } = property;
  return {
    ...program,
    functions: new Map([...program.functions, [info.id, info]]),
    entries: new Map([...program.entries, [name, info]]),
  };
}
