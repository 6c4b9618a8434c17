/** Values of a case as they are written in a program: `[[1, 0.5], [0, -inf]]`. */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { roundTo } from '../../compiler/graph/rounding.ts';
import type { Span } from '../../dsl/diagnostics/diagnostic.ts';
import type { DataExpression } from '../../dsl/syntax/tree.ts';
import { type Dtype, greatestFinite, isFloatDtype } from '../../dsl/types/dtype.ts';
import type { Type } from '../../dsl/types/typed.ts';
import { fieldType } from '../../dsl/types/types.ts';

type Values = ReadonlyMap<string, TensorValue<number>>;

/** Of parts of a tree that nobody wrote. */
export const nowhere: Span = { file: '', start: 0, end: 0 };

/** What is written behind `path: type =`. */
export function dataOf(path: string, type: Type, values: Values): DataExpression {
  switch (type.kind) {
    case 'tensor':
    case 'key':
      return listsOf(values.get(path)!);
    case 'record': {
      const fields = type.record.fields.map(({ name }) => ({
        name: { name, span: nowhere },
        value: dataOf(`${path}.${name}`, fieldType(type, name)!, values),
        span: nowhere,
      }));
      return { kind: 'record', fields, span: nowhere };
    }
    case 'tuple': {
      const elements = type.elements.map((element, position) =>
        dataOf(`${path}.${position}`, element, values),
      );
      return { kind: 'tuple', elements, span: nowhere };
    }
    case 'error':
      throw new Error(`${path} has no type`);
  }
}

function listsOf({ dtype, shape, data }: TensorValue<number>): DataExpression {
  const within = (dims: readonly number[], start: number): DataExpression => {
    const [extent, ...inner] = dims;
    if (extent === undefined) return elementOf(dtype, data[start] as number);
    const stride = inner.reduce((product, each) => product * each, 1);
    const elements = Array.from({ length: extent }, (_, place) => within(inner, start + place * stride));
    return { kind: 'list', elements, span: nowhere };
  };
  return within(shape, 0);
}

function elementOf(dtype: Dtype, value: number): DataExpression {
  return dtype === 'bool'
    ? { kind: 'boolean', value: value !== 0, span: nowhere }
    : { kind: 'number', text: numberText(dtype, value), span: nowhere };
}

/** The shortest decimal that is stored as the value; `inf`, `-inf` and `nan` as they are. */
export function numberText(dtype: Dtype, value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (value < 0 || Object.is(value, -0)) return `-${numberText(dtype, -value)}`;
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  const greatest = isFloatDtype(dtype) ? greatestFinite[dtype] : Number.MAX_SAFE_INTEGER;
  for (let digits = 1; digits < 17; digits++) {
    const near = Number(value.toPrecision(digits));
    if (near <= greatest && roundTo(dtype, near) === value) return decimal(near);
  }
  return decimal(value);
}

/** Without a point and an exponent a number is an integer, and none is as large as that. */
function decimal(value: number): string {
  return value > Number.MAX_SAFE_INTEGER ? value.toExponential() : `${value}`;
}
