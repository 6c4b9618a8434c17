/** The type of an expression, one rule for each kind. */
import type { Expression, ExpressionKind } from '../syntax/tree.ts';
import { inferBlock } from './bindings.ts';
import { builtinNames } from './builtin-calls.ts';
import { inferCall } from './calls.ts';
import { inferReshard } from './collectives.ts';
import { inferComprehension, inferReduction } from './comprehensions.ts';
import { inferIf } from './conditionals.ts';
import { type Context, errorExpression, type Infer } from './context.ts';
import { closestName } from './did-you-mean.ts';
import { isIntegerLiteral, wantedArithmetic } from './flexible.ts';
import { inferLoop } from './loops.ts';
import { inferBinary, inferUnary } from './operators.ts';
import { inferPerDevice, inferRing } from './per-device.ts';
import { replaceFix } from './report.ts';
import { findFunction, findRecord } from './scope.ts';
import { inferSubscript } from './subscripts.ts';
import type { Type, TypedExpression } from './typed.ts';
import { errorType, fieldType, hasError, indexType, scalarOf, showType } from './types.ts';

type Node<K extends ExpressionKind> = Extract<Expression, { kind: K }>;

const rules: {
  readonly [K in ExpressionKind]: (
    context: Context,
    expression: Node<K>,
    expected: Type | undefined,
  ) => TypedExpression;
} = {
  number: inferNumber,
  boolean: (_, { value, span }) => ({ kind: 'constant', value: value ? 1 : 0, type: scalarOf('bool'), span }),
  name: inferName,
  unary: inferUnary,
  binary: inferBinary,
  field: inferField,
  subscript: inferSubscript,
  call: inferCall,
  tuple: inferTuple,
  comprehension: inferComprehension,
  reduction: inferReduction,
  if: inferIf,
  block: inferBlock,
  loop: inferLoop,
  reshard: inferReshard,
  perDevice: inferPerDevice,
  ring: inferRing,
  error: (_, { span }) => errorExpression(span),
};

export const inferExpression: Infer = (context, expression, expected) =>
  (rules[expression.kind] as Infer)(context, expression, expected);

const largestInteger = { i32: 2 ** 31 - 1, u32: 2 ** 32 - 1 };

function inferNumber(context: Context, node: Node<'number'>, expected: Type | undefined): TypedExpression {
  const value = Number(node.text);
  const { span } = node;
  const wanted = wantedArithmetic(expected);
  const dtype = isIntegerLiteral(node.text) && wanted !== 'f32' ? (wanted === 'u32' ? 'u32' : 'i32') : 'f32';
  if (dtype === 'f32' || value <= largestInteger[dtype])
    return { kind: 'constant', value, type: scalarOf(dtype), span };
  context.report({
    code: 'E0316',
    message: `${node.text} is more than the largest ${dtype}`,
    at: span,
    help: [`write it as a float, ${node.text}.0, or stay at or below ${largestInteger[dtype]}`],
    fixes: [replaceFix('write it as a float', span, `${node.text}.0`)],
  });
  return errorExpression(span);
}

// ── names and fields ───────────────────────────────────────────────────────────────────────────────────────

function inferName(context: Context, node: Node<'name'>, expected: Type | undefined): TypedExpression {
  const { name, span } = node;
  const entry = context.scope.get(name);
  switch (entry?.kind) {
    case 'local':
      return { kind: 'local', local: entry.local, type: entry.type, span };
    case 'index':
      return {
        kind: 'index',
        index: entry.index,
        type: entry.range === undefined ? errorType : indexType(entry.range),
        span,
      };
    case 'size':
      return { kind: 'size', size: entry.size, type: scalarOf(wantedArithmetic(expected) ?? 'i32'), span };
    case undefined:
      if (name === 'inf')
        return { kind: 'constant', value: Number.POSITIVE_INFINITY, type: scalarOf('f32'), span };
      return unknownName(context, node);
  }
}

function unknownName(context: Context, node: Node<'name'>): TypedExpression {
  const { name, span } = node;
  const { module } = context;
  const what = globalKind(context, name);
  if (what !== undefined) {
    context.report({
      code: 'E0208',
      message: `${name} is ${what}, not a value`,
      at: span,
      help: [
        what === 'a module' ? `name what is meant in it: ${name}.…` : `call it with arguments: ${name}(…)`,
      ],
    });
    return errorExpression(span);
  }
  if (!module.incomplete) {
    const close = closestName(name, [...context.scope.keys(), 'inf']);
    context.report({
      code: 'E0201',
      message: `there is no ${name} here`,
      at: span,
      help: [close === undefined ? 'define it with let, or make it a parameter' : `did you mean ${close}?`],
      fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, span, close)],
    });
  }
  return errorExpression(span);
}

function globalKind(context: Context, name: string): string | undefined {
  if (findFunction(context.module, name) !== undefined || builtinNames.includes(name)) return 'a function';
  if (findRecord(context.module, name) !== undefined) return 'a record type';
  return context.module.modules.has(name) ? 'a module' : undefined;
}

function inferField(context: Context, node: Node<'field'>): TypedExpression {
  const { base: written, name, span } = node;
  if (
    written.kind === 'name' &&
    !context.scope.has(written.name) &&
    context.module.modules.has(written.name)
  ) {
    context.report({
      code: 'E0208',
      message: `${written.name}.${name.name} is of a module, not a value`,
      at: span,
      help: [`call it with arguments: ${written.name}.${name.name}(…)`],
    });
    return errorExpression(span);
  }
  const base = context.infer(context, written, undefined);
  if (hasError(base.type)) return errorExpression(span);
  if (base.type.kind !== 'record') return notARecord(context, node, base.type);
  const type = fieldType(base.type, name.name);
  if (type !== undefined) return { kind: 'field', base, name: name.name, type, span };
  const fields = base.type.record.fields.map((field) => field.name);
  const close = closestName(name.name, fields);
  context.report({
    code: 'E0207',
    message: `${base.type.record.name} has no field ${name.name}`,
    at: name.span,
    secondary: [{ span: base.span, message: `this is ${showType(base.type)}` }],
    help: [close === undefined ? `its fields are ${fields.join(', ')}` : `did you mean ${close}?`],
    fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, name.span, close)],
  });
  return errorExpression(span);
}

function notARecord(context: Context, node: Node<'field'>, type: Type): TypedExpression {
  context.report({
    code: 'E0312',
    message: `only records have fields, and this is ${showType(type)}`,
    at: node.name.span,
    secondary: [{ span: node.base.span, message: `this is ${showType(type)}` }],
    help: [type.kind === 'tuple' ? 'take the tuple apart: let (a, b) = …' : 'leave the field out'],
  });
  return errorExpression(node.span);
}

function inferTuple(context: Context, node: Node<'tuple'>, expected: Type | undefined): TypedExpression {
  const wanted = expected?.kind === 'tuple' ? expected.elements : [];
  const elements = node.elements.map((element, i) => context.infer(context, element, wanted[i]));
  const type: Type = { kind: 'tuple', elements: elements.map((element) => element.type) };
  return { kind: 'tuple', elements, type, span: node.span };
}
