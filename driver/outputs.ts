/** Results as the types of entries nest them: a record by its fields, a tuple as an array. */
import type { TensorData } from '../runtime/weights/tensor-data.ts';

export type NestedOutput = TensorData | readonly NestedOutput[] | { readonly [field: string]: NestedOutput };

/** From paths: `out`, `out.0`, `out.gate`. */
export function nestOutputs(outputs: { readonly [path: string]: TensorData }): NestedOutput {
  return nest(Object.entries(outputs).map(([path, tensor]) => [path.split('.'), tensor]));
}

type Placed = readonly [path: readonly string[], tensor: TensorData];

function nest(placed: readonly Placed[]): NestedOutput {
  const [only] = placed;
  if (only !== undefined && only[0].length === 0) return only[1];
  const fields = new Map<string, Placed[]>();
  for (const [[field = '', ...rest], tensor] of placed) {
    fields.set(field, [...(fields.get(field) ?? []), [rest, tensor]]);
  }
  const nested = [...fields].map(([field, inside]) => [field, nest(inside)] as const);
  // Fields of records begin with a letter.
  return [...fields.keys()].every((field) => /^\d+$/.test(field))
    ? nested.map(([, value]) => value)
    : Object.fromEntries(nested);
}
