/** What is written down for a quantified name, `x: f32[2] = [1, 0]`, read as the elements of its tensors. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { DataExpression, Quantifier } from '../syntax/tree.ts';
import { closestName } from './did-you-mean.ts';
import { withFacts } from './facts.ts';
import { type GivenTensor, type Leaf, type ReadTensor, readTensor, reportKind } from './given-tensor.ts';
import { replaceFix } from './report.ts';
import { natural } from './size.ts';
import { hasTrait, isStating, traitText } from './traits.ts';
import type { TypeScope } from './type-expressions.ts';
import type { ElementType, Trait, Type, TypedFact } from './typed.ts';
import { dimsOf, fieldType, hasError, type RecordType } from './types.ts';

type Value = Extract<Quantifier, { kind: 'value' }>;
type Kind<K extends DataExpression['kind']> = Extract<DataExpression, { kind: K }>;

export interface GivenValue {
  /** Those of the type, in order. */
  readonly tensors: readonly GivenTensor[];
  /** What must be true of sizes for the value to be of the type. */
  readonly facts: readonly TypedFact[];
}

/** Undefined where none is given, or what is given does not fit the type, which is reported. */
export function givenValueOf({ name, given }: Value, type: Type, scope: TypeScope): GivenValue | undefined {
  if (given === undefined || hasError(type)) return undefined;
  // What one tensor says of sizes, the next must fit.
  let { facts } = scope;
  const tensors: ReadTensor[] = [];
  for (const leaf of leavesOf(name.name, given, type, scope) ?? [undefined]) {
    const tensor = leaf && readTensor(leaf, { ...scope, facts });
    if (tensor === undefined) return undefined;
    facts = withFacts(facts, tensor.facts);
    tensors.push(tensor);
  }
  return { tensors, facts: tensors.flatMap((tensor) => tensor.facts) };
}

/** Whether the value is as the traits beside it say; what is not is reported. */
export function requireTraits(
  value: Value,
  given: GivenValue,
  traits: readonly Trait[],
  scope: TypeScope,
): void {
  for (const { data, rowLength } of given.tensors) {
    const rows = rowsOf(data, rowLength ?? 1);
    const broken = traits.find((trait) => !rows.every((row) => hasTrait(row, trait)));
    if (broken === undefined) continue;
    const stated = value.traits.find((trait) => isStating(trait, broken))!;
    scope.report({
      code: 'E0321',
      message: `the value that is given for ${value.name.name} is not \`${traitText(stated)}\``,
      at: value.given!.span,
      secondary: [{ span: stated.span, message: 'stated here' }],
      help: [`change the value, or leave out \`${traitText(stated)}\``],
    });
    return;
  }
}

function rowsOf(data: readonly number[], length: number): readonly (readonly number[])[] {
  return Array.from({ length: length === 0 ? 0 : data.length / length }, (_, row) =>
    data.slice(row * length, (row + 1) * length),
  );
}

// ── records and tuples ─────────────────────────────────────────────────────────────────────────────────────

type Reported = undefined;

function leavesOf(
  path: string,
  data: DataExpression,
  type: Type,
  scope: TypeScope,
): readonly Leaf[] | Reported {
  const dims = dimsOf(type).map(({ size }) => size);
  switch (type.kind) {
    case 'tensor':
      return [{ path, data, type, element: type.element, dims }];
    case 'key':
      return [{ path, data, type, element: words, dims: [...dims, natural(2)] }];
    case 'record':
      return data.kind === 'record'
        ? fieldLeaves(path, data, type, scope)
        : reportKind({ path, type }, data, 'a record', scope);
    case 'tuple':
      if (data.kind !== 'tuple' || data.elements.length !== type.elements.length)
        return reportKind({ path, type }, data, `a tuple of ${type.elements.length}`, scope);
      return together(
        type.elements.map((element, position) =>
          leavesOf(`${path}.${position}`, data.elements[position]!, element, scope),
        ),
      );
    case 'error':
      return undefined;
  }
}

const words: ElementType = { kind: 'dtype', dtype: 'u32' };

function together(parts: readonly (readonly Leaf[] | Reported)[]): readonly Leaf[] | Reported {
  return parts.includes(undefined) ? undefined : parts.flatMap((part) => part ?? []);
}

function fieldLeaves(
  path: string,
  { fields, span }: Kind<'record'>,
  type: RecordType,
  scope: TypeScope,
): readonly Leaf[] | Reported {
  const names = type.record.fields.map(({ name }) => name);
  for (const [position, { name, span }] of fields.entries()) {
    if (!names.includes(name.name)) return reportNoField(name.name, name.span, type, scope);
    const first = fields.findIndex((field) => field.name.name === name.name);
    if (first === position) continue;
    scope.report({
      code: 'E0321',
      message: `${path}.${name.name} is given twice`,
      at: span,
      secondary: [{ span: fields[first]!.span, message: 'the first value' }],
      help: ['leave one of them out'],
    });
    return undefined;
  }
  const missing = names.filter((name) => fields.every((field) => field.name.name !== name));
  if (missing.length > 0) {
    const paths = missing.map((name) => `${path}.${name}`).join(', ');
    const help = `give all fields of ${type.record.name}, or none: add ${missing.map((name) => `${name}: …`).join(', ')}`;
    scope.report({ code: 'E0321', message: `there is no value for ${paths}`, at: span, help: [help] });
    return undefined;
  }
  return together(
    names.map((name) => {
      const field = fields.find((each) => each.name.name === name)!;
      return leavesOf(`${path}.${name}`, field.value, fieldType(type, name)!, scope);
    }),
  );
}

function reportNoField(name: string, at: Span, { record }: RecordType, scope: TypeScope): Reported {
  const names = record.fields.map((field) => field.name);
  const close = closestName(name, names);
  const help = close === undefined ? `its fields are ${names.join(', ')}` : `did you mean ${close}?`;
  scope.report({
    code: 'E0321',
    message: `${record.name} has no field ${name}`,
    at,
    help: [help],
    fixes: close === undefined ? [] : [replaceFix(help, at, close)],
  });
  return undefined;
}
