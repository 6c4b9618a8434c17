/** Calls of what is built in: casts, pointwise functions, the builtins of the language, and collectives. */
import { type CallNode, explicitSizes, matchArguments } from './arguments.ts';
import { builtinRules } from './builtins.ts';
import { collectiveNames, inferCollective, isCollectiveName } from './collectives.ts';
import { type Context, errorExpression } from './context.ts';
import { cast } from './conversions.ts';
import { type Dtype, dtypeFacts, dtypes, isDtype } from './dtype.ts';
import { inferMe } from './per-device.ts';
import { inferPointwise } from './pointwise.ts';
import { type ScalarFunction, scalarFunctions } from './scalar-functions.ts';
import { type Builtin, builtins, type Type, type TypedExpression } from './typed.ts';
import { dtypeElement, hasError, scalarOf, showType } from './types.ts';

const callableScalars = (Object.keys(scalarFunctions) as ScalarFunction[]).filter(
  (name) => scalarFunctions[name].callable,
);

const special = ['remat', 'grad', 'me'] as const;

/** Every name that may be called without being defined. */
export const builtinNames: readonly string[] = [
  ...dtypes,
  ...callableScalars,
  ...builtins,
  ...collectiveNames,
  ...special,
];

/** Undefined when the name is not that of anything built in. */
export function inferBuiltin(
  context: Context,
  node: CallNode,
  name: string,
  expected: Type | undefined,
): TypedExpression | undefined {
  if (isDtype(name)) return inferCast(context, node, name);
  const scalar = callableScalars.find((candidate) => candidate === name);
  if (scalar !== undefined) return inferScalarCall(context, node, scalar, expected);
  const builtin = builtins.find((candidate) => candidate === name);
  if (builtin !== undefined) return callBuiltin(context, node, builtin, expected);
  if (isCollectiveName(name)) return inferCollective(context, node, name, expected);
  if (name === 'remat') return inferRemat(context, node, expected);
  if (name === 'me') return inferMe(context, node);
  return name === 'grad' ? notYet(context, node) : undefined;
}

function argumentsOf(
  context: Context,
  node: CallNode,
  name: string,
  parameters: readonly string[],
  optional: number,
): ReturnType<typeof matchArguments> {
  return matchArguments(node, { name, parameters, optional, declared: undefined }, context.report);
}

/** `bf16(e)`: rounds, converts, element by element. Float to integer truncates towards zero. */
function inferCast(context: Context, node: CallNode, dtype: Dtype): TypedExpression {
  const given = argumentsOf(context, node, dtype, ['value'], 0);
  const sizes = explicitSizes(context, node, dtype, []);
  if (given?.[0] === undefined || sizes === undefined) return errorExpression(node.span);
  const { arithmetic } = dtypeFacts[dtype];
  const value = context.infer(context, given[0], arithmetic === 'bool' ? undefined : scalarOf(arithmetic));
  if (hasError(value.type)) return errorExpression(node.span);
  const fits = value.type.kind === 'tensor' && (dtype !== 'bool' || isBool(value.type));
  if (fits) return { ...cast(value, dtypeElement(dtype)), span: node.span };
  context.report({
    code: 'E0306',
    message: `${dtype}(…) casts ${dtype === 'bool' ? 'bools only' : 'numbers and bools'}`,
    at: value.span,
    label: `this is ${showType(value.type)}`,
    help: [dtype === 'bool' ? 'compare to get a bool: … != 0' : 'name the field or the part that is meant'],
  });
  return errorExpression(node.span);
}

function isBool(type: Type): boolean {
  return type.kind === 'tensor' && type.element.kind === 'dtype' && type.element.dtype === 'bool';
}

const operandNames = ['a', 'b', 'c', 'd'];

function inferScalarCall(
  context: Context,
  node: CallNode,
  name: ScalarFunction,
  expected: Type | undefined,
): TypedExpression {
  const parameters = operandNames.slice(0, scalarFunctions[name].arity);
  const given = argumentsOf(context, node, name, parameters, 0);
  const sizes = explicitSizes(context, node, name, []);
  if (given === undefined || sizes === undefined) return errorExpression(node.span);
  const operands = given.flatMap((operand) => operand ?? []);
  return inferPointwise(context, name, { name, span: node.span }, operands, expected);
}

function callBuiltin(
  context: Context,
  node: CallNode,
  builtin: Builtin,
  expected: Type | undefined,
): TypedExpression {
  const rule = builtinRules[builtin];
  const given = argumentsOf(context, node, builtin, rule.parameters, rule.optional);
  const sizes = explicitSizes(context, node, builtin, rule.sizes);
  if (given === undefined || sizes === undefined) return errorExpression(node.span);
  const typed = rule.check({ context, node, name: builtin, sizes, given, expected });
  return typed === undefined
    ? errorExpression(node.span)
    : { kind: 'builtin', builtin, ...typed, span: node.span };
}

/** `remat(e)` is e, recomputed where its derivative needs it. */
function inferRemat(context: Context, node: CallNode, expected: Type | undefined): TypedExpression {
  const given = argumentsOf(context, node, 'remat', ['value'], 0);
  return given?.[0] === undefined ? errorExpression(node.span) : context.infer(context, given[0], expected);
}

function notYet(context: Context, node: CallNode): TypedExpression {
  context.report({
    code: 'E0315',
    message: 'grad is not yet available',
    at: node.callee.span,
    help: ['write the derivative as a function of its own for now'],
  });
  return errorExpression(node.span);
}
