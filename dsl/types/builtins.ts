/** The type rules of the built-in functions that are not pointwise, one entry each. */
import type { Expression } from '../syntax/tree.ts';
import type { CallNode } from './arguments.ts';
import { type Context, factScope } from './context.ts';
import { cast, convert, sameDims, toArithmetic } from './conversions.ts';
import { require } from './obligations.ts';
import { addSizes, natural, type Size } from './size.ts';
import type { Builtin, Dim, ElementType, Type, TypedExpression } from './typed.ts';
import {
  arithmeticOf,
  dimOf,
  dimsOf,
  dtypeElement,
  hasError,
  isFloat,
  isInteger,
  isKnown,
  keyType,
  sameElement,
  scalarOf,
  showName,
  showType,
  tensor,
} from './types.ts';

export interface BuiltinCall {
  readonly context: Context;
  readonly node: CallNode;
  readonly name: Builtin;
  readonly sizes: readonly Size[];
  /** In the order of `parameters`; undefined for optional ones left out. */
  readonly given: readonly (Expression | undefined)[];
  readonly expected: Type | undefined;
}

export interface BuiltinRule {
  readonly sizes: readonly string[];
  readonly parameters: readonly string[];
  /** How many of the last parameters may be left out. */
  readonly optional: number;
  /** The typed call; undefined when something was reported. */
  readonly check: (
    call: BuiltinCall,
  ) => { readonly arguments: readonly TypedExpression[]; readonly type: Type } | undefined;
}

type Checked = ReturnType<BuiltinRule['check']>;

export const builtinRules: { readonly [B in Builtin]: BuiltinRule } = {
  softmax: { sizes: [], parameters: ['x', 'where'], optional: 1, check: checkSoftmax },
  top_k: { sizes: ['K'], parameters: ['x'], optional: 0, check: checkTopK },
  sort: { sizes: [], parameters: ['x'], optional: 0, check: checkSort },
  cumsum: { sizes: [], parameters: ['x'], optional: 0, check: checkPrefix },
  cumprod: { sizes: [], parameters: ['x'], optional: 0, check: checkPrefix },
  cummax: { sizes: [], parameters: ['x'], optional: 0, check: checkPrefix },
  concat: { sizes: [], parameters: ['a', 'b'], optional: 0, check: checkConcat },
  split_key: { sizes: [], parameters: ['k'], optional: 0, check: checkSplitKey },
  fold_in: { sizes: [], parameters: ['k', 'i'], optional: 0, check: checkFoldIn },
  uniform: { sizes: [], parameters: ['k'], optional: 0, check: (call) => checkDraw(call, 'f32') },
  normal: { sizes: [], parameters: ['k'], optional: 0, check: (call) => checkDraw(call, 'f32') },
  random_bits: { sizes: [], parameters: ['k'], optional: 0, check: (call) => checkDraw(call, 'u32') },
  clamp_index: { sizes: ['N'], parameters: ['i'], optional: 0, check: checkClampIndex },
};

// ── along one dimension ────────────────────────────────────────────────────────────────────────────────────

interface Vector {
  readonly value: TypedExpression;
  readonly element: ElementType;
  readonly dim: Dim;
}

/** The first argument as f32, i32 or u32 along one dimension. */
function vector(
  call: BuiltinCall,
  takes: 'floats' | 'numbers',
  expected: Type | undefined,
): Vector | undefined {
  const { context, name } = call;
  const raw = context.infer(context, call.given[0]!, expected);
  const { type } = raw;
  if (hasError(type)) return undefined;
  const number = type.kind === 'tensor' && arithmeticOf(type.element) !== 'bool';
  const fits = number && (takes === 'numbers' || isFloat(type.element));
  if (!fits) {
    context.report({
      code: 'E0306',
      message: `${name} is for ${takes}`,
      at: raw.span,
      label: `this is ${showType(type)}`,
      help: ['cast it to a float: f32(…)'],
      fixes: [
        {
          message: 'cast it to a float: f32(…)',
          edits: [{ span: raw.span, text: `f32(${context.text(raw.span)})` }],
        },
      ],
    });
    return undefined;
  }
  const [dim, second] = type.dims;
  if (dim === undefined || second !== undefined) {
    context.report({
      code: 'E0402',
      message: `${name} works along one dimension`,
      at: raw.span,
      label: `this is ${showType(type)}`,
      help: [dim === undefined ? `give it a row` : `write it for each row: for i: ${name}(…[i])`],
    });
    return undefined;
  }
  const value = toArithmetic(raw);
  return { value, element: dtypeElement(arithmeticOf(type.element)), dim };
}

function checkSoftmax(call: BuiltinCall): Checked {
  const { context, given, expected } = call;
  const dims = expected?.kind === 'tensor' ? expected.dims : [];
  const x = vector(call, 'floats', tensor(dtypeElement('f32'), dims));
  const type = x === undefined ? undefined : tensor(x.element, [x.dim]);
  const [, where] = given;
  if (where === undefined) return x && type && { arguments: [x.value], type };
  const wanted = tensor(dtypeElement('bool'), x === undefined ? [] : [x.dim]);
  const visible = convert(context, context.infer(context, where, wanted), {
    type: x === undefined ? { kind: 'error' } : wanted,
    place: 'argument',
    asker: '`where` of softmax',
    because:
      x === undefined ? [] : [{ span: x.value.span, message: `softmax is over ${showType(x.value.type)}` }],
    shapeCode: 'E0402',
  });
  if (x === undefined || type === undefined || hasError(visible.type)) return undefined;
  return { arguments: [x.value, visible], type };
}

function checkTopK(call: BuiltinCall): Checked {
  const { context, sizes, node } = call;
  const x = vector(call, 'numbers', undefined);
  const [amount] = sizes;
  if (x === undefined || amount === undefined) return undefined;
  const fact = { relation: '<=', left: amount, right: x.dim.size } as const;
  const enough = require(factScope(context), fact, {
    code: 'E0406',
    message: `top_k takes ${showName(amount)} of ${showName(x.dim.size)}, which may be fewer`,
    at: node.callee.span,
    secondary: [{ span: x.value.span, message: `this is ${showType(x.value.type)}` }],
  });
  if (!enough) return undefined;
  return { arguments: [x.value], type: orderedType(x, dimOf(amount)) };
}

function checkSort(call: BuiltinCall): Checked {
  const x = vector(call, 'numbers', undefined);
  return x && { arguments: [x.value], type: orderedType(x, x.dim) };
}

/** The values, and where each of them was. */
function orderedType(x: Vector, dim: Dim): Type {
  return {
    kind: 'tuple',
    elements: [tensor(x.element, [dim]), tensor({ kind: 'ix', range: x.dim.size }, [dim])],
  };
}

function checkPrefix(call: BuiltinCall): Checked {
  const x = vector(call, 'numbers', call.expected);
  return x && { arguments: [x.value], type: tensor(x.element, [x.dim]) };
}

// ── joining ────────────────────────────────────────────────────────────────────────────────────────────────

function checkConcat(call: BuiltinCall): Checked {
  const { context, given, node } = call;
  const [left, right] = given.map((part) => context.infer(context, part!, undefined));
  if (left === undefined || right === undefined || hasError(left.type) || hasError(right.type))
    return undefined;
  const [first, ...rest] = dimsOf(left.type);
  const [second, ...others] = dimsOf(right.type);
  const tensors = left.type.kind === 'tensor' && right.type.kind === 'tensor';
  const joinable =
    tensors &&
    first !== undefined &&
    second !== undefined &&
    sameDims(context, rest, others) &&
    arithmeticOf(left.type.element) === arithmeticOf(right.type.element);
  if (!joinable) {
    context.report({
      code: 'E0402',
      message: 'concat joins two tensors that differ in their first dimension only',
      at: node.span,
      secondary: [left, right].map(({ span, type }) => ({ span, message: `this is ${showType(type)}` })),
      help: ['give both the same element type and the same further dimensions'],
    });
    return undefined;
  }
  const same = sameElement(left.type.element, right.type.element) && left.type.element.kind !== 'float';
  const element = same ? left.type.element : dtypeElement(arithmeticOf(left.type.element));
  return {
    arguments: [cast(left, element), cast(right, element)],
    type: tensor(element, [dimOf(addSizes(first.size, second.size)), ...rest]),
  };
}

// ── random numbers ─────────────────────────────────────────────────────────────────────────────────────────

function keyArgument(call: BuiltinCall): TypedExpression | undefined {
  const { context, name, given } = call;
  const value = convert(context, context.infer(context, given[0]!, keyType), {
    type: keyType,
    place: 'argument',
    asker: `k of ${name}`,
    because: [],
    help: 'randomness is explicit: take a parameter of type key, and split it with split_key',
  });
  return hasError(value.type) ? undefined : value;
}

function checkSplitKey(call: BuiltinCall): Checked {
  const key = keyArgument(call);
  return key && { arguments: [key], type: { kind: 'tuple', elements: [keyType, keyType] } };
}

function checkFoldIn(call: BuiltinCall): Checked {
  const key = keyArgument(call);
  const count = integerArgument(call, call.given[1]!, 'i');
  if (key === undefined || count === undefined) return undefined;
  if (dimsOf(count.type).length > 0) {
    reportInteger(call, count, 'i');
    return undefined;
  }
  return { arguments: [key, count], type: keyType };
}

/** One draw, or with a tensor expected one for each of its elements. */
function checkDraw(call: BuiltinCall, dtype: 'f32' | 'u32'): Checked {
  const { expected } = call;
  const key = keyArgument(call);
  const shaped =
    expected?.kind === 'tensor' &&
    arithmeticOf(expected.element) === dtype &&
    expected.dims.every(({ size }) => isKnown(size));
  const dims = shaped ? expected.dims : [];
  return key && { arguments: [key], type: tensor(dtypeElement(dtype), dims) };
}

// ── indices ────────────────────────────────────────────────────────────────────────────────────────────────

function integerArgument(
  call: BuiltinCall,
  argument: Expression,
  parameter: string,
): TypedExpression | undefined {
  const { context } = call;
  const value = context.infer(context, argument, scalarOf('i32'));
  if (hasError(value.type)) return undefined;
  if (value.type.kind === 'tensor' && isInteger(value.type.element)) return toArithmetic(value);
  reportInteger(call, value, parameter);
  return undefined;
}

function reportInteger(call: BuiltinCall, value: TypedExpression, parameter: string): void {
  call.context.report({
    code: 'E0303',
    message: `${parameter} of ${call.name} is an integer`,
    at: value.span,
    label: `this is ${showType(value.type)}`,
    help: ['cast it: i32(…)'],
    fixes: [
      {
        message: 'cast it: i32(…)',
        edits: [{ span: value.span, text: `i32(${call.context.text(value.span)})` }],
      },
    ],
  });
}

function checkClampIndex(call: BuiltinCall): Checked {
  const value = integerArgument(call, call.given[0]!, 'i');
  const [range] = call.sizes;
  if (value === undefined || range === undefined) return undefined;
  const fact = { relation: '<=', left: natural(1), right: range } as const;
  const any = require(factScope(call.context), fact, {
    code: 'E0406',
    message: `there is no index into a dimension of size 0, which ${showName(range)} may be`,
    at: call.node.callee.span,
  });
  return any ? { arguments: [value], type: tensor({ kind: 'ix', range }, dimsOf(value.type)) } : undefined;
}
