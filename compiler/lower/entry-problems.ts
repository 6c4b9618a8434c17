/** What can be wrong with the sizes of an entry, as diagnostics. */
import type { Diagnostic } from '../../dsl/diagnostics/diagnostic.ts';
import { type AxisList, showList } from '../../dsl/placement/placement.ts';
import { decide } from '../../dsl/types/facts.ts';
import { evaluateSize, type Size, showSize, sizeParameters } from '../../dsl/types/size.ts';
import type { Dim, FunctionInfo, Type, TypedFact } from '../../dsl/types/typed.ts';
import { dimsIn, dimsOf, fieldType, showDims } from '../../dsl/types/types.ts';
import type { LowerCode } from './lower-codes.ts';

export function problem(code: LowerCode, info: FunctionInfo, message: string, help: string): Diagnostic {
  return {
    severity: 'error',
    code,
    message,
    primary: { span: info.span, message: `entry ${info.name}` },
    secondary: [],
    notes: [],
    help: [help],
    fixes: [],
  };
}

export function missingSizes(info: FunctionInfo, names: readonly string[]): Diagnostic[] {
  return names.map((name) =>
    problem('E0602', info, `the size ${name} of ${info.name} is not known`, `give it: --size ${name}=…`),
  );
}

/** Everything that the numbers break: facts, and dimensions that are no natural numbers. */
export function brokenSizes(info: FunctionInfo, sizes: ReadonlyMap<string, number>): Diagnostic[] {
  const types = [...info.parameters.map(({ type }) => type), info.result];
  const dims = new Map(types.flatMap(sizesIn).map((size) => [size.key, size]));
  const cut = new Map(types.flatMap(dimsIn).map((dim) => [showDims([dim]), dim]));
  return [
    ...info.facts.flatMap((fact) => (decide(fact, sizes) ? [] : [brokenFact(info, fact, sizes)])),
    ...[...dims.values()].flatMap((size) => unnaturalSize(info, size, sizes)),
    ...[...cut.values()].flatMap((dim) => unevenDimension(info, dim, sizes)),
  ];
}

/** Blocks of a dimension that is cut are equal; in what is left to the compiler they may be padded. */
function unevenDimension(info: FunctionInfo, dim: Dim, sizes: ReadonlyMap<string, number>): Diagnostic[] {
  const { size, placement } = dim;
  if (placement.kind !== 'axes' || info.auto) return [];
  const value = evaluateSize(size, sizes);
  const devices = placement.axes.reduce((product, axis) => product * (sizes.get(axis) ?? 1), 1);
  if (value === undefined || value % devices === 0) return [];
  const names = [...sizeParameters(size), ...placement.axes];
  const text = `${showSize(size)}${showList(placement.axes)}`;
  const message = `the dimension ${text} of ${info.name} does not divide into ${devices} blocks for ${given(new Set(names), sizes)}`;
  const found = problem('E0604', info, message, '');
  const has = (type: Type) => dimsIn(type).some((other) => showDims([other]) === showDims([dim]));
  const [first, ...others] = [
    ...info.parameters.filter(({ type }) => has(type)).map(({ span, name }) => ({ span, message: name })),
    ...(has(info.result) ? [{ span: info.resultSpan, message: 'the result' }] : []),
  ].map((label) => ({ ...label, message: `${label.message} has ${value} there` }));
  return [
    {
      ...found,
      primary: first ?? found.primary,
      secondary: others,
      help: evenWaysOut(size, placement.axes, value, devices),
    },
  ];
}

/** Sizes and meshes close by for which it does. */
function evenWaysOut(size: Size, axes: AxisList, value: number, devices: number): readonly string[] {
  const below = Math.floor(value / devices) * devices;
  const even = [below, below + devices].filter((other) => other > 0);
  const divisors = Array.from({ length: devices }, (_, at) => at + 1).filter((count) => value % count === 0);
  const meshes = divisors.slice(-3).map((count) => `${axes[0]}=${count}`);
  return [
    `give a size of which ${devices} devices have equal blocks: ${showSize(size)} = ${even.join(' or ')}`,
    axes.length === 1
      ? `or a mesh that divides ${value}: ${meshes.join(' or ')}`
      : `or a mesh on which ${axes.join(' × ')} divides ${value}`,
  ];
}

/** The sizes that a type is written with. */
function sizesIn(type: Type): readonly Size[] {
  if (type.kind === 'tuple') return type.elements.flatMap(sizesIn);
  const dims = dimsOf(type).map(({ size }) => size);
  if (type.kind === 'record')
    return [...type.sizes, ...type.record.fields.flatMap(({ name }) => sizesIn(fieldType(type, name)!))];
  return type.kind === 'tensor' && type.element.kind === 'ix' ? [type.element.range, ...dims] : dims;
}

const relationTexts: { readonly [R in TypedFact['relation']]: (left: string, right: string) => string } = {
  '<=': (left, right) => `${left} <= ${right}`,
  '<': (left, right) => `${left} < ${right}`,
  '==': (left, right) => `${left} == ${right}`,
  '|': (left, right) => `${left} | ${right}`,
  '%': (left, right) => `${left} % ${right} == 0`,
};

/** `K <= E`, as it is written. */
export function relationText(relation: TypedFact['relation'], left: string, right: string): string {
  return relationTexts[relation](left, right);
}

function brokenFact(info: FunctionInfo, fact: TypedFact, sizes: ReadonlyMap<string, number>): Diagnostic {
  const text = relationText(fact.relation, showSize(fact.left), showSize(fact.right));
  const names = new Set([...sizeParameters(fact.left), ...sizeParameters(fact.right)]);
  const found = problem(
    'E0603',
    info,
    `${text} does not hold for ${given(names, sizes)}`,
    'choose other sizes',
  );
  return {
    ...found,
    primary: { span: fact.span, message: 'asked for here' },
    secondary: [{ span: info.span, message: `entry ${info.name}` }],
  };
}

function unnaturalSize(info: FunctionInfo, size: Size, sizes: ReadonlyMap<string, number>): Diagnostic[] {
  const value = evaluateSize(size, sizes);
  if (value !== undefined && value >= 0) return [];
  const values = given(sizeParameters(size), sizes);
  const message = `the size ${showSize(size)} in the type of ${info.name} is not a natural number for ${values}`;
  return [problem('E0604', info, message, 'choose sizes for which it is one')];
}

/** `S=3, D=4` */
function given(names: Iterable<string>, sizes: ReadonlyMap<string, number>): string {
  return [...names].map((name) => `${name}=${sizes.get(name) ?? '?'}`).join(', ');
}
