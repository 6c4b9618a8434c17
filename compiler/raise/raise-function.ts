/** The pointwise functions as they are written: operators and calls. */
import type { BinaryOperator, Expression } from '../../dsl/syntax/tree.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Arithmetic } from '../graph/graph.ts';
import { closed, isOpen } from './raise-number.ts';
import { binary, call, choice, unary } from './source-tree.ts';

/** `type` is that of the operands; of `select` that of what is chosen from. */
type Writer = (operands: readonly Expression[], type: Arithmetic) => Expression;

function operator(symbol: BinaryOperator): Writer {
  return (operands) => {
    const [left, right] = firm(operands);
    return binary(symbol, left!, right!);
  };
}

function called(name: ScalarFunction): Writer {
  return (operands) => call(name, firm(operands));
}

/** Literals take the type of the other operands: when all are literals, the first must say what they are. */
function firm(operands: readonly Expression[]): readonly Expression[] {
  const [first, ...others] = operands;
  return first !== undefined && operands.every(isOpen) ? [closed(first), ...others] : operands;
}

/** Bools are compared for equality only: false is less than true. */
function comparison(symbol: BinaryOperator, ofBools: Writer): Writer {
  return (operands, type) => (type === 'bool' ? ofBools(operands, type) : operator(symbol)(operands, type));
}

const writers: { readonly [F in ScalarFunction]: Writer } = {
  add: operator('+'),
  sub: operator('-'),
  mul: operator('*'),
  div: operator('/'),
  floordiv: called('floordiv'),
  mod: operator('%'),
  neg: ([operand]) => unary('-', operand!),
  abs: called('abs'),
  sign: called('sign'),
  min: called('min'),
  max: called('max'),
  exp: called('exp'),
  log: called('log'),
  sqrt: called('sqrt'),
  rsqrt: called('rsqrt'),
  sin: called('sin'),
  cos: called('cos'),
  tanh: called('tanh'),
  erf: called('erf'),
  pow: called('pow'),
  floor: called('floor'),
  ceil: called('ceil'),
  round: called('round'),
  eq: operator('=='),
  ne: operator('!='),
  lt: comparison('<', ([left, right]) => binary('and', unary('not', left!), right!)),
  le: comparison('<=', ([left, right]) => binary('or', unary('not', left!), right!)),
  and: operator('and'),
  or: operator('or'),
  not: ([operand]) => unary('not', operand!),
  select: ([condition, ...branches]) => {
    const [then, otherwise] = firm(branches);
    return choice(condition!, then!, otherwise!);
  },
  shift_left: called('shift_left'),
  shift_right: called('shift_right'),
  threefry0: called('threefry0'),
  threefry1: called('threefry1'),
};

export function applied(name: ScalarFunction, operands: readonly Expression[], type: Arithmetic): Expression {
  return writers[name](operands, type);
}
