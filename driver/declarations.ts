/**
 * TypeScript declarations for a file's entries, so that a wrong shape is an error in the editor. Each size is
 * a type parameter, which TypeScript infers where it stands first; elsewhere it is `NoInfer`, or two sizes
 * that disagree would be joined to `32 | 33` and accepted.
 */
import { asNatural, parameter, type Size, sameSize } from '../dsl/types/size.ts';
import type { Dim, ElementType, FunctionInfo, Type, TypedProgram } from '../dsl/types/typed.ts';
import { fieldType, type RecordType } from '../dsl/types/types.ts';
import { reservedMethods } from './reserved-methods.ts';

/** What a declaration may import from Ricci. */
const helpers = ['Float', 'Given', 'Key', 'Scalar', 'Tensor'] as const;
type Helper = (typeof helpers)[number];

/** Names that a type parameter would hide from the declarations. */
const reserved: ReadonlySet<string> = new Set([...helpers, 'NoInfer', 'Promise', 'Entries']);

/** The text of `NAME.ricci.d.ts`: an interface `Entries` for `load<Entries>('NAME.ricci')`. */
export function declareEntries(program: TypedProgram, file: string): string {
  const used = new Set<Helper>();
  const entries = [...program.entries.values()].filter(
    ({ exported, name }) => exported && !reservedMethods.has(name),
  );
  const methods = entries.flatMap((entry) => declareEntry(entry, used));
  const imports = helpers.filter((helper) => used.has(helper));
  return [
    `// Generated from ${file} by \`ricci declare\`.`,
    ...(imports.length === 0 ? [] : [`import type { ${imports.join(', ')} } from 'ricci';`]),
    '',
    'export interface Entries {',
    ...methods.map((line) => `  ${line}`),
    '}',
    '',
  ].join('\n');
}

function declareEntry(entry: FunctionInfo, used: Set<Helper>): readonly string[] {
  const inferred = new Set<string>();
  const ofInput = dimText((name) => {
    if (inferred.has(name)) return `NoInfer<${genericName(name)}>`;
    inferred.add(name);
    return genericName(name);
  });
  const inputs = entry.parameters.flatMap(({ name, type }) =>
    propertyLines(name, typeLines(type, [], { dim: ofInput, used, tensor: 'Given' })),
  );
  const mentioned = new Set(inferred);
  typeLines(entry.result, [], { dim: dimText((name) => `${mentioned.add(name)}`), used, tensor: 'Tensor' });
  const explicit = entry.sizes.slice(0, entry.explicitSizes);
  const given = explicit.map(
    (name) => `${name}: ${mentioned.has(name) ? ofInput(parameter(name)) : 'number'};`,
  );
  // What no input fixes, TypeScript cannot know.
  const ofResult = dimText((name) => (inferred.has(name) ? genericName(name) : 'number'));
  const result = propertyLines('out', typeLines(entry.result, [], { dim: ofResult, used, tensor: 'Tensor' }));
  const sizes = entry.sizes.filter((name) => inferred.has(name)).map(genericName);
  const generics = sizes.length === 0 ? '' : `<${sizes.map((size) => `${size} extends number`).join(', ')}>`;
  return [
    ...documentationLines(entry.documentation),
    `${entry.name}${generics}(`,
    '  inputs: {',
    ...inputs.map((line) => `    ${line}`),
    '  },',
    `  ${given.length === 0 ? 'sizes?' : 'sizes'}: {`,
    ...given.map((line) => `    ${line}`),
    '    readonly [size: string]: number;',
    '  },',
    '): Promise<{',
    ...result.map((line) => `  ${line}`),
    '}>;',
  ];
}

function documentationLines(documentation: string | undefined): readonly string[] {
  if (documentation === undefined) return [];
  const lines = documentation.trim().replaceAll('*/', '*\\/').split('\n');
  return lines.length === 1
    ? [`/** ${lines[0]} */`]
    : ['/**', ...lines.map((line) => ` * ${line.trim()}`), ' */'];
}

/** The name of the type parameter for a size. */
function genericName(size: string): string {
  return reserved.has(size) ? `${size}_` : size;
}

// ── types ──────────────────────────────────────────────────────────────────────────────────────────────────

type DimText = (size: Size) => string;

/** A size that is one parameter by `named`, other ones as the number they are, or `number`. */
function dimText(named: (name: string) => string): DimText {
  return (size) => {
    const [atom] = size.terms[0]?.atoms ?? [];
    if (atom?.kind === 'parameter' && sameSize(size, parameter(atom.name))) return named(atom.name);
    return `${asNatural(size) ?? 'number'}`;
  };
}

interface Writing {
  readonly dim: DimText;
  readonly used: Set<Helper>;
  /** What is given may be on a device; results are in memory. */
  readonly tensor: 'Given' | 'Tensor';
}

/** `name: type;`, whose type may go on over several lines. */
function propertyLines(name: string, type: readonly string[]): readonly string[] {
  return type.map((line, position) => {
    const start = position === 0 ? `${name}: ${line}` : line;
    return position === type.length - 1 ? `${start};` : start;
  });
}

/** `outer`: the dims of the arrays of records around it, which its tensors are stacked along. */
function typeLines(type: Type, outer: readonly Dim[], writing: Writing): readonly string[] {
  switch (type.kind) {
    case 'tensor':
      return [tensorText(elementText(type.element, writing), [...outer, ...type.dims], writing)];
    case 'key': {
      const dims = [...outer, ...type.dims];
      if (dims.length > 0) return [tensorText("'u32'", dims, writing, ['2'])];
      writing.used.add('Key');
      return ['Key'];
    }
    case 'record': {
      const dims = [...outer, ...type.dims];
      const fields = fieldsOf(type).flatMap(({ name, type: field }) =>
        propertyLines(name, typeLines(field, dims, writing)),
      );
      return ['{', ...fields.map((line) => `  ${line}`), '}'];
    }
    case 'tuple': {
      const elements = type.elements.map((element) => typeLines(element, outer, writing).join(' '));
      return [`[${elements.join(', ')}]`];
    }
    case 'error':
      throw new Error('a program with errors has no entries');
  }
}

function tensorText(
  element: string,
  dims: readonly Dim[],
  { dim, used, tensor }: Writing,
  last: readonly string[] = [],
): string {
  const sizes = [...dims.map(({ size }) => dim(size)), ...last];
  used.add(sizes.length === 0 ? 'Scalar' : tensor);
  return sizes.length === 0 ? `Scalar<${element}>` : `${tensor}<${element}, readonly [${sizes.join(', ')}]>`;
}

function elementText(element: ElementType, { used }: Writing): string {
  switch (element.kind) {
    case 'dtype':
      return `'${element.dtype}'`;
    case 'float':
      used.add('Float');
      return 'Float';
    case 'ix':
      return "'i32'";
  }
}

interface Field {
  readonly name: string;
  readonly type: Type;
}

/** The fields of one record, with its sizes in place of its declaration's parameters. */
function fieldsOf(record: RecordType): readonly Field[] {
  const one: RecordType = { ...record, dims: [] };
  return record.record.fields.flatMap(({ name }) => {
    const type = fieldType(one, name);
    return type === undefined ? [] : [{ name, type }];
  });
}
