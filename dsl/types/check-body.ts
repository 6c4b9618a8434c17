/** One function: its body against its signature. */
import type { Span } from '../diagnostics/diagnostic.ts';
import { type Context, errorExpression, newBody, newLocal } from './context.ts';
import { convert } from './conversions.ts';
import { depthOf } from './expression-children.ts';
import { inferExpression } from './expressions.ts';
import type { Report } from './report.ts';
import type { Entry, FunctionSignature, ModuleScope } from './scope.ts';
import { parameter } from './size.ts';
import type { FunctionInfo, TypedExpression } from './typed.ts';
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
  const body = newBody();
  const bare: Context = {
    module,
    signature,
    scope: new Map(),
    facts: signature.assumed,
    report,
    guards: [],
    trial: false,
    insidePerDevice: false,
    body,
    text,
    infer: inferExpression,
  };
  const parameters = signature.parameters.map((declared) => ({ ...declared, local: newLocal(bare) }));
  const scope = new Map<string, Entry>();
  for (const [name, span] of signature.axes) scope.set(name, { kind: 'size', size: parameter(name), span });
  for (const name of signature.sizes) {
    scope.set(name, { kind: 'size', size: parameter(name), span: declaration.name.span });
  }
  for (const { name, type, local, span } of parameters) scope.set(name, { kind: 'local', local, type, span });
  return {
    info: {
      id: signature.id,
      name: signature.name,
      exported: declaration.exported,
      auto: declaration.auto,
      sizes: signature.sizes,
      explicitSizes: signature.explicitSizes,
      parameters: parameters.map(({ name, type, local, span }) => ({ name, type, local, span })),
      result: signature.result,
      resultSpan: declaration.result.span,
      facts: signature.facts,
      body: checkResult({ ...bare, scope }, signature),
      documentation: declaration.documentation,
      span: declaration.span,
    },
    calls: body.calls,
  };
}

function checkResult(context: Context, signature: FunctionSignature): TypedExpression {
  const { declaration, result } = signature;
  if (depthOf(declaration.body) > depthLimit) {
    context.report({
      code: 'E0212',
      message: `the body of ${signature.name} is nested more than ${depthLimit} deep`,
      at: declaration.name.span,
      help: ['name its parts with let, or make functions of them'],
    });
    return errorExpression(declaration.body.span);
  }
  const value = context.infer(context, declaration.body, result);
  return convert(context, value, {
    type: result,
    place: 'written',
    asker: `the result of ${signature.name}`,
    because: [{ span: declaration.result.span, message: `the result is declared as ${showType(result)}` }],
  });
}
