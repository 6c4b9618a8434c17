/**
 * TypeScript declarations for a file's entries, so that a wrong shape is an error in the editor: each size parameter is
 * a type parameter, which TypeScript infers from the shapes of the tensors it is given.
 */
import { asNatural, parameter, sameSize } from '../dsl/types/size.ts';
import type { Dim, ElementType, FunctionInfo, Type, TypedProgram } from '../dsl/types/typed.ts';
import { fieldType, type RecordType } from '../dsl/types/types.ts';

/** The text of `NAME.ricci.d.ts`: an interface `Entries` for `load<Entries>('NAME.ricci')`. */
export function declareEntries(program: TypedProgram, file: string): string {
  const entries = [...program.entries.values()].filter(({ exported }) => exported);
  return [
    `// Generated from ${file} by \`ricci declare\`.`,
    "import type { Key, Scalar, Tensor } from 'ricci';",
    '',
    'type Float = "f32" | "bf16" | "f16" | "f8e4m3" | "f8e5m2";',
    '',
    'export interface Entries {',
    ...entries.map(declareEntry),
    '}',
    '',
  ].join('\n');
}

function declareEntry(entry: FunctionInfo): string {
  const used = new Set([
    ...entry.parameters.flatMap(({ type }) => plainSizes(type)),
    ...plainSizes(entry.result),
  ]);
  const sizes = entry.sizes.filter((size) => used.has(size));
  const generics = sizes.length === 0 ? '' : `<${sizes.map((size) => `${size} extends number`).join(', ')}>`;
  const inputs = entry.parameters.map(({ name, type }) => `${name}: ${typeText(type, [])}`).join('; ');
  const documentation = entry.documentation === undefined ? [] : [`  /** ${entry.documentation.trim()} */`];
  const explicit = entry.sizes.slice(0, entry.explicitSizes);
  const settings =
    explicit.length === 0
      ? 'sizes?: { readonly [size: string]: number }'
      : `sizes: { ${explicit.map((size) => `${size}: number`).join('; ')}; readonly [size: string]: number }`;
  return [
    ...documentation,
    `  ${entry.name}${generics}(inputs: { ${inputs} }, ${settings}): Promise<{ out: ${typeText(entry.result, [])} }>;`,
  ].join('\n');
}

/** Parameters that stand alone as a dimension somewhere: those that TypeScript can infer. */
function plainSizes(type: Type): readonly string[] {
  switch (type.kind) {
    case 'tensor':
    case 'key':
      return type.dims.map(dimText).filter((text) => text !== 'number' && !/^\d/.test(text));
    case 'record':
      return [
        ...type.dims.map(dimText).filter((text) => text !== 'number' && !/^\d/.test(text)),
        ...fieldTypes(type).flatMap(({ type: field }) => plainSizes(field)),
      ];
    case 'tuple':
      return type.elements.flatMap(plainSizes);
    case 'error':
      return [];
  }
}

/** `outer`: the dims of the arrays of records around it, which its tensors are stacked along. */
function typeText(type: Type, outer: readonly Dim[]): string {
  switch (type.kind) {
    case 'tensor': {
      const dims = [...outer, ...type.dims];
      const element = elementText(type.element);
      return dims.length === 0
        ? `Scalar<${element}>`
        : `Tensor<${element}, [${dims.map(dimText).join(', ')}]>`;
    }
    case 'key': {
      const dims = [...outer, ...type.dims].map(dimText);
      return dims.length === 0 ? 'Key' : `Tensor<"u32", [${[...dims, '2'].join(', ')}]>`;
    }
    case 'record': {
      const dims = [...outer, ...type.dims];
      const fields = fieldTypes(type).map(({ name, type: field }) => `${name}: ${typeText(field, dims)}`);
      return `{ ${fields.join('; ')} }`;
    }
    case 'tuple':
      return `[${type.elements.map((element) => typeText(element, outer)).join(', ')}]`;
    case 'error':
      return 'never';
  }
}

function elementText(element: ElementType): string {
  switch (element.kind) {
    case 'dtype':
      return JSON.stringify(element.dtype);
    case 'float':
      return 'Float';
    case 'ix':
      return '"i32"';
  }
}

interface Field {
  readonly name: string;
  readonly type: Type;
}

/** The fields of one record, with its sizes in place of its declaration's parameters. */
function fieldTypes(record: RecordType): readonly Field[] {
  const one: RecordType = { ...record, dims: [] };
  return record.record.fields.flatMap(({ name }) => {
    const type = fieldType(one, name);
    return type === undefined ? [] : [{ name, type }];
  });
}

/** A number, the name of a size parameter, or `number` for what TypeScript cannot compute. */
function dimText({ size }: Dim): string {
  const value = asNatural(size);
  if (value !== undefined) return `${value}`;
  const [term] = size.terms;
  const [atom] = term?.atoms ?? [];
  return atom?.kind === 'parameter' && sameSize(size, parameter(atom.name)) ? atom.name : 'number';
}
