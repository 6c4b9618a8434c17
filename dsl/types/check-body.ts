/** One function: its body against its signature. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Expression } from '../syntax/tree.ts';
import { type Context, errorExpression, newBody, newLocal } from './context.ts';
import { convert } from './conversions.ts';
import { depthOf } from './expression-children.ts';
import { inferExpression } from './expressions.ts';
import type { Report } from './report.ts';
import type { BodySignature, Entry, FunctionSignature, ModuleScope } from './scope.ts';
import { parameter } from './size.ts';
import type { FunctionInfo, Parameter, TypedExpression } from './typed.ts';
import { showType } from './types.ts';

/**
 * Deep enough for any program that a person writes, and within the stack of the checker and of what follows
 * it.
 */
const depthLimit = 300;

export interface CheckedBody {
  readonly info: FunctionInfo;
  /** The functions that it calls, with the place of the first call of each. */
  readonly calls: ReadonlyMap<string, Span>;
}

export function checkBody(
  signature: FunctionSignature,
  module: ModuleScope,
  report: Report,
  text: (span: Span) => string,
): CheckedBody {
  const { declaration } = signature;
  const { context, parameters } = openBody(signature, module, report, text);
  return {
    info: {
      id: signature.id,
      name: signature.name,
      exported: declaration.exported,
      auto: declaration.auto,
      sizes: signature.sizes,
      explicitSizes: signature.explicitSizes,
      parameters,
      result: signature.result,
      resultSpan: declaration.result.span,
      facts: signature.facts,
      body: checkResult(context, signature),
      documentation: declaration.documentation,
      span: declaration.span,
    },
    calls: context.body.calls,
  };
}

/** What a body is checked in: axes, sizes and parameters are in scope. */
export function openBody(
  signature: BodySignature,
  module: ModuleScope,
  report: Report,
  text: (span: Span) => string,
): { readonly context: Context; readonly parameters: readonly Parameter[] } {
  const bare: Context = {
    module,
    signature,
    scope: new Map(),
    facts: signature.assumed,
    report,
    guards: [],
    trial: false,
    insidePerDevice: false,
    body: newBody(),
    text,
    infer: inferExpression,
  };
  const parameters = signature.parameters.map(({ name, type, span }): Parameter => {
    return { name, type, local: newLocal(bare), span };
  });
  const scope = new Map<string, Entry>();
  for (const [name, span] of signature.axes) scope.set(name, { kind: 'size', size: parameter(name), span });
  for (const name of signature.sizes) {
    scope.set(name, { kind: 'size', size: parameter(name), span: signature.declaration.name.span });
  }
  for (const { name, type, local, span } of parameters) scope.set(name, { kind: 'local', local, type, span });
  return { context: { ...bare, scope }, parameters };
}

/** Reported where the expression is nested deeper than the checker goes. */
export function isTooDeep(what: string, at: Span, expression: Expression, report: Report): boolean {
  if (depthOf(expression) <= depthLimit) return false;
  report({
    code: 'E0212',
    message: `${what} is nested more than ${depthLimit} deep`,
    at,
    help: ['name its parts with let, or make functions of them'],
  });
  return true;
}

function checkResult(context: Context, signature: FunctionSignature): TypedExpression {
  const { declaration, result } = signature;
  const { name, body } = declaration;
  if (isTooDeep(`the body of ${signature.name}`, name.span, body, context.report))
    return errorExpression(body.span);
  const value = context.infer(context, body, result);
  return convert(context, value, {
    type: result,
    place: 'written',
    asker: `the result of ${signature.name}`,
    because: [{ span: declaration.result.span, message: `the result is declared as ${showType(result)}` }],
  });
}
