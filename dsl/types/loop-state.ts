/** What a fold, scan or ring carries from step to step: its type is that of its first value. */
import type { Expression, LetPattern } from '../syntax/tree.ts';
import type { Context } from './context.ts';
import { cast, convert } from './conversions.ts';
import { isFlexible } from './flexible.ts';
import { type BoundPattern, bindPattern } from './patterns.ts';
import { replaceFix, silent } from './report.ts';
import type { Type, TypedExpression } from './typed.ts';
import { dtypeElement, hasError, showElement, showType } from './types.ts';

export interface LoopState extends BoundPattern {
  readonly initial: TypedExpression;
  readonly written: Expression;
}

export function loopState(
  context: Context,
  pattern: LetPattern,
  initial: Expression,
  expected: Type | undefined,
): LoopState | undefined {
  const typed = settleFloat(context.infer(context, initial, expected));
  const bound = bindPattern(context, pattern, typed.type);
  return hasError(typed.type) ? undefined : { ...bound, initial: typed, written: initial };
}

/** A state has one storage type for all steps, so `float` is read as f32. */
function settleFloat(value: TypedExpression): TypedExpression {
  const float = value.type.kind === 'tensor' && value.type.element.kind === 'float';
  return float ? cast(value, dtypeElement('f32')) : value;
}

/** The next state as the type of the first; reported and undefined when it is another. */
export function sameState(
  context: Context,
  next: TypedExpression,
  state: LoopState,
  loop: string,
  type: Type = state.initial.type,
): TypedExpression | undefined {
  if (hasError(next.type)) return undefined;
  const { initial, written } = state;
  const wanted = { type, place: 'argument', asker: 'the state', because: [] } as const;
  const converted = convert({ ...context, report: silent }, next, wanted);
  if (!hasError(converted.type)) return converted;
  const text = context.text(written.span);
  const element = next.type.kind === 'tensor' ? showElement(next.type.element) : undefined;
  const asFloat = isFlexible(context, written) && written.kind === 'number';
  context.report({
    code: 'E0314',
    message: `the ${loop} begins with a state of type ${showType(initial.type)}, and its body gives ${showType(next.type)}`,
    at: next.span,
    label: `this is ${showType(next.type)}`,
    secondary: [{ span: initial.span, message: `this is ${showType(initial.type)}` }],
    help: [
      element === undefined
        ? 'make the first state of the type that the body gives'
        : `begin with a value of type ${showType(next.type)}, or cast what the body gives`,
    ],
    fixes:
      element === undefined
        ? []
        : [replaceFix(`begin with ${element}`, written.span, asFloat ? `${text}.0` : `${element}(${text})`)],
  });
  return undefined;
}
