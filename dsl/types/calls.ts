/** Calls: of functions, of records' names, of builtins; sizes are solved from the arguments. */
import type { Expression, Identifier } from '../syntax/tree.ts';
import { type CallNode, explicitSizes, matchArguments } from './arguments.ts';
import { builtinNames, inferBuiltin } from './builtin-calls.ts';
import { type Context, errorExpression, factScope } from './context.ts';
import { convert } from './conversions.ts';
import { closestName } from './did-you-mean.ts';
import { liftOverDims } from './lifting.ts';
import { require, showFact } from './obligations.ts';
import { replaceFix } from './report.ts';
import { type FunctionSignature, findFunction, findRecord, type RecordEntry } from './scope.ts';
import { type Size, substituteSizes } from './size.ts';
import { solveArguments } from './solve-arguments.ts';
import { reportUnknownModuleName } from './type-expressions.ts';
import type { Type, TypedExpression } from './typed.ts';
import { hasError, isKnown, scalarOf, showType, substituteType } from './types.ts';

export function inferCall(context: Context, node: CallNode, expected: Type | undefined): TypedExpression {
  const { callee } = node;
  if (callee.kind === 'name') return callByName(context, node, callee, expected);
  if (callee.kind === 'field' && callee.base.kind === 'name' && !context.scope.has(callee.base.name)) {
    return callInModule(context, node, callee.base, callee.name, expected);
  }
  return notAFunction(context, node, context.infer(context, callee, undefined).type);
}

function callByName(
  context: Context,
  node: CallNode,
  callee: Extract<Expression, { kind: 'name' }>,
  expected: Type | undefined,
): TypedExpression {
  const called = findFunction(context.module, callee.name);
  const entry = context.scope.get(callee.name);
  if (entry !== undefined && (called === undefined || entry.kind !== 'size')) {
    return notAFunction(context, node, entry.kind === 'local' ? entry.type : scalarOf('i32'));
  }
  if (called !== undefined) return callFunction(context, node, called);
  const record = findRecord(context.module, callee.name);
  if (record !== undefined) return buildRecord(context, node, record, expected);
  const builtin = inferBuiltin(context, node, callee.name, expected);
  if (builtin !== undefined) return builtin;
  const { functions, bareFunctions, records, bareRecords } = context.module;
  const names = [functions, bareFunctions, records, bareRecords].flatMap((map) => [...map.keys()]);
  return unknownFunction(context, node, callee, [...names, ...builtinNames]);
}

function callInModule(
  context: Context,
  node: CallNode,
  qualifier: Extract<Expression, { kind: 'name' }>,
  name: Identifier,
  expected: Type | undefined,
): TypedExpression {
  const target = context.module.modules.get(qualifier.name);
  if (target === undefined) {
    reportUnknownModuleName(qualifier, context.module, context.report);
    return looseCall(context, node);
  }
  const called = target.functions.get(name.name);
  if (called !== undefined) return callFunction(context, node, called);
  const record = target.records.get(name.name);
  if (record !== undefined) return buildRecord(context, node, record, expected);
  if (!target.incomplete) {
    const close = closestName(name.name, [...target.functions.keys(), ...target.records.keys()]);
    const all = [...target.functions.keys()].join(', ');
    context.report({
      code: 'E0205',
      message: `${qualifier.name} has no function ${name.name}`,
      at: name.span,
      help: [close === undefined ? `${qualifier.name} has ${all}` : `did you mean ${close}?`],
      fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, name.span, close)],
    });
  }
  return looseCall(context, node);
}

/** Looks at the arguments for errors of their own; that nothing fixes their ranges is none of them. */
function looseCall(context: Context, node: CallNode): TypedExpression {
  const loose = { ...context, trial: true };
  for (const argument of node.arguments) {
    if (argument.kind === 'value') context.infer(loose, argument.value, undefined);
  }
  return errorExpression(node.span);
}

// ── functions ──────────────────────────────────────────────────────────────────────────────────────────────

function callFunction(context: Context, node: CallNode, called: FunctionSignature): TypedExpression {
  if (!context.trial && !context.body.calls.has(called.id))
    context.body.calls.set(called.id, node.callee.span);
  if (called.broken) return looseCall(context, node);
  const { name, parameters, declaration } = called;
  const bracketed = called.sizes.slice(0, called.explicitSizes);
  const names = parameters.map((parameter) => parameter.name);
  const declared = declaration.name.span;
  const given = matchArguments(node, { name, parameters: names, optional: 0, declared }, context.report);
  const sizes = explicitSizes(context, node, name, bracketed);
  if (given === undefined || sizes === undefined) return looseCall(context, node);
  const known = bracketed.map((size, i) => ({ name: size, size: sizes[i]!, firm: true }));
  const callable = { name, sizes: called.sizes, parameters, known };
  const solved = solveArguments(context, node, callable, given);
  if (solved === undefined || hasError(called.result)) return errorExpression(node.span);
  discharge(context, node, called, solved.values);
  const build = (values: readonly TypedExpression[]): TypedExpression => {
    const converted = values.map((value, i) => convert(context, value, solved.wanted(i)));
    if (converted.some(({ type }) => hasError(type))) return errorExpression(node.span);
    return {
      kind: 'call',
      function: called.id,
      sizes: called.sizes.map((size) => solved.values.get(size)!),
      arguments: converted,
      type: substituteType(called.result, solved.values),
      span: node.span,
    };
  };
  return isScalarFunction(called)
    ? liftOverDims(context, { name, span: node.span }, solved.arguments, build)
    : build(solved.arguments);
}

function isScalarFunction(called: FunctionSignature): boolean {
  const scalar = (type: Type): boolean => type.kind === 'tensor' && type.dims.length === 0;
  return called.parameters.every(({ type }) => scalar(type)) && scalar(called.result);
}

/** The facts of the callee, under those of the caller. */
function discharge(
  context: Context,
  node: CallNode,
  called: FunctionSignature,
  values: ReadonlyMap<string, Size>,
): void {
  for (const fact of called.facts) {
    const { relation } = fact;
    const left = substituteSizes(fact.left, values);
    const here = { relation, left, right: substituteSizes(fact.right, values) };
    require(factScope(context), here, {
      code: 'E0406',
      message: `${called.name} needs ${showFact(here)}`,
      at: node.callee.span,
      label: 'called here',
      secondary: [{ span: fact.span, message: `stated here as ${showFact(fact)}` }],
    });
  }
}

// ── records ────────────────────────────────────────────────────────────────────────────────────────────────

/** `Ffn(gate: a, up: b, down: c)`; sizes that the fields leave open come from the expected type. */
function buildRecord(
  context: Context,
  node: CallNode,
  record: RecordEntry,
  expected: Type | undefined,
): TypedExpression {
  const { info, span: declared } = record;
  const names = info.fields.map((field) => field.name);
  const positional = node.arguments.find(
    (argument) => argument.kind === 'move' || argument.name === undefined,
  );
  if (positional !== undefined && names.length > 0) {
    context.report({
      code: 'E0305',
      message: `the fields of ${info.name} are given by name`,
      at: positional.span,
      secondary: [{ span: declared, message: 'declared here' }],
      help: [`write ${info.name}(${names.map((field) => `${field}: …`).join(', ')})`],
    });
    return looseCall(context, node);
  }
  const given = matchArguments(
    node,
    { name: info.name, parameters: names, optional: 0, declared },
    context.report,
  );
  const bracketed = node.sizes.length === 0 ? [] : info.parameters;
  const sizes = explicitSizes(context, node, info.name, bracketed);
  if (given === undefined || sizes === undefined) return looseCall(context, node);
  const same = expected?.kind === 'record' && expected.record === info && expected.dims.length === 0;
  const wished = same ? expected.sizes : [];
  const known = info.parameters.flatMap((name, i) => {
    const size = sizes[i] ?? wished[i];
    return size === undefined || !isKnown(size) ? [] : [{ name, size, firm: sizes[i] !== undefined }];
  });
  const parameters = info.fields.map(({ name, type }) => ({ name, type, span: declared }));
  const callable = { name: info.name, sizes: info.parameters, parameters, known };
  const solved = solveArguments(context, node, callable, given);
  if (solved === undefined) return errorExpression(node.span);
  const fields = solved.arguments.map((value, i) => convert(context, value, solved.wanted(i)));
  if (fields.some(({ type }) => hasError(type))) return errorExpression(node.span);
  const type: Type = {
    kind: 'record',
    record: info,
    sizes: info.parameters.map((name) => solved.values.get(name)!),
    dims: [],
  };
  return { kind: 'record', fields, type, span: node.span };
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

function notAFunction(context: Context, node: CallNode, type: Type): TypedExpression {
  if (type.kind === 'error') return looseCall(context, node);
  const text = context.text(node.callee.span);
  const inside = node.arguments.map(({ span }) => context.text(span)).join(', ');
  context.report({
    code: 'E0209',
    message: `${text} is a value, not a function`,
    at: node.callee.span,
    label: `this is ${showType(type)}`,
    help: [`a tensor is subscripted with brackets: ${text}[${inside}]`],
    fixes: [
      replaceFix(
        `a tensor is subscripted with brackets: ${text}[${inside}]`,
        node.span,
        `${text}[${inside}]`,
      ),
    ],
  });
  return errorExpression(node.span);
}

function unknownFunction(
  context: Context,
  node: CallNode,
  callee: Extract<Expression, { kind: 'name' }>,
  names: Iterable<string>,
): TypedExpression {
  if (!context.module.incomplete) {
    const close = closestName(callee.name, names);
    context.report({
      code: 'E0201',
      message: `there is no function ${callee.name}`,
      at: callee.span,
      help: [
        close === undefined
          ? 'define it with fn, or import the module that has it'
          : `did you mean ${close}?`,
      ],
      fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, callee.span, close)],
    });
  }
  return looseCall(context, node);
}
