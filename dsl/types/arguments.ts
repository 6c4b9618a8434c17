/** Which argument is for which parameter: by position, then by name. */
import type { Label, Span } from '../diagnostics/diagnostic.ts';
import type { Argument, Expression } from '../syntax/tree.ts';
import type { Context } from './context.ts';
import { closestName } from './did-you-mean.ts';
import { type Report, replaceFix } from './report.ts';
import type { Size } from './size.ts';
import { sizeOf } from './type-expressions.ts';
import { typeScope } from './type-scope.ts';

export type CallNode = Extract<Expression, { kind: 'call' }>;

export interface ParameterNames {
  /** Of the called function. */
  readonly name: string;
  readonly parameters: readonly string[];
  /** How many parameters at the end may be left out. */
  readonly optional: number;
  readonly declared: Span | undefined;
}

/**
 * The argument of each parameter, undefined for optional ones left out; reports and gives undefined when
 * wrong.
 */
export function matchArguments(
  node: CallNode,
  wanted: ParameterNames,
  report: Report,
): readonly (Expression | undefined)[] | undefined {
  const given = wanted.parameters.map((): Expression | undefined => undefined);
  let position = 0;
  for (const argument of node.arguments) {
    if (argument.kind === 'move') {
      fail(
        report,
        wanted,
        argument.span,
        '`a -> b` says where a collective moves a cut',
        'give a value here',
      );
      return undefined;
    }
    const index = argument.name === undefined ? position++ : wanted.parameters.indexOf(argument.name.name);
    if (index >= given.length) return tooMany(node, wanted, argument, report);
    if (index < 0) return unknownParameter(argument, wanted, report);
    if (given[index] !== undefined) {
      const name = wanted.parameters[index]!;
      fail(
        report,
        wanted,
        argument.span,
        `the parameter ${name} of ${wanted.name} is given twice`,
        'leave one out',
      );
      return undefined;
    }
    given[index] = argument.value;
  }
  const required = wanted.parameters.slice(0, wanted.parameters.length - wanted.optional);
  const missing = required.filter((_, i) => given[i] === undefined);
  if (missing.length === 0) return given;
  const list = missing.join(', ');
  const message = `${wanted.name} also needs ${list}`;
  fail(report, wanted, node.span, message, `give ${list} by position, or by name: ${missing[0]}: …`);
  return undefined;
}

/** The sizes in brackets; reports a wrong number of them. */
export function explicitSizes(
  context: Context,
  node: CallNode,
  name: string,
  wanted: readonly string[],
): readonly Size[] | undefined {
  if (node.sizes.length !== wanted.length) {
    const amount = wanted.length === 1 ? 'a size' : `${wanted.length} sizes`;
    context.report({
      code: 'E0411',
      message:
        wanted.length === 0
          ? `${name} takes no sizes in brackets`
          : `${name} takes ${amount} in brackets: ${wanted.join(', ')}`,
      at: node.callee.span,
      label: `${node.sizes.length} given`,
      help: [wanted.length === 0 ? `write ${name}(…)` : `write ${name}[${wanted.join(', ')}](…)`],
    });
    return undefined;
  }
  const sizes = node.sizes.flatMap((size) => sizeOf(size, typeScope(context)) ?? []);
  return sizes.length === wanted.length ? sizes : undefined;
}

function tooMany(node: CallNode, wanted: ParameterNames, argument: Argument, report: Report): undefined {
  const takes = wanted.parameters.length;
  const message = `${wanted.name} takes ${takes === 1 ? '1 argument' : `${takes} arguments`}, and ${node.arguments.length} are given`;
  const help =
    takes === 0
      ? 'leave the arguments out'
      : `its parameters are ${wanted.parameters.join(', ')}: leave out the rest`;
  fail(report, wanted, argument.span, message, help);
}

function unknownParameter(
  argument: Extract<Argument, { kind: 'value' }>,
  wanted: ParameterNames,
  report: Report,
): undefined {
  const name = argument.name!;
  const close = closestName(name.name, wanted.parameters);
  report({
    code: 'E0305',
    message: `${wanted.name} has no parameter ${name.name}`,
    at: name.span,
    secondary: declaredHere(wanted),
    help: [
      close === undefined ? `its parameters are ${wanted.parameters.join(', ')}` : `did you mean ${close}?`,
    ],
    fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, name.span, close)],
  });
}

function fail(report: Report, wanted: ParameterNames, at: Span, message: string, help: string): void {
  report({ code: 'E0305', message, at, secondary: declaredHere(wanted), help: [help] });
}

function declaredHere(wanted: ParameterNames): readonly Label[] {
  return wanted.declared === undefined ? [] : [{ span: wanted.declared, message: 'declared here' }];
}
